# Who gets which connection.
#
# One question: which connection serves this request, or must it wait? Answered without awaiting, so
# no lock: curio changes task only at an await.
#
# Facts:  a connection is in one place: idle, lent, or closed. A place is an open connection, or the
#         right to open one. Idle ones of an origin are taken newest first, evicted oldest first.
# Rules:  decide first, do I/O after. A place travels with the wake-up of a waiter: there is no moment
#         in which it is free while someone waits. All is O(1) but the keeper's rounds. Of one origin
#         the first come is the first served. A connection that came free is of more use to one of its
#         own origin than to another, who must close it and open a new one: for that one may be
#         overtaken, by at most LOOKAHEAD times as many as there are connections.
# Not here: the waiting itself (line.pyx), opening connections, retries, time limits.

cdef double MONITOR_INTERVAL = 1.0     # of the keeper, in seconds: it misses no limit that is as long

cdef enum:
    MAX_OVERTAKES_PER_CONNECTION = 8       # how often the whole pool may turn over before the first in line gets any place


@cython.final
cdef class OriginPool:
    """The connections to one origin (under one set of connection options)."""

    cdef readonly object route      # what the connector needs to open one more
    cdef readonly str name          # "http://host:port"
    cdef readonly int open          # connections, and places promised
    cdef int waiter_count                 # its waiters in the pool's line,
    cdef Waiter first_waiter, last_waiter  # which know each other
    cdef Connection idle_stack             # the idle one used last; the others below it
    cdef readonly WaitQueue queue         # waiting because this origin has its share
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
    """The connections of one session: at most `limit` open at any moment, `limit_per_origin` to one origin."""

    cdef readonly int limit
    cdef readonly int limit_per_origin             # most connections to one origin; 0 for no such limit
    cdef readonly int open              # connections, and places promised
    cdef readonly bint closed
    cdef public double idle_timeout     # how long an idle connection is kept; 0.0 for ever
    cdef public double read_timeout         # seconds of silence granted to a peer; 0.0 for no limit
    cdef public double write_timeout   # seconds granted to a peer that takes no bytes
    cdef public int max_requests      # on one connection; 0 for no limit
    cdef public double max_age     # life of one connection; 0.0 for no limit
    cdef public object wake_monitor             # wakes the keeper; None while there is none
    cdef public object kernel           # where the keeper lives; None while there is none
    cdef public unsigned long thread    # where the keeper lives; 0 while there is none
    cdef readonly Limits limits
    cdef readonly WaitQueue queue             # waiting because all places are taken
    cdef readonly long long created        # connections opened so far
    cdef readonly long long reused_count      # exchanges over a connection that had served before
    cdef readonly long long evictions
    cdef long long arrival_counter
    cdef bint has_pending_wakeups                     # places came free where nobody could be woken
    cdef double acquired_at             # the time of the last look for a connection, if it was read
    cdef int in_use
    cdef int idle
    cdef Connection oldest, newest      # the idle, by the time they came to rest
    cdef Connection newest_open           # the open, lent or idle, by the time they were made
    cdef ReceiveBuffer receive_buffer
    cdef dict origins
    cdef object __weakref__

    def __cinit__(self, int limit, *, int limit_per_origin=0, Limits limits=None, Py_ssize_t buffer=65536):
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
        """An idle connection to the origin, live and lent from now on; None if there is none."""
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
        """A place for one more connection to the origin, evicting an idle one if it must be."""
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

    async def acquire(self, OriginPool origin not None, pool_timeout=None, bint force_new_connection=False):
        """Wait in line for a connection; None means: a place is yours, open one.

        Such a place must be used with `add_connection` or returned with `cancel_reservation`. For one origin the line is
        first come, first served; another may be preferred for a bounded while. `pool_timeout` in
        seconds, None for no limit: `PoolTimeout`. `force_new_connection` takes no connection that served before. A
        task that is cancelled leaves the line.
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
        try:
            await timeout_after(pool_timeout, wait_for(waiter))
        except TaskTimeout:
            raise errors.PoolTimeout(
                f"{origin.name}: waited {pool_timeout:g} s in line for one of {self.limit} "
                "connections; more connections=, or a longer pool_timeout=, would help",
                pool_timeout,
            ) from None
        return self.granted_connection(waiter, force_new_connection)

    cdef Waiter enqueue(self, OriginPool origin):
        """Someone in line, to be awaited; None means: a place is yours already, open a connection."""
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
        """The connection that a waiter was given; None: a place is yours, open one."""
        cdef Connection connection = waiter.connection
        self.acquired_at = 0.0
        if connection is not None:
            # It was handed over unseen: the server may have closed it, or said something, since.
            if connection.idle_deadline:
                self.acquired_at = now()
            if force_new_connection or not connection.is_reusable(self.acquired_at):
                self.unmark_in_use(connection)
                connection.close()
                return None         # its place is still the waiter's
            self.reused_count += 1
        return connection

    cdef void leave_queue(self, Waiter waiter):
        """Take a waiter out without its turn; somebody of its origin may move up."""
        if waiter.queue is not None:
            self.remove_waiter(waiter)
            self.promote_waiters(waiter.origin)

    cdef void append_waiter(self, Waiter waiter):
        """Into the pool's line, where any place will do."""
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
        """Out of the line it stands in, the pool's or that of its origin."""
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
        """Who waited for the share of an origin that has room again now waits for any place."""
        cdef Waiter waiter
        while origin.queue.first is not None and origin.open + origin.waiter_count < self.limit_per_origin:
            waiter = origin.queue.first
            origin.queue.remove(waiter)
            self.append_waiter(waiter)

    cdef void release_grant_nowait(self, Waiter waiter):
        """Hand on what a waiter was given, from where nothing can be awaited."""
        if waiter.connection is not None:
            self.close_nowait(waiter.connection)
        else:
            self.cancel_reservation_nowait(waiter.origin)

    def add_connection(self, OriginPool origin not None, sock not None, peer=None):
        """Make a connection, lent to the caller, of a connected socket; the place was claimed before."""
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
        """A connection for a place that was claimed, over the socket that `connect_socket` gives.

        `connect_socket(origin)` is awaited for `(socket, peer)`. If that fails or is cancelled,
        the next in line gets the place. No signal is handled between the socket's coming and its
        adoption, so Ctrl-C at any moment leaves no place taken. `exchange` is told that it is in use.
        """
        cdef Waiter next_waiter
        try:
            if exchange is not None:
                exchange.owns_slot = False
            sock, peer = await connect_socket(origin)
            return self.add_connection(origin, sock, peer)
        except GeneratorExit:
            self.cancel_reservation_nowait(origin)
            raise
        except BaseException:
            next_waiter = self.release_slot(origin)
            if next_waiter is not None:
                await next_waiter.wake
            raise

    cdef void unlink(self, Connection connection):
        """A connection is open no more."""
        if connection.open_next is not None:
            connection.open_next.open_prev = connection.open_prev
        elif self.newest_open is connection:
            self.newest_open = connection.open_prev
        if connection.open_prev is not None:
            connection.open_prev.open_next = connection.open_next
        connection.open_prev = connection.open_next = None

    async def cancel_reservation(self, OriginPool origin not None):
        """Return a place that could not be used; the next in line gets it."""
        cdef Waiter next_waiter = self.release_slot(origin)
        if next_waiter is not None:
            await next_waiter.wake

    def cancel_reservation_nowait(self, OriginPool origin not None):
        """As `cancel_reservation`, from where nothing can be awaited; the keeper wakes who is next."""
        self.open -= 1
        origin.open -= 1
        self.defer_wakeup(origin)

    # -- giving back

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
        """End a loan. Returns the waiter whose turn it is now, for the caller to wake by a trap."""
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
        """A place came free. Returns the waiter that gets it, for the caller to wake by a trap."""
        cdef Waiter next_waiter
        self.open -= 1
        origin.open -= 1
        next_waiter = self.next_waiter_for(origin, 0)
        if next_waiter is None:
            if self.closed and self.open == 0 and self.wake_monitor is not None:
                self.wake_monitor()         # the keeper has nothing more to look after
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
        """Who gets what `origin` gives up: the first in line, or the first for the origin itself.

        That one goes before who came up to `max_overtakes` arrivals earlier for another origin. An origin
        never has more connections and waiters in the pool's line than its share: who stands there
        can use any place.
        """
        cdef Waiter first = self.queue.first, own = origin.queue.first
        if own is None or (origin.first_waiter is not None and origin.first_waiter.arrival < own.arrival):
            own = origin.first_waiter
        if own is None or (first is not None and first.arrival + max_overtakes < own.arrival):
            return first
        return own

    def close_nowait(self, Connection connection not None):
        """End a loan from where nothing can be awaited: close; the keeper wakes who is next."""
        if connection.state != IN_USE:
            return
        self.unmark_in_use(connection)
        self.close_and_free(connection)
        self.defer_wakeup(connection.origin)

    cdef void defer_wakeup(self, OriginPool origin):
        """A place came free where nobody can be woken: the keeper, or the next in line, sees to it."""
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
        """Wake those who wait for places that came free where nobody could be woken."""
        cdef Waiter next_waiter
        self.has_pending_wakeups = False
        while self.queue.length:
            next_waiter = self.queue.first
            if not self.reserve_slot(next_waiter.origin):
                return
            await self.grant(next_waiter).wake

    # -- the idle

    cdef void set_idle_deadline(self, Connection connection) noexcept:
        """The first of the limits of a connection that has just been used: age, idle time, hint."""
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

    # -- the keeper's rounds

    def check_deadlines(self):
        """Close what rested too long, cut off who is silent too long or past the end of its time.

        Returns the seconds until the next round is due, or None when there is nothing to watch.
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
        if next_deadline == 0.0:
            return None if self.open == 0 else MONITOR_INTERVAL
        return min(max(next_deadline - clock, 0.001), MONITOR_INTERVAL)

    def close(self):
        """Close the idle, wake the working to their end, refuse the waiting; safe to call again.

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
        """In a forked child: all that was open or waited belongs to the parent; begin anew.

        Only this process's copies of the descriptors are closed: the parent notices nothing.
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


pools = WeakSet()       # all of this process: who forks must forget what is the parent's


def _after_fork():
    global fork_generation
    fork_generation += 1
    for pool in pools:
        (<Pool>pool).reset_after_fork()


os.register_at_fork(after_in_child=_after_fork)
