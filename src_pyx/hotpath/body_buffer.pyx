# Long bodies: received straight into the bytes object that the program gets.
#
# Facts:  on a fast network the waits cost more than the bytes. Whoever reads as soon as something is
#         there gets a few dozen KiB at a time and falls asleep again, and each time it is the sender
#         that pays for waking it: 10 MiB over loopback took 115 waits, and 5.2 ms of the server's
#         processor time; told to wake us from 512 KiB on (SO_RCVLOWAT), 19 waits and 4.4 ms, and 2.3
#         ms of ours instead of 5.7. Linux wakes earlier when the window is full or memory is short,
#         and at the end of input in any case; setting the mark wakes who has enough by then.
#         Of a body in chunks nobody knows how much must still come: there we give way to the sender
#         for some microseconds before we go to sleep, where no other exchange is under way.
# Rules:  never ask for more bytes than must still come, or the last wait would not end. The mark is
#         back at one byte before the connection serves another request. What is there counts as
#         heard, read or not: the keeper looks (`Connection.check_partial_data`). What is received before other
#         tasks get their turn is bounded, and so is giving way: halved each time that it was in vain.
# Not here: streams, which hand out what came as soon as it is there.

cdef enum:
    DIRECT_FROM = 65536         # a body with more than this to come is received into its final buffer
    MAX_INITIAL_BUFFER = 67108864      # bytes set aside for a body on its sender's word alone
    LOW_WATERMARK = 524288               # bytes worth waking up for
    CHUNKED_BUFFER_SIZE = 262144        # bytes that a body in chunks may still have, for want of a better one
    MAX_RECV_PER_TURN = 1048576      # bytes received before other tasks get their turn
    MIN_READY = 65536             # bytes worth not waiting for: they flow
    MAX_SPINS = 150                 # times to give way and look again, at most; halved when in vain
    DIRECT_CHUNKED_FROM = 16384         # so does one in chunks, of which more than this came
    MAX_PARTIAL_RECORD = 20480            # bytes that a TLS layer may hold of a record that is not all there


@cython.final
cdef class BytesBuilder:
    """A bytes object while it is filled: nobody else sees it before `take`."""

    cdef PyObject *data     # owned; NULL once taken
    cdef Py_ssize_t size
    cdef Py_ssize_t used    # bytes of the body in it, for a body that breaks off

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
        """Bytes free behind `have`, after growing to at most `total` if there were none."""
        if have == self.size:
            self.size = min(total, 2 * self.size)
            resize_bytes(&self.data, self.size)
        return self.size - have

    cdef int write(self, Py_ssize_t position, const char *data, Py_ssize_t length) except -1:
        """Copy bytes in, after growing if need be."""
        if position + length > self.size:
            self.size = max(2 * self.size, position + length)
            resize_bytes(&self.data, self.size)
        memcpy(self.at(position), data, <size_t>length)
        return 0

    cdef bytes finish_at(self, Py_ssize_t size):
        """`take`, of no more than the first `size` bytes."""
        resize_bytes(&self.data, size)
        return self.finish()

    cdef bytes finish(self):
        cdef bytes whole = <bytes>self.data
        Py_XDECREF(self.data)
        self.data = NULL
        return whole


async def _read_body_into_buffer(Connection connection not None):
    """The rest of a body of known length, straight into the buffer that becomes the body."""
    cdef ResponseParser parser = connection.parser
    cdef long long total = parser.length
    cdef bytes initial = parser.take_body()
    cdef Py_ssize_t have = PyBytes_GET_SIZE(initial), room, received
    cdef BytesBuilder builder = BytesBuilder(<Py_ssize_t>min(total, <long long>MAX_INITIAL_BUFFER))
    cdef bint must_wait = total - have > LOW_WATERMARK       # a shorter rest may be there already
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
        room = min(builder.free_space(have, <Py_ssize_t>total), MAX_RECV_PER_TURN)
        received = connection.recv(builder.at(have), room, True)
        if received > 0:
            parser.feed_parser(builder.at(have), received)
            have += received
            parser.body_bytes = builder.used = have
        elif received == 0:
            raise connection.make_error(None)
        must_wait = connection.tls is None or not connection.tls.pending()
    connection.builder = None
    connection.set_low_watermark(1)
    if not must_wait:
        parser.has_extra_data = True
    parser.state = COMPLETE
    connection.last_activity = now()
    return builder.finish()


async def _read_chunked_into_buffer(Connection connection not None):
    """The rest of a chunked body: received into the buffer that becomes the body, taken apart there.

    How long it will be nobody says. The last one on this connection is a good guess, and made to the
    byte: then the allocator has such a piece at hand, and no page of it is fresh. What might not fit
    behind what there is goes through the pool's buffer.
    """
    cdef ReceiveBuffer receive_buffer = connection.pool.receive_buffer
    cdef char *target
    cdef ResponseParser parser = connection.parser
    cdef bytes initial = parser.take_body()
    cdef Py_ssize_t have = PyBytes_GET_SIZE(initial), received, room, since_last_wait = 0
    cdef int ready = 0, spins = MAX_SPINS if connection.pool.in_use == 1 else 0
    cdef BytesBuilder builder = BytesBuilder(max(have + CHUNKED_BUFFER_SIZE, connection.last_chunked_size))
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
        elif connection.tls is None or not connection.tls.pending():
            connection.set_low_watermark(parser.min_remaining())
            connection.blocked_since = now()
            await connection.readable
            connection.blocked_since = 0.0
            since_last_wait = 0
        ready = 0
        room = min(builder.size - have, MAX_RECV_PER_TURN)
        target = builder.at(have) if room >= receive_buffer.capacity else receive_buffer.data
        received = connection.recv(target, max(room, receive_buffer.capacity), True)
        if received > 0:
            received = parser.feed_in_place(target, received)
            if target == receive_buffer.data:
                builder.write(have, target, received)
            have += received
            builder.used = have
        elif received == 0:
            raise connection.make_error(None)
    connection.builder = None
    connection.set_low_watermark(1)
    connection.last_chunked_size = min(have, MAX_INITIAL_BUFFER)
    connection.last_activity = now()
    return builder.finish_at(have)
