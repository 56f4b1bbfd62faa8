# Hosts: the event loops of asyncio, uvloop and trio in which a kernel is a guest.
#
# Facts:  the host watches one descriptor, that of the poller, and has one timer for the kernel.
#         Both call `Runtime.run_iteration`. A thread has at most one run of trio at a time.
# Rules:  the running loop is found for each call, first by a check of the host that was found last.
# Implemented elsewhere: the hosts (asks_fast/_guest), tasks in them (guest.pyx).

cdef dict LOADED_MODULES = sys.modules
cdef bint HAS_UNCANCEL = sys.version_info >= (3, 11)
cdef bint HAS_EAGER_TASKS = sys.version_info >= (3, 12)
cdef object make_asyncio_host = None    # (loop) -> Host
cdef object load_trio = None            # () -> module `_guest.trio_host`, imported on first use
cdef object trio_host = None            # that module, None before
cdef Py_ssize_t modules_searched = 0    # size of `sys.modules` when it did not have trio
cdef set internal_tasks = None          # code objects of coroutines that run no user code
cdef PyObject* last_host = NULL         # the host that was found last; borrowed
cdef Runtime last_thread_kernel = None  # the last one that became its thread's current kernel


def set_host_factories(asyncio_host, trio, set internal not None):
    """Set what makes the host of an asyncio loop, what imports `trio_host`, and `internal_tasks`."""
    global make_asyncio_host, load_trio, internal_tasks
    make_asyncio_host, load_trio, internal_tasks = asyncio_host, trio, internal


cdef class Host:
    """The interface of a guest kernel to its event loop, implemented by Python subclasses."""

    def __cinit__(self, loop=None):
        self.loop = loop
        if not hasattr(curio_locals, "running"):
            curio_locals.running = False    # is_current reads it without a check
        self.thread = curio_locals.__dict__
        self.thread_id = PyThread_get_thread_ident()
        if loop is not None:
            self.done_future = AsyncioFuture(loop=loop)
            self.done_future.set_result(None)

    def __dealloc__(self):
        global last_host
        if last_host == <PyObject*> self:
            last_host = NULL

    cdef inline bint may_be_current(self) noexcept:
        """Whether the loop is in this thread and has not ended, without running Python code."""
        return self.thread_id == PyThread_get_thread_ident() and self.runtime is not None

    cdef bint is_current(self) except -1:
        """Whether the running code belongs to this host's loop: a fast check that may fail.

        It may run Python code, and with it other threads.
        """
        if not self.may_be_current() or self.thread["running"]:
            return False
        if self.loop is None:
            self.found_task = self.trio_task()
            return self.found_task is not None
        # `running_loop` is a system call on Python 3.11 and earlier.
        return (self.runtime.is_iterating or running_loop() is self.loop) and not in_trio_task()

    cdef inline object running_task(self):
        return self.trio_task() if self.loop is None else asyncio_task(self.loop)

    cdef object trio_task(self):
        """Return the task of trio that runs; None if none does."""
        if self.trio_data is not None:
            return self.trio_data.get("task")
        try:
            return trio_host.current_task()
        except RuntimeError:
            return None

    def start_task(self, hosted):
        """Run a `HostedTask` in a task of the host."""
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


def reset_after_fork():
    """Clear `last_host` in a forked child, in which its loop does not run."""
    global last_host
    last_host = NULL


os.register_at_fork(after_in_child=reset_after_fork)


cdef bint in_trio_task() except -1:
    """Whether the running code belongs to a task of trio."""
    global trio_host, modules_searched
    if trio_host is None:
        if PyDict_Size(LOADED_MODULES) == modules_searched:
            return False
        modules_searched = PyDict_Size(LOADED_MODULES)
        if LOADED_MODULES.get("trio") is None:      # None: a program has blocked its import
            return False
        trio_host = load_trio()
    return trio_host.in_trio_task()


cdef Host find_host():
    """Return the host of the running code; None in curio and where no loop runs."""
    global last_host, modules_searched
    cdef Host host
    if last_host != NULL and (<Host> last_host).may_be_current():
        host = <Host> last_host     # other threads may replace it during the next check
        if host.is_current():
            return host
    if getattr(curio_locals, "running", False):
        return None
    modules_searched = 0
    if in_trio_task():
        host = trio_host.find_host()
    else:
        loop = running_loop()
        if loop is None:
            return None
        host = getattr(loop, "_asks_fast_host", None)
        if host is None:
            host = make_asyncio_host(loop)
    last_host = <PyObject*> host
    return host
