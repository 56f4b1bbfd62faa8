# Receive long bodies straight into the bytes object that the program gets.
#
# On a fast network waiting costs more than copying. Reading on every readiness event yields a few
# dozen KiB per wake-up: 10 MiB over loopback took 115 waits, 5.2 ms of the server's CPU time and
# 5.7 ms of ours. SO_RCVLOWAT at 512 KiB cuts that to 19 waits, 4.4 ms and 2.3 ms. Linux wakes a
# reader earlier when the window is full or memory is short, and always at the end of input. Setting
# the low watermark also wakes a reader that already has enough bytes. The remaining length of a
# chunked body is unknown. There the receiver yields the CPU for some microseconds before it waits,
# if no other exchange is in progress.
#
# Invariants: the low watermark never exceeds the bytes that must still arrive, or the last wait
# would not end. It is one byte again before the connection serves another request. Bytes that
# arrived count as activity whether they were read or not (`Connection.check_partial_data`). The
# bytes received before other tasks run are bounded, and so are the spins: their number is halved
# after each unsuccessful series.
#
# A stream returns bytes as soon as they arrive, so it has no low watermark. If a body fills the
# pool's buffer, the next piece of it may be longer, and is received into an object of its own.
#
# Implemented elsewhere: which of the two ways a piece of a stream is received (connection.pyx).

cdef enum:
    DIRECT_FROM = 65536         # remaining bytes from which a body is received directly
    MAX_INITIAL_BUFFER = 67108864   # bytes allocated on the word of Content-Length alone
    LOW_WATERMARK = 524288      # bytes that wake the reader
    CHUNKED_BUFFER_SIZE = 262144    # bytes allocated for a chunked body of unknown length
    MAX_RECV_PER_TURN = 1048576     # bytes received before other tasks run
    MIN_READY = 65536           # available bytes that make waiting unnecessary
    MAX_SPINS = 150             # yields before waiting; halved when unsuccessful
    DIRECT_CHUNKED_FROM = 16384     # received bytes from which a chunked body is received directly
    MAX_PARTIAL_RECORD = 20480  # bytes that a TLS object may hold of an incomplete record
    LONG_PIECE = 4              # buffers of the pool in the longest piece of a stream


@cython.final
cdef class BytesBuilder:
    """A bytes object while it is filled; no other reference exists before `finish`."""

    def __cinit__(self, Py_ssize_t size):
        self.data = new_bytes(NULL, size)
        if self.data is NULL:
            raise MemoryError()
        self.size = size

    def __dealloc__(self):
        Py_XDECREF(self.data)

    cdef char *at(self, Py_ssize_t position) noexcept:
        return bytes_data(self.data) + position

    cdef Py_ssize_t free_space(self, Py_ssize_t have, Py_ssize_t total) except -1:
        """Return the free bytes after `have`; if there are none, grow to at most `total` first."""
        if have == self.size:
            self.size = min(total, 2 * self.size)
            resize_bytes(&self.data, self.size)
        return self.size - have

    cdef int write(self, Py_ssize_t position, const char *data, Py_ssize_t length) except -1:
        """Copy bytes to a position, growing the buffer if necessary."""
        if position + length > self.size:
            self.size = max(2 * self.size, position + length)
            resize_bytes(&self.data, self.size)
        memcpy(self.at(position), data, <size_t>length)
        return 0

    cdef bytes finish_at(self, Py_ssize_t size):
        """Return the first `size` bytes; the builder is empty afterwards."""
        resize_bytes(&self.data, size)
        return self.finish()

    cdef bytes finish(self):
        cdef bytes whole = <bytes>self.data
        Py_XDECREF(self.data)
        self.data = NULL
        return whole


async def _read_body_into_buffer(Connection connection not None):
    """Receive the rest of a body of known length into the buffer that becomes the body."""
    cdef ResponseParser parser = connection.parser
    cdef long long total = parser.length
    cdef bytes initial = parser.take_body()
    cdef Py_ssize_t have = PyBytes_GET_SIZE(initial), size, received
    cdef BytesBuilder builder = BytesBuilder(<Py_ssize_t>min(total, <long long>MAX_INITIAL_BUFFER))
    # A shorter rest may have arrived already.
    cdef bint must_wait = total - have > LOW_WATERMARK and not connection.has_buffered_data()
    memcpy(builder.at(0), PyBytes_AS_STRING(initial), <size_t>have)
    initial = None
    builder.used = have
    connection.builder = builder
    while have < total:
        if must_wait:
            connection.set_low_watermark(total - have)
            connection.blocked_since = now()
            await connection.readable
            connection.blocked_since = 0.0
        size = min(builder.free_space(have, <Py_ssize_t>total), MAX_RECV_PER_TURN)
        received = connection.recv(builder.at(have), size, True)
        if received > 0:
            parser.feed_parser(builder.at(have), received)
            have += received
            parser.body_bytes = builder.used = have
        elif received == 0:
            raise connection_error(connection, None)
        must_wait = not connection.has_buffered_data()
    connection.builder = None
    connection.set_low_watermark(1)
    if not must_wait:
        parser.has_extra_data = True
    parser.state = COMPLETE
    connection.last_activity = now()
    return builder.finish()


async def _read_chunked_into_buffer(Connection connection not None):
    """Receive the rest of a chunked body into the buffer that becomes the body, and decode it there.

    Its length is not known in advance. The length of the last body on this connection is used as an
    estimate: the allocator often still holds a block of exactly that size. Bytes that might not fit
    into the rest of the block are received into the pool's buffer first.
    """
    cdef ReceiveBuffer receive_buffer = connection.pool.receive_buffer
    cdef char *target
    cdef ResponseParser parser = connection.parser
    cdef bytes initial = parser.take_body()
    cdef Py_ssize_t have = PyBytes_GET_SIZE(initial), received, size, since_last_wait = 0
    cdef int ready = 0, spins = MAX_SPINS if connection.pool.count_in_use() == 1 else 0
    cdef BytesBuilder builder = BytesBuilder(
        max(have + CHUNKED_BUFFER_SIZE, connection.last_chunked_size))
    memcpy(builder.at(0), PyBytes_AS_STRING(initial), <size_t>have)
    initial = None
    builder.used = have
    connection.builder = builder
    while parser.state != COMPLETE:
        if spins and since_last_wait < MAX_RECV_PER_TURN:
            with nogil:
                ready = spin_for_data(connection.fd, MIN_READY, spins)
            if ready < MIN_READY:
                spins //= 2
        if ready:
            since_last_wait += ready
        elif not connection.has_buffered_data():
            connection.set_low_watermark(parser.min_remaining())
            connection.blocked_since = now()
            await connection.readable
            connection.blocked_since = 0.0
            since_last_wait = 0
        ready = 0
        size = min(builder.size - have, MAX_RECV_PER_TURN)
        target = builder.at(have) if size >= receive_buffer.capacity else receive_buffer.data
        received = connection.recv(target, max(size, receive_buffer.capacity), True)
        if received > 0:
            received = feed_in_place(parser, target, received)
            if target == receive_buffer.data:
                builder.write(have, target, received)
            have += received
            builder.used = have
        elif received == 0:
            raise connection_error(connection, None)
    connection.builder = None
    connection.set_low_watermark(1)
    connection.last_chunked_size = min(have, MAX_INITIAL_BUFFER)
    connection.last_activity = now()
    return builder.finish_at(have)


cdef int receive_piece(Connection connection) except -1:
    """As `Connection.receive`, for the body of a stream: into the object that the program gets."""
    cdef ResponseParser parser = connection.parser
    cdef Py_ssize_t size = LONG_PIECE * connection.pool.receive_buffer.capacity, received
    cdef BytesBuilder builder
    if parser.length >= 0:
        size = <Py_ssize_t>min(<long long>size, parser.length - parser.body_bytes)
    builder = BytesBuilder(size)
    connection.blocked_since = 0.0
    connection.last_activity = now()
    received = connection.recv(builder.at(0), size, True)
    if received < 0:
        return HEAD_COMPLETE
    if received == 0:
        if connection.abort_reason != NOT_ABORTED or not parser.feed_eof():
            raise connection_error(connection, None)
        return MESSAGE_COMPLETE
    if parser.length == CHUNKED:
        received = feed_in_place(parser, builder.at(0), received)
        if received:
            parser.add_piece(builder.finish_at(received))
        return MESSAGE_COMPLETE if parser.state == COMPLETE else HEAD_COMPLETE
    if parser.length >= 0:
        parser.feed_parser(builder.at(0), received)
    parser.add_piece(builder.finish_at(received))
    return parser.count_body(received)
