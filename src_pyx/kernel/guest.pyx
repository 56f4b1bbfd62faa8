# The coroutine by which a task of asyncio, uvloop or trio runs a task of a guest kernel.
#
# A hosted task is a kernel task that a task of the host runs. A `HostedTask` looks like a coroutine
# to that host task: each `send` runs the kernel task until it waits, and returns what to wait for.
#
# Facts:  a task of asyncio is resumed inside `Runtime.run_iteration`, so a response is read before
#         the host polls again. `await` calls the C slot `am_send`, which returns a result without
#         raising StopIteration: that and a coroutine frame cost 2,400 instructions.
# Rules:  a trap is a tuple. Any other value that a hosted coroutine yields goes to the host
#         unchanged, and so does the host's result to the coroutine. A cancellation by the host
#         during a trap becomes `TaskCancelled`; user code gets the host's own exception. A hosted
#         task that waits for the host, or starts another one, owns no registration.
# Implemented elsewhere: finding the host (host.pyx), what the host's task yields to wait
#         (host_waits.pyx), how a hosted task is started, run and ended in the kernel
#         (hosted_tasks.pyx).

@cython.final
@cython.freelist(256)
cdef class HostedTask:
    """A kernel task that a host's task runs: a coroutine to the host."""

    # -- a coroutine

    def __await__(self):
        if self.call_state != NOT_STARTED:
            raise RuntimeError("cannot reuse already awaited coroutine")
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, value):
        """Run until the next wait; `value` is the result of the previous one."""
        cdef PyObject* result = NULL
        return unpack_send(send_to_hosted(self, value, &result), result)

    def throw(self, kind, value=None, traceback=None):
        """Raise an exception of the host where the coroutine waits."""
        cdef PyObject* result = NULL
        error = kind if value is None else value
        error = error() if isinstance(error, type) else error
        if self.call_state == DIRECT:
            try:
                return self.coro.throw(error)
            except TaskCancelled as cancellation:
                failure = error_for_user(self.outer, cancellation)
            raise failure
        if self.call_state != HOSTED or isinstance(error, GeneratorExit):
            self.close()
            raise error
        if self.task.waits_for_host:
            self.receive_result(None, error)
        else:
            self.receive_error(error)
        return unpack_send(self.run(&result), result)

    def close(self):
        """End the coroutine, which may await nothing more."""
        if self.call_state == HOSTED:
            self.end()
        elif self.coro is not None:
            self.coro.close()
        self.call_state = ENDED

    @property
    def __name__(self):
        return self.coroutine().__name__

    @property
    def __qualname__(self):
        return self.coroutine().__qualname__

    cdef object coroutine(self):
        return hosted_call if self.coro is None and self.task is None else (
            self.coro if self.task is None else self.task.coro)

    # -- running the kernel task

    cdef int start(self) except -1:
        """Find out where the coroutine is awaited, and give it to the kernel there."""
        cdef Runtime runtime
        if self.task is None:       # else made by start_in_host
            self.host = find_host()
            if self.host is not None:
                self.host_task, self.host.found_task = self.host.found_task, None
            runtime = None if self.host is None else self.host.runtime
            if runtime is None or (runtime.current is not None
                                   and (runtime.current.hosted is None
                                        or runtime.current.hosted.is_run_by_caller())):
                self.call_state = DIRECT
                self.host_task = None
                self.outer = None if runtime is None else runtime.current.hosted
                return 0
            self.returns_outcome = True
            bind_to_host(runtime, add_bare_task(runtime, self.coro, TaskCore.__new__(TaskCore)),
                         self, self.host)
            add_call(runtime, self)
            self.coro = None
        self.call_state = HOSTED
        if self.host.loop is not None:
            if HAS_EAGER_TASKS:
                self.host_task = self.host.running_task()
        elif self.host_task is None:
            self.host_task = self.host.trio_task()
        self.wait = take_wait(self.host)
        self.wait.hosted = self
        return 0

    cdef int run(self, PyObject** result) except -2:
        """Run the kernel task until it waits or ends; see send_to_hosted."""
        cdef TaskCore task = self.task
        try:
            run_hosted_task(self.runtime, task)
        except BaseException:
            self.end()
            raise
        if task.terminated:
            return self.finish(result)
        if task.waits_for_host:
            self.before_user_wait()
            value, task.value_for_host = task.value_for_host, None
        else:
            value = self.wait.message
        return send_result(PYGEN_NEXT, value, result)

    cdef int finish(self, PyObject** result) except -2:
        """Pass the outcome of the kernel task on."""
        cdef TaskCore task = self.task
        cdef HostWait wait = self.wait
        self.release()
        give_back_wait(self.host, wait)     # the host's task runs, so it does not wait with it
        value = None
        if self.returns_outcome:
            if task._final_exc is not None:
                error, task._final_exc = task._final_exc, None
                return send_result(PYGEN_ERROR, error_for_user(self, error), result)
            if task.cancel_pending is not None and task.cancel_pending is self.cancellation:
                self.host.redeliver_cancellation(self)
            value = task._final_result
        return send_result(PYGEN_RETURN, value, result)

    cdef int end(self) except -1:
        """End the kernel task at once, because the host's task has ended or failed."""
        if self.task is None:
            return 0
        try:
            if not self.task.terminated and self.task.hosted is self:
                end_hosted_task(self.runtime, self.task)
        finally:
            self.release()
        return 0

    cdef int release(self) except -1:
        """Separate this object from its kernel task."""
        self.task.hosted = None
        self.task = None
        self.call_state = ENDED
        remove_call(self.runtime, self)
        if self.wait is not None:
            self.wait.hosted = None
            self.wait = None
        return 0

    # -- called by the host and the kernel

    def on_host_task_end(self):
        """Cancel the kernel task, because the host's task has ended, or never started."""
        if (self.task is not None and self.task.runtime is not None
                and self.task.hosted is self):
            detach_from_host(self.task.runtime, self.task)

    cpdef resume(self):
        """Resume the host's task. Called only in `Runtime.run_iteration`."""
        if self.host.loop is None:
            self.host.resumed += 1
            self.host.reschedule(self.host_task, None)
        elif self.wait is not None:
            (<AsyncioWait> self.wait).resume()

    cdef bint is_run_by_caller(self) except -1:
        """Whether the running code belongs to this task, not to an eager task started in it."""
        return self.host_task is None or self.host_task is self.host.running_task()

    cdef bint interrupt(self) except -1:
        """Cancel the trap in which the task waits, for the host. False if it does not wait."""
        cdef Runtime runtime = None if self.task is None else self.task.runtime
        if runtime is None or self.task.wait_kind == NOT_WAITING:
            return False
        self.cancellation = TaskCancelled("TaskCancelled")
        runtime.interrupt(self.task, self.cancellation)
        return True

    cdef int receive_error(self, error) except -1:
        """Cancel the kernel task, because the host raised an exception during a trap."""
        self.host_error = error
        if self.host.loop is not None and (<AsyncioWait> self.wait).is_interrupted:
            (<AsyncioWait> self.wait).is_interrupted = False
            return 0
        self.cancellation = TaskCancelled("TaskCancelled")
        if self.task.wait_kind == NOT_WAITING:      # woken already: raise at the next wait
            self.task.cancel_pending = self.cancellation
            return 0
        self.task.runtime.cancel_wait(self.task)
        self.task.wait_kind = NOT_WAITING
        self.task._trap_result = self.cancellation
        return 0

    cdef int receive_result(self, value, error) except -1:
        """Pass the outcome of a wait for the host to user code."""
        cdef TaskCore task = self.task
        task.waits_for_host = False
        if self.scope is not None:
            scope, self.scope = self.scope, None
            scope.__exit__(None, None, None)
        if self.is_user_wait_cancelled:
            self.is_user_wait_cancelled = False
            if self.was_cancelled_by_kernel(value, error) and task.cancel_pending is not None:
                task.error_to_throw, task.cancel_pending = task.cancel_pending, None
                return 0
        if error is None:
            task._trap_result = value
        else:
            task.error_to_throw = error
        return 0

    # -- waits of user code for the host

    cdef int before_user_wait(self) except -1:
        """Prepare for the wait, so that `cancel_user_wait` can end it."""
        if self.host.loop is not None:
            self.host_task = asyncio_task(self.host.loop)
            return 0
        self.scope = trio_host.CancelScope()
        self.scope.__enter__()
        if self.is_user_wait_cancelled:
            self.scope.cancel()
        return 0

    cdef int cancel_user_wait(self) except -1:
        """End the wait because of a time limit or a cancellation of curio."""
        if self.is_user_wait_cancelled:
            return 0
        self.is_user_wait_cancelled = True
        if self.host.loop is None:
            if self.scope is not None:
                self.scope.cancel()
            return 0
        if self.host_task is None:
            self.host_task = asyncio_task(self.host.loop)   # the running task
        self.earlier_cancels = self.host_task.cancelling() if HAS_UNCANCEL else 0
        self.host_task.cancel()
        return 0

    cdef bint was_cancelled_by_kernel(self, value, error) except -1:
        """Whether the wait ended because of `cancel_user_wait` alone."""
        if self.host.loop is None:
            return trio_host.is_cancellation(value)
        is_ours = not HAS_UNCANCEL or self.host_task.uncancel() <= self.earlier_cancels
        return is_ours and isinstance(error, AsyncioCancelled)


cdef inline int send_result(int outcome, object value, PyObject** result) noexcept:
    Py_INCREF(value)
    result[0] = <PyObject*> value
    return outcome


cdef int send_to_hosted(HostedTask self, object value, PyObject** result) except -2:
    """Resume the coroutine as PyIter_Send does, but return an exception of it in `result`."""
    cdef int outcome
    if self.call_state == NOT_STARTED:
        self.start()
    elif self.call_state == ENDED:
        raise RuntimeError("cannot reuse already awaited coroutine")
    elif self.task is not None and self.task.waits_for_host:
        self.receive_result(value, None)
    if self.call_state == HOSTED:
        self.host.resumed = 0
        return self.run(result)
    outcome = PyIter_Send(<PyObject*> self.coro, <PyObject*> value, result)
    if outcome == PYGEN_ERROR:
        return send_result(outcome, error_for_user(self.outer, take_exception()), result)
    return outcome


set_am_send(HostedTask, <void*> send_to_hosted)


cdef object unpack_send(int outcome, PyObject* result):
    """Return or raise what `send` of a coroutine does."""
    cdef object value = <object> result
    Py_DECREF(result)
    if outcome == PYGEN_ERROR:
        raise value
    if outcome == PYGEN_RETURN:
        raise StopIteration(value)
    return value


cdef object error_for_user(HostedTask hosted, error):
    """Return the exception for user code: the host's own if the host has cancelled."""
    if hosted is None or hosted.host_error is None or not isinstance(error, TaskCancelled):
        return error
    error, hosted.host_error = hosted.host_error, None
    hosted.cancellation = None
    return error


def hosted_call(coro):
    """Return a coroutine that runs another one in curio, asyncio or trio: where it is awaited."""
    cdef HostedTask hosted = HostedTask.__new__(HostedTask)
    hosted.coro = coro
    return hosted
