# The connection pool: which request gets which connection, and the one path that sends requests.
#
# Facts:  a connection is idle, in use, or closed. A slot is an open connection, or the right to open
#         one. Idle connections of an origin are reused newest first and evicted oldest first. curio
#         changes task only at an await, and decisions are made without one, so there is no lock.
# Rules:  decide first, do I/O after. A freed slot is handed directly to the next waiter, so a newcomer
#         cannot take it in between. Everything is O(1) except `check_deadlines`. Waiters of one
#         origin are served in order of arrival. A freed connection is worth more to a waiter of its
#         own origin than to another one, which must close it and open a new one. So the former may
#         overtake, but at most MAX_OVERTAKES_PER_CONNECTION times per connection.
# Implemented elsewhere: the queue (wait_queue.pyx), opening sockets (asks_fast/_transport), retries and
#         redirects (asks_fast/_client), the task that calls `check_deadlines` (pool_monitor.py).

cdef double MONITOR_INTERVAL = 1.0     # seconds between two looks of the pool monitor at most

cdef enum:
    MAX_OVERTAKES_PER_CONNECTION = 8    # grants that may overtake a waiter, per connection


@cython.final
cdef class OriginPool:
    """The connections to one origin (under one set of connection options)."""

    cdef readonly object route      # what the connector needs to open one more
    cdef readonly str name          # "http://host:port"
    cdef readonly int open          # connections, and slots that were granted
    cdef int waiter_count           # its waiters in the pool's queue,
    cdef Waiter first_waiter, last_waiter   # which are linked
    cdef Connection idle_stack      # the idle connection used last; the others follow it
    cdef readonly WaitQueue queue   # waiters for whom this origin has too many connections
    cdef readonly Pool pool

    def __cinit__(self, Pool pool not None, route, str name not None):
        self.pool = pool
        self.route = route
        self.name = name
        self.queue = WaitQueue()

    def __repr__(self):
        return f"<OriginPool {self.name!r} {self.open} open, {len(self.queue)} waiting>"


@cython.final
cdef class Pool:
    """The connections of a session: at most `limit` are open, `limit_per_origin` to one origin."""

    cdef readonly int limit
    cdef readonly int limit_per_origin             # most connections to one origin; 0 for no such limit
    cdef readonly int open              # connections, and slots that were granted
    cdef readonly bint closed
    cdef public double idle_timeout     # how long an idle connection is kept; 0.0 for ever
    cdef public double read_timeout     # seconds without a byte from the peer; 0.0 for no limit
    cdef public double write_timeout    # seconds without the peer taking a byte; 0.0 for no limit
    cdef public int max_requests        # on one connection; 0 for no limit
    cdef public double max_age          # of one connection, in seconds; 0.0 for no limit
    cdef public object wake_monitor     # a function that wakes the monitor; None without a monitor
    cdef public object kernel           # in which the monitor runs; None without one
    cdef public unsigned long thread    # in which the monitor runs; 0 without one
    cdef readonly Limits limits
    cdef readonly WaitQueue queue       # waiters for whom there is no slot
    cdef readonly long long created     # connections opened so far
    cdef readonly long long reused_count    # exchanges over a connection that had served before
    cdef readonly long long evictions
    cdef long long arrival_counter
    cdef bint has_pending_wakeups       # slots were freed where no task could be woken
    cdef double next_check              # when the monitor looks next (monotonic); 0.0 without one
    cdef double acquired_at             # the time of the last look for a connection, if it was read
    cdef int in_use
    cdef int idle
    cdef Connection oldest, newest      # idle connections, in the order they became idle
    cdef Connection newest_open         # open connections, in use or idle, in the order they were made
    cdef ReceiveBuffer receive_buffer
    cdef dict origins
    cdef object __weakref__

    def __cinit__(self, int limit, *, int limit_per_origin=0, Limits limits=None,
                  Py_ssize_t buffer=65536):
        if limit < 1:
            raise ValueError(f"connections must be at least 1, not {limit}")
        if limit_per_origin < 0:
            raise ValueError(f"connections_per_host must not be negative: {limit_per_origin}")
        self.limit = limit
        self.limit_per_origin = limit_per_origin
        self.limits = limits if limits is not None else Limits()
        self.queue = WaitQueue()
        self.receive_buffer = ReceiveBuffer(buffer)
        self.origins = {}
        pools.add(self)

    def origin(self, route, str name not None):
        """The part of the pool for a route, made when first asked for."""
        found = self.origins.get(route)
        if found is None:
            if len(self.origins) > 2 * self.limit + 256:
                self.prune_origins()
            found = self.origins[route] = OriginPool(self, route, name)
        return found

    cdef void prune_origins(self):
        """Drop origins without connections: a crawl must not keep one for each host it ever met."""
        cdef OriginPool origin
        for route, origin in list(self.origins.items()):
            if origin.open == 0 and origin.waiter_count == 0 and origin.queue.length == 0:
                del self.origins[route]

    # -- taking

    cpdef Connection get_idle(self, OriginPool origin):
        """Take an idle, live connection to the origin, in use from now on; None if there is none."""
        cdef Connection connection
        self.acquired_at = 0.0
        if self.closed:
            raise errors.SessionClosed("the session is closed")
        if self.thread and self.thread != PyThread_get_thread_ident():
            raise errors.WrongThread(
                "this session is at work in another thread; make a session for each thread"
            )
        if self.queue.length or origin.queue.length:
            return None
        while origin.idle_stack is not None:
            connection = origin.idle_stack
            self.remove_idle(connection)
            if connection.idle_deadline and self.acquired_at == 0.0:
                self.acquired_at = now()
            if connection.is_reusable(self.acquired_at):
                self.mark_in_use(connection)
                self.reused_count += 1
                return connection
            self.close_and_free(connection)
        return None

    cdef bint reserve_slot(self, OriginPool origin):
        """Reserve a slot for one more connection to the origin, evicting an idle one if necessary."""
        if self.limit_per_origin and origin.open >= self.limit_per_origin:
            if origin.idle_stack is None:
                return False
            self.evict(origin.idle_stack)      # of no use to one that needs a fresh connection
        if self.open >= self.limit:
            if self.oldest is None:
                return False
            self.evictions += 1
            self.evict(self.oldest)
        self.open += 1
        origin.open += 1
        return True

    cdef void evict(self, Connection connection):
        self.remove_idle(connection)
        self.close_and_free(connection)

    async def acquire(self, OriginPool origin not None, pool_timeout=None,
                      bint force_new_connection=False):
        """Wait for a connection; None means that a slot was reserved: open a connection.

        Such a slot must be used with `add_connection` or returned with `cancel_reservation`. Tasks of
        one origin are served in order of arrival; those of another may be preferred for a bounded
        time. `pool_timeout` is in seconds, None for no limit: `PoolTimeout`. With
        `force_new_connection` no connection is reused. A task that is cancelled leaves the queue.
        """
        cdef Waiter waiter
        cdef Connection connection
        if not force_new_connection:
            connection = self.get_idle(origin)
            if connection is not None:
                return connection
        elif self.closed:
            raise errors.SessionClosed("the session is closed")
        if self.has_pending_wakeups:
            await self.wake_pending()
        waiter = self.enqueue(origin)
        if waiter is None:
            return None
        if pool_timeout is None:
            await waiter
            return self.granted_connection(waiter, force_new_connection)
        await self.wait_within(waiter, pool_timeout)
        return self.granted_connection(waiter, force_new_connection)

    cdef Waiter enqueue(self, OriginPool origin):
        """A waiter, to be awaited; None means that a slot was reserved: open a connection."""
        cdef Waiter waiter
        if self.queue.length == 0 and origin.queue.length == 0 and self.reserve_slot(origin):
            return None
        self.arrival_counter += 1
        waiter = Waiter.__new__(Waiter, origin, self.arrival_counter)
        if self.limit_per_origin and origin.open + origin.waiter_count >= self.limit_per_origin:
            origin.queue.append(waiter)
        else:
            self.append_waiter(waiter)
        return waiter

    cdef Connection granted_connection(self, Waiter waiter, bint force_new_connection):
        """The connection that a waiter was granted; None means that it has a slot: open one."""
        cdef Connection connection = waiter.connection
        self.acquired_at = 0.0
        if connection is not None:
            # It was handed over unchecked: the server may have closed it, or sent something, since.
            if connection.idle_deadline:
                self.acquired_at = now()
            if force_new_connection or not connection.is_reusable(self.acquired_at):
                self.unmark_in_use(connection)
                connection.close()
                return None         # its slot is still the waiter's
            self.reused_count += 1
        return connection

    cdef void leave_queue(self, Waiter waiter):
        """Remove a waiter that was granted nothing; another one of its origin may move up."""
        if waiter.queue is not None:
            self.remove_waiter(waiter)
            self.promote_waiters(waiter.origin)

    cdef void append_waiter(self, Waiter waiter):
        """Append a waiter to the pool's queue, where any slot will do."""
        cdef OriginPool origin = waiter.origin
        self.queue.append(waiter)
        waiter.prev_of_origin = origin.last_waiter
        if origin.last_waiter is None:
            origin.first_waiter = waiter
        else:
            origin.last_waiter.next_of_origin = waiter
        origin.last_waiter = waiter
        origin.waiter_count += 1

    cdef void remove_waiter(self, Waiter waiter):
        """Remove a waiter from its queue, the pool's or that of its origin."""
        cdef OriginPool origin = waiter.origin
        cdef bint anywhere = waiter.queue is self.queue
        waiter.queue.remove(waiter)
        if not anywhere:
            return
        if waiter.prev_of_origin is None:
            origin.first_waiter = waiter.next_of_origin
        else:
            waiter.prev_of_origin.next_of_origin = waiter.next_of_origin
        if waiter.next_of_origin is None:
            origin.last_waiter = waiter.prev_of_origin
        else:
            waiter.next_of_origin.prev_of_origin = waiter.prev_of_origin
        waiter.prev_of_origin = waiter.next_of_origin = None
        origin.waiter_count -= 1

    cdef void promote_waiters(self, OriginPool origin):
        """Move waiters of an origin that may have more connections again to the pool's queue."""
        cdef Waiter waiter
        while (origin.queue.first is not None
                and origin.open + origin.waiter_count < self.limit_per_origin):
            waiter = origin.queue.first
            origin.queue.remove(waiter)
            self.append_waiter(waiter)

    cdef void release_grant_nowait(self, Waiter waiter):
        """Pass on what a waiter was granted, from where nothing can be awaited."""
        if waiter.connection is not None:
            self.close_nowait(waiter.connection)
        else:
            self.cancel_reservation_nowait(waiter.origin)

    def add_connection(self, OriginPool origin not None, sock not None, peer=None):
        """Make a connection, in use by the caller, of a socket; the slot was reserved before."""
        cdef Connection connection = Connection(self, origin, sock)
        connection.peer = peer
        if self.max_age:
            connection.expires_at = connection.created_at + self.max_age
        self.created += 1
        connection.open_prev = self.newest_open
        if self.newest_open is not None:
            self.newest_open.open_next = connection
        self.newest_open = connection
        self.mark_in_use(connection)
        return connection

    async def connect(self, OriginPool origin not None, connect_socket, Exchange exchange=None):
        """Open a connection for a reserved slot, over the socket that `connect_socket` returns.

        `connect_socket(origin)` is awaited for `(socket, peer)`. If that fails or is cancelled,
        the next waiter gets the slot. The connection is added to the pool before a signal can be
        handled, so Ctrl-C at any moment leaves no slot taken. The slot of `exchange` becomes its
        connection.
        """
        cdef Waiter next_waiter
        cdef Connection connection
        try:
            if exchange is not None:
                exchange.owns_slot = False
            sock, peer = await connect_socket(origin)
            connection = self.add_connection(origin, sock, peer)
            if exchange is not None:
                exchange.connection = connection
            return connection
        except GeneratorExit:
            self.cancel_reservation_nowait(origin)
            raise
        except BaseException:
            next_waiter = self.release_slot(origin)
            if next_waiter is not None:
                await next_waiter.wake
            raise

    # -- the request path

    def run(self, Exchange exchange not None):
        """Send a request, receive its response, give the connection back: a coroutine.

        Returns the response. Acquires a connection or opens one. Resends once, over a new
        connection, if a reused one was stale and nothing forbids it. The connection stays with the
        exchange if the response is not complete: with `stream`, and if its status is a followup
        status.

        Raises `AsksException`s. Then, and when it is cancelled at any point, the connection is
        closed, and the next waiter gets its slot.
        """
        return run_exchange(exchange)

    async def wait_within(self, Waiter waiter, double pool_timeout):
        """Wait for a connection or slot for at most so many seconds: `PoolTimeout`."""
        try:
            await timeout_after(pool_timeout, wait_for(waiter))
        except TaskTimeout:
            raise errors.PoolTimeout(
                f"{waiter.origin.name}: waited {pool_timeout:g} s for one of {self.limit} "
                "connections; more connections=, or a longer pool_timeout=, would help",
                pool_timeout,
            ) from None

    async def connect_exchange(self, Exchange exchange):
        """Open the connection of an exchange that owns a slot, within its time limit."""
        cdef ExchangeOptions options = exchange.options
        connect_socket = options.connect_socket
        if exchange.emit is not None:
            connect_socket = partial(connect_socket, on_step=exchange.emit.on_step)
        connecting = self.connect(options.origin, connect_socket, exchange)
        if exchange.timeout <= 0.0:
            await connecting
        else:
            exchange.start_clock(0.0)
            try:
                await timeout_after(exchange.time_remaining, connecting)
            except TaskTimeout:
                raise exchange.to_total_timeout() from None
        self.acquired_at = 0.0

    async def send_body(self, Exchange exchange):
        """Send the body of an exchange within its time limit; says what `receive` found.

        A body may wait for code of the user's, which the pool monitor cannot end.
        """
        if exchange.timeout <= 0.0:
            return await exchange.connection.send_body(exchange)
        try:
            return await timeout_after(
                max(exchange.clock_started + exchange.time_remaining - now(), 0.0),
                exchange.connection.send_body(exchange)
            )
        except TaskTimeout:
            raise exchange.to_total_timeout() from None

    cdef void check_earlier(self, Connection connection):
        """Wake the monitor if it would miss a time limit of this exchange."""
        cdef double first = connection.deadline, clock = connection.last_activity
        if connection.read_timeout and (first == 0.0 or clock + connection.read_timeout < first):
            first = clock + connection.read_timeout
        if connection.write_timeout and (first == 0.0 or clock + connection.write_timeout < first):
            first = clock + connection.write_timeout
        if first and first < self.next_check and self.wake_monitor is not None:
            self.next_check = first
            self.wake_monitor()

    cdef void unlink(self, Connection connection):
        """Remove a closed connection from the list of the open ones."""
        if connection.open_next is not None:
            connection.open_next.open_prev = connection.open_prev
        elif self.newest_open is connection:
            self.newest_open = connection.open_prev
        if connection.open_prev is not None:
            connection.open_prev.open_next = connection.open_next
        connection.open_prev = connection.open_next = None

    async def cancel_reservation(self, OriginPool origin not None):
        """Return a slot that could not be used; the next waiter gets it."""
        cdef Waiter next_waiter = self.release_slot(origin)
        if next_waiter is not None:
            await next_waiter.wake

    def cancel_reservation_nowait(self, OriginPool origin not None):
        """As `cancel_reservation`, where nothing can be awaited; the monitor wakes the next waiter."""
        self.open -= 1
        origin.open -= 1
        self.defer_wakeup(origin)

    # -- releasing

    cdef void mark_in_use(self, Connection connection):
        connection.state = IN_USE
        connection.blocked_since = 0.0
        connection.read_timeout = self.read_timeout
        connection.write_timeout = self.write_timeout
        self.in_use += 1

    cdef void unmark_in_use(self, Connection connection):
        connection.blocked_since = 0.0
        self.in_use -= 1

    cdef Waiter release(self, Connection connection, bint reusable):
        """Release a connection in use. Returns the waiter that gets it or its slot, to be woken."""
        cdef Waiter next_waiter
        cdef OriginPool origin = connection.origin
        if connection.state != IN_USE:
            return None
        self.unmark_in_use(connection)
        if reusable and self.closed:
            reusable = False
        if reusable and self.max_requests and connection.request_count >= self.max_requests:
            reusable = False
        if not reusable:
            connection.close()
            return self.release_slot(origin)
        self.set_idle_deadline(connection)
        next_waiter = self.next_waiter_for(origin, MAX_OVERTAKES_PER_CONNECTION * self.limit)
        if next_waiter is None:
            self.add_idle(connection)
            return None
        if next_waiter.origin is origin:
            self.mark_in_use(connection)
            next_waiter.connection = connection
            return self.grant(next_waiter)
        connection.close()
        origin.open -= 1
        next_waiter.origin.open += 1
        self.grant(next_waiter)
        self.promote_waiters(origin)
        return next_waiter

    cdef Waiter release_slot(self, OriginPool origin):
        """Free a slot. Returns the waiter that gets it, to be woken by a trap."""
        cdef Waiter next_waiter
        self.open -= 1
        origin.open -= 1
        next_waiter = self.next_waiter_for(origin, 0)
        if next_waiter is None:
            if self.closed and self.open == 0 and self.wake_monitor is not None:
                self.wake_monitor()         # nothing is left to monitor
            return None
        self.open += 1
        next_waiter.origin.open += 1
        self.grant(next_waiter)
        self.promote_waiters(origin)
        return next_waiter

    cdef Waiter grant(self, Waiter next_waiter):
        self.remove_waiter(next_waiter)
        next_waiter.is_granted = True
        return next_waiter

    cdef Waiter next_waiter_for(self, OriginPool origin, long long max_overtakes):
        """The waiter that gets what `origin` frees: the first of all, or the first of this origin.

        The latter goes first unless the former came more than `max_overtakes` arrivals earlier. An
        origin never has more connections and waiters in the pool's queue than it may have
        connections, so each waiter there can use any slot.
        """
        cdef Waiter first = self.queue.first, own = origin.queue.first
        if own is None or (origin.first_waiter is not None
                           and origin.first_waiter.arrival < own.arrival):
            own = origin.first_waiter
        if own is None or (first is not None and first.arrival + max_overtakes < own.arrival):
            return first
        return own

    def close_nowait(self, Connection connection not None):
        """Close a connection in use, where nothing can be awaited; the monitor wakes the next waiter."""
        if connection.state != IN_USE:
            return
        self.unmark_in_use(connection)
        self.close_and_free(connection)
        self.defer_wakeup(connection.origin)

    cdef void defer_wakeup(self, OriginPool origin):
        """Note that a slot was freed where no task can be woken; the monitor or a request will."""
        self.promote_waiters(origin)
        if self.queue.length:
            self.has_pending_wakeups = True
            if self.wake_monitor is not None:
                self.wake_monitor()

    cdef void close_and_free(self, Connection connection):
        connection.close()
        self.open -= 1
        connection.origin.open -= 1

    async def wake_pending(self):
        """Wake waiters for the slots that were freed where no task could be woken."""
        cdef Waiter next_waiter
        self.has_pending_wakeups = False
        while self.queue.length:
            next_waiter = self.queue.first
            if not self.reserve_slot(next_waiter.origin):
                return
            await self.grant(next_waiter).wake

    # -- idle connections

    cdef void set_idle_deadline(self, Connection connection) noexcept:
        """Set until when a connection may be reused: by age, idle time and the server's hint."""
        cdef double deadline = connection.expires_at
        cdef double idle = self.idle_timeout
        cdef double hint = connection.parser.keep_alive_timeout
        if hint and (idle == 0.0 or hint < idle):
            idle = hint
        if idle and (deadline == 0.0 or connection.last_activity + idle < deadline):
            deadline = connection.last_activity + idle
        connection.idle_deadline = deadline

    cdef void add_idle(self, Connection connection):
        cdef OriginPool origin = connection.origin
        connection.state = IDLE
        connection.stack_next = origin.idle_stack
        connection.stack_prev = None
        if origin.idle_stack is not None:
            origin.idle_stack.stack_prev = connection
        origin.idle_stack = connection
        connection.idle_prev = self.newest
        connection.idle_next = None
        if self.newest is None:
            self.oldest = connection
        else:
            self.newest.idle_next = connection
        self.newest = connection
        self.idle += 1

    cdef void remove_idle(self, Connection connection):
        if connection.stack_prev is None:
            connection.origin.idle_stack = connection.stack_next
        else:
            connection.stack_prev.stack_next = connection.stack_next
        if connection.stack_next is not None:
            connection.stack_next.stack_prev = connection.stack_prev
        connection.stack_prev = connection.stack_next = None
        if connection.idle_prev is None:
            self.oldest = connection.idle_next
        else:
            connection.idle_prev.idle_next = connection.idle_next
        if connection.idle_next is None:
            self.newest = connection.idle_prev
        else:
            connection.idle_next.idle_prev = connection.idle_prev
        connection.idle_prev = connection.idle_next = None
        self.idle -= 1

    # -- for the pool monitor

    def check_deadlines(self):
        """Close connections that were idle too long, and end exchanges whose time is over.

        Returns the seconds until the next call is due, or None if there is nothing to monitor.
        """
        cdef double clock = now(), deadline, timeout, next_deadline = 0.0
        cdef Connection connection = self.oldest, next_connection
        while connection is not None:
            next_connection = connection.idle_next
            deadline = connection.idle_deadline
            if deadline and deadline <= clock:
                self.evict(connection)
            elif deadline and (next_deadline == 0.0 or deadline < next_deadline):
                next_deadline = deadline
            connection = next_connection
        connection = self.newest_open
        while connection is not None:
            timeout = connection.write_timeout if connection.is_sending else connection.read_timeout
            timeout = timeout if connection.state == IN_USE else 0.0
            deadline = clock + timeout
            if timeout and connection.blocked_since:
                if connection.low_watermark > 1:
                    connection.check_partial_data(clock)
                deadline = connection.blocked_since + timeout
                if deadline <= clock:
                    connection.abort_exchange(IDLE_TIMEOUT)
            if timeout and (next_deadline == 0.0 or deadline < next_deadline):
                next_deadline = deadline
            if connection.deadline and connection.is_active:
                if connection.deadline <= clock:
                    connection.abort_exchange(TOTAL_TIMEOUT)
                elif next_deadline == 0.0 or connection.deadline < next_deadline:
                    next_deadline = connection.deadline
            connection = connection.open_prev
        self.next_check = clock + MONITOR_INTERVAL
        if next_deadline == 0.0:
            return None if self.open == 0 else MONITOR_INTERVAL
        self.next_check = min(max(next_deadline, clock + 0.001), self.next_check)
        return self.next_check - clock

    def close(self):
        """Close idle connections, end exchanges under way, reject waiters. Safe to call again.

        Returns the waiters that the caller must wake, each by `await waiter.wake`.
        """
        cdef Connection connection, next_connection
        cdef list rejected = []
        self.closed = True
        while self.oldest is not None:
            self.evict(self.oldest)
        connection = self.newest_open
        while connection is not None:
            next_connection = connection.open_prev
            connection.abort_exchange(SESSION_CLOSED)
            if not connection.is_active:
                self.unmark_in_use(connection)
                self.close_and_free(connection)
            connection = next_connection
        self.reject_waiters(self.queue, rejected)
        for origin in self.origins.values():
            self.reject_waiters((<OriginPool>origin).queue, rejected)
        return rejected

    cdef void reject_waiters(self, WaitQueue queue, list rejected):
        cdef Waiter waiter
        while queue.first is not None:
            waiter = queue.first
            self.remove_waiter(waiter)
            waiter.is_rejected = True
            rejected.append(waiter)

    cdef void reset_after_fork(self):
        """Forget connections and waiters in a forked child: they belong to the parent.

        Only the child's copies of the descriptors are closed, which the parent does not notice.
        """
        cdef OriginPool origin
        cdef Connection connection
        while self.newest_open is not None:
            connection = self.newest_open
            if connection.state == IDLE:
                self.remove_idle(connection)
            else:
                self.unmark_in_use(connection)
            connection.detach()
        for one in self.origins.values():
            origin = one
            origin.open = origin.waiter_count = 0
            origin.first_waiter = origin.last_waiter = None
            origin.queue = WaitQueue()
        self.queue = WaitQueue()
        self.open = 0
        self.has_pending_wakeups = False
        self.wake_monitor = None
        self.thread = 0

    def stats(self):
        """Counts of this moment and totals so far, as a dict."""
        waiting = self.queue.length + sum(len(origin.queue) for origin in self.origins.values())
        return {
            "open": self.open, "in_use": self.in_use, "idle": self.idle, "waiting": waiting,
            "opening": self.open - self.in_use - self.idle,
            "created": self.created, "reused": self.reused_count, "evicted": self.evictions,
            "limit": self.limit,
        }

    def __repr__(self):
        return (f"<Pool {self.open} of {self.limit} open: {self.in_use} in use, {self.idle} idle; "
                f"{self.queue.length} waiting{', closed' if self.closed else ''}>")


pools = WeakSet()       # all of this process, for `reset_after_fork`


def _after_fork():
    global fork_generation
    fork_generation += 1
    for pool in pools:
        (<Pool>pool).reset_after_fork()


os.register_at_fork(after_in_child=_after_fork)
