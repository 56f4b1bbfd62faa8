"""Server-sent events: a parser for `text/event-stream` and an iterator over a response's events.

The format is that of the WHATWG HTML standard, section 9.2.6: UTF-8 whatever the charset says,
lines that end in LF, CR or CR LF, an event that ends at an empty line. An event without that empty
line is discarded. An event never takes more than `max_event_size` bytes.
Reconnection is implemented in `_client/event_source`, reading from the connection in
`_response/stream`.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from .._guest import hosted
from ..errors import BadHttpResponse, ResponseTooLarge, truncated_repr
from ..http_utils import parse_content_type
from .source import BodySource, context_of, iterate_body

__all__ = ["DEFAULT_MAX_EVENT_SIZE", "EventParser", "EventStream", "ServerSentEvent"]

DEFAULT_MAX_EVENT_SIZE = 1 << 20  # bytes
MAX_RETRY_DIGITS = 9  # 999,999,999 ms are eleven days; longer values are ignored


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of a stream.

    `data`: its data lines, joined by LF. `event`: its type, "message" if the server gave none.
    `id`: the last event ID at this point of the stream, "" if there was none. `retry`: the
    reconnection time in seconds that applies at this point, None if the server has set none.
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: float | None = None


class EventParser:
    """Turns the bytes of an event stream into events, without I/O.

    `last_event_id` and `retry` (seconds) keep their values from one event to the next. Pass the ID
    of an earlier connection to continue after it.
    """

    def __init__(
        self, last_event_id: str = "", max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE
    ) -> None:
        self.last_event_id = last_event_id
        self.retry: float | None = None
        self._max_event_size = max_event_size
        self._id = last_event_id  # takes effect at the end of the event
        self._event = b""
        self._data: list[bytes] = []
        self._size = 0  # bytes in _event, _data and _partial
        self._partial: list[bytes] = []  # pieces of the line that is not complete
        self._at_start = True
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Parse the next bytes and return the events that are complete.

        Raises:
            ResponseTooLarge: an event has more than `max_event_size` bytes.
        """
        events: list[ServerSentEvent] = []
        if self._after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return events
        self._after_cr = chunk.endswith(b"\r")
        for line in chunk.splitlines(keepends=True):
            if line[-1] not in b"\r\n":
                self._grow(len(line))
                self._partial.append(line)
                break
            line = line.rstrip(b"\r\n")
            if self._partial:
                self._size -= sum(map(len, self._partial))
                line = b"".join([*self._partial, line])
                self._partial = []
            event = self._feed_line(line)
            if event is not None:
                events.append(event)
        return events

    def _feed_line(self, line: bytes) -> ServerSentEvent | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(BOM_UTF8)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._grow(len(value) + 1)
            self._data.append(value)
        elif name == b"event":
            self._grow(len(value) - len(self._event))
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._grow(len(value))  # not returned when another ID follows: a bound, not a count
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) <= MAX_RETRY_DIGITS:
            self.retry = int(value) / 1000
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        """End the event at an empty line; without data there is nothing to return."""
        self.last_event_id = self._id
        data, event = self._data, self._event
        self._data, self._event, self._size = [], b"", 0
        if not data:
            return None
        return ServerSentEvent(
            b"\n".join(data).decode("utf-8", "replace"),
            event.decode("utf-8", "replace") or "message",
            self.last_event_id,
            self.retry,
        )

    def _grow(self, size: int) -> None:
        self._size += size
        if self._max_event_size is not None and self._size > self._max_event_size:
            raise ResponseTooLarge(f"an event has more than {self._max_event_size} bytes")


class EventStream:
    """The events of one response: `async for event in response.events()`.

    `last_event_id` is the ID to continue after, `retry` the reconnection time in seconds that the
    server has set, or None. Cancellation closes the connection.
    """

    def __init__(
        self,
        response: BodySource,
        *,
        last_event_id: str = "",
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
        check_content_type: bool = True,
    ) -> None:
        if check_content_type:
            _check_content_type(response)
        self._response = response
        self._chunks: AsyncIterator[bytes] = iterate_body(response)
        self._parser = EventParser(last_event_id, max_event_size)
        self._ready: deque[ServerSentEvent] = deque()
        self._current_id = last_event_id
        self.bytes_received = 0

    def __aiter__(self) -> EventStream:
        return self

    @hosted
    async def __anext__(self) -> ServerSentEvent:
        while not self._ready:
            chunk = await self._chunks.__anext__()
            self.bytes_received += len(chunk)
            try:
                self._ready.extend(self._parser.feed(chunk))
            except ResponseTooLarge as error:
                await self.aclose()
                raise ResponseTooLarge(f"{context_of(self._response)}: {error}") from None
        event = self._ready.popleft()
        self._current_id = event.id
        return event

    @property
    def last_event_id(self) -> str:
        """The ID of the event returned last, or a later one that came without an event."""
        return self._current_id if self._ready else self._parser.last_event_id

    @property
    def retry(self) -> float | None:
        """Seconds to wait before a reconnection, None if the server has set none."""
        return self._parser.retry

    @hosted
    async def aclose(self) -> None:
        """Close the body, and the connection if more was to come. Safe to call again."""
        self._ready.clear()
        await self._response.__aexit__(None, None, None)


def _check_content_type(response: BodySource) -> None:
    content_type = response.headers.get("content-type")
    if parse_content_type(content_type)[0] != "text/event-stream":
        raise BadHttpResponse(
            f"{context_of(response)}: this {response.status_code} response is not an event stream: "
            f"its Content-Type is {truncated_repr(content_type or '')}, not text/event-stream"
        )
