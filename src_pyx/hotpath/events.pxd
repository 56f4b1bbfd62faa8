# The events of an exchange, and what emits them; implemented in events.pyx.

cdef class BaseEvent:
    cdef readonly str name
    cdef readonly double at             # monotonic seconds
    cdef readonly dict data
    cdef readonly object response       # of the exchange; None before it begins
    cdef readonly double started        # monotonic seconds: when the exchange began
    cdef object request_source          # the request, or the emitter that can make it


cdef class BaseEventEmitter:
    cdef object _request                # None until it is needed, if `make_request` makes it
    cdef object make_request            # (response) -> the request; or None
    cdef object callback                # gets each event; or None
    cdef object response                # of the exchange; None before it begins
    cdef bint is_logged
    cdef list marks                     # (name, monotonic seconds) of each event; None: not kept
    cdef double started                 # monotonic seconds: when the exchange began; 0.0 before

    cdef bint has_listener(self) noexcept
    cdef BaseEventEmitter for_exchange(self)
    cdef int begin(self, BaseHttpResponse response) except -1
    cdef int finish(self, BaseHttpResponse response, bint stream) except -1
    cdef int emit(self, str name, double at, dict data) except -1
    cdef int report(self, str name, double at, dict data) except -1
    cdef BaseEvent make_event(self, str name, double at, dict data)
