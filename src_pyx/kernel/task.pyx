# The state of one task: C fields that replace the attributes of curio's Task.
#
# Facts:  curio's Task is a plain Python class. A class derived from it and from `SpawnedTask` keeps
#         its methods. The C fields are data descriptors, so they hide the instance dictionary.
#         `Task.__init__` costs more than starting a coroutine: it makes a runner coroutine, a
#         barrier, a list and two bound methods, and most tasks use none of them.
# Rules:  what most tasks never use is made on first access. A task is in one of four states:
#         waiting (`wait_kind` says for what), queued, running or terminated.
# Implemented elsewhere: when a task runs, waits or ends (run_loop.pyx).

cdef unsigned long long last_task_id = 0


@cython.freelist(256)
cdef class TaskCore:
    """The C fields of a task, and the attributes of `curio.Task` that they replace."""

    def __cinit__(self, *args, **kwargs):
        self.allow_cancel = True
        self.state = "INITIAL"
        self.sleep_at = self.timeout_at = self.due = INFINITY
        self.heap_index = -1

    @property
    def name(self):
        """Name of the task in messages: the coroutine's qualified name by default."""
        if self.given_name is None:
            self.given_name = getattr(self.coro, "__qualname__", None) or str(self.coro)
        return self.given_name

    @name.setter
    def name(self, value):
        self.given_name = value

    @property
    def joining(self):
        """The SchedBarrier in which tasks wait for this one to end."""
        if self.barrier is None:
            self.barrier = SchedBarrier()
        return self.barrier

    @joining.setter
    def joining(self, value):
        self.barrier = value

    @property
    def _deadlines(self):
        if self.deadlines is None:
            self.deadlines = []
        return self.deadlines

    @_deadlines.setter
    def _deadlines(self, value):
        self.deadlines = value

    @property
    def _run_coro(self):
        return self.coro if self.runner is None else self.runner

    @_run_coro.setter
    def _run_coro(self, value):
        self.runner = value

    @property
    def _send(self):
        return self._run_coro.send if self.sender is None else self.sender

    @_send.setter
    def _send(self, value):
        self.sender = value

    @property
    def _throw(self):
        return self._run_coro.throw if self.thrower is None else self.thrower

    @_throw.setter
    def _throw(self, value):
        self.thrower = value

    @property
    def cancel_func(self):
        """A callable that cancels the wait of this task; None if it does not wait."""
        if self.wait_kind == NOT_WAITING:
            return None
        return self.wait_target if self.wait_kind == WAIT_CALL else self._cancel_wait

    @cancel_func.setter
    def cancel_func(self, value):
        self.wait_target = value
        self.wait_kind = NOT_WAITING if value is None else WAIT_CALL

    @property
    def _last_io(self):
        """(file object, event) whose registration the task still owns, or None."""
        return (self.io_file, self.io_event) if self.io_state == IO_REGISTERED else None

    @_last_io.setter
    def _last_io(self, value):
        if value is not None:
            raise AttributeError("only the kernel sets _last_io")

    def _cancel_wait(self):
        self.runtime.cancel_wait(self)


cdef class SpawnedTask(TaskCore):
    """A task with the constructor of `curio.Task`, from which its subclasses also derive."""

    def __init__(self, coro, parent=None):
        global last_task_id
        last_task_id += 1
        self.id = last_task_id
        self.coro = coro
        if parent is not None:
            self.parentid = parent.id
        if PyCoro_CheckExact(coro):
            self.coro_to_send = coro
        else:
            # Other awaitables need `await`, not `send`: curio's runner coroutine does it.
            self.runner = self._task_runner(coro)
            self.coro_to_send = self.runner

    @property
    def exception(self):
        """The exception that ended the task, or None. A task group asks each of its tasks."""
        if not self.terminated:
            raise RuntimeError("Task not terminated")
        return self._final_exc

    @exception.setter
    def exception(self, value):
        self._final_result = None
        self._final_exc = value

    def __del__(self):
        if self.coro is None:
            return
        if not self.terminated:
            self.coro.close()
        if not (self.joined or self.daemon or self.cancelled) and self._final_exc is None:
            TASK_LOG.warning("%r never joined", self)
