# The parsers of httptools: each with its callbacks, from the end of a head to the end of its message.
#
# Facts:  a parser with its callbacks takes 630 bytes, and 4,400 instructions to create. An idle
#         connection needs none, and neither does a response whose head repeats.
# Rules:  a connection takes a parser for a new head, and returns it when the message is complete and
#         the connection is kept. Only a parser that accepts another message is returned.
# Implemented elsewhere: when a message is parsed (response_parser.pyx), limits of chunked bodies
#         (chunked_body.pyx).

cdef class ParserCallbacks:
    """The callbacks of httptools for every message: only the end of a valid head.

    It never owns the parser that holds it, or the two would keep each other alive.
    """

    def on_headers_complete(self):
        self.accepted = True
        self.keep_alive = (<object>self.parser).should_keep_alive()


@cython.final
cdef class ChunkedParserCallbacks(ParserCallbacks):
    """The callbacks of httptools for a chunked message: also its trailers and its end."""

    def __cinit__(self, Limits limits not None):
        self.limits = limits

    cdef void reset(self):
        self.trailers = None
        self.trailer_bytes = 0
        self.ended = self.accepted = False

    def on_header(self, bytes name not None, bytes value not None):
        if not self.accepted:
            return
        if b"\0" in value or name.endswith(b" "):
            # The lenient parser accepts both, the second one after field names that it knows.
            raise errors.BadHttpResponse(f"bad trailer: {errors.truncated_repr(name + b': ' + value)}")
        if self.trailers is None:
            self.trailers = []
        self.trailer_bytes += PyBytes_GET_SIZE(name) + PyBytes_GET_SIZE(value) + 4
        if self.trailer_bytes > self.limits.head:
            raise errors.HeadTooLarge(f"more than {self.limits.head} bytes of trailers")
        self.trailers.append(name)
        self.trailers.append(value)
        if len(self.trailers) > 2 * self.limits.fields:
            raise errors.HeadTooLarge(f"more than {self.limits.fields} trailers")

    def on_message_complete(self):
        self.ended = True


@cython.final
@cython.trashcan(True)      # a long chain of spare parsers may be freed at once
cdef class MessageParser:
    """A parser of httptools for one kind of message, with its callbacks.

    Unless strict, a bare LF is tolerated in heads, never between chunks.
    """

    def __cinit__(self, Limits limits not None, bint chunked, bint strict):
        self.kind = 2 * chunked + strict
        self.callbacks = ChunkedParserCallbacks(limits) if chunked else ParserCallbacks()
        self.parser = HttpResponseParser(self.callbacks)
        self.callbacks.parser = <PyObject *>self.parser
        if not strict:
            self.parser.set_dangerous_leniencies(
                lenient_headers=True, lenient_optional_cr_before_lf=not chunked,
                lenient_spaces_after_chunk_size=True,
            )


@cython.final
cdef class ParserPool:
    """What the connections of a pool parse with: limits, the window to parse, and spare parsers.

    There are never more parsers than messages were under way at one time.
    """

    def __cinit__(self, Limits limits not None, ReceiveBuffer window not None):
        self.limits = limits
        self.window = window
        self.spare = [None, None, None, None]

    cdef MessageParser take(self, bint chunked, bint strict):
        """A parser for a new message, with a chunked body or without."""
        cdef int kind = 2 * chunked + strict
        cdef MessageParser found = <MessageParser>self.spare[kind]
        if found is None:
            return MessageParser(self.limits, chunked, strict)
        self.spare[kind] = found.next_spare
        found.next_spare = None
        return found

    cdef int put_back(self, MessageParser parser) except -1:
        """Keep the parser of a complete message for the next new one of its kind."""
        parser.next_spare = <MessageParser>self.spare[parser.kind]
        self.spare[parser.kind] = parser
        return 0
