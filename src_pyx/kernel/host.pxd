# The interface of a guest kernel to the event loop it runs in; implemented in host.pyx.

cdef class Host:
    cdef public Runtime runtime         # None once the loop has ended
    cdef readonly object loop           # of asyncio, None in trio
    cdef dict thread                    # curio's thread-local data of the loop's thread
    cdef unsigned long thread_id    # of the same thread
    cdef HostWait first_unused_wait     # list of waits to be used again
    cdef object done_future             # of asyncio, with the result None; None in trio
    cdef public dict trio_data          # trio's own data of the thread, with `task`; None if not found
    cdef public object reschedule       # resumes a task of trio; None in asyncio
    cdef object found_task              # the task of trio that `is_current` has found, or None
    cdef readonly int resumed           # resumed in trio since a hosted task ran

    cdef inline bint may_be_current(self) noexcept
    cdef bint is_current(self) except -1
    cdef inline object running_task(self)
    cdef object trio_task(self)
