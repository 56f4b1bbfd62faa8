# The connections to one origin, and its waiters; implemented in origin_pool.pyx.

@cython.final
cdef class OriginPool:
    cdef readonly object route      # what the connector needs to open one more
    cdef readonly str name          # "http://host:port"
    cdef readonly int open          # connections, and slots that were granted
    cdef readonly Pool pool
    cdef LastHead last_head         # of its responses; its connections share it
    cdef List idle                  # idle connections, the one used last first (Connection.origin_link)
    cdef List queued                # its waiters in the pool's queue (Waiter.origin_link)
    cdef List held_back             # waiters for whom it has too many connections (Waiter.queue_link)

    cdef bint is_full(self) noexcept
    cdef bint is_unused(self) noexcept
    cdef void add_waiter(self, Waiter waiter) noexcept
    cdef void promote_waiters(self)
    cdef Waiter first_waiter(self)
