# What a task of a host yields to wait for the kernel; implemented in host_waits.pyx.

cdef class HostWait:
    cdef HostedTask hosted          # that waits with it; None while unused
    cdef HostWait next_unused       # in the list `Host.first_unused_wait`
    cdef object message             # what the host's task yields; made once


@cython.final
cdef class AsyncioWait(HostWait):
    cdef Host host
    cdef public object _asyncio_future_blocking     # marks a future
    cdef readonly object get_loop   # a method of asyncio's own future
    cdef readonly object add_done_callback  # a bound C function
    cdef object callback            # resumes the host's task; None while it does not wait
    cdef object context             # in which `callback` runs
    cdef object cancel_message      # of the cancellation
    cdef bint is_interrupted        # the host's cancellation has ended the wait

    cdef int resume(self) except -1


@cython.final
cdef class TrioWait(HostWait):
    pass
