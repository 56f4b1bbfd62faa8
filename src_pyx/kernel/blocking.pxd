# What runs coroutines without an event loop; implemented in blocking.pyx.

@cython.final
cdef class ThreadKernel:
    """The kernel of a thread. Its fields never change, so that threads can share a reference."""

    cdef unsigned long long thread_id   # no other thread gets the same number
    cdef Runtime runtime
    cdef dict thread                    # curio's data of the thread


@cython.final
cdef class BlockingRunner:
    cdef object kernel_of_thread        # () -> GuestKernel
    cdef ThreadKernel last              # of the thread that called last; None: ask again

    cdef ThreadKernel find_kernel(self)
    cdef object run(self, Runtime runtime, dict thread, object coro)
