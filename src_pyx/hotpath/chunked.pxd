# The position of the decoder in a chunked body; implemented in chunked.pyx.

cdef struct Chunks:
    int state
    bint has_size       # a digit of the size was seen
    long long remaining     # bytes of this chunk not received yet
