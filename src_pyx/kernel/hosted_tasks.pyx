# Hosted tasks: how a kernel task that a host's task runs is started, run and ended.
#
# Rules:  a hosted task is in `Kernel._tasks` like every other. `Runtime.run_task` runs it and
#         `Runtime.enqueue` wakes it. When its host's task has ended, the kernel runs it to its end.
# Implemented elsewhere: what the host's task runs (guest.pyx), and how it waits (host_waits.pyx).

cdef TaskCore add_bare_task(Runtime runtime, object coro, TaskCore task):
    """Give a coroutine, which may have started, to a task that was made without `__init__`."""
    global last_task_id
    last_task_id += 1
    task.id = last_task_id
    task.coro = task.coro_to_send = coro
    task.joined = True
    task.runtime = runtime
    runtime.tasks_created += 1
    task.serial = runtime.tasks_created
    for act in runtime.activations:
        act.created(task)
    return task


cdef int bind_to_host(Runtime runtime, TaskCore task, HostedTask hosted, Host host) except -1:
    """Connect a kernel task, its HostedTask and the host."""
    task.hosted = hosted
    hosted.task = task
    hosted.host = host
    hosted.runtime = runtime
    return 0


cdef int start_in_host(Runtime runtime, TaskCore task) except -1:
    """Start a host's task that runs a kernel task, for code that may await the host."""
    cdef HostedTask hosted = hosted_call(None)
    bind_to_host(runtime, task, hosted, runtime.host)
    runtime.host.start_task(hosted)
    return 0


cdef int run_hosted_task(Runtime runtime, TaskCore task) except -1:
    """Run a hosted task until it waits or ends, perhaps while another hosted task is running."""
    cdef TaskCore outer = runtime.current
    if runtime.host is None:
        raise RuntimeError("the event loop of this request has ended" if runtime.failure is None
                           else f"the kernel of this event loop failed: {runtime.failure!r}")
    if outer is None and runtime.is_iterating:
        return runtime.run_task(task, None)
    if outer is not None and outer.io_state == IO_REGISTERED:
        runtime.poller.unregister(outer)
    if last_thread_kernel is not runtime:
        runtime.set_thread_kernel()
    try:
        runtime.run_task(task, None)
    finally:
        runtime.current = outer
        if not runtime.is_iterating and runtime.host is not None:
            runtime.set_host_timer()
    return 0


cdef int wait_for_host(Runtime runtime, TaskCore task, object value) except -1:
    """Make the running task wait for the host, for user code that yielded `value`."""
    task.value_for_host = value
    task.waits_for_host = True
    task.state = "HOST_WAIT"
    runtime.current = None
    if task.cancel_pending is not None and task.allow_cancel:
        task.hosted.cancel_user_wait()
    return 0


cdef int end_hosted_task(Runtime runtime, TaskCore task) except -1:
    """End a hosted task at once, because the host's task has ended or failed."""
    if not task.hosted.returns_outcome:
        return detach_from_host(runtime, task)
    if task.wait_kind != NOT_WAITING:
        runtime.cancel_wait(task)
        task.wait_kind = NOT_WAITING
    try:
        task.coro_to_send.close()
    finally:
        if not task.terminated:
            remove_task(runtime, task)
    return 0


cdef int detach_from_host(Runtime runtime, TaskCore task) except -1:
    """Cancel a hosted task and let the kernel run it to its end, without the host."""
    cdef TaskCore former = task
    if task.wait_kind != NOT_WAITING:
        runtime.cancel_wait(task)
        task.wait_kind = NOT_WAITING
    if task.hosted.returns_outcome:     # a bare TaskCore, without the methods of curio.Task
        task = add_bare_task(runtime, former.coro_to_send,
                             runtime.task_class.__new__(runtime.task_class))
        runtime.tasks[task.id] = task
        task.deadlines = former.deadlines
        remove_task(runtime, former)
        if former.is_queued:
            runtime.ring[runtime.ring.index(former)] = task
            task.is_queued = True
    former.hosted = None
    task.waits_for_host = False
    task.error_to_throw = TaskCancelled("TaskCancelled")
    return 0 if task.is_queued else runtime.enqueue(task)


cdef int remove_task(Runtime runtime, TaskCore task) except -1:
    """Remove a hosted task that has not ended from the kernel."""
    if task.io_state == IO_REGISTERED:
        runtime.poller.unregister(task)
    runtime.tasks.pop(task.id, None)
    runtime.set_timeout(task, None)
    task.terminated = True
    task.runtime = None
    return 0


cdef int abort_hosted_tasks(Runtime runtime, error) except -1:
    """End the guest kernel after a failed trap: each hosted task gets an error."""
    cdef TaskCore task
    cdef HostedTask hosted
    if runtime.failure is not None:
        return 0
    runtime.failure = error
    host, runtime.host = runtime.host, None
    (<Host> host).detach()
    for hosted in hosted_tasks(runtime):
        task = hosted.task
        if task.wait_kind != NOT_WAITING or task.is_queued:
            task.wait_kind = NOT_WAITING
            host.resume_later(hosted)
    return 0


cdef list hosted_tasks(Runtime runtime):
    """Return the hosted tasks that have not ended."""
    cdef TaskCore task
    cdef HostedTask call = runtime.first_call
    hosted = [task.hosted for task in runtime.tasks.values() if task.hosted is not None]
    while call is not None:
        hosted.append(call)
        call = call.next_call
    return hosted


cdef int add_call(Runtime runtime, HostedTask hosted) except -1:
    """Add a call to the list of its kernel, which keeps it and its task alive."""
    hosted.next_call = runtime.first_call
    if hosted.next_call is not None:
        hosted.next_call.prev_call = hosted
    runtime.first_call = hosted
    return 0


cdef int remove_call(Runtime runtime, HostedTask hosted) except -1:
    if hosted.prev_call is not None:
        hosted.prev_call.next_call = hosted.next_call
    elif runtime.first_call is hosted:
        runtime.first_call = hosted.next_call
    if hosted.next_call is not None:
        hosted.next_call.prev_call = hosted.prev_call
    hosted.prev_call = hosted.next_call = None
    return 0
