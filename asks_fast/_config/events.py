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

Implemented elsewhere: emitting and logging (`src_pyx/hotpath/events.pyx`).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from .._annotations import Unchecked
from .._hotpath import BaseEvent, BaseEventEmitter
from .._sensitive import mask_urls
from ..errors import printable
from .options import RequestOptions

__all__ = ["Event", "EventEmitter", "TimedResponse", "as_listener", "get_emitter"]

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


class Event(BaseEvent):
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

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def request(self) -> RequestInfo: ...

        @property
        def response(self) -> TimedResponse | None: ...

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return self._parts() == other._parts()

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[object, ...]:
        return Event, self._parts()

    def _parts(self) -> tuple[object, ...]:
        return self.name, self.at, self.request, self.data, self.response, self.started

    def __repr__(self) -> str:
        return (
            f"Event(name={self.name!r}, at={self.at!r}, request={self.request!r}, "
            f"data={self.data!r}, response={self.response!r}, started={self.started!r})"
        )

    def __str__(self) -> str:
        data = " ".join(f"{name}={value!r}" for name, value in self.data.items())
        text = f"{self.request.method} {self.request.url}: {self.name} {data}"
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


def as_listener(on_event: Listener | Sequence[Listener] | None) -> Listener | None:
    """Return one function for the value of an `on_event=`."""
    return on_event if on_event is None or callable(on_event) else _Listeners(on_event)


class EventEmitter(BaseEventEmitter):
    """Emits the events of one request to its callback and the log."""

    __slots__ = ()

    _event_class = Event
    _log_failure = staticmethod(_log_failure)

    def _make_record(self, event: Event) -> logging.LogRecord:
        """Make the log record of an event as `log.debug("%s", event)` does here."""
        line = EventEmitter._make_record.__code__.co_firstlineno
        return log.makeRecord(
            log.name, logging.DEBUG, __file__, line, "%s", (event,), None, "_make_record"
        )

    def _task_name(self) -> str | None:
        """Return the name of the current asyncio task, as `logging` does."""
        asyncio = sys.modules.get("asyncio")
        if asyncio is None or not getattr(logging, "logAsyncioTasks", False):
            return None
        try:
            name: str = asyncio.current_task().get_name()
            return name
        except Exception:
            return None


def get_emitter(request: RequestInfo, response: TimedResponse | None = None) -> EventEmitter | None:
    """Return the emitter of a request, None without a listener.

    `response` is that of the exchange that is over.
    """
    options = request.options
    callback = options.on_event
    if callback is None and not options.timings and not log.isEnabledFor(logging.DEBUG):
        return None
    return EventEmitter(request, as_listener(callback), options.timings, None, response)
