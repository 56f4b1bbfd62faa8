"""A streamed body that is stored when it was read to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .._response.stream import StreamBody

__all__ = ["RecordedBody", "record"]


class RecordedBody(StreamBody):
    """A `StreamBody` that keeps what it receives, up to a limit, and passes it on at its end.

    A body that is closed early, truncated or over the limit is not passed on.
    """

    _chunks: list[bytes] | None  # None: nothing is to be stored any more
    _size: int
    _limit: int
    _store: Callable[[bytes], Awaitable[None]]

    async def _receive(self) -> bytes:
        try:
            piece = await super()._receive()
        except BaseException:
            self._chunks = None
            raise
        if self._chunks is None:
            return piece
        self._chunks.append(piece)
        self._size += len(piece)
        if self._size > self._limit or self._response.is_truncated:
            self._chunks = None
        elif self._connection is None and not self._initial:  # complete
            body, self._chunks = b"".join(self._chunks), None
            await self._store(body)
        return piece


def record(body: StreamBody, limit: int, store: Callable[[bytes], Awaitable[None]]) -> None:
    """Make `body` call `await store(content)` when it was read to its end.

    Args:
        body: a body of which nothing was read.
        limit: the most bytes.
        store: gets the body as received.
    """
    body.__class__ = RecordedBody
    assert isinstance(body, RecordedBody)
    body._chunks, body._size, body._limit, body._store = [], 0, limit, store
