# A task that waits for a connection or a slot; implemented in wait_queue.pyx.

@cython.final
cdef class Waiter:
    cdef OriginPool origin
    cdef Link queue_link                # in the pool's queue, or in what its origin holds back
    cdef Link origin_link               # in the list of its origin, while it is in the pool's queue
    cdef Connection connection      # granted; None: the slot to open one
    cdef bint is_granted
    cdef bint is_rejected               # the session was closed
    cdef bint is_suspended              # the kernel was asked to suspend the task
    cdef long long arrival          # its number in order of arrival
    cdef object task
    cdef object error               # raised once the next waiter is awake

    cdef void leave_queue(self) noexcept
    cdef void give_up(self)
    cdef tuple abort(self, error)
