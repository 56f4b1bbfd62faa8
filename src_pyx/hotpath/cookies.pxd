# The cookies of one host; implemented in cookies.pyx.

cdef class BaseCookie:
    cdef public str effective_domain    # to which it is sent
    cdef public str scope_path          # below which it is sent
    cdef public object host_only        # whether it is not sent to subdomains
    cdef public object expires_at       # seconds since 1970; None for the end of the session
    cdef public long long creation_index    # the jar's count of cookies when it was stored
    cdef public long long last_used     # the jar's count of requests when it was sent last

    cdef list state(self)


@cython.final
cdef class Candidates:
    cdef tuple domains              # the host, and those above it
    cdef list seen                  # all cookies of the domains, and their state
    cdef list cookies               # those for this host, in the order of sending
    cdef readonly double first_expiry   # seconds since 1970, of the first of them; inf for none
    cdef str path                   # of the request that `sent` and `value` were made for; or None
    cdef list sent
    cdef object value               # of the Cookie field; None without cookies

    cdef int join(self, str path) except -1
