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

cdef double LONGEST_SLEEP = 1.0     # of the keeper, in seconds: it misses no limit that is as long

cdef enum:
    LOOKAHEAD = 8       # how often the whole pool may turn over before the first in line gets any place


@cython.final
cdef class OriginPool:
    """The connections to one origin (under one set of connection options)."""

    cdef readonly object route      # what the connector needs to open one more
    cdef readonly str name          # "http://host:port"
    cdef readonly int open          # connections, and places promised
    cdef int queued                 # its waiters in the pool's line,
    cdef Waiter foremost, hindmost  # which know each other
    cdef Connection top             # the idle one used last; the others below it
    cdef readonly Line line         # waiting because this origin has its share
    cdef readonly Pool pool

    def __cinit__(self, Pool pool not None, route, str name not None):
        self.pool = pool
        self.route = route
        self.name = name
        self.line = Line()

    def __repr__(self):
        return f"<OriginPool {self.name!r} {self.open} open, {len(self.line)} waiting>"


@cython.final
cdef class Pool:
    """The connections of one session: at most `limit` open at any moment, `share` to one origin."""

    cdef readonly int limit
    cdef readonly int share             # most connections to one origin; 0 for no such limit
    cdef readonly int open              # connections, and places promised
    cdef readonly bint closed
    cdef public double idle_seconds     # how long an idle connection is kept; 0.0 for ever
    cdef public double patience         # seconds of silence granted to a peer; 0.0 for no limit
    cdef public double write_patience   # seconds granted to a peer that takes no bytes
    cdef public int most_exchanges      # on one connection; 0 for no limit
    cdef public double most_seconds     # life of one connection; 0.0 for no limit
    cdef public object kick             # wakes the keeper; None while there is none
    cdef public object kernel           # where the keeper lives; None while there is none
    cdef public unsigned long thread    # where the keeper lives; 0 while there is none
    cdef readonly Limits limits
    cdef readonly Line line             # waiting because all places are taken
    cdef readonly long long made        # connections opened so far
    cdef readonly long long reuses      # exchanges over a connection that had served before
    cdef readonly long long evictions
    cdef long long arrivals
    cdef bint owing                     # places came free where nobody could be woken
    cdef int lent
    cdef int idle
    cdef Connection oldest, newest      # the idle, by the time they came to rest
    cdef Connection last_made           # the open, lent or idle, by the time they were made
    cdef Scratch scratch
    cdef dict origins
    cdef object __weakref__

    def __cinit__(self, int limit, *, int share=0, Limits limits=None, Py_ssize_t buffer=65536):
        if limit < 1:
            raise ValueError(f"connections must be at least 1, not {limit}")
        if share < 0:
            raise ValueError(f"connections_per_host must not be negative: {share}")
        self.limit = limit
        self.share = share
        self.limits = limits if limits is not None else Limits()
        self.line = Line()
        self.scratch = Scratch(buffer)
        self.origins = {}
        pools.add(self)

    def origin(self, route, str name not None):
        """The part of the pool for a route, made when first asked for."""
        found = self.origins.get(route)
        if found is None:
            if len(self.origins) > 2 * self.limit + 256:
                self.forget_origins()
            found = self.origins[route] = OriginPool(self, route, name)
        return found

    cdef void forget_origins(self):
        """Drop origins without connections: a crawl must not keep one for each host it ever met."""
        cdef OriginPool origin
        for route, origin in list(self.origins.items()):
            if origin.open == 0 and origin.queued == 0 and origin.line.length == 0:
                del self.origins[route]

    # -- taking

    cpdef Connection take(self, OriginPool origin):
        """An idle connection to the origin, live and lent from now on; None if there is none."""
        cdef Connection connection
        cdef double clock = 0.0
        if self.closed:
            raise errors.SessionClosed("the session is closed")
        if self.thread and self.thread != PyThread_get_thread_ident():
            raise errors.WrongThread(
                "this session is at work in another thread; make a session for each thread"
            )
        if self.line.length or origin.line.length:
            return None
        while origin.top is not None:
            connection = origin.top
            self.rest_no_more(connection)
            if (connection.expires or connection.rest_until) and clock == 0.0:
                clock = now()
            if connection.is_fresh(clock):
                self.lend(connection)
                self.reuses += 1
                return connection
            self.vacate(connection)
        return None

    cdef bint claim(self, OriginPool origin):
        """A place for one more connection to the origin, evicting an idle one if it must be."""
        if self.share and origin.open >= self.share:
            if origin.top is None:
                return False
            self.evict(origin.top)      # of no use to one that needs a fresh connection
        if self.open >= self.limit:
            if self.oldest is None:
                return False
            self.evictions += 1
            self.evict(self.oldest)
        self.open += 1
        origin.open += 1
        return True

    cdef void evict(self, Connection connection):
        self.rest_no_more(connection)
        self.vacate(connection)

    async def turn(self, OriginPool origin not None, pool_timeout=None, bint fresh=False):
        """Wait in line for a connection; None means: a place is yours, open one.

        Such a place must be used with `adopt` or returned with `forfeit`. For one origin the line is
        first come, first served; another may be preferred for a bounded while. `pool_timeout` in
        seconds, None for no limit: `PoolTimeout`. `fresh` takes no connection that served before. A
        task that is cancelled leaves the line.
        """
        cdef Waiter waiter
        cdef Connection connection
        if not fresh:
            connection = self.take(origin)
            if connection is not None:
                return connection
        elif self.closed:
            raise errors.SessionClosed("the session is closed")
        if self.owing:
            await self.settle()
        waiter = self.line_up(origin)
        if waiter is None:
            return None
        if pool_timeout is None:
            await waiter
            return self.turn_of(waiter, fresh)
        try:
            await timeout_after(pool_timeout, waited(waiter))
        except TaskTimeout:
            raise errors.PoolTimeout(
                f"{origin.name}: waited {pool_timeout:g} s in line for one of {self.limit} "
                "connections; more connections=, or a longer pool_timeout=, would help",
                pool_timeout,
            ) from None
        return self.turn_of(waiter, fresh)

    cdef Waiter line_up(self, OriginPool origin):
        """Someone in line, to be awaited; None means: a place is yours already, open a connection."""
        cdef Waiter waiter
        if self.line.length == 0 and origin.line.length == 0 and self.claim(origin):
            return None
        self.arrivals += 1
        waiter = Waiter.__new__(Waiter, origin, self.arrivals)
        if self.share and origin.open + origin.queued >= self.share:
            origin.line.join(waiter)
        else:
            self.queue(waiter)
        return waiter

    cdef Connection turn_of(self, Waiter waiter, bint fresh):
        """The connection that a waiter was given; None: a place is yours, open one."""
        cdef Connection connection = waiter.connection
        if connection is not None:
            # It was handed over unseen: the server may have closed it, or said something, since.
            if fresh or not connection.is_fresh(now() if connection.expires else 0.0):
                self.lend_no_more(connection)
                connection.close()
                return None         # its place is still the waiter's
            self.reuses += 1
        return connection

    cdef void leave_line(self, Waiter waiter):
        """Take a waiter out without its turn; somebody of its origin may move up."""
        if waiter.line is not None:
            self.unqueue(waiter)
            self.move_up(waiter.origin)

    cdef void queue(self, Waiter waiter):
        """Into the pool's line, where any place will do."""
        cdef OriginPool origin = waiter.origin
        self.line.join(waiter)
        waiter.elder = origin.hindmost
        if origin.hindmost is None:
            origin.foremost = waiter
        else:
            origin.hindmost.younger = waiter
        origin.hindmost = waiter
        origin.queued += 1

    cdef void unqueue(self, Waiter waiter):
        """Out of the line it stands in, the pool's or that of its origin."""
        cdef OriginPool origin = waiter.origin
        cdef bint anywhere = waiter.line is self.line
        waiter.line.leave(waiter)
        if not anywhere:
            return
        if waiter.elder is None:
            origin.foremost = waiter.younger
        else:
            waiter.elder.younger = waiter.younger
        if waiter.younger is None:
            origin.hindmost = waiter.elder
        else:
            waiter.younger.elder = waiter.elder
        waiter.elder = waiter.younger = None
        origin.queued -= 1

    cdef void move_up(self, OriginPool origin):
        """Who waited for the share of an origin that has room again now waits for any place."""
        cdef Waiter waiter
        while origin.line.first is not None and origin.open + origin.queued < self.share:
            waiter = origin.line.first
            origin.line.leave(waiter)
            self.queue(waiter)

    cdef void pass_on_later(self, Waiter waiter):
        """Hand on what a waiter was given, from where nothing can be awaited."""
        if waiter.connection is not None:
            self.abandon(waiter.connection)
        else:
            self.disclaim(waiter.origin)

    def adopt(self, OriginPool origin not None, sock not None, peer=None):
        """Make a connection, lent to the caller, of a connected socket; the place was claimed before."""
        cdef Connection connection = Connection(self, origin, sock)
        connection.peer = peer
        if self.most_seconds:
            connection.expires = connection.born + self.most_seconds
        self.made += 1
        connection.made_before = self.last_made
        if self.last_made is not None:
            self.last_made.made_after = connection
        self.last_made = connection
        self.lend(connection)
        return connection

    async def furnish(self, OriginPool origin not None, opener, Turn turn=None):
        """A connection for a place that was claimed, over the socket that `opener` gives.

        `opener(origin)` is awaited for `(socket, peer)`. If that fails or is cancelled,
        the next in line gets the place. No signal is handled between the socket's coming and its
        adoption, so Ctrl-C at any moment leaves no place taken. `turn` is told that it is in use.
        """
        cdef Waiter heir
        try:
            if turn is not None:
                turn.unused = False
            sock, peer = await opener(origin)
            return self.adopt(origin, sock, peer)
        except GeneratorExit:
            self.disclaim(origin)
            raise
        except BaseException:
            heir = self.free_place(origin)
            if heir is not None:
                await heir.wake
            raise

    cdef void strike_off(self, Connection connection):
        """A connection is open no more."""
        if connection.made_after is not None:
            connection.made_after.made_before = connection.made_before
        elif self.last_made is connection:
            self.last_made = connection.made_before
        if connection.made_before is not None:
            connection.made_before.made_after = connection.made_after
        connection.made_before = connection.made_after = None

    async def forfeit(self, OriginPool origin not None):
        """Return a place that could not be used; the next in line gets it."""
        cdef Waiter heir = self.free_place(origin)
        if heir is not None:
            await heir.wake

    def disclaim(self, OriginPool origin not None):
        """As `forfeit`, from where nothing can be awaited; the keeper wakes who is next."""
        self.open -= 1
        origin.open -= 1
        self.owe(origin)

    # -- giving back

    cdef void lend(self, Connection connection):
        connection.place = LENT
        connection.waiting_since = 0.0
        connection.patience = self.patience
        connection.write_patience = self.write_patience
        self.lent += 1

    cdef void lend_no_more(self, Connection connection):
        connection.waiting_since = 0.0
        self.lent -= 1

    cdef Waiter give_back(self, Connection connection, bint reusable):
        """End a loan. Returns the waiter whose turn it is now, for the caller to wake by a trap."""
        cdef Waiter heir
        cdef OriginPool origin = connection.origin
        if connection.place != LENT:
            return None
        self.lend_no_more(connection)
        if reusable and self.closed:
            reusable = False
        if reusable and self.most_exchanges and connection.exchanges >= self.most_exchanges:
            reusable = False
        if not reusable:
            connection.close()
            return self.free_place(origin)
        heir = self.next_in_line(origin, LOOKAHEAD * self.limit)
        if heir is None:
            self.rest(connection)
            return None
        if heir.origin is origin:
            self.lend(connection)
            heir.connection = connection
            return self.serve(heir)
        connection.close()
        origin.open -= 1
        heir.origin.open += 1
        self.serve(heir)
        self.move_up(origin)
        return heir

    cdef Waiter free_place(self, OriginPool origin):
        """A place came free. Returns the waiter that gets it, for the caller to wake by a trap."""
        cdef Waiter heir
        self.open -= 1
        origin.open -= 1
        heir = self.next_in_line(origin, 0)
        if heir is None:
            if self.closed and self.open == 0 and self.kick is not None:
                self.kick()         # the keeper has nothing more to look after
            return None
        self.open += 1
        heir.origin.open += 1
        self.serve(heir)
        self.move_up(origin)
        return heir

    cdef Waiter serve(self, Waiter heir):
        self.unqueue(heir)
        heir.served = True
        return heir

    cdef Waiter next_in_line(self, OriginPool origin, long long lookahead):
        """Who gets what `origin` gives up: the first in line, or the first for the origin itself.

        That one goes before who came up to `lookahead` arrivals earlier for another origin. An origin
        never has more connections and waiters in the pool's line than its share: who stands there
        can use any place.
        """
        cdef Waiter first = self.line.first, own = origin.line.first
        if own is None or (origin.foremost is not None and origin.foremost.number < own.number):
            own = origin.foremost
        if own is None or (first is not None and first.number + lookahead < own.number):
            return first
        return own

    def abandon(self, Connection connection not None):
        """End a loan from where nothing can be awaited: close; the keeper wakes who is next."""
        if connection.place != LENT:
            return
        self.lend_no_more(connection)
        self.vacate(connection)
        self.owe(connection.origin)

    cdef void owe(self, OriginPool origin):
        """A place came free where nobody can be woken: the keeper, or the next in line, sees to it."""
        self.move_up(origin)
        if self.line.length:
            self.owing = True
            if self.kick is not None:
                self.kick()

    cdef void vacate(self, Connection connection):
        connection.close()
        self.open -= 1
        connection.origin.open -= 1

    async def settle(self):
        """Wake those who wait for places that came free where nobody could be woken."""
        cdef Waiter heir
        self.owing = False
        while self.line.length:
            heir = self.line.first
            if not self.claim(heir.origin):
                return
            await self.serve(heir).wake

    # -- the idle

    cdef void rest(self, Connection connection):
        cdef OriginPool origin = connection.origin
        connection.place = IDLE
        connection.rest_until = 0.0
        if self.idle_seconds or connection.reader.keeps_for:
            connection.idle_since = connection.seen_at
            if connection.reader.keeps_for:
                connection.rest_until = connection.idle_since + connection.reader.keeps_for
        connection.below = origin.top
        connection.above = None
        if origin.top is not None:
            origin.top.above = connection
        origin.top = connection
        connection.before = self.newest
        connection.after = None
        if self.newest is None:
            self.oldest = connection
        else:
            self.newest.after = connection
        self.newest = connection
        self.idle += 1

    cdef void rest_no_more(self, Connection connection):
        if connection.above is None:
            connection.origin.top = connection.below
        else:
            connection.above.below = connection.below
        if connection.below is not None:
            connection.below.above = connection.above
        connection.above = connection.below = None
        if connection.before is None:
            self.oldest = connection.after
        else:
            connection.before.after = connection.after
        if connection.after is None:
            self.newest = connection.before
        else:
            connection.after.before = connection.before
        connection.before = connection.after = None
        self.idle -= 1

    # -- the keeper's rounds

    def make_rounds(self):
        """Close what rested too long, cut off who is silent too long or past the end of its time.

        Returns the seconds until the next round is due, or None when there is nothing to watch.
        """
        cdef double clock = now(), due, granted, soonest = 0.0
        cdef Connection connection = self.oldest, following
        while connection is not None:
            following = connection.after
            due = self.end_of_rest(connection)
            if due and due <= clock:
                self.evict(connection)
            elif due and (soonest == 0.0 or due < soonest):
                soonest = due
            connection = following
        connection = self.last_made
        while connection is not None:
            granted = connection.write_patience if connection.sending else connection.patience
            granted = granted if connection.place == LENT else 0.0
            due = clock + granted
            if granted and connection.waiting_since:
                if connection.wakes_at > 1:
                    connection.listen(clock)
                due = connection.waiting_since + granted
                if due <= clock:
                    connection.cut_off(SILENCE)
            if granted and (soonest == 0.0 or due < soonest):
                soonest = due
            if connection.until and connection.inside:
                if connection.until <= clock:
                    connection.cut_off(LIMIT)
                elif soonest == 0.0 or connection.until < soonest:
                    soonest = connection.until
            connection = connection.made_before
        if soonest == 0.0:
            return None if self.open == 0 else LONGEST_SLEEP
        return min(max(soonest - clock, 0.001), LONGEST_SLEEP)

    cdef double end_of_rest(self, Connection connection) noexcept:
        cdef double due = connection.expires
        if self.idle_seconds and (due == 0.0 or connection.idle_since + self.idle_seconds < due):
            due = connection.idle_since + self.idle_seconds
        if connection.rest_until and (due == 0.0 or connection.rest_until < due):
            due = connection.rest_until
        return due

    def close(self):
        """Close the idle, wake the working to their end, refuse the waiting; safe to call again.

        Returns the waiters that the caller must wake, each by `await waiter.wake`.
        """
        cdef Connection connection, following
        cdef list refused = []
        self.closed = True
        while self.oldest is not None:
            self.evict(self.oldest)
        connection = self.last_made
        while connection is not None:
            following = connection.made_before
            connection.cut_off(SESSION)
            if not connection.inside:
                self.lend_no_more(connection)
                self.vacate(connection)
            connection = following
        self.refuse(self.line, refused)
        for origin in self.origins.values():
            self.refuse((<OriginPool>origin).line, refused)
        return refused

    cdef void refuse(self, Line line, list refused):
        cdef Waiter waiter
        while line.first is not None:
            waiter = line.first
            self.unqueue(waiter)
            waiter.refused = True
            refused.append(waiter)

    cdef void forget_all(self):
        """In a forked child: all that was open or waited belongs to the parent; begin anew.

        Only this process's copies of the descriptors are closed: the parent notices nothing.
        """
        cdef OriginPool origin
        cdef Connection connection
        while self.last_made is not None:
            connection = self.last_made
            if connection.place == IDLE:
                self.rest_no_more(connection)
            else:
                self.lend_no_more(connection)
            connection.disown()
        for one in self.origins.values():
            origin = one
            origin.open = origin.queued = 0
            origin.foremost = origin.hindmost = None
            origin.line = Line()
        self.line = Line()
        self.open = 0
        self.owing = False
        self.kick = None
        self.thread = 0

    def stats(self):
        """Counts of this moment and totals so far, as a dict."""
        waiting = self.line.length + sum(len(origin.line) for origin in self.origins.values())
        return {
            "open": self.open, "lent": self.lent, "idle": self.idle, "waiting": waiting,
            "opening": self.open - self.lent - self.idle,
            "made": self.made, "reused": self.reuses, "evicted": self.evictions,
            "limit": self.limit,
        }

    def __repr__(self):
        return (f"<Pool {self.open} of {self.limit} open: {self.lent} lent, {self.idle} idle; "
                f"{self.line.length} waiting{', closed' if self.closed else ''}>")


pools = WeakSet()       # all of this process: who forks must forget what is the parent's


def _after_fork():
    global generation
    generation += 1
    for pool in pools:
        (<Pool>pool).forget_all()


os.register_at_fork(after_in_child=_after_fork)
