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
from .._config.events import teller
from .._hotpath import Connection, Turn, read_on
from .._request.prepared_request import AuthView, PreparedRequest
from .._response.stream import StreamBody
from .._transport.transport import Budget
from ..auth import AuthBase, BasicAuth, PostResponseAuth
from ..errors import (
    AsksException,
    ConnectivityError,
    InvalidURL,
    ResponseTooLarge,
    TooManyRedirects,
    UnreplayableBody,
    clip,
)
from ..response_objects import BaseResponse, Response, StreamResponse
from ..urls import join_url
from . import redirect_pause
from .credentials import auth_may_leave, bound_fields
from .drain import REDIRECTS, pass_over, statuses_to_stop_at
from .retry import Attempt, Retry

if TYPE_CHECKING:
    from .._transport.transport import Transport
    from ..cookie_utils import CookieTracker

__all__ = ["Conversation", "tracker_of"]

_DEFAULT_POLICY = Retry(attempts=0)


class Conversation:
    """One request of a user, from the first exchange to the answer that is given back."""

    def __init__(
        self,
        transport: Transport,
        request: PreparedRequest,
        *,
        encoding: str,
        cookies: CookieTracker | None,
        fresh: bool = False,
        spent: float = 0.0,
        stopped: Connection | None = None,
    ) -> None:
        self._transport = transport
        self._stopped = stopped  # lent, at the head of the answer that is being looked at
        self._turn = Turn()  # what the exchange under way, or the last one, was given
        self._answer: BaseResponse | None = None  # that it fills
        self._fresh = fresh
        self._request = request
        self._options = request.options
        self._encoding = encoding
        self._tracker = cookies
        self._cookies = self._options.cookies
        self._cookie: str | bytes | None = None  # the field that was made of them last
        self._auth = self._find_auth()
        self._history: list[BaseResponse] = []
        self._original = request
        self._budget = Budget(self._options.timeout, spent)
        self._attempts = 0
        self._tries = 0  # of them, those of this hop
        asked = "retries" in self._options.explicit
        self._retry = Retry.of(self._options.retries) if asked else None

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

    async def run(self, tried: BaseResponse | ConnectivityError | None = None) -> BaseResponse:
        """Hold the conversation; `tried` is how the first exchange ended if there was one.

        Returns the final answer: a `Response`, or a `StreamResponse` with `stream=True`. Whatever
        ends it early leaves no connection behind. Raises `Held` before a redirect is followed where
        a gate says so (`hops`); called again, it goes on from there.
        """
        response = None
        if tried is not None:
            self._attempts = self._tries = 1
        try:
            while True:
                response = await self._exchange(tried)
                following = await self._what_follows(response)
                if following is None:
                    try:
                        await self._read_on(response)
                        self._check_size(response)
                    except ConnectivityError as error:
                        response, tried = None, error
                        continue
                    break
                tell = teller(self._request)
                if tell is not None:
                    tell("again", status=response.status_code, url=str(following.url))
                pause = self._redirect_delay(response)
                await self._pass_over(response)
                response = tried = None
                self._tries = 0
                is_hop = following is not self._request
                self._request = following
                if is_hop and redirect_pause.gates:
                    await redirect_pause.ask(self, str(following.url), pause)
                if pause > 0:
                    await self._budget.spend(following, curio.sleep(pause))
            return await self._finish(response)
        except BaseException as error:
            await self._drop(response)
            if isinstance(error, AsksException) and not isinstance(error, TooManyRedirects):
                received = self._history if response is None else [*self._history, response]
                if received:
                    error.history = received
            raise

    # -- one exchange

    async def _exchange(self, tried: BaseResponse | ConnectivityError | None) -> BaseResponse:
        request = self._request
        if tried is None:
            await self._dress(request)
        while True:
            if tried is None:
                self._attempts += 1
                self._tries += 1
            try:
                response = await self._try(request) if tried is None else _outcome(tried)
            except ConnectivityError as error:
                error.attempts = self._attempts
                pause = self._pause(error=error)
                if pause is None:
                    error.can_replay = self._original.can_replay
                    raise
            else:
                try:
                    self._settle(request, response)
                    pause = self._pause(response=response)
                    if pause is None:
                        return response
                    await self._pass_over(response)
                except BaseException:
                    await self._drop(response)
                    raise
            tried = None
            tell = teller(request)
            if tell is not None:
                tell("retry", attempt=self._tries + 1, pause=pause)
            if self._transport.connector.rotates(**self._options.connection):
                request.route = None  # the next try goes by the next proxy
            if pause > 0:
                await self._budget.spend(request, curio.sleep(pause))

    def _pause(
        self,
        *,
        error: ConnectivityError | None = None,
        response: BaseResponse | None = None,
    ) -> float | None:
        """Seconds until the next try that the user's policy wants; None when it wants none."""
        if self._retry is None or not self._request.can_replay:
            return None
        attempt = Attempt.of(self._tries, self._request.method, error=error, response=response)
        return self._retry.delay_before_next(attempt)

    def _redirect_delay(self, response: BaseResponse) -> float:
        """Seconds to wait before following a redirect (RFC 9110 §10.2.3)."""
        if response.status_code not in REDIRECTS:
            return 0.0
        policy = self._retry or _DEFAULT_POLICY
        return policy.requested_delay(response.headers.get("retry-after")) or 0.0

    async def _try(self, request: PreparedRequest) -> BaseResponse:
        stream = self._options.stream or self._options.callback is not None
        response: BaseResponse = StreamResponse() if stream else Response()
        response.equip(self._options, self._encoding)
        self._answer = response
        over_the_wire = partial(self._send_over_the_wire, request, response, stream)
        if interceptor.current is None:
            await over_the_wire()
        else:  # whoever stands in, or looks on, gets bodies whole
            # Without a socket nothing else lets other tasks and time-outs have their turn.
            await self._budget.spend(request, curio.sleep(0))
            await interceptor.current.exchange(request, response, over_the_wire, self._budget)
        return response

    async def _send_over_the_wire(
        self, request: PreparedRequest, response: BaseResponse, stream: bool
    ) -> None:
        fresh, self._fresh = self._fresh, False
        used = await self._transport.send(
            request,
            response,
            self._budget,
            turn=self._turn,
            stream=stream,
            fresh=fresh,
            stops_at=statuses_to_stop_at(self._options, self._auth, self._retry),
        )
        if not stream:
            self._stopped = None if response.is_complete else used
            if self._stopped is not None and self._needs_body(response):
                most = self._options.max_body
                await self._read_on(response, -1 if most is None else most)
        elif isinstance(response, StreamResponse):
            response.attach(used)

    def _needs_body(self, response: BaseResponse) -> bool:
        """Whether other code must see the body before it is known what follows the response."""
        if interceptor.current is not None:
            return True
        if self._retry is not None and self._retry.predicate is not None:
            return True
        auth = self._auth
        return (
            response.status_code == 401 and isinstance(auth, PostResponseAuth) and auth.reads_body
        )

    def _settle(self, request: PreparedRequest, response: BaseResponse) -> None:
        response.request = request
        response.attempts = self._attempts
        if request.url.fragment is not None:
            response.url = str(request.url)
        if self._tracker is not None:
            self._keep_cookies(response)
        learn = getattr(self._auth, "learn", None)
        if learn is not None and response.status_code != 401:
            learn(response, AuthView(request))

    async def _dress(self, request: PreparedRequest) -> None:
        """Add what belongs to this one sending: cookies and credentials."""
        if self._cookie is not None and request.extra.get("Cookie") == self._cookie:
            del request.extra["Cookie"]  # of the sending before, whose answer may have changed it
        by_hand = request.fields.mentions("cookie")  # instead of those of the tracker
        if self._cookies or (self._tracker and not by_hand):
            from ..cookie_utils import cookie_header

            kept = request.fields.get("cookie")
            if self._tracker and not by_hand:
                kept = self._tracker.header_for(request.url)
            self._cookie = cookie_header(self._cookies, kept)
            if self._cookie:
                request.extra["Cookie"] = self._cookie
        auth = self._auth
        if auth is None or "Authorization" in request.extra:
            return
        if isinstance(auth, PostResponseAuth):
            preempt = getattr(auth, "preempt", None)
            if preempt is not None:
                request.extra.update(preempt(AuthView(request)))
        else:
            request.extra.update(await auth(AuthView(request)) or {})

    def _keep_cookies(self, response: BaseResponse) -> None:
        if self._tracker is not None and "set-cookie" in response.headers:
            self._tracker.store(self._request.url, _values(response, b"set-cookie"))

    # -- what an answer leads to

    async def _what_follows(self, response: BaseResponse) -> PreparedRequest | None:
        status = response.status_code
        if status == 401 and isinstance(self._auth, PostResponseAuth):
            return await self._answer_challenge(response)
        if status == 407 and await self._transport.answer_proxy(self._request, response):
            return self._request
        if status == 417 and "expect" in self._request.fields and self._request.can_replay:
            return self._without_expectation()
        if status == 408 and self._crossed(response):
            self._fresh = True
            return self._request
        if status not in REDIRECTS or "location" not in response.headers:
            return None
        follow = self._options.follow_redirects
        if follow is None:
            follow = self._request.method != "HEAD"
        if not follow:
            return None
        await self._leave(response)  # also if it is one too many: the error has it
        return self._redirect(response)

    def _without_expectation(self) -> PreparedRequest:
        """The request again, without the `Expect` that the server refused (RFC 9110 §10.1.1)."""
        request = self._request
        request.fields = request.fields.copy()
        request.fields.drop(["expect"])
        return request

    def _crossed(self, response: BaseResponse) -> bool:
        """Whether a 408 was meant for the silence before our request (RFC 9110 §15.5.9).

        A server may say it before it closes an idle connection: as stale a connection as one that
        is closed without a word, so what may be sent again goes once more, over a fresh one.
        """
        request = self._request
        return (
            response.reused
            and self._options.retries != 0
            and request.is_idempotent
            and request.can_replay
        )

    async def _answer_challenge(self, response: BaseResponse) -> PreparedRequest | None:
        request = self._request
        if any(old.status_code == 401 and old.request is request for old in self._history):
            return None
        assert self._auth is not None
        fields = await self._auth(response, AuthView(request))
        if not fields:
            return None
        if not request.can_replay:
            raise UnreplayableBody(
                f"{request.method} {request.url}: the server wants credentials, but the body came "
                "from a one-shot stream; give bytes, a path or a seekable file"
            )
        request.extra.update(fields)
        return request

    def _redirect(self, response: BaseResponse) -> PreparedRequest:
        request, status = self._request, response.status_code
        location = _values(response, b"location")[0]
        redirects = sum(1 for earlier in self._history if earlier.status_code in REDIRECTS)
        if redirects >= self._options.max_redirects:
            raise TooManyRedirects(
                f"{request.method} {request.url}: {status} to {clip(location)} would be one more "
                f"than max_redirects={self._options.max_redirects}",
                response,
                self._history,
            )
        try:
            url = join_url(request.url, location)
        except InvalidURL as error:
            raise InvalidURL(
                f"{request.method} {request.url}: {status} leads to a place that can't be gone to: "
                f"{error}"
            ) from None
        method, body, drop = request.method, request.body, set()
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            if method != "GET":
                drop |= {
                    "content-type",
                    "content-encoding",
                    "content-language",
                    "content-location",
                    "expect",
                }
            method, body = "GET", None
        elif not request.can_replay:
            raise UnreplayableBody(
                f"{method} {request.url}: {status} asks for the body once more, but it came from a "
                "one-shot stream; give bytes, a path or a seekable file, or follow_redirects=False"
            )
        if not request.url.same_origin(url):
            drop |= bound_fields(request.fields, self._options) | {"proxy-authorization"}
            self._cookies = None
            if not auth_may_leave(self._options, request.url, url):
                self._auth = None
        if url.userinfo is not None:
            url = url.without_userinfo()  # a server doesn't choose our credentials
        return request.redirected(method, url, body, frozenset(drop))

    async def _pass_over(self, response: BaseResponse) -> None:
        """Be done with an answer that only leads to the next: its connection is free after this."""
        await self._leave(response)
        response.history = []
        self._history.append(response)

    async def _leave(self, response: BaseResponse) -> None:
        if self._stopped is not None or isinstance(response.body, StreamBody):
            await self._budget.spend(self._request, pass_over(response, self._stopped))
            self._told(response)

    def _check_size(self, response: BaseResponse) -> None:
        """Raise `ResponseTooLarge` if the body of the final response exceeds `max_body`."""
        if response.is_complete:
            return
        if isinstance(response, StreamResponse):
            if self._turn.connection is not None:
                self._turn.connection.apply_body_limit()
            return
        error = ResponseTooLarge(
            f"{response.method} {response.url}: the body has more than "
            f"max_body={self._options.max_body} bytes"
        )
        error.status_code, error.headers = response.status_code, response.headers
        raise error

    async def _read_on(self, response: BaseResponse, most: int = -1) -> None:
        """Read what is left of an answer that leads nowhere else, or at most `most` bytes."""
        if self._stopped is not None:
            try:
                await self._budget.spend(self._request, read_on(self._stopped, response, most))
            except ConnectivityError as error:
                await self._drop(response)
                tell = teller(self._request)
                if tell is not None:
                    tell("failed", error=error)
                raise
            self._told(response)

    def _told(self, response: BaseResponse) -> None:
        """The connection that stopped is free."""
        if self._stopped is not None and response.is_complete:
            tell = teller(self._request)
            if tell is not None:
                tell("body", at=response.ended_at, size=len(response.body))
        self._stopped = None

    async def _drop(self, response: BaseResponse | None) -> None:
        """Leave the body of an answer that nobody will get."""
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.abandon(response)
        elif response is not None and isinstance(response.body, StreamBody):
            await response.body.close()
        if self._turn.connection is not None:  # Ctrl-C, before anybody was told of it
            self._turn.connection.abandon(self._answer)

    async def _finish(self, response: BaseResponse) -> BaseResponse:
        response.history = self._history
        if self._options.callback is not None:
            await self._budget.spend(self._request, self._call_back(response.body))
        return response

    async def _call_back(self, body: StreamBody) -> None:
        callback = self._options.callback
        assert callback is not None
        async with body:
            async for chunk in body:
                outcome = callback(chunk)
                if hasattr(outcome, "__await__"):
                    await outcome


def _outcome(tried: BaseResponse | ConnectivityError) -> BaseResponse:
    if isinstance(tried, ConnectivityError):
        raise tried
    return tried


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
