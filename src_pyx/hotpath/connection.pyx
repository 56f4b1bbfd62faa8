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
    IN_USE = 1
    CLOSED = 2

cdef enum:
    MAX_TLS_RECORD = 16384         # bytes in the longest TLS record (RFC 8446 §5.1)

cdef enum:
    # Who cut the wire under a task that is inside an exchange; the task closes it then.
    NOT_ABORTED = 0
    IDLE_TIMEOUT = 1         # the keeper: its patience ran out
    SESSION_CLOSED = 2         # the session was closed
    STREAM_CLOSED = 3          # another task closed the body
    TOTAL_TIMEOUT = 4           # the keeper: the time for the whole exchange is over

cdef object close_socket = Socket.__base__.close     # that of C
cdef object WantRead = None     # ssl.SSLWantReadError and SSLWantWriteError, once TLS was met
cdef object WantWrite = None


cdef bint is_enomem(code):
    return code == ENOBUFS or code == ENOMEM


cdef void meet_tls():
    global WantRead, WantWrite
    import ssl
    WantRead, WantWrite = ssl.SSLWantReadError, ssl.SSLWantWriteError


@cython.final
cdef class Connection:
    """A connected socket (with TLS done, if any) and the message state on it."""

    cdef readonly int fd            # -1 once closed
    cdef readonly object tls      # the TLS object that reads and writes for us, None without TLS
    cdef object ssl_object              # OpenSSL's object in an SSLSocket, without its Python; or None
    cdef object sock               # the socket object that closes the descriptor; None once closed
    cdef FileHandle handle
    cdef Trap readable
    cdef ResponseParser parser
    cdef Pool pool
    cdef OriginPool origin
    cdef Connection open_prev, open_next     # neighbours in the pool's list of the open
    cdef Connection idle_prev, idle_next   # and in that of the idle
    cdef Connection stack_next           # next in its origin's stack of the idle
    cdef Connection stack_prev
    cdef readonly int state         # IDLE, LENT, CLOSED
    cdef readonly int request_count     # answers read to their end
    cdef int fork_generation             # of the process it was made in (see _after_fork)
    cdef double created_at                # monotonic seconds
    cdef double expires_at             # when it is too old to be reused; 0.0 for never
    cdef double idle_deadline       # when it may no longer be reused unless it is used before; or 0.0
    cdef double blocked_since       # the running wait for the peer; 0.0 while there is none
    cdef double last_activity             # the last look at the clock; one serves all that happens at once
    cdef public double read_timeout     # seconds of silence granted to the peer; 0.0 for no limit
    cdef public double write_timeout   # seconds granted for it to take bytes; 0.0 for no limit
    cdef Py_ssize_t low_watermark        # bytes that must be there before we are woken (long_bodies.pyx)
    cdef int unread_bytes_seen                 # of them, those that were there when the keeper last looked
    cdef Py_ssize_t last_chunked_size    # bytes of the last long body that came in chunks
    cdef double timeout               # seconds granted to the whole exchange,
    cdef double deadline               # and when they are over; 0.0 for no limit
    cdef int abort_reason                 # NOBODY, SILENCE, SESSION, READER, LIMIT
    cdef bint is_active                # a task is in `exchange` or `read_piece`
    cdef bint is_sending               # the request is not out yet
    cdef bint close_after                  # the request asked for the connection to be closed after it
    cdef bint is_request_incomplete             # the request was not sent to its end: never to be reused
    cdef bint has_response_bytes              # a byte of the answer came
    cdef Py_ssize_t bytes_out       # of the request, taken by the socket
    cdef BaseHttpResponse response      # the one being read
    cdef BytesBuilder builder           # its body while it is received into a buffer of its own
    cdef readonly object peer       # (address, port)

    def __cinit__(self, Pool pool not None, OriginPool origin not None, sock not None):
        self.pool = pool
        self.origin = origin
        self.fd = sock.fileno()
        self.sock = sock
        self.tls = None
        if hasattr(sock, "do_handshake"):
            self.tls = sock
            self.ssl_object = getattr(sock, "_sslobj", None)
            if WantRead is None:
                meet_tls()
        self.handle = FileHandle(self.fd)
        self.readable = read_trap(self.handle)
        self.parser = ResponseParser(pool.limits, pool.receive_buffer)
        self.state = IN_USE
        self.low_watermark = 1
        self.fork_generation = fork_generation
        self.created_at = self.last_activity = now()

    def fileno(self):
        return self.fd

    def __repr__(self):
        cdef str place = ("idle", "in use", "closed")[self.state]
        return f"<Connection {self.origin.name!r} {place}, {self.request_count} requests>"

    cdef void close(self):
        """Close the socket; safe to call again. No place in the pool is touched."""
        if self.state != CLOSED:
            self.response = None
            self.detach()

    cdef void detach(self):
        """Close the descriptor, and leave the message to the task that may be at it."""
        self.state = CLOSED
        self.pool.unlink(self)
        owner, self.sock, self.tls, self.ssl_object = self.sock, None, None, None
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

    cdef void shutdown(self):
        """End both directions: a task that waits on it wakes up and closes it."""
        if self.fd >= 0 and self.fork_generation == fork_generation:
            c_shutdown(self.fd, SHUT_RDWR)

    cdef void abort_exchange(self, int by):
        """End it under the task that is inside, which then raises what `by` stands for."""
        if self.abort_reason == NOT_ABORTED:
            self.abort_reason = by
        self.shutdown()

    cdef bint is_reusable(self, double clock) noexcept:
        """Whether it may serve another request: not expired, not forked, open and silent."""
        if self.fork_generation != fork_generation or (self.idle_deadline and clock >= self.idle_deadline):
            return False
        if self.tls is None:
            return is_open_without_data(self.fd)
        return not self.tls.pending() and (is_open_without_data(self.fd) or self.has_no_app_data())

    cdef bint has_no_app_data(self) noexcept:
        """Whether what came over TLS is housekeeping (a session ticket), not data, not the end."""
        try:
            self.tls.recv_into(bytearray(1))
        except (WantRead, WantWrite):
            return True
        except OSError:
            pass
        return False

    # -- sending

    cdef Py_ssize_t send(self, const char *data, Py_ssize_t length) except -2:
        """Send what the socket takes now; -1 when it takes nothing.

        A connection that is gone takes everything, so to say: what the server said before it went
        is worth more than the failure to write, and if it said nothing the read will tell. Not so one
        that is there, and for which the system has no memory: its peer waits for the rest. TLS has
        one error for both.
        """
        cdef Py_ssize_t sent_bytes
        if self.tls is not None:
            try:
                view = PyMemoryView_FromMemory(<char *>data, length, 0x100)
                sent_bytes = self.tls.send(view) if self.ssl_object is None else self.ssl_object.write(view)
            except (WantWrite, WantRead):
                return -1
            except OSError as error:
                if is_up(self.fd):
                    raise self.make_error(error)
                self.is_request_incomplete = True
                return length
        else:
            sent_bytes = send_bytes(self.fd, data, length)
            if sent_bytes < 0:
                if errno == EAGAIN:
                    return -1
                error = OSError(errno, os.strerror(errno))
                if is_up(self.fd):
                    raise self.make_error(error)
                self.is_request_incomplete = True
                return length
        self.bytes_out += sent_bytes
        return sent_bytes

    async def _send_all(self, const unsigned char[::1] data, Py_ssize_t sent=0):
        """Send bytes to the last unless the peer starts to answer; says what `receive` found."""
        cdef Py_ssize_t sent_bytes
        cdef int found
        while sent < data.shape[0] and not self.is_request_incomplete:
            sent_bytes = self.send(<const char *>&data[sent], data.shape[0] - sent)
            if sent_bytes > 0:
                sent += sent_bytes
                continue
            self.blocked_since = now()
            await wait_readable_or_writable(self.handle)
            found = self.receive()
            if found != NEED_DATA:
                self.is_request_incomplete = True
                return found
        return NEED_DATA

    async def _send_body(self, body):
        """Send a body piece by piece; stops when the peer answers before it is all out.

        Says what `receive` found. That the pieces add up to the length announced is the body's care.
        """
        cdef bint chunked = body.length is None
        cdef int found = NEED_DATA
        chunks = body.chunks()
        try:
            async for piece in chunks:
                if chunked:
                    piece = b"%x\r\n%b\r\n" % (len(piece), piece)
                found = await self._send_all(memoryview(piece).cast("B"))
                if found != NEED_DATA or self.is_request_incomplete:
                    return found
        finally:
            await chunks.close()
        if chunked:
            found = await self._send_all(b"0\r\n\r\n")
        return found

    async def _wait_for_continue(self):
        """Wait for 100 Continue or the answer itself; says what `receive` found."""
        cdef int found = NEED_DATA
        while found == NEED_DATA:
            self.blocked_since = now()
            await self.readable
            found = self.receive()
            if self.parser.got_100_continue:
                break
        return found

    # -- receiving

    cdef Py_ssize_t recv(self, char *data, Py_ssize_t room, bint many) except -2:
        """Receive what is there; 0 at the end of input, -1 when there is nothing yet."""
        cdef Py_ssize_t received
        if self.tls is not None:
            return self.recv_tls(data, room)
        received = recv_bytes(self.fd, data, room, many)
        if received < 0 and errno != EAGAIN:
            raise self.make_error(OSError(errno, os.strerror(errno)))
        return received

    cdef Py_ssize_t recv_record(self, char *data, Py_ssize_t room) except -2:
        view = PyMemoryView_FromMemory(data, room, 0x200)
        if self.ssl_object is None:
            return self.tls.recv_into(view, room)
        return self.ssl_object.read(room, view)

    cdef Py_ssize_t recv_tls(self, char *data, Py_ssize_t room) except -2:
        """As `recv`, through TLS: as many records as are there and fit."""
        cdef Py_ssize_t received = 0, got
        try:
            while received < room:
                got = self.recv_record(data + received, room - received)
                received += got
                if got < MAX_TLS_RECORD:
                    return received     # the end, or the last of a burst: more will wake us again
        except (WantRead, WantWrite):
            return received if received else -1
        except OSError as error:
            if received:
                return received     # what was whole counts; the next call meets the error again
            raise self.make_error(error)
        return received

    cdef int receive(self) except -1:
        """Read once and parse: MORE, HEAD or END. Errors name what was seen; EOF is judged here."""
        cdef ReceiveBuffer receive_buffer = self.pool.receive_buffer
        cdef ResponseParser parser = self.parser
        cdef Py_ssize_t received
        cdef int found
        self.blocked_since = 0.0
        self.last_activity = now()
        received = self.recv(receive_buffer.data, receive_buffer.capacity, parser.state == IN_BODY)
        if received < 0:
            return HEAD_COMPLETE if parser.state == IN_BODY else NEED_DATA
        if received == 0:
            if self.abort_reason != NOT_ABORTED or not parser.feed_eof():
                raise self.make_error(None)
            return MESSAGE_COMPLETE
        self.has_response_bytes = True
        if parser.state != EXPECT_HEAD:
            found = parser.feed(receive_buffer.data, received)
            return HEAD_COMPLETE if parser.is_too_large else found
        if self.response.is_timed and self.response.first_byte == 0.0:
            self.response.first_byte = self.last_activity
        found = parser.feed(receive_buffer.data, received)
        if found != NEED_DATA:
            self.set_response_head()
        return HEAD_COMPLETE if parser.is_too_large else found

    cdef void set_response_head(self):
        """The head is there: tell the response."""
        cdef BaseHttpResponse response = self.response
        cdef ResponseParser parser = self.parser
        response.status_code = parser.status
        response.http_minor = parser.minor
        response.header_fields = headers_of(parser.head)
        response.response_head = parser.head
        if parser.raw_chunks is not None:
            response.framed_body = parser.raw_chunks
        response.interim = parser.interim
        response.head_received = self.last_activity

    cdef void set_low_watermark(self, long long rest):
        """Be woken only when much of the `rest` that must still come is there (see long_bodies.pyx)."""
        cdef Py_ssize_t mark = 1
        if self.tls is not None:
            # What the layer holds of a record will not come again; other layers are not known.
            rest = rest - MAX_PARTIAL_RECORD if self.ssl_object is not None and rest > 2 * MAX_PARTIAL_RECORD else 1
        if rest > 1:
            mark = <Py_ssize_t>min(rest, <long long>LOW_WATERMARK)
        if mark != self.low_watermark:
            self.unread_bytes_seen = 0
            self.low_watermark = mark if set_rcvlowat(self.fd, <int>mark) == 0 else 1

    cdef void check_partial_data(self, double clock):
        """Whether the peer said something below the mark that we are woken at.

        Then it is not silent. If it said no more since the last look, its task shall have what there
        is: the mark should not have been missed, and nobody is to hang on it.
        """
        cdef int unread = unread_bytes(self.fd)
        if unread != self.unread_bytes_seen:
            self.unread_bytes_seen = unread
            self.blocked_since = clock
        elif unread > 0:
            self.set_low_watermark(1)

    # -- the exchange

    def exchange(self, bytes head not None, BaseHttpResponse response not None, *,
                 body=None, bint stream=False, bint is_head_request=False, long long max_body=-1,
                 double expect_seconds=0.0, bint close_after=False, followup_statuses=None, bint strict=False):
        """Send a request, read the answer into `response`, give the connection back: an awaitable.

        `head` may end in a small body; `body` is sent behind it, piece by piece, after waiting up to
        `expect_seconds` for 100 Continue. With `stream` the call returns at the head and `read_piece`
        gives the rest. `is_head_request`: the answer has no body whatever it says (HEAD). `last`: the
        request says `Connection: close`, so nothing may follow it (RFC 9112 §9.6). `followup_statuses`: statuses
        of answers that need a look at their head first; if there is more of such a one the call returns
        there, and `read_remaining` gives the rest. `strict`: refuse what browsers forgive. Raises
        `ConnectivityError` or `BadHttpResponse`; then, and when it is cancelled at any point, the
        connection is closed and its place given to the next in line.
        """
        self.begin(head, response, is_head_request, max_body, close_after, followup_statuses, strict, 0.0)
        return self.run(body, stream, expect_seconds)

    async def run(self, body, bint stream, double expect_seconds):
        """The exchange that was begun: what `exchange` gives to be awaited."""
        cdef ResponseParser parser = self.parser
        cdef BaseHttpResponse response = self.response
        cdef bytes head = response.sent_head
        cdef Py_ssize_t sent_bytes
        cdef int found = NEED_DATA
        cdef Waiter next_waiter
        try:
            parser.reset()
            if self.state != IN_USE:
                raise self.make_error(None)
            sent_bytes = self.send(PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
            if sent_bytes != PyBytes_GET_SIZE(head):
                found = await self._send_all(head, sent_bytes if sent_bytes > 0 else 0)
                self.last_activity = now()
            if body is not None and found == NEED_DATA:
                if expect_seconds > 0.0:
                    word = await ignore_after(expect_seconds, self._wait_for_continue())
                    self.blocked_since = 0.0
                    found = NEED_DATA if word is None else word
                    if found != NEED_DATA:
                        self.is_request_incomplete = True
                if found == NEED_DATA:
                    found = await self._send_body(body)
                self.last_activity = now()
            self.is_sending = False
            if response.is_timed:
                response.request_sent = now() if found == NEED_DATA else self.last_activity
                if found == NEED_DATA:
                    response.first_byte = 0.0    # so far it was 100 Continue
            while found == NEED_DATA or (found == HEAD_COMPLETE and not stream):
                if found == HEAD_COMPLETE and parser.status >= 300 and self.needs_followup():
                    break
                if found == HEAD_COMPLETE and parser.length - parser.body_bytes >= DIRECT_FROM:
                    response.body = await _read_body_into_buffer(self)
                    found = MESSAGE_COMPLETE
                    break
                if found == HEAD_COMPLETE and parser.length == CHUNKED and parser.body_bytes >= DIRECT_CHUNKED_FROM:
                    response.body = await _read_chunked_into_buffer(self)
                    found = MESSAGE_COMPLETE
                    break
                if self.tls is None or not self.tls.pending():
                    self.blocked_since = self.last_activity
                    await self.readable
                found = self.receive()
            response.peer = self.peer
            if found == MESSAGE_COMPLETE:
                if response.body is None:
                    response.body = parser.take_body()
                next_waiter = self.finish()
                if next_waiter is not None:
                    await next_waiter.wake
            else:
                self.is_active = False
            return response
        except GeneratorExit:
            self.pool.close_nowait(self)
            raise
        except BaseException as error:
            self.add_request_context(error, response)
            next_waiter = self.pool.release(self, False)
            if next_waiter is not None:
                await next_waiter.wake
            raise

    def redirect_to(self, BaseHttpResponse response not None):
        """Let the rest of the answer be told to another response object than the one begun with.

        The pool knows its lent connections: through them it must not keep alive what a user drops.
        """
        self.response = response

    async def read_piece(self):
        """The next bytes of a streamed body as they came over the wire; `b""` at its end.

        With the last bytes the connection goes back to the pool. Errors, cancellation included,
        close it and give its place to the next in line.
        """
        cdef BaseHttpResponse response = self.response
        cdef int found = HEAD_COMPLETE
        cdef Waiter next_waiter
        if self.state != IN_USE:
            raise self.make_error(None)
        self.is_active = True
        self.last_activity = now()
        try:
            while found == HEAD_COMPLETE and not self.parser.has_piece():
                if self.tls is None or not self.tls.pending():
                    self.blocked_since = self.last_activity
                    await self.readable
                found = self.receive()
            if found == HEAD_COMPLETE:
                self.is_active = False
                return self.parser.take_body()
            piece = self.parser.take_body()
            next_waiter = self.finish()
            if next_waiter is not None:
                await next_waiter.wake
            return piece
        except GeneratorExit:
            self.pool.close_nowait(self)
            raise
        except BaseException as error:
            self.add_request_context(error, response)
            next_waiter = self.pool.release(self, False)
            if next_waiter is not None:
                await next_waiter.wake
            raise

    def apply_body_limit(self):
        """Apply `max_body` to a streamed body that no other request follows.

        Raises `ResponseTooLarge` if the body is known to be larger.
        """
        try:
            self.parser.apply_limit()
        except errors.ResponseTooLarge as error:
            self.add_request_context(error, self.response)
            raise

    async def aclose(self):
        """Leave a streamed body unread: close, and give the place to the next in line.

        A task that is reading it gets `StreamConsumed`, and closes it.
        """
        cdef Waiter next_waiter
        if self.is_active:
            self.abort_exchange(STREAM_CLOSED)
            return
        next_waiter = self.pool.release(self, False)
        if next_waiter is not None:
            await next_waiter.wake

    async def release(self):
        """Give back a connection over which no exchange was begun."""
        cdef Waiter next_waiter = self.pool.release(self, True)
        if next_waiter is not None:
            await next_waiter.wake

    def close_nowait(self, BaseHttpResponse response=None):
        """As `aclose`, from code that can't await; the next in line is woken by the keeper.

        With `response`, only if it is still the one being read: else the connection is another's.
        """
        if response is None or self.response is response:
            self.pool.close_nowait(self)

    cdef void begin(self, bytes head, BaseHttpResponse response, bint is_head_request, long long max_body,
                    bint close_after, followup_statuses, bint strict, double clock) noexcept:
        """Set everything for an exchange. `clock`: the time, if it was just read, or 0.0."""
        self.response = response
        self.parser.followup_statuses = followup_statuses
        self.parser.is_head_request = is_head_request
        self.parser.max_body = max_body
        self.parser.strict = response.strict = strict
        self.parser.keeps_framing = response.keeps_framing
        self.close_after = close_after
        response.sent_head = head
        response.origin = self.origin.name
        response.reused = self.request_count > 0
        response.body = None
        response.started = self.last_activity = clock if clock else now()
        self.has_response_bytes = self.is_request_incomplete = False
        self.abort_reason = NOT_ABORTED
        self.deadline = 0.0
        self.is_sending = self.is_active = True
        self.bytes_out = 0

    cdef void set_deadline(self, double elapsed_seconds) noexcept:
        """Let the keeper cut the exchange off that long after its beginning."""
        self.timeout = elapsed_seconds
        self.deadline = self.response.started + elapsed_seconds

    cdef bint needs_followup(self) except -1:
        """Whether this answer needs a look at its head before its body is read (on_the_way.pyx)."""
        cdef ResponseParser parser = self.parser
        return parser.followup_statuses is not None and parser.status in parser.followup_statuses

    cdef Waiter finish(self):
        """The answer is complete: back to the pool, or closed if it can't be reused."""
        cdef ResponseParser parser = self.parser
        cdef BaseHttpResponse response = self.response
        cdef bint reusable = (parser.is_reusable() and not self.is_request_incomplete
                              and self.abort_reason == NOT_ABORTED and not self.close_after)
        self.is_active = False
        response.trailers = parser.trailers()
        response.completed = self.last_activity
        self.request_count += 1
        self.response = None
        parser.head = None
        return self.pool.release(self, reusable)

    # -- what went wrong

    cdef object make_error(self, error):
        """The exception for a connection that ended too early, or by an error of the system."""
        if self.abort_reason == SESSION_CLOSED or (self.abort_reason == NOT_ABORTED and self.state == CLOSED):
            return errors.SessionClosed("the session was closed while the request was under way")
        if self.abort_reason == STREAM_CLOSED:
            return errors.StreamConsumed("the body was closed while it was being read")
        if self.abort_reason == TOTAL_TIMEOUT:
            return errors.TotalTimeout(f"not done within timeout={self.timeout:g} s", self.timeout)
        if self.abort_reason == IDLE_TIMEOUT:
            if self.is_sending:
                return errors.WriteTimeout(
                    f"the server took no bytes for {self.write_timeout:g} s", self.write_timeout)
            return errors.ReadTimeout(
                f"the server was silent for {self.read_timeout:g} s", self.read_timeout)
        seen = self.parser.progress()
        if error is None:
            describe_request = "the server closed the connection"
        elif isinstance(error, OSError) and is_enomem(error.errno):
            describe_request = f"the system gave up the connection ({error})"
        else:
            describe_request = f"the server broke the connection ({error})"
        failure = errors.ServerClosedConnectionError(f"{describe_request} {seen}")
        failure.is_stale = self.request_count > 0 and not self.has_response_bytes
        failure.is_unsent = self.bytes_out == 0
        return failure

    cdef void keep_partial_body(self, error, BaseHttpResponse response):
        """Give a response that broke off what arrived of its body, and the error that response."""
        cdef BytesBuilder builder = self.builder
        self.builder = None
        if response.body is None:
            response.body = self.parser.take_body() if builder is None else builder.finish_at(builder.used)
        response.is_truncated = True
        if isinstance(error, errors.ConnectivityError):
            error.response = response

    cdef void add_request_context(self, error, BaseHttpResponse response):
        """Put the request in front of what an error of ours says, and how long it took behind."""
        cdef double elapsed
        if response is not None and response.head_received != 0.0:
            self.keep_partial_body(error, response)
        if response is not None and isinstance(error, errors.AsksException) and error.args:
            elapsed = now() - response.started
            after = f" [{elapsed:.3f} s after sending]" if elapsed >= 0.001 else ""
            error.args = (f"{response.describe_request()}: {error.args[0]}{after}", *error.args[1:])


async def wait_readable_or_writable(FileHandle handle):
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
