# One connection: a descriptor, perhaps a TLS layer, a parser, and the exchange that goes over it.
#
# Facts:  after a request is sent the answer is not there yet, so wait first, then read. A reader that
#         waits is woken by the end of input too. curio changes task only at an await.
# Rules:  a connection is in one place: idle, lent, or closed. One exchange at a time. Whatever leaves an
#         exchange other than a complete answer closes it, before its place is given to the next.
#         Closing is synchronous: nobody waits on the descriptor when its owner closes it.
# Not here: who gets the connection (pool.pyx), names, addresses, handshakes.

cdef enum:
    IDLE = 0
    LENT = 1
    CLOSED = 2

cdef enum:
    FULL_RECORD = 16384         # bytes in the longest TLS record (RFC 8446 §5.1)

cdef enum:
    # Who cut the wire under a task that is inside an exchange; the task closes it then.
    NOBODY = 0
    SILENCE = 1         # the keeper: its patience ran out
    SESSION = 2         # the session was closed
    READER = 3          # another task closed the body
    LIMIT = 4           # the keeper: the time for the whole exchange is over

cdef object close_socket = Socket.__base__.close     # that of C
cdef object WantRead = None     # ssl.SSLWantReadError and SSLWantWriteError, once TLS was met
cdef object WantWrite = None


cdef bint is_want_of_memory(code):
    return code == ENOBUFS or code == ENOMEM


cdef void meet_tls():
    global WantRead, WantWrite
    import ssl
    WantRead, WantWrite = ssl.SSLWantReadError, ssl.SSLWantWriteError


@cython.final
cdef class Connection:
    """A connected socket (with TLS done, if any) and the message state on it."""

    cdef readonly int fd            # -1 once closed
    cdef readonly object layer      # the TLS object that reads and writes for us, None without TLS
    cdef object engine              # OpenSSL's object in an SSLSocket, without its Python; or None
    cdef object owner               # the socket object that closes the descriptor; None once closed
    cdef Handle handle
    cdef Trap readable
    cdef Reader reader
    cdef Pool pool
    cdef OriginPool origin
    cdef Connection made_before, made_after     # neighbours in the pool's list of the open
    cdef Connection before, after   # and in that of the idle
    cdef Connection below           # next in its origin's stack of the idle
    cdef Connection above
    cdef readonly int place         # IDLE, LENT, CLOSED
    cdef readonly int exchanges     # answers read to their end
    cdef int generation             # of the process it was made in (see _after_fork)
    cdef double born                # monotonic seconds
    cdef double expires             # when it is too old to be reused; 0.0 for never
    cdef double idle_deadline       # when it may no longer be reused unless it is used before; or 0.0
    cdef double waiting_since       # the running wait for the peer; 0.0 while there is none
    cdef double seen_at             # the last look at the clock; one serves all that happens at once
    cdef public double patience     # seconds of silence granted to the peer; 0.0 for no limit
    cdef public double write_patience   # seconds granted for it to take bytes; 0.0 for no limit
    cdef Py_ssize_t wakes_at        # bytes that must be there before we are woken (long_bodies.pyx)
    cdef int unread                 # of them, those that were there when the keeper last looked
    cdef Py_ssize_t last_chunked    # bytes of the last long body that came in chunks
    cdef double limit               # seconds granted to the whole exchange,
    cdef double until               # and when they are over; 0.0 for no limit
    cdef int cut_by                 # NOBODY, SILENCE, SESSION, READER, LIMIT
    cdef bint inside                # a task is in `exchange` or `read_piece`
    cdef bint sending               # the request is not out yet
    cdef bint last                  # the request asked for the connection to be closed after it
    cdef bint cut_short             # the request was not sent to its end: never to be reused
    cdef bint answered              # a byte of the answer came
    cdef Py_ssize_t bytes_out       # of the request, taken by the socket
    cdef ResponseCore response      # the one being read
    cdef readonly object peer       # (address, port)

    def __cinit__(self, Pool pool not None, OriginPool origin not None, sock not None):
        self.pool = pool
        self.origin = origin
        self.fd = sock.fileno()
        self.owner = sock
        self.layer = None
        if hasattr(sock, "do_handshake"):
            self.layer = sock
            self.engine = getattr(sock, "_sslobj", None)
            if WantRead is None:
                meet_tls()
        self.handle = Handle(self.fd)
        self.readable = read_trap(self.handle)
        self.reader = Reader(pool.limits, pool.scratch)
        self.place = LENT
        self.wakes_at = 1
        self.generation = generation
        self.born = self.seen_at = now()

    def fileno(self):
        return self.fd

    def __repr__(self):
        cdef str place = ("idle", "lent", "closed")[self.place]
        return f"<Connection {self.origin.name!r} {place}, {self.exchanges} exchanges>"

    cdef void close(self):
        """Close the socket; safe to call again. No place in the pool is touched."""
        if self.place != CLOSED:
            self.response = None
            self.disown()

    cdef void disown(self):
        """Close the descriptor, and leave the message to the task that may be at it."""
        self.place = CLOSED
        self.pool.strike_off(self)
        owner, self.owner, self.layer, self.engine = self.owner, None, None, None
        self.fd = -1
        try:
            if type(owner) is Socket:
                close_socket(owner)
            else:
                owner.close()
        except (OSError, MemoryError):
            pass        # the descriptor is gone all the same, at the latest with its owner
        except KeyboardInterrupt:
            PyErr_SetInterrupt()    # once more, when nothing is half done

    cdef void shut(self):
        """End both directions: a task that waits on it wakes up and closes it."""
        if self.fd >= 0 and self.generation == generation:
            c_shutdown(self.fd, SHUT_RDWR)

    cdef void cut_off(self, int by):
        """End it under the task that is inside, which then raises what `by` stands for."""
        if self.cut_by == NOBODY:
            self.cut_by = by
        self.shut()

    cdef bint is_fresh(self, double clock) noexcept:
        """Whether it may serve another request: not expired, not forked, open and silent."""
        if self.generation != generation or (self.idle_deadline and clock >= self.idle_deadline):
            return False
        if self.layer is None:
            return is_silent(self.fd)
        return not self.layer.pending() and (is_silent(self.fd) or self.says_nothing())

    cdef bint says_nothing(self) noexcept:
        """Whether what came over TLS is housekeeping (a session ticket), not data, not the end."""
        try:
            self.layer.recv_into(bytearray(1))
        except (WantRead, WantWrite):
            return True
        except OSError:
            pass
        return False

    # -- sending

    cdef Py_ssize_t push(self, const char *data, Py_ssize_t length) except -2:
        """Send what the socket takes now; -1 when it takes nothing.

        A connection that is gone takes everything, so to say: what the server said before it went
        is worth more than the failure to write, and if it said nothing the read will tell. Not so one
        that is there, and for which the system has no memory: its peer waits for the rest. TLS has
        one error for both.
        """
        cdef Py_ssize_t taken
        if self.layer is not None:
            try:
                view = PyMemoryView_FromMemory(<char *>data, length, 0x100)
                taken = self.layer.send(view) if self.engine is None else self.engine.write(view)
            except (WantWrite, WantRead):
                return -1
            except OSError as error:
                if is_up(self.fd):
                    raise self.broken(error)
                self.cut_short = True
                return length
        else:
            taken = send_bytes(self.fd, data, length)
            if taken < 0:
                if errno == EAGAIN:
                    return -1
                error = OSError(errno, os.strerror(errno))
                if is_up(self.fd):
                    raise self.broken(error)
                self.cut_short = True
                return length
        self.bytes_out += taken
        return taken

    async def _push_all(self, const unsigned char[::1] data, Py_ssize_t sent=0):
        """Send bytes to the last unless the peer starts to answer; says what `receive` found."""
        cdef Py_ssize_t taken
        cdef int found
        while sent < data.shape[0] and not self.cut_short:
            taken = self.push(<const char *>&data[sent], data.shape[0] - sent)
            if taken > 0:
                sent += taken
                continue
            self.waiting_since = now()
            await wait_either(self.handle)
            found = self.receive()
            if found != MORE:
                self.cut_short = True
                return found
        return MORE

    async def _upload(self, body):
        """Send a body piece by piece; stops when the peer answers before it is all out.

        Says what `receive` found. That the pieces add up to the length announced is the body's care.
        """
        cdef bint chunked = body.length is None
        cdef int found = MORE
        chunks = body.chunks()
        try:
            async for piece in chunks:
                if chunked:
                    piece = b"%x\r\n%b\r\n" % (len(piece), piece)
                found = await self._push_all(memoryview(piece).cast("B"))
                if found != MORE or self.cut_short:
                    return found
        finally:
            await chunks.close()
        if chunked:
            found = await self._push_all(b"0\r\n\r\n")
        return found

    async def _first_word(self):
        """Wait for 100 Continue or the answer itself; says what `receive` found."""
        cdef int found = MORE
        while found == MORE:
            self.waiting_since = now()
            await self.readable
            found = self.receive()
            if self.reader.continues:
                break
        return found

    # -- receiving

    cdef Py_ssize_t pull(self, char *data, Py_ssize_t room, bint many) except -2:
        """Receive what is there; 0 at the end of input, -1 when there is nothing yet."""
        cdef Py_ssize_t came
        if self.layer is not None:
            return self.pull_layer(data, room)
        came = receive_bytes(self.fd, data, room, many)
        if came < 0 and errno != EAGAIN:
            raise self.broken(OSError(errno, os.strerror(errno)))
        return came

    cdef Py_ssize_t pull_record(self, char *data, Py_ssize_t room) except -2:
        view = PyMemoryView_FromMemory(data, room, 0x200)
        if self.engine is None:
            return self.layer.recv_into(view, room)
        return self.engine.read(room, view)

    cdef Py_ssize_t pull_layer(self, char *data, Py_ssize_t room) except -2:
        """As `pull`, through TLS: as many records as are there and fit."""
        cdef Py_ssize_t came = 0, got
        try:
            while came < room:
                got = self.pull_record(data + came, room - came)
                came += got
                if got < FULL_RECORD:
                    return came     # the end, or the last of a burst: more will wake us again
        except (WantRead, WantWrite):
            return came if came else -1
        except OSError as error:
            if came:
                return came     # what was whole counts; the next call meets the error again
            raise self.broken(error)
        return came

    cdef int receive(self) except -1:
        """Read once and parse: MORE, HEAD or END. Errors name what was seen; EOF is judged here."""
        cdef Scratch scratch = self.pool.scratch
        cdef Reader reader = self.reader
        cdef Py_ssize_t came
        cdef int found
        self.waiting_since = 0.0
        self.seen_at = now()
        came = self.pull(scratch.data, scratch.room, reader.state == IN_BODY)
        if came < 0:
            return HEAD if reader.state == IN_BODY else MORE
        if came == 0:
            if self.cut_by != NOBODY or not reader.end_of_input():
                raise self.broken(None)
            return END
        self.answered = True
        if reader.state != EXPECT_HEAD:
            found = reader.digest(scratch.data, came)
            return HEAD if reader.is_too_large else found
        if self.response.clocked and self.response.spoke == 0.0:
            self.response.spoke = self.seen_at
        found = reader.digest(scratch.data, came)
        if found != MORE:
            self.fill_in()
        return HEAD if reader.is_too_large else found

    cdef void fill_in(self):
        """The head is there: tell the response."""
        cdef ResponseCore response = self.response
        cdef Reader reader = self.reader
        response.status_code = reader.status
        response.minor = reader.minor
        response.header_fields = table_of(reader.head)
        response.raw_head = reader.head
        if reader.raw_chunks is not None:
            response.framed_body = reader.raw_chunks
        response.interim = reader.interim
        response.headed = self.seen_at

    cdef void wake_for(self, long long rest):
        """Be woken only when much of the `rest` that must still come is there (see long_bodies.pyx)."""
        cdef Py_ssize_t mark = 1
        if self.layer is not None:
            # What the layer holds of a record will not come again; other layers are not known.
            rest = rest - UNDERWAY if self.engine is not None and rest > 2 * UNDERWAY else 1
        if rest > 1:
            mark = <Py_ssize_t>min(rest, <long long>BULK)
        if mark != self.wakes_at:
            self.unread = 0
            self.wakes_at = mark if wake_at_bytes(self.fd, <int>mark) == 0 else 1

    cdef void listen(self, double clock):
        """Whether the peer said something below the mark that we are woken at.

        Then it is not silent. If it said no more since the last look, its task shall have what there
        is: the mark should not have been missed, and nobody is to hang on it.
        """
        cdef int unread = unread_bytes(self.fd)
        if unread != self.unread:
            self.unread = unread
            self.waiting_since = clock
        elif unread > 0:
            self.wake_for(1)

    # -- the exchange

    def exchange(self, bytes head not None, ResponseCore response not None, *,
                 body=None, bint stream=False, bint headless=False, long long max_body=-1,
                 double expect_seconds=0.0, bint last=False, stops_at=None, bint strict=False):
        """Send a request, read the answer into `response`, give the connection back: an awaitable.

        `head` may end in a small body; `body` is sent behind it, piece by piece, after waiting up to
        `expect_seconds` for 100 Continue. With `stream` the call returns at the head and `read_piece`
        gives the rest. `headless`: the answer has no body whatever it says (HEAD). `last`: the
        request says `Connection: close`, so nothing may follow it (RFC 9112 §9.6). `stops_at`: statuses
        of answers that need a look at their head first; if there is more of such a one the call returns
        there, and `read_on` gives the rest. `strict`: refuse what browsers forgive. Raises
        `ConnectivityError` or `BadHttpResponse`; then, and when it is cancelled at any point, the
        connection is closed and its place given to the next in line.
        """
        self.begin(head, response, headless, max_body, last, stops_at, strict, 0.0)
        return self.carry_out(body, stream, expect_seconds)

    async def carry_out(self, body, bint stream, double expect_seconds):
        """The exchange that was begun: what `exchange` gives to be awaited."""
        cdef Reader reader = self.reader
        cdef ResponseCore response = self.response
        cdef bytes head = response.sent_head
        cdef Py_ssize_t taken
        cdef int found = MORE
        cdef Waiter heir
        try:
            reader.expect()
            if self.place != LENT:
                raise self.broken(None)
            taken = self.push(PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
            if taken != PyBytes_GET_SIZE(head):
                found = await self._push_all(head, taken if taken > 0 else 0)
                self.seen_at = now()
            if body is not None and found == MORE:
                if expect_seconds > 0.0:
                    word = await ignore_after(expect_seconds, self._first_word())
                    self.waiting_since = 0.0
                    found = MORE if word is None else word
                    if found != MORE:
                        self.cut_short = True
                if found == MORE:
                    found = await self._upload(body)
                self.seen_at = now()
            self.sending = False
            if response.clocked:
                response.wrote = now() if found == MORE else self.seen_at
                if found == MORE:
                    response.spoke = 0.0    # so far it was 100 Continue
            while found == MORE or (found == HEAD and not stream):
                if found == HEAD and reader.status >= 300 and self.must_stop():
                    break
                if found == HEAD and reader.length - reader.got >= DIRECT_FROM:
                    response.body = await _read_directly(self)
                    found = END
                    break
                if found == HEAD and reader.length == CHUNKED and reader.got >= CHUNKS_FROM:
                    response.body = await _read_chunks(self)
                    found = END
                    break
                if self.layer is None or not self.layer.pending():
                    self.waiting_since = self.seen_at
                    await self.readable
                found = self.receive()
            response.peer = self.peer
            if found == END:
                if response.body is None:
                    response.body = reader.take_body()
                heir = self.finish()
                if heir is not None:
                    await heir.wake
            else:
                self.inside = False
            return response
        except GeneratorExit:
            self.pool.abandon(self)
            raise
        except BaseException as error:
            self.explain(error, response)
            heir = self.pool.give_back(self, False)
            if heir is not None:
                await heir.wake
            raise

    def stream_into(self, ResponseCore response not None):
        """Let the rest of the answer be told to another response object than the one begun with.

        The pool knows its lent connections: through them it must not keep alive what a user drops.
        """
        self.response = response

    async def read_piece(self):
        """The next bytes of a streamed body as they came over the wire; `b""` at its end.

        With the last bytes the connection goes back to the pool. Errors, cancellation included,
        close it and give its place to the next in line.
        """
        cdef ResponseCore response = self.response
        cdef int found = HEAD
        cdef Waiter heir
        if self.place != LENT:
            raise self.broken(None)
        self.inside = True
        self.seen_at = now()
        try:
            while found == HEAD and not self.reader.has_piece():
                if self.layer is None or not self.layer.pending():
                    self.waiting_since = self.seen_at
                    await self.readable
                found = self.receive()
            if found == HEAD:
                self.inside = False
                return self.reader.take_body()
            piece = self.reader.take_body()
            heir = self.finish()
            if heir is not None:
                await heir.wake
            return piece
        except GeneratorExit:
            self.pool.abandon(self)
            raise
        except BaseException as error:
            self.explain(error, response)
            heir = self.pool.give_back(self, False)
            if heir is not None:
                await heir.wake
            raise

    def apply_body_limit(self):
        """Apply `max_body` to a streamed body that no other request follows.

        Raises `ResponseTooLarge` if the body is known to be larger.
        """
        try:
            self.reader.apply_limit()
        except errors.ResponseTooLarge as error:
            self.explain(error, self.response)
            raise

    async def discard(self):
        """Leave a streamed body unread: close, and give the place to the next in line.

        A task that is reading it gets `StreamConsumed`, and closes it.
        """
        cdef Waiter heir
        if self.inside:
            self.cut_off(READER)
            return
        heir = self.pool.give_back(self, False)
        if heir is not None:
            await heir.wake

    async def release(self):
        """Give back a connection over which no exchange was begun."""
        cdef Waiter heir = self.pool.give_back(self, True)
        if heir is not None:
            await heir.wake

    def abandon(self, ResponseCore response=None):
        """As `discard`, from code that can't await; the next in line is woken by the keeper.

        With `response`, only if it is still the one being read: else the connection is another's.
        """
        if response is None or self.response is response:
            self.pool.abandon(self)

    cdef void begin(self, bytes head, ResponseCore response, bint headless, long long max_body,
                    bint last, stops_at, bint strict, double clock) noexcept:
        """Set everything for an exchange. `clock`: the time, if it was just read, or 0.0."""
        self.response = response
        self.reader.followup_statuses = stops_at
        self.reader.headless = headless
        self.reader.max_body = max_body
        self.reader.strict = response.strict = strict
        self.reader.keeps_framing = response.keeps_framing
        self.last = last
        response.sent_head = head
        response.origin = self.origin.name
        response.reused = self.exchanges > 0
        response.body = None
        response.began = self.seen_at = clock if clock else now()
        self.answered = self.cut_short = False
        self.cut_by = NOBODY
        self.until = 0.0
        self.sending = self.inside = True
        self.bytes_out = 0

    cdef void end_within(self, double seconds) noexcept:
        """Let the keeper cut the exchange off that long after its beginning."""
        self.limit = seconds
        self.until = self.response.began + seconds

    cdef bint must_stop(self) except -1:
        """Whether this answer needs a look at its head before its body is read (on_the_way.pyx)."""
        cdef Reader reader = self.reader
        return reader.followup_statuses is not None and reader.status in reader.followup_statuses

    cdef Waiter finish(self):
        """The answer is complete: back to the pool, or closed if it can't be reused."""
        cdef Reader reader = self.reader
        cdef ResponseCore response = self.response
        cdef bint reusable = (reader.is_reusable() and not self.cut_short
                              and self.cut_by == NOBODY and not self.last)
        self.inside = False
        response.trailers = reader.trailers()
        response.ended = self.seen_at
        self.exchanges += 1
        self.response = None
        reader.head = None
        return self.pool.give_back(self, reusable)

    # -- what went wrong

    cdef object broken(self, error):
        """The exception for a connection that ended too early, or by an error of the system."""
        if self.cut_by == SESSION or (self.cut_by == NOBODY and self.place == CLOSED):
            return errors.SessionClosed("the session was closed while the request was under way")
        if self.cut_by == READER:
            return errors.StreamConsumed("the body was closed while it was being read")
        if self.cut_by == LIMIT:
            return errors.TotalTimeout(f"not done within timeout={self.limit:g} s", self.limit)
        if self.cut_by == SILENCE:
            if self.sending:
                return errors.WriteTimeout(
                    f"the server took no bytes for {self.write_patience:g} s", self.write_patience)
            return errors.ReadTimeout(
                f"the server was silent for {self.patience:g} s", self.patience)
        seen = self.reader.progress()
        if error is None:
            what = "the server closed the connection"
        elif isinstance(error, OSError) and is_want_of_memory(error.errno):
            what = f"the system gave up the connection ({error})"
        else:
            what = f"the server broke the connection ({error})"
        failure = errors.ServerClosedConnectionError(f"{what} {seen}")
        failure.stale = self.exchanges > 0 and not self.answered
        failure.unsent = self.bytes_out == 0
        return failure

    cdef void explain(self, error, ResponseCore response):
        """Put the request in front of what an error of ours says, and how long it took behind."""
        cdef double elapsed
        if response is not None and isinstance(error, errors.AsksException) and error.args:
            elapsed = now() - response.began
            after = f" [{elapsed:.3f} s after sending]" if elapsed >= 0.001 else ""
            error.args = (f"{response.what()}: {error.args[0]}{after}", *error.args[1:])


async def wait_either(Handle handle):
    """Wait until a socket can be written or read, whichever comes first: two waits in one trap.

    That takes a descriptor; without one it is the writing alone that is waited for.
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
