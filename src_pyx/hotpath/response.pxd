# The compiled base class of responses; implemented in response.pyx.

cdef class BaseHttpResponse:
    cdef public int status_code
    cdef Headers header_fields         # None until a program looks at the fields of `response_head`
    cdef bint is_unencoded              # the head was scanned and has no Content-Encoding field
    cdef readonly Headers trailers      # of a chunked body; None without any
    cdef readonly list interim              # the 1xx responses before this one: (status, Headers)
    cdef public object body                 # bytes as they came, or the stream that gives them
    cdef public object _content        # the body decompressed; None until it is asked for
    cdef public object _text           # (`_chosen`, the body as text); None until it is asked for
    cdef public object _chosen         # the encoding that the program chose; None: none
    cdef public object _decompress     # whether to decompress, as the program chose; None: not chosen
    cdef public object _options        # what the request said about reading the body; None: defaults
    cdef public str _encoding          # of text that does not name its own; None for UTF-8
    cdef list _history                      # the responses before this one; None while there are none
    cdef public object peer                 # (address, port) of the other side, None if unknown
    cdef public int attempts                # tries of the request, this one included
    cdef public bint strict                 # refuse what browsers tolerate
    cdef public bint is_truncated           # the connection failed before the end of the body
    cdef public bint reused                 # came over a connection that had served before
    cdef readonly bytes response_head      # as received, with its empty line; None if over no socket
    cdef public bint keeps_framing          # whether to keep `framed_body`
    # A chunked body as received, chunk framing and trailers included; None without
    # `keeps_framing`, empty if there was too much of it (chunked_body.pyx).
    cdef readonly bytearray framed_body
    cdef bytes reason                       # where there is no raw head
    cdef int http_minor                     # HTTP/1.<minor>
    cdef bytes sent_head                    # the request head as sent
    cdef str origin                         # "http://host:port" as in a URL
    cdef str fixed_url                      # set where origin + target isn't the URL
    cdef str fixed_method                   # set where the request head has another, or there is none
    cdef double started             # monotonic seconds: before the first byte was sent,
    cdef double head_received       # when the head was received,
    cdef double completed           # when all was received; 0.0 until then
    cdef bint is_timed              # the two below are wanted
    cdef double request_sent        # when the last byte of the request was sent; else 0.0
    cdef double first_byte          # when the first byte of the response came; else 0.0

    cdef Headers get_headers(self)
    cdef bint is_utf8_type(self) except -1
    cdef str _request_line_part(self, int which)
    cdef void copy(self, BaseHttpResponse other)
    cdef BaseHttpResponse copy_head(self)
    cdef void take_end(self, BaseHttpResponse other)
    cdef str describe_request(self)
