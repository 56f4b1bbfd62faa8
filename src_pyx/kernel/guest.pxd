# A kernel task as a coroutine of asyncio, uvloop or trio; implemented in guest.pyx.

cdef enum CallState:
    NOT_STARTED = 0
    DIRECT = 1      # in curio, or inside another hosted task: all goes to and from the coroutine
    HOSTED = 2      # runs a kernel task
    ENDED = 3


@cython.final
cdef class HostedTask:
    cdef object coro                # until it runs in a kernel task
    cdef CallState call_state
    cdef HostedTask outer           # DIRECT: the hosted task that awaits this coroutine, or None
    cdef Host host                  # from the start on; None in curio
    cdef Runtime runtime            # the host's kernel, once HOSTED
    cdef TaskCore task              # None before the start and after the end
    cdef HostWait wait              # None before the start and after the end
    cdef HostedTask prev_call, next_call    # in the list `Runtime.first_call`
    cdef object host_task           # the host's task; None until needed
    cdef bint returns_outcome       # to the host's task, not to tasks that join this one
    cdef object cancellation        # the TaskCancelled that represents `host_error`
    cdef object host_error          # the exception by which the host cancels
    cdef bint is_user_wait_cancelled    # `cancel_user_wait` was called
    cdef int earlier_cancels        # asyncio: `cancelling()` of the host's task before our `cancel()`
    cdef object scope               # trio: a cancel scope during a wait of user code

    cdef object coroutine(self)
    cdef int start(self) except -1
    cdef int run(self, PyObject** result) except -2
    cdef int finish(self, PyObject** result) except -2
    cdef int end(self) except -1
    cdef int release(self) except -1
    cpdef resume(self)
    cdef bint is_run_by_caller(self) except -1
    cdef bint interrupt(self) except -1
    cdef int receive_error(self, error) except -1
    cdef int receive_result(self, value, error) except -1
    cdef int before_user_wait(self) except -1
    cdef int cancel_user_wait(self) except -1
    cdef bint was_cancelled_by_kernel(self, value, error) except -1
