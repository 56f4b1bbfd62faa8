# What a dict was encoded to; implemented in encoded_pairs.pyx.

@cython.final
cdef class EncodedPairs:
    cdef list pairs                 # name, value, name, value …; None before the first call
    cdef bytes encoded

    cdef bint are_same(self, dict given) except -1
    cdef int keep(self, dict given, bytes encoded) except -1
