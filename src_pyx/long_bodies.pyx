# Long bodies: received straight into the bytes object that the program gets.
#
# Facts:  on a fast network the waits cost more than the bytes. Whoever reads as soon as something is
#         there gets a few dozen KiB at a time and falls asleep again, and each time it is the sender
#         that pays for waking it: 10 MiB over loopback took 115 waits, and 5.2 ms of the server's
#         processor time; told to wake us from 512 KiB on (SO_RCVLOWAT), 19 waits and 4.4 ms, and 2.3
#         ms of ours instead of 5.7. Linux wakes earlier when the window is full or memory is short,
#         and at the end of input in any case; setting the mark wakes who has enough by then.
# Rules:  never ask for more bytes than must still come, or the last wait would not end. The mark is
#         back at one byte before the connection serves another request. What is there counts as
#         heard, read or not: the keeper looks (`Connection.listen`). One pull is bounded, and
#         between two of them other tasks get their turn.
# Not here: streams, which hand out what came as soon as it is there.

cdef enum:
    DIRECT_FROM = 65536         # a body with more than this to come is received into its final buffer
    FIRST_GRANT = 67108864      # bytes set aside for a body on its sender's word alone
    BULK = 524288               # bytes worth waking up for
    LONGEST_PULL = 1048576      # bytes received before other tasks get their turn
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
            reader.feed(grower.at(have), came)
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
