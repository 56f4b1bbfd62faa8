"""The compiled half of asks_fast: what runs once per byte or once per request.

One extension made of one file per concern, bound together by `include`, so that the C compiler
sees calls between them and inlines them, and one import loads them all.

Compiled code sees bytes, descriptors and counters; never options, URLs or policy.
Nothing here resolves a name, opens a socket or decides about redirects.
"""

cimport cython

__tracebackhide__ = True  # pytest leaves out frames of this module

include "platform.pyx"
include "waits.pyx"
include "fields.pyx"
include "head.pyx"
include "response.pyx"
include "parser.pyx"
include "chunks.pyx"
include "reader.pyx"
include "connection.pyx"
include "long_bodies.pyx"
include "on_the_way.pyx"
include "line.pyx"
include "pool.pyx"
include "swift.pyx"
