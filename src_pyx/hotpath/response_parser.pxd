# The state of the message being read on one connection; implemented in response_parser.pyx.

@cython.final
cdef class LastHead:
    cdef bytes head                 # as received; None before the first
    cdef int status
    cdef int minor                  # HTTP/1.<minor>
    cdef bint strict                # by which rules it was validated
    cdef bint keep_alive
    cdef bint has_content_encoding
    cdef long long length           # of the body
    cdef double keep_alive_timeout  # seconds the server keeps an idle connection; 0.0: not stated


@cython.final
cdef class ResponseParser:
    # -- used for each response: together, so that they are in few cache lines
    cdef int state
    cdef int status
    cdef int minor                  # HTTP/1.<minor>
    cdef bint is_head_request       # a response to HEAD ends with its head
    cdef bint strict                # of this message: refuse what browsers tolerate
    cdef bint cached_strict         # by which rules `cached_head` was validated
    cdef bint is_too_large          # a body with `followup_statuses` exceeds `max_body`
    cdef bint keeps_framing         # whether to keep `raw_chunks`
    cdef bint keep_alive
    cdef bint has_extra_data        # bytes followed the end of the message
    cdef bint got_100_continue      # a 100 Continue response arrived
    cdef bint has_content_encoding  # the head has such a field
    cdef long long length           # of the body, or UNTIL_CLOSE, CHUNKED
    cdef long long body_bytes       # bytes of the body so far
    cdef long long max_body
    cdef object followup_statuses   # of responses whose body has no limit until `apply_limit`; or None
    cdef bytes head                 # of the final response, as received
    cdef bytes cached_head          # the last validated head; the values read from it are still set
    cdef bytes piece                # of the body; further ones in `pieces`
    cdef list pieces
    cdef list interim               # (status, Headers) of the 1xx responses; None without any
    cdef bytearray partial_head     # the received part of an incomplete head; None without any
    cdef bytearray raw_chunks       # the chunked body as received; shared with the response
    cdef long long raw_body_bytes   # bytes of a chunked body with its framing
    cdef long long framing_bytes    # of them, those after the last byte of the body
    cdef double keep_alive_timeout  # seconds the server keeps an idle connection; 0.0: not stated

    # -- used for a new head, a chunked body, a body in several pieces
    cdef LastHead last_head         # of all connections to the origin
    cdef ParserPool parsers         # of all connections of the pool
    cdef MessageParser message_parser   # from a new head to the end of its message; else None
    cdef Chunks chunks              # the decoder's position in a chunked body
    cdef Py_ssize_t small_pieces    # number of `pieces` added since the last join
    cdef Py_ssize_t small_bytes     # their bytes

    cdef int reset(self) except -1
    cdef int return_parser(self) except -1
    cdef int feed(self, char *data, Py_ssize_t length) except -1
    cdef int feed_head(self, char *data, Py_ssize_t length) except -1
    cdef bint starts_with(self, bytes known, const char *data, Py_ssize_t length) noexcept
    cdef void store_last_head(self) noexcept
    cdef void load_last_head(self) noexcept
    cdef int use_cached_head(self, char *data, Py_ssize_t length) except -1
    cdef Py_ssize_t clip_to_body(self, Py_ssize_t length) noexcept
    cdef int parse(self, char *start, Py_ssize_t length) except -1
    cdef int parse_head(self, char *data, Py_ssize_t length, Py_ssize_t end) except -1
    cdef int feed_informational(self, char *data, Py_ssize_t end) except -1
    cdef int begin_body(self, Head *head, char *data, Py_ssize_t length) except -1
    cdef int refuse_if_strict(self, str describe_request) except -1
    cdef int begin_ambiguous(self, Head *head, char *data, Py_ssize_t length) except -1
    cdef int check_size(self, long long size) except -1
    cdef object too_large(self, long long size)
    cdef int apply_limit(self) except -1
    cdef int feed_body(self, char *data, Py_ssize_t length) except -1
    cdef int feed_parser(self, char *data, Py_ssize_t length) except -1
    cdef int keep(self, char *data, Py_ssize_t length) except -1
    cdef int count_body(self, Py_ssize_t length) except -1
    cdef void add_piece(self, bytes piece)
    cdef long long min_remaining(self) noexcept
    cdef bint is_reusable(self)
    cdef Headers trailers(self)
    cdef bint has_piece(self)
    cdef bytes take_body(self)
    cdef bint feed_eof(self)
    cdef str progress(self)
