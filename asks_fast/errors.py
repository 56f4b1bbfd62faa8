"""Every exception that asks_fast raises, and who is to blame for it.

Three families below `AsksException`: you asked for something illegal (`InvalidRequest` and
friends, raised before a byte is sent), they sent something illegal (`BadHttpResponse`), the wire
broke (`ConnectivityError`). Each new name derives from an asks name, so that old `except`
clauses go on working, and from the built-in that a person would catch.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from json import JSONDecodeError
from typing import Any, Protocol

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
    "HeadTooLarge",
    "InvalidHeader",
    "InvalidRequest",
    "InvalidURL",
    "JsonDecodeError",
    "NameResolutionError",
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
    """The headers of such a response: a mapping that ignores case."""

    def __getitem__(self, name: str, /) -> Any: ...

    def get(self, name: str, default: Any = None) -> Any: ...


class ResponseInfo(Protocol):
    """What the `response` of an error is known to have; at run time it is a `Response`."""

    status_code: int

    @property
    def reason_phrase(self) -> str: ...

    @property
    def headers(self) -> HeadersInfo: ...

    @property
    def url(self) -> str: ...


def truncated_repr(data: bytes | str, limit: int = 80) -> str:
    """The repr of something a peer sent, cut short: safe in a log, a terminal and an error."""
    return repr(data) if len(data) <= limit else f"{data[:limit]!r}…"


def printable(text: str, limit: int | None = None) -> str:
    """Escape what a terminal would obey or a log would break at; cut to `limit` letters.

    All text from the net and from input files goes through here on its way to a terminal, a log
    line, an error's text or a repr: control characters, line ends, bidi marks, lone surrogates.
    """
    cut = text if limit is None or len(text) <= limit else f"{text[:limit]}…"
    return cut if cut.isprintable() else "".join(map(_escaped, cut))


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def add_request_context(error: AsksException, what: str) -> None:
    """Put `what`, such as `GET http://host/path`, in front of an error that does not name it.

    The origin is left out of the text where it would be there twice.
    """
    method, _, url = what.partition(" ")
    if not error.args or not isinstance(error.args[0], str):
        return
    text = error.args[0]
    if text.startswith(f"{method} "):
        return
    scheme, _, rest = url.partition("://")
    origin = f"{scheme}://{rest.partition('/')[0]}"
    text = text.removeprefix(f"{origin}: ").replace(f"connect to {origin} (", "connect (", 1)
    error.args = (f"{what}: {text}", *error.args[1:])


class AsksException(Exception):
    """The root: whatever asks_fast raises by itself is one of these.

    Its text can be printed and logged, whatever a server sent: control characters are escaped and
    sensitive values in the queries of URLs are masked. `args` hold it as it was made.
    `history`: the responses received before it for the same request: redirects, challenges.
    """

    history: Sequence[ResponseInfo] = ()

    def __str__(self) -> str:
        return printable(mask_urls(super().__str__()))

    def __repr__(self) -> str:
        return mask_urls(super().__repr__())


# -- you asked for something illegal


class InvalidRequest(AsksException, ValueError):
    """The request as asked for cannot be sent; nothing was sent."""


class InvalidURL(InvalidRequest):
    """The URL has no scheme, an unknown scheme, a bad host or port, or characters it may not."""


class InvalidHeader(InvalidRequest):
    """A method, field name or field value holds characters that HTTP forbids (RFC 9110 §5)."""


class UnknownEncoding(InvalidRequest, LookupError):
    """The encoding given for a text is not a text codec of Python."""


class BadCookieFile(AsksException, ValueError):
    """A saved cookie file is malformed or too long; no cookie was taken from it."""


class UnreplayableBody(AsksException, RuntimeError):
    """The request must be sent again (307, 308, 401) but its body was a one-shot stream."""


class BodyLengthMismatch(AsksException, ValueError):
    """The body given had more or fewer bytes than its Content-Length; the server got part of it."""


class RobotsDisallowed(AsksException, PermissionError):
    """The site's robots.txt asks robots not to fetch this URL; nothing was sent."""


class StreamConsumed(AsksException, RuntimeError):
    """The body was read or closed already."""


class SessionClosed(AsksException, RuntimeError):
    """The session was closed before or during the request."""


class WrongThread(AsksException, RuntimeError):
    """The session is at work in the kernel of another thread."""


# -- they sent something illegal


class BadHttpResponse(AsksException):
    """The server's answer is not HTTP/1.x, or breaks its rules."""


class HeadTooLarge(BadHttpResponse):
    """The head (or the trailers, or the interim answers) grew beyond the limit set for it."""


class ResponseTooLarge(BadHttpResponse):
    """The body, as sent or as decompressed, grew beyond the limit set for it.

    `status_code` and `headers` are those of the response, None where `max_body` was not the limit.
    """

    status_code: int | None = None
    headers: Any = None


class DecodingError(BadHttpResponse, ValueError):
    """The body does not decompress: corrupt, cut short, or coded too many times over."""


class ChecksumMismatch(BadHttpResponse, ValueError):
    """A downloaded file does not have the checksum that was given; it was discarded."""


class JsonDecodeError(AsksException, JSONDecodeError):
    """The body of a response is not JSON.

    `msg`, `doc`, `pos`, `lineno` and `colno` are those of `json.JSONDecodeError`. `response` is the
    response, None after pickling.
    """

    response: ResponseInfo | None = None


class TooManyRedirects(AsksException):
    """More redirects than `max_redirects`; `response` is the last, `history` all before it."""

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
    """`raise_for_status()` met a 4xx or 5xx."""

    def __init__(
        self, err: str, response: ResponseInfo | None = None, status_code: int = 500
    ) -> None:
        super().__init__(err)
        self.response = response
        self.status_code = status_code


# -- the wire broke


class ConnectivityError(AsksException):
    """No exchange with the server could be made or finished.

    `attempts`: how many exchanges were begun for the request, retries and redirects included.
    `is_replayable`: whether the request, body included, can be sent again as it was given.
    `response`: the response if its head had arrived, with what arrived of its body; else None, and
    after pickling.
    """

    attempts = 1
    is_replayable = True
    response: Any = None  # a `Response`, or the short form of one that refused a tunnel

    def __reduce__(self) -> Any:
        made = super().__reduce__()
        if isinstance(made, tuple) and len(made) > 2 and hasattr(self.response, "is_truncated"):
            return (*made[:2], {name: made[2][name] for name in made[2] if name != "response"})
        return made


class ConnectionFailed(ConnectivityError, ConnectionError):
    """No connection could be made; the text lists each address tried and why it failed."""


class NameResolutionError(ConnectionFailed):
    """The host name could not be turned into an address."""


class ProxyError(ConnectionFailed):
    """The proxy refused or broke the connection; `response` holds its answer where there is one."""

    def __init__(self, message: str, response: Any = None) -> None:
        super().__init__(message)
        self.response = response


class TlsError(ConnectionFailed, ssl.SSLError):
    """The TLS handshake failed; also an `ssl.SSLError`, with its `library` and `reason`.

    `peer_certificate`: the `PeerCertificate` that the server showed, None if it showed none.
    """

    library: str
    reason: str
    peer_certificate: Any = None  # its class stands in a higher layer

    def __init__(self, message: str = "", cause: ssl.SSLError | None = None) -> None:
        super().__init__(message)
        self.library = getattr(cause, "library", None) or ""
        self.reason = getattr(cause, "reason", None) or ""

    def __str__(self) -> str:
        return mask_urls(str(self.args[0])) if self.args else ""


class CertificateError(TlsError, ssl.SSLCertVerificationError):
    """The server's certificate is not to be trusted; also an `ssl.SSLCertVerificationError`."""

    def __init__(self, message: str = "", cause: ssl.SSLError | None = None) -> None:
        super().__init__(message, cause)
        self.verify_code: int = getattr(cause, "verify_code", 0)
        self.verify_message: str = getattr(cause, "verify_message", "") or message


class ServerClosedConnectionError(ConnectivityError, ConnectionError):
    """The server closed or reset the connection before its answer was complete, or the system did.

    `stale`: the connection had served before and not one byte of this answer came. `unsent`: not
    one byte of the request went out.
    """

    is_stale = False
    is_unsent = False


class CircuitOpen(ConnectivityError, ConnectionError):
    """The host failed so often in a row that it is left alone for a while; nothing was sent."""


class RequestTimeout(ConnectivityError, TimeoutError):
    """A time limit ran out. `phase` says which, `limit` is in seconds."""

    phase = "total"

    def __init__(self, message: str = "", limit: float | None = None) -> None:
        super().__init__(message)
        self.limit = limit


class PoolTimeout(RequestTimeout):
    """`pool_timeout` ran out while waiting in line for a connection."""

    phase = "pool"


class ConnectTimeout(RequestTimeout):
    """`connection_timeout` ran out while resolving, connecting or handshaking."""

    phase = "connect"


class WriteTimeout(RequestTimeout):
    """`write_timeout` ran out while the server took no bytes of the request."""

    phase = "write"


class ReadTimeout(RequestTimeout):
    """`read_timeout` ran out while the server was silent."""

    phase = "read"


class TransferTooSlow(RequestTimeout):
    """A body came more slowly than `low_speed` for its whole time; `limit` is that time."""

    phase = "transfer"


class TotalTimeout(RequestTimeout):
    """`timeout` ran out for the exchange as a whole."""

    phase = "total"
