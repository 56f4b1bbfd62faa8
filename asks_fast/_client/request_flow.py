"""Follow what a request leads to: redirects, challenges, retries.

Each exchange is one call of `Transport.send`; this module decides whether another one follows.

Rules:  redirects follow RFC 9110 §15.4, as in browsers: 303, and 301 or 302 after POST, become GET
        without body; 307 and 308 keep method and body. They lead to http and https only. When
        scheme, host or port change, credentials are removed for good (`credentials`). The
        connection of one exchange is released before the next one is acquired.
Implemented elsewhere: cookies and credentials (`request_credentials`); connections, their time
        limits, resending on a stale connection (`Pool.run`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import curio

from .._config import interceptor
from .._config.deadline import Deadline
from .._config.events import get_emitter
from .._hotpath import Exchange, read_remaining
from .._request.prepared_request import PreparedRequest
from .._request.redirect import follow_redirect
from .._response.status_codes import REDIRECT_STATUSES
from .._response.stream import StreamBody
from ..errors import (
    AsksException,
    ConnectivityError,
    ReadTimeout,
    ResponseTooLarge,
    ServerClosedConnectionError,
    TooManyRedirects,
    TotalTimeout,
    add_request_context,
    truncated_repr,
)
from ..response_objects import BaseResponse, Response, StreamResponse
from ..urls import join_url
from . import redirect_pause
from .drain import drain, get_followup_statuses
from .middleware import Middleware, MiddlewareChain
from .request_credentials import RequestCredentials
from .retry import Attempt, Retry

if TYPE_CHECKING:
    from .._transport.proxies import Proxy
    from .._transport.proxy_pool import ProxyLease
    from .._transport.transport import Transport
    from ..cookie_utils import CookieTracker

__all__ = ["RequestFlow"]

_DEFAULT_POLICY = Retry(attempts=0)


class RequestFlow:
    """One request of a program, from the first exchange to the response that is returned."""

    def __init__(
        self,
        transport: Transport,
        request: PreparedRequest,
        *,
        encoding: str,
        cookies: CookieTracker | None,
        exchange: Exchange | None = None,
        cache: Middleware | None = None,
    ) -> None:
        self._transport = transport
        self._exchange = exchange  # the one under way, or the last one
        self._force_new_connection = False
        self._request = request
        self._options = request.options
        self._encoding = encoding
        self._credentials = RequestCredentials(request, cookies)
        self._history: list[BaseResponse] = []
        self._original = request
        self._deadline = Deadline(
            self._options.timeout, 0.0 if exchange is None else exchange.elapsed
        )
        self._lease: ProxyLease | None = None  # on the proxy of the request, of its pool
        self._used_proxies: list[Proxy | None] = []  # of that pool, since the last redirect
        self._attempts = 0
        self._tries = 0  # of them, those since the last redirect or challenge
        has_policy = "retries" in self._options.explicit
        self._retry = Retry.coerce(self._options.retries) if has_policy else None
        self._middleware: list[Middleware] = [*self._options.middleware]
        if cache is not None:
            self._middleware.append(cache)
        if interceptor.current is not None:
            self._middleware.append(interceptor.current)

    async def run(self) -> BaseResponse:
        """Send the request, and those that its responses lead to.

        If the first exchange was made before, its outcome is used. Returns the final response: a
        `Response`, or a `StreamResponse` with `stream=True`. An error or a cancellation closes its
        connection. Raises `RedirectPaused` before a redirect is followed where a gate says
        so (`redirect_pause`); called again, it goes on from there.
        """
        response: BaseResponse | None = None
        previous_outcome = self._take_first_outcome()
        try:
            while True:
                response = await self._send_with_retries(previous_outcome)
                next_request = await self._next_request(response)
                if next_request is None:
                    delay = self._refused_proxy_delay(response)
                    if delay is not None:
                        await self._finish_hop(response)
                        self._end_lease(response.status_code)
                        response = previous_outcome = None
                        await self._wait_before_retry(self._request, delay)
                        continue
                    try:
                        await self._read_remaining(response)
                        self._check_size(response)
                    except ConnectivityError as error:
                        response, previous_outcome = None, error
                        continue
                    break
                emit = get_emitter(self._request, response)
                if emit is not None:
                    emit("followup", status=response.status_code, url=str(next_request.url))
                redirect_delay = self._redirect_delay(response)
                await self._finish_hop(response)
                is_hop = next_request is not self._request
                if is_hop:
                    self._end_lease(response.status_code)
                    self._used_proxies.clear()
                response = previous_outcome = None
                self._tries = 0
                self._request = next_request
                if is_hop and redirect_pause.gates:
                    await redirect_pause.ask(self, str(next_request.url), redirect_delay)
                if redirect_delay > 0:
                    await self._deadline.run(next_request, curio.sleep(redirect_delay))
            self._pass_lease_on(response)
            return await self._finish(response)
        except BaseException as error:
            received_last = None if self._exchange is None else self._exchange.response
            await self._abort(response)
            self._end_lease(error)
            if isinstance(error, TotalTimeout) and received_last and received_last.is_truncated:
                error.response = received_last
            if isinstance(error, AsksException) and not isinstance(error, TooManyRedirects):
                received = self._history if response is None else [*self._history, response]
                if received:
                    error.history = received
            raise

    def _take_first_outcome(self) -> BaseResponse | ConnectivityError | None:
        """The outcome of an exchange that was made before this flow began, once; else None."""
        exchange = self._exchange
        if exchange is None or self._attempts:
            return None
        self._history = list(exchange.history or ())  # type: ignore[arg-type]
        self._attempts = 1 + len(self._history)
        self._tries = 1
        self._credentials.take_sent_fields(self._request, exchange.response.request_head or b"")
        if exchange.error is not None:
            error: ConnectivityError = exchange.error
            return error
        if exchange.options.stream:
            exchange.attach_stream()
        return exchange.response  # type: ignore[return-value]

    # -- one exchange

    async def _send_with_retries(
        self, previous_outcome: BaseResponse | ConnectivityError | None
    ) -> BaseResponse:
        request = self._request
        if previous_outcome is None:
            await self._credentials.add(request)
        while True:
            if previous_outcome is None:
                self._attempts += 1
                self._tries += 1
            try:
                response = (
                    await self._send_once(request)
                    if previous_outcome is None
                    else _raise_or_return(previous_outcome)
                )
            except ConnectivityError as error:
                error.attempts = self._attempts
                self._end_lease(error)
                delay = self._retry_delay(error=error)
                if delay is None:
                    error.is_replayable = self._original.is_replayable
                    truncated = self._truncated_response(error)
                    if truncated is None:
                        raise
                    self._record_response(request, truncated)
                    return truncated
            else:
                try:
                    self._record_response(request, response)
                    # A 407 may be a challenge, which is answered first.
                    is_ban = response.status_code != 407 and self._is_ban(response)
                    delay = self._retry_delay(response=response, is_ban=is_ban)
                    if delay is None:
                        return response
                    await self._finish_hop(response)
                except BaseException:
                    await self._abort(response)
                    raise
                self._end_lease(response.status_code)
            previous_outcome = None
            await self._wait_before_retry(request, delay)

    async def _wait_before_retry(self, request: PreparedRequest, delay: float) -> None:
        emit = get_emitter(request)
        if emit is not None:
            emit("retry", attempt=self._tries + 1, delay=delay)
        if self._used_proxies:
            request.route = None  # the next try goes by another proxy
        if delay > 0:
            await self._deadline.run(request, curio.sleep(delay))

    def _truncated_response(self, error: ConnectivityError) -> BaseResponse | None:
        """The response with a truncated body, if `allow_truncated` is set."""
        is_truncated = isinstance(error, (ServerClosedConnectionError, ReadTimeout))
        if not self._options.allow_truncated or not is_truncated:
            return None
        return error.response if isinstance(error.response, Response) else None

    def _retry_delay(
        self,
        *,
        error: ConnectivityError | None = None,
        response: BaseResponse | None = None,
        is_ban: bool = False,
    ) -> float | None:
        """Seconds until the next try by the retry policy; None if there is none."""
        if self._retry is None or not self._request.is_replayable:
            return None
        attempt = Attempt.coerce(
            self._tries,
            self._request.method,
            error=error,
            response=response,
            is_ban=is_ban,
        )
        return self._retry.delay_before_next(attempt)

    # -- the proxy of a pool

    def _is_ban(self, response: BaseResponse) -> bool:
        """Whether the status means that the server has banned the proxy."""
        return self._lease is not None and self._lease.is_ban(response.status_code)

    def _refused_proxy_delay(self, response: BaseResponse) -> float | None:
        """Seconds until the next try after a proxy that wants other credentials; None for none."""
        if response.status_code != 407 or not self._is_ban(response):
            return None
        return self._retry_delay(response=response, is_ban=True)

    async def _lease_proxy(self, request: PreparedRequest) -> None:
        """Give a request a proxy of its pool, if it has one.

        Each try and each redirect takes another one, the answer to a challenge does not.
        """
        if self._lease is not None and request.route is None:  # of a middleware
            self._transport.set_route(request, self._lease.proxy)
        if self._lease is None:
            try:
                self._lease = await self._transport.lease_proxy(request, self._used_proxies)
            except ConnectivityError as error:
                add_request_context(error, f"{request.method} {request.url}")
                raise
            if self._lease is not None:
                self._used_proxies.append(self._lease.proxy)

    def _end_lease(self, outcome: int | BaseException) -> None:
        """Record the outcome of the request for its proxy, and give the proxy back."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.record(outcome)
            lease.release()

    def _pass_lease_on(self, response: BaseResponse) -> None:
        """Record the final response for its proxy; a stream has the proxy until it is closed."""
        lease = self._lease
        if lease is None:
            return
        if not isinstance(response.body, StreamBody) or response.is_complete:
            self._end_lease(response.status_code)
            return
        lease.record(response.status_code)
        response.body._lease, self._lease = lease, None

    def _redirect_delay(self, response: BaseResponse) -> float:
        """Seconds to wait before following a redirect (RFC 9110 §10.2.3)."""
        if response.status_code not in REDIRECT_STATUSES:
            return 0.0
        policy = self._retry or _DEFAULT_POLICY
        return policy.requested_delay(response.headers.get("retry-after")) or 0.0

    async def _send_once(self, request: PreparedRequest) -> BaseResponse:
        if not self._middleware:
            return await self._send_on_network(request)
        if interceptor.current is not None:
            # Without a socket nothing else lets other tasks and time-outs run.
            await self._deadline.run(request, curio.sleep(0))
        sent = request.copy_for_exchange()
        sent.attempt = self._attempts
        chain = MiddlewareChain(self._middleware, self._send_on_network, self._deadline)
        response = await chain.run(sent)
        if sent.url.same_origin(request.url):  # the proxy of the next exchange is the same
            request.route, request.proxy_fields = sent.route, sent.proxy_fields
        return response

    async def _send_on_network(self, request: PreparedRequest) -> BaseResponse:
        stream = self._options.stream or self._options.callback is not None
        response: BaseResponse = StreamResponse() if stream else Response()
        response._set_options(self._options, self._encoding)
        await self._lease_proxy(request)
        exchange = self._transport.make_exchange(
            request,
            response,
            encoding=self._encoding,
            followup_statuses=get_followup_statuses(
                self._options, self._credentials.auth, self._retry
            ),
        )
        exchange.force_new_connection, self._force_new_connection = (
            self._force_new_connection,
            False,
        )
        self._exchange = exchange
        deadline = self._deadline
        if deadline.timeout is not None and deadline.remaining is not None:
            exchange.set_time_limit(deadline.timeout, deadline.remaining)
        try:
            await self._transport.send(exchange)
        finally:
            deadline.remaining = exchange.time_left
        if stream:
            exchange.attach_stream()
        elif exchange.connection is not None and self._needs_body(response):
            most = self._options.max_body
            await self._read_remaining(response, -1 if most is None else most)
        if self._middleware:
            response.request = request
        return response

    def _needs_body(self, response: BaseResponse) -> bool:
        """Whether code of the program needs the body to decide what follows."""
        if self._middleware:
            return True
        if self._retry is not None and self._retry.predicate is not None:
            return True
        auth = self._credentials.challenge_auth
        return response.status_code == 401 and auth is not None and auth.requires_body

    def _record_response(self, request: PreparedRequest, response: BaseResponse) -> None:
        if not self._middleware:
            response.request = request
        response.attempts = self._attempts
        if request.url.fragment is not None:
            response.url = str(response.request.url)
        self._credentials.on_response(
            request, response, response.request.url if self._middleware else self._request.url
        )

    # -- what follows a response

    async def _next_request(self, response: BaseResponse) -> PreparedRequest | None:
        status = response.status_code
        if status == 401 and self._credentials.challenge_auth is not None:
            is_answered = await self._credentials.answer_challenge(self._request, response)
            return self._request if is_answered else None
        if status == 407 and await self._transport.handle_proxy_challenge(self._request, response):
            return self._request
        if status == 417 and "expect" in self._request.fields and self._request.is_replayable:
            return self._without_expectation()
        if status == 408 and self._is_crossed_408(response):
            self._force_new_connection = True
            return self._request
        if status not in REDIRECT_STATUSES or "location" not in response.headers:
            return None
        follow = self._options.follow_redirects
        if follow is None:
            follow = self._request.method != "HEAD"
        if not follow:
            return None
        await self._drain_redirect(response)  # also if it is one too many: the error has it
        return self._redirect(response)

    def _without_expectation(self) -> PreparedRequest:
        """The request without the `Expect` that the server refused (RFC 9110 §10.1.1)."""
        request = self._request
        request.fields = request.fields.copy()
        request.fields.remove(["expect"])
        return request

    def _is_crossed_408(self, response: BaseResponse) -> bool:
        """Whether a 408 was sent because the connection was idle (RFC 9110 §15.5.9).

        A server may send it before it closes an idle connection. The connection is stale then, so a
        request that may be resent is resent once, over a new connection.
        """
        request = self._request
        return (
            response.reused
            and self._options.retries != 0
            and request.is_idempotent
            and request.is_replayable
        )

    def _redirect(self, response: BaseResponse) -> PreparedRequest:
        request, status = self._request, response.status_code
        location = response.headers._raw_values("location")[0]  # bytes, so that nothing is lost
        redirects = sum(1 for earlier in self._history if earlier.status_code in REDIRECT_STATUSES)
        if redirects >= self._options.max_redirects:
            raise TooManyRedirects(
                f"{request.method} {request.url}: {status} to {truncated_repr(location)} would be "
                f"one more than max_redirects={self._options.max_redirects}",
                response,
                self._history,
            )
        if self._middleware:  # it may have changed the URL, to which Location is relative
            location = str(join_url(response.request.url, location)).encode("ascii")
        made = follow_redirect(request, status, location)
        if not request.url.same_origin(made.url):
            self._credentials.leave_origin(request.url, made.url)
        return made

    async def _finish_hop(self, response: BaseResponse) -> None:
        """End a response that is followed by another request; its connection is free after this."""
        await self._drain_redirect(response)
        response.history = []
        self._history.append(response)

    async def _drain_redirect(self, response: BaseResponse) -> None:
        exchange = self._exchange
        is_pending = exchange is not None and exchange.connection is not None
        if is_pending or isinstance(response.body, StreamBody):
            await self._deadline.run(self._request, drain(response, exchange))
            self._on_body_complete(response, is_pending)

    def _check_size(self, response: BaseResponse) -> None:
        """Raise `ResponseTooLarge` if the body of the final response exceeds `max_body`."""
        if response.is_complete or response.is_truncated:
            return
        if isinstance(response, StreamResponse):
            connection = response.body._connection
            if connection is not None:
                connection.apply_body_limit()
            return
        error = ResponseTooLarge(
            f"{response.method} {response.url}: the body has more than "
            f"max_body={self._options.max_body} bytes"
        )
        error.status_code, error.headers = response.status_code, response.headers
        raise error

    async def _read_remaining(self, response: BaseResponse, most: int = -1) -> None:
        """Read the rest of a response that no other request follows, or at most `most` bytes."""
        exchange = self._exchange
        if exchange is None or exchange.connection is None:
            return
        try:
            await self._deadline.run(self._request, read_remaining(exchange, most))
        except ConnectivityError as error:
            await self._abort(response)
            emit = get_emitter(self._request, response)
            if emit is not None:
                emit("failed", error=error)
            raise
        self._on_body_complete(response, True)

    def _on_body_complete(self, response: BaseResponse, was_pending: bool) -> None:
        """Report the end of a body that was read after a look at the head."""
        if was_pending and response.is_complete:
            emit = get_emitter(self._request, response)
            if emit is not None:
                emit("body", at=response.completed_at, size=len(response.body))

    async def _abort(self, response: BaseResponse | None) -> None:
        """Close the body of a response that will not be returned, and what the exchange holds."""
        if self._exchange is not None:
            self._exchange.abort()
        if response is not None and isinstance(response.body, StreamBody):
            await response.body.close()

    async def _finish(self, response: BaseResponse) -> BaseResponse:
        response.history = self._history
        if self._options.callback is not None:
            await self._deadline.run(self._request, self._run_callback(response.body))
        return response

    async def _run_callback(self, body: StreamBody) -> None:
        callback = self._options.callback
        assert callback is not None
        async with body:
            async for chunk in body:
                outcome = callback(chunk)
                if hasattr(outcome, "__await__"):
                    await outcome


def _raise_or_return(previous_outcome: BaseResponse | ConnectivityError) -> BaseResponse:
    if isinstance(previous_outcome, ConnectivityError):
        raise previous_outcome
    return previous_outcome
