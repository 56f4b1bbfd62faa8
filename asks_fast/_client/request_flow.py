"""What a request leads to before there is an answer to give: challenges, redirects, cookies.

Each exchange is one call of `Transport.send`; this file decides whether another one follows.

Rules:  redirects after RFC 9110 §15.4, as browsers do: 303, and 301 or 302 after POST, become GET
        without body; 307 and 308 keep method and body. Only to http and https. When scheme, host
        or port change, credentials are left behind for good (`session_credentials`).
        The connection of one hop is given back before the next is taken.
Not here: connections, time limits on them, the safe resending of a request on a stale connection.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import curio

from .._config import interceptor
from .._config.deadline import Deadline
from .._config.events import get_emitter
from .._hotpath import Connection, Exchange, read_remaining
from .._request.prepared_request import AuthView, PreparedRequest
from .._request.redirect import auth_may_leave, follow_redirect
from .._response.stream import StreamBody
from ..auth import AuthBase, BasicAuth, PostResponseAuth
from ..errors import (
    AsksException,
    ConnectivityError,
    ReadTimeout,
    ResponseTooLarge,
    ServerClosedConnectionError,
    TooManyRedirects,
    TotalTimeout,
    UnreplayableBody,
    truncated_repr,
)
from ..response_objects import BaseResponse, Response, StreamResponse
from . import redirect_pause
from .drain import REDIRECTS, drain, get_followup_statuses
from .retry import Attempt, Retry

if TYPE_CHECKING:
    from .._transport.transport import Transport
    from ..cookie_utils import CookieTracker

__all__ = ["RequestFlow", "tracker_of"]

_DEFAULT_POLICY = Retry(attempts=0)


class RequestFlow:
    """One request of a user, from the first exchange to the answer that is given back."""

    def __init__(
        self,
        transport: Transport,
        request: PreparedRequest,
        *,
        encoding: str,
        cookies: CookieTracker | None,
        force_new_connection: bool = False,
        elapsed: float = 0.0,
        pending_connection: Connection | None = None,
    ) -> None:
        self._transport = transport
        self._pending_connection = (
            pending_connection  # lent, at the head of the answer that is being looked at
        )
        self._exchange = Exchange()  # what the exchange under way, or the last one, was given
        self._response: BaseResponse | None = None  # that it fills
        self._force_new_connection = force_new_connection
        self._request = request
        self._options = request.options
        self._encoding = encoding
        self._cookie_jar = cookies
        self._request_cookies = self._options.cookies
        self._cookie_header: str | bytes | None = None  # the field that was made of them last
        self._auth = self._find_auth()
        self._history: list[BaseResponse] = []
        self._original = request
        self._deadline = Deadline(self._options.timeout, elapsed)
        self._attempts = 0
        self._tries = 0  # of them, those of this hop
        asked = "retries" in self._options.explicit
        self._retry = Retry.coerce(self._options.retries) if asked else None

    def _find_auth(self) -> AuthBase | None:
        auth = self._options.auth
        userinfo = self._request.url.userinfo
        if userinfo is not None:
            self._request.url = self._request.url.without_userinfo()
            if auth is None and "authorization" not in self._request.fields:
                return BasicAuth(userinfo)
            if isinstance(auth, AuthBase):
                return auth.for_user(userinfo)
        if isinstance(auth, tuple) and len(auth) == 2:
            return BasicAuth(auth)
        if auth is not None and not callable(auth):
            raise TypeError(f"auth must be an auth object or (user, password), not {auth!r}")
        return auth  # type: ignore[no-any-return]

    async def run(
        self, previous_outcome: BaseResponse | ConnectivityError | None = None
    ) -> BaseResponse:
        """Hold the conversation; `previous_outcome` is how the first exchange ended if there was one.

        Returns the final answer: a `Response`, or a `StreamResponse` with `stream=True`. Whatever
        ends it early leaves no connection behind. Raises `RedirectPaused` before a redirect is followed where
        a gate says so (`hops`); called again, it goes on from there.
        """
        response = None
        if previous_outcome is not None:
            self._attempts = self._tries = 1
        try:
            while True:
                response = await self._send_with_retries(previous_outcome)
                next_request = await self._next_request(response)
                if next_request is None:
                    try:
                        await self._read_remaining(response)
                        self._check_size(response)
                    except ConnectivityError as error:
                        response, previous_outcome = None, error
                        continue
                    break
                emit = get_emitter(self._request)
                if emit is not None:
                    emit("followup", status=response.status_code, url=str(next_request.url))
                delay = self._redirect_delay(response)
                await self._finish_hop(response)
                response = previous_outcome = None
                self._tries = 0
                is_hop = next_request is not self._request
                self._request = next_request
                if is_hop and redirect_pause.gates:
                    await redirect_pause.ask(self, str(next_request.url), delay)
                if delay > 0:
                    await self._deadline.run(next_request, curio.sleep(delay))
            return await self._finish(response)
        except BaseException as error:
            await self._abort(response)
            if isinstance(error, TotalTimeout) and self._response and self._response.is_truncated:
                error.response = self._response
            if isinstance(error, AsksException) and not isinstance(error, TooManyRedirects):
                received = self._history if response is None else [*self._history, response]
                if received:
                    error.history = received
            raise

    # -- one exchange

    async def _send_with_retries(
        self, previous_outcome: BaseResponse | ConnectivityError | None
    ) -> BaseResponse:
        request = self._request
        if previous_outcome is None:
            await self._add_credentials(request)
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
                    delay = self._retry_delay(response=response)
                    if delay is None:
                        return response
                    await self._finish_hop(response)
                except BaseException:
                    await self._abort(response)
                    raise
            previous_outcome = None
            emit = get_emitter(request)
            if emit is not None:
                emit("retry", attempt=self._tries + 1, delay=delay)
            if self._transport.connector.has_proxy_rotation(**self._options.connection):
                request.route = None  # the next try goes by the next proxy
            if delay > 0:
                await self._deadline.run(request, curio.sleep(delay))

    def _truncated_response(self, error: ConnectivityError) -> BaseResponse | None:
        """The response of a body that broke off, if `allow_truncated` asks for it."""
        broke_off = isinstance(error, (ServerClosedConnectionError, ReadTimeout))
        if not self._options.allow_truncated or not broke_off:
            return None
        return error.response if isinstance(error.response, Response) else None

    def _retry_delay(
        self,
        *,
        error: ConnectivityError | None = None,
        response: BaseResponse | None = None,
    ) -> float | None:
        """Seconds until the next try that the user's policy wants; None when it wants none."""
        if self._retry is None or not self._request.is_replayable:
            return None
        attempt = Attempt.coerce(self._tries, self._request.method, error=error, response=response)
        return self._retry.delay_before_next(attempt)

    def _redirect_delay(self, response: BaseResponse) -> float:
        """Seconds to wait before following a redirect (RFC 9110 §10.2.3)."""
        if response.status_code not in REDIRECTS:
            return 0.0
        policy = self._retry or _DEFAULT_POLICY
        return policy.requested_delay(response.headers.get("retry-after")) or 0.0

    async def _send_once(self, request: PreparedRequest) -> BaseResponse:
        stream = self._options.stream or self._options.callback is not None
        response: BaseResponse = StreamResponse() if stream else Response()
        response._set_options(self._options, self._encoding)
        self._response = response
        send_on_network = partial(self._send_on_network, request, response, stream)
        if interceptor.current is None:
            await send_on_network()
        else:  # whoever stands in, or looks on, gets bodies whole
            # Without a socket nothing else lets other tasks and time-outs have their turn.
            await self._deadline.run(request, curio.sleep(0))
            await interceptor.current.exchange(request, response, send_on_network, self._deadline)
        return response

    async def _send_on_network(
        self, request: PreparedRequest, response: BaseResponse, stream: bool
    ) -> None:
        force_new_connection, self._force_new_connection = self._force_new_connection, False
        connection_used = await self._transport.send(
            request,
            response,
            self._deadline,
            exchange=self._exchange,
            stream=stream,
            force_new_connection=force_new_connection,
            followup_statuses=get_followup_statuses(self._options, self._auth, self._retry),
        )
        if not stream:
            self._pending_connection = None if response.is_complete else connection_used
            if self._pending_connection is not None and self._needs_body(response):
                most = self._options.max_body
                await self._read_remaining(response, -1 if most is None else most)
        elif isinstance(response, StreamResponse):
            response._attach_connection(connection_used)

    def _needs_body(self, response: BaseResponse) -> bool:
        """Whether other code must see the body before it is known what follows the response."""
        if interceptor.current is not None:
            return True
        if self._retry is not None and self._retry.predicate is not None:
            return True
        auth = self._auth
        return (
            response.status_code == 401
            and isinstance(auth, PostResponseAuth)
            and auth.requires_body
        )

    def _record_response(self, request: PreparedRequest, response: BaseResponse) -> None:
        response.request = request
        response.attempts = self._attempts
        if request.url.fragment is not None:
            response.url = str(request.url)
        if self._cookie_jar is not None:
            self._store_cookies(response)
        on_response = getattr(self._auth, "on_response", None)
        if on_response is not None and response.status_code != 401:
            on_response(response, AuthView(request))

    async def _add_credentials(self, request: PreparedRequest) -> None:
        """Add what belongs to this one sending: cookies and credentials."""
        if (
            self._cookie_header is not None
            and request.hop_headers.get("Cookie") == self._cookie_header
        ):
            del request.hop_headers[
                "Cookie"
            ]  # of the sending before, whose answer may have changed it
        by_hand = request.fields.is_mentioned("cookie")  # instead of those of the tracker
        if self._request_cookies or (self._cookie_jar and not by_hand):
            from ..cookie_utils import cookie_header

            kept = request.fields.get("cookie")
            if self._cookie_jar and not by_hand:
                kept = self._cookie_jar.header_for(request.url)
            self._cookie_header = cookie_header(self._request_cookies, kept)
            if self._cookie_header:
                request.hop_headers["Cookie"] = self._cookie_header
        auth = self._auth
        if auth is None or "Authorization" in request.hop_headers:
            return
        if isinstance(auth, PostResponseAuth):
            initial_headers = getattr(auth, "initial_headers", None)
            if initial_headers is not None:
                request.hop_headers.update(initial_headers(AuthView(request)))
        else:
            request.hop_headers.update(await auth(AuthView(request)) or {})

    def _store_cookies(self, response: BaseResponse) -> None:
        if self._cookie_jar is not None and "set-cookie" in response.headers:
            self._cookie_jar.store(self._request.url, _values(response, b"set-cookie"))

    # -- what an answer leads to

    async def _next_request(self, response: BaseResponse) -> PreparedRequest | None:
        status = response.status_code
        if status == 401 and isinstance(self._auth, PostResponseAuth):
            return await self._answer_challenge(response)
        if status == 407 and await self._transport.handle_proxy_challenge(self._request, response):
            return self._request
        if status == 417 and "expect" in self._request.fields and self._request.is_replayable:
            return self._without_expectation()
        if status == 408 and self._is_crossed_408(response):
            self._force_new_connection = True
            return self._request
        if status not in REDIRECTS or "location" not in response.headers:
            return None
        follow = self._options.follow_redirects
        if follow is None:
            follow = self._request.method != "HEAD"
        if not follow:
            return None
        await self._drain_redirect(response)  # also if it is one too many: the error has it
        return self._redirect(response)

    def _without_expectation(self) -> PreparedRequest:
        """The request again, without the `Expect` that the server refused (RFC 9110 §10.1.1)."""
        request = self._request
        request.fields = request.fields.copy()
        request.fields.remove(["expect"])
        return request

    def _is_crossed_408(self, response: BaseResponse) -> bool:
        """Whether a 408 was meant for the silence before our request (RFC 9110 §15.5.9).

        A server may say it before it closes an idle connection: as stale a connection as one that
        is closed without a word, so what may be sent again goes once more, over a fresh one.
        """
        request = self._request
        return (
            response.reused
            and self._options.retries != 0
            and request.is_idempotent
            and request.is_replayable
        )

    async def _answer_challenge(self, response: BaseResponse) -> PreparedRequest | None:
        request = self._request
        if any(old.status_code == 401 and old.request is request for old in self._history):
            return None
        assert self._auth is not None
        fields = await self._auth(response, AuthView(request))
        if not fields:
            return None
        if not request.is_replayable:
            raise UnreplayableBody(
                f"{request.method} {request.url}: the server wants credentials, but the body came "
                "from a one-shot stream; give bytes, a path or a seekable file"
            )
        request.hop_headers.update(fields)
        return request

    def _redirect(self, response: BaseResponse) -> PreparedRequest:
        request, status = self._request, response.status_code
        location = _values(response, b"location")[0]
        redirects = sum(1 for earlier in self._history if earlier.status_code in REDIRECTS)
        if redirects >= self._options.max_redirects:
            raise TooManyRedirects(
                f"{request.method} {request.url}: {status} to {truncated_repr(location)} would be one more "
                f"than max_redirects={self._options.max_redirects}",
                response,
                self._history,
            )
        made = follow_redirect(request, status, location)
        if not request.url.same_origin(made.url):
            self._request_cookies = None
            if not auth_may_leave(self._options, request.url, made.url):
                self._auth = None
        return made

    async def _finish_hop(self, response: BaseResponse) -> None:
        """Be done with an answer that only leads to the next: its connection is free after this."""
        await self._drain_redirect(response)
        response.history = []
        self._history.append(response)

    async def _drain_redirect(self, response: BaseResponse) -> None:
        if self._pending_connection is not None or isinstance(response.body, StreamBody):
            await self._deadline.run(self._request, drain(response, self._pending_connection))
            self._on_body_complete(response)

    def _check_size(self, response: BaseResponse) -> None:
        """Raise `ResponseTooLarge` if the body of the final response exceeds `max_body`."""
        if response.is_complete or response.is_truncated:
            return
        if isinstance(response, StreamResponse):
            if self._exchange.connection is not None:
                self._exchange.connection.apply_body_limit()
            return
        error = ResponseTooLarge(
            f"{response.method} {response.url}: the body has more than "
            f"max_body={self._options.max_body} bytes"
        )
        error.status_code, error.headers = response.status_code, response.headers
        raise error

    async def _read_remaining(self, response: BaseResponse, most: int = -1) -> None:
        """Read what is left of an answer that leads nowhere else, or at most `most` bytes."""
        if self._pending_connection is not None:
            try:
                await self._deadline.run(
                    self._request, read_remaining(self._pending_connection, response, most)
                )
            except ConnectivityError as error:
                await self._abort(response)
                emit = get_emitter(self._request)
                if emit is not None:
                    emit("failed", error=error)
                raise
            self._on_body_complete(response)

    def _on_body_complete(self, response: BaseResponse) -> None:
        """The connection that stopped is free."""
        if self._pending_connection is not None and response.is_complete:
            emit = get_emitter(self._request)
            if emit is not None:
                emit("body", at=response.completed_at, size=len(response.body))
        self._pending_connection = None

    async def _abort(self, response: BaseResponse | None) -> None:
        """Leave the body of an answer that nobody will get."""
        pending_connection, self._pending_connection = self._pending_connection, None
        if pending_connection is not None:
            pending_connection.close_nowait(response)
        elif response is not None and isinstance(response.body, StreamBody):
            await response.body.close()
        if self._exchange.connection is not None:  # Ctrl-C, before anybody was told of it
            self._exchange.connection.close_nowait(self._response)

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


def _values(response: BaseResponse, name: bytes) -> list[bytes]:
    """The values of a field as they came, so that what is no UTF-8 goes back byte for byte."""
    return [value for field, value in response.headers.raw if field.lower() == name]


def tracker_of(wanted: Any) -> Any:
    """The cookie jar that `persist_cookies=` means: a new one for True, None for none."""
    if not wanted and not hasattr(wanted, "header_for"):
        return None
    if wanted is True:
        from ..cookie_utils import CookieTracker

        return CookieTracker()
    if not hasattr(wanted, "header_for"):
        raise TypeError(f"persist_cookies must be True or a CookieTracker, not {wanted!r}")
    return wanted
