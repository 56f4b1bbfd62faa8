# The classes of the hot path: what each object contains, and what compiled code may call.
#
# One file of declarations per source file. Attributes and C methods are declared there only.

cimport cython
from cpython.object cimport PyObject

# Classes refer to each other.
cdef class ReceiveBuffer
cdef class Trap
cdef class FileHandle
cdef class Headers
cdef class BaseHttpResponse
cdef class Limits
cdef class ParserCallbacks
cdef class MessageParser
cdef class ParserPool
cdef class LastHead
cdef class ResponseParser
cdef class BytesBuilder
cdef class Connection
cdef class BaseEvent
cdef class BaseEventEmitter
cdef class ExchangeOptions
cdef class Exchange
cdef class BaseStreamBody
cdef class Waiter
cdef class OriginPool
cdef class Pool
cdef class BaseCookie
cdef class Candidates
cdef class EncodedPairs
cdef class RequestTemplate
cdef class TemplateCache

include "hotpath/system.pxd"
include "hotpath/traps.pxd"
include "hotpath/headers.pxd"
include "hotpath/response.pxd"
include "hotpath/head_scanner.pxd"
include "hotpath/message_parser.pxd"
include "hotpath/chunked.pxd"
include "hotpath/response_parser.pxd"
include "hotpath/linked_list.pxd"
include "hotpath/body_buffer.pxd"
include "hotpath/connection.pxd"
include "hotpath/events.pxd"
include "hotpath/exchange.pxd"
include "hotpath/stream_body.pxd"
include "hotpath/wait_queue.pxd"
include "hotpath/origin_pool.pxd"
include "hotpath/pool.pxd"
include "hotpath/cookies.pxd"
include "hotpath/encoded_pairs.pxd"
include "hotpath/request_template.pxd"
include "hotpath/template_cache.pxd"
