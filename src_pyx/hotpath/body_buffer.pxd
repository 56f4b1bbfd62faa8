# A bytes object while it is filled; implemented in body_buffer.pyx.

@cython.final
cdef class BytesBuilder:
    cdef PyObject *data     # owned; NULL after `finish`
    cdef Py_ssize_t size
    cdef Py_ssize_t used    # bytes of the body in it, for a body that breaks off

    cdef char *at(self, Py_ssize_t position) noexcept
    cdef Py_ssize_t free_space(self, Py_ssize_t have, Py_ssize_t total) except -1
    cdef int write(self, Py_ssize_t position, const char *data, Py_ssize_t length) except -1
    cdef bytes finish_at(self, Py_ssize_t size)
    cdef bytes finish(self)
