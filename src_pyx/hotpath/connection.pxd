# One connection: its socket, parser, place in the pool, times and limits; implemented in connection.pyx.

@cython.final
cdef class Connection:
    cdef readonly int fd            # -1 once closed
    cdef readonly object tls        # the object that reads and writes through TLS; None without TLS
    cdef object ssl_object          # the C object in an SSLSocket; or None
    cdef bint has_tls_data          # it holds bytes of a record, an end or an error, not read yet
    cdef object sock                # the socket object that closes the descriptor; None once closed
    cdef FileHandle handle
    cdef Trap readable
    cdef ResponseParser parser
    cdef Pool pool
    cdef OriginPool origin
    cdef Link idle_link             # in the pool's list of idle connections
    cdef Link origin_link           # in its origin's list of them
    cdef readonly int state         # IDLE, IN_USE, CLOSED
    cdef readonly int request_count  # responses read to their end
    cdef int fork_generation        # of the process that made it (see _after_fork)
    cdef double created_at          # monotonic seconds
    cdef double expires_at          # when it is too old to be reused; 0.0 for never
    cdef double idle_deadline       # when it may no longer be reused unless it is used before; or 0.0
    cdef double blocked_since       # when the current wait for the peer began; 0.0 without one
    cdef double last_activity       # when the clock was read last: once for all that happens at once
    cdef public double read_timeout     # seconds without a byte from the peer; 0.0 for no limit
    cdef public double write_timeout    # seconds without the peer taking a byte; 0.0 for no limit
    cdef Py_ssize_t low_watermark   # bytes that must be there before the task is woken (body_buffer.pyx)
    cdef int unread_bytes_seen      # those of them that the monitor saw last
    cdef Py_ssize_t last_chunked_size   # bytes of the last long chunked body
    cdef bint fills_buffer          # the last piece of a stream nearly filled the pool's buffer
    cdef double timeout             # seconds for the whole exchange,
    cdef double deadline            # and when they are over; 0.0 for no limit
    cdef int abort_reason           # NOT_ABORTED or why the exchange was ended under its task
    cdef bint is_active             # a task is in `Pool.run` or `read_piece`
    cdef bint is_sending            # the request is not sent yet
    cdef bint close_after           # the request says `Connection: close`
    cdef bint is_request_incomplete  # not sent to its end: the connection is never reused
    cdef bint has_response_bytes    # a byte of the response came
    cdef Py_ssize_t bytes_out       # of the request, taken by the socket
    cdef BaseHttpResponse response  # the one being read
    cdef BytesBuilder builder       # its body while it is received into a buffer of its own
    cdef readonly object peer       # (address, port)

    cdef void close(self)
    cdef void detach(self)
    cdef void shutdown(self)
    cdef void abort_exchange(self, int by)
    cdef bint is_reusable(self, double clock) noexcept
    cdef bint has_no_app_data(self) noexcept
    cdef Py_ssize_t send(self, const char *data, Py_ssize_t length) except -2
    cdef Py_ssize_t send_head(self, bytes head) except -2
    cdef Py_ssize_t send_tls(self, data, Py_ssize_t length) except -2
    cdef Py_ssize_t after_failed_send(self, Py_ssize_t length, error) except -2
    cdef Py_ssize_t recv(self, char *data, Py_ssize_t size, bint many) except -2
    cdef Py_ssize_t recv_record(self, char *data, Py_ssize_t size) except -2
    cdef bint has_buffered_data(self) except -1
    cdef Py_ssize_t recv_tls(self, char *data, Py_ssize_t size) except -2
    cdef int receive(self) except -1
    cdef void set_response_head(self)
    cdef void set_low_watermark(self, long long rest)
    cdef void check_partial_data(self, double clock)
    cdef void begin(self, Exchange exchange, double clock) noexcept
    cdef void set_deadline(self, Exchange exchange) noexcept
    cdef Waiter finish(self)
