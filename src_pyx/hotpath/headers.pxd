# The header fields of a response; implemented in headers.pyx.

@cython.final
cdef class Headers:
    cdef bytes head             # as received, with the status line; None after parsing
    cdef list fields            # name, value, name, value … as bytes; None before parsing

    cdef list get_fields(self)
    cdef bint is_absent(self, bytes name) noexcept
    cdef list find_raw(self, bytes name)
    cdef list find(self, bytes name)
    cdef object value_of(self, bytes name)
    cdef list names(self)
