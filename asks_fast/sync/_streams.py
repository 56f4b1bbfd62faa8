"""Streamed responses, and iterators that run an asynchronous one.

Rules:  `BlockingIterator` is the only code that steps an asynchronous iterator. Bodies, events and
        results are closed in different ways, so each has its own `close`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from .. import response_objects
from .._guest.blocking import run

if TYPE_CHECKING:
    from typing_extensions import Self

    from .._annotations import AsyncCall, Unchecked
    from .._client.bulk import Result, ResultStream
    from .._client.event_source import EventSource
    from .._config.transfer import BandwidthLimit, LowSpeed, ProgressCallback
    from .._response.server_sent_events import EventStream, ServerSentEvent
    from .._response.stream import StreamBody

__all__ = ["Body", "Events", "Results", "StreamResponse", "blocking_response"]

Item = TypeVar("Item", covariant=True)


class AsyncSource(Protocol[Item]):
    """An asynchronous iterator."""

    def __anext__(self) -> AsyncCall[Item]: ...


class BlockingIterator(Generic[Item]):
    """An iterator over what an asynchronous iterator gives."""

    def __init__(self, source: AsyncSource[Item]) -> None:
        self._source = source

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        try:
            return run(self._source.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None


class ClosableIterator(BlockingIterator[Item]):
    """A blocking iterator that is a context manager, too: leaving it calls `close`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Release what the iterator holds."""
        raise NotImplementedError


class Body(ClosableIterator[bytes]):
    """The body of a streamed response: `for chunk in response.body`."""

    _source: StreamBody

    def __call__(self, timeout: float | None = None) -> Body:
        """Set the time limit for each chunk.

        Args:
            timeout: seconds; None: no limit.

        Returns:
            This body, to iterate over.
        """
        self._source(timeout)
        return self

    def read(self) -> bytes:
        """Read the rest of the body.

        Returns:
            The rest, as one bytes object.
        """
        return run(self._source.read())

    def chunks(self, size: int) -> Iterator[bytes]:
        """Iterate over chunks of exactly `size` bytes, except the last one."""
        return BlockingIterator(self._source.chunks(size))

    def text(self) -> Iterator[str]:
        """Iterate over the chunks, decoded to str."""
        return BlockingIterator(self._source.text())

    def lines(self) -> Iterator[str]:
        """Iterate over the lines as str, without line ends."""
        return BlockingIterator(self._source.lines())

    def metered(
        self,
        *,
        progress: ProgressCallback | None = None,
        low_speed: LowSpeed | None = None,
        max_rate: float | BandwidthLimit | None = None,
    ) -> Iterator[bytes]:
        """Iterate over the chunks with progress, a lowest speed or a bandwidth limit.

        Args:
            progress: a function that is called with a `Progress` after each chunk.
            low_speed: (bytes per second, seconds): a body slower than this is `TransferTooSlow`.
            max_rate: bytes per second, or a `BandwidthLimit` that several transfers share.

        Returns:
            An iterator over the chunks.
        """
        found = self._source.metered(progress=progress, low_speed=low_speed, max_rate=max_rate)
        return BlockingIterator(found)

    def save(self, path: str | os.PathLike[str], *, chunk_size: int = 1 << 20) -> int:
        """Write the body to a file. See `StreamBody.save`.

        Args:
            path: the file to write.
            chunk_size: bytes to write at once.

        Returns:
            The number of bytes written.
        """
        return run(self._source.save(path, chunk_size=chunk_size))

    def close(self) -> None:
        """Close the body, and its connection if data is unread. May be called again."""
        run(self._source.close())


class StreamResponse(response_objects.StreamResponse):
    """A response whose body the caller reads: `for chunk in response.body`."""

    __slots__ = ()

    body: Body  # type: ignore[assignment]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.body.close()

    def events(  # type: ignore[override]
        self, *, max_event_size: int | None = 1 << 20, check_content_type: bool = True
    ) -> Events:
        """Iterate over the server-sent events of the body: `for event in response.events()`.

        Args:
            max_event_size: the most bytes of one event, None for no limit.
            check_content_type: False accepts types other than `text/event-stream`.

        Returns:
            An iterator and context manager of `ServerSentEvent`.

        Raises:
            BadHttpResponse: the body is not an event stream.
        """
        found = self._asynchronous().events(
            max_event_size=max_event_size, check_content_type=check_content_type
        )
        return Events(found)

    def json_lines(  # type: ignore[override]
        self, *, max_line_size: int | None = 64 << 20
    ) -> Iterator[Unchecked]:
        """Iterate over a body with one JSON document per line (NDJSON, JSON Lines).

        Args:
            max_line_size: the most bytes of one line, None for no limit.

        Returns:
            An iterator over the documents.
        """
        return BlockingIterator(self._asynchronous().json_lines(max_line_size=max_line_size))

    def _asynchronous(self) -> response_objects.StreamResponse:
        """Return a copy of this response with the asynchronous body."""
        copy: Unchecked = self._copy_head()
        copy.__class__ = response_objects.StreamResponse
        copy.body = self.body._source
        asynchronous: response_objects.StreamResponse = copy
        return asynchronous


class Events(ClosableIterator["ServerSentEvent"]):
    """Server-sent events: an iterator, and a context manager that closes the connection."""

    _source: EventSource | EventStream

    @property
    def last_event_id(self) -> str:
        """The ID of the last event, to continue after."""
        return self._source.last_event_id

    @property
    def retry(self) -> float | None:
        """Seconds to wait before a reconnection, None if nothing has set them."""
        return self._source.retry

    def close(self) -> None:
        """End the stream and close its connection. May be called again."""
        run(self._source.aclose())


class Results(ClosableIterator["Result"]):
    """The results of `map`: an iterator, and a context manager that closes it."""

    _source: ResultStream

    @property
    def under_way(self) -> int:
        """The number of requests sent, or waiting for a connection, at this moment."""
        return self._source.under_way

    @property
    def slow_hosts(self) -> dict[str, str]:
        """The hosts that politeness slows down, or has slowed down, and why."""
        return self._source.slow_hosts

    def adaptive_limits(self, hosts: Iterable[str]) -> dict[str, str]:
        """Return the present adaptive limit of each of these hosts, as text.

        Args:
            hosts: names as in URLs, with the port unless it is the default.

        Returns:
            Texts such as `6 at once, 48.2/s`; nothing for a host without requests, and nothing at
            all unless the run has `Politeness(adaptive=True)`.
        """
        return self._source.adaptive_limits(hosts)

    def close(self) -> None:
        """Cancel the running requests and wait until they have ended."""
        run(self._source.aclose())

    def stop(self) -> None:
        """Start no more requests. Those that run still give their results."""
        run(self._source.stop())


def blocking_response(response: Unchecked) -> Unchecked:
    """Make a streamed response a blocking one; return any other as it is."""
    if type(response) is response_objects.StreamResponse:
        body = response.body
        response.__class__ = StreamResponse
        response.body = Body(body)  # type: ignore[assignment]
    return response
