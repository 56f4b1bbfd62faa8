"""The base class of `Routes` and `Cassette`, which replace the exchanges of all sessions.

A session reads `asks_fast._config.interceptor.current` before each exchange. That is below
redirects, cookies, auth and retries, so these work as with real servers. `with` blocks nest: the
inner one is active, and the outer one is active again afterwards.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .._config import interceptor
from .._hotpath import Headers
from .messages import MockResponse, RecordedRequest

if TYPE_CHECKING:
    from .._config.deadline import Deadline
    from .._request.prepared_request import PreparedRequest
    from ..response_objects import BaseResponse

__all__ = ["BaseInterceptor", "Forward", "apply_response", "to_recorded_request"]

Forward = Callable[[], Awaitable[None]]
Self = TypeVar("Self", bound="BaseInterceptor")


class BaseInterceptor:
    """A context manager; inside it, `exchange` handles every exchange of every session."""

    def __init__(self) -> None:
        self._outer: list[Any] = []

    async def exchange(
        self, request: PreparedRequest, response: BaseResponse, forward: Forward, deadline: Deadline
    ) -> None:
        """Fill `response`, or call `await forward()` for a real exchange."""
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


async def to_recorded_request(request: PreparedRequest) -> RecordedRequest:
    """Return a prepared request as plain data. A streamed body is read to its end."""
    body = request.body
    data = b""
    if body is not None and body.buffered is not None:
        data = bytes(body.buffered)
    elif body is not None:
        data = b"".join([bytes(chunk) async for chunk in body.chunks()])
    head: bytes = request.head().partition(b"\r\n\r\n")[0]
    fields = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    headers = Headers.from_pairs((name, value.strip()) for name, _, value in fields)
    return RecordedRequest(request.method, str(request.url).partition("#")[0], headers, data)


def apply_response(request: PreparedRequest, response: BaseResponse, mock: MockResponse) -> None:
    """Fill the response of a session, as if `mock` had arrived over a connection."""
    from .._response.stream import StreamBody
    from ..response_objects import StreamResponse

    has_body = request.method != "HEAD" and mock.status not in (204, 304)
    body = mock.body if has_body else b""
    response._set_from_parts(
        mock.status,
        Headers.from_pairs(mock.fields()),
        body,
        reason=mock.phrase.encode("latin-1", "replace"),
        sent_head=request.head().partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
        origin=request.url.origin,
    )
    if isinstance(response, StreamResponse):
        decompress = request.options.decompress
        streamed: Any = response
        streamed.body = StreamBody(streamed, None, body, decompress_data=decompress)
