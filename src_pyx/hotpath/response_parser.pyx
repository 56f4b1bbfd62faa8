# Parse one HTTP/1.1 response: bytes in, state out. No socket, no waiting.
#
# Servers repeat themselves: until the date or a length changes, a response head is often byte for
# byte the one before it. Validating a head takes 7,500 of the 18,700 instructions of a response;
# comparing it with the previous head takes 30. The connections to one origin share the last head, so
# that a new one is validated once and stored once, not for each of a thousand connections.
#
# Invariants: heads are parsed whole, bodies as they arrive. If a head is byte-identical to the
# previous one on this connection, or of this origin, its parse result is reused. Bytes after the end
# of a message are never parsed as a response, and their connection is not used again.
#
# Implemented elsewhere: chunked bodies (chunked_body.pyx); where the bytes come from, and what the
# end of input means (connection.pyx).

cdef enum:
    # Results of `feed`.
    NEED_DATA = 0           # more bytes are needed for the head
    HEAD_COMPLETE = 1       # the head is complete, the body is not
    MESSAGE_COMPLETE = 2    # the message is complete


@cython.final
cdef class LastHead:
    """The last validated head of an origin with a body of known length, and what was read from it."""


@cython.final
cdef class ResponseParser:
    """The state of the message being read on one connection, and its parsers."""

    def __cinit__(self, ParserPool parsers not None, LastHead last_head not None):
        self.parsers = parsers
        self.last_head = last_head

    cdef int reset(self) except -1:
        """Prepare for the next response. Its request sets `is_head_request`, `max_body` and `strict`."""
        if self.strict != self.cached_strict:
            self.cached_head = None
            self.cached_strict = self.strict
        self.state = EXPECT_HEAD
        self.has_extra_data = self.got_100_continue = self.is_too_large = False
        self.head = self.piece = None
        self.pieces = self.interim = None
        self.partial_head = self.raw_chunks = None
        self.body_bytes = self.raw_body_bytes = self.framing_bytes = 0
        return 0

    cdef int return_parser(self) except -1:
        """Leave the parser of a complete message to the next new head of any connection."""
        self.parsers.put_back(self.message_parser)
        self.message_parser = None
        return 0

    cdef int feed(self, char *data, Py_ssize_t length) except -1:
        """Parse received bytes and return the state. Raises `BadHttpResponse`."""
        if self.state == EXPECT_HEAD:
            return self.feed_head(data, length)
        if self.length == CHUNKED:
            return feed_chunked(self, data, length)
        return self.feed_body(data, length)

    # -- heads

    cdef int feed_head(self, char *data, Py_ssize_t length) except -1:
        cdef Head head
        cdef bytearray joined = None
        cdef bint after_informational = False, is_new
        if self.cached_head is not None:
            if self.starts_with(self.cached_head, data, length):
                return self.use_cached_head(data, length)
            self.cached_head = None
        if (self.last_head.head is not None and self.last_head.strict == self.strict
                and self.partial_head is None and self.interim is None
                and self.starts_with(self.last_head.head, data, length)):
            self.load_last_head()
            return self.use_cached_head(data, length)
        while True:
            if self.partial_head is not None:
                joined, self.partial_head = self.partial_head, None
                joined += data[:length]
                if memchr(data, 10, <size_t>length) is NULL and len(joined) <= self.parsers.limits.head:
                    check_status_line(joined, len(joined))
                    self.partial_head = joined      # a head ends with a line end
                    return NEED_DATA
                data, length = joined, len(joined)
            check_status_line(data, length)
            scan_head(data, length, &head)
            if head.lines > self.parsers.limits.fields:
                raise errors.HeadTooLarge(f"the head has more than {self.parsers.limits.fields} fields")
            if (head.end if head.end >= 0 else length) > self.parsers.limits.head:
                raise errors.HeadTooLarge(f"the head has more than {self.parsers.limits.head} bytes")
            if head.end < 0:
                is_new = joined is None or after_informational
                self.partial_head = bytearray(data[:length]) if is_new else joined
                return NEED_DATA
            if memchr(data, 0, <size_t>head.end) is not NULL:
                raise errors.BadHttpResponse(
                    f"NUL in the head: {errors.truncated_repr(data[:head.end])}")
            self.minor = data[7] - 48
            self.status = (data[9] - 48) * 100 + (data[10] - 48) * 10 + (data[11] - 48)
            if data[9] != 49:
                return self.begin_body(&head, data, length)
            if head.length >= 0 or head.transfer_encoding_count:
                self.refuse_if_strict("framing fields in an interim response")
            self.feed_informational(data, head.end)
            data += head.end
            length -= head.end
            after_informational = True
            if length == 0:
                return NEED_DATA

    cdef bint starts_with(self, bytes known, const char *data, Py_ssize_t length) noexcept:
        """Whether these bytes begin with a known head of a response with a body."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(known)
        return (length >= size and not self.is_head_request
                and memcmp(data, PyBytes_AS_STRING(known), <size_t>size) == 0)

    cdef void store_last_head(self) noexcept:
        """Tell the other connections of the origin what was read from `head`."""
        cdef LastHead last = self.last_head
        last.head = self.head
        last.status = self.status
        last.minor = self.minor
        last.strict = self.strict
        last.keep_alive = self.keep_alive
        last.has_content_encoding = self.has_content_encoding
        last.length = self.length
        last.keep_alive_timeout = self.keep_alive_timeout

    cdef void load_last_head(self) noexcept:
        """Set what another connection read from the same head."""
        cdef LastHead last = self.last_head
        self.cached_head = last.head
        self.status = last.status
        self.minor = last.minor
        self.keep_alive = last.keep_alive
        self.has_content_encoding = last.has_content_encoding
        self.length = last.length
        self.keep_alive_timeout = last.keep_alive_timeout

    cdef int use_cached_head(self, char *data, Py_ssize_t length) except -1:
        """Handle a repeated head: status, length and the other values are unchanged."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.cached_head)
        self.head = self.cached_head
        self.state = IN_BODY
        self.check_size(self.length)
        return self.keep(data + size, self.clip_to_body(length - size))

    cdef Py_ssize_t clip_to_body(self, Py_ssize_t length) noexcept:
        """Return how many of these bytes belong to a body of known length; the others are extra data."""
        if length > self.length - self.body_bytes:
            length = <Py_ssize_t>(self.length - self.body_bytes)
            self.has_extra_data = True
        return length

    cdef int parse(self, char *start, Py_ssize_t length) except -1:
        """Pass bytes of a message that is not chunked to its parser; raise if it refuses them."""
        cdef ReceiveBuffer window = self.parsers.window
        window.start, window.length = start, length
        try:
            self.message_parser.parser.feed_data(window)
        except HttpParserError as error:
            raise errors.BadHttpResponse(
                f"{error}, in {errors.truncated_repr(start[:min(length, 200)])}"
            ) from None
        return 0

    cdef int parse_head(self, char *data, Py_ssize_t length, Py_ssize_t end) except -1:
        cdef ParserCallbacks callbacks
        self.message_parser = self.parsers.take(False, self.strict)
        callbacks = self.message_parser.callbacks
        callbacks.accepted = False
        self.parse(data, length)
        if not callbacks.accepted:
            raise errors.BadHttpResponse(f"invalid response head {errors.truncated_repr(data[:end])}")
        self.keep_alive = callbacks.keep_alive
        return 0

    cdef int feed_informational(self, char *data, Py_ssize_t end) except -1:
        """Store a 1xx response. It is counted and is never the final response (RFC 9110 §15.2)."""
        cdef Py_ssize_t total = 0
        if self.status == 101:
            raise errors.BadHttpResponse("101 Switching Protocols without a request for it")
        self.parse_head(data, end, end)
        if self.keep_alive and (self.status == 100 or self.status == 102 or self.status == 103):
            self.return_parser()
        else:
            self.message_parser = None      # it waits for a body, or accepts nothing after `close`
        if self.interim is None:
            self.interim = []
        self.interim.append((self.status, headers_of(data[:end])))
        if self.status == 100:
            self.got_100_continue = True
        if len(self.interim) > self.parsers.limits.interim:
            raise errors.HeadTooLarge(f"more than {self.parsers.limits.interim} interim responses")
        for _, table in self.interim:
            total += PyBytes_GET_SIZE((<Headers>table).head)
        if total > self.parsers.limits.head:
            raise errors.HeadTooLarge(
                f"the interim responses have more than {self.parsers.limits.head} bytes")
        return 0

    cdef int begin_body(self, Head *head, char *data, Py_ssize_t length) except -1:
        cdef Py_ssize_t remaining = length - head.end
        if head.ambiguous:
            return self.begin_ambiguous(head, data, length)
        self.head = data[:head.end]
        self.length = head.length
        self.has_content_encoding = head.has_content_encoding
        self.keep_alive_timeout = head.keep_alive_timeout
        if self.is_head_request or self.status == 204 or self.status == 304:
            self.parse_head(data, head.end, head.end)
            if self.is_head_request:
                self.message_parser = None      # it waits for a body that will not come
                self.keep_alive = allows_keep_alive(headers_of(self.head), self.minor == 1)
            self.has_extra_data = remaining > 0
            self.length = 0
            self.state = COMPLETE
            return MESSAGE_COMPLETE
        self.state = IN_BODY
        if head.transfer_encoding_count:
            self.length = CHUNKED
            return begin_chunks(self, head, data, length)
        if self.length < 0:
            self.parse_head(data, head.end, head.end)
            return self.keep(data + head.end, remaining)
        self.check_size(self.length)
        remaining = self.clip_to_body(remaining)
        self.parse_head(data, head.end + remaining, head.end)
        self.cached_head = self.head
        self.store_last_head()
        return self.keep(data + head.end, remaining)

    cdef int refuse_if_strict(self, str describe_request) except -1:
        if self.strict:
            raise errors.BadHttpResponse(f"{describe_request} (strict=True)")
        return 0

    cdef int begin_ambiguous(self, Head *head, char *data, Py_ssize_t length) except -1:
        """Begin a body whose head gives equal lengths twice, or a length beside chunked.

        Chunked overrides the length (RFC 9112 §6.3). The parser refuses such a head, so it is given one
        with a single framing field. The connection closes after the message, so nothing can follow it.
        """
        cdef bytes received = data[:head.end]
        cdef bytearray repaired
        cdef int found
        self.refuse_if_strict("Content-Length beside Transfer-Encoding" if head.transfer_encoding_count
                              else "repeated Content-Length")
        if head.transfer_encoding_count:
            head.length = UNTIL_CLOSE
        head.ambiguous = False
        repaired = bytearray(with_one_length(received, head.length))
        repaired += data[head.end:length]
        head.end += len(repaired) - length
        found = self.begin_body(head, repaired, len(repaired))
        self.head = received
        self.cached_head = self.last_head.head = None
        self.keep_alive = False
        return found

    # -- bodies

    cdef int check_size(self, long long size) except -1:
        if 0 <= self.max_body < size:
            if self.followup_statuses is None or self.status not in self.followup_statuses:
                raise self.too_large(size)
            self.is_too_large = True
        return 0

    cdef object too_large(self, long long size):
        error = errors.ResponseTooLarge(
            f"the body has {'at least ' if self.length < 0 else ''}{size} bytes, "
            f"max_body is {self.max_body}"
        )
        error.status_code, error.headers = self.status, headers_of(self.head)
        return error

    cdef int apply_limit(self) except -1:
        """Apply `max_body` to this response, because no other request follows it."""
        self.followup_statuses = None
        if self.is_too_large:
            raise self.too_large(self.length if self.length >= 0 else self.body_bytes)
        return 0

    cdef int feed_body(self, char *data, Py_ssize_t length) except -1:
        if self.length >= 0:
            length = self.clip_to_body(length)
            self.feed_parser(data, length)
        return self.keep(data, length)

    cdef int feed_parser(self, char *data, Py_ssize_t length) except -1:
        """Pass bytes of a body to httptools, unless the head was a repeated one."""
        if self.message_parser is not None:
            self.parse(data, length)
        return 0

    cdef int keep(self, char *data, Py_ssize_t length) except -1:
        """Store bytes of a body that is not chunked; return whether it is complete."""
        if length:
            self.add_piece(data[:length])
        return self.count_body(length)

    cdef inline int count_body(self, Py_ssize_t length) except -1:
        """Count bytes of a body that is not chunked; return whether it is complete."""
        self.body_bytes += length
        if self.body_bytes == self.length:
            self.state = COMPLETE
            return MESSAGE_COMPLETE
        if self.length < 0:
            self.check_size(self.body_bytes)
        return HEAD_COMPLETE

    cdef void add_piece(self, bytes piece):
        if self.piece is None:
            self.piece = piece
            return
        if self.pieces is None:
            self.pieces = [self.piece]
            self.small_pieces = self.small_bytes = 0
        self.pieces.append(piece)
        self.small_pieces += 1
        self.small_bytes += PyBytes_GET_SIZE(piece)
        if self.small_pieces == JOIN_PIECES_AT:
            # Small objects cost forty times their size in memory, so their bytes are copied once more.
            if self.small_bytes < JOIN_PIECES_AT * SMALL_PIECE:
                self.pieces[len(self.pieces) - JOIN_PIECES_AT:] = [
                    b"".join(self.pieces[len(self.pieces) - JOIN_PIECES_AT:])]
            self.small_pieces = self.small_bytes = 0

    cdef long long min_remaining(self) noexcept:
        """Return the minimum number of bytes, framing included, that complete the message."""
        if self.length != CHUNKED:
            return self.length - self.body_bytes
        return self.chunks.remaining + 2 + LAST_CHUNK_SIZE if self.chunks.state == CHUNK_DATA else 1

    cdef bint is_reusable(self):
        """Whether the connection may be reused after this complete message."""
        if not self.keep_alive or self.has_extra_data:
            return False
        if self.minor == 0:
            # Chunked in HTTP/1.0 is faulty framing (RFC 9112 §6.1); `close` wins over `keep-alive`.
            return self.length != CHUNKED and allows_keep_alive(headers_of(self.head), False)
        return True

    cdef Headers trailers(self):
        if self.length != CHUNKED or chunk_callbacks(self).trailers is None:
            return None
        return Headers(chunk_callbacks(self).trailers)

    cdef bint has_piece(self):
        return self.piece is not None

    cdef bytes take_body(self):
        """Return the body bytes received since the last call."""
        cdef bytes body
        if self.pieces is not None:
            body = b"".join(self.pieces)
            self.pieces = None
        else:
            body = self.piece if self.piece is not None else b""
        self.piece = None
        return body

    cdef bint feed_eof(self):
        """Handle the end of input; return whether it completes the message."""
        if self.state == IN_BODY and self.length == UNTIL_CLOSE:
            self.state = COMPLETE
            self.keep_alive = False
            return True
        return False

    cdef str progress(self):
        """Describe the progress of the message, for an error."""
        if self.state == IN_BODY:
            if self.length >= 0:
                return f"after {self.body_bytes} of {self.length} bytes of the body"
            return f"after {self.body_bytes} bytes of the body, before its last chunk"
        if self.partial_head is not None:
            return f"in the middle of the head: {errors.truncated_repr(bytes(self.partial_head))}"
        return "before it answered"


cdef Headers headers_of(bytes head):
    cdef Headers table = Headers.__new__(Headers)
    table.head = head
    return table


def read_response(pieces, *, Limits limits=None, bint is_head_request=False, long long max_body=-1,
                  bint closed=False, bint strict=False):
    """Parse one response from received pieces without a connection, for tests and recordings.

    Returns `(status, minor, headers, body, trailers, complete, reusable)`; `closed` says that the
    other side closed behind the last piece. Raises `BadHttpResponse`.
    """
    cdef ResponseParser reader = ResponseParser(
        ParserPool(limits if limits is not None else Limits(), ReceiveBuffer(1)), LastHead())
    cdef int found = NEED_DATA
    cdef bytes piece
    reader.is_head_request, reader.max_body, reader.strict = is_head_request, max_body, strict
    reader.reset()
    for given in pieces:
        piece = bytes(given)
        if found == MESSAGE_COMPLETE:
            reader.has_extra_data = reader.has_extra_data or len(piece) > 0
        elif piece:
            found = reader.feed(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    if found != MESSAGE_COMPLETE and closed and reader.feed_eof():
        found = MESSAGE_COMPLETE
    headers = None if reader.head is None else headers_of(reader.head)
    body = b"" if reader.head is None else reader.take_body()
    return (reader.status, reader.minor, headers, body,
            reader.trailers() if reader.head is not None else None,
            found == MESSAGE_COMPLETE, found == MESSAGE_COMPLETE and reader.is_reusable())
