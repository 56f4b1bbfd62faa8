# One exchange: a request on its way to its response, and the resources that it holds meanwhile.
#
# Facts:  many requests differ in head and body only; the rest of what an exchange must know is one
#         ExchangeOptions object, which a request template keeps.
# Rules:  an exchange holds nothing, a slot of the pool, or a connection. `abort` releases
#         what it holds, in every state, and may be called again.
# Implemented elsewhere: sending and receiving (Pool.run); redirects, challenges, retries (RequestFlow).


@cython.final
cdef class ExchangeOptions:
    """What all exchanges of one kind have in common; never changed once made."""

    def __cinit__(self, OriginPool origin not None, *, connect_socket=None, followup_statuses=None,
                  observe_response=None, type response_class=None, response_options=None,
                  str encoding=None, bint is_head_request=False,
                  bint is_idempotent=False, bint retry_stale=True, bint has_retry_policy=False,
                  bint stores_cookies=False, int max_redirects=0, bint close_after=False,
                  bint stream=False, bint strict=False, bint keeps_framing=False,
                  long long max_body=-1, double pool_timeout=0.0, double read_timeout=-1.0,
                  double write_timeout=-1.0, double expect_seconds=0.0):
        self.origin = origin
        self.connect_socket = connect_socket
        self.followup_statuses = followup_statuses
        self.first_followup_status = min(followup_statuses, default=1000) if followup_statuses else 1000
        self.observe_response = observe_response
        if response_class is not None and not issubclass(response_class, BaseHttpResponse):
            raise TypeError(f"{response_class!r} is not a subclass of BaseHttpResponse")
        self.response_class = response_class
        self.response_options = response_options
        self.encoding = encoding
        self.is_head_request = is_head_request
        self.is_idempotent = is_idempotent
        self.retry_stale = retry_stale
        self.close_after = close_after
        self.has_retry_policy = has_retry_policy
        self.stores_cookies = stores_cookies
        self.needs_finish = stores_cookies or stream or observe_response is not None
        self.max_redirects = max_redirects
        self.stream = stream
        self.strict = strict
        self.keeps_framing = keeps_framing
        self.max_body = max_body
        self.pool_timeout = pool_timeout
        self.read_timeout = read_timeout
        self.write_timeout = write_timeout
        self.expect_seconds = expect_seconds

    cdef bint is_followup(self, int status) except -1:
        """Whether a response with this status may lead to another request."""
        return status >= self.first_followup_status and status in self.followup_statuses


@cython.final
@cython.freelist(64)
cdef class Exchange:
    """One request and its response: sent once, or twice if a reused connection was stale."""

    def __init__(self, ExchangeOptions options not None, bytes head not None,
                 BaseHttpResponse response not None, body=None):
        self.options = options
        self.head = head
        self.body = body
        self.set_response(response)

    @property
    def response(self):
        """The response: complete once the exchange is."""
        return self.get_response()

    cdef BaseHttpResponse get_response(self):
        """The response. It is made when first needed: thousands of exchanges may wait without one."""
        if self._response is None:
            # `__init__` of a response has nothing to do without arguments.
            self.set_response(
                <BaseHttpResponse>new_instance(self.options.response_class, NO_ARGUMENTS))
        return self._response

    cdef void set_response(self, BaseHttpResponse response) noexcept:
        """Set the response, and what of it is the same for each try."""
        cdef ExchangeOptions options = self.options
        self._response = response
        response.sent_head = self.head
        response.origin = options.origin.name
        response.strict = options.strict
        if options.response_options is not None:
            response._options = options.response_options
            response.keeps_framing = options.keeps_framing
        if options.encoding is not None:
            response._encoding = options.encoding

    @property
    def target(self):
        """The target in the request line, as text."""
        return self.head[self.head.index(b" ") + 1:self.head.index(b" HTTP/1.1\r\n")].decode("ascii")

    @property
    def time_left(self):
        """Seconds left of the time limit; None without a limit."""
        self.stop_clock()
        return self.time_remaining if self.timeout else None

    @property
    def elapsed(self):
        """Seconds used of the time limit so far; the wait for a connection does not count."""
        self.stop_clock()
        return self.timeout - self.time_remaining if self.timeout else 0.0

    def set_time_limit(self, double timeout, double time_left):
        """Limit the exchange to `time_left` seconds, of a limit of `timeout` for the whole request."""
        self.timeout = timeout
        self.time_remaining = max(time_left, 0.0)

    def follow(self, str location not None):
        """The exchange that follows a redirect of a GET to the same origin; None if it needs more.

        `location` must be a plain path, or such a path after the very origin of this exchange. All
        header fields are kept, and what is left of the time limit.
        """
        cdef Exchange following
        cdef BaseHttpResponse previous = self._response
        cdef BaseHttpResponse response
        cdef str origin = self.options.origin.name
        cdef bytes head = self.head
        cdef list history = self.history if self.history is not None else []
        if len(history) >= self.options.max_redirects or self.connection is not None:
            return None
        if location.startswith(origin):
            location = location[len(origin):]
        if not location.startswith("/") or location.startswith("//") or not is_plain_path(location):
            return None
        head = b"GET " + location.encode("ascii") + head[head.index(b" ", 4):]
        following = Exchange.__new__(Exchange)
        following.options = self.options
        following.head = head
        response = following.get_response()
        previous._history = None
        following.history = response._history = [*history, previous]
        response.attempts = previous.attempts + 1
        following.timeout = self.timeout
        following.time_remaining = self.time_left if self.timeout else 0.0
        return following

    cpdef object attach_stream(self):
        """Make the body of the response a stream, and give it the connection."""
        cdef BaseHttpResponse response = self._response
        cdef BaseStreamBody body = <BaseStreamBody?>new_instance(response._body_class, NO_ARGUMENTS)
        if response.completed != 0.0:
            body.attach(response, None, response.body)
        else:
            body.attach(response, self.connection, b"")
        response.body = body
        self.connection = None

    # -- for Pool.run

    cdef void start_clock(self, double clock) noexcept:
        if self.timeout:
            self.clock_started = clock if clock else now()

    cdef void stop_clock(self) noexcept:
        if self.clock_started:
            self.time_remaining -= now() - self.clock_started
            self.clock_started = 0.0

    cdef object to_total_timeout(self):
        return errors.TotalTimeout(f"not done within timeout={self.timeout:g} s", self.timeout)

    cdef void add_context(self, error):
        """Name the request in an error, and how long it took if it was sent."""
        if self.is_begun:
            add_request_context(self.connection, error, self._response)
        elif isinstance(error, errors.AsksException):
            errors.add_request_context(error, self.get_response().describe_request())

    cdef bint may_resend(self, error) except -1:
        """Whether a failure is a stale connection, after which the request may be sent once more."""
        return (isinstance(error, errors.ServerClosedConnectionError) and error.is_stale
                and self.options.retry_stale and not self.force_new_connection
                and (self.options.is_idempotent or error.is_unsent)
                and (self.body is None or self.body.buffered is not None or self.body.is_replayable))

    cdef Waiter release(self):
        """Give up what the exchange holds. Returns the waiter that gets the slot, to be woken."""
        connection, self.connection = self.connection, None
        self.is_begun = False
        if connection is not None:
            return (<Connection>connection).pool.release(connection, False)
        if self.owns_slot:
            self.owns_slot = False
            return self.options.origin.pool.release_slot(self.options.origin)
        return None

    cpdef void abort(self):
        """Give up what the exchange holds, from where nothing can be awaited. Safe to call again."""
        connection, self.connection = self.connection, None
        self.is_begun = False
        if connection is not None:
            (<Connection>connection).pool.close_nowait(connection)
        elif self.owns_slot:
            self.owns_slot = False
            self.options.origin.pool.cancel_reservation_nowait(self.options.origin)
