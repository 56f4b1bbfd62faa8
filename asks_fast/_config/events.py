"""Events of a request, for the callback of the user and for the log.

The events of one request, in order, as far as they apply: `connection_acquired` (from the pool),
`resolved`, `connected`, `tunnel_established`, `tls` (of a new connection), `sent`, `head`, `body`,
`failed`, `retry`, `followup` (a redirect, or the response to a challenge). Each has a monotonic
time. `sent`, `head` and `body` are emitted together when the exchange is complete, each with its
own time.

- Events after an exchange (`followup`, and `body` or `failed` of a body that was read
  later) have its response.
- Whether there is a listener is checked once per exchange.
- The phases of `response.timings` are the intervals between these events.
- The text of an event and the log contain no header field, cookie or password. URLs are shown
  without userinfo, and sensitive values in their queries are masked.
- An exception of the callback is logged and does not affect the request.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from .._annotations import AnyArgument, Unchecked
from .._sensitive import mask_urls
from ..errors import printable
from .options import RequestOptions

__all__ = ["Event", "EventEmitter", "TimedResponse", "get_emitter"]

log = logging.getLogger("asks_fast")


class UrlInfo(Protocol):
    """The attributes of a URL that a listener may read: a `Url`, whose text is `str(url)`."""

    @property
    def host(self) -> str: ...


class RequestInfo(Protocol):
    """The attributes of a request that a listener may read: a `PreparedRequest`."""

    @property
    def method(self) -> str: ...

    @property
    def options(self) -> RequestOptions: ...

    @property
    def url(self) -> UrlInfo: ...


class TimedResponse(Protocol):
    """The attributes of a response that events and timings read."""

    timed: bool
    status_code: int
    body: Unchecked  # bytes, or a stream
    _marks: list[tuple[str, float]]

    @property
    def sent_at(self) -> float: ...

    @property
    def first_byte_at(self) -> float: ...

    @property
    def head_received_at(self) -> float: ...

    @property
    def completed_at(self) -> float: ...

    @property
    def is_complete(self) -> bool: ...


class Event:
    """One event of a request. It cannot be changed.

    Attributes:
        name: such as `"connected"`.
        at: monotonic time in seconds.
        request: the request.
        data: details, such as `{"status": 200}` of `"head"`.
        response: the response of the exchange, None before it begins. It has its head from the
            event `"head"` on.
        started: monotonic time in seconds at which the exchange began; the wait for a connection
            comes after it. Of events after an exchange it is their own time.
    """

    __slots__ = ("_at", "_data", "_name", "_request", "_response", "_started")

    def __init__(
        self,
        name: str,
        at: float,
        request: RequestInfo | EventEmitter,
        data: dict[str, AnyArgument],
        response: TimedResponse | None = None,
        started: float = 0.0,
    ) -> None:
        self._name = name
        self._at = at
        self._request = request  # an emitter has it, or can make it
        self._data = data
        self._response = response
        self._started = started

    @property
    def name(self) -> str:
        return self._name

    @property
    def at(self) -> float:
        return self._at

    @property
    def request(self) -> RequestInfo:
        request = self._request
        return request.request if isinstance(request, EventEmitter) else request

    @property
    def data(self) -> dict[str, AnyArgument]:
        return self._data

    @property
    def response(self) -> TimedResponse | None:
        return self._response

    @property
    def started(self) -> float:
        return self._started

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return self._parts() == other._parts()

    __hash__ = None  # type: ignore[assignment]

    def _parts(self) -> tuple[object, ...]:
        return self._name, self._at, self.request, self._data, self._response, self._started

    def __repr__(self) -> str:
        return (
            f"Event(name={self._name!r}, at={self._at!r}, request={self.request!r}, "
            f"data={self._data!r}, response={self._response!r}, started={self._started!r})"
        )

    def __str__(self) -> str:
        data = " ".join(f"{name}={value!r}" for name, value in self._data.items())
        text = f"{self.request.method} {self.request.url}: {self._name} {data}"
        return printable(mask_urls(text.rstrip()))


Listener: TypeAlias = Callable[[Event], object]
"""The type of an `on_event=`."""


class _Listeners:
    """Several functions of an `on_event=` as one; a failure of one does not affect the others."""

    __slots__ = ("_listeners",)

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners

    def __call__(self, event: Event) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                _log_failure(event)


def _log_failure(event: Event) -> None:
    log.exception("the on_event callback failed at %s", event)


class EventEmitter:
    """Emits the events of one request to its callback and the log.

    Args:
        request: the request; None if `make_request` makes it of the response when it is needed.
        callback: gets each event; several get it one after another.
        timings: whether the response keeps when each event was.
        make_request: as described for `request`.
        response: of the exchange that is over; else `begin` sets it.
    """

    __slots__ = (
        "_callback",
        "_is_logged",
        "_keeps_marks",
        "_make_request",
        "_marks",
        "_request",
        "_response",
    )

    def __init__(
        self,
        request: RequestInfo | None,
        callback: Listener | Sequence[Listener] | None,
        timings: bool,
        make_request: Callable[[TimedResponse], RequestInfo] | None = None,
        response: TimedResponse | None = None,
    ) -> None:
        self._request = request
        self._make_request = make_request
        self._response = response
        self._callback = (
            callback if callback is None or callable(callback) else _Listeners(callback)
        )
        self._is_logged = log.isEnabledFor(logging.DEBUG)
        self._keeps_marks = timings
        self._marks: list[tuple[str, float]] = []  # the steps of this exchange and when they ended

    @property
    def request(self) -> RequestInfo:
        """The request whose events these are."""
        request = self._request
        if request is None:
            assert self._make_request is not None
            assert self._response is not None
            request = self._request = self._make_request(self._response)
        return request

    def begin(self, response: TimedResponse) -> None:
        """Start an exchange, and make `response` record its times."""
        response.timed = True
        self._response = response
        self._marks = [("begun", time.monotonic())]

    def finish(self, response: TimedResponse, stream: bool) -> None:
        """Emit the events of a complete response, or of its head with `stream`.

        The log has one line for all of them: the last event, with the data of the others.
        """
        name, at = "head", response.head_received_at
        data: dict[str, AnyArgument] = {"status": response.status_code}
        reports = self._callback is not None or self._keeps_marks
        if reports:
            self._report("sent", response.sent_at, {})
            self._report(name, at, data)
        if not stream and response.is_complete:
            name, at, size = "body", response.completed_at, len(response.body)
            if reports:
                self._report(name, at, {"size": size})
            data = {**data, "size": size}
        if self._is_logged:
            _log(Event(name, at, self, data, response, self._marks[0][1]))
        if self._keeps_marks:
            response._marks = self._marks

    def __call__(self, name: str, *, at: float = 0.0, **data: object) -> None:
        at = at or time.monotonic()
        self._report(name, at, data)
        if self._is_logged:
            _log(Event(name, at, self, data, self._response, self._marks[0][1]))

    def _report(self, name: str, at: float, data: dict[str, AnyArgument]) -> None:
        """Keep the time of an event, and tell the callback."""
        self._marks.append((name, at))
        if self._callback is None:
            return
        event = Event(name, at, self, data, self._response, self._marks[0][1])
        try:
            self._callback(event)
        except Exception:
            _log_failure(event)

    def on_step(self, name: str, at: float) -> None:
        """Emit a step of the connector."""
        self(name, at=at)


# -- the log


class _KnownFields(threading.local):
    """The attributes of the last record that `logging` made in this thread."""

    fields: dict[str, Unchecked] | None = None


def _log(event: Event) -> None:
    """Log an event as `log.debug("%s", event)` does.

    The records of one thread differ in time, event and the names of thread and asyncio task only.
    They are copies of one that `logging` made, which takes three times as long; unless the program
    makes its own.
    """
    fields = _known.fields
    is_plain = logging.getLogRecordFactory() is logging.LogRecord
    if fields is None or not is_plain or fields["process"] != os.getpid():
        record = log.makeRecord(
            log.name, logging.DEBUG, __file__, _LOG_LINE, "%s", (event,), None, "_log"
        )
        if is_plain and type(log).makeRecord is logging.Logger.makeRecord:
            _known.fields = record.__dict__.copy()  # before a filter can change it
    else:
        record = logging.LogRecord.__new__(logging.LogRecord)
        now = time.time()
        own = record.__dict__ = fields.copy()
        own["args"] = (event,)
        own["created"] = now
        own["msecs"] = now % 1.0 * 1000.0 // 1.0
        own["relativeCreated"] += (now - fields["created"]) * 1000.0
        if own["threadName"] is not None:
            own["threadName"] = threading.current_thread().name
        if "taskName" in own:
            own["taskName"] = _task_name()
    log.handle(record)


def _task_name() -> str | None:
    """Return the name of the current asyncio task, as `logging` does."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or not getattr(logging, "logAsyncioTasks", False):
        return None
    try:
        name: str = asyncio.current_task().get_name()
        return name
    except Exception:
        return None


_LOG_LINE = _log.__code__.co_firstlineno
_known = _KnownFields()


def get_emitter(request: RequestInfo, response: TimedResponse | None = None) -> EventEmitter | None:
    """Return the emitter of a request, None without a listener.

    `response` is that of the exchange that is over.
    """
    options = request.options
    callback = options.on_event
    if callback is None and not options.timings and not log.isEnabledFor(logging.DEBUG):
        return None
    return EventEmitter(request, callback, options.timings, response=response)
