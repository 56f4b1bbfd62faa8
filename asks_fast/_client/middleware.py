"""Run middleware: functions of the program around each exchange.

A middleware is `async def middleware(request, call_next)`. `call_next(request)` calls the next
middleware, and the last one sends the request. Each exchange of a request runs the chain: its first
try, each retry, each redirect and each answer to a challenge, with cookies and credentials added.
The innermost functions are the cache of the session and the interceptor of the test kit.

Invariants: a chain gets a copy of the request, so that no change lasts until the next exchange. A
chain that fails leaves no connection open. Its own time counts towards `timeout`.

Implemented elsewhere: redirects, retries, challenges (`request_flow`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from .._request.prepared_request import PreparedRequest
from .._response.stream import StreamBody
from ..response_objects import BaseResponse, Response, StreamResponse

if TYPE_CHECKING:
    from .._annotations import Unchecked
    from .._config.deadline import Deadline

__all__ = ["CallNext", "Middleware", "MiddlewareChain"]

CallNext: TypeAlias = Callable[[PreparedRequest], Awaitable[BaseResponse]]
"""The type of the second argument of a middleware."""

Middleware: TypeAlias = Callable[[PreparedRequest, CallNext], Awaitable[BaseResponse]]
"""The type of a middleware."""


class MiddlewareChain:
    """The functions around one exchange; `run` is called once.

    Args:
        functions: the middleware, the outermost first.
        send: sends a request over the network.
        deadline: the time limit of the request.
    """

    def __init__(self, functions: Sequence[Middleware], send: CallNext, deadline: Deadline) -> None:
        self._send = send
        self._deadline = deadline
        self._received: list[BaseResponse] = []
        self._marked_at = 0.0  # monotonic seconds up to which `deadline` was charged
        self._first: CallNext = self._exchange
        for function in reversed(functions):
            self._first = partial(_call, function, self._first)

    async def run(self, request: PreparedRequest) -> BaseResponse:
        """Return the response of the outermost middleware, in the class that the caller expects.

        Raises what a middleware or the exchange raises. Then, and after a cancellation, the streams
        of all responses are closed.
        """
        request.deadline = self._deadline
        self._marked_at = time.monotonic()
        try:
            response = await self._first(request)
            self._charge()
            if isinstance(response, Response):  # it replaces what was received
                for other in self._received:
                    await _close(other)
            response = await _convert(request, response)
        except BaseException:
            for other in self._received:
                await _close(other)
            raise
        return response

    async def _exchange(self, request: PreparedRequest) -> BaseResponse:
        _check_request(request)
        self._charge()
        if self._deadline.remaining is not None and self._deadline.remaining <= 0:
            raise self._deadline.exceeded(request)
        for earlier in self._received:
            await _close(earlier)
        try:
            response = await self._send(request)
        finally:
            self._marked_at = time.monotonic()
        self._received.append(response)
        return response

    def _charge(self) -> None:
        """Subtract the time that middleware took since the last call from the time limit."""
        now = time.monotonic()
        self._deadline.charge(now - self._marked_at)
        self._marked_at = now


async def _call(
    function: Middleware, call_next: CallNext, request: PreparedRequest
) -> BaseResponse:
    _check_request(request)
    awaitable = function(request, call_next)
    if not isinstance(awaitable, Awaitable):
        raise TypeError(f"the middleware {_name(function)} must be an `async def`")
    response = await awaitable
    if not isinstance(response, BaseResponse):
        raise TypeError(
            f"the middleware {_name(function)} returned {response!r}: it must return a response, "
            "as in `return await call_next(request)`"
        )
    return response


def _check_request(request: object) -> None:
    if not isinstance(request, PreparedRequest):
        raise TypeError(f"call_next takes a request, not {request!r}")


def _name(function: object) -> str:
    return getattr(function, "__qualname__", None) or type(function).__qualname__


async def _close(response: BaseResponse) -> None:
    body: object = response.body
    if isinstance(body, StreamBody):
        await body.close()


async def _convert(request: PreparedRequest, response: BaseResponse) -> BaseResponse:
    """Complete a response that a middleware made, and give it the class that the caller expects."""
    if not response.url:
        response.method, response.url = request.method, str(request.url)
    options = request.options
    stream = options.stream or options.callback is not None
    if isinstance(response, StreamResponse) != stream:
        response = await _change_class(response, StreamResponse() if stream else Response())
    if response._options is None:
        response._set_options(options, response._encoding or "utf-8")
    if stream and not isinstance(response.body, StreamBody):
        streamed: Unchecked = response  # what was read of it is its first chunk
        streamed.body = StreamBody(streamed, None, streamed.body)
    if getattr(response, "_request", None) is None:
        response.request = request
    return response


async def _change_class(response: BaseResponse, made: BaseResponse) -> BaseResponse:
    """Copy a response and its whole body into `made`."""
    body: Unchecked = response.body
    if isinstance(body, StreamBody):
        body.decompress_data = False
        body = await body.read()
    made._set_from_parts(
        response.status_code,
        response.headers,
        body,
        reason=response.reason_phrase.encode("utf-8", "surrogateescape"),
        sent_head=response.request_head,
    )
    made.method, made.url, made.__dict__ = response.method, response.url, response.__dict__
    made._options, made._encoding = response._options, response._encoding
    if getattr(response, "_request", None) is not None:
        made.request = response.request
    return made
