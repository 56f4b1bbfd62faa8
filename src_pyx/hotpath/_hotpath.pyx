"""The compiled half of asks_fast: what runs once per byte or once per request.

One extension made of one file per concern, bound together by `include`, so that the C compiler
sees calls between them and inlines them, and one import loads them all.

Compiled code sees bytes, descriptors and counters; never options, URLs or policy.
Nothing here resolves a name, opens a socket or decides about redirects.
"""

cimport cython

__tracebackhide__ = True  # pytest leaves out frames of this module

include "system.pyx"
include "traps.pyx"
include "headers.pyx"
include "request_head.pyx"
include "response.pyx"
include "head_scanner.pyx"
include "chunked.pyx"
include "response_parser.pyx"
include "connection.pyx"
include "body_buffer.pyx"
include "exchange.pyx"
include "followup.pyx"
include "wait_queue.pyx"
include "pool.pyx"
include "request_template.pyx"
