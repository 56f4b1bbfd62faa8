# The traps: requests from a task to the kernel.
#
# A trap is a tuple: its name, then its arguments. The loop looks the name up in `Kernel._traps`
# and calls `run_trap`, unless a user has replaced that entry.
#
# Rules:  the result is stored in the running task's `_trap_result`; None by default. A blocking
#         trap first returns a pending cancellation. A trap that makes the task wait ends with
#         `Runtime.suspend`; `Runtime.cancel_wait` undoes it.
# Implemented elsewhere: the loop, the ready queue, expired timers (run_loop.pyx).

# name: (number, minimum and maximum number of arguments)
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
    """An entry of `Kernel._traps`, which the loop runs by its number and Python code can call."""

    def __repr__(self):
        return f"<TrapHandler {self.name}>"

    def __call__(self, *args):
        run_trap(self.runtime, self, (self.name, *args))


@cython.final
cdef class Waker:
    """The callback of a future: wakes the waiting task. It may be called in any thread."""

    def __call__(self, future):
        self.runtime.wake(self.task, future)


cdef int run_trap(Runtime runtime, TrapHandler handler, tuple request) except -1:
    """Run a trap of the current task and store its result in `_trap_result`."""
    cdef TaskCore task = runtime.current
    cdef Py_ssize_t arg_count = PyTuple_GET_SIZE(request) - 1
    cdef Trap number = handler.number
    if task is None:
        raise RuntimeError(f"{handler.name} needs a running task")
    if not handler.min_args <= arg_count <= handler.max_args:
        raise TypeError(f"{handler.name} takes {handler.min_args} to {handler.max_args} arguments, "
                        f"{arg_count} given")
    if number == TRAP_IO:
        if not runtime.deliver_pending_cancellation():
            error = runtime.poller.register(task, request[1], request[2])
            if error is None:
                runtime.suspend(request[3], WAIT_IO)
            else:
                task._trap_result = error
    elif number == TRAP_IO_RELEASE:
        if task.io_state == IO_REGISTERED:
            runtime.poller.unregister(task)
        runtime.poller.forget(request[1])
    elif number == TRAP_IO_WAITING:
        task._trap_result = runtime.poller.waiters(request[1])
    elif number == TRAP_FUTURE_WAIT:
        if not runtime.deliver_pending_cancellation():
            wait_for_future(runtime, task, request[1], request[2])
    elif number == TRAP_SPAWN:
        task._trap_result = runtime.new_task(request[1])
    elif number == TRAP_CANCEL_TASK:
        cancel_task(runtime, request[1], request[2] if arg_count > 1 else TaskCancelled,
                    request[3] if arg_count > 2 else None)
    elif number == TRAP_SCHED_WAIT:
        if not runtime.deliver_pending_cancellation():
            wait_on(runtime, task, request[1], request[2])
    elif number == TRAP_SCHED_WAKE:
        wake_from(runtime, request[1], request[2])
    elif number == TRAP_CLOCK:
        task._trap_result = runtime.now()
    elif number == TRAP_SLEEP:
        if not runtime.deliver_pending_cancellation():
            start_sleep(runtime, task, request[1])
    elif number == TRAP_SET_TIMEOUT:
        push_timeout(runtime, task, request[1])
    elif number == TRAP_UNSET_TIMEOUT:
        pop_timeout(runtime, task, request[1])
    elif number == TRAP_GET_KERNEL:
        task._trap_result = runtime.kernel
    elif number == TRAP_GET_CURRENT:
        task._trap_result = task
    return 0


cdef int wait_on(Runtime runtime, TaskCore task, object sched, object state) except -1:
    """Make the task wait in a scheduler primitive. Those of curio need no call into Python."""
    if type(sched) is SchedFIFO:
        task.wait_entry = [task]
        sched._queue.append(task.wait_entry)
        sched._actual_len += 1
        task.wait_target = sched
        return runtime.suspend(state, WAIT_FIFO)
    if type(sched) is SchedBarrier:
        sched._tasks.add(task)
        task.wait_target = sched
        return runtime.suspend(state, WAIT_BARRIER)
    task.wait_target = sched._kernel_suspend(task)
    return runtime.suspend(state, WAIT_CALL)


cdef int wake_from(Runtime runtime, object sched, object count) except -1:
    """Queue `count` of the tasks that wait in a scheduler primitive, in its order."""
    cdef Py_ssize_t remaining
    if type(sched) is SchedFIFO:
        remaining = count
        while remaining > 0:
            waiter = sched._queue.popleft()[0]
            if waiter is not None:      # None: that wait was cancelled
                runtime.enqueue(waiter)
                sched._actual_len -= 1
                remaining -= 1
        return 0
    for waiter in sched._kernel_wake(count):
        runtime.enqueue(waiter)
    return 0


cdef int report_to_group(Runtime runtime, TaskCore task) except -1:
    """Do what `TaskGroup._task_done` does, without the four coroutines that it runs."""
    group = task.taskgroup
    if task.daemon:
        group._daemonic.discard(task)
        return 0
    group._running.discard(task)
    group._finished.append(task)
    if len(group._sema._waiting):
        return wake_from(runtime, group._sema._waiting, 1)
    group._sema._value += 1
    return 0


cdef int wait_for_future(Runtime runtime, TaskCore task, object future, object event) except -1:
    cdef Waker waker = Waker.__new__(Waker)
    waker.runtime = runtime
    waker.task = task
    task.future = future
    future.add_done_callback(waker)
    if event:
        event.set()     # the worker starts now that the callback is registered
    return runtime.suspend("FUTURE_WAIT", WAIT_FUTURE)


cdef int cancel_task(Runtime runtime, TaskCore task, object exc, object val) except -1:
    if task.cancelled:
        return 0
    task.cancelled = True
    runtime.set_timeout(task, None)     # a cancelled task needs no time limit
    if not isinstance(exc, BaseException):
        exc = exc(exc.__name__ if val is None else val)
    return runtime.interrupt(task, exc)


cdef int start_sleep(Runtime runtime, TaskCore task, object seconds) except -1:
    cdef double delay = seconds
    cdef double now = runtime.now()
    if delay <= 0:
        task._trap_result = now
        runtime.enqueue(task)
        runtime.current = None
        return 0
    runtime.set_sleep(task, now + delay)
    return runtime.suspend("TIME_SLEEP", WAIT_SLEEP)


cdef int push_timeout(Runtime runtime, TaskCore task, object clock) except -1:
    """Set a time limit, at most the outer one; the trap returns the outer one."""
    outer = task.timeout
    if clock is not None:
        runtime.set_timeout(task, outer if outer and clock > outer else clock)
    task._trap_result = outer
    return 0


cdef int pop_timeout(Runtime runtime, TaskCore task, object outer) except -1:
    """Restore the outer time limit; the trap returns the time."""
    cdef double now = runtime.now()
    runtime.set_timeout(task, outer)
    task._trap_result = now
    # If the outer limit has passed, it expires in the next iteration. Otherwise a pending
    # time-out belongs to the block that ends here, so it is dropped.
    if not (outer and 0 <= outer < now) and isinstance(task.cancel_pending, TaskTimeout):
        task.cancel_pending = None
    return 0
