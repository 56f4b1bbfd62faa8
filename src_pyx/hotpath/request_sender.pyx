# Send a request: its head, and a body that may be long, slow, or not wanted by the server.
#
# Facts:  some servers begin their response while they read the request: they echo or convert the body.
#         They read on until its end, and would wait for the rest for ever.
# Rules:  sending stops as soon as the peer has responded, or begins to refuse: what it says is worth
#         more than the rest of the request, which is then incomplete, so that the connection is not
#         reused. A response is looked for before each further piece of a body, and whenever the socket
#         takes no more.
# Implemented elsewhere: one write (`Connection.send`), bodies (asks_fast/_request/body.py).

cdef enum:
    MAX_EARLY_BODY = 67108864   # bytes of a stream that are received while its request is sent


cdef bint ends_request(Exchange exchange, int found) except -1:
    """Whether sending ends because of what `receive` found; the request is incomplete then."""
    cdef Connection connection = exchange.connection
    cdef ResponseParser parser = connection.parser
    if found == NEED_DATA or (
            parser.state == IN_BODY and 200 <= parser.status < 300 and parser.keep_alive
            and (not exchange.options.stream or parser.body_bytes < MAX_EARLY_BODY)):
        return False
    connection.is_request_incomplete = True
    return True


async def send_body(Exchange exchange not None):
    """Send the body of an exchange within its time limit; returns what ended it, as `send_all`.

    A body may wait for code of the user's, which the pool monitor cannot end.
    """
    if exchange.timeout <= 0.0:
        return await send_whole_body(exchange)
    try:
        return await timeout_after(
            max(exchange.clock_started + exchange.time_remaining - now(), 0.0),
            send_whole_body(exchange),
        )
    except TaskTimeout:
        raise exchange.to_total_timeout() from None


async def send_whole_body(Exchange exchange not None):
    """Send the body that was not sent with the head; returns what ended it, as `send_all`."""
    cdef Connection connection = exchange.connection
    cdef int found = NEED_DATA
    if exchange.options.expect_seconds > 0.0:
        word = await ignore_after(exchange.options.expect_seconds, wait_for_continue(connection))
        connection.blocked_since = 0.0
        found = NEED_DATA if word is None else word
        if found != NEED_DATA:
            connection.is_request_incomplete = True
    if found == NEED_DATA:
        found = await send_pieces(exchange)
    return found


async def send_all(Exchange exchange not None, const unsigned char[::1] data, Py_ssize_t sent=0):
    """Send all bytes, unless the peer responds; returns what it responded, else NEED_DATA."""
    cdef Connection connection = exchange.connection
    cdef Py_ssize_t sent_bytes
    cdef int found
    while sent < data.shape[0] and not connection.is_request_incomplete:
        sent_bytes = connection.send(<const char *>&data[sent], data.shape[0] - sent)
        if sent_bytes > 0:
            sent += sent_bytes
            continue
        connection.blocked_since = now()
        await wait_readable_or_writable(connection.handle)
        found = connection.receive()
        if ends_request(exchange, found):
            return found
    return NEED_DATA


async def send_pieces(Exchange exchange not None):
    """Send a body piece by piece; returns as `send_all`.

    The body checks that the pieces add up to its length.
    """
    cdef Connection connection = exchange.connection
    cdef bint chunked = exchange.body.length is None
    cdef bint is_first = True
    cdef int found = NEED_DATA
    chunks = exchange.body.chunks()
    try:
        async for piece in chunks:
            if not is_first:
                found = connection.receive()
                if ends_request(exchange, found):
                    return found
            is_first = False
            if chunked:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            found = await send_all(exchange, memoryview(piece).cast("B"))
            if connection.is_request_incomplete:
                return found
    finally:
        await chunks.close()
    if chunked:
        trailers = exchange.body.trailers
        lines = b"" if trailers is None else await trailers.encode()
        found = await send_all(exchange, b"0\r\n%b\r\n" % lines)
    return found


async def wait_for_continue(Connection connection not None):
    """Wait for 100 Continue or the response itself; returns what `receive` found."""
    cdef int found = NEED_DATA
    while found == NEED_DATA:
        connection.blocked_since = now()
        await connection.readable
        found = connection.receive()
        if connection.parser.got_100_continue:
            break
    return found


async def wait_readable_or_writable(FileHandle handle):
    """Wait until a socket can be read or written: two waits in one trap.

    This takes a descriptor; if there is none, it waits until the socket can be written.
    """
    poller = None
    try:
        poller = DefaultSelector()
        poller.register(handle.fd, EVENT_READ | EVENT_WRITE)
    except OSError:
        if poller is not None:
            poller.close()
        await Trap(("trap_io", handle, EVENT_WRITE, "WRITE_WAIT"))
        return
    try:
        await Trap(("trap_io", poller, EVENT_READ, "WRITE_WAIT"))
        await Trap(("trap_io_release", poller))
    finally:
        poller.close()
