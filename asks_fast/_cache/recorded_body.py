"""The content of a streamed body that is stored when it was read to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .._response.stream import StreamBody

__all__ = ["record"]


class BodyRecorder:
    """Keeps what a body receives, up to a limit, and passes it on at the end.

    A body that is closed early, truncated or over the limit is not passed on.
    """

    def __init__(self, limit: int, store: Callable[[bytes], Awaitable[None]]) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._limit = limit
        self._store = store

    async def add(self, piece: bytes, body: StreamBody) -> None:
        """Take the next piece that `body` received."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._limit or body._response.is_truncated:
            body._recorder = None
        elif body._connection is None:  # all was received
            body._recorder = None
            await self._store(b"".join(self._pieces))


def record(body: StreamBody, limit: int, store: Callable[[bytes], Awaitable[None]]) -> None:
    """Make `body` call `await store(content)` when it was read to its end.

    Args:
        body: a body of which nothing was read.
        limit: the most bytes.
        store: gets the body as received.
    """
    body._recorder = BodyRecorder(limit, store)
