# From bytes received to a response: httptools reads the grammar, this file fills what it leaves open.
#
# Facts:  httptools has no end of input, no way to say "this answers HEAD", no size limits, accepts
#         RTSP, ICE, HTTP/0.9 and 2.0, hands trailers to on_header and blank lines to nobody.
# Rules:  the parser gets a head only when all of it is there, so its end is known to the byte: what
#         follows a message of known length is surplus by arithmetic. Framing fields are judged here
#         once more (RFC 9112 §6). All sizes are counted before they are kept.
# Not here: sockets, waiting, whose turn it is. This file does not know which request is answered
#         beyond whether an answer to it can have a body.

cdef enum:
    EXPECT_HEAD = 0     # nothing, or part of a head
    IN_BODY = 1         # the head is known, the body is not complete
    COMPLETE = 2        # the message ended here

cdef enum:
    UNTIL_CLOSE = -1    # lengths: the body ends with the connection
    CHUNKED = -2
    UNSET = -3


@cython.final
cdef class Limits:
    """What a peer may make us hold. Sizes in bytes; -1 for no limit."""

    cdef public Py_ssize_t head         # one head, its fields and trailers
    cdef public int fields              # fields in a head or its trailers
    cdef public int interim             # 1xx answers before the final one
    cdef public long long body          # the body as sent
    cdef public bint strict             # refuse what browsers forgive

    def __init__(self, *, head=65536, fields=256, interim=16, body=-1, strict=False):
        self.head = head
        self.fields = fields
        self.interim = interim
        self.body = body
        self.strict = strict


@cython.final
cdef class Sink:
    """What httptools calls back: the state of the message being read.

    It never owns the parser that holds it, or the two would keep each other alive.
    """

    cdef PyObject *parser       # borrowed from the connection; valid while it feeds
    cdef Limits limits
    cdef int state
    cdef bint headless          # the answer to HEAD or CONNECT: ends with its head
    cdef int status
    cdef int minor              # HTTP/1.<minor>
    cdef bytes reason
    cdef list fields            # flat: name, value, …
    cdef list trailers
    cdef Py_ssize_t kept        # bytes of the fields kept so far
    cdef int transfer_codings
    cdef bint folded            # a field line of this head is continued on the next
    cdef long long length       # of the body, or UNTIL_CLOSE, CHUNKED, UNSET
    cdef long long got          # body bytes so far
    cdef long long max_body
    cdef Py_ssize_t behind_head # bytes in the window behind the head being parsed
    cdef bint keep_alive
    cdef bint continues         # 100 Continue came
    cdef bint surplus           # bytes came after the end of the message
    cdef bint spent             # the parser waits for a body that will not be fed to it
    cdef bytes first_piece      # of the body; further ones in `pieces`
    cdef list pieces

    def __cinit__(self, Limits limits not None):
        self.limits = limits

    cdef void expect(self, bint headless, long long max_body):
        """Get ready for the answer to the next request."""
        self.headless = headless
        self.max_body = max_body
        self.first_piece = None
        self.pieces = None
        self.trailers = None
        self.surplus = self.spent = self.continues = False
        self.expect_head()

    cdef void expect_head(self):
        self.state = EXPECT_HEAD
        self.status = 0
        self.reason = None
        self.fields = []
        self.kept = 0
        self.transfer_codings = 0
        self.folded = False
        self.length = UNSET
        self.got = 0

    def on_status(self, bytes reason not None):
        if self.state == COMPLETE:
            self.surplus = True
        else:
            self.reason = reason

    def on_header(self, bytes name not None, bytes value not None):
        cdef Py_ssize_t size = PyBytes_GET_SIZE(name)
        cdef list fields
        if self.state == COMPLETE:
            self.surplus = True
            return
        if self.state == EXPECT_HEAD:
            fields = self.fields
            if size == 14 and same_name(name, b"content-length", 14):
                self.length = content_length(value)
            elif size == 17 and same_name(name, b"transfer-encoding", 17):
                self.transfer_codings += 1
                if not same_name(value.strip(b" \t"), b"chunked", 7):
                    raise errors.BadHttpResponse(
                        f"Transfer-Encoding {errors.clip(value)}: only chunked was to be expected"
                    )
                self.length = CHUNKED
        else:
            if self.trailers is None:
                self.trailers = []
                self.kept = 0
            fields = self.trailers
        self.kept += size + PyBytes_GET_SIZE(value) + 4
        if self.kept > self.limits.head:
            raise errors.HeadTooLarge(f"more than {self.limits.head} bytes of fields")
        fields.append(name)
        fields.append(value)
        if len(fields) > 2 * self.limits.fields:
            raise errors.HeadTooLarge(f"more than {self.limits.fields} fields")

    def on_headers_complete(self):
        if self.state == COMPLETE:
            self.surplus = True
            return
        if self.transfer_codings > 1:
            raise errors.BadHttpResponse("Transfer-Encoding: chunked came more than once")
        if self.folded and self.length != UNSET:
            raise errors.BadHttpResponse("a line fold in the head of a message with a framing field")
        if 100 <= self.status < 200:
            return
        self.keep_alive = (<object>self.parser).should_keep_alive()
        if self.headless or self.status == 204 or self.status == 304:
            self.end_at_head()
        elif self.length >= 0:
            if self.behind_head > self.length:
                self.surplus = True
            self.state = IN_BODY
            self.check_body(self.length)
        else:
            if self.length == UNSET:
                self.length = UNTIL_CLOSE
            self.state = IN_BODY

    cdef int end_at_head(self) except -1:
        if self.headless:
            self.spent = True       # it can't be told that no body follows, and would wait for one
            self.keep_alive = keeps_alive(self.fields, self.minor == 1)
        self.surplus = self.behind_head > 0
        self.length = 0
        self.state = COMPLETE
        return 0

    cdef int check_body(self, long long size) except -1:
        if 0 <= self.max_body < size:
            raise errors.ResponseTooLarge(
                f"the body has {'at least ' if self.length < 0 else ''}{size} bytes, "
                f"the limit is {self.max_body}"
            )
        return 0

    def on_body(self, bytes piece not None):
        if self.state != IN_BODY:
            return
        self.got += PyBytes_GET_SIZE(piece)
        if self.length < 0:
            self.check_body(self.got)
        if self.first_piece is None:
            self.first_piece = piece
        elif self.pieces is None:
            self.pieces = [self.first_piece, piece]
        else:
            self.pieces.append(piece)

    def on_message_complete(self):
        if self.state == IN_BODY:
            self.state = COMPLETE

    cdef bytes take_body(self):
        """What came of the body since the last call."""
        cdef bytes body
        if self.pieces is not None:
            body = b"".join(self.pieces)
            self.pieces = None
        elif self.first_piece is not None:
            body = self.first_piece
        else:
            return b""
        self.first_piece = None
        return body


cdef long long content_length(bytes value) except -1:
    """1*DIGIT of at most 18 digits (RFC 9110 §8.6): anything else is an error, never a guess."""
    cdef const unsigned char *c = <const unsigned char *>PyBytes_AS_STRING(value)
    cdef Py_ssize_t i, n = PyBytes_GET_SIZE(value)
    cdef long long length = 0
    while n > 0 and (c[n - 1] == 32 or c[n - 1] == 9):
        n -= 1
    if n == 0 or n > 18:
        raise errors.BadHttpResponse(f"Content-Length {errors.clip(value)}")
    for i in range(n):
        if not 48 <= c[i] <= 57:
            raise errors.BadHttpResponse(f"Content-Length {errors.clip(value)}")
        length = length * 10 + (c[i] - 48)
    return length


cdef bint keeps_alive(list fields, bint http11):
    """RFC 9112 §9.3, from the Connection fields; for answers whose body the parser can't judge."""
    cdef Py_ssize_t i
    cdef bint keep = http11
    for i in range(0, len(fields), 2):
        if same_name(<bytes>fields[i], b"connection", 10):
            for token in (<bytes>fields[i + 1]).lower().split(b","):
                token = token.strip()
                if token == b"close":
                    return False
                if token == b"keep-alive":
                    keep = True
    return keep


cdef Py_ssize_t end_of_head(const char *data, Py_ssize_t length, Py_ssize_t searched,
                            bint *folded) noexcept:
    """Where the empty line ends that ends a head; -1 while it is not there.

    `searched` bytes were looked at before without finding it. `folded` is set when a line starts
    with white space. Lines may end in a bare LF (RFC 9112 §2.2); the parser refuses them if strict.
    """
    cdef const char *at = data + (searched - 2 if searched > 2 else 0)
    cdef const char *end = data + length
    while True:
        at = <const char *>memchr(at, 10, <size_t>(end - at))
        if at is NULL:
            return -1
        at += 1
        if at == end:
            return -1
        if at[0] == 10:
            return at + 1 - data
        if at[0] == 13:
            if at + 1 == end:
                return -1
            if at[1] == 10:
                return at + 2 - data
        elif at[0] == 32 or at[0] == 9:
            folded[0] = True


cdef int check_start(const char *data, Py_ssize_t length) except -1:
    """A response starts with `HTTP/1.0 ` or `HTTP/1.1 ` and a digit, to the byte; so far as it came."""
    cdef Py_ssize_t seen = length if length < 7 else 7
    if memcmp(data, b"HTTP/1.", <size_t>seen) != 0:
        raise errors.BadHttpResponse(f"this is no HTTP/1.x: {errors.clip(data[:min(length, 80)])}")
    if length > 7 and not (data[7] == 48 or data[7] == 49):
        raise errors.BadHttpResponse(f"unknown version: {errors.clip(data[:min(length, 80)])}")
    if length > 9 and not (data[8] == 32 and 49 <= data[9] <= 57):
        raise errors.BadHttpResponse(f"bad status line: {errors.clip(data[:min(length, 80)])}")
    return 0


cdef bint ends_exactly(const char *data, Py_ssize_t length) noexcept:
    """Whether a chunked message ended with these bytes and nothing stands behind its last line.

    The parser skips blank lines after a message without a word; a message ends with exactly one.
    """
    if length == 5:
        return memcmp(data, b"0\r\n\r\n", 5) == 0
    return (length > 5 and memcmp(data + length - 4, b"\r\n\r\n", 4) == 0
            and memcmp(data + length - 6, b"\r\n", 2) != 0)
