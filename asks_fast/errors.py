"""All exceptions that asks_fast raises.

They form three groups below `AsksException`: invalid use by the caller (`InvalidRequest` and
others), protocol violations by the peer (`BadHttpResponse`), and connection failures
(`ConnectivityError`). Each class that asks does not have derives from one that it has, so that
existing `except` clauses keep working, and from the matching built-in exception.

Every error text is printable and contains no credentials: see `AsksException`.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from json import JSONDecodeError
from typing import Protocol

from ._annotations import AnyHeaderValue, Unchecked
from ._sensitive import mask_urls

__all__ = [
    "AsksException",
    "BadCookieFile",
    "BadHttpResponse",
    "BadStatus",
    "BodyLengthMismatch",
    "CertificateError",
    "ChecksumMismatch",
    "CircuitOpen",
    "ConnectTimeout",
    "ConnectionFailed",
    "ConnectivityError",
    "DecodingError",
    "DnsTimeout",
    "HeadTooLarge",
    "InvalidHeader",
    "InvalidRequest",
    "InvalidURL",
    "JsonDecodeError",
    "NameResolutionError",
    "NoProxyAvailable",
    "PoolTimeout",
    "ProxyError",
    "ReadTimeout",
    "RequestTimeout",
    "ResponseTooLarge",
    "RobotsDisallowed",
    "ServerClosedConnectionError",
    "SessionClosed",
    "StreamConsumed",
    "TlsError",
    "TooManyRedirects",
    "TotalTimeout",
    "TransferTooSlow",
    "UnknownEncoding",
    "UnreplayableBody",
    "WriteTimeout",
    "WrongThread",
]


class HeadersInfo(Protocol):
    """The headers of a `ResponseInfo`: a mapping with case-insensitive names."""

    def __getitem__(self, name: str, /) -> AnyHeaderValue: ...

    def get(self, name: str, /) -> AnyHeaderValue: ...


class ResponseInfo(Protocol):
    """Attributes of the `response` of an error. At run time it is a `Response`."""

    status_code: int

    @property
    def reason_phrase(self) -> str: ...

    @property
    def headers(self) -> HeadersInfo: ...

    @property
    def url(self) -> str: ...


def truncated_repr(data: bytes | str, limit: int = 80) -> str:
    """Return the repr of untrusted data, truncated to `limit` characters or bytes of it."""
    return repr(data) if len(data) <= limit else f"{data[:limit]!r}…"


def printable(text: str, limit: int | None = None) -> str:
    """Escape control characters, line ends, bidirectional marks and lone surrogates.

    Text from the network and from input files passes through here before it appears on a terminal,
    in a log, in an error text or in a repr.

    Args:
        text: the text.
        limit: truncate to this number of characters.
    """
    shown = text if limit is None or len(text) <= limit else f"{text[:limit]}…"
    return shown if shown.isprintable() else "".join(map(_escape, shown))


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def add_request_context(error: AsksException, request: str) -> None:
    """Prefix the text of an error with the request, unless it names the request already.

    An origin that the text would then contain twice is removed from it.

    Args:
        error: the error; its `args` change.
        request: method and URL, such as `GET http://host/path`.
    """
    method, _, url = request.partition(" ")
    if not error.args or not isinstance(error.args[0], str):
        return
    text = error.args[0]
    if text.startswith(f"{method} "):
        return
    scheme, _, rest = url.partition("://")
    origin = f"{scheme}://{rest.partition('/')[0]}"
    text = text.removeprefix(f"{origin}: ").replace(f"connect to {origin} (", "connect (", 1)
    error.args = (f"{request}: {text}", *error.args[1:])


class AsksException(Exception):
    """Base class of all exceptions that asks_fast raises.

    Its text is safe to print and to log: control characters are escaped and sensitive values in the
    queries of URLs are masked. `args` contain the original text.

    Attributes:
        history: responses received earlier for the same request: redirects and challenges.
    """

    history: Sequence[ResponseInfo] = ()

    def __str__(self) -> str:
        return printable(mask_urls(super().__str__()))

    def __repr__(self) -> str:
        return mask_urls(super().__repr__())


# -- invalid use by the caller


class InvalidRequest(AsksException, ValueError):
    """The request is invalid. Nothing was sent."""


class InvalidURL(InvalidRequest):
    """The URL has no scheme, an unknown scheme, a bad host or port, or illegal characters."""


class InvalidHeader(InvalidRequest):
    """A method, field name or field value contains characters that HTTP forbids (RFC 9110 §5)."""


class UnknownEncoding(InvalidRequest, LookupError):
    """The given encoding is not a text codec of Python."""


class BadCookieFile(AsksException, ValueError):
    """A saved cookie file is malformed or too long. None of its cookies was loaded."""


class UnreplayableBody(AsksException, RuntimeError):
    """The request must be sent again (307, 308, 401) but its body can be read only once."""


class BodyLengthMismatch(AsksException, ValueError):
    """The body has more or fewer bytes than its Content-Length. The server received part of it."""


class RobotsDisallowed(AsksException, PermissionError):
    """The robots.txt of the host disallows this URL. Nothing was sent."""


class StreamConsumed(AsksException, RuntimeError):
    """The body was already read or closed."""


class SessionClosed(AsksException, RuntimeError):
    """The session was closed before or during the request."""


class WrongThread(AsksException, RuntimeError):
    """The session is in use by a kernel in another thread."""


# -- protocol violations by the peer


class BadHttpResponse(AsksException):
    """The response is not HTTP/1.x, or violates its rules."""


class HeadTooLarge(BadHttpResponse):
    """The head (or the trailers, or the interim responses) grew beyond the limit set for it."""


class ResponseTooLarge(BadHttpResponse):
    """The body, compressed or decompressed, exceeds its limit.

    Attributes:
        status_code: status of the response; None unless `max_body` was the limit.
        headers: headers of the response; None unless `max_body` was the limit.
    """

    status_code: int | None = None
    headers: Unchecked = None  # set whenever `status_code` is, which a type cannot express


class DecodingError(BadHttpResponse, ValueError):
    """The body cannot be decompressed: it is corrupt, incomplete, or has too many codings."""


class ChecksumMismatch(BadHttpResponse, ValueError):
    """A downloaded file does not have the checksum that was given; it was discarded."""


class JsonDecodeError(AsksException, JSONDecodeError):
    """The body of a response is not JSON.

    Attributes:
        response: the response; None after pickling.
        msg, doc, pos, lineno, colno: as in `json.JSONDecodeError`.
    """

    response: ResponseInfo | None = None


class TooManyRedirects(AsksException):
    """The request was redirected more often than `max_redirects`.

    Attributes:
        response: the last redirect.
        history: all responses before it.
    """

    def __init__(
        self,
        message: str = "",
        response: ResponseInfo | None = None,
        history: Sequence[ResponseInfo] | None = None,
    ) -> None:
        super().__init__(message)
        self.response = response
        self.history = history if history is not None else []


class BadStatus(AsksException):
    """`raise_for_status()` was called for a 4xx or 5xx response."""

    def __init__(
        self, err: str, response: ResponseInfo | None = None, status_code: int = 500
    ) -> None:
        super().__init__(err)
        self.response = response
        self.status_code = status_code


# -- connection failures


class ConnectivityError(AsksException):
    """The exchange with the server could not be started or completed.

    Attributes:
        attempts: number of exchanges started for the request, retries and redirects included.
        is_replayable: whether the request, body included, can be sent again.
        response: the response if its head had arrived, with what arrived of its body; else None,
            and after pickling.
    """

    attempts = 1
    is_replayable = True
    response: Unchecked = None  # a `Response`, or the short form of one that refused a tunnel

    def __reduce__(self) -> str | tuple[object, ...]:
        made = super().__reduce__()
        if isinstance(made, tuple) and len(made) > 2 and hasattr(self.response, "is_truncated"):
            return (*made[:2], {name: made[2][name] for name in made[2] if name != "response"})
        return made


class ConnectionFailed(ConnectivityError, ConnectionError):
    """No connection could be opened. The text lists each address tried and why it failed."""


class NameResolutionError(ConnectionFailed):
    """The host name could not be resolved."""


class ProxyError(ConnectionFailed):
    """The proxy refused or closed the connection.

    Attributes:
        response: the response of the proxy, with `status_code` and `headers`; None without one.
        is_origin_unreachable: the proxy answered that it cannot reach the origin.
    """

    is_origin_unreachable = False

    def __init__(self, message: str, response: object = None) -> None:
        super().__init__(message)
        self.response = response


class NoProxyAvailable(ProxyError):
    """All proxies of the pool are in cooldown, after failures or bans. Nothing was sent.

    Attributes:
        retry_after: seconds until the first one is used again.
    """

    def __init__(self, message: str = "", *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TlsError(ConnectionFailed, ssl.SSLError):
    """The TLS handshake failed.

    Attributes:
        library, reason: as in `ssl.SSLError`.
        peer_certificate: the `PeerCertificate` that the server showed, None if it showed none.
        is_proxy: the handshake was with an https proxy, not with the origin.
    """

    library: str
    reason: str
    is_proxy = False
    peer_certificate: Unchecked = None  # a `PeerCertificate`, a class of a higher layer

    def __init__(self, message: str = "", cause: ssl.SSLError | None = None) -> None:
        super().__init__(message)
        self.library = getattr(cause, "library", None) or ""
        self.reason = getattr(cause, "reason", None) or ""

    def __str__(self) -> str:
        return mask_urls(str(self.args[0])) if self.args else ""


class CertificateError(TlsError, ssl.SSLCertVerificationError):
    """The certificate of the server is not trusted.

    Attributes:
        verify_code, verify_message: as in `ssl.SSLCertVerificationError`.
    """

    def __init__(self, message: str = "", cause: ssl.SSLError | None = None) -> None:
        super().__init__(message, cause)
        self.verify_code: int = getattr(cause, "verify_code", 0)
        self.verify_message: str = getattr(cause, "verify_message", "") or message


class ServerClosedConnectionError(ConnectivityError, ConnectionError):
    """The connection was closed or reset before the response was complete.

    Attributes:
        is_stale: the connection was a reused one and not one byte of the response arrived.
        is_unsent: not one byte of the request was sent.
        is_reset: the system reported an error, such as a reset, instead of an orderly end.
    """

    is_stale = False
    is_unsent = False
    is_reset = False


class CircuitOpen(ConnectivityError, ConnectionError):
    """The host failed too often in a row; requests to it are suspended. Nothing was sent."""


class RequestTimeout(ConnectivityError, TimeoutError):
    """A time limit expired.

    Attributes:
        phase: which one: `pool`, `dns`, `connect`, `write`, `read`, `transfer` or `total`.
        limit: the limit in seconds.
    """

    phase = "total"

    def __init__(self, message: str = "", limit: float | None = None) -> None:
        super().__init__(message)
        self.limit = limit


class PoolTimeout(RequestTimeout):
    """`pool_timeout` expired while the request waited for a connection."""

    phase = "pool"


class ConnectTimeout(RequestTimeout):
    """`connection_timeout` expired during name resolution, connect or TLS handshake."""

    phase = "connect"


class DnsTimeout(ConnectTimeout):
    """`dns_timeout` expired during name resolution.

    Attributes:
        host: the name that was not resolved: of the origin, or of the proxy.
        elapsed: seconds from the beginning of the resolution.
    """

    phase = "dns"

    def __init__(
        self,
        message: str = "",
        limit: float | None = None,
        *,
        host: str = "",
        elapsed: float | None = None,
    ) -> None:
        super().__init__(message, limit)
        self.host = host
        self.elapsed = elapsed


class WriteTimeout(RequestTimeout):
    """`write_timeout` expired while the server accepted no bytes of the request."""

    phase = "write"


class ReadTimeout(RequestTimeout):
    """`read_timeout` expired while the server sent nothing."""

    phase = "read"


class TransferTooSlow(RequestTimeout):
    """A body came more slowly than `low_speed` for its whole time; `limit` is that time."""

    phase = "transfer"


class TotalTimeout(RequestTimeout):
    """`timeout` expired for the exchange as a whole."""

    phase = "total"
