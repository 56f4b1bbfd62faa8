# One connection: a descriptor, TLS if any, a parser, and the exchange under way on it.
#
# Facts:  when a request was sent its response is not there yet, so wait first, then read. The end of
#         input wakes a task that waits for input. curio changes task only at an await.
# Rules:  a connection is idle, in use, or closed. It has one exchange at a time. An exchange that ends
#         in any other way than with a complete response closes it, before its slot is passed on.
#         Closing is synchronous: no task waits on the descriptor when its owner closes it.
# Implemented elsewhere: which request gets the connection, and the order of sending and receiving
#         (run_exchange.pyx); names, addresses, handshakes (asks_fast/_transport).

cdef enum:
    IDLE = 0
    IN_USE = 1
    CLOSED = 2

cdef enum:
    MAX_TLS_RECORD = 16384         # bytes in the longest TLS record (RFC 8446 §5.1)

cdef enum:
    # Why an exchange was ended under its task, which then closes the connection.
    NOT_ABORTED = 0
    IDLE_TIMEOUT = 1            # the peer sent, or took, no byte for too long
    SESSION_CLOSED = 2          # the session was closed
    STREAM_CLOSED = 3           # another task closed the body
    TOTAL_TIMEOUT = 4           # the time for the whole exchange is over

cdef object close_socket = Socket.__base__.close     # the method of the C type
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

    def __cinit__(self, Pool pool not None, OriginPool origin not None, sock not None):
        self.pool = pool
        self.origin = origin
        self.idle_link.owner = self.origin_link.owner = <PyObject *>self
        self.fd = sock.fileno()
        self.sock = sock
        self.tls = None
        if hasattr(sock, "do_handshake"):
            self.tls = sock
            self.ssl_object = getattr(sock, "_sslobj", None)
            self.has_tls_data = sock.pending() > 0
            if WantRead is None:
                meet_tls()
        self.handle = FileHandle(self.fd)
        self.readable = read_trap(self.handle)
        self.parser = ResponseParser(pool.parsers, origin.last_head)
        self.state = IN_USE
        self.low_watermark = 1
        self.fork_generation = fork_generation
        self.created_at = self.last_activity = now()

    def __dealloc__(self):
        remove_link(&self.idle_link)
        remove_link(&self.origin_link)

    def fileno(self):
        return self.fd

    def __repr__(self):
        cdef str state = ("idle", "in use", "closed")[self.state]
        return f"<Connection {self.origin.name!r} {state}, {self.request_count} requests>"

    cdef void close(self):
        """Close the socket; safe to call again. Its slot in the pool is not freed."""
        if self.state != CLOSED:
            self.response = None
            self.detach()

    cdef void detach(self):
        """Close the descriptor, and leave the response to the task that may be reading it."""
        self.state = CLOSED
        self.pool.connections.pop(self, None)
        owner, self.sock, self.tls, self.ssl_object = self.sock, None, None, None
        self.fd = -1
        try:
            if type(owner) is Socket:
                close_socket(owner)
            else:
                owner.close()
        except (OSError, MemoryError):
            pass        # the descriptor is closed nevertheless, at the latest with its owner
        except KeyboardInterrupt:
            PyErr_SetInterrupt()    # again, when nothing is half done

    cdef void shutdown(self):
        """End both directions: a task that waits on it wakes up and closes it."""
        if self.fd >= 0 and self.fork_generation == fork_generation:
            c_shutdown(self.fd, SHUT_RDWR)

    cdef void abort_exchange(self, int by):
        """End the exchange under its task, which then raises the error for the reason `by`."""
        if self.abort_reason == NOT_ABORTED:
            self.abort_reason = by
        self.shutdown()

    cdef bint is_reusable(self, double clock) noexcept:
        """Whether it may serve another request: not expired, not forked, open, without data."""
        if (self.fork_generation != fork_generation
                or (self.idle_deadline and clock >= self.idle_deadline)):
            return False
        if self.tls is None:
            return is_open_without_data(self.fd)
        return not self.has_buffered_data() and (
            is_open_without_data(self.fd) or self.has_no_app_data())

    cdef bint has_no_app_data(self) noexcept:
        """Whether what came over TLS is a session ticket or the like, not data and not the end."""
        try:
            self.tls.recv_into(bytearray(1))
        except (WantRead, WantWrite):
            return True
        except OSError:
            pass
        return False

    # -- sending

    cdef Py_ssize_t send(self, const char *data, Py_ssize_t length) except -2:
        """Send what the socket takes now; -1 when it takes nothing."""
        cdef Py_ssize_t sent_bytes
        if self.tls is not None:
            return self.send_tls(PyMemoryView_FromMemory(<char *>data, length, 0x100), length)
        sent_bytes = send_bytes(self.fd, data, length)
        if sent_bytes < 0:
            if errno == EAGAIN:
                return -1
            return self.after_failed_send(length, OSError(errno, os.strerror(errno)))
        self.bytes_out += sent_bytes
        return sent_bytes

    cdef Py_ssize_t send_head(self, bytes head) except -2:
        """As `send`, for all of a bytes object."""
        if self.tls is not None:
            return self.send_tls(head, PyBytes_GET_SIZE(head))
        return self.send(PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))

    cdef Py_ssize_t send_tls(self, data, Py_ssize_t length) except -2:
        """As `send`, through TLS: the `length` bytes of a buffer object."""
        cdef Py_ssize_t sent_bytes
        try:
            sent_bytes = (self.tls.send(data) if self.ssl_object is None
                          else self.ssl_object.write(data))
        except (WantWrite, WantRead):
            return -1
        except OSError as error:
            return self.after_failed_send(length, error)
        self.bytes_out += sent_bytes
        return sent_bytes

    cdef Py_ssize_t after_failed_send(self, Py_ssize_t length, error) except -2:
        """Return `length`, as if everything was sent, if the connection is closed; else raise.

        What the server sent before it closed the connection is worth more than the failure to write,
        and if it sent nothing the read will fail. A connection that is open, but for which the
        system has no memory, is an error. TLS has one error for both.
        """
        if is_up(self.fd):
            raise connection_error(self, error)
        self.is_request_incomplete = True
        return length

    # -- receiving

    cdef Py_ssize_t recv(self, char *data, Py_ssize_t size, bint many) except -2:
        """Receive up to `size` bytes; 0 at the end of input, -1 when no data has arrived yet."""
        cdef Py_ssize_t received
        if self.tls is not None:
            return self.recv_tls(data, size)
        received = recv_bytes(self.fd, data, size, many)
        if received < 0 and errno != EAGAIN:
            raise connection_error(self, OSError(errno, os.strerror(errno)))
        return received

    cdef Py_ssize_t recv_record(self, char *data, Py_ssize_t size) except -2:
        cdef ReceiveBuffer receive_buffer = self.pool.receive_buffer
        if data == receive_buffer.data and size == receive_buffer.capacity:
            view = receive_buffer.writable_view()
        else:
            view = PyMemoryView_FromMemory(data, size, 0x200)
        if self.ssl_object is None:
            return self.tls.recv_into(view, size)
        return self.ssl_object.read(size, view)

    cdef bint has_buffered_data(self) except -1:
        """Whether bytes can be read that the descriptor does not report, because TLS holds them."""
        if self.tls is None:
            return False
        return self.has_tls_data or (self.ssl_object is None and self.tls.pending() > 0)

    cdef Py_ssize_t recv_tls(self, char *data, Py_ssize_t size) except -2:
        """As `recv`, through TLS: as many records as are there and fit."""
        cdef Py_ssize_t received = 0, got
        self.has_tls_data = False
        try:
            while received < size:
                got = self.recv_record(data + received, size - received)
                received += got
                if got < MAX_TLS_RECORD:
                    # The last of a burst: more will wake us again. An end, which TLS has read, won't.
                    self.has_tls_data = got == 0 and received > 0
                    break
        except (WantRead, WantWrite):
            return received if received else -1
        except OSError as error:
            if received:        # complete records count; the next call has the error again
                self.has_tls_data = True
                return received
            raise connection_error(self, error)
        if received == size and self.ssl_object is not None:    # else no part of a record is left
            self.has_tls_data = self.ssl_object.pending() > 0
        return received

    cdef int receive(self) except -1:
        """Read once and parse: NEED_DATA, HEAD_COMPLETE or MESSAGE_COMPLETE. Errors say what came."""
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
                raise connection_error(self, None)
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
        """Give a received head to the response."""
        cdef BaseHttpResponse response = self.response
        cdef ResponseParser parser = self.parser
        response.status_code = parser.status
        response.http_minor = parser.minor
        response.header_fields = None
        response.response_head = parser.head
        response.is_unencoded = not parser.has_content_encoding
        if parser.raw_chunks is not None:
            response.framed_body = parser.raw_chunks
        response.interim = parser.interim
        response.head_received = self.last_activity

    cdef void set_low_watermark(self, long long rest):
        """Wake the task only when much of the `rest` that must still come is there (body_buffer.pyx)."""
        cdef Py_ssize_t mark = 1
        if self.tls is not None:
            # The bytes of a record that TLS holds do not come again; of other objects this is not known.
            rest = (rest - MAX_PARTIAL_RECORD
                    if self.ssl_object is not None and rest > 2 * MAX_PARTIAL_RECORD else 1)
        if rest > 1:
            mark = <Py_ssize_t>min(rest, <long long>LOW_WATERMARK)
        if mark != self.low_watermark:
            self.unread_bytes_seen = 0
            self.low_watermark = mark if set_rcvlowat(self.fd, <int>mark) == 0 else 1

    cdef void check_partial_data(self, double clock):
        """Check for data below the mark at which the task is woken.

        Then the peer is not silent. If no more came since the last check, the task is woken for what
        there is, so that it cannot wait for ever.
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
                 double expect_seconds=0.0, bint close_after=False, followup_statuses=None,
                 bint strict=False):
        """Send a request on this connection and read its response: an awaitable.

        `head` may end in a small body; `body` follows it, piece by piece, after waiting up to
        `expect_seconds` for 100 Continue. With `stream` it returns at the head, and `read_piece`
        gives the rest. The other arguments are those of `ExchangeOptions`. Raises
        `ConnectivityError` or `BadHttpResponse`; then, and when it is cancelled at any point, the
        connection is closed and the next waiter gets its slot.
        """
        cdef Exchange exchange = Exchange(ExchangeOptions(
            self.origin, is_head_request=is_head_request, max_body=max_body, stream=stream,
            strict=strict,
            expect_seconds=expect_seconds, close_after=close_after, followup_statuses=followup_statuses,
        ), head, response, body)
        exchange.connection = self
        exchange.force_new_connection = True    # an exchange on a given connection is not repeated
        return run_exchange(exchange)

    async def read_piece(self):
        """The next bytes of a streamed body as received; `b""` at its end.

        With the last bytes the connection goes back to the pool. Errors and cancellation close it,
        and the next waiter gets its slot.
        """
        cdef BaseHttpResponse response = self.response
        cdef int found = HEAD_COMPLETE
        cdef bytes piece
        cdef Waiter next_waiter
        if self.state != IN_USE:
            raise connection_error(self, None)
        self.is_active = True
        self.last_activity = now()
        try:
            while found == HEAD_COMPLETE and not self.parser.has_piece():
                if not self.has_buffered_data():
                    self.blocked_since = self.last_activity
                    await self.readable
                found = receive_piece(self) if self.fills_buffer else self.receive()
            piece = self.parser.take_body()
            self.fills_buffer = 4 * PyBytes_GET_SIZE(piece) > 3 * self.pool.receive_buffer.capacity
            if found == HEAD_COMPLETE:
                self.is_active = False
                return piece
            next_waiter = self.finish()
            if next_waiter is not None:
                await next_waiter.wake
            return piece
        except GeneratorExit:
            self.pool.close_nowait(self)
            raise
        except BaseException as error:
            add_request_context(self, error, response)
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
            add_request_context(self, error, self.response)
            raise

    async def aclose(self):
        """Close a connection with an unread streamed body; the next waiter gets its slot.

        A task that is reading the body gets `StreamConsumed`, and closes the connection.
        """
        cdef Waiter next_waiter
        if self.is_active:
            self.abort_exchange(STREAM_CLOSED)
            return
        next_waiter = self.pool.release(self, False)
        if next_waiter is not None:
            await next_waiter.wake

    async def release(self):
        """Give back a connection on which no exchange was begun."""
        cdef Waiter next_waiter = self.pool.release(self, True)
        if next_waiter is not None:
            await next_waiter.wake

    def close_nowait(self, BaseHttpResponse response=None):
        """As `aclose`, from code that cannot await; the monitor wakes the next waiter.

        With `response`, only if it is still the one being read: else another exchange has the
        connection.
        """
        if response is None or self.response is response:
            self.pool.close_nowait(self)

    cdef void begin(self, Exchange exchange, double clock) noexcept:
        """Set everything for an exchange. `clock`: the time, if it was just read, or 0.0."""
        cdef ExchangeOptions options = exchange.options
        cdef BaseHttpResponse response = exchange._response
        cdef ResponseParser parser = self.parser
        exchange.is_begun = True
        self.response = response
        parser.followup_statuses = options.followup_statuses
        parser.is_head_request = options.is_head_request
        parser.max_body = options.max_body
        parser.strict = options.strict
        parser.keeps_framing = response.keeps_framing
        self.close_after = options.close_after
        response.reused = self.request_count > 0
        response.body = None
        response.started = self.last_activity = clock if clock else now()
        self.has_response_bytes = self.is_request_incomplete = False
        self.abort_reason = NOT_ABORTED
        self.deadline = 0.0
        self.is_sending = self.is_active = True
        self.bytes_out = 0
        if options.read_timeout >= 0.0:
            self.read_timeout = options.read_timeout
        if options.write_timeout >= 0.0:
            self.write_timeout = options.write_timeout

    cdef void set_deadline(self, Exchange exchange) noexcept:
        """Let the pool monitor end the exchange when its time is over."""
        self.timeout = exchange.timeout
        self.deadline = exchange.clock_started + exchange.time_remaining

    cdef Waiter finish(self):
        """End a complete exchange: the connection goes back to the pool, or is closed."""
        cdef ResponseParser parser = self.parser
        cdef BaseHttpResponse response = self.response
        cdef bint reusable = (parser.is_reusable() and not self.is_request_incomplete
                              and self.abort_reason == NOT_ABORTED and not self.close_after)
        self.is_active = False
        response.trailers = parser.trailers()
        if reusable and parser.message_parser is not None:
            parser.return_parser()
        response.completed = self.last_activity
        self.request_count += 1
        self.response = None
        parser.head = None
        return self.pool.release(self, reusable)
