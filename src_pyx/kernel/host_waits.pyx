# What a task of a host yields to wait for the kernel.
#
# Facts:  a task of asyncio waits for any object with the methods of a future, but each look-up of
#         a method that has to be bound costs 200 instructions, as does a check of arguments by
#         Cython, and a call of `result` 1,300. So the methods are bound once, `add_done_callback`
#         is a C function, and the task is resumed with a future of asyncio that is done. In trio,
#         a task yields a message with the function that aborts the wait.
# Rules:  an object is used again once its hosted task has returned to the host's task. If it ended
#         in another way, the host's task may still refer to its wait.

cdef class HostWait:
    """A wait of a hosted task."""


cdef object add_done_callback(
        AsyncioWait self, PyObject** arguments, Py_ssize_t positional, PyObject* names):
    """Store the callback that resumes the host's task, and its context."""
    if positional != 1 or names == NULL or PyTuple_GET_SIZE(<object> names) != 1:
        raise TypeError("add_done_callback takes a callback and its context")
    self.callback = <object> arguments[0]
    self.context = <object> arguments[1]


cdef PyMethodDef ADD_DONE_CALLBACK
ADD_DONE_CALLBACK.ml_name = "add_done_callback"
ADD_DONE_CALLBACK.ml_meth = <PyCFunction> <void*> add_done_callback
ADD_DONE_CALLBACK.ml_flags = METH_FASTCALL | METH_KEYWORDS


@cython.final
cdef class AsyncioWait(HostWait):
    """A wait in asyncio: a future to the host's task."""

    def __cinit__(self, Host host not None):
        self.host = host
        self.message = self
        self._asyncio_future_blocking = True
        self.get_loop = host.done_future.get_loop
        self.add_done_callback = PyCFunction_New(&ADD_DONE_CALLBACK, self)

    cdef int resume(self) except -1:
        """Call the callback, as a future of asyncio that is done does."""
        callback, self.callback = self.callback, None
        context, self.context = self.context, None
        if callback is None:
            return 0
        self._asyncio_future_blocking = True
        PyContext_Enter(context)
        try:
            callback(self if self.is_interrupted else self.host.done_future)
        finally:
            PyContext_Exit(context)
        return 0

    def cancel(self, msg=None):
        """End the wait. Return False if it has ended already."""
        if self.hosted is None or not self.hosted.interrupt():
            return False
        self.cancel_message = msg
        self.is_interrupted = True
        return True

    def result(self):
        """Raise CancelledError. The host's task calls it when it is resumed after `cancel`."""
        message, self.cancel_message = self.cancel_message, None
        raise AsyncioCancelled() if message is None else AsyncioCancelled(message)


@cython.final
cdef class TrioWait(HostWait):
    """A wait in trio: `message` is what the task yields, calling this object aborts the wait."""

    def __cinit__(self):
        self.message = trio_host.wait_message(self)

    def __call__(self, raise_cancel):
        """Cancel the trap for trio. The task goes on, so that our code can clean up."""
        cdef HostedTask hosted = self.hosted
        if hosted is not None and hosted.host_error is None and hosted.interrupt():
            try:
                raise_cancel()
            except BaseException as error:
                hosted.host_error = error
        return trio_host.FAILED


cdef HostWait take_wait(Host host):
    """Return an unused wait of the host, or a new one."""
    cdef HostWait wait = host.first_unused_wait
    if wait is None:
        return TrioWait() if host.loop is None else AsyncioWait(host)
    host.first_unused_wait, wait.next_unused = wait.next_unused, None
    return wait


cdef int give_back_wait(Host host, HostWait wait) except -1:
    """Keep a wait to be used again. The host's task must not refer to it."""
    wait.next_unused = host.first_unused_wait
    host.first_unused_wait = wait
    return 0
