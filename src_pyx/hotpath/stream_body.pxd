# The compiled base of the body of a streamed response; implemented in stream_body.pyx.

cdef class BaseStreamBody:
    cdef readonly BaseHttpResponse _response    # a copy without the body; so there is no cycle
    cdef readonly object _response_ref  # a weak reference to the response of the program
    cdef public Connection _connection  # None once all was received, or the body was closed
    cdef public object _received        # bytes that came with the head; None without any
    cdef readonly long long _raw_bytes  # of the body as received that were passed on
    cdef public bint _ended             # read to its end, or closed
    cdef bint is_reading                # a task is in `_read_chunk`
    cdef public object timeout          # seconds for each chunk; None for no limit
    cdef public object _decompress      # as the program chose; None: as the request said
    cdef public object _recorder        # gets what is received; or None
    cdef public object _on_close        # a coroutine function, called by `close`; or None
    cdef public object _lease           # on the proxy of a pool, until the body is closed; or None

    cdef int attach(self, BaseHttpResponse response, Connection connection, received) except -1
    cdef object take_received(self)
