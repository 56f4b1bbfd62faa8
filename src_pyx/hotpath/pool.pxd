# The pool: limits, counters, lists, and the steps of taking and releasing; implemented in pool.pyx.

@cython.final
cdef class Pool:
    cdef readonly int limit
    cdef readonly int limit_per_origin             # most connections to one origin; 0 for no such limit
    cdef readonly int open              # connections, and slots that were granted
    cdef readonly bint closed
    cdef public double idle_timeout     # how long an idle connection is kept; 0.0 for ever
    cdef public double read_timeout     # seconds without a byte from the peer; 0.0 for no limit
    cdef public double write_timeout    # seconds without the peer taking a byte; 0.0 for no limit
    cdef public int max_requests        # on one connection; 0 for no limit
    cdef public double max_age          # of one connection, in seconds; 0.0 for no limit
    cdef public object wake_monitor     # a function that wakes the monitor; None without a monitor
    cdef public object kernel           # in which the monitor runs; None without one
    cdef public unsigned long thread    # in which the monitor runs; 0 without one
    cdef readonly Limits limits
    cdef List queue                     # waiters for whom there is no slot (Waiter.queue_link)
    cdef List idle                      # in the order they became idle (Connection.idle_link)
    cdef dict connections               # the open ones, in use or idle, in the order they were made
    cdef readonly long long created     # connections opened so far
    cdef readonly long long reused_count    # exchanges over a connection that had served before
    cdef readonly long long evictions
    cdef long long arrival_counter
    cdef bint has_pending_wakeups       # slots were freed where no task could be woken
    cdef double next_check              # when the monitor looks next (monotonic); 0.0 without one
    cdef double acquired_at             # the time of the last look for a connection, if it was read
    cdef ReceiveBuffer receive_buffer
    cdef ParserPool parsers
    cdef dict origins
    cdef object __weakref__

    cdef void prune_origins(self)
    cpdef Connection get_idle(self, OriginPool origin)
    cdef bint reserve_slot(self, OriginPool origin)
    cdef void count_slots(self, OriginPool origin, int change) noexcept
    cdef void evict(self, Connection connection)
    cdef Waiter enqueue(self, OriginPool origin)
    cdef Connection granted_connection(self, Waiter waiter, bint force_new_connection)
    cdef void release_grant_nowait(self, Waiter waiter)
    cdef void mark_in_use(self, Connection connection)
    cdef Waiter release(self, Connection connection, bint reusable)
    cdef Waiter release_slot(self, OriginPool origin)
    cdef Waiter grant_slot(self, OriginPool origin, Waiter next_waiter)
    cdef Waiter grant(self, Waiter next_waiter)
    cdef Waiter next_waiter_for(self, OriginPool origin, long long max_overtakes)
    cdef void defer_wakeup(self, OriginPool origin)
    cdef void close_and_free(self, Connection connection)
    cdef void add_idle(self, Connection connection) noexcept
    cdef void remove_idle(self, Connection connection) noexcept
    cdef void reject_waiters(self, List *queue, list rejected)
    cdef void reset_after_fork(self)
    cdef int count_in_use(self) except -1
