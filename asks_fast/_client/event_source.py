"""A stream of server-sent events that reconnects: what browsers call an `EventSource`.

After the end of a response, or a connection that failed, it waits for the reconnection time and
sends the request again with the last event ID in `Last-Event-ID` (WHATWG HTML, section 9.2.3).
Status 204 ends the stream. Any other status than 200, and any type other than `text/event-stream`,
is an error. Connections that bring nothing are counted; the wait doubles with each and
`max_failures` bounds them. Parsing is implemented in `_response/server_sent_events`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING

import curio

from .._guest import hosted
from .._response.server_sent_events import EventStream, ServerSentEvent
from ..errors import (
    BadStatus,
    CertificateError,
    ConnectivityError,
    InvalidRequest,
    ServerClosedConnectionError,
)

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..response_objects import StreamResponse

__all__ = ["EventSource"]

DEFAULT_RECONNECT_DELAY = 3.0  # seconds, as in browsers
MIN_FAILED_DELAY = 0.1  # seconds before a connection that follows one that brought nothing
MAX_DELAY = 60.0  # seconds to which the wait doubles
MAX_SERVER_DELAY = 3600.0  # seconds that a server's `retry` can ask for


class EventSource:
    """Events over as many connections as needed: `async for event in session.events(url)`.

    Leave it by `async with`, or call `aclose()`, unless it is read to its end.
    """

    def __init__(
        self,
        connect: Callable[[dict[str, str]], Awaitable[StreamResponse]],
        *,
        last_event_id: str = "",
        reconnect: bool = True,
        reconnect_delay: float = DEFAULT_RECONNECT_DELAY,
        max_failures: int | None = 10,
        max_event_size: int | None = None,
    ) -> None:
        if not reconnect_delay >= 0:
            raise InvalidRequest(f"reconnect_delay must be 0 or more, not {reconnect_delay!r}")
        if max_failures is not None and max_failures < 1:
            raise InvalidRequest(f"max_failures must be 1 or more, not {max_failures!r}")
        if any(letter in last_event_id for letter in "\0\r\n"):
            raise InvalidRequest("last_event_id must not contain NUL, CR or LF")
        self.last_event_id = last_event_id
        self.retry = reconnect_delay
        self._connect = connect
        self._reconnect = reconnect
        self._max_failures = max_failures
        self._max_event_size = max_event_size
        self._stream: EventStream | None = None
        self._failures = 0  # connections in a row that brought not one byte
        self._is_first = True
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    @hosted
    async def __anext__(self) -> ServerSentEvent:
        """Return the next event, over a new connection if the present one ends.

        Cancellation closes the connection; the next call connects again and continues.

        Raises:
            BadStatus: the server answered with another status than 200 or 204.
            BadHttpResponse: the response is not an event stream.
            ConnectivityError: `max_failures` connections in a row brought nothing, or the
            certificate is
                not trusted, or `reconnect` is off.
        """
        while not self._ended:
            try:
                if self._stream is None and not await self._open():
                    break
                return await self._next()
            except StopAsyncIteration:
                await self._lose(None)
            except ConnectivityError as error:
                if isinstance(error, CertificateError):
                    raise
                await self._lose(error)
            except BaseException:
                await self._close_stream()
                raise
        raise StopAsyncIteration

    async def _next(self) -> ServerSentEvent:
        assert self._stream is not None
        event = await self._stream.__anext__()
        self._note()
        return event

    async def _open(self) -> bool:
        """Connect; False if the server ended the stream by status 204."""
        if not self._is_first:
            await curio.sleep(self._delay())
        self._is_first = False
        fields = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.last_event_id:
            fields["Last-Event-ID"] = self.last_event_id
        response = await self._connect(fields)
        try:
            if response.status_code == 204:
                self._ended = True
            else:
                response.raise_for_status()
                if response.status_code != 200:
                    raise BadStatus(
                        f"{response.method} {response.url}: an event stream has status 200, not "
                        f"{response.status_code}",
                        response,
                        response.status_code,
                    )
                self._stream = EventStream(
                    response,
                    last_event_id=self.last_event_id,
                    max_event_size=self._max_event_size,
                )
        finally:
            if self._stream is None:
                await response.body.close()
        return not self._ended

    def _delay(self) -> float:
        if not self._failures:
            return self.retry
        doubled = max(self.retry, MIN_FAILED_DELAY) * 2.0 ** min(self._failures - 1, 10)
        return max(self.retry, min(doubled, MAX_DELAY))

    def _note(self) -> None:
        """Keep what the next connection needs to know."""
        stream = self._stream
        if stream is not None:
            self.last_event_id = stream.last_event_id
            if stream.retry is not None:
                self.retry = min(stream.retry, MAX_SERVER_DELAY)
            if stream.bytes_received:
                self._failures = 0

    async def _lose(self, error: ConnectivityError | None) -> None:
        """Count the end of a connection and decide whether another one follows."""
        brought_nothing = self._stream is None or not self._stream.bytes_received
        self._note()
        await self._close_stream()
        if not self._reconnect:
            self._ended = True
            if error is not None:
                raise error
            return
        if brought_nothing:
            self._failures += 1
        if self._max_failures is not None and self._failures >= self._max_failures:
            self._ended = True
            raise error or ServerClosedConnectionError(
                f"the last {self._failures} connections of this event stream brought nothing"
            )

    async def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    @hosted
    async def aclose(self) -> None:
        """End the stream and close its connection. Safe to call again."""
        self._ended = True
        await self._close_stream()
