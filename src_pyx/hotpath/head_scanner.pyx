# Scan a response head once: find its end and what frames the body, before httptools validates it.
#
# httptools has no end of input, no way to state that a response answers HEAD and no size limits. It
# accepts RTSP, ICE, HTTP/0.9 and 2.0. It parses a head in a quarter of the time that a callback per
# field costs. So it makes no callbacks for fields: the head is stored as received (headers.pyx),
# and this file reads the framing fields in the same pass that finds the end of the head.
#
# Invariants: httptools gets a head only when it is complete, and never a byte after the end of a
# message of known length. Framing fields are checked here and by httptools, and both must accept
# them (RFC 9112 §6). All sizes are checked before anything is stored.
#
# Implemented elsewhere: sockets and waiting (connection.pyx), which connection is used (pool.pyx).

cdef enum:
    EXPECT_HEAD = 0     # nothing, or part of a head
    IN_BODY = 1         # the head is known, the body is not complete
    COMPLETE = 2        # the message ended here

cdef enum:
    JOIN_PIECES_AT = 1024   # number of stored body pieces at which small ones are joined
    SMALL_PIECE = 256       # bytes below which storing a piece costs more than copying it

cdef enum:
    UNTIL_CLOSE = -1    # lengths: the body ends with the connection
    CHUNKED = -2


@cython.final
cdef class Limits:
    """Limits of what a server may send beside the body, in bytes. `max_body` is set per request."""

    def __init__(self, *, head=65536, fields=256, interim=16):
        self.head = head
        self.fields = fields
        self.interim = interim


# -- one pass over a head

cdef int scan_head(const char *data, Py_ssize_t length, Head *head) except -1:
    """Find the end of a head and, on the way, what frames the body (RFC 9112 §6.3).

    Leaves `end` at -1 while the empty line is not there. Lines may end in a bare LF (RFC 9112 §2.2);
    the parser refuses them if strict. Raises `BadHttpResponse` for framing fields that can be read
    in two ways.
    """
    cdef const char *end = data + length
    cdef const char *at = data
    cdef const char *line_end
    cdef const char *cr
    head.end = -1
    head.lines = head.transfer_encoding_count = 0
    head.length = UNTIL_CLOSE
    head.last_was_framing = head.has_bare_lf = head.ambiguous = head.has_content_encoding = False
    head.keep_alive_timeout = 0.0
    line_end = <const char *>memchr(at, 10, <size_t>length)
    while line_end is not NULL:
        if line_end == data or (line_end - 1)[0] != 13:
            head.has_bare_lf = True
        at = line_end + 1
        if at >= end:
            return 0
        if at[0] == 10 or at[0] == 13:
            if at[0] == 10:
                head.end = at + 1 - data
            elif at + 1 < end and at[1] == 10:
                head.end = at + 2 - data
            elif at + 1 < end:
                raise errors.BadHttpResponse(
                    f"bare CR in the head: {errors.truncated_repr(data[:length])}")
            return 0
        line_end = <const char *>memchr(at, 10, <size_t>(end - at))
        if line_end is not NULL:
            head.lines += 1
            cr = <const char *>memchr(at, 13, <size_t>(line_end - at))
            if cr is not NULL and cr != line_end - 1:
                # After an empty value the lenient parser reads it as the end of the line.
                raise errors.BadHttpResponse(
                    f"bare CR in the head: {errors.truncated_repr(at[:line_end - at])}")
            scan_field(at, line_end, head)
    return 0


cdef int scan_field(const char *at, const char *end, Head *head) except -1:
    cdef Py_ssize_t size = end - at
    cdef long long length
    if at[0] == 32 or at[0] == 9:
        if head.lines == 1:
            raise errors.BadHttpResponse("white space between the status line and the first field")
        if head.last_was_framing:
            raise errors.BadHttpResponse("a framing field that is continued on a second line")
        return 0
    head.last_was_framing = False
    if size >= 15 and (at[0] == 67 or at[0] == 99):
        if name_equals(at, b"content-length", 14) and ends_framing_name(at[14]):
            head.last_was_framing = True
            length = content_length(at + 15, end, head)
            if head.length >= 0:
                if length != head.length:
                    raise errors.BadHttpResponse(
                        f"two different Content-Length values: {head.length} and {length}")
                head.ambiguous = True
            if head.transfer_encoding_count:
                head.ambiguous = True
            head.length = length
        elif size >= 17 and name_equals(at, b"content-encoding", 16):
            head.has_content_encoding = True
    elif size > 11 and (at[0] == 75 or at[0] == 107) and at[10] == 58:
        if name_equals(at, b"keep-alive", 10):
            head.keep_alive_timeout = parse_keep_alive(at + 11, end)
    elif size >= 18 and (at[0] == 84 or at[0] == 116):
        if name_equals(at, b"transfer-encoding", 17) and ends_framing_name(at[17]):
            head.last_was_framing = True
            head.transfer_encoding_count += 1
            if head.transfer_encoding_count > 1:
                raise errors.BadHttpResponse("Transfer-Encoding came more than once")
            if head.length >= 0:
                head.ambiguous = True
            check_coding(at + 18, end)
    return 0


cdef bint ends_framing_name(char next_byte) except -1:
    """Whether the name of a framing field ends here. White space before its colon passes the lenient
    parser, which then frames by it: an error, not another field (RFC 9112 §5.1)."""
    if next_byte == 32 or next_byte == 9:
        raise errors.BadHttpResponse("white space before the colon of a framing field")
    return next_byte == 58


cdef double parse_keep_alive(const char *at, const char *end):
    """How long the server keeps an idle connection (`timeout=5`), short of the time a request takes
    to get there; 0.0 if it doesn't say, or nothing that makes sense."""
    cdef double seconds
    for part in at[:end - at].split(b","):
        name, _, number = part.partition(b"=")
        number = number.strip()
        if name.strip().lower() == b"timeout" and number.isdigit() and len(number) < 9:
            seconds = int(number)
            return seconds - 1.0 if seconds >= 2.0 else seconds / 2.0
    return 0.0


cdef bint name_equals(const char *at, const char *name, Py_ssize_t length) noexcept:
    cdef Py_ssize_t i
    for i in range(length):
        if lower(<unsigned char>at[i]) != <unsigned char>name[i]:
            return False
    return True


cdef const char *strip_ows(const char *at, const char **end) noexcept:
    """Return a value without surrounding white space and CR."""
    cdef char last
    while end[0] > at:
        last = (end[0] - 1)[0]
        if last != 13 and last != 32 and last != 9:
            break
        end[0] -= 1
    while at < end[0] and (at[0] == 32 or at[0] == 9):
        at += 1
    return at


cdef long long content_length(const char *at, const char *end, Head *head) except -1:
    """Read 1*DIGIT of at most 18 digits, or a list of equal ones (RFC 9110 §8.6)."""
    cdef long long length = 0
    cdef const char *digit
    at = strip_ows(at, &end)
    digit = at
    while digit < end and digit - at < 18 and 48 <= digit[0] <= 57:
        length = length * 10 + (digit[0] - 48)
        digit += 1
    if digit != end or digit == at:
        head.ambiguous = True
        return equal_lengths(at[:end - at])
    return length


cdef long long equal_lengths(bytes value) except -1:
    """The length in a list of equal ones, as a proxy makes of repeated fields."""
    cdef list members = [member.strip(b" \t") for member in value.split(b",")]
    if len(members) > 1 and all([member.isdigit() and len(member) <= 18 for member in members]):
        lengths = set(map(int, members))
        if len(lengths) == 1:
            return lengths.pop()
    raise errors.BadHttpResponse(f"Content-Length {errors.truncated_repr(value)}")


cdef bytes with_one_length(bytes head, long long length):
    """The head with a single Content-Length field, or with none if `length` is negative."""
    cdef list lines = [line for line in head.split(b"\n")
                       if (<bytes>line)[:15].lower() != b"content-length:"]
    if length >= 0:
        lines.insert(1, b"Content-Length: %d\r" % length)
    return b"\n".join(lines)


cdef int check_coding(const char *at, const char *end) except -1:
    """Accept `chunked` only: no other transfer coding was offered (RFC 9112 §6.1)."""
    at = strip_ows(at, &end)
    if end - at != 7 or not name_equals(at, b"chunked", 7):
        raise errors.BadHttpResponse(
            f"Transfer-Encoding {errors.truncated_repr(at[:end - at])}: only chunked is supported"
        )
    return 0


cdef int check_status_line(const char *data, Py_ssize_t length) except -1:
    """Check that the bytes received so far begin with `HTTP/1.0 ` or `HTTP/1.1 ` and a digit."""
    cdef Py_ssize_t seen = length if length < 7 else 7
    if memcmp(data, b"HTTP/1.", <size_t>seen) != 0:
        raise errors.BadHttpResponse(
            f"not an HTTP/1.x response: {errors.truncated_repr(data[:min(length, 80)])}")
    if length > 7 and not (data[7] == 48 or data[7] == 49):
        raise errors.BadHttpResponse(f"unknown version: {errors.truncated_repr(data[:min(length, 80)])}")
    if length > 9 and not (data[8] == 32 and 49 <= data[9] <= 57):
        raise errors.BadHttpResponse(f"bad status line: {errors.truncated_repr(data[:min(length, 80)])}")
    return 0


cdef bint allows_keep_alive(Headers headers, bint http11):
    """RFC 9112 §9.3, from all the Connection fields: where the parser can't judge, or is lenient."""
    cdef bint keep = http11
    for value in headers.find(b"connection"):
        for token in value.lower().split(","):
            token = token.strip()
            if token == "close":
                return False
            if token == "keep-alive":
                keep = True
    return keep
