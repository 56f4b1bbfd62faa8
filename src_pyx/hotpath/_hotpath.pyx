"""The compiled hot path of asks_fast: the code that runs per byte or per request.

One extension of one file per concern, combined by `include`, so that the C compiler can inline calls
between them and one import loads them all.

Compiled code sees bytes, descriptors and counters, never options, URLs or policy. It resolves no
names, opens no sockets and does not decide about redirects.
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
include "followup.pyx"
include "wait_queue.pyx"
include "pool.pyx"
include "request_template.pyx"
