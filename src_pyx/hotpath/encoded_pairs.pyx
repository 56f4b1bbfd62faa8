# What a dict of header fields or of a query was encoded to, for the next call.
#
# Facts:  many programs give the same names and values in each call, as constants. Comparing objects
#         takes a tenth of the instructions of encoding them.
# Rules:  only objects that cannot change are compared by identity. A dict can change between calls.

cdef frozenset IMMUTABLE_TYPES = frozenset([str, int, float, type(None)])


@cython.final
cdef class EncodedPairs:
    """The bytes that the dict of the last call was encoded to."""

    cdef bint are_same(self, dict given) except -1:
        """Whether the names and values are the objects that were encoded last."""
        cdef Py_ssize_t i = 0
        if self.pairs is None or 2 * len(given) != len(self.pairs):
            return False
        for name, value in given.items():
            if name is not self.pairs[i] or value is not self.pairs[i + 1]:
                return False
            i += 2
        return True

    cdef int keep(self, dict given, bytes encoded) except -1:
        """Keep what a dict was encoded to, unless one of its objects could change."""
        cdef list pairs = []
        self.pairs = None
        for name, value in given.items():
            if type(name) not in IMMUTABLE_TYPES or type(value) not in IMMUTABLE_TYPES:
                return 0
            pairs.append(name)
            pairs.append(value)
        self.pairs = pairs
        self.encoded = encoded
        return 0
