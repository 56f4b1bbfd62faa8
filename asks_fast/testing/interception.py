"""Taking the place of the wire for every session: what `Routes` and `Cassette` have in common.

Facts:  a session asks `asks_fast._config.interceptor.current` before each exchange, below redirects,
        cookies, auth and retries, so that these work on answers that came over no socket.
Rules:  `with` blocks nest: the inner one answers, the outer one is back afterwards.
Not here: what is answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .._config import interceptor
from .._hotpath import Headers
from .messages import Answer, SeenRequest

if TYPE_CHECKING:
    from .._config.deadline import Deadline
    from .._request.prepared_request import PreparedRequest
    from ..response_objects import BaseResponse

__all__ = ["Forward", "Intercepting", "fill", "seen"]

Forward = Callable[[], Awaitable[None]]
Self = TypeVar("Self", bound="Intercepting")


class Intercepting:
    """A context manager inside of which all exchanges of all sessions come to `exchange`."""

    def __init__(self) -> None:
        self._outer: list[Any] = []

    async def exchange(
        self, request: PreparedRequest, response: BaseResponse, forward: Forward, deadline: Deadline
    ) -> None:
        """Fill in `response`, or let the wire do so by `await forward()`."""
        raise NotImplementedError

    def __enter__(self: Self) -> Self:
        self._outer.append(interceptor.current)
        interceptor.current = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        interceptor.current = self._outer.pop()


async def seen(request: PreparedRequest) -> SeenRequest:
    """A prepared request as plain data; a streamed body is read to its end."""
    body = request.body
    data = b""
    if body is not None and body.buffered is not None:
        data = bytes(body.buffered)
    elif body is not None:
        data = b"".join([bytes(chunk) async for chunk in body.chunks()])
    head: bytes = request.head().partition(b"\r\n\r\n")[0]
    fields = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    headers = Headers.from_pairs((name, value.strip()) for name, _, value in fields)
    return SeenRequest(request.method, str(request.url).partition("#")[0], headers, data)


def fill(request: PreparedRequest, response: BaseResponse, given: Answer) -> None:
    """Make a session's response of an answer, as if it had come over a connection."""
    from .._response.stream import StreamBody
    from ..response_objects import StreamResponse

    has_body = request.method != "HEAD" and given.status not in (204, 304)
    body = given.body if has_body else b""
    response._set_from_parts(
        given.status,
        Headers.from_pairs(given.fields()),
        body,
        reason=given.phrase.encode("latin-1", "replace"),
        sent_head=request.head().partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
        origin=request.url.origin,
    )
    if isinstance(response, StreamResponse):
        decompress = request.options.decompress
        streamed: Any = response
        streamed.body = StreamBody(streamed, None, body, decompress_data=decompress)
