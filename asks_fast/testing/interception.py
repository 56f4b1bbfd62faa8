"""The base class of `Routes` and `Cassette`, which replace the exchanges of all sessions.

A session reads `asks_fast._config.interceptor.current`, the innermost middleware of each request.
That is below redirects, cookies, auth and retries, so these work as with real servers. `with`
blocks nest: the inner one is active, and the outer one is active again afterwards.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .._config import interceptor
from .._hotpath import Headers
from .messages import MockResponse, RecordedRequest

if TYPE_CHECKING:
    from .._client.middleware import CallNext
    from .._request.prepared_request import PreparedRequest
    from ..response_objects import BaseResponse

__all__ = ["BaseInterceptor", "make_response", "to_recorded_request"]

Self = TypeVar("Self", bound="BaseInterceptor")


class BaseInterceptor:
    """A context manager; inside it, it is a middleware of every exchange of every session."""

    def __init__(self) -> None:
        self._outer: list[Any] = []

    async def __call__(self, request: PreparedRequest, call_next: CallNext) -> BaseResponse:
        """Return a response, or that of `await call_next(request)`, which is a real exchange."""
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


def make_response(request: PreparedRequest, mock: MockResponse) -> BaseResponse:
    """Make the response of a session, as if `mock` had arrived over a connection."""
    from ..response_objects import Response

    has_body = request.method != "HEAD" and mock.status not in (204, 304)
    response = Response()
    response._set_from_parts(
        mock.status,
        Headers.from_pairs(mock.fields()),
        mock.body if has_body else b"",
        reason=mock.phrase.encode("latin-1", "replace"),
        sent_head=request.head().partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
        origin=request.url.origin,
    )
    return response
