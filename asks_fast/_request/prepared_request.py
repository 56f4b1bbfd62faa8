"""From keyword arguments to one request that can be sent, and sent again.

Rules:  everything that can be wrong with what the user gave is found here, before a connection is
        taken. A request's head is rendered from its parts at each sending, since a redirect or an
        answered challenge changes parts of it.
Not here: connections, time limits, what an answer leads to.
"""

from __future__ import annotations

from typing import Any

from .. import _hotpath
from .._config.options import RequestOptions
from .._sensitive import mask_urls
from ..errors import InvalidHeader, InvalidRequest, printable
from ..urls import Url, add_params, parse_url
from .body import Body, make_body
from .headers import HeadersBuilder

__all__ = ["AuthView", "PreparedRequest", "from_head", "prepare"]

MAX_INLINE_BODY = 65536  # sent in one piece with the head
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods whose repetition has the same effect as one request (RFC 9110 §9.2.2)."""
NO_BODY_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE", "CONNECT"})


class PreparedRequest:
    """One request: `method`, `url`, `fields` (without Host, cookies, auth) and `body`.

    The extra fields of the moment are in `extra`; a redirect makes a new request of it by
    `for_redirect`, and everything that belonged to the old origin stays behind.
    """

    __slots__ = (
        "_method",
        "body",
        "fields",
        "hop_headers",
        "method",
        "options",
        "proxy_credentials",
        "proxy_fields",
        "route",
        "url",
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
        self.method = method
        self.url = url
        self.fields = fields
        self.body = body
        self.options = options
        self.route: Any = None  # by which it was sent; stays the same for the next sending
        self.proxy_fields: tuple[tuple[str, str], ...] = ()
        self.proxy_credentials: str | None = None  # never among the fields: not for the server
        self.hop_headers: dict[str, str | bytes] = {}

    def __repr__(self) -> str:
        return f"<PreparedRequest {printable(mask_urls(f'{self.method} {self.url}'))}>"

    @property
    def headers(self) -> dict[str, str | bytes]:
        """The fields as a dict (the last of repeated ones), Host and the extra ones included."""
        found: dict[str, str | bytes] = {"Host": self.url.authority}
        for name, value in self.fields.items():
            found[name] = _text(value)
        found.update(self.hop_headers)
        return found

    @property
    def is_idempotent(self) -> bool:
        """Whether sending it twice does what sending it once does (RFC 9110 §9.2.2)."""
        return self.method in IDEMPOTENT_METHODS

    @property
    def is_replayable(self) -> bool:
        """Whether the body, if any, can be given once more."""
        return self.body is None or self.body.buffered is not None or self.body.is_replayable

    def head(self) -> bytes:
        """The bytes of the head, a small body included; `stream` is what is left to send.

        On the way to a forward proxy the target is the absolute URL (RFC 9112 §3.2.2).
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
        """Content-Length or Transfer-Encoding: exactly one, and true (RFC 9112 §6)."""
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
        """Whether the request says that its connection is to be closed (RFC 9112 §9.6)."""
        said = self.fields.get("connection")
        return said != "keep-alive" and said is not None and "close" in str(said).lower()

    @property
    def stream(self) -> Body | None:
        """The body where it is not sent in one piece with the head."""
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
        """The same request, as it was before anything was added for a sending."""
        return self.for_redirect(self.method, self.url, self.body, frozenset())

    def for_redirect(
        self, method: str, url: Url, body: Body | None, drop: frozenset[str]
    ) -> PreparedRequest:
        """The request that a redirect makes of this one; `drop` names fields to leave behind."""
        fields = self.fields.copy()
        fields.remove(drop)
        made = PreparedRequest(method, url, fields, body, self.options)
        if "proxy-authorization" not in drop:
            made.proxy_credentials = self.proxy_credentials
        return made


def prepare(
    method: str, url: Url, builder: HeadersBuilder, options: RequestOptions, encoding: str
) -> PreparedRequest:
    """Put a request together. `builder` holds the fields of the session, and stays as it is.

    Raises `InvalidRequest` and its kinds for what can't be sent, TypeError for two bodies at once.
    """
    method = method.upper() if isinstance(method, str) else method
    if not isinstance(method, (str, bytes)):
        raise InvalidHeader(f"the method must be a str, not {method!r}")
    if method == "CONNECT":
        raise InvalidRequest("CONNECT makes a tunnel: give the session proxy= instead")
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


def _pop_proxy_credentials(builder: HeadersBuilder) -> str | None:
    """A Proxy-Authorization among the fields: out of what a server sees, to be told a proxy."""
    values = [value for name, value in builder.items() if name.lower() == "proxy-authorization"]
    builder.remove(["proxy-authorization"])
    if not values:
        return None
    return _text(values[0])


def _text(value: Any) -> str:
    """The value of a field as text."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _check_framing_headers(builder: HeadersBuilder, body: Body | None) -> None:
    """A length that the user names must be true; a transfer coding is ours to choose."""
    if "transfer-encoding" in builder:
        if str(builder.get("transfer-encoding")).strip().lower() != "chunked" or body is None:
            raise InvalidRequest(
                "Transfer-Encoding can't be set by hand: it follows from the body that is sent"
            )
        if body.length is not None:
            raise InvalidRequest("Transfer-Encoding: chunked for a body whose length is known")
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
    """The request whose head, a small body included, went over the wire like this."""
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


class AuthView:
    """What an auth class is shown of a request: as in asks."""

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
        self.headers = request.headers
        self.body = request.body.buffered if request.body is not None else None
        self.body_source = request.body
        self.host = request.url.authority
        self.scheme = request.url.scheme
        self.origin = request.url.origin
        self.url = str(request.url)
