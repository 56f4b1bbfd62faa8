"""The body of a response as chunks of decompressed bytes, whether it is a stream or in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from .._hotpath import Headers
from .stream import StreamBody

__all__ = ["BodySource", "context_of", "iterate_body"]


class BodySource(Protocol):
    """The response that a body belongs to: a `Response` or a `StreamResponse`."""

    status_code: int

    @property
    def body(self) -> Any: ...  # bytes or StreamBody, by the class of the response

    @property
    def headers(self) -> Headers: ...

    @property
    def method(self) -> str: ...

    @property
    def url(self) -> str: ...

    def _get_option(self, name: str, default: Any) -> Any: ...

    async def __aexit__(self, *exc: object) -> None: ...


class WholeBody:
    """A body in memory as an iterator of one chunk."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> WholeBody:
        return self

    async def __anext__(self) -> bytes:
        content, self._content = self._content, b""
        if not content:
            raise StopAsyncIteration
        return content


def iterate_body(response: BodySource) -> AsyncIterator[bytes]:
    """Iterate over the decompressed body of a response."""
    body = response.body
    if isinstance(body, StreamBody):
        return body
    content: bytes = response.content  # type: ignore[attr-defined]  # a `Response`
    return WholeBody(content)


def context_of(response: BodySource) -> str:
    """The method and URL of a response, for the text of an error."""
    return f"{response.method} {response.url}"
