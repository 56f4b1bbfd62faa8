# Tasks that a task of the host steps: how they enter a guest kernel, take a step, and leave it.
#
# Rules:  a hosted task is in `Kernel._tasks` like every other. It is stepped by `Runtime.step`, and
#         woken by `Runtime.enqueue`. When its host's task is gone, the kernel ends it.
# Not here: what the host's task runs, and how it waits (guest.pyx).

cdef TaskCore adopt(Runtime runtime, object coro, TaskCore task):
    """Make a bare task one of the kernel's, for a coroutine that is not necessarily new."""
    global tasks_made
    tasks_made += 1
    task.id = tasks_made
    task.coro = task.driven = coro
    task.joined = True
    task.runtime = runtime
    runtime.born += 1
    task.serial = runtime.born
    runtime.tasks[task.id] = task
    for act in runtime.activations:
        act.created(task)
    return task


cdef int entrust(Runtime runtime, TaskCore task, HostedTask hosted, Host host) except -1:
    task.hosted = hosted
    hosted.task = task
    hosted.host = host
    return 0


cdef int start_in_host(Runtime runtime, TaskCore task) except -1:
    """Let a task that may run user code be stepped by a task of the host."""
    cdef HostedTask hosted = (<Host> runtime.host).new_hosted()
    entrust(runtime, task, hosted, runtime.host)
    runtime.host.start_task(hosted, hosted_call(None, (), None, hosted))
    return 0


cdef int step_hosted(Runtime runtime, TaskCore task) except -1:
    """`step` for a task of the host, perhaps inside the step of another one."""
    cdef TaskCore outer = runtime.current
    if runtime.host is None:
        raise RuntimeError("the event loop of this request has ended" if runtime.failure is None
                           else f"the kernel of this event loop failed: {runtime.failure!r}")
    if outer is None and runtime.turning:
        return runtime.step(task, None)
    if outer is not None and outer.io_state == IO_HELD:
        runtime.poller.drop(outer)
    if last_taken is not runtime:
        runtime.take_thread()
    try:
        runtime.step(task, None)
    finally:
        runtime.current = outer
        if not runtime.turning and runtime.host is not None:
            runtime.set_alarm()
    return 0


cdef int pass_to_host(Runtime runtime, TaskCore task, object value) except -1:
    """The running task waits for the host, in code of the user."""
    task.passed = value
    task.is_foreign = True
    task.state = "HOST_WAIT"
    runtime.current = None
    if task.cancel_pending is not None and task.allow_cancel:
        task.hosted.break_wait()
    return 0


cdef int abandon(Runtime runtime, TaskCore task) except -1:
    """The host's task is gone, or our own code failed: end a hosted task here and now."""
    if not task.hosted.reports:
        return orphan(runtime, task)
    if task.parked:
        runtime.leave_wait(task)
        task.parked = NOT_PARKED
    try:
        task.driven.close()
    finally:
        if not task.terminated:
            retire(runtime, task)
    return 0


cdef int orphan(Runtime runtime, TaskCore task) except -1:
    """Have the kernel itself step a hosted task, which gets a cancellation at once."""
    cdef TaskCore former = task
    if task.parked:
        runtime.leave_wait(task)
        task.parked = NOT_PARKED
    if task.hosted.reports:     # bare: the kernel's own tasks have the methods of curio.Task
        task = adopt(runtime, former.driven, runtime.task_class.__new__(runtime.task_class))
        task.deadlines = former.deadlines
        retire(runtime, former)
        if former.queued:
            runtime.ring[runtime.ring.index(former)] = task
            task.queued = True
    former.hosted = None
    task.is_foreign = False
    task.thrown = TaskCancelled("TaskCancelled")
    return 0 if task.queued else runtime.enqueue(task)


cdef int retire(Runtime runtime, TaskCore task) except -1:
    """Take a hosted task that has not ended out of the kernel."""
    runtime.tasks.pop(task.id, None)
    runtime.set_timeout(task, None)
    task.terminated = True
    task.runtime = None
    return 0


cdef int fail_hosted(Runtime runtime, error) except -1:
    """A trap failed: raise an error in every hosted task, and leave this kernel."""
    cdef TaskCore task
    if runtime.failure is not None:
        return 0
    runtime.failure = error
    host, runtime.host = runtime.host, None
    (<Host> host).forget()
    for task in list(runtime.tasks.values()):
        if task.hosted is not None and (task.parked or task.queued):
            task.parked = NOT_PARKED
            host.resume_later(task.hosted)
    return 0
