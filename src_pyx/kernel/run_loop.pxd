# A running kernel: its tasks, ready queue, wake-ups and host; implemented in run_loop.pyx.

@cython.final
cdef class Runtime:
    cdef object kernel              # the asks_fast.Kernel that owns this runtime
    cdef dict tasks                 # Kernel._tasks: id → task, for each task that has not ended
    cdef HostedTask first_call      # list of hosted calls, which are not in `tasks`
    cdef dict traps                 # Kernel._traps: name → TrapHandler or a user's callable
    cdef list activations           # Kernel._activations, instances
    cdef object task_class          # makes a TaskCore from (coroutine, parent)
    cdef Poller poller              # an Epoll, or a Selector around a user's selector
    cdef Timers timers              # the tasks with a deadline
    cdef double max_wait            # seconds that one poll may last; negative: no limit
    cdef object clock               # None: the system's monotonic clock; else a callable
    cdef TaskCore current           # the running task; None once it waits or has ended
    cdef unsigned long long tasks_created   # by this kernel

    # The ready queue: a ring buffer. `ready_count` tasks are in it, the first at `ring_head`.
    cdef list ring                  # of tasks; None where none is queued
    cdef Py_ssize_t ring_size       # a power of two
    cdef Py_ssize_t ring_head       # index of the next task to run
    cdef Py_ssize_t ready_count     # tasks in the queue

    # Wake-ups by other threads: each is queued, and one byte in the socket pair announces them all.
    cdef object wakeups             # deque of (task, future)
    cdef bint is_wakeup_pending     # a byte was sent and has not been read
    cdef object wakeup_writer       # the end that other threads write to; closed at shutdown
    cdef readonly object wakeup_reader  # the end that the kernel task waits for

    # A guest kernel has a host: an event loop that calls `run_iteration` (guest.pyx).
    cdef readonly object host           # None: this kernel has a loop of its own
    cdef object failure                 # the error that ended a guest kernel
    cdef bint is_iterating              # `run_iteration` is on the stack
    cdef bint is_iteration_scheduled    # the host was asked to call `run_iteration` soon
    cdef double host_timer_due          # when the host will call `on_timer`, or infinity

    cdef int make_traps(self) except -1
    cdef Py_ssize_t run_once(self, double wait, TaskCore main) except -1
    cdef double poll_timeout(self) except? -2.0
    cdef inline double now(self) except? -1.0
    cdef int run_task(self, TaskCore task, TaskCore main) except -1
    cdef tuple send(self, TaskCore task, object value)
    cdef int finish_task(self, TaskCore task, TaskCore main, object value, object error) except -1
    cdef TaskCore new_task(self, object coro)
    cdef int enqueue(self, TaskCore task) except -1
    cdef inline TaskCore dequeue(self)
    cdef int suspend(self, object state, WaitKind wait_kind) except -1
    cdef int cancel_wait(self, TaskCore task) except -1
    cdef int interrupt(self, TaskCore task, object error) except -1
    cdef bint deliver_pending_cancellation(self) except -1
    cdef int set_sleep(self, TaskCore task, object clock) except -1
    cdef int set_timeout(self, TaskCore task, object clock) except -1
    cdef int expire_timers(self, double now) except -1
    cdef int wake(self, TaskCore task, object future) except -1
    cdef inline int set_thread_kernel(self) except -1
    cdef int schedule_iteration(self) except -1
    cdef int set_host_timer(self) except -1
    cdef int handle_trap(self, object trap) except -1
    cdef int abort(self, error) except -1
