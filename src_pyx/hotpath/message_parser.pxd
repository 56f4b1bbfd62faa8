# Parsers of httptools and their callbacks; implemented in message_parser.pyx.

cdef class ParserCallbacks:
    cdef PyObject *parser       # of httptools; borrowed from the MessageParser
    cdef bint accepted          # the parser reached the end of the head
    cdef bint keep_alive


@cython.final
cdef class ChunkedParserCallbacks(ParserCallbacks):
    cdef Limits limits
    cdef list trailers          # name, value, …; None without any
    cdef Py_ssize_t trailer_bytes   # bytes of the trailers
    cdef bint ended

    cdef void reset(self)


@cython.final
cdef class MessageParser:
    cdef ParserCallbacks callbacks
    cdef object parser              # of httptools
    cdef int kind                   # chunked or not, strict or not: an index of `ParserPool.spare`
    cdef MessageParser next_spare   # of this kind; None while it is in use


@cython.final
cdef class ParserPool:
    cdef Limits limits
    cdef ReceiveBuffer window       # the buffer object that passes bytes to the parsers
    cdef list spare                 # of each kind, the first of a chain; None without any

    cdef MessageParser take(self, bint chunked, bint strict)
    cdef int put_back(self, MessageParser parser) except -1
