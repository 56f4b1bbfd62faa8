# One response being read: bytes in, state out. No socket, no waiting.
#
# Facts:  servers repeat themselves: the head of one answer is often that of the one before it, byte for
#         byte, until the date changes or a length does. To judge a head is two fifths of what an answer
#         costs us in instructions (7,500 of 18,700); to see that it is the same one is 30.
# Rules:  heads are parsed whole, bodies as they come. A head that was judged good is judged once: the
#         same bytes behind each other mean the same. What follows a message is surplus: it is never
#         parsed as an answer, and the connection it came over is of no further use.
# Not here: where the bytes come from, what an end of input means for the connection.

cdef enum:
    # What `digest` found.
    MORE = 0            # more bytes are needed for the head
    HEAD = 1            # the head is complete, the body is not
    END = 2             # the message is complete

cdef enum:
    OVERHEAD = 65536    # bytes of chunk framing granted beyond 16 times the body


@cython.final
cdef class Reader:
    """The state of the message being read on one connection, and its parsers."""

    cdef Limits limits
    cdef Sink sink
    cdef object parser              # for messages without chunks
    cdef ChunkSink chunk_sink       # and for those with chunks, once one came
    cdef object chunk_parser
    cdef Scratch window             # through which the parsers see the bytes
    cdef int state
    cdef int status
    cdef int minor                  # HTTP/1.<minor>
    cdef bint headless              # the answer to HEAD: ends with its head
    cdef bint strict                # refuse what browsers forgive; of this message
    cdef bint parsers_are_strict    # how the parsers were made
    cdef bint spent                 # the parser waits for a body that will not come
    cdef long long length           # of the body, or UNTIL_CLOSE, CHUNKED
    cdef long long got              # bytes of the body so far
    cdef long long max_body
    cdef object followup_statuses   # of responses whose body has no limit until `apply_limit`; or None
    cdef bint is_too_large          # such a body exceeds `max_body`
    cdef long long framed           # bytes of a chunked body as fed, chunk framing and all
    cdef long long framing          # of them, those since the last byte of the body
    cdef Chunks chunks              # where in the framing of a chunked body we are
    cdef bint keeps_framing         # whether to keep `raw_chunks`
    cdef bytearray raw_chunks       # the chunked body as received; shared with the response
    cdef double keeps_for           # seconds that the server keeps an idle connection; 0.0: unsaid
    cdef bint keep_alive
    cdef bint surplus               # bytes came behind the end of the message
    cdef bint continues             # 100 Continue came
    cdef bytes head                 # of the final answer, as it came
    cdef bytes known                # the head judged last, which all that was read from it still holds
    cdef bint unshown               # the parser doesn't see this message: its head is `known`
    cdef list interim               # (status, HeaderTable) of the 1xx answers; None without any
    cdef bytes piece                # of the body; further ones in `pieces`
    cdef list pieces
    cdef Py_ssize_t loose           # how many of `pieces` were kept since the last joining,
    cdef Py_ssize_t loose_bytes     # and their bytes
    cdef bytearray held             # the part of a head that came so far; None without any

    def __cinit__(self, Limits limits not None, Scratch window not None):
        self.limits = limits
        self.window = window
        self.sink = Sink()
        self.parser = new_parser(self.sink, False)

    cdef int expect(self) except -1:
        """Get ready for the answer to the next request: `headless`, `max_body` and `strict` are its own."""
        if self.spent:
            self.parser = new_parser(self.sink, self.strict)
        if self.strict != self.parsers_are_strict:
            self.change_parsers()
        self.state = EXPECT_HEAD
        self.spent = self.surplus = self.continues = self.unshown = self.is_too_large = False
        self.head = self.piece = None
        self.pieces = self.interim = None
        self.held = self.raw_chunks = None
        self.got = self.framed = self.framing = 0
        return 0

    cdef int change_parsers(self) except -1:
        """Make parsers that are as strict as the next message is to be read."""
        self.parser = new_parser(self.sink, self.strict)
        self.chunk_sink = self.chunk_parser = None
        self.known = None       # it was judged by other rules
        self.parsers_are_strict = self.strict
        return 0

    cdef int digest(self, char *data, Py_ssize_t length) except -1:
        """Take in received bytes: MORE, HEAD or END. Raises `BadHttpResponse`."""
        if self.state == EXPECT_HEAD:
            return self.digest_head(data, length)
        if self.length == CHUNKED:
            return self.digest_chunks(data, length)
        return self.digest_body(data, length)

    # -- heads

    cdef int digest_head(self, char *data, Py_ssize_t length) except -1:
        cdef Head head
        cdef bytearray joined = None
        cdef bint behind_interim = False
        if self.known is not None:
            if self.begins_as_known(data, length):
                return self.begin_known(data, length)
            self.known = None
        while True:
            if self.held is not None:
                joined, self.held = self.held, None
                joined += data[:length]
                if memchr(data, 10, <size_t>length) is NULL and len(joined) <= self.limits.head:
                    check_start(joined, len(joined))
                    self.held = joined      # without a line end, no head ended
                    return MORE
                data, length = joined, len(joined)
            check_start(data, length)
            scan_head(data, length, &head)
            if head.lines > self.limits.fields:
                raise errors.HeadTooLarge(f"the head has more than {self.limits.fields} fields")
            if (head.end if head.end >= 0 else length) > self.limits.head:
                raise errors.HeadTooLarge(f"the head has more than {self.limits.head} bytes")
            if head.end < 0:
                self.held = bytearray(data[:length]) if joined is None or behind_interim else joined
                return MORE
            if memchr(data, 0, <size_t>head.end) is not NULL:
                raise errors.BadHttpResponse(f"NUL in the head: {errors.clip(data[:head.end])}")
            self.minor = data[7] - 48
            self.status = (data[9] - 48) * 100 + (data[10] - 48) * 10 + (data[11] - 48)
            if data[9] != 49:
                return self.begin_body(&head, data, length)
            if head.length >= 0 or head.codings:
                self.refuse_if_strict("framing fields in an interim response")
            self.digest_interim(data, head.end)
            data += head.end
            length -= head.end
            behind_interim = True
            if length == 0:
                return MORE

    cdef bint begins_as_known(self, const char *data, Py_ssize_t length) noexcept:
        """Whether these bytes begin with the very head that the answer before began with."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.known)
        return (length >= size and not self.headless
                and memcmp(data, PyBytes_AS_STRING(self.known), <size_t>size) == 0)

    cdef int begin_known(self, char *data, Py_ssize_t length) except -1:
        """`digest_head` for such a head: status, length and all the rest are as they were."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.known)
        self.head = self.known
        self.unshown = True
        self.state = IN_BODY
        self.check_size(self.length)
        return self.keep(data + size, self.only_own(length - size))

    cdef Py_ssize_t only_own(self, Py_ssize_t length) noexcept:
        """How many of these bytes belong to the body, whose length is known; others are surplus."""
        if length > self.length - self.got:
            length = <Py_ssize_t>(self.length - self.got)
            self.surplus = True
        return length

    cdef int feed(self, char *start, Py_ssize_t length) except -1:
        """Show bytes to the parser for messages without chunks; it must accept them."""
        self.window.start, self.window.length = start, length
        try:
            self.parser.feed_data(self.window)
        except HttpParserError as error:
            raise errors.BadHttpResponse(
                f"{error}, in {errors.clip(start[:min(length, 200)])}"
            ) from None
        return 0

    cdef int feed_head(self, char *data, Py_ssize_t length, Py_ssize_t end) except -1:
        self.sink.accepted = False
        self.feed(data, length)
        if not self.sink.accepted:
            raise errors.BadHttpResponse(f"no head can be read in {errors.clip(data[:end])}")
        self.keep_alive = self.sink.keep_alive
        return 0

    cdef int digest_interim(self, char *data, Py_ssize_t end) except -1:
        """A 1xx answer: kept for those who ask, counted, never the answer (RFC 9110 §15.2)."""
        cdef Py_ssize_t total = 0
        if self.status == 101:
            raise errors.BadHttpResponse("101 Switching Protocols, which was not asked for")
        self.feed_head(data, end, end)
        if not (self.keep_alive and (self.status == 100 or self.status == 102 or self.status == 103)):
            # The parser waits for the body of other ones, or after `close` for nothing at all.
            self.parser = new_parser(self.sink, self.strict)
        if self.interim is None:
            self.interim = []
        self.interim.append((self.status, table_of(data[:end])))
        if self.status == 100:
            self.continues = True
        if len(self.interim) > self.limits.interim:
            raise errors.HeadTooLarge(f"more than {self.limits.interim} interim answers")
        for _, table in self.interim:
            total += PyBytes_GET_SIZE((<HeaderTable>table).head)
        if total > self.limits.head:
            raise errors.HeadTooLarge(f"the interim answers have more than {self.limits.head} bytes")
        return 0

    cdef int begin_body(self, Head *head, char *data, Py_ssize_t length) except -1:
        cdef Py_ssize_t behind = length - head.end
        if head.ambiguous:
            return self.begin_ambiguous(head, data, length)
        self.head = data[:head.end]
        self.length = head.length
        self.keeps_for = head.keeps_for
        if self.headless or self.status == 204 or self.status == 304:
            self.feed_head(data, head.end, head.end)
            if self.headless:
                self.spent = True
                self.keep_alive = keeps_alive(table_of(self.head), self.minor == 1)
            self.surplus = behind > 0
            self.length = 0
            self.state = COMPLETE
            return END
        self.state = IN_BODY
        if head.codings:
            self.length = CHUNKED
            return self.begin_chunks(head, data, length)
        if self.length < 0:
            self.feed_head(data, head.end, head.end)
            return self.keep(data + head.end, behind)
        self.check_size(self.length)
        behind = self.only_own(behind)
        self.feed_head(data, head.end + behind, head.end)
        self.known = self.head
        return self.keep(data + head.end, behind)

    cdef int refuse_if_strict(self, str what) except -1:
        if self.strict:
            raise errors.BadHttpResponse(f"{what} (strict=True)")
        return 0

    cdef int begin_ambiguous(self, Head *head, char *data, Py_ssize_t length) except -1:
        """As `begin_body`, for a head that gives equal lengths twice, or a length beside chunked.

        Chunked overrides the length (RFC 9112 §6.3). The parser refuses such a head, so it is given one
        with a single framing field. The connection closes after the message, so nothing can follow it.
        """
        cdef bytes received = data[:head.end]
        cdef bytearray repaired
        cdef int found
        self.refuse_if_strict("Content-Length beside Transfer-Encoding" if head.codings
                              else "repeated Content-Length")
        if head.codings:
            head.length = UNTIL_CLOSE
        head.ambiguous = False
        repaired = bytearray(with_one_length(received, head.length))
        repaired += data[head.end:length]
        head.end += len(repaired) - length
        found = self.begin_body(head, repaired, len(repaired))
        self.head = received
        self.known = None
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
        error.status_code, error.headers = self.status, table_of(self.head)
        return error

    cdef int apply_limit(self) except -1:
        """Apply `max_body` to this response after all: no other request follows it."""
        self.followup_statuses = None
        if self.is_too_large:
            raise self.too_large(self.length if self.length >= 0 else self.got)
        return 0

    cdef int digest_body(self, char *data, Py_ssize_t length) except -1:
        if self.length >= 0:
            length = self.only_own(length)
            self.show(data, length)
        return self.keep(data, length)

    cdef int show(self, char *data, Py_ssize_t length) except -1:
        """Let the parser count these bytes of a body too, if it saw the head."""
        if not self.unshown:
            self.feed(data, length)
        return 0

    cdef int keep(self, char *data, Py_ssize_t length) except -1:
        """Keep bytes of a body without chunks; says whether it is complete."""
        self.got += length
        if length:
            self.add_piece(data[:length])
        if self.got == self.length:
            self.state = COMPLETE
            return END
        if self.length < 0:
            self.check_size(self.got)
        return HEAD

    cdef void add_piece(self, bytes piece):
        if self.piece is None:
            self.piece = piece
            return
        if self.pieces is None:
            self.pieces = [self.piece]
            self.loose = self.loose_bytes = 0
        self.pieces.append(piece)
        self.loose += 1
        self.loose_bytes += PyBytes_GET_SIZE(piece)
        if self.loose == LOOSE_PIECES:
            # Small ones cost forty times their size to keep: each byte is copied once more instead.
            if self.loose_bytes < LOOSE_PIECES * SMALL_PIECE:
                self.pieces[len(self.pieces) - LOOSE_PIECES:] = [
                    b"".join(self.pieces[len(self.pieces) - LOOSE_PIECES:])]
            self.loose = self.loose_bytes = 0

    # -- chunks

    cdef int begin_chunks(self, Head *head, char *data, Py_ssize_t length) except -1:
        if self.minor == 0:
            self.refuse_if_strict("Transfer-Encoding in HTTP/1.0")
        if self.chunk_sink is None:
            self.chunk_sink = ChunkSink(self.limits)
            self.chunk_parser = new_parser(self.chunk_sink, self.strict)
        self.chunk_sink.expect()
        self.chunks.state = CHUNK_SIZE
        self.chunks.sized = False
        self.chunks.left = 0
        if self.keeps_framing:
            self.raw_chunks = bytearray()
        return self.digest_chunks(data + head.end, length - head.end, head)

    cdef int digest_chunks(self, char *data, Py_ssize_t length, Head *head=NULL) except -1:
        """Keep the body in these bytes, which may stand behind their head: counted, then copied."""
        cdef Chunks chunks = self.chunks
        cdef Py_ssize_t used = 0, size = take_chunks(&self.chunks, data, length, NULL, &used)
        cdef bytes piece
        if self.raw_chunks is not None:
            self.keep_chunks(data, used)
        self.judge_chunks(head, data, used)
        self.count_chunks(size, used, length)
        if size:
            piece = PyBytes_FromStringAndSize(NULL, size)
            take_chunks(&chunks, data, used, PyBytes_AS_STRING(piece), &used)
            self.add_piece(piece)
        return END if self.state == COMPLETE else HEAD

    cdef Py_ssize_t digest_in_place(self, char *data, Py_ssize_t length) except -1:
        """Leave what there is of the body at the beginning of `data`, and say how much that is."""
        cdef Chunks chunks = self.chunks
        cdef Py_ssize_t used = 0, size = take_chunks(&self.chunks, data, length, NULL, &used)
        if self.raw_chunks is not None:
            self.keep_chunks(data, used)
        self.judge_chunks(NULL, data, used)
        self.count_chunks(size, used, length)
        return take_chunks(&chunks, data, used, data, &used)

    cdef int keep_chunks(self, char *data, Py_ssize_t length) except -1:
        """Keep a part of a chunked body as received, or nothing of it beyond twice `max_body`."""
        self.raw_chunks += data[:length]
        if 0 <= self.max_body and len(self.raw_chunks) > 2 * self.max_body + OVERHEAD:
            self.raw_chunks.clear()
            self.raw_chunks = None
        return 0

    cdef int judge_chunks(self, Head *head, char *data, Py_ssize_t length) except -1:
        """What belongs to the message must please the parser too; nothing behind it is shown."""
        if head is NULL:
            return self.feed_chunks(data, length)
        if not head.bare or self.strict:
            self.feed_chunks(data - head.end, head.end + length)
        else:
            self.chunk_parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
            self.feed_chunks(data - head.end, head.end)
            self.chunk_parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=False)
            self.feed_chunks(data, length)
        self.keep_alive = self.chunk_sink.keep_alive
        return 0

    cdef int feed_chunks(self, char *data, Py_ssize_t length) except -1:
        """Show bytes to the parser for messages with chunks; it must accept them."""
        if length == 0:
            return 0
        self.window.start, self.window.length = data, length
        try:
            self.chunk_parser.feed_data(self.window)
        except HttpParserCallbackError as error:
            if error.__context__ is not None:
                raise error.__context__ from None
            raise
        except HttpParserError as error:
            raise errors.BadHttpResponse(
                f"{error}, in {errors.clip(data[:min(length, 200)])}"
            ) from None
        if not self.chunk_sink.accepted:
            raise errors.BadHttpResponse(f"no head can be read in {errors.clip(data[:length])}")
        return 0

    cdef int count_chunks(self, Py_ssize_t size, Py_ssize_t used, Py_ssize_t length) except -1:
        """Judge `length` bytes as fed: `used` of them this message's, `size` of them its body's."""
        cdef bint ended = self.chunks.state == CHUNKS_ENDED
        self.got += size
        self.framed += length
        self.check_size(self.got)
        self.framing = 0 if size else self.framing + length
        if (self.framed > 16 * self.got + OVERHEAD + length
                or self.framing > self.limits.head + OVERHEAD + length):
            raise errors.BadHttpResponse("chunk extensions or framing far larger than the body")
        if ended != self.chunk_sink.ended:
            raise errors.BadHttpResponse("the end of the chunks can be read in two ways")
        if ended:
            self.surplus = used < length
            self.state = COMPLETE
        return 0

    cdef long long surely_to_come(self) noexcept:
        """Bytes that must still come, framing and all, unless the peer breaks off."""
        if self.length != CHUNKED:
            return self.length - self.got
        return self.chunks.left + 2 + LAST_CHUNK if self.chunks.state == CHUNK_DATA else 1

    cdef bint is_reusable(self):
        """Whether the connection may serve another request, now that this message is complete."""
        if not self.keep_alive or self.surplus:
            return False
        if self.minor == 0:
            # Chunked in HTTP/1.0 is faulty framing (RFC 9112 §6.1); `close` wins over `keep-alive`.
            return self.length != CHUNKED and keeps_alive(table_of(self.head), False)
        return True

    cdef HeaderTable trailers(self):
        if self.length != CHUNKED or self.chunk_sink.trailers is None:
            return None
        return HeaderTable(self.chunk_sink.trailers)

    cdef bint has_piece(self):
        return self.piece is not None

    cdef bytes take_body(self):
        """What came of the body since the last call."""
        cdef bytes body
        if self.pieces is not None:
            body = b"".join(self.pieces)
            self.pieces = None
        else:
            body = self.piece if self.piece is not None else b""
        self.piece = None
        return body

    cdef bint end_of_input(self):
        """The other side has nothing more to say: whether that ends the message rightly."""
        if self.state == IN_BODY and self.length == UNTIL_CLOSE:
            self.state = COMPLETE
            self.keep_alive = False
            return True
        return False

    cdef str progress(self):
        """How far the message came, for an error."""
        if self.state == IN_BODY:
            if self.length >= 0:
                return f"after {self.got} of {self.length} bytes of the body"
            return f"after {self.got} bytes of the body, before its last chunk"
        if self.held is not None:
            return f"in the middle of the head: {errors.clip(bytes(self.held))}"
        return "before it answered"


cdef HeaderTable table_of(bytes head):
    cdef HeaderTable table = HeaderTable.__new__(HeaderTable)
    table.head = head
    return table


def read_response(pieces, *, Limits limits=None, bint headless=False, long long max_body=-1,
                  bint closed=False, bint strict=False):
    """Read one response from received pieces without a connection: for tests and recordings.

    Returns `(status, minor, headers, body, trailers, complete, reusable)`; `closed` says that the
    other side closed behind the last piece. Raises `BadHttpResponse`.
    """
    cdef Reader reader = Reader(limits if limits is not None else Limits(), Scratch(1))
    cdef int found = MORE
    cdef bytes piece
    reader.headless, reader.max_body, reader.strict = headless, max_body, strict
    reader.expect()
    for given in pieces:
        piece = bytes(given)
        if found == END:
            reader.surplus = reader.surplus or len(piece) > 0
        elif piece:
            found = reader.digest(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    if found != END and closed and reader.end_of_input():
        found = END
    headers = None if reader.head is None else table_of(reader.head)
    body = b"" if reader.head is None else reader.take_body()
    return (reader.status, reader.minor, headers, body,
            reader.trailers() if reader.head is not None else None,
            found == END, found == END and reader.is_reusable())
