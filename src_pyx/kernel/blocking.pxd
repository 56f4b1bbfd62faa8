# What runs coroutines without an event loop; implemented in blocking.pyx.

@cython.final
cdef class BlockingRunner:
    cdef object kernel_of_thread        # () -> GuestKernel
    cdef Runtime runtime                # of the thread that called last; None: ask again
    cdef unsigned long long thread_id   # of that thread; no other thread gets the same number
    cdef dict thread                    # curio's data of that thread

    cdef object run(self, Runtime runtime, dict thread, object coro)
