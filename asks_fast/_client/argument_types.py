"""The arguments of requests, one-shot calls and sessions: names, types, defaults.

For readers and type checkers: an unknown keyword, or a value of the wrong type, is reported
where it is written. The package imports it under `TYPE_CHECKING` only, so that it costs nothing;
`tests/typing` holds the names to those that the checks at run time know.

Rules:  every argument stands here once, with its unit and its default. A type is as wide as what is
        accepted at run time.
Implemented elsewhere: the checks at the call (`options`); the guide says what each one does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    import ssl

    from .._config.timeouts import Timeouts
    from .._config.transfer import BandwidthLimit, ProgressCallback
    from .._transport.proxies import Proxy, ProxyRotation
    from ..auth import AuthBase
    from ..cookie_utils import CookieTracker
    from ..urls import Url
    from .retry import Retry

__all__ = [
    "ConnectionArguments",
    "OneShotArguments",
    "RequestArguments",
    "SessionArguments",
]

Location: TypeAlias = "str | Url | None"
Fields: TypeAlias = "Mapping[str, Any] | Iterable[tuple[Any, Any]] | None"
Path: TypeAlias = "str | os.PathLike[str]"


class ConnectionArguments(TypedDict, total=False):
    """How the server is reached; of a session, or of one request."""

    cert: Path | tuple[Any, ...] | None  # file, (certificate, key) or (certificate, key, password)
    fingerprint: str | bytes | Iterable[str | bytes] | None  # SHA-256 of the certificate
    min_tls_version: str | ssl.TLSVersion  # "1.2"; the lowest that is accepted
    proxy: str | Proxy | ProxyRotation | list[Any] | tuple[Any, ...] | None
    resolver: Any  # an async function of a name, or an object with such a method `resolve`
    server_hostname: str | None  # to ask for and verify, instead of the URL's
    source_address: str | tuple[str, int] | None
    unix_socket: str | bytes | os.PathLike[str] | None
    verify: bool | Path | Literal["truststore"]  # True


class _Context(TypedDict, total=False):
    ssl_context: ssl.SSLContext | None


class _Defaults(TypedDict, total=False):
    """What a request may say, and a session for all of its requests."""

    allow_truncated: bool  # False; True: a body that breaks off is returned, marked
    auth: AuthBase | tuple[str, str] | None
    auth_off_domain: bool  # False
    compress: Literal["gzip", "zstd", "br"] | None  # the coding of the body sent, none
    connection_timeout: float | None  # seconds, 60
    cookies: Mapping[str, Any] | None
    decompress: bool  # True
    detect_encoding: bool  # False
    expect_continue: bool | float  # False; True, or seconds to wait for the 100
    follow_redirects: bool | None  # None: all methods but HEAD
    json_dumps: Callable[[Any], str | bytes] | None  # json.dumps
    json_loads: Callable[[Any], Any] | None  # json.loads
    keep_framing: bool  # False; True: `response.framed_body` is kept
    max_body: int | None  # bytes as sent, no limit
    max_decompressed: int | None  # bytes, 1 GiB
    max_ratio: float | None  # decompressed to sent, no limit
    max_redirects: int  # 20
    mimetype: str | None  # of the body
    on_event: Callable[..., Any] | None
    params: str | bytes | Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None
    pool_timeout: float | None  # seconds, no limit
    raw_url: bool  # False
    read_timeout: float | None  # seconds of silence, 300
    retries: int | Retry  # 1: once, where it is safe
    sensitive_headers: Iterable[str]
    strict: bool  # False: some broken servers are forgiven
    timeout: float | Timeouts | None  # seconds in all, no limit
    timings: bool
    upload_max_rate: float | BandwidthLimit | None  # bytes per second, no limit
    upload_progress: ProgressCallback | None  # called with a Progress after each chunk sent
    write_timeout: float | None  # seconds in which not a byte is taken, 300


class RequestArguments(_Defaults, ConnectionArguments, _Context, total=False):
    """The keyword arguments of a request, beside `stream`, which decides what is returned."""

    callback: Callable[[bytes], Any] | None  # called with each chunk of the body
    data: Any  # dict or pairs: a form; str, bytes, file, Path, iterable of bytes: as it is
    encoding: str | None  # of text sent, and of text received that does not name its own
    files: Mapping[str, Any] | Iterable[tuple[str, Any]] | None
    headers: Fields
    json: Any
    multipart: Any
    path: str  # behind the base and endpoint of the session
    persist_cookies: bool | CookieTracker | None


class PreparedArguments(RequestArguments, total=False):
    """The keyword arguments of `session.prepare`."""

    stream: bool  # False


class _Connector(TypedDict, total=False):
    """How connections are made."""

    dns_negative_ttl: float  # seconds
    dns_ttl: float  # seconds
    happy_eyeballs_delay: float  # seconds, 0.25
    hosts: Mapping[str, str | Iterable[str]] | None
    keepalive: float | None  # seconds of silence before the first probe, 60
    socket_options: Iterable[tuple[int, int, int | bytes]]
    trust_env: bool  # False: proxies of the environment are not used


class OneShotArguments(RequestArguments, _Connector, total=False):
    """The keyword arguments of `asks_fast.get` and its siblings, beside `stream`."""


class BaseSessionArguments(_Defaults, ConnectionArguments, _Connector, total=False):
    """The keyword arguments that every kind of session takes.

    `stream=` is taken too, and left out here: an answer's type is told by its own call.
    """

    buffer_size: int  # bytes, 64 KiB
    connections_per_host: int  # 0: as many as `connections`
    idle_timeout: float  # seconds, 30
    max_connection_age: float  # seconds, 0: no limit
    max_headers: int  # 256
    max_header_size: int  # bytes, 64 KiB
    max_informational: int  # 1xx answers, 16
    max_requests_per_connection: int  # 0: no limit


class SessionArguments(BaseSessionArguments, _Context, total=False):
    """The keyword arguments of `HSession` and `DSession` beside those that they name."""

    headers: Fields
