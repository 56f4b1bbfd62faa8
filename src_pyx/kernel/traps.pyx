# What a task asks of the kernel, trap by trap.
#
# A trap is a tuple: its name, then its arguments. The loop finds the name in `Kernel._traps` and
# calls `do_trap`, unless a user put something else there.
#
# Rules:  the answer goes to the running task's `_trap_result`; no answer means None. A blocking
#         trap gives way to a cancellation that is pending. One that parks the task ends with
#         `Runtime.park`; its undoing is in `Runtime.leave_wait`.
# Not here: the loop, the ready queue, alarms (kernel.pyx).

cdef enum Trap:
    TRAP_IO
    TRAP_IO_RELEASE
    TRAP_IO_WAITING
    TRAP_FUTURE_WAIT
    TRAP_SPAWN
    TRAP_CANCEL_TASK
    TRAP_SCHED_WAIT
    TRAP_SCHED_WAKE
    TRAP_CLOCK
    TRAP_SLEEP
    TRAP_SET_TIMEOUT
    TRAP_UNSET_TIMEOUT
    TRAP_GET_KERNEL
    TRAP_GET_CURRENT

# name: (number, fewest arguments, most arguments)
cdef dict TRAPS = {
    "trap_io": (TRAP_IO, 3, 3),
    "trap_io_release": (TRAP_IO_RELEASE, 1, 1),
    "trap_io_waiting": (TRAP_IO_WAITING, 1, 1),
    "trap_future_wait": (TRAP_FUTURE_WAIT, 2, 2),
    "trap_spawn": (TRAP_SPAWN, 1, 1),
    "trap_cancel_task": (TRAP_CANCEL_TASK, 1, 3),
    "trap_sched_wait": (TRAP_SCHED_WAIT, 2, 2),
    "trap_sched_wake": (TRAP_SCHED_WAKE, 2, 2),
    "trap_clock": (TRAP_CLOCK, 0, 0),
    "trap_sleep": (TRAP_SLEEP, 1, 1),
    "trap_set_timeout": (TRAP_SET_TIMEOUT, 1, 1),
    "trap_unset_timeout": (TRAP_UNSET_TIMEOUT, 1, 1),
    "trap_get_kernel": (TRAP_GET_KERNEL, 0, 0),
    "trap_get_current": (TRAP_GET_CURRENT, 0, 0),
}


@cython.final
cdef class TrapHandler:
    """An entry of `Kernel._traps`: known to the loop by number, callable from Python."""

    cdef Runtime runtime
    cdef readonly str name
    cdef Trap number
    cdef Py_ssize_t fewest          # arguments that the trap takes
    cdef Py_ssize_t most

    def __repr__(self):
        return f"<TrapHandler {self.name}>"

    def __call__(self, *args):
        do_trap(self.runtime, self, (self.name, *args))


@cython.final
cdef class Waker:
    """What a future calls when it is done, from whatever thread that happens in."""

    cdef Runtime runtime
    cdef TaskCore task

    def __call__(self, future):
        self.runtime.wake(self.task, future)


cdef int do_trap(Runtime runtime, TrapHandler handler, tuple request) except -1:
    """Do what the running task asks for; its answer goes to `_trap_result`."""
    cdef TaskCore task = runtime.current
    cdef Py_ssize_t given = PyTuple_GET_SIZE(request) - 1
    cdef Trap number = handler.number
    if task is None:
        raise RuntimeError(f"{handler.name} needs a running task")
    if not handler.fewest <= given <= handler.most:
        raise TypeError(f"{handler.name} takes {handler.fewest} to {handler.most} arguments, "
                        f"{given} given")
    if number == TRAP_IO:
        if not runtime.takes_cancellation():
            refused = runtime.poller.start(task, request[1], request[2])
            if refused is None:
                runtime.park(request[3], PARKED_IO)
            else:
                task._trap_result = refused
    elif number == TRAP_IO_RELEASE:
        if task.io_state == IO_HELD:
            runtime.poller.drop(task)
        runtime.poller.release(request[1])
    elif number == TRAP_IO_WAITING:
        task._trap_result = runtime.poller.waiting(request[1])
    elif number == TRAP_FUTURE_WAIT:
        if not runtime.takes_cancellation():
            wait_for_future(runtime, task, request[1], request[2])
    elif number == TRAP_SPAWN:
        task._trap_result = runtime.new_task(request[1])
    elif number == TRAP_CANCEL_TASK:
        cancel_task(runtime, request[1], request[2] if given > 1 else TaskCancelled,
                    request[3] if given > 2 else None)
    elif number == TRAP_SCHED_WAIT:
        if not runtime.takes_cancellation():
            wait_on(runtime, task, request[1], request[2])
    elif number == TRAP_SCHED_WAKE:
        wake_from(runtime, request[1], request[2])
    elif number == TRAP_CLOCK:
        task._trap_result = runtime.now()
    elif number == TRAP_SLEEP:
        if not runtime.takes_cancellation():
            put_to_sleep(runtime, task, request[1])
    elif number == TRAP_SET_TIMEOUT:
        enter_timeout(runtime, task, request[1])
    elif number == TRAP_UNSET_TIMEOUT:
        leave_timeout(runtime, task, request[1])
    elif number == TRAP_GET_KERNEL:
        task._trap_result = runtime.kernel
    elif number == TRAP_GET_CURRENT:
        task._trap_result = task
    return 0


cdef int wait_on(Runtime runtime, TaskCore task, object sched, object state) except -1:
    """Park the task on a scheduler primitive, curio's own two without a call into Python."""
    if type(sched) is SchedFIFO:
        task.place = [task]
        sched._queue.append(task.place)
        sched._actual_len += 1
        task.unpark = sched
        return runtime.park(state, PARKED_FIFO)
    if type(sched) is SchedBarrier:
        sched._tasks.add(task)
        task.unpark = sched
        return runtime.park(state, PARKED_BARRIER)
    task.unpark = sched._kernel_suspend(task)
    return runtime.park(state, PARKED_CALL)


cdef int wake_from(Runtime runtime, object sched, object count) except -1:
    """Queue so many of those who wait on a scheduler primitive, in its order."""
    cdef Py_ssize_t left
    if type(sched) is SchedFIFO:
        left = count
        while left > 0:
            waiter = sched._queue.popleft()[0]
            if waiter is not None:      # else it was cancelled
                runtime.enqueue(waiter)
                sched._actual_len -= 1
                left -= 1
        return 0
    for waiter in sched._kernel_wake(count):
        runtime.enqueue(waiter)
    return 0


cdef int wait_for_future(Runtime runtime, TaskCore task, object future, object event) except -1:
    cdef Waker waker = Waker.__new__(Waker)
    waker.runtime = runtime
    waker.task = task
    task.future = future
    future.add_done_callback(waker)
    if event:
        event.set()     # lets a worker start only now that its result will be noticed
    return runtime.park("FUTURE_WAIT", PARKED_FUTURE)


cdef int cancel_task(Runtime runtime, TaskCore task, object exc, object val) except -1:
    if task.cancelled:
        return 0
    task.cancelled = True
    runtime.set_timeout(task, None)    # it is cancelled already, there is nothing left to time out
    if not isinstance(exc, BaseException):
        exc = exc(exc.__name__ if val is None else val)
    return runtime.interrupt(task, exc)


cdef int put_to_sleep(Runtime runtime, TaskCore task, object seconds) except -1:
    cdef double delay = seconds
    cdef double now = runtime.now()
    if delay <= 0:
        task._trap_result = now
        runtime.enqueue(task)
        runtime.current = None
        return 0
    runtime.set_sleep(task, now + delay)
    return runtime.park("TIME_SLEEP", PARKED_SLEEP)


cdef int enter_timeout(Runtime runtime, TaskCore task, object clock) except -1:
    """A time-out inside another never ends later than the outer one."""
    outer = task.timeout
    if clock is not None:
        runtime.set_timeout(task, outer if outer and clock > outer else clock)
    task._trap_result = outer
    return 0


cdef int leave_timeout(Runtime runtime, TaskCore task, object outer) except -1:
    cdef double now = runtime.now()
    runtime.set_timeout(task, outer)
    task._trap_result = now
    # An outer time-out that has passed by now rings with the next turn of the loop. One that
    # has not, or none: then a time-out under way belongs to the block that is being left.
    if not (outer and 0 <= outer < now) and isinstance(task.cancel_pending, TaskTimeout):
        task.cancel_pending = None
    return 0
