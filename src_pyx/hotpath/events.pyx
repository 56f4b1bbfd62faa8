# The events of an exchange: told to a listener, written to the log, kept for timings.
#
# Facts:  an exchange over a kept connection has four events and two log records. A copy of a record
#         that `logging` made takes a third of the time of a new one.
# Rules:  an event is made only if there is a listener or a log, and its request only if one of them
#         looks at it. An exception of the listener does not affect the request.
# Implemented elsewhere: which events there are, and their text (asks_fast/_config/events.py).

cdef dict known_fields = None       # the attributes of the last log record that `logging` made
cdef int known_fields_generation    # the `fork_generation` of the process in which it did
cdef object last_thread = None      # the `Thread` of the thread that logged last,
cdef unsigned long long last_logging_thread_id = 0      # and its number, as in traps.pyx


cdef class BaseEvent:
    """The compiled base of `Event`: what it contains."""

    def __init__(self, str name not None, double at, request, dict data not None, response=None,
                 double started=0.0):
        self.name = name
        self.at = at
        self.request_source = request
        self.data = data
        self.response = response
        self.started = started

    @property
    def request(self):
        if isinstance(self.request_source, BaseEventEmitter):
            return self.request_source.request
        return self.request_source


cdef class BaseEventEmitter:
    """The compiled base of `EventEmitter`: emits the events of one request."""

    def __init__(self, request, callback, bint timings, make_request=None, response=None):
        """Initialize without an exchange.

        Args:
            request: the request; None if `make_request` makes it of the response when it is needed.
            callback: gets each event; or None.
            timings: whether the response keeps when each event was.
            make_request: as described for `request`.
            response: of the exchange that is over; None if one will begin.
        """
        self._request = request
        self.callback = callback
        self.marks = [] if timings else None
        self.make_request = make_request
        self.response = response
        self.is_logged = is_debug_logged()

    @property
    def request(self):
        """The request whose events these are."""
        if self._request is None:
            self._request = self.make_request(self.response)
        return self._request

    def __call__(self, str name not None, *, double at=0.0, **data):
        """Emit an event; `at` is in monotonic seconds, 0.0 for now."""
        self.emit(name, at, data)

    def on_step(self, str name not None, double at):
        """Emit a step of the connector."""
        self.emit(name, at, {})

    cdef bint has_listener(self) noexcept:
        """Whether the program wants events or timings, whatever is logged."""
        return self.callback is not None or self.marks is not None

    cdef BaseEventEmitter for_exchange(self):
        """Return an emitter with the same listener, for another exchange."""
        cdef BaseEventEmitter emitter = <BaseEventEmitter>new_instance(type(self), NO_ARGUMENTS)
        emitter.make_request = self.make_request
        emitter.callback = self.callback
        emitter.marks = self.marks      # `begin` makes a list for the exchange
        emitter.is_logged = is_debug_logged()
        return emitter

    cdef int begin(self, BaseHttpResponse response) except -1:
        """Start an exchange, and make `response` record its times."""
        response.is_timed = True
        response.request_sent = response.first_byte = 0.0
        self.response = response
        self.started = now()
        if self.marks is not None:
            self.marks = [("begun", self.started)]
        return 0

    cdef int finish(self, BaseHttpResponse response, bint stream) except -1:
        """Emit the events of a complete response, or of its head with `stream`.

        The log has one line for all of them: the last event, with the data of the others.
        """
        cdef str name = "head"
        cdef double at = response.head_received
        cdef dict data = {"status": response.status_code}
        cdef bint reports = self.has_listener()
        if reports:
            self.report("sent", response.request_sent, {})
            self.report(name, at, data)
        if not stream and response.completed != 0.0:
            name, at, size = "body", response.completed, len(response.body)
            if reports:
                self.report(name, at, {"size": size})
            data = {"status": response.status_code, "size": size}
        if self.is_logged:
            log_event(self, self.make_event(name, at, data))
        if self.marks is not None:
            response._marks = self.marks
        return 0

    cdef int emit(self, str name, double at, dict data) except -1:
        """Report one event and log it."""
        if at == 0.0:
            at = now()
        if self.started == 0.0:     # of an event after the exchange
            self.started = at
        self.report(name, at, data)
        if self.is_logged:
            log_event(self, self.make_event(name, at, data))
        return 0

    cdef int report(self, str name, double at, dict data) except -1:
        """Keep the time of an event, and tell the callback."""
        if self.marks is not None:
            self.marks.append((name, at))
        if self.callback is None:
            return 0
        event = self.make_event(name, at, data)
        try:
            self.callback(event)
        except Exception:
            self._log_failure(event)
        return 0

    cdef BaseEvent make_event(self, str name, double at, dict data):
        cdef BaseEvent event = <BaseEvent?>new_instance(self._event_class, NO_ARGUMENTS)
        event.name = name
        event.at = at
        event.data = data
        event.request_source = self
        event.response = self.response
        event.started = self.started
        return event


cdef int log_event(BaseEventEmitter emitter, BaseEvent event) except -1:
    """Log an event as `log.debug("%s", event)` does."""
    global known_fields, known_fields_generation
    cdef bint is_plain = getLogRecordFactory() is LogRecord
    if is_plain and known_fields is not None and known_fields_generation == fork_generation:
        record = copy_record(emitter, event)
    else:
        record = emitter._make_record(event)
        if is_plain and type(log).makeRecord is Logger.makeRecord:
            known_fields = record.__dict__.copy()       # before a filter can change it
            known_fields_generation = fork_generation
    log.handle(record)
    return 0


cdef object copy_record(BaseEventEmitter emitter, BaseEvent event):
    """Copy the record that `logging` made: time, event, thread and asyncio task are those of now."""
    global last_thread, last_logging_thread_id
    cdef dict fields = known_fields.copy()
    cdef double created = time.time()
    cdef unsigned long long thread_id
    cdef object _former
    fields["relativeCreated"] = <double>fields["relativeCreated"] + (
        created - <double>fields["created"]) * 1000.0
    fields["args"] = (event,)
    fields["created"] = created
    fields["msecs"] = <double><int>((created - <double><long long>created) * 1000.0)
    if fields["threadName"] is not None:
        thread_id = PyThreadState_GetID(PyThreadState_Get())
        if thread_id != last_logging_thread_id:
            thread = current_thread()
            _former = last_thread   # freed last: that may run Python code, and with it other threads
            last_thread = thread
            last_logging_thread_id = thread_id
        fields["thread"] = PyThread_get_thread_ident()
        fields["threadName"] = last_thread.name
    if "taskName" in fields:
        fields["taskName"] = emitter._task_name()
    record = new_instance(LogRecord, NO_ARGUMENTS)
    record.__dict__ = fields
    return record
