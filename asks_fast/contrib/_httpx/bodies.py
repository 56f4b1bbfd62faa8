"""Response bodies as streams of httpx, which fill in the trailers at their end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from ... import errors

if TYPE_CHECKING:
    from ... import sync
    from ...response_objects import StreamResponse
    from .library import HeadersInfo, Library

__all__ = ["AsyncBody", "Body"]


class AsyncBody:
    """A body for `httpx.AsyncByteStream`."""

    def __init__(self, library: Library, response: StreamResponse, trailers: HeadersInfo) -> None:
        self._library = library
        self._response = response
        self._trailers = trailers

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._response.body.__anext__()
        except StopAsyncIteration:
            if self._response.trailers:
                self._trailers.update(self._response.trailers.raw)
            raise
        except errors.AsksException as error:
            raise self._library.make_error(error) from error

    async def aclose(self) -> None:
        """Close the connection if the body was not read to its end."""
        await self._response.body.close()


class Body:
    """A body for `httpx.SyncByteStream`."""

    def __init__(
        self, library: Library, response: sync.StreamResponse, trailers: HeadersInfo
    ) -> None:
        self._library = library
        self._response = response
        self._trailers = trailers

    def __iter__(self) -> Iterator[bytes]:
        with self._library.errors():
            yield from self._response.body
        if self._response.trailers:
            self._trailers.update(self._response.trailers.raw)

    def close(self) -> None:
        """Close the connection if the body was not read to its end."""
        self._response.body.close()
