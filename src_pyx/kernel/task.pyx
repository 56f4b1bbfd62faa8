# What the kernel knows of one task, in C fields behind the attribute names of curio's Task.
#
# Facts:  curio's Task is a plain Python class. A class made of `TaskCore` and of it keeps its
#         methods, while these fields (data descriptors) take the place of its instance dictionary.
#         `Task.__init__` costs more than starting a coroutine: it makes a runner coroutine, a
#         barrier, a list and two bound methods that most tasks never use.
# Rules:  what most tasks never use is made when first asked for. A task is parked (`parked` tells
#         in which way, `cancel_func` is not None), or queued, or running, or terminated.
# Not here: when a task runs, waits or ends (kernel.pyx).

# How a task is parked, which says how its wait is taken back.

cdef enum Parked:
    NOT_PARKED = 0
    PARKED_IO = 1       # waits for a descriptor
    PARKED_SLEEP = 2    # waits for the clock
    PARKED_FUTURE = 3   # waits for a concurrent.futures.Future
    PARKED_FIFO = 4     # waits in curio's SchedFIFO `unpark`, in the one-item list `place`
    PARKED_BARRIER = 5  # waits in curio's SchedBarrier `unpark`
    PARKED_CALL = 6     # waits on another scheduler primitive; calling `unpark` takes it out

# What a task has to do with the descriptor in `io_file`.
cdef enum Io:
    IO_NONE = 0
    IO_WAITING = 1      # parked for it
    IO_HELD = 2         # was woken by it and still owns the registration

cdef unsigned long long tasks_made = 0      # the id of the youngest task


cdef class TaskCore:
    """The C half of a task. Use it through a class that also derives from `curio.Task`."""

    # -- what a task is
    cdef public long long id        # the key in `Kernel._tasks`
    cdef public object parentid     # int, or None for a task started from outside
    cdef public object coro         # the user's coroutine
    cdef object given_name          # None until asked for or set
    cdef public bint daemon

    # -- what a task does, safe to inspect
    cdef public long cycles
    cdef public str state
    cdef public object future       # what it waits for when PARKED_FUTURE
    cdef public object sleep        # deadlines on the kernel clock, float or None
    cdef public object timeout
    cdef public object cancelled    # None or True
    cdef public bint terminated
    cdef public object cancel_pending
    cdef public bint allow_cancel
    cdef public object taskgroup
    cdef public bint joined
    cdef public object _final_result
    cdef public object _final_exc
    cdef public object _trap_result     # the answer to the last trap
    cdef object barrier             # SchedBarrier of who joins it, None until someone does
    cdef object deadlines           # list of curio.time, None until used
    cdef object runner              # curio's wrapper coroutine, None for a direct task
    cdef object sender
    cdef object thrower

    # -- of a task that a task of the host steps (guest.pyx)
    cdef HostedTask hosted          # None: the kernel steps it
    cdef object thrown              # an exception to be raised where the coroutine waits
    cdef object passed              # what it yielded for the host
    cdef bint is_foreign            # it waits for the host, in code of the user

    # -- the kernel's own
    cdef Runtime runtime            # set when the task enters a kernel
    cdef object driven              # the coroutine that `send` goes to, None if not direct
    cdef bint leaving               # the coroutine is done, the task group is being told
    cdef bint queued                # in the ready queue: once at most
    cdef Parked parked
    cdef object unpark              # see Parked
    cdef list place
    cdef Io io_state
    cdef int io_event               # EVENT_READ or EVENT_WRITE
    cdef object io_file
    cdef Watch io_watch             # None on a user's selector
    cdef double sleep_at            # `sleep` and `timeout` as the timers see them, or infinity
    cdef double timeout_at
    cdef double due                 # the earlier of the two: the key in the timers' heap
    cdef Py_ssize_t heap_place      # -1: not in the heap
    cdef unsigned long long serial  # order of birth, breaks ties between timers

    def __cinit__(self, *args, **kwargs):
        self.allow_cancel = True
        self.state = "INITIAL"
        self.sleep_at = self.timeout_at = self.due = INFINITY
        self.heap_place = -1

    def __init__(self, coro, parent=None):
        global tasks_made
        tasks_made += 1
        self.id = tasks_made
        self.coro = coro
        if parent is not None:
            self.parentid = parent.id
        if PyCoro_CheckExact(coro):
            self.driven = coro
        else:
            # `await coro` means more than `send` for other awaitables: leave it to curio.
            self.runner = self._task_runner(coro)
            self.driven = self.runner

    def __del__(self):
        if self.coro is None:
            return
        if not self.terminated:
            self.coro.close()
        if not (self.joined or self.daemon or self.cancelled) and self._final_exc is None:
            TASK_LOG.warning("%r never joined", self)

    @property
    def name(self):
        """What the task runs, for people."""
        if self.given_name is None:
            self.given_name = getattr(self.coro, "__qualname__", None) or str(self.coro)
        return self.given_name

    @name.setter
    def name(self, value):
        self.given_name = value

    @property
    def joining(self):
        """The barrier where tasks wait for this one to end."""
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
        """A callable that takes the task out of what it waits for; None if it isn't waiting."""
        if self.parked == NOT_PARKED:
            return None
        return self.unpark if self.parked == PARKED_CALL else self._leave_wait

    @cancel_func.setter
    def cancel_func(self, value):
        self.unpark = value
        self.parked = NOT_PARKED if value is None else PARKED_CALL

    @property
    def _last_io(self):
        """(file object, event) whose registration the task still owns, or None."""
        return (self.io_file, self.io_event) if self.io_state == IO_HELD else None

    @_last_io.setter
    def _last_io(self, value):
        if value is not None:
            raise AttributeError("only the kernel sets _last_io")

    def _leave_wait(self):
        self.runtime.leave_wait(self)
