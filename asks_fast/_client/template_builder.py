"""Request templates: what a session keeps of a request, to send the next of its kind quickly.

Facts:  preparing a request in full costs several times what an exchange does; a query, a few header
        fields, cookies or a small body are added to a template for a fraction of it.
Rules:  a template gives the same bytes as the general path (a test compares them). Every option
        can be part of a template. Those in `VARIABLE_OPTIONS` may differ from call to
        call; each combination of the others has a template of its own.
Implemented elsewhere: sending (`src_pyx/hotpath/request_template.pyx`), the table of templates
        (`sessions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import _hotpath
from .._config.events import EventEmitter, as_listener
from .._cookies.jar import CookieTracker
from .._cookies.matching import strip_root_dot
from .._cookies.request_cookies import cookie_header
from .._request.body import make_body
from .._request.headers import HeadersBuilder
from .._request.json_body import encode_json
from .._request.prepared_request import MAX_INLINE_BODY, AuthView, PreparedRequest
from .._response.status_codes import REDIRECT_STATUSES
from .._transport.transport import Transport
from ..auth import AuthBase, BasicAuth, BearerAuth, DigestAuth
from ..response_objects import Response, StreamResponse
from ..urls import encode_params
from . import redirect_pause
from .drain import get_followup_statuses
from .retry import Retry

if TYPE_CHECKING:
    from .._config.options import RequestOptions

__all__ = ["is_templatable", "make_template", "next_exchange"]

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})

# Header fields that affect the exchange itself.
FRAMING = frozenset({"content-length", "transfer-encoding", "expect"})


def is_templatable(
    request: PreparedRequest, builder: HeadersBuilder, options: RequestOptions
) -> bool:
    """Tell whether requests of this kind can be sent from a template.

    `options` are those of the session and of the call, without the variable ones of the call.
    """
    if (
        request.url.userinfo is not None
        or request.url.scheme not in ("http", "https")
        or request.method not in WITH_BODY | WITHOUT_BODY
        or any(builder.is_mentioned(name) for name in FRAMING)
        or request.proxy_credentials is not None
        or (request.route.is_forward_proxy and request.route.proxy.digest)
    ):
        return False
    if isinstance(options.retries, Retry) and options.retries.predicate is not None:
        return False  # it judges every response
    if options.auth is not None and (
        (_constant_auth(options.auth) is None and _signing_auth(options.auth) is None)
        or builder.is_mentioned("authorization")
    ):
        return False
    return not (
        options.middleware
        or options.trailers is not None
        or options.callback is not None
        or options.allow_truncated
        or options.compress is not None
        or options.upload_progress is not None
        or options.upload_max_rate is not None
        or options.expect_continue
        or options.files is not None
        or options.multipart is not None
        or options.persist_cookies is not None
        or not options.normalize_url
        or as_timeout(options.timeout) is None
    )


def _constant_auth(auth: object) -> AuthBase | None:
    """The object for an `auth=` whose header field is the same for each request; else None."""
    if type(auth) is tuple and len(auth) == 2:
        auth = BasicAuth(auth)
    if type(auth) in (BasicAuth, BearerAuth) and auth._field == "Authorization":  # type: ignore[attr-defined]
        return auth  # type: ignore[return-value]
    return None


def _signing_auth(auth: object) -> DigestAuth | None:
    """The object for an `auth=` that signs each request before it is sent; else None."""
    return auth if type(auth) is DigestAuth and auth.answers_servers else None


def _observe_nonces(auth: DigestAuth, response: Response) -> None:
    """Take the next nonce from a response to a request with a known one."""
    if "nextnonce" in response.headers.get("authentication-info", "").lower():
        auth.on_response(response, AuthView(response.request))


def _quick_redirects(
    request: PreparedRequest, options: RequestOptions, cookie_jar: CookieTracker | None
) -> int:
    """How many redirects may be followed by changing only the target in the head."""
    if (
        request.method != "GET"
        or _signing_auth(options.auth) is not None
        or request.route.is_forward_proxy
        or options.follow_redirects is False
        or options.stream
        or cookie_jar is not None
    ):
        return 0
    return options.max_redirects


def next_exchange(exchange: _hotpath.Exchange) -> _hotpath.Exchange | None:
    """The exchange that a response of a GET leads to, if only its target differs.

    That is a redirect to the same origin whose body was read. `RequestFlow` handles the others.
    """
    response = exchange.response
    if response.status_code not in REDIRECT_STATUSES or redirect_pause.gates:
        return None
    headers = response.headers
    location = headers.get("location")
    if type(location) is not str or "retry-after" in headers:
        return None
    return exchange.follow(location)


def make_template(
    transport: Transport,
    request: PreparedRequest,
    target: str,
    builder: HeadersBuilder,
    options: RequestOptions,
    *,
    encoding: str,
    cookie_jar: CookieTracker | None,
) -> _hotpath.RequestTemplate:
    """The template for requests like this one, with a path that follows `target`.

    `builder` has the header fields of the session. `request` is the first of its kind: its own
    header fields, query and body are not part of the template. `options` as in `is_templatable`.
    """
    pairs = (
        builder.items()
        if "host" in builder
        else [("Host", request.url.authority), *builder.items()]
    )
    # A call may add a field that the session only removed. Without one of these two it is also
    # wanted that nothing else adds it.
    names = {n for n in builder.names() if n in builder or n in ("content-type", "cookie")}
    final_lines, auth_state = b"", None
    auth = _constant_auth(options.auth)
    if auth is not None:
        final_lines = _hotpath.encode_headers(auth.initial_headers().items())  # type: ignore[attr-defined]
        names.add("authorization")
        auth_state = (vars(auth), dict(vars(auth)))
    signing_auth = _signing_auth(options.auth)
    sign_request = observe_response = None
    if signing_auth is not None:
        names.add("authorization")
        sign_request = partial(signing_auth.header_line, request.url.origin, request.method)
        observe_response = partial(_observe_nonces, signing_auth)
    authority = b""
    if request.route.is_forward_proxy:
        authority = request.url.origin.encode("ascii")
        final_lines += _hotpath.encode_headers(
            transport.connector.proxy_headers(request.route, request.method, request.url.origin)
        )
    retry = Retry.coerce(options.retries) if "retries" in options.explicit else None
    encoder = OptionEncoder(request, target, builder, options, encoding)
    return _hotpath.RequestTemplate(
        transport.exchange_options(
            transport.origin(request),
            request,
            options,
            encoding=encoding,
            followup_statuses=get_followup_statuses(options, signing_auth, retry),
            observe_response=observe_response,
            response_class=StreamResponse if options.stream else Response,
            has_retry_policy=retry is not None,
            stores_cookies=cookie_jar is not None,
            max_redirects=_quick_redirects(request, options, cookie_jar),
        ),
        request.method.encode("ascii"),
        target.encode("ascii"),
        _hotpath.encode_headers(pairs),
        frozenset(names),
        encoder,
        allows_body=request.method in WITH_BODY,
        final_lines=final_lines,
        authority=authority,
        emitter=EventEmitter(
            None, as_listener(options.on_event), options.timings, encoder.make_request
        ),
        timeout=as_timeout(options.timeout) or 0.0,
        params=options.params,
        cookies=options.cookies,
        cookie_jar=cookie_jar,
        auth_state=auth_state,
        sign_request=sign_request,
    )


def as_timeout(timeout: Any) -> float | None:
    """A limit in seconds as a template has it, negative for none; None if it needs a check."""
    if timeout is None:
        return -1.0
    return float(timeout) if type(timeout) in (int, float) and timeout > 0 else None


class OptionEncoder:
    """Renders the parts of a request that a call adds to a template, where they are not plain."""

    def __init__(
        self,
        request: PreparedRequest,
        target: str,
        builder: HeadersBuilder,
        options: RequestOptions,
        encoding: str,
    ) -> None:
        self._url = request.url
        self._method = request.method
        self._target = target
        self._builder = builder
        self._options = options
        self._cookie_host = strip_root_dot(request.url.host)
        self._is_https = request.url.scheme == "https"
        # What the last Cookie field was made of: stored cookies, names and values of `cookies=`.
        self._cookies_kept: str | bytes | None = None
        self._cookies_given: list[Any] | None = None
        self._cookie_line = b""
        self._mimetype = options.mimetype
        self._json_dumps = options.json_dumps
        self._encoding = options.encoding or encoding
        self._has_plain_json = self._mimetype is None and self._json_dumps is None
        self._has_plain_forms = self._mimetype is None and self._encoding == "utf-8"

    def make_request(self, response: Any) -> PreparedRequest:
        """The request of a response, for events; that of the response if it has one.

        It is made without header fields, cookies and body of the call: a request with these that
        is listened to is not sent from a template.
        """
        request: PreparedRequest | None = getattr(response, "_request", None)
        if request is None:
            url = self._url.with_target(response.url[len(self._url.origin) :])
            request = PreparedRequest(self._method, url, self._builder, None, self._options)
            response.request = request
        return request

    def encode_params(self, params: dict[Any, Any]) -> bytes:
        """The query for a dict."""
        return encode_params(params).encode("ascii")

    def cookie_line(
        self, cookies: Any, path: str, cookie_jar: CookieTracker | None
    ) -> bytes | None:
        """The Cookie field of a request, empty without cookies; None if `path` is not plain."""
        if not (cookies is None or type(cookies) is dict or isinstance(cookies, Mapping)):
            return None
        kept = None
        if cookie_jar is not None:
            target = _hotpath.append_path(self._target, path) if path else self._target
            if target is None:
                return None
            if type(cookie_jar) is CookieTracker:
                path = target if "?" not in target else target.partition("?")[0]
                kept = cookie_jar.value_for(self._cookie_host, self._is_https, path)
            else:
                kept = cookie_jar.header_for(self._url.with_target(target))
        given = [*cookies, *cookies.values()] if cookies else None
        if kept is not self._cookies_kept or not _are_same(given, self._cookies_given):
            value = cookie_header(cookies, kept)
            self._cookie_line = b"" if not value else _hotpath.encode_headers((("Cookie", value),))
            self._cookies_kept, self._cookies_given = kept, given
        return self._cookie_line

    def encode_body(self, data: Any, json: Any) -> tuple[bytes, bytes | None] | None:
        """A small body and its type; None if it must be streamed or needs a check."""
        if data is not None and type(data) not in (bytes, str, dict):
            return None
        if type(data) is dict and data and json is None and self._has_plain_forms:
            form = _hotpath.encode_plain_pairs(data)
            if form is not None and len(form) <= MAX_INLINE_BODY:
                return form, b"application/x-www-form-urlencoded"
        if data is None and self._has_plain_json:
            document = encode_json(json)
            return (document, b"application/json") if len(document) <= MAX_INLINE_BODY else None
        body = make_body(
            data, json, None, None, self._encoding, self._mimetype, json_dumps=self._json_dumps
        )
        if body is None or body.buffered is None or len(body.buffered) > MAX_INLINE_BODY:
            return None
        content_type = body.content_type
        return body.buffered, content_type.encode("ascii") if content_type else None


def _are_same(first: list[Any] | None, second: list[Any] | None) -> bool:
    """Tell whether both contain the same objects, or are both None."""
    if first is None or second is None or len(first) != len(second):
        return first is second
    i = 0
    for item in first:
        if item is not second[i]:
            return False
        i += 1  # noqa: SIM113  # `enumerate` costs more than the loop
    return True
