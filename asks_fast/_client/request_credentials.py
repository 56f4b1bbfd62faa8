"""Cookies and credentials of one request: which are added to each exchange.

Rules:  cookies are looked up for each exchange, as a response may have changed them. A redirect to
        another origin drops the cookies of the request, and its credentials unless
        `auth_off_domain` is set. A request answers a challenge once.
Implemented elsewhere: which fields a redirect removes (`_request/redirect`), the jar
        (`cookie_utils`), the credentials of an auth class (`auth`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._request.prepared_request import AuthView, PreparedRequest, sent_field
from .._request.redirect import auth_may_leave
from ..auth import AuthBase, BasicAuth, PostResponseAuth
from ..errors import UnreplayableBody

if TYPE_CHECKING:
    from .._annotations import AnyArgument
    from ..cookie_utils import CookieTracker
    from ..response_objects import BaseResponse
    from ..urls import Url

__all__ = ["RequestCredentials", "tracker_of"]


class RequestCredentials:
    """The cookies and credentials of a request and of those that follow it.

    A user and password in the URL of the request are removed from it.

    Args:
        request: the first request.
        jar: the cookie jar, None without one.

    Attributes:
        auth: what makes the credentials; None without any, and after a redirect that drops them.

    Raises:
        TypeError: `auth=` is neither an auth object nor a pair.
    """

    def __init__(self, request: PreparedRequest, jar: CookieTracker | None) -> None:
        self._options = request.options
        self._jar = jar
        self._cookies = self._options.cookies  # of the request; None after another origin
        self._cookie_header: str | bytes | None = None  # the last value that was made of both
        self._challenged: PreparedRequest | None = None  # the last request that was
        self.auth = self._find_auth(request)

    @property
    def challenge_auth(self) -> PostResponseAuth | None:
        """`auth` if it answers challenges, else None."""
        return self.auth if isinstance(self.auth, PostResponseAuth) else None

    def _find_auth(self, request: PreparedRequest) -> AuthBase | None:
        auth = self._options.auth
        userinfo = request.url.userinfo
        if userinfo is not None:
            request.url = request.url.without_userinfo()
            if auth is None and "authorization" not in request.fields:
                return BasicAuth(userinfo)
            if isinstance(auth, AuthBase):
                return auth.for_user(userinfo)
        if isinstance(auth, tuple) and len(auth) == 2:
            return BasicAuth(auth)
        return auth  # type: ignore[no-any-return]

    def take_sent_fields(self, request: PreparedRequest, head: bytes) -> None:
        """Take cookies and credentials from the head that was sent: a retry repeats them."""
        for name in ("Cookie", "Authorization"):
            value = sent_field(head, name)
            if value is not None and not request.fields.is_mentioned(name.lower()):
                request.hop_headers[name] = value
                if name == "Cookie":
                    self._cookie_header = value

    async def add(self, request: PreparedRequest) -> None:
        """Add cookies and credentials for the next exchange."""
        headers = request.hop_headers
        if self._cookie_header is not None and headers.get("Cookie") == self._cookie_header:
            del headers["Cookie"]  # of the last exchange, whose response may have changed it
        has_cookie_field = request.fields.is_mentioned("cookie")  # instead of those of the jar
        if self._cookies or (self._jar and not has_cookie_field):
            from ..cookie_utils import cookie_header

            kept = request.fields.get("cookie")
            if self._jar and not has_cookie_field:
                kept = self._jar.header_for(request.url)
            self._cookie_header = cookie_header(self._cookies, kept)
            if self._cookie_header:
                headers["Cookie"] = self._cookie_header
        auth = self.auth
        if auth is None or "Authorization" in headers:
            return
        if isinstance(auth, PostResponseAuth):
            headers.update(auth.initial_headers(AuthView(request)))
        else:
            headers.update(await auth(AuthView(request)) or {})

    def on_response(self, request: PreparedRequest, response: BaseResponse, url: Url) -> None:
        """Store the cookies of a response from `url`, and pass it to `auth` unless it is a 401.

        A stored response has set its cookies when it was received.
        """
        is_new = not response.from_cache or response.revalidated
        if is_new and self._jar is not None and "set-cookie" in response.headers:
            self._jar.store(url, response.headers._raw_values("set-cookie"))
        auth = self.challenge_auth
        if auth is not None and response.status_code != 401:
            auth.on_response(response, AuthView(request))

    async def answer_challenge(self, request: PreparedRequest, response: BaseResponse) -> bool:
        """Add the credentials for the challenge of a 401; False if there are none.

        Raises:
            UnreplayableBody: the request would have to be sent again, and its body cannot be.
        """
        if self._challenged is request:
            return False
        assert self.auth is not None
        fields = await self.auth(response, AuthView(request))
        if not fields:
            return False
        if not request.is_replayable:
            raise UnreplayableBody(
                f"{request.method} {request.url}: the server wants credentials, but the body came "
                "from a one-shot stream; give bytes, a path or a seekable file"
            )
        self._challenged = request
        request.hop_headers.update(fields)
        return True

    def leave_origin(self, source: Url, target: Url) -> None:
        """Drop what must not be sent to the origin of `target`."""
        self._cookies = None
        if not auth_may_leave(self._options, source, target):
            self.auth = None


def tracker_of(wanted: AnyArgument) -> AnyArgument:
    """The cookie jar for `persist_cookies=`: a new one for True, None for none."""
    if not wanted and not hasattr(wanted, "header_for"):
        return None
    if wanted is True:
        from ..cookie_utils import CookieTracker

        return CookieTracker()
    if not hasattr(wanted, "header_for"):
        raise TypeError(f"persist_cookies must be True or a CookieTracker, not {wanted!r}")
    return wanted
