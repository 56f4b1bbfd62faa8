# Awaitables that yield one trap, and the file object of a connection; implemented in traps.pyx.

@cython.final
cdef class Trap:
    cdef tuple trap
    cdef bint is_pending


@cython.final
cdef class FileHandle:
    cdef readonly int fd
