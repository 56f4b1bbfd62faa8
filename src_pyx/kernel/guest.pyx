# Guest kernels: a kernel inside the event loop of asyncio, uvloop or trio, its host.
#
# A hosted task is a kernel task that a task of the host runs. That host task runs the coroutine
# `hosted_call`, which resumes the kernel task, and yields to the host while the kernel task waits.
#
# Facts:  the host watches one descriptor, that of the poller, and has one timer for the kernel.
#         Both call `Runtime.run_iteration`. A task of asyncio is resumed inside that call, so a
#         response is read before the host polls again.
# Rules:  a trap is a tuple. Any other value that a hosted coroutine yields goes to the host
#         unchanged, and so does the host's answer to the coroutine. A cancellation by the host
#         during a trap becomes `TaskCancelled`; user code gets the host's own exception. A hosted
#         task that waits for the host, or starts another one, owns no registration.
# Implemented elsewhere: finding and implementing hosts (asks_fast/_guest), how a hosted task is
#         started, run and ended (hosted_tasks.pyx).

cdef dict LOADED_MODULES = sys.modules
cdef bint HAS_UNCANCEL = sys.version_info >= (3, 11)
cdef bint HAS_EAGER_TASKS = sys.version_info >= (3, 12)
cdef object make_asyncio_host = None    # (loop) -> Host
cdef object find_trio_host = None       # () -> Host, or None outside of a trio task
cdef set internal_tasks = None          # code objects of coroutines that run no user code
cdef PyObject* last_host = NULL         # the host that was found last; borrowed
cdef Runtime last_thread_kernel = None  # the last one that became its thread's current kernel


def set_host_factories(asyncio_host, trio_host, set internal not None):
    """Set what makes the host of an asyncio loop and what finds the host of a trio task."""
    global make_asyncio_host, find_trio_host, internal_tasks
    make_asyncio_host, find_trio_host, internal_tasks = asyncio_host, trio_host, internal


cdef class Host:
    """The interface of a guest kernel to its event loop, implemented by Python subclasses."""

    cdef public Runtime runtime         # None once the loop has ended
    cdef readonly object loop           # of asyncio, None in trio
    cdef dict thread                    # curio's thread-local data of the loop's thread

    def __cinit__(self, loop=None):
        self.loop = loop
        if not hasattr(curio_locals, "running"):
            curio_locals.running = False    # find_host reads it without a check
        self.thread = curio_locals.__dict__

    def __dealloc__(self):
        global last_host
        if last_host == <PyObject*> self:
            last_host = NULL

    cdef inline object running_task(self):
        return self.current_task() if self.loop is None else asyncio_task(self.loop)

    cdef inline HostedTask new_hosted_task(self):
        cdef AsyncioTask hosted
        if self.loop is None:
            return self.make_hosted_task()
        hosted = AsyncioTask.__new__(AsyncioTask)
        hosted.loop = self.loop
        hosted._asyncio_future_blocking = True
        return hosted

    def current_task(self):
        """Return the host's running task. Not called for asyncio."""
        raise NotImplementedError

    def make_hosted_task(self):
        """Return a new HostedTask of the host's class. Not called for asyncio."""
        raise NotImplementedError

    def start_task(self, hosted, coroutine):
        """Run the coroutine in a task of the host."""
        raise NotImplementedError

    def call_soon(self):
        """Call `runtime.run_iteration` in the next iteration of the loop."""
        raise NotImplementedError

    def call_after(self, double seconds):
        """Call `runtime.on_timer` after so many seconds. Replaces the previous timer."""
        raise NotImplementedError

    def resume_later(self, hosted):
        """Resume a hosted task from outside `Runtime.run_iteration`."""
        raise NotImplementedError

    def redeliver_cancellation(self, hosted):
        """Cancel the task again at its next wait: the hosted call ended before the first."""
        raise NotImplementedError

    def detach(self):
        """Drop the failed kernel, so that the next request makes a new one."""
        raise NotImplementedError


cdef Host find_host():
    """Return the host of the running code; None in curio and where no loop runs."""
    global last_host
    cdef Host found
    loop = running_loop()
    if "trio" in LOADED_MODULES and not getattr(curio_locals, "running", False):
        host = find_trio_host()
        if host is not None:
            return <Host> host
    if last_host != NULL and loop is not None:
        found = <Host> last_host
        if found.loop is loop and found.runtime is not None:
            return None if found.thread["running"] else found
    if loop is None or getattr(curio_locals, "running", False):
        return None
    host = getattr(loop, "_asks_fast_host", None)
    if host is None:
        host = make_asyncio_host(loop)
    last_host = <PyObject*> host
    return <Host> host


cdef class HostedTask:
    """A kernel task that a host's task runs: how the two wait, resume and are cancelled."""

    cdef readonly Host host
    cdef readonly TaskCore task
    cdef readonly object host_task      # the host's task; None until needed
    cdef readonly bint returns_outcome  # to the host's task, not to tasks that join this one
    cdef public object wait_object      # what the host's task yields to wait; None: this object
    cdef public bint is_interrupted     # the host's cancellation has ended the wait
    cdef object cancellation            # the TaskCancelled that represents `host_error`
    cdef public object host_error       # the exception by which the host cancels
    cdef public bint is_user_wait_cancelled     # `cancel_user_wait` was called
    cdef bint has_yielded               # in this wait, to the host

    # -- awaited by `hosted_call` for each wait of the kernel task

    def __await__(self):
        self.has_yielded = False
        return self

    def __iter__(self):
        return self

    def __next__(self):
        cdef TaskCore task = self.task
        if not self.has_yielded:
            self.has_yielded = True
            if not task.waits_for_host:
                return self if self.wait_object is None else self.wait_object
            self.before_user_wait()
            value, task.value_for_host = task.value_for_host, None
            return value
        if task.waits_for_host:
            self.receive_result(None, None)
        raise StopIteration

    def send(self, answer):
        """Take the host's answer."""
        if self.has_yielded and self.task.waits_for_host:
            self.receive_result(answer, None)
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        """Raise an exception of the host in the kernel task."""
        error = kind if value is None else value
        error = error() if isinstance(error, type) else error
        if isinstance(error, GeneratorExit):
            raise error
        if self.task.waits_for_host:
            self.receive_result(None, error)
        else:
            self.receive_error(error)
        raise StopIteration

    def close(self):
        """Do nothing: when the host's task ends, `hosted_call` ends the kernel task."""

    # -- called by the host and the kernel

    cpdef resume(self):
        """Resume the host's task. Called only in `Runtime.run_iteration`."""
        raise NotImplementedError

    cpdef cancel_user_wait(self):
        """End a wait of user code for the host: a time limit or a cancellation of curio."""
        raise NotImplementedError

    cdef bint is_run_by_caller(self) except -1:
        """Whether the running code belongs to this task, not to an eager task started in it."""
        return self.host_task is None or self.host_task is self.host.running_task()

    cpdef before_user_wait(self):
        """Prepare for a wait of user code for the host."""

    cpdef after_user_wait(self):
        """Clean up after such a wait."""

    cpdef bint was_cancelled_by_kernel(self, answer, error):
        """Whether that wait ended because of `cancel_user_wait` alone."""
        raise NotImplementedError

    def interrupt(self):
        """Cancel the trap in which the task waits, for the host. False if it does not wait."""
        cdef Runtime runtime = None if self.task is None else self.task.runtime
        if runtime is None or self.task.wait_kind == NOT_WAITING:
            return False
        self.is_interrupted = True
        self.cancellation = TaskCancelled("TaskCancelled")
        runtime.interrupt(self.task, self.cancellation)
        return True

    def on_host_task_end(self):
        """Cancel the kernel task, because the host's task has ended, or never started."""
        cdef Runtime runtime = None if self.task is None else self.task.runtime
        if runtime is not None and self.task.hosted is self:
            detach_from_host(runtime, self.task)

    cdef int receive_error(self, error) except -1:
        """Cancel the kernel task, because the host raised an exception during a trap."""
        self.host_error = error
        if self.is_interrupted:
            self.is_interrupted = False
            return 0
        self.cancellation = TaskCancelled("TaskCancelled")
        if self.task.wait_kind == NOT_WAITING:      # woken already: raise at the next wait
            self.task.cancel_pending = self.cancellation
            return 0
        self.task.runtime.cancel_wait(self.task)
        self.task.wait_kind = NOT_WAITING
        self.task._trap_result = self.cancellation
        return 0

    cdef int receive_result(self, answer, error) except -1:
        """Pass the outcome of a wait for the host to user code."""
        cdef TaskCore task = self.task
        task.waits_for_host = False
        self.after_user_wait()
        if self.is_user_wait_cancelled:
            self.is_user_wait_cancelled = False
            if self.was_cancelled_by_kernel(answer, error) and task.cancel_pending is not None:
                task.error_to_throw, task.cancel_pending = task.cancel_pending, None
                return 0
        if error is None:
            task._trap_result = answer
        else:
            task.error_to_throw = error
        return 0


cdef object error_for_user(HostedTask hosted, error):
    """Return the exception for user code: the host's own if the host has cancelled."""
    if hosted is None or hosted.host_error is None or not isinstance(error, TaskCancelled):
        return error
    error, hosted.host_error = hosted.host_error, None
    hosted.cancellation = None
    return error


async def hosted_call(function, tuple args, dict kwargs, HostedTask hosted=None):
    """Await `function(*args, **kwargs)` in curio, asyncio or trio.

    With `hosted`, run that kernel task instead; its outcome goes to the tasks that join it.
    """
    cdef Host host = find_host() if hosted is None else hosted.host
    cdef Runtime runtime = None if host is None else host.runtime
    cdef TaskCore task
    if runtime is None or (hosted is None and runtime.current is not None
                           and (runtime.current.hosted is None
                                or runtime.current.hosted.is_run_by_caller())):
        hosted = None if runtime is None else runtime.current.hosted
        try:
            return await (function(*args) if kwargs is None else function(*args, **kwargs))
        except TaskCancelled as error:
            failure = error_for_user(hosted, error)
        raise failure
    if hosted is None:
        hosted = host.new_hosted_task()
        hosted.returns_outcome = True
        coro = function(*args) if kwargs is None else function(*args, **kwargs)
        task = add_bare_task(runtime, coro, TaskCore.__new__(TaskCore))
        function = args = kwargs = coro = None
        bind_to_host(runtime, task, hosted, host)
    task = hosted.task
    if HAS_EAGER_TASKS or host.loop is None:
        hosted.host_task = host.running_task()
    try:
        run_hosted_task(runtime, task)
        while not task.terminated:
            await hosted
            run_hosted_task(runtime, task)
    finally:
        if not task.terminated and task.hosted is not None:
            end_hosted_task(runtime, task)
        task.hosted = None
        hosted.task = None
    if not hosted.returns_outcome:
        return None
    if task._final_exc is None:
        if task.cancel_pending is not None and task.cancel_pending is hosted.cancellation:
            host.redeliver_cancellation(hosted)
        return task._final_result
    failure = error_for_user(hosted, task._final_exc)
    task._final_exc = None
    raise failure


@cython.final
cdef class AsyncioTask(HostedTask):
    """A hosted task in asyncio, which sees it as a future that the host's task waits for."""

    cdef public object _asyncio_future_blocking     # marks a future for asyncio
    cdef object loop
    cdef object callback
    cdef object context
    cdef object message             # of the cancellation
    cdef int earlier_cancels        # `cancelling()` of the host's task before our `cancel()`

    def get_loop(self):
        """Return the loop of the host."""
        return self.loop

    def add_done_callback(self, callback, *, context=None):
        """Store the callback that resumes the host's task."""
        self.callback = callback
        self.context = context

    def cancel(self, msg=None):
        """End the wait. Return False if it has ended already."""
        self.message = msg
        return self.interrupt()

    def result(self):
        """Return None or raise CancelledError. The host's task calls it when it is resumed."""
        if self.is_interrupted:
            raise AsyncioCancelled() if self.message is None else AsyncioCancelled(self.message)

    cpdef resume(self):
        callback, self.callback = self.callback, None
        context, self.context = self.context, None
        self._asyncio_future_blocking = True
        if callback is not None:
            PyContext_Enter(context)
            try:
                callback(self)
            finally:
                PyContext_Exit(context)

    cpdef before_user_wait(self):
        self.host_task = asyncio_task(self.loop)

    cpdef cancel_user_wait(self):
        if self.host_task is None:
            self.host_task = asyncio_task(self.loop)    # the running task
        if not self.is_user_wait_cancelled:
            self.is_user_wait_cancelled = True
            self.earlier_cancels = self.host_task.cancelling() if HAS_UNCANCEL else 0
            self.host_task.cancel()

    cpdef bint was_cancelled_by_kernel(self, answer, error):
        is_ours = not HAS_UNCANCEL or self.host_task.uncancel() <= self.earlier_cancels
        return is_ours and isinstance(error, AsyncioCancelled)
