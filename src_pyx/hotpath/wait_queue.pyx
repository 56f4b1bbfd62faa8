# What a task awaits until it gets a connection or a slot of the pool.
#
# Facts:  a waiter is what its task awaits, what curio suspends the task on, and what wakes it, in one
#         object. The queue does not own it: its task does.
# Rules:  each waiter is woken once, by a trap of its own: curio searches its ready queue for each task
#         that is woken. A waiter that ends before it was granted anything leaves the queue; one that
#         ends later passes on what it was granted.
# Implemented elsewhere: which waiter is next (pool.pyx, origin_pool.pyx), queues (linked_list.pyx).


@cython.final
cdef class Waiter:
    """One waiting task: what it awaits, what curio suspends it on, and what wakes it.

    Thousands of tasks wait where a program starts one for each request, and the garbage collector
    visits each of their objects. `await` ends when a connection or slot was granted, see
    `Pool.granted_connection`. A cancelled waiter leaves the queue and passes on what it was granted.
    """

    def __cinit__(self):
        self.queue_link.owner = self.origin_link.owner = <PyObject *>self

    def __dealloc__(self):
        self.leave_queue()

    cdef void leave_queue(self) noexcept:
        remove_link(&self.queue_link)
        remove_link(&self.origin_link)

    cdef void give_up(self):
        """Leave the queue without a grant; another waiter of the origin may take the place."""
        if self.queue_link.list is not NULL:
            self.leave_queue()
            self.origin.promote_waiters()

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
                "the session was closed while the request waited for a connection"))
        raise StopIteration

    def send(self, result):
        if isinstance(result, BaseException):
            return self.abort(result)
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        return self.abort(value if value is not None else kind)

    def close(self):
        self.give_up()
        if self.is_granted:
            self.origin.pool.release_grant_nowait(self)

    cdef tuple abort(self, error):
        """Leave the queue and raise the error, after a trap that wakes the next waiter if any."""
        cdef Pool pool = self.origin.pool
        cdef Waiter next_waiter = None
        self.give_up()
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
        """Leave the queue: the kernel cancels the wait."""
        self.task = None
        self.give_up()

    def _kernel_wake(self, count=1):
        task, self.task = self.task, None
        return [] if task is None else [task]

    def __len__(self):
        return 0 if self.task is None else 1

    def __bool__(self):
        return True


async def wait_for(Waiter waiter):
    await waiter
