# The run loop: which task runs next, and what its last trap returns.
#
# `Runtime` is what `curio.Kernel._make_kernel_runtime` returns. Called with a coroutine, it runs
# until that task ends.
#
# Facts:  a trap is a tuple whose first item names it. An iteration is the same as in curio: poll
#         once, expire the timers, then run each task that is ready by then once.
# Rules:  the kernel keeps the order of curio's kernel wherever a program can see it. A task is in
#         the ready queue at most once. No Python frame runs between a readable descriptor and the
#         coroutine that waits for it. An error inside a trap ends the kernel, as in curio. An
#         error about the file to wait for is raised in the task instead.
# Implemented elsewhere: the fields of a task (task.pyx), deadlines (timers.pyx), descriptors
#         (epoll.pyx, selector.pyx), what each trap does (traps.pyx), hosts (guest.pyx).

cdef enum:
    SEVERAL_TASKS = 2   # that were ready, so that others probably are by now


@cython.final
cdef class Runtime:
    """A running kernel: called with a coroutine, runs it to its end; with None, iterates once."""

    def __init__(self, kernel, task_class, kernel_task):
        self.kernel = kernel
        self.tasks = kernel._tasks
        self.task_class = task_class
        selector = kernel._selector
        self.poller = selector if isinstance(selector, Poller) else Selector(selector)
        self.timers = Timers()
        self.max_wait = kernel._max_select_timeout or -1.0
        self.clock = None if AF_HAS_EPOLL and time.monotonic is MONOTONIC else time.monotonic
        self.ring_size = 64
        self.ring = [None] * self.ring_size
        self.wakeups = deque()
        self.host_timer_due = INFINITY
        self.make_traps()
        self.activations = []
        kernel._activations = self.activations = [
            act() if isinstance(act, type) and issubclass(act, Activation) else act
            for act in kernel._activations]
        for act in self.activations:
            act.activate(kernel)
        self.wakeup_writer, self.wakeup_reader = socketpair()
        for end in (self.wakeup_writer, self.wakeup_reader):
            end.setblocking(False)
            kernel._call_at_shutdown(end.close)
        self.new_task(kernel_task(self)).daemon = True

    cdef int make_traps(self) except -1:
        cdef TrapHandler handler
        self.traps = {}
        for name, (number, min_args, max_args) in TRAPS.items():
            handler = TrapHandler.__new__(TrapHandler)
            handler.runtime = self
            handler.name = name
            handler.number = number
            handler.min_args = min_args
            handler.max_args = max_args
            self.traps[name] = handler
        self.kernel._traps = self.traps
        return 0

    # -- the loop

    def __call__(self, coro):
        cdef TaskCore main = self.new_task(coro) if coro else None
        coro = None
        if main is None:
            self.run_once(0.0, None)
            return None
        run_to_end(self, main)
        main.joined = True
        return main

    cdef Py_ssize_t run_once(self, double wait, TaskCore main) except -1:
        """Poll for `wait` seconds, expire the timers, then run each ready task once.

        Returns how many tasks have run.
        """
        cdef TaskCore task
        cdef Py_ssize_t _index, count
        self.poller.poll(self, wait)
        if PyList_GET_SIZE(self.timers.heap):
            self.expire_timers(self.now())
        count = self.ready_count
        for _index in range(count):
            task = self.dequeue()
            if task.hosted is not None:
                task.hosted.resume()
            elif not task.terminated:   # else its coroutine was closed since it was woken
                self.run_task(task, main)
        return count

    cdef double poll_timeout(self) except? -2.0:
        """Return how many seconds the next poll may wait; negative: without limit."""
        cdef double wait = -1.0
        if self.ready_count:
            return 0.0
        if PyList_GET_SIZE(self.timers.heap):
            wait = max(self.timers.first().due - self.now(), 0.0)
        if self.max_wait > 0 and (wait < 0 or wait > self.max_wait):
            wait = self.max_wait
        return wait

    cdef inline double now(self) except? -1.0:
        return c_monotonic() if self.clock is None else self.clock()

    cdef int run_task(self, TaskCore task, TaskCore main) except -1:
        """Run one task until it waits or ends."""
        cdef PyObject* result
        cdef object value, trap = None
        cdef int sent
        self.current = task
        for act in self.activations:
            act.running(task)
        task.state = "RUNNING"
        task.cycles += 1
        while self.current is not None:
            value = task._trap_result
            if task.error_to_throw is not None:
                sent, value = throw_into_task(task)
            elif task.coro_to_send is None:
                sent, value = self.send(task, value)
            else:
                sent = PyIter_Send(<PyObject*> task.coro_to_send, <PyObject*> value, &result)
                if sent == PYGEN_ERROR:
                    value = take_exception()
                else:
                    value = <object> result
                    Py_DECREF(result)
            if sent == PYGEN_NEXT:
                trap = value
                task._trap_result = None
                if task.hosted is not None and type(trap) is not tuple:
                    wait_for_host(self, task, trap)
                else:
                    self.handle_trap(trap)
            elif sent == PYGEN_RETURN:
                self.finish_task(task, main, value, None)
            else:
                self.finish_task(task, main, None, value)
        if task.io_state == IO_REGISTERED:
            self.poller.unregister(task)
        for act in self.activations:
            act.suspended(task, trap)
            if task.terminated:
                act.terminated(task)
        return 0

    cdef tuple send(self, TaskCore task, object value):
        """Do what PyIter_Send does with the task's own `send`, which a subclass may override."""
        try:
            return (<int> PYGEN_NEXT, task.send(value))
        except StopIteration as stop:
            return (<int> PYGEN_RETURN, stop.value)
        except BaseException as error:
            return (<int> PYGEN_ERROR, error)

    cdef int finish_task(self, TaskCore task, TaskCore main, object value, object error) except -1:
        """End the task: notify its task group, then wake the tasks that join this one."""
        if task.is_finishing:
            if error is None:
                value, error = task._final_result, task._final_exc
            elif error.__context__ is None:
                error.__context__ = task._final_exc
        elif task.runner is None and task.taskgroup:
            task.joined = True
            try:
                if type(task.taskgroup) is TaskGroup:
                    report_to_group(self, task)
                else:
                    task.is_finishing = True
                    task._trap_result = None
                    task._final_result, task._final_exc = value, error
                    task.coro_to_send = as_coroutine(task.taskgroup._task_done(task))
                    return 0
            except BaseException as failure:
                error = failure
        self.current = None
        if task.barrier is not None:
            wake_from(self, task.barrier, len(task.barrier))
        task.terminated = True
        task.state = "TERMINATED"
        if task.timeout is not None:
            self.set_timeout(task, None)
        task.runtime = None     # a task that is kept for its result must not keep the kernel
        task._final_result, task._final_exc = value, error
        if task.hosted is not None and task.hosted.returns_outcome:
            return 0        # the host's task awaits this one
        del self.tasks[task.id]
        if error is None:
            return 0
        task._final_result = None
        if task is not main and not isinstance(error, (CancelledError, SystemExit)):
            KERNEL_LOG.error("Task Crash: %r", task, exc_info=error)
        if not isinstance(error, (Exception, CancelledError)):
            if task.io_state == IO_REGISTERED:
                self.poller.unregister(task)
            raise error
        return 0

    # -- tasks

    cdef TaskCore new_task(self, object coro):
        cdef TaskCore task = <TaskCore?> self.task_class(coro, self.current)
        task.runtime = self
        self.tasks_created += 1
        task.serial = self.tasks_created
        self.tasks[task.id] = task
        if self.host is None or getattr(coro, "cr_code", None) in internal_tasks:
            self.enqueue(task)
        else:
            start_in_host(self, task)
        for act in self.activations:
            act.created(task)
        return task

    cdef int enqueue(self, TaskCore task) except -1:
        """Append the task to the ready queue. Queued twice, it would get one result twice."""
        if task.is_queued:
            raise AssertionError(f"{task!r} is in the ready queue already")
        if self.ready_count == self.ring_size:
            self.ring = (self.ring[self.ring_head:] + self.ring[:self.ring_head]
                         + [None] * self.ring_size)
            self.ring_head = 0
            self.ring_size *= 2
        self.ring[(self.ring_head + self.ready_count) & (self.ring_size - 1)] = task
        self.ready_count += 1
        task.is_queued = True
        task.state = "READY"
        task.wait_kind = NOT_WAITING
        task.wait_target = None
        task.wait_entry = None
        if self.host is not None and not self.is_iterating:
            self.schedule_iteration()
        return 0

    cdef inline TaskCore dequeue(self):
        cdef TaskCore task = <TaskCore> self.ring[self.ring_head]
        self.ring[self.ring_head] = None
        self.ring_head = (self.ring_head + 1) & (self.ring_size - 1)
        self.ready_count -= 1
        task.is_queued = False
        return task

    cdef int suspend(self, object state, WaitKind wait_kind) except -1:
        """Make the running task wait."""
        cdef TaskCore task = self.current
        task.state = state if type(state) is str else str(state)
        task.wait_kind = wait_kind
        if task.io_state == IO_REGISTERED:
            self.poller.unregister(task)
        self.current = None
        return 0

    cdef int cancel_wait(self, TaskCore task) except -1:
        """Undo the wait of a task, so that something else may wake it."""
        if task.wait_kind == WAIT_IO:
            self.poller.unregister(task)
        elif task.wait_kind == WAIT_SLEEP:
            self.set_sleep(task, None)
        elif task.wait_kind == WAIT_FUTURE:
            task.future.cancel()
            task.future = None
        elif task.wait_kind == WAIT_FIFO:
            task.wait_entry[0] = None
            task.wait_target._actual_len -= 1
        elif task.wait_kind == WAIT_BARRIER:
            task.wait_target._tasks.remove(task)
        elif task.wait_kind == WAIT_CALL:
            task.wait_target()
        return 0

    cdef int interrupt(self, TaskCore task, object error) except -1:
        """Raise an error in a task: now if it waits, else at its next blocking trap."""
        if not task.allow_cancel or task.wait_kind == NOT_WAITING:
            task.cancel_pending = error
            if task.waits_for_host and task.allow_cancel:
                task.hosted.cancel_user_wait()
            return 0
        self.cancel_wait(task)
        task._trap_result = error
        return self.enqueue(task)

    cdef bint deliver_pending_cancellation(self) except -1:
        """Return a pending cancellation as the result of this blocking trap; False if none."""
        cdef TaskCore task = self.current
        if task.cancel_pending is None or not task.allow_cancel:
            return False
        task._trap_result = task.cancel_pending
        task.cancel_pending = None
        return True

    # -- time

    cdef int set_sleep(self, TaskCore task, object clock) except -1:
        task.sleep = clock
        task.sleep_at = deadline(clock)
        return self.timers.reschedule(task)

    cdef int set_timeout(self, TaskCore task, object clock) except -1:
        task.timeout = clock
        task.timeout_at = deadline(clock)
        return self.timers.reschedule(task)

    cdef int expire_timers(self, double now) except -1:
        """Wake or interrupt the task of each deadline up to `now`, in order."""
        cdef TaskCore task = self.timers.first()
        cdef double due
        cdef bint is_valid
        while task is not None and task.due <= now:
            due = task.due
            if task.sleep_at == due:
                is_valid = deadline(task.sleep) == due      # else it was changed by hand
                self.set_sleep(task, None)
                if is_valid:
                    task._trap_result = now
                    self.enqueue(task)
            else:
                is_valid = deadline(task.timeout) == due
                self.set_timeout(task, None)
                if is_valid:
                    self.interrupt(task, TaskTimeout(now))
            task = self.timers.first()
        return 0

    # -- other threads

    cdef int wake(self, TaskCore task, object future) except -1:
        """Wake the task that waits for the future. May be called from any thread."""
        self.wakeups.append((task, future))
        if not self.is_wakeup_pending:
            self.is_wakeup_pending = True
            try:
                self.wakeup_writer.send(b"\0")
            except OSError:
                pass        # the kernel was shut down in between, with the task
        return 0

    def process_wakeups(self):
        """Queue the tasks that other threads have woken. The kernel task calls it."""
        cdef TaskCore task
        self.wakeup_reader.recv(64)
        # Read first, then reset: a thread that adds a wake-up in between sends another byte.
        self.is_wakeup_pending = False
        while self.wakeups:
            task, future = self.wakeups.popleft()
            # A cancelled or timed out task no longer waits for this future.
            if task.future is future and not task.is_queued:
                task.future = None
                self.enqueue(task)

    # -- called by a host (guest.pyx)

    def run_iteration(self, _guard=None):
        """Poll without waiting, expire the timers, and run each ready task once.

        While several tasks are ready, do it again: that is faster than another turn of the host.
        Not in trio, where the tasks run later. Returns how many tasks ran last.
        """
        cdef Py_ssize_t count = 0, total = 0
        if self.host is None:
            return 0
        self.is_iteration_scheduled = False
        self.is_iterating = True
        self.set_thread_kernel()
        try:
            while self.host is not None and total < MAX_EVENTS:
                count = self.run_once(0.0, None)
                total += count
                if count < SEVERAL_TASKS or (<Host> self.host).loop is None:
                    break
        finally:
            self.is_iterating = False
            if self.host is not None:
                if self.ready_count:
                    self.schedule_iteration()
                self.set_host_timer()
        return count

    def on_timer(self):
        """Run an iteration because the host's timer has expired."""
        self.host_timer_due = INFINITY
        return self.run_iteration()

    cdef inline int set_thread_kernel(self) except -1:
        """Make this the thread's current kernel, until another kernel or event loop runs."""
        global last_thread_kernel
        last_thread_kernel = self
        if getattr(curio_locals, "kernel", None) is not self.kernel:
            curio_locals.kernel = self.kernel
        return 0

    cdef int schedule_iteration(self) except -1:
        if not self.is_iteration_scheduled:
            self.is_iteration_scheduled = True
            self.host.call_soon()
        return 0

    cdef int set_host_timer(self) except -1:
        """Have the host call when the first timer is due. An early call is harmless."""
        cdef double due
        if PyList_GET_SIZE(self.timers.heap):
            due = self.timers.first().due
            if due < self.host_timer_due:
                self.host_timer_due = due
                self.host.call_after(max(due - self.now(), 0.0))
        return 0

    def attach(self, Host host):
        """Set the host of this kernel; None when the host's event loop has ended.

        Hosted tasks that are left then become tasks of the kernel, whose shutdown cancels them.
        """
        global last_thread_kernel
        cdef HostedTask hosted
        self.host = host
        if host is not None:
            host.runtime = self
            if self.ready_count:
                self.schedule_iteration()
            return
        last_thread_kernel = None
        if getattr(curio_locals, "kernel", None) is self.kernel:
            curio_locals.kernel = None
        for hosted in hosted_tasks(self):
            detach_from_host(self, hosted.task)

    # -- traps

    cdef int handle_trap(self, object trap) except -1:
        cdef PyObject* handler
        try:
            if type(trap) is not tuple:
                trap = tuple(trap)
            handler = PyDict_GetItemWithError(self.traps, (<tuple> trap)[0])
            if handler == NULL:
                raise KeyError((<tuple> trap)[0])
            if type(<object> handler) is TrapHandler:
                run_trap(self, <TrapHandler> handler, <tuple> trap)
            else:
                (<object> handler)(*(<tuple> trap)[1:])
        except BaseException as error:
            self.abort(error)
            raise
        return 0

    cdef int abort(self, error) except -1:
        """A trap failed: the state may be inconsistent, so the kernel must not be used again."""
        cdef TaskCore task
        cdef HostedTask hosted
        if self.host is not None:
            abort_hosted_tasks(self, error)
        self.kernel._shutdown_funcs = None
        for hosted in hosted_tasks(self):
            hosted.task.runtime = None
        for task in self.tasks.values():
            task.runtime = None
        self.wakeup_writer.close()
        self.wakeup_reader.close()
        if isinstance(self.poller, Epoll):
            (<Epoll> self.poller).close()
        return 0


cdef double deadline(object clock) except? -1.0:
    """Convert a time on the kernel clock for the timers; None and NaN become infinity."""
    cdef double seconds
    if clock is None:
        return INFINITY
    seconds = clock
    return seconds if seconds == seconds else INFINITY


cdef tuple throw_into_task(TaskCore task):
    """Do what PyIter_Send does, but raise `error_to_throw` where the coroutine waits."""
    error, task.error_to_throw = task.error_to_throw, None
    try:
        thrower = task._throw if task.coro_to_send is None else task.coro_to_send.throw
        return (<int> PYGEN_NEXT, thrower(error))
    except StopIteration as stop:
        return (<int> PYGEN_RETURN, stop.value)
    except BaseException as failure:
        return (<int> PYGEN_ERROR, failure)


async def awaited(awaitable):
    return await awaitable


cdef object as_coroutine(object awaitable):
    return awaitable if PyCoro_CheckExact(awaitable) else awaited(awaitable)
