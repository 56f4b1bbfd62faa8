# Limits of a head, what one pass over it finds, callbacks of httptools; see head_scanner.pyx.

cdef struct Head:
    # The result of one pass over a head.
    Py_ssize_t end          # position after the empty line; -1 while it is missing
    int lines               # number of fields, continuation lines included
    long long length        # of Content-Length; UNTIL_CLOSE without one
    int transfer_encoding_count     # number of Transfer-Encoding fields
    bint ambiguous          # equal lengths were given more than once, or one beside chunked
    double keep_alive_timeout       # seconds the server keeps an idle connection; 0.0: not stated
    bint has_bare_lf        # a line ends in a bare LF
    bint has_content_encoding   # a line begins with Content-Encoding
    bint last_was_framing   # while scanning: the previous line is a framing field


@cython.final
cdef class Limits:
    cdef public Py_ssize_t head         # of a head, of all 1xx heads together, of the trailers
    cdef public int fields              # number of fields in a head, and in trailers
    cdef public int interim             # number of 1xx responses before the final one
