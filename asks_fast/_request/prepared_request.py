"""Prepare a request from keyword arguments so that it can be sent, and sent again.

All invalid arguments are detected here, before a connection is acquired. The head is encoded again
for each exchange, since a redirect or a challenge changes parts of it.

Implemented elsewhere: connections (`_transport`), time limits (`_config/deadline`), redirects and
retries (`_client`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _hotpath
from .._config.options import RequestOptions
from .._sensitive import is_sensitive, mask_urls
from ..errors import InvalidHeader, InvalidRequest, printable
from ..urls import Url, add_params, parse_url
from .body import Body, make_body
from .headers import HeadersBuilder
from .request_headers import RequestHeaders

if TYPE_CHECKING:
    from .._config.deadline import Deadline

__all__ = ["AuthView", "PreparedRequest", "bound_fields", "from_head", "prepare", "sent_field"]

MAX_INLINE_BODY = 65536  # bytes; such a body is sent together with the head
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that have the same effect if they are repeated (RFC 9110 §9.2.2)."""
NO_BODY_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE", "CONNECT"})


def bound_fields(fields: HeadersBuilder, options: RequestOptions) -> frozenset[str]:
    """The names, in lower case, of the fields that may not go to another origin."""
    listed = (name.lower() for name in options.sensitive_headers)
    return frozenset(["host", *listed, *filter(is_sensitive, fields.names())])


class PreparedRequest:
    """One request, which can be sent several times: `response.request`, and what middleware gets.

    `method`, `url`, `headers` and `body` can be assigned and changed. A redirect creates a new
    request with `for_redirect`, without the headers that belong to the old origin.

    Attributes:
        options: as given.
        fields: the headers, without Host, cookies and credentials.
        hop_headers: headers for the next exchange only, such as cookies and credentials.
        route: the route that was used; the next exchange uses it again.
        proxy_fields: headers for a forward proxy.
        proxy_credentials: the caller's Proxy-Authorization, which no server receives.
        deadline: the remaining `timeout`, in a request that is on its way; else None.
        attempt: in middleware: 1 for the first exchange of a request, and one more for each retry,
            redirect and answer to a challenge.

    Example:
        >>> request = session.prepare("GET", path="/report")
        >>> request.headers["X-Signature"] = "2f9a"
        >>> response = await session.send(request)
    """

    __slots__ = (
        "_body",
        "_method",
        "_url",
        "attempt",
        "deadline",
        "fields",
        "hop_headers",
        "options",
        "proxy_credentials",
        "proxy_fields",
        "route",
    )

    def __init__(
        self,
        method: str,
        url: Url,
        fields: HeadersBuilder,
        body: Body | None,
        options: RequestOptions,
    ) -> None:
        self._method: bytes = _hotpath.check_method(method)
        self._url = url
        self.fields = fields
        self._body = body
        self.options = options
        self.deadline: Deadline | None = None
        self.attempt = 1
        self.route: Any = None  # Any: a `Route`, of a higher layer
        self.proxy_fields: tuple[tuple[str, str], ...] = ()
        self.proxy_credentials: str | None = None
        self.hop_headers: dict[str, str | bytes] = {}

    def __repr__(self) -> str:
        return f"<PreparedRequest {printable(mask_urls(f'{self.method} {self.url}'))}>"

    @property
    def method(self) -> str:
        """The HTTP method. Assign another one to change it.

        Raises:
            InvalidHeader: the assigned value is not a method.
        """
        return self._method.decode("ascii")

    @method.setter
    def method(self, method: str) -> None:
        self._method = _hotpath.check_method(method)

    @property
    def url(self) -> Url:
        """The URL. Assign a `Url` or a str to change it.

        If the new URL has another origin, the fields that belong to the old one are removed, as by
        a redirect: credentials, cookies and `Host`. Fields that are set afterwards are sent. A user
        and password in the new URL are ignored.

        Raises:
            InvalidURL: the assigned value is not a URL that can be requested.
        """
        return self._url

    @url.setter
    def url(self, url: Url | str) -> None:
        new = parse_url(url, normalize=self.options.normalize_url)
        if new.userinfo is not None:
            new = new.without_userinfo()
        if not new.same_origin(self._url):
            self.fields = self.fields.copy()
            self.fields.remove(bound_fields(self.fields, self.options))
            self.hop_headers = {}
            self.route = None
        self._url = new

    @property
    def headers(self) -> RequestHeaders:
        """All headers, Host, cookies and credentials included: a mapping that can be changed."""
        return RequestHeaders(self)

    @property
    def body(self) -> Body | None:
        """The body, None without one. Assign what `data=` of a request takes to replace it.

        `compress` and the other options of the request apply to the new body as well.

        Raises:
            TypeError: the assigned value cannot be sent.
        """
        return self._body

    @body.setter
    def body(self, data: Any) -> None:
        if data is None or isinstance(data, Body):
            self._body = data
            return
        body = make_body(data)
        options = self.options
        self.fields = self.fields.copy()
        if options.compress is not None:
            self.fields.remove(["content-encoding"])
        if body is not None:
            body = _filter_body(body, self.fields, options)
            if options.trailers is not None:
                _set_trailers(body, self.fields, options)
        self._body = body

    @property
    def content(self) -> bytes | None:
        """The body as bytes, b"" without one; None if it is too large or not in memory."""
        return b"" if self._body is None else self._body.buffered

    @property
    def is_idempotent(self) -> bool:
        """Whether the request has the same effect if it is repeated (RFC 9110 §9.2.2)."""
        return self.method in IDEMPOTENT_METHODS

    @property
    def is_replayable(self) -> bool:
        """Whether the body, if there is one, can be sent again."""
        return self.body is None or self.body.buffered is not None or self.body.is_replayable

    def head(self) -> bytes:
        """Return the encoded head, followed by the body if it is small; see `stream`.

        For a forward proxy the target is the absolute URL (RFC 9112 §3.2.2).

        Raises:
            InvalidHeader: a header contains illegal characters.
        """
        fields = self.fields
        if self.hop_headers:
            fields = fields.copy()
            for name, value in self.hop_headers.items():
                fields.set(name, value)
        lines = fields.encode_lines()
        if "host" not in fields:
            lines = b"Host: %b\r\n%b" % (self.url.authority.encode("ascii"), lines)
        target = self.url.target
        if self.route is not None and self.route.is_forward_proxy:
            target = self.url.origin + target
            lines += _hotpath.encode_headers(self.proxy_fields)
        framing = self._framing(fields)
        if framing:
            lines += _hotpath.encode_headers(framing)
        head: bytes = _hotpath.encode_head(self._method, target.encode("ascii"), lines)
        if self.body is not None and self.stream is None:
            head += self.body.buffered or b""
        return head

    def _framing(self, builder: HeadersBuilder) -> list[tuple[str, str]]:
        """Return Content-Type, and Content-Length or Transfer-Encoding (RFC 9112 §6)."""
        body = self.body
        if body is None:
            if self.method in NO_BODY_METHODS:
                return []
            return [("Content-Length", "0")]
        pairs = []
        if body.content_type and not builder.is_mentioned("content-type"):
            pairs.append(("Content-Type", body.content_type))
        if body.length is None:
            pairs.append(("Transfer-Encoding", "chunked"))
        else:
            pairs.append(("Content-Length", str(body.length)))
        return pairs

    @property
    def has_connection_close(self) -> bool:
        """Whether the request contains `Connection: close` (RFC 9112 §9.6)."""
        value = self.fields.get("connection")
        return value != "keep-alive" and value is not None and "close" in str(value).lower()

    @property
    def stream(self) -> Body | None:
        """The body if it is sent after the head; None if `head()` contains it."""
        body = self.body
        if body is None or (
            body.buffered is not None
            and len(body.buffered) <= MAX_INLINE_BODY
            and not self.options.expect_continue
            and "expect" not in self.fields
        ):
            return None
        return body

    def copy(self) -> PreparedRequest:
        """Return a copy without `hop_headers` and route."""
        return self.for_redirect(self.method, self.url, self.body, frozenset())

    def copy_for_exchange(self) -> PreparedRequest:
        """Return a copy with `hop_headers` and route, which can be changed on its own."""
        request = PreparedRequest(
            self.method, self._url, self.fields.copy(), self._body, self.options
        )
        request.hop_headers = dict(self.hop_headers)
        request.route = self.route
        request.proxy_fields = self.proxy_fields
        request.proxy_credentials = self.proxy_credentials
        return request

    def for_redirect(
        self, method: str, url: Url, body: Body | None, drop: frozenset[str]
    ) -> PreparedRequest:
        """Return the request that follows a redirect, without the fields named in `drop`."""
        fields = self.fields.copy()
        fields.remove(drop)
        request = PreparedRequest(method, url, fields, body, self.options)
        if "proxy-authorization" not in drop:
            request.proxy_credentials = self.proxy_credentials
        return request


def prepare(
    method: str, url: Url, builder: HeadersBuilder, options: RequestOptions, encoding: str
) -> PreparedRequest:
    """Prepare a request.

    Args:
        method: the method, in any case.
        url: the URL, to which `params` of the options are added.
        builder: the headers of the session; it is not changed.
        options: the options of the call.
        encoding: text encoding of the body, unless the options contain one.

    Raises:
        InvalidRequest: an argument is invalid.
        TypeError: two arguments describe a body.
    """
    method = method.upper() if isinstance(method, str) else method
    if not isinstance(method, (str, bytes)):
        raise InvalidHeader(f"the method must be a str, not {method!r}")
    if method == "CONNECT":
        raise InvalidRequest("CONNECT opens a tunnel: give the session proxy= instead")
    if options.params is not None:
        url = url.with_target(add_params(url.target, options.params))
    if options.headers is not None:
        builder = builder.copy()
        builder.update(options.headers)
    mimetype = options.mimetype
    if (options.multipart is not None or options.files) and "content-type" in builder:
        mimetype = _text(builder.get("content-type"))  # the body adds the boundary to it
        builder = builder.copy()
        builder.remove(["content-type"])
    body = make_body(
        options.data,
        options.json,
        options.files,
        options.multipart,
        options.encoding or encoding,
        mimetype,
        json_dumps=options.json_dumps,
    )
    if body is not None and (
        options.compress is not None
        or options.upload_progress is not None
        or options.upload_max_rate is not None
    ):
        builder = builder.copy()
        body = _filter_body(body, builder, options)
    if options.trailers is not None:
        builder = builder.copy()
        _set_trailers(body, builder, options)
    if builder.is_mentioned("content-length") or builder.is_mentioned("transfer-encoding"):
        builder = builder.copy()
        _check_framing_headers(builder, body)
    credentials = None
    if builder.is_mentioned("proxy-authorization"):
        builder = builder.copy()
        credentials = _pop_proxy_credentials(builder)
    if options.expect_continue and body is not None:
        builder = builder.copy()
        builder.set_default("Expect", "100-continue")
    request = PreparedRequest(method, url, builder, body, options)
    request.proxy_credentials = credentials
    return request


def _filter_body(body: Body, builder: HeadersBuilder, options: RequestOptions) -> Body:
    """Apply `compress`, `upload_progress` and `upload_max_rate`."""
    from .body_filters import compressed, metered

    if options.compress is not None:
        if "content-encoding" in builder:
            raise InvalidRequest("compress= and a Content-Encoding field exclude each other")
        body = compressed(body, options.compress)
        builder.set("Content-Encoding", options.compress)
    if options.upload_progress is not None or options.upload_max_rate is not None:
        body = metered(body, options.upload_progress, options.upload_max_rate)
    return body


def _set_trailers(body: Body | None, builder: HeadersBuilder, options: RequestOptions) -> None:
    """Apply `trailers`, and announce them in the field `Trailer`."""
    from .trailers import Trailers

    if body is None:
        raise InvalidRequest("trailers= needs a body that they follow")
    if "content-length" in builder:
        raise InvalidRequest("Content-Length and trailers= exclude each other")
    given = _text(builder.get("trailer") or "")
    trailers = Trailers(
        options.trailers, [name.strip() for name in given.split(",") if name.strip()]
    )
    body.set_trailers(trailers)
    if trailers.names:
        builder.set("Trailer", ", ".join(trailers.names))


def _pop_proxy_credentials(builder: HeadersBuilder) -> str | None:
    """Remove Proxy-Authorization from the headers and return its value."""
    values = [value for name, value in builder.items() if name.lower() == "proxy-authorization"]
    builder.remove(["proxy-authorization"])
    if not values:
        return None
    return _text(values[0])


def _text(value: object) -> str:
    """Return the value of a field as text."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _check_framing_headers(builder: HeadersBuilder, body: Body | None) -> None:
    """Check and remove Content-Length and Transfer-Encoding of the user."""
    if "transfer-encoding" in builder:
        if str(builder.get("transfer-encoding")).strip().lower() != "chunked" or body is None:
            raise InvalidRequest("Transfer-Encoding cannot be set: it follows from the body")
        if body.length is not None:
            raise InvalidRequest(
                "Transfer-Encoding: chunked cannot be set for a body of known length"
            )
    if "content-length" in builder:
        given = str(builder.get("content-length")).strip()
        if not (given.isascii() and given.isdigit()):
            raise InvalidRequest(f"Content-Length must be a number of bytes, not {given!r}")
        if body is not None:
            body.set_length(int(given))
        elif int(given) != 0:
            raise InvalidRequest(f"Content-Length {given} without a body")
    builder.remove(("content-length", "transfer-encoding"))


def from_head(head: bytes, url: str) -> PreparedRequest:
    """Return the request for a head as it was sent.

    Args:
        head: the encoded head, followed by the body if it is small.
        url: the URL of the request.
    """
    text, _, content = head.partition(b"\r\n\r\n")
    lines = text.split(b"\r\n")
    pairs = [line.decode("utf-8", "surrogateescape").partition(": ") for line in lines[1:]]
    builder = HeadersBuilder()
    builder.update([(name, value) for name, _, value in pairs if name.lower() != "host"])
    body = None
    if content:
        body = make_body(content, mimetype=builder.get("content-type"))
    builder.remove(("content-length",))
    method = lines[0].partition(b" ")[0].decode("ascii") or "GET"
    return PreparedRequest(method, parse_url(url), builder, body, RequestOptions({}))


def sent_field(head: bytes, name: str) -> bytes | None:
    """Return the value of a field that this package added to a head, None without it.

    Args:
        head: the encoded head, followed by the body if it is small.
        name: the name as this package writes it.
    """
    start = head.find(f"\r\n{name}: ".encode("ascii"), 0, head.find(b"\r\n\r\n"))
    if start < 0:
        return None
    start += len(name) + 4
    return head[start : head.index(b"\r\n", start)]


class AuthView:
    """The attributes of a request that auth classes receive, named as in asks."""

    __slots__ = (
        "body",
        "body_source",
        "headers",
        "host",
        "method",
        "origin",
        "path",
        "scheme",
        "url",
    )

    def __init__(self, request: PreparedRequest) -> None:
        self.method = request.method
        self.path = request.url.target
        self.headers = dict(request.headers)
        self.body = request.body.buffered if request.body is not None else None
        self.body_source = request.body
        self.host = request.url.authority
        self.scheme = request.url.scheme
        self.origin = request.url.origin
        self.url = str(request.url)
