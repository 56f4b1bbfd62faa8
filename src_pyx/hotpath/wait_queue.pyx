# The waiting line: who stands in it, and what a task awaits there.
#
# Facts:  leaving is as cheap as joining, from anywhere in a line of thousands. A waiter is what its
#         task awaits, what curio suspends it on and wakes it from, all in one object.
# Rules:  each waiter is woken once, by a trap of its own, for the kernel searches its ready queue for
#         each one woken. A waiter that ends before its turn leaves the line; one that ends after it
#         hands on what it was given.
# Not here: whose turn it is (pool.pyx).


@cython.final
cdef class WaitQueue:
    """Waiters in the order they came; leaving from the middle is O(1)."""

    cdef Waiter first, close_after
    cdef int length

    def __len__(self):
        return self.length

    cdef void append(self, Waiter waiter):
        waiter.queue = self
        waiter.prev = self.close_after
        if self.close_after is None:
            self.first = waiter
        else:
            self.close_after.next = waiter
        self.close_after = waiter
        self.length += 1

    cdef void remove(self, Waiter waiter):
        if waiter.prev is None:
            self.first = waiter.next
        else:
            waiter.prev.next = waiter.next
        if waiter.next is None:
            self.close_after = waiter.prev
        else:
            waiter.next.prev = waiter.prev
        waiter.prev = waiter.next = waiter.queue = None
        self.length -= 1


@cython.final
cdef class Waiter:
    """One task in line: what it awaits, what curio suspends it on and wakes it from, all in one.

    Thousands wait where a program starts a task for each request, and every object of theirs is
    walked through by the garbage collector. `await` ends when its turn came; `Pool.granted_connection` tells
    with what. Whatever else ends it takes it out of line, and hands on what it was given.
    """

    cdef OriginPool origin
    cdef WaitQueue queue                  # None once it left or was given its turn
    cdef Waiter prev, next
    cdef Waiter prev_of_origin, next_of_origin      # of its origin, in the pool's line
    cdef Connection connection      # given with its turn; None: the right to open one
    cdef bint is_granted
    cdef bint is_rejected               # the session was closed
    cdef bint is_suspended                 # the kernel was asked to suspend
    cdef long long arrival           # of its arrival
    cdef object task
    cdef object error               # to be raised once the next in line is awake

    def __cinit__(self, OriginPool origin not None, long long arrival):
        self.origin = origin
        self.arrival = arrival

    # -- to the task

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if not self.is_suspended:
            self.is_suspended = True
            return ("trap_sched_wait", self, "POOL_WAIT")
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        if self.is_rejected or self.origin.pool.closed:
            return self.abort(errors.SessionClosed(
                "the session was closed while the request waited in line"))
        raise StopIteration

    def send(self, result):
        if isinstance(result, BaseException):
            return self.abort(result)
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        return self.abort(value if value is not None else kind)

    def close(self):
        self.origin.pool.leave_queue(self)
        if self.is_granted:
            self.origin.pool.release_grant_nowait(self)

    cdef tuple abort(self, error):
        """Out of line; raises the error, after a trap that wakes who gets what it was given."""
        cdef Pool pool = self.origin.pool
        cdef Waiter next_waiter = None
        pool.leave_queue(self)
        if self.is_granted:
            if self.connection is not None:
                next_waiter = pool.release(self.connection, True)
            else:
                next_waiter = pool.release_slot(self.origin)
        if next_waiter is None:
            raise error
        self.error = error
        return ("trap_sched_wake", next_waiter, 1)

    # -- to the kernel

    @property
    def wake(self):
        return Trap(("trap_sched_wake", self, 1))

    def _kernel_suspend(self, task):
        self.task = task
        return self

    def __call__(self):
        """The kernel ends the wait before its time."""
        self.task = None
        self.origin.pool.leave_queue(self)

    def _kernel_wake(self, count=1):
        task, self.task = self.task, None
        return [] if task is None else [task]

    def __len__(self):
        return 0 if self.task is None else 1

    def __bool__(self):
        return True


async def wait_for(Waiter waiter):
    await waiter
