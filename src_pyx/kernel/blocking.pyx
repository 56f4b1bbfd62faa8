# Running coroutines in a thread without an event loop, for `asks_fast.sync`.
#
# Facts:  `curio.Kernel.run` does the same in Python, which cost as much as the request itself. It
#         also leaves the task in the kernel when Ctrl-C ends the wait.
# Rules:  the task runs at once, unless others are ready, and the kernel polls only while it waits.
#         An error that does not come from the task, such as KeyboardInterrupt, cancels the task
#         before it is raised.
# Implemented elsewhere: which kernel a thread has (asks_fast/_guest/blocking.py).

@cython.final
cdef class BlockingRunner:
    """A function that runs a coroutine in the kernel of the calling thread."""

    def __init__(self, kernel_of_thread):
        """Initialize from a function that returns this thread's kernel, made if there is none."""
        self.kernel_of_thread = kernel_of_thread

    def __call__(self, coro):
        """Run a coroutine to its end; return its result or raise its error.

        Raises:
            RuntimeError: an event loop runs in this thread.
        """
        cdef ThreadKernel found
        try:
            found = self.find_kernel()
            check_no_loop_runs(found)
        except BaseException:
            coro.close()
            raise
        return self.run(found.runtime, found.thread, coro)

    def forget(self):
        """Ask for the kernel of the thread again in the next call."""
        self.last = None

    cdef ThreadKernel find_kernel(self):
        """Return the kernel of the calling thread.

        Other threads may call at any time, also while this code frees the kernel of the last call.
        """
        cdef unsigned long long thread_id = PyThreadState_GetID(PyThreadState_Get())
        cdef ThreadKernel found = self.last
        if found is None or found.thread_id != thread_id:
            found = ThreadKernel.__new__(ThreadKernel)
            found.thread_id = thread_id
            found.runtime = self.kernel_of_thread().runtime
            found.thread = curio_locals.__dict__
            self.last = found
        return found

    cdef object run(self, Runtime runtime, dict thread, object coro):
        cdef TaskCore main
        if type(coro) is HostedTask:
            coro = take_coroutine(coro)
        main = add_bare_task(runtime, coro, runtime.task_class.__new__(runtime.task_class))
        runtime.tasks[main.id] = main
        thread["running"] = True
        thread["kernel"] = runtime.kernel
        try:
            if runtime.ready_count:
                runtime.enqueue(main)
            else:
                runtime.run_task(main, main)
            run_to_end(runtime, main)
            if runtime.ready_count:     # tasks that this one has cancelled, which clean up
                runtime.run_once(0.0, main)
        except BaseException:
            try:
                if main.runtime is not None:
                    cancel_task(runtime, main, TaskCancelled, None)
                    run_to_end(runtime, main)
            finally:
                if runtime.kernel._shutdown_funcs is None:      # the kernel has failed
                    self.last = None
            raise
        finally:
            thread["running"] = False
            thread["kernel"] = None
        if main._final_exc is not None:
            error, main._final_exc = main._final_exc, None
            raise error
        return main._final_result


cdef int run_to_end(Runtime runtime, TaskCore main) except -1:
    """Run the kernel until the task has ended."""
    while not main.terminated:
        runtime.run_once(runtime.poll_timeout(), main)
    return 0


cdef object take_coroutine(HostedTask hosted):
    """Return the coroutine of a hosted call that has not started, to run it without a host."""
    if hosted.coro is None or hosted.call_state != NOT_STARTED:
        raise RuntimeError("cannot reuse already awaited coroutine")
    coro, hosted.coro = hosted.coro, None
    hosted.call_state = ENDED
    return coro


cdef int check_no_loop_runs(ThreadKernel found) except -1:
    """Raise RuntimeError if an event loop runs in this thread, which the call would block."""
    if running_loop() is not None:
        library = "asyncio"
    elif found.thread.get("running"):
        if found.thread.get("kernel") is found.runtime.kernel:
            raise RuntimeError(
                "this call of asks_fast.sync is made inside another one, by a callback or by the "
                "input of `map`: make it before the other call, or in another thread")
        library = "curio"
    elif in_trio_run():
        library = "trio"
    else:
        return 0
    raise RuntimeError(
        f"asks_fast.sync would block the event loop of {library} that runs in this thread: "
        "use the functions and sessions of asks_fast itself, with `await`")


cdef bint in_trio_run() except -1:
    """Whether trio runs in this thread. It does not while another thread is importing it."""
    if "trio" not in LOADED_MODULES:
        return False
    lowlevel = getattr(LOADED_MODULES["trio"], "lowlevel", None)
    return hasattr(lowlevel, "in_trio_run") and lowlevel.in_trio_run()
