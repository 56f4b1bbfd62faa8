# The buffer that all connections of a pool receive into; implemented in system.pyx.

@cython.final
cdef class ReceiveBuffer:
    cdef char *data             # owned; `capacity` bytes
    cdef Py_ssize_t capacity
    cdef char *start            # the window: inside `data`, or bytes that the caller keeps alive
    cdef Py_ssize_t length
    cdef object view            # a memoryview of `data`; None before TLS needs it

    cdef object writable_view(self)
