# Read a chunked body: limits of its framing, and two readers that must agree on its end.
#
# Facts:  httptools validates the framing and reads the trailers. `decode_chunks` extracts the body.
# Rules:  a message is refused if the two do not reach its end at the same byte, or if its framing is
#         far larger than its body.
# Implemented elsewhere: the decoder (chunked.pyx), the head and other bodies (response_parser.pyx).

cdef enum:
    MAX_FRAMING_OVERHEAD = 65536    # bytes of chunk framing allowed beyond 16 times the body


cdef inline ChunkedParserCallbacks chunk_callbacks(ResponseParser parser):
    """The callbacks of the chunked message that is being read."""
    return <ChunkedParserCallbacks>parser.message_parser.callbacks


cdef int begin_chunks(ResponseParser parser, Head *head, char *data, Py_ssize_t length) except -1:
    if parser.minor == 0:
        parser.refuse_if_strict("Transfer-Encoding in HTTP/1.0")
    parser.message_parser = parser.parsers.take(True, parser.strict)
    chunk_callbacks(parser).reset()
    parser.chunks.state = CHUNK_SIZE
    parser.chunks.has_size = False
    parser.chunks.remaining = 0
    if parser.keeps_framing:
        parser.raw_chunks = bytearray()
    return feed_chunked(parser, data + head.end, length - head.end, head)


cdef int feed_chunked(ResponseParser parser, char *data, Py_ssize_t length, Head *head=NULL) except -1:
    """Store the body bytes of chunked data, which may follow their head; count first, then copy."""
    cdef Chunks chunks = parser.chunks
    cdef Py_ssize_t used = 0, size = decode_chunks(&parser.chunks, data, length, NULL, &used)
    cdef bytes piece
    if parser.raw_chunks is not None:
        keep_chunks(parser, data, used)
    validate_chunks(parser, head, data, used)
    count_chunks(parser, size, used, length)
    if size:
        piece = PyBytes_FromStringAndSize(NULL, size)
        decode_chunks(&chunks, data, used, PyBytes_AS_STRING(piece), &used)
        parser.add_piece(piece)
    return MESSAGE_COMPLETE if parser.state == COMPLETE else HEAD_COMPLETE


cdef Py_ssize_t feed_in_place(ResponseParser parser, char *data, Py_ssize_t length) except -1:
    """Move the body bytes to the beginning of `data` and return their number."""
    cdef Chunks chunks = parser.chunks
    cdef Py_ssize_t used = 0, size = decode_chunks(&parser.chunks, data, length, NULL, &used)
    if parser.raw_chunks is not None:
        keep_chunks(parser, data, used)
    validate_chunks(parser, NULL, data, used)
    count_chunks(parser, size, used, length)
    return decode_chunks(&chunks, data, used, data, &used)


cdef int keep_chunks(ResponseParser parser, char *data, Py_ssize_t length) except -1:
    """Store chunked data as received; drop all of it beyond twice `max_body`."""
    parser.raw_chunks += data[:length]
    if 0 <= parser.max_body and len(parser.raw_chunks) > 2 * parser.max_body + MAX_FRAMING_OVERHEAD:
        parser.raw_chunks.clear()
        parser.raw_chunks = None
    return 0


cdef int validate_chunks(ResponseParser parser, Head *head, char *data, Py_ssize_t length) except -1:
    """Have httptools validate the bytes of the message; it never sees bytes after the message."""
    if head is NULL:
        return parse_chunks(parser, data, length)
    if not head.has_bare_lf or parser.strict:
        parse_chunks(parser, data - head.end, head.end + length)
    else:
        parser.message_parser.parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
        parse_chunks(parser, data - head.end, head.end)
        parser.message_parser.parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=False)
        parse_chunks(parser, data, length)
    parser.keep_alive = chunk_callbacks(parser).keep_alive
    return 0


cdef int parse_chunks(ResponseParser parser, char *data, Py_ssize_t length) except -1:
    """Pass bytes to the parser for chunked messages; raise if it refuses them."""
    cdef ReceiveBuffer window = parser.parsers.window
    if length == 0:
        return 0
    window.start, window.length = data, length
    try:
        parser.message_parser.parser.feed_data(window)
    except HttpParserCallbackError as error:
        if error.__context__ is not None:
            raise error.__context__ from None
        raise
    except HttpParserError as error:
        raise errors.BadHttpResponse(
            f"{error}, in {errors.truncated_repr(data[:min(length, 200)])}"
        ) from None
    if not chunk_callbacks(parser).accepted:
        raise errors.BadHttpResponse(f"invalid response head {errors.truncated_repr(data[:length])}")
    return 0


cdef int count_chunks(ResponseParser parser, Py_ssize_t size, Py_ssize_t used,
                      Py_ssize_t length) except -1:
    """Count `length` bytes fed, of which `used` belong to the message and `size` to its body."""
    cdef bint ended = parser.chunks.state == CHUNKS_ENDED
    parser.body_bytes += size
    parser.raw_body_bytes += length
    parser.check_size(parser.body_bytes)
    parser.framing_bytes = 0 if size else parser.framing_bytes + length
    if (parser.raw_body_bytes > 16 * parser.body_bytes + MAX_FRAMING_OVERHEAD + length
            or parser.framing_bytes > parser.parsers.limits.head + MAX_FRAMING_OVERHEAD + length):
        raise errors.BadHttpResponse("chunk extensions or framing far larger than the body")
    if ended != chunk_callbacks(parser).ended:
        raise errors.BadHttpResponse("the end of the chunked body is ambiguous")
    if ended:
        parser.has_extra_data = used < length
        parser.state = COMPLETE
    return 0
