# A kernel as the guest of another event loop: asyncio, uvloop or trio.
#
# A hosted task is a kernel task that a task of the host steps. `hosted_call` is the coroutine which
# that task runs: it steps the kernel task, and yields to the host while the kernel task waits.
#
# Facts:  the host watches one descriptor, that of the poller, and has one timer for the kernel. Both
#         call `Runtime.turn`. A task of asyncio is resumed inside that call, not by way of another
#         turn of the loop: the answer is read before the host polls again.
# Rules:  a trap is a tuple. Everything else that a hosted coroutine yields is for the host, unchanged,
#         and so is the answer. In one of our traps a cancellation by the host is a `TaskCancelled`,
#         and becomes the host's own exception where user code takes over. A hosted task that waits
#         for the host, or starts another one, owns no registration of a descriptor.
# Not here: how a host is found and what it can do (asks_fast/_guest).

import sys
from asyncio import CancelledError as AsyncioCancelled
from asyncio import _get_running_loop as running_loop
from asyncio import current_task as asyncio_task

cdef dict LOADED = sys.modules
cdef bint HAS_UNCANCEL = sys.version_info >= (3, 11)
cdef bint HAS_EAGER_TASKS = sys.version_info >= (3, 12)
cdef object make_asyncio_host = None    # (loop) -> Host
cdef object find_trio_host = None       # () -> Host, or None outside of a trio task
cdef set internal_tasks = None          # code objects of coroutines that run no user code
cdef PyObject* last_host = NULL         # of the loop that was found last; borrowed
cdef Runtime last_taken = None          # the last kernel that said whose thread it is


def use_hosts(asyncio_host, trio_host, set internal not None):
    """Say how a host is made for a loop of asyncio, and found for the trio task that runs."""
    global make_asyncio_host, find_trio_host, internal_tasks
    make_asyncio_host, find_trio_host, internal_tasks = asyncio_host, trio_host, internal


cdef class Host:
    """What a guest kernel needs of the loop that it lives in. Python subclasses do the work."""

    cdef public Runtime runtime         # None once the loop has ended
    cdef readonly object loop           # of asyncio, None in trio
    cdef dict thread                    # what curio keeps for the thread of the loop

    def __cinit__(self, loop=None):
        self.loop = loop
        if not hasattr(here, "running"):
            here.running = False        # to be looked up at each call
        self.thread = here.__dict__

    def __dealloc__(self):
        global last_host
        if last_host == <PyObject*> self:
            last_host = NULL

    cdef inline object running_task(self):
        return self.current_task() if self.loop is None else asyncio_task(self.loop)

    cdef inline HostedTask new_hosted(self):
        cdef AsyncioTask hosted
        if self.loop is None:
            return self.hosted_task()
        hosted = AsyncioTask.__new__(AsyncioTask)
        hosted.loop = self.loop
        hosted._asyncio_future_blocking = True
        return hosted

    def current_task(self):
        """The host's task that runs now. Not asked in asyncio."""
        raise NotImplementedError

    def hosted_task(self):
        """A fresh HostedTask of the right kind. Not asked in asyncio."""
        raise NotImplementedError

    def start_task(self, hosted, coroutine):
        """Run the coroutine in a task of the host."""
        raise NotImplementedError

    def call_soon(self):
        """Call `runtime.turn` in the next turn of the loop."""
        raise NotImplementedError

    def call_after(self, double seconds):
        """Call `runtime.on_alarm` then. It replaces what was asked before."""
        raise NotImplementedError

    def resume_later(self, hosted):
        """Let a hosted task run, from outside of `Runtime.turn`."""
        raise NotImplementedError

    def cancel_again(self, hosted):
        """A cancellation was too late for the hosted call: deliver it at the task's next wait."""
        raise NotImplementedError

    def forget(self):
        """The kernel failed: the next request gets a fresh one."""
        raise NotImplementedError


cdef Host find_host():
    """The host of the code that runs; None in curio, and where no loop runs."""
    global last_host
    cdef Host found
    loop = running_loop()
    if "trio" in LOADED and not getattr(here, "running", False):
        host = find_trio_host()
        if host is not None:
            return <Host> host
    if last_host != NULL and loop is not None:
        found = <Host> last_host
        if found.loop is loop and found.runtime is not None:
            return None if found.thread["running"] else found
    if loop is None or getattr(here, "running", False):
        return None
    host = getattr(loop, "_asks_fast_host", None)
    if host is None:
        host = make_asyncio_host(loop)
    last_host = <PyObject*> host
    return <Host> host


cdef class HostedTask:
    """How the host's task waits while the kernel task waits, and how it is resumed."""

    cdef readonly Host host
    cdef readonly TaskCore task
    cdef readonly object owner          # the host's task, None until it is needed
    cdef readonly bint reports          # the outcome is the awaiting user's, not a joiner's
    cdef public object signal           # what the host's task yields to wait; None: this object
    cdef public bint interrupted        # the host's cancellation took the task out of its wait
    cdef object marker                  # the TaskCancelled that stands for the host's exception
    cdef public object host_error       # that exception
    cdef public bint broken             # a wait of user code was ended by us
    cdef bint asked                     # the host has been given what its task waits for

    # -- to `hosted_call`, which awaits this object for each wait of the kernel task

    def __await__(self):
        self.asked = False
        return self

    def __iter__(self):
        return self

    def __next__(self):
        cdef TaskCore task = self.task
        if not self.asked:
            self.asked = True
            if not task.is_foreign:
                return self if self.signal is None else self.signal
            self.before_foreign()
            passed, task.passed = task.passed, None
            return passed
        if task.is_foreign:
            self.take_answer(None, None)
        raise StopIteration

    def send(self, answer):
        """The host answers."""
        if self.asked and self.task.is_foreign:
            self.take_answer(answer, None)
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        """The host raises an exception, which is handed to the kernel task."""
        error = kind if value is None else value
        error = error() if isinstance(error, type) else error
        if isinstance(error, GeneratorExit):
            raise error
        if self.task.is_foreign:
            self.take_answer(None, error)
        else:
            self.take_error(error)
        raise StopIteration

    def close(self):
        """The host's task ends; `hosted_call` sees to the kernel task."""

    # -- to the host

    cpdef resume(self):
        """Let the host's task run. Called in `Runtime.turn` alone."""
        raise NotImplementedError

    cpdef break_wait(self):
        """End a wait of user code for the host, because of a time limit or cancellation of ours."""
        raise NotImplementedError

    cdef bint is_stepped_by_caller(self) except -1:
        """Whether the code that runs is in this task's step, not in that of an eager task in it."""
        return self.owner is None or self.owner is self.host.running_task()

    cpdef before_foreign(self):
        """The task is about to wait for the host, in user code."""

    cpdef after_foreign(self):
        """The host has answered."""

    cpdef bint broke(self, answer, error):
        """Whether that wait ended because of `break_wait` alone."""
        raise NotImplementedError

    def interrupt(self):
        """The host cancels a task that waits in one of our traps; False if it waits no more."""
        cdef Runtime runtime = None if self.task is None else self.task.runtime
        if runtime is None or self.task.parked == NOT_PARKED:
            return False
        self.interrupted = True
        self.marker = TaskCancelled("TaskCancelled")
        runtime.interrupt(self.task, self.marker)
        return True

    def lost(self):
        """The host's task has ended, perhaps before it began to step this one."""
        cdef Runtime runtime = None if self.task is None else self.task.runtime
        if runtime is not None and self.task.hosted is self:
            orphan(runtime, self.task)


    cdef int take_error(self, error) except -1:
        """The host raised an exception where its task waited for one of our traps."""
        self.host_error = error
        if self.interrupted:
            self.interrupted = False
            return 0
        self.marker = TaskCancelled("TaskCancelled")
        if self.task.parked == NOT_PARKED:      # woken already: at the next wait
            self.task.cancel_pending = self.marker
            return 0
        self.task.runtime.leave_wait(self.task)
        self.task.parked = NOT_PARKED
        self.task._trap_result = self.marker
        return 0

    cdef int take_answer(self, answer, error) except -1:
        """What a wait of user code came to: an answer, or an exception."""
        cdef TaskCore task = self.task
        task.is_foreign = False
        self.after_foreign()
        if self.broken:
            self.broken = False
            if self.broke(answer, error) and task.cancel_pending is not None:
                task.thrown, task.cancel_pending = task.cancel_pending, None
                return 0
        if error is None:
            task._trap_result = answer
        else:
            task.thrown = error
        return 0


cdef object outcome_for_user(HostedTask hosted, error):
    """The exception that user code gets: the host's own for a cancellation by the host."""
    if hosted is None or hosted.host_error is None or not isinstance(error, TaskCancelled):
        return error
    error, hosted.host_error = hosted.host_error, None
    hosted.marker = None
    return error


async def hosted_call(function, tuple args, dict kwargs, HostedTask hosted=None):
    """Await a coroutine of ours wherever this is awaited: curio, asyncio or trio.

    With `hosted`, drive that kernel task, whose outcome belongs to those who join it.
    """
    cdef Host host = find_host() if hosted is None else hosted.host
    cdef Runtime runtime = None if host is None else host.runtime
    cdef TaskCore task
    if runtime is None or (hosted is None and runtime.current is not None
                           and (runtime.current.hosted is None
                                or runtime.current.hosted.is_stepped_by_caller())):
        hosted = None if runtime is None else runtime.current.hosted
        try:
            return await (function(*args) if kwargs is None else function(*args, **kwargs))
        except TaskCancelled as error:
            failure = outcome_for_user(hosted, error)
        raise failure
    if hosted is None:
        hosted = host.new_hosted()
        hosted.reports = True
        task = adopt(runtime, function(*args) if kwargs is None else function(*args, **kwargs),
                             TaskCore.__new__(TaskCore))
        function = args = kwargs = None
        entrust(runtime, task, hosted, host)
    task = hosted.task
    if HAS_EAGER_TASKS or host.loop is None:
        hosted.owner = host.running_task()
    try:
        step_hosted(runtime, task)
        while not task.terminated:
            await hosted
            step_hosted(runtime, task)
    finally:
        if not task.terminated and task.hosted is not None:
            abandon(runtime, task)
        task.hosted = None
        hosted.task = None
    if not hosted.reports:
        return None
    if task._final_exc is None:
        if task.cancel_pending is not None and task.cancel_pending is hosted.marker:
            host.cancel_again(hosted)
        return task._final_result
    failure = outcome_for_user(hosted, task._final_exc)
    task._final_exc = None
    raise failure


@cython.final
cdef class AsyncioTask(HostedTask):
    """A hosted task in asyncio. To the host's task it is the future that this one waits for."""

    cdef public object _asyncio_future_blocking     # the sign by which asyncio knows a future
    cdef object loop
    cdef object callback
    cdef object context
    cdef object message             # of the cancellation
    cdef int cancels                # requests to cancel the host's task, before one of ours

    def get_loop(self):
        """The loop that it belongs to."""
        return self.loop

    def add_done_callback(self, callback, *, context=None):
        """Keep what resumes the host's task."""
        self.callback = callback
        self.context = context

    def cancel(self, msg=None):
        """End the wait. False if it has ended already."""
        self.message = msg
        return self.interrupt()

    def result(self):
        """None, or CancelledError: the host's task asks when it is resumed."""
        if self.interrupted:
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

    cpdef before_foreign(self):
        self.owner = asyncio_task(self.loop)

    cpdef break_wait(self):
        if self.owner is None:
            self.owner = asyncio_task(self.loop)    # it is in its step
        if not self.broken:
            self.broken = True
            self.cancels = self.owner.cancelling() if HAS_UNCANCEL else 0
            self.owner.cancel()

    cpdef bint broke(self, answer, error):
        is_ours = not HAS_UNCANCEL or self.owner.uncancel() <= self.cancels
        return is_ours and isinstance(error, AsyncioCancelled)
