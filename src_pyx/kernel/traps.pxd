# The entries of `Kernel._traps`, and the callback of a future; implemented in traps.pyx.

cdef enum Trap:
    TRAP_IO
    TRAP_IO_RELEASE
    TRAP_IO_WAITING
    TRAP_FUTURE_WAIT
    TRAP_SPAWN
    TRAP_CANCEL_TASK
    TRAP_SCHED_WAIT
    TRAP_SCHED_WAKE
    TRAP_CLOCK
    TRAP_SLEEP
    TRAP_SET_TIMEOUT
    TRAP_UNSET_TIMEOUT
    TRAP_GET_KERNEL
    TRAP_GET_CURRENT


@cython.final
cdef class TrapHandler:
    cdef Runtime runtime            # whose running task the trap is of
    cdef readonly str name          # the first item of the trap
    cdef Trap number
    cdef Py_ssize_t min_args        # items after the name
    cdef Py_ssize_t max_args


@cython.final
cdef class Waker:
    cdef Runtime runtime
    cdef TaskCore task              # that waits for the future
