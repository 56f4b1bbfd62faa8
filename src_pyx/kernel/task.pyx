# The state of one task: C fields that replace the attributes of curio's Task.
#
# Facts:  curio's Task is a plain Python class. A class derived from it and from `SpawnedTask` keeps
#         its methods. The C fields are data descriptors, so they hide the instance dictionary.
#         `Task.__init__` costs more than starting a coroutine: it makes a runner coroutine, a
#         barrier, a list and two bound methods, and most tasks use none of them.
# Rules:  what most tasks never use is made on first access. A task is in one of four states:
#         waiting (`wait_kind` says for what), queued, running or terminated.
# Implemented elsewhere: when a task runs, waits or ends (run_loop.pyx).

# What a task waits for, and so how to cancel that wait.
cdef enum WaitKind:
    NOT_WAITING = 0
    WAIT_IO = 1         # for a descriptor
    WAIT_SLEEP = 2      # for the clock
    WAIT_FUTURE = 3     # for a concurrent.futures.Future
    WAIT_FIFO = 4       # in the SchedFIFO `wait_target`, in the one-item list `wait_entry`
    WAIT_BARRIER = 5    # in the SchedBarrier `wait_target`
    WAIT_CALL = 6       # in another scheduler primitive; calling `wait_target` cancels the wait

# How a task uses the descriptor of `io_file`.
cdef enum Io:
    IO_NONE = 0
    IO_WAITING = 1      # waits for it
    IO_REGISTERED = 2   # was woken by it and still owns the registration

cdef unsigned long long last_task_id = 0


@cython.freelist(256)
cdef class TaskCore:
    """The C fields of a task, and the attributes of `curio.Task` that they replace."""

    # -- identity
    cdef public long long id        # the key in `Kernel._tasks`
    cdef public object parentid     # int, or None for a task started outside of any task
    cdef public object coro         # the user's coroutine
    cdef object given_name          # None until read or set
    cdef public bint daemon

    # -- state that curio shows to debuggers
    cdef public long cycles         # how often the task has run
    cdef public str state
    cdef public object future       # of WAIT_FUTURE
    cdef public object sleep        # deadlines on the kernel clock, float or None
    cdef public object timeout
    cdef public object cancelled    # None or True
    cdef public bint terminated
    cdef public object cancel_pending   # an exception for the next blocking trap, or None
    cdef public bint allow_cancel
    cdef public object taskgroup
    cdef public bint joined
    cdef public object _final_result
    cdef public object _final_exc
    cdef public object _trap_result     # the result of the last trap
    cdef object barrier             # SchedBarrier of the tasks that join this one, or None
    cdef object deadlines           # list for curio.time, None until used
    cdef object runner              # curio's wrapper coroutine, None for a direct task
    cdef object sender
    cdef object thrower

    # -- state of a task that is run by a task of the host (guest.pyx)
    cdef HostedTask hosted          # None: the kernel runs the task
    cdef object error_to_throw      # an exception to raise where the coroutine waits, or None
    cdef object value_for_host      # what the coroutine yielded for the host
    cdef bint waits_for_host        # user code waits for the host

    # -- state of the kernel
    cdef Runtime runtime            # from the start of the task to its end
    cdef object coro_to_send        # the coroutine to resume with PyIter_Send, or None
    cdef bint is_finishing          # the coroutine has ended, the task group is being notified
    cdef bint is_queued             # in the ready queue
    cdef WaitKind wait_kind
    cdef object wait_target         # see WaitKind
    cdef list wait_entry
    cdef Io io_state
    cdef int io_event               # EVENT_READ or EVENT_WRITE
    cdef object io_file
    cdef FdEntry io_entry           # None with a user's selector
    cdef double sleep_at            # `sleep` and `timeout` for the timers; infinity: none
    cdef double timeout_at
    cdef double due                 # the earlier of the two: the key in the timers' heap
    cdef Py_ssize_t heap_index      # -1: not in the heap
    cdef unsigned long long serial  # order of creation; the order of timers with equal deadlines

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

    def __del__(self):
        if self.coro is None:
            return
        if not self.terminated:
            self.coro.close()
        if not (self.joined or self.daemon or self.cancelled) and self._final_exc is None:
            TASK_LOG.warning("%r never joined", self)
