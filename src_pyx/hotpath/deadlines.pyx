# The time limits of connections: how long an idle one is kept, how long a peer may be silent.
#
# Facts:  one look at all connections, once a second or when the next limit is due, costs too little to
#         be measured; a timer per request would cost more than the request.
# Rules:  0.0 stands for no limit and for no deadline. Times are monotonic seconds.
# Implemented elsewhere: the task that calls `check_deadlines` (asks_fast/_transport/pool_monitor.py).

cdef double MONITOR_INTERVAL = 1.0     # seconds between two looks of the pool monitor at most


cdef inline double earlier(double one, double other) noexcept:
    """The earlier of two deadlines, of which each may be none."""
    if one == 0.0 or (other != 0.0 and other < one):
        return other
    return one


cdef void set_idle_deadline(Pool pool, Connection connection) noexcept:
    """Set until when a connection may be reused: by age, idle time and the server's hint."""
    cdef double idle = earlier(pool.idle_timeout, connection.parser.keep_alive_timeout)
    connection.idle_deadline = earlier(
        connection.expires_at, connection.last_activity + idle if idle else 0.0)


cdef int wake_monitor_for(Pool pool, Connection connection) except -1:
    """Wake the monitor if it would miss a time limit of the exchange that begins."""
    cdef double clock = connection.last_activity, first = connection.deadline
    if connection.read_timeout:
        first = earlier(first, clock + connection.read_timeout)
    if connection.write_timeout:
        first = earlier(first, clock + connection.write_timeout)
    if first and first < pool.next_check and pool.wake_monitor is not None:
        pool.next_check = first
        pool.wake_monitor()
    return 0


cdef object check_deadlines(Pool pool):
    """Close connections that were idle too long, and end exchanges whose time is over.

    Returns the seconds until the next call is due, or None if there is nothing to monitor.
    """
    cdef double clock = now(), due, first = 0.0
    cdef Connection connection
    for connection in list(pool.connections):
        if connection.state == IDLE:
            due = connection.idle_deadline
            if due and due <= clock:
                pool.evict(connection)
                continue
        else:
            due = check_exchange(connection, clock)
        first = earlier(first, due)
    pool.next_check = clock + MONITOR_INTERVAL
    if first == 0.0:
        return None if pool.open == 0 else MONITOR_INTERVAL
    pool.next_check = min(max(first, clock + 0.001), pool.next_check)
    return pool.next_check - clock


cdef double check_exchange(Connection connection, double clock) noexcept:
    """End the exchange on a connection if its time is over; returns when to look again."""
    cdef double due = 0.0
    cdef double timeout = connection.write_timeout if connection.is_sending else connection.read_timeout
    if connection.state == IN_USE and timeout:
        due = clock + timeout
        if connection.blocked_since:
            if connection.low_watermark > 1:
                connection.check_partial_data(clock)
            due = connection.blocked_since + timeout
            if due <= clock:
                connection.abort_exchange(IDLE_TIMEOUT)
    if connection.deadline and connection.is_active:
        if connection.deadline <= clock:
            connection.abort_exchange(TOTAL_TIMEOUT)
        else:
            due = earlier(due, connection.deadline)
    return due
