# One exchange, and what all exchanges of one kind have in common; implemented in exchange.pyx.

@cython.final
cdef class ExchangeOptions:
    cdef readonly OriginPool origin
    cdef readonly object connect_socket     # as `Pool.connect` takes it
    cdef readonly object followup_statuses  # of responses that may lead to another request; or None
    cdef int first_followup_status          # the lowest of them; none is as high as 1000
    cdef readonly object observe_response   # called with each other response; or None
    cdef readonly type response_class       # of the response that an exchange makes
    cdef readonly object response_options   # for reading the body; None for the defaults
    cdef readonly str encoding              # of text that does not name its own; None for UTF-8
    cdef readonly bint is_head_request      # the response has no body (HEAD)
    cdef readonly bint is_idempotent
    cdef readonly bint retry_stale          # resend once if a reused connection was stale
    cdef readonly bint close_after          # the request says `Connection: close`
    cdef readonly bint has_retry_policy     # the caller's `retries` decides after an error
    cdef readonly bint stores_cookies       # a cookie jar takes the `Set-Cookie` fields of the response
    cdef readonly int max_redirects         # that `Exchange.follow` may follow; 0 for none
    cdef bint needs_finish                  # `TemplateCache.finish` has something to do
    cdef readonly bint stream               # stop at the head of the response
    cdef readonly bint strict               # refuse what browsers tolerate
    cdef readonly bint keeps_framing        # keep chunked bodies as received, too
    cdef readonly long long max_body        # bytes; -1 for no limit
    cdef readonly double pool_timeout       # seconds to wait for a connection; 0.0 for no limit
    cdef readonly double read_timeout       # seconds; 0.0 for no limit; negative: as the pool says
    cdef readonly double write_timeout
    cdef readonly double expect_seconds     # to wait for 100 Continue before the body; 0.0: not at all

    cdef bint is_followup(self, int status) except -1


@cython.final
cdef class Exchange:
    cdef readonly ExchangeOptions options
    cdef bytes head                         # as sent, a small body included
    cdef object body                        # the rest of the request, in pieces; or None
    cdef BaseHttpResponse _response         # None until `get_response` makes it
    cdef readonly Connection connection     # in use by this exchange; None before and after
    cdef bint owns_slot                     # a slot is ours and no connection uses it yet
    cdef bint is_begun                      # the request was given to a connection
    cdef public bint force_new_connection   # use no connection that served before, and do not resend
    cdef public BaseEventEmitter emitter    # of the events of the exchange; None without a listener
    cdef public object error                # what ended it, for a retry policy; else None
    cdef readonly list history              # the responses before this one; None without any
    cdef double timeout                     # seconds for the whole request, as given; 0.0: no limit
    cdef double time_remaining                # of them, when the clock does not run
    cdef double clock_started               # monotonic seconds; 0.0 while the clock does not run

    cdef BaseHttpResponse get_response(self)
    cdef void set_response(self, BaseHttpResponse response) noexcept
    cpdef object attach_stream(self)
    cdef void start_clock(self, double clock) noexcept
    cdef void stop_clock(self) noexcept
    cdef object to_total_timeout(self)
    cdef void add_context(self, error)
    cdef bint may_resend(self, error) except -1
    cdef Waiter release(self)
    cpdef void abort(self)
