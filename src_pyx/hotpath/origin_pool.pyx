# The connections to one origin, and the tasks that wait for one of them.
#
# Rules:  an origin never has more connections and waiters in the pool's queue than it may have
#         connections (`limit_per_origin`), so each waiter in that queue can use any slot. Waiters
#         beyond that are held back, and move to the queue as soon as they may.
# Implemented elsewhere: which waiter is next (pool.pyx).


@cython.final
cdef class OriginPool:
    """The connections to one origin (under one set of connection options)."""

    def __cinit__(self, Pool pool not None, route, str name not None):
        self.pool = pool
        self.route = route
        self.name = name
        self.last_head = LastHead()

    def __dealloc__(self):
        remove_all(&self.idle)
        remove_all(&self.queued)
        remove_all(&self.held_back)

    def __repr__(self):
        return f"<OriginPool {self.name!r} {self.open} open, {self.held_back.length} waiting>"

    cdef bint is_full(self) noexcept:
        """Whether it has, or will have, all the connections that one origin may have."""
        return (self.pool.limit_per_origin != 0
                and self.open + self.queued.length >= self.pool.limit_per_origin)

    cdef bint is_unused(self) noexcept:
        return self.open == 0 and self.queued.length == 0 and self.held_back.length == 0

    cdef void add_waiter(self, Waiter waiter) noexcept:
        """Add a waiter to the pool's queue, or hold it back while the origin is full."""
        if self.is_full():
            append_link(&self.held_back, &waiter.queue_link)
        else:
            append_link(&self.pool.queue, &waiter.queue_link)
            append_link(&self.queued, &waiter.origin_link)

    cdef void promote_waiters(self):
        """Move waiters that were held back to the pool's queue, as many as may be there."""
        cdef Waiter waiter
        while self.held_back.length and not self.is_full():
            waiter = <Waiter>first_of(&self.held_back)
            waiter.leave_queue()
            self.add_waiter(waiter)

    cdef Waiter first_waiter(self):
        """The waiter that came first, held back or not; None without any."""
        cdef Waiter queued = <Waiter>first_of(&self.queued)
        cdef Waiter held_back = <Waiter>first_of(&self.held_back)
        if held_back is None or (queued is not None and queued.arrival < held_back.arrival):
            return queued
        return held_back
