# The waiting line: who stands in it, and what a task awaits there.
#
# Facts:  leaving is as cheap as joining, from anywhere in a line of thousands. A waiter is what its
#         task awaits, what curio suspends it on and wakes it from, all in one object.
# Rules:  each waiter is woken once, by a trap of its own, for the kernel searches its ready queue for
#         each one woken. A waiter that ends before its turn leaves the line; one that ends after it
#         hands on what it was given.
# Not here: whose turn it is (pool.pyx).


@cython.final
cdef class Line:
    """Waiters in the order they came; leaving from the middle is O(1)."""

    cdef Waiter first, last
    cdef int length

    def __len__(self):
        return self.length

    cdef void join(self, Waiter waiter):
        waiter.line = self
        waiter.ahead = self.last
        if self.last is None:
            self.first = waiter
        else:
            self.last.behind = waiter
        self.last = waiter
        self.length += 1

    cdef void leave(self, Waiter waiter):
        if waiter.ahead is None:
            self.first = waiter.behind
        else:
            waiter.ahead.behind = waiter.behind
        if waiter.behind is None:
            self.last = waiter.ahead
        else:
            waiter.behind.ahead = waiter.ahead
        waiter.ahead = waiter.behind = waiter.line = None
        self.length -= 1


@cython.final
cdef class Waiter:
    """One task in line: what it awaits, what curio suspends it on and wakes it from, all in one.

    Thousands wait where a program starts a task for each request, and every object of theirs is
    walked through by the garbage collector. `await` ends when its turn came; `Pool.turn_of` tells
    with what. Whatever else ends it takes it out of line, and hands on what it was given.
    """

    cdef OriginPool origin
    cdef Line line                  # None once it left or was given its turn
    cdef Waiter ahead, behind
    cdef Waiter elder, younger      # of its origin, in the pool's line
    cdef Connection connection      # given with its turn; None: the right to open one
    cdef bint served
    cdef bint refused               # the session was closed
    cdef bint asked                 # the kernel was asked to suspend
    cdef long long number           # of its arrival
    cdef object task
    cdef object error               # to be raised once the next in line is awake

    def __cinit__(self, OriginPool origin not None, long long number):
        self.origin = origin
        self.number = number

    # -- to the task

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if not self.asked:
            self.asked = True
            return ("trap_sched_wait", self, "POOL_WAIT")
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        if self.refused or self.origin.pool.closed:
            return self.give_up(errors.SessionClosed(
                "the session was closed while the request waited in line"))
        raise StopIteration

    def send(self, answer):
        if isinstance(answer, BaseException):
            return self.give_up(answer)
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        return self.give_up(value if value is not None else kind)

    def close(self):
        self.origin.pool.leave_line(self)
        if self.served:
            self.origin.pool.pass_on_later(self)

    cdef tuple give_up(self, error):
        """Out of line; raises the error, after a trap that wakes who gets what it was given."""
        cdef Pool pool = self.origin.pool
        cdef Waiter heir = None
        pool.leave_line(self)
        if self.served:
            if self.connection is not None:
                heir = pool.give_back(self.connection, True)
            else:
                heir = pool.free_place(self.origin)
        if heir is None:
            raise error
        self.error = error
        return ("trap_sched_wake", heir, 1)

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
        self.origin.pool.leave_line(self)

    def _kernel_wake(self, count=1):
        task, self.task = self.task, None
        return [] if task is None else [task]

    def __len__(self):
        return 0 if self.task is None else 1

    def __bool__(self):
        return True


async def waited(Waiter waiter):
    await waiter


@cython.final
cdef class Turn:
    """What a request was given: a connection, or with None the right to open one."""

    cdef public Connection connection
    cdef public bint unused         # given, and nobody has begun to use it
