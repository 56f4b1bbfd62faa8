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
#         heard, read or not: the keeper looks (`Connection.listen`). What is received before other
#         tasks get their turn is bounded, and so is giving way: halved each time that it was in vain.
# Not here: streams, which hand out what came as soon as it is there.

cdef enum:
    DIRECT_FROM = 65536         # a body with more than this to come is received into its final buffer
    FIRST_GRANT = 67108864      # bytes set aside for a body on its sender's word alone
    BULK = 524288               # bytes worth waking up for
    FIRST_GUESS = 262144        # bytes that a body in chunks may still have, for want of a better one
    LONGEST_PULL = 1048576      # bytes received before other tasks get their turn
    FLOWING = 65536             # bytes worth not waiting for: they flow
    LOOKS = 150                 # times to give way and look again, at most; halved when in vain
    CHUNKS_FROM = 16384         # so does one in chunks, of which more than this came
    UNDERWAY = 20480            # bytes that a TLS layer may hold of a record that is not all there


@cython.final
cdef class Grower:
    """A bytes object while it is filled: nobody else sees it before `take`."""

    cdef PyObject *data     # owned; NULL once taken
    cdef Py_ssize_t size

    def __cinit__(self, Py_ssize_t size):
        self.data = new_bytes(NULL, size)
        if self.data is NULL:
            raise MemoryError()
        self.size = size

    def __dealloc__(self):
        Py_XDECREF(self.data)

    cdef char *at(self, Py_ssize_t position) noexcept:
        return bytes_data(self.data) + position

    cdef Py_ssize_t room_from(self, Py_ssize_t have, Py_ssize_t total) except -1:
        """Bytes free behind `have`, after growing to at most `total` if there were none."""
        if have == self.size:
            self.size = min(total, 2 * self.size)
            resize_bytes(&self.data, self.size)
        return self.size - have

    cdef int put(self, Py_ssize_t position, const char *data, Py_ssize_t length) except -1:
        """Copy bytes in, after growing if need be."""
        if position + length > self.size:
            self.size = max(2 * self.size, position + length)
            resize_bytes(&self.data, self.size)
        memcpy(self.at(position), data, <size_t>length)
        return 0

    cdef bytes take_first(self, Py_ssize_t size):
        """`take`, of no more than the first `size` bytes."""
        resize_bytes(&self.data, size)
        return self.take()

    cdef bytes take(self):
        cdef bytes whole = <bytes>self.data
        Py_XDECREF(self.data)
        self.data = NULL
        return whole


async def _read_directly(Connection connection not None):
    """The rest of a body of known length, straight into the buffer that becomes the body."""
    cdef Reader reader = connection.reader
    cdef long long total = reader.length
    cdef bytes begun = reader.take_body()
    cdef Py_ssize_t have = PyBytes_GET_SIZE(begun), room, came
    cdef Grower grower = Grower(<Py_ssize_t>min(total, <long long>FIRST_GRANT))
    cdef bint waits = total - have > BULK       # a shorter rest may be there already
    memcpy(grower.at(0), PyBytes_AS_STRING(begun), <size_t>have)
    begun = None
    while have < total:
        if waits:
            connection.wake_for(total - have)
            connection.waiting_since = now()
            await connection.readable
            connection.waiting_since = 0.0
        room = min(grower.room_from(have, <Py_ssize_t>total), LONGEST_PULL)
        came = connection.pull(grower.at(have), room, True)
        if came > 0:
            reader.show(grower.at(have), came)
            have += came
            reader.got = have
        elif came == 0:
            raise connection.broken(None)
        waits = connection.layer is None or not connection.layer.pending()
    connection.wake_for(1)
    if not waits:
        reader.surplus = True
    reader.state = COMPLETE
    connection.seen_at = now()
    return grower.take()


async def _read_chunks(Connection connection not None):
    """The rest of a chunked body: received into the buffer that becomes the body, taken apart there.

    How long it will be nobody says. The last one on this connection is a good guess, and made to the
    byte: then the allocator has such a piece at hand, and no page of it is fresh. What might not fit
    behind what there is goes through the pool's buffer.
    """
    cdef Scratch scratch = connection.pool.scratch
    cdef char *place
    cdef Reader reader = connection.reader
    cdef bytes begun = reader.take_body()
    cdef Py_ssize_t have = PyBytes_GET_SIZE(begun), came, room, unseen = 0
    cdef int there = 0, looks = LOOKS if connection.pool.lent == 1 else 0
    cdef Grower grower = Grower(max(have + FIRST_GUESS, connection.last_chunked))
    memcpy(grower.at(0), PyBytes_AS_STRING(begun), <size_t>have)
    begun = None
    while reader.state != COMPLETE:
        if looks and unseen < LONGEST_PULL:
            with nogil:
                there = linger(connection.fd, FLOWING, looks)
            if there < FLOWING:
                looks //= 2
        if there:
            unseen += there
        elif connection.layer is None or not connection.layer.pending():
            connection.wake_for(reader.surely_to_come())
            connection.waiting_since = now()
            await connection.readable
            connection.waiting_since = 0.0
            unseen = 0
        there = 0
        room = min(grower.size - have, LONGEST_PULL)
        place = grower.at(have) if room >= scratch.room else scratch.data
        came = connection.pull(place, max(room, scratch.room), True)
        if came > 0:
            came = reader.digest_in_place(place, came)
            if place == scratch.data:
                grower.put(have, place, came)
            have += came
        elif came == 0:
            raise connection.broken(None)
    connection.wake_for(1)
    connection.last_chunked = min(have, FIRST_GRANT)
    connection.seen_at = now()
    return grower.take_first(have)
