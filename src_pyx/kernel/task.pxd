# The C fields of a task, which replace the attributes of curio's Task; implemented in task.pyx.

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


cdef class TaskCore:
    # -- identity
    cdef public long long id        # the key in `Kernel._tasks`
    cdef public object parentid     # int, or None for a task started outside of any task
    cdef public object coro         # the user's coroutine
    cdef object given_name          # None until read or set
    cdef public bint daemon         # need not be joined; cancelled at shutdown

    # -- state that curio shows to debuggers
    cdef public long cycles         # how often the task has run
    cdef public str state           # READY, RUNNING, TERMINATED, or what it waits for
    cdef public object future       # of WAIT_FUTURE
    cdef public object sleep        # end of a sleep, seconds on the kernel clock; or None
    cdef public object timeout      # end of the innermost time limit, in the same way
    cdef public object cancelled    # None or True
    cdef public bint terminated     # the coroutine has ended
    cdef public object cancel_pending   # an exception for the next blocking trap, or None
    cdef public bint allow_cancel   # False: errors wait in `cancel_pending`
    cdef public object taskgroup    # to be notified when the task ends, or None
    cdef public bint joined         # no warning is due if the result is never read
    cdef public object _final_result    # once the coroutine has ended, else None
    cdef public object _final_exc   # that ended it, or None
    cdef public object _trap_result     # the result of the last trap
    cdef object barrier             # SchedBarrier of the tasks that join this one, or None
    cdef object deadlines           # list for curio.time, None until used
    cdef object runner              # curio's wrapper coroutine, None for a direct task
    cdef object sender              # replaces `send` and `throw` of the coroutine; None: its own
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
    cdef WaitKind wait_kind         # NOT_WAITING while queued, running or terminated
    cdef object wait_target         # see WaitKind
    cdef list wait_entry            # of WAIT_FIFO; [None] once that wait was cancelled
    cdef Io io_state
    cdef int io_event               # EVENT_READ or EVENT_WRITE
    cdef object io_file             # the file object; None with IO_NONE
    cdef FdEntry io_entry           # None with a user's selector
    cdef double sleep_at            # `sleep` for the timers; infinity: none
    cdef double timeout_at          # the same for `timeout`
    cdef double due                 # the earlier of the two: the key in the timers' heap
    cdef Py_ssize_t heap_index      # -1: not in the heap
    cdef unsigned long long serial  # order of creation; the order of timers with equal deadlines


cdef class SpawnedTask(TaskCore):
    pass
