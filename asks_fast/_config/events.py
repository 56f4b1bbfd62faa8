"""Events of a request, for the callback of the user and for the log.

The events of one request, in order, as far as they apply: `connection_acquired` (from the pool),
`resolved`, `connected`, `tunnel_established`, `tls` (of a new connection), `sent`, `head`, `body`,
`failed`, `retry`, `followup` (a redirect, or the response to a challenge). Each has a monotonic
time. `sent`, `head` and `body` are emitted together when the exchange is complete, each with its
own time.

- Whether there is a listener is checked once per exchange.
- The phases of `response.timings` are the intervals between these events.
- The text of an event and the log contain no header field, cookie or password. URLs are shown
  without userinfo, and sensitive values in their queries are masked.
- An exception of the callback is logged and does not affect the request.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .._annotations import AnyArgument, Unchecked
from .._sensitive import mask_urls
from ..errors import printable
from .options import RequestOptions

__all__ = ["Event", "EventEmitter", "TimedResponse", "get_emitter"]

log = logging.getLogger("asks_fast")


class RequestInfo(Protocol):
    """The attributes of a request that a listener may read: a `PreparedRequest`."""

    method: str
    options: RequestOptions

    @property
    def url(self) -> object: ...


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


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a request.

    Attributes:
        name: such as `"connected"`.
        at: monotonic time in seconds.
        request: the request.
        data: details, such as `{"status": 200}` of `"head"`.
        response: the response of the exchange, None before it begins. It has its head from the
            event `"head"` on.
    """

    name: str
    at: float
    request: RequestInfo
    data: dict[str, AnyArgument]
    response: TimedResponse | None = None

    def __str__(self) -> str:
        data = " ".join(f"{name}={value!r}" for name, value in self.data.items())
        text = f"{self.request.method} {self.request.url}: {self.name} {data}"
        return printable(mask_urls(text.rstrip()))


class EventEmitter:
    """Emits the events of one request to its callback and the log."""

    __slots__ = ("_callback", "_marks", "_request", "_response")

    def __init__(self, request: RequestInfo, callback: Callable[[Event], object] | None) -> None:
        self._request = request
        self._response: TimedResponse | None = None
        self._callback = callback
        self._marks: list[tuple[str, float]] = []  # the steps of this exchange and when they ended

    def begin(self, response: TimedResponse) -> None:
        """Start an exchange, and make `response` record its times."""
        response.timed = True
        self._response = response
        self._marks = [("begun", time.monotonic())]

    def finish(self, response: TimedResponse, stream: bool) -> None:
        """Emit the events of a complete response, or of its head with `stream`."""
        self("sent", at=response.sent_at)
        self("head", at=response.head_received_at, status=response.status_code)
        if not stream and response.is_complete:
            self("body", at=response.completed_at, size=len(response.body))
        if self._request.options.timings:
            response._marks = self._marks

    def __call__(self, name: str, *, at: float = 0.0, **data: object) -> None:
        at = at or time.monotonic()
        self._marks.append((name, at))
        if self._callback is None and not log.isEnabledFor(logging.DEBUG):
            return
        event = Event(name, at, self._request, data, self._response)
        log.debug("%s", event)
        if self._callback is not None:
            try:
                self._callback(event)
            except Exception:
                log.exception("the on_event callback failed at %s", event)

    def on_step(self, name: str, at: float) -> None:
        """Emit a step of the connector."""
        self(name, at=at)


def get_emitter(request: RequestInfo) -> EventEmitter | None:
    """Return the emitter of a request, None without a listener."""
    options = request.options
    callback = options.on_event
    if callback is None and not options.timings and not log.isEnabledFor(logging.DEBUG):
        return None
    return EventEmitter(request, callback)
