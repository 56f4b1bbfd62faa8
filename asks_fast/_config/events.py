"""Seeing inside a request: events for a callback of the user's, and lines for the log.

Events of one request, in order (those that apply): `turn` (its place in the pool came; with a
connection that served before, or none yet), `resolved`, `connected`, `tunnelled`, `tls` (a new
connection), `sent`, `head`, `body`, `failed`, `retry`, `again` (a redirect, or an answered
challenge). Each has a time of the monotonic clock. `sent`, `head` and `body` are told together,
when the exchange is over, each with its own time.

Facts:  whoever listens is found out once per exchange; nobody listening costs one look-up. The
        phases of `response.timings` are the distances between these events.
Rules:  no field, no cookie, no password is in an event's text or in the log; URLs are shown
        without userinfo, and sensitive values of their queries are masked. A callback that raises
        is logged and harms no request.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .._sensitive import mask_urls
from ..errors import printable
from .options import RequestOptions

__all__ = ["Event", "EventEmitter", "TimedResponse", "get_emitter"]

log = logging.getLogger("asks_fast")


class RequestInfo(Protocol):
    """The request of an event, as a listener may read it: a `PreparedRequest`."""

    method: str
    options: RequestOptions

    @property
    def url(self) -> object: ...


class TimedResponse(Protocol):
    """The response that an exchange fills, as far as events and timings read it."""

    timed: bool
    status_code: int
    body: Any  # bytes, or the stream that gives them
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
    """One thing that happened to a request: its `name`, `at` in monotonic seconds, and `facts`.

    `response` is the response of the exchange, None before it begins; its head is there from the
    event `head` on.
    """

    name: str
    at: float
    request: RequestInfo
    data: dict[str, Any]
    response: TimedResponse | None = None

    def __str__(self) -> str:
        data = " ".join(f"{name}={value!r}" for name, value in self.data.items())
        text = f"{self.request.method} {self.request.url}: {self.name} {data}"
        return printable(mask_urls(text.rstrip()))


class EventEmitter:
    """Tells the events of one request to those who listen."""

    __slots__ = ("_callback", "_marks", "_request", "_response")

    def __init__(self, request: RequestInfo, callback: Callable[[Event], Any] | None) -> None:
        self._request = request
        self._response: TimedResponse | None = None
        self._callback = callback
        self._marks: list[tuple[str, float]] = []  # the steps of this exchange, and when they ended

    def begin(self, response: TimedResponse) -> None:
        """An exchange begins: from now on the time runs, and `response` notes the finer points."""
        response.timed = True
        self._response = response
        self._marks = [("begun", time.monotonic())]

    def finish(self, response: TimedResponse, stream: bool) -> None:
        """The answer is there, or with `stream` the head of it."""
        self("sent", at=response.sent_at)
        self("head", at=response.head_received_at, status=response.status_code)
        if not stream and response.is_complete:
            self("body", at=response.completed_at, size=len(response.body))
        if self._request.options.timings:
            response._marks = self._marks

    def __call__(self, name: str, *, at: float = 0.0, **data: Any) -> None:
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
        """As the connector reports its steps."""
        self(name, at=at)


def get_emitter(request: RequestInfo) -> EventEmitter | None:
    """Who tells of this request; None when nobody listens."""
    options = request.options
    callback = options.on_event
    if callback is None and not options.timings and not log.isEnabledFor(logging.DEBUG):
        return None
    return EventEmitter(request, callback)
