# The connection pool: which request gets which connection.
#
# Facts:  a connection is idle, in use, or closed. A slot is an open connection, or the right to open
#         one. Idle connections of an origin are reused newest first and evicted oldest first. curio
#         changes task only at an await, and decisions are made without one, so there is no lock.
# Rules:  decide first, do I/O after. A freed slot is handed directly to the next waiter, so a newcomer
#         cannot take it in between. Everything is O(1) except `check_deadlines`. Waiters of one
#         origin are served in order of arrival. A freed connection is worth more to a waiter of its
#         own origin than to another one, which must close it and open a new one. So the former may
#         overtake, but at most MAX_OVERTAKES_PER_CONNECTION times per connection.
# Implemented elsewhere: waiters (wait_queue.pyx, origin_pool.pyx), sending (run_exchange.pyx), opening
#         sockets (asks_fast/_transport), time limits (deadlines.pyx).

cdef enum:
    MAX_OVERTAKES_PER_CONNECTION = 8    # grants that may overtake a waiter, per connection


@cython.final
cdef class Pool:
    """The connections of a session: at most `limit` are open, `limit_per_origin` to one origin."""

    def __cinit__(self, int limit, *, int limit_per_origin=0, Limits limits=None,
                  Py_ssize_t buffer=65536):
        if limit < 1:
            raise ValueError(f"connections must be at least 1, not {limit}")
        if limit_per_origin < 0:
            raise ValueError(f"connections_per_host must not be negative: {limit_per_origin}")
        self.limit = limit
        self.limit_per_origin = limit_per_origin
        self.limits = limits if limits is not None else Limits()
        self.connections = {}
        self.receive_buffer = ReceiveBuffer(buffer)
        self.parsers = ParserPool(self.limits, self.receive_buffer)
        self.origins = {}
        pools.add(self)

    def __dealloc__(self):
        remove_all(&self.queue)
        remove_all(&self.idle)

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
            if origin.is_unused():
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
        if self.queue.length or origin.held_back.length:
            return None
        while origin.idle.length:
            connection = <Connection>first_of(&origin.idle)
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
            if origin.idle.length == 0:
                return False
            # Of no use to a request that needs a new connection.
            self.evict(<Connection>first_of(&origin.idle))
        if self.open >= self.limit:
            if self.idle.length == 0:
                return False
            self.evictions += 1
            self.evict(<Connection>first_of(&self.idle))
        self.count_slots(origin, 1)
        return True

    cdef void count_slots(self, OriginPool origin, int change) noexcept:
        self.open += change
        origin.open += change

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
        await wait_within(waiter, pool_timeout)
        return self.granted_connection(waiter, force_new_connection)

    cdef Waiter enqueue(self, OriginPool origin):
        """A waiter, to be awaited; None means that a slot was reserved: open a connection."""
        cdef Waiter waiter
        if self.queue.length == 0 and origin.held_back.length == 0 and self.reserve_slot(origin):
            return None
        self.arrival_counter += 1
        waiter = Waiter.__new__(Waiter)
        waiter.origin = origin
        waiter.arrival = self.arrival_counter
        origin.add_waiter(waiter)
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
                connection.close()
                return None         # its slot is still the waiter's
            self.reused_count += 1
        return connection

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
        self.connections[connection] = None
        self.mark_in_use(connection)
        return connection

    def connect(self, OriginPool origin not None, connect_socket):
        """Open a connection for a reserved slot: a coroutine, see `open_connection`."""
        return open_connection(origin, connect_socket)

    def run(self, Exchange exchange not None):
        """Send a request, receive its response, give the connection back: a coroutine.

        Returns the response. Acquires a connection or opens one. Resends once, over a new
        connection, if a reused one was stale and nothing forbids it. The connection stays with the
        exchange if the response is not complete: with `stream`, and if its status is a follow-up
        status.

        Raises `AsksException`s. Then, and when it is cancelled at any point, the connection is
        closed, and the next waiter gets its slot.
        """
        return run_exchange(exchange)

    async def cancel_reservation(self, OriginPool origin not None):
        """Return a slot that could not be used; the next waiter gets it."""
        cdef Waiter next_waiter = self.release_slot(origin)
        if next_waiter is not None:
            await next_waiter.wake

    def cancel_reservation_nowait(self, OriginPool origin not None):
        """As `cancel_reservation`, where nothing can be awaited; the monitor wakes the next waiter."""
        self.count_slots(origin, -1)
        self.defer_wakeup(origin)

    # -- releasing

    cdef void mark_in_use(self, Connection connection):
        connection.state = IN_USE
        connection.blocked_since = 0.0
        connection.read_timeout = self.read_timeout
        connection.write_timeout = self.write_timeout

    cdef Waiter release(self, Connection connection, bint reusable):
        """Release a connection in use. Returns the waiter that gets it or its slot, to be woken."""
        cdef Waiter next_waiter
        cdef OriginPool origin = connection.origin
        if connection.state != IN_USE:
            return None
        connection.blocked_since = 0.0
        if (not reusable or self.closed
                or (self.max_requests and connection.request_count >= self.max_requests)):
            connection.close()
            return self.release_slot(origin)
        set_idle_deadline(self, connection)
        next_waiter = self.next_waiter_for(origin, MAX_OVERTAKES_PER_CONNECTION * self.limit)
        if next_waiter is None:
            self.add_idle(connection)
            return None
        if next_waiter.origin is origin:
            self.mark_in_use(connection)
            next_waiter.connection = connection
            return self.grant(next_waiter)
        connection.close()
        return self.grant_slot(origin, next_waiter)

    cdef Waiter release_slot(self, OriginPool origin):
        """Free a slot. Returns the waiter that gets it, to be woken by a trap."""
        cdef Waiter next_waiter
        next_waiter = self.next_waiter_for(origin, 0)
        if next_waiter is None:
            self.count_slots(origin, -1)
            if self.closed and self.open == 0 and self.wake_monitor is not None:
                self.wake_monitor()         # nothing is left to monitor
            return None
        return self.grant_slot(origin, next_waiter)

    cdef Waiter grant_slot(self, OriginPool origin, Waiter next_waiter):
        """Give a waiter the slot of a connection to `origin` that was closed."""
        origin.open -= 1
        next_waiter.origin.open += 1
        self.grant(next_waiter)
        origin.promote_waiters()
        return next_waiter

    cdef Waiter grant(self, Waiter next_waiter):
        next_waiter.leave_queue()
        next_waiter.is_granted = True
        return next_waiter

    cdef Waiter next_waiter_for(self, OriginPool origin, long long max_overtakes):
        """The waiter that gets what `origin` frees: the first of all, or the first of this origin.

        The latter goes first unless the former came more than `max_overtakes` arrivals earlier.
        """
        cdef Waiter first, own
        if self.queue.length == 0 and origin.held_back.length == 0:
            return None
        first, own = <Waiter>first_of(&self.queue), origin.first_waiter()
        if own is None or (first is not None and first.arrival + max_overtakes < own.arrival):
            return first
        return own

    def close_nowait(self, Connection connection not None):
        """Close a connection in use, where nothing can be awaited; the monitor wakes the next waiter."""
        if connection.state != IN_USE:
            return
        self.close_and_free(connection)
        self.defer_wakeup(connection.origin)

    cdef void defer_wakeup(self, OriginPool origin):
        """Note that a slot was freed where no task can be woken; the monitor or a request will."""
        origin.promote_waiters()
        if self.queue.length:
            self.has_pending_wakeups = True
            if self.wake_monitor is not None:
                self.wake_monitor()

    cdef void close_and_free(self, Connection connection):
        connection.close()
        self.count_slots(connection.origin, -1)

    async def wake_pending(self):
        """Wake waiters for the slots that were freed where no task could be woken."""
        cdef Waiter next_waiter
        self.has_pending_wakeups = False
        while self.queue.length:
            next_waiter = <Waiter>first_of(&self.queue)
            if not self.reserve_slot(next_waiter.origin):
                return
            await self.grant(next_waiter).wake

    # -- idle connections

    cdef void add_idle(self, Connection connection) noexcept:
        connection.state = IDLE
        prepend_link(&connection.origin.idle, &connection.origin_link)
        append_link(&self.idle, &connection.idle_link)

    cdef void remove_idle(self, Connection connection) noexcept:
        remove_link(&connection.origin_link)
        remove_link(&connection.idle_link)

    # -- for the pool monitor, and the end

    def check_deadlines(self):
        """Close connections that were idle too long, and end exchanges whose time is over.

        Returns the seconds until the next call is due, or None if there is nothing to monitor.
        """
        return check_deadlines(self)

    def close(self):
        """Close idle connections, end exchanges under way, reject waiters. Safe to call again.

        Returns the waiters that the caller must wake, each by `await waiter.wake`.
        """
        cdef Connection connection
        cdef list rejected = []
        self.closed = True
        for connection in list(self.connections):
            if connection.state == IDLE:
                self.evict(connection)
            elif connection.state == IN_USE:
                connection.abort_exchange(SESSION_CLOSED)
                if not connection.is_active:
                    self.close_and_free(connection)
        self.reject_waiters(&self.queue, rejected)
        for origin in self.origins.values():
            self.reject_waiters(&(<OriginPool>origin).held_back, rejected)
        return rejected

    cdef void reject_waiters(self, List *queue, list rejected):
        cdef Waiter waiter
        while queue.length:
            waiter = <Waiter>first_of(queue)
            waiter.leave_queue()
            waiter.is_rejected = True
            rejected.append(waiter)

    cdef void reset_after_fork(self):
        """Drop connections and waiters in a forked child: they belong to the parent.

        Only the child's copies of the descriptors are closed, so the connections stay open.
        """
        cdef OriginPool origin
        cdef Connection connection
        for connection in list(self.connections):
            self.remove_idle(connection)
            connection.detach()
        for origin in self.origins.values():
            origin.open = 0
            remove_all(&origin.queued)
            remove_all(&origin.held_back)
        remove_all(&self.queue)
        self.open = 0
        self.has_pending_wakeups = False
        self.wake_monitor = None
        self.thread = 0

    cdef int count_in_use(self) except -1:
        return <int>len(self.connections) - self.idle.length

    def stats(self):
        """Counts of this moment and totals so far, as a dict."""
        cdef OriginPool origin
        cdef int waiting = self.queue.length, in_use = self.count_in_use()
        for origin in self.origins.values():
            waiting += origin.held_back.length
        return {
            "open": self.open, "in_use": in_use, "idle": self.idle.length, "waiting": waiting,
            "opening": self.open - len(self.connections),
            "created": self.created, "reused": self.reused_count, "evicted": self.evictions,
            "limit": self.limit,
        }

    def __repr__(self):
        return (f"<Pool {self.open} of {self.limit} open: {self.count_in_use()} in use, "
                f"{self.idle.length} idle; {self.queue.length} waiting"
                f"{', closed' if self.closed else ''}>")


pools = WeakSet()       # all of this process, for `reset_after_fork`


def _after_fork():
    global fork_generation
    fork_generation += 1
    for pool in pools:
        (<Pool>pool).reset_after_fork()


os.register_at_fork(after_in_child=_after_fork)
