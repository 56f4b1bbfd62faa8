"""The arguments of requests, one-shot calls and sessions: names, types, defaults.

Type checkers report an unknown keyword, or a value of the wrong type. The package imports this
module under `TYPE_CHECKING` only. `tests/typing` compares the names with those that the checks at
run time accept.

Rules:  every argument is declared once, with its unit and its default. A type accepts everything
        that is accepted at run time.
Facts:  for a call that matches no overload, mypy prints all overloads with all arguments: 9 KB. It
        reports only the wrong argument if the call matches one by its shape, which is the type
        without what is in brackets. Every object but None has the shape of `Other[Never]`,
        and none has this type. So each argument of a function with overloads has `NoOther` in its
        type.
Implemented elsewhere: the checks at the call (`_config/options`). docs/guide/arguments.md describes
        each argument.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypedDict, TypeVar

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Never

    from .._annotations import AnyArgument, Json
    from .._cache.cache import Cache
    from .._config.events import Event
    from .._config.timeouts import Timeouts
    from .._config.transfer import BandwidthLimit, ProgressCallback
    from .._request.trailers import TrailerFields
    from .._transport.proxies import Proxy
    from .._transport.proxy_pool import KeyedProxies, ProxyPool
    from ..auth import AuthBase
    from ..cookie_utils import CookieTracker
    from ..urls import Url
    from .middleware import Middleware
    from .retry import Retry

__all__ = [
    "ConnectionArguments",
    "OneShotArguments",
    "RequestArguments",
    "SessionArguments",
]

T_co = TypeVar("T_co", covariant=True)


class Other(Protocol[T_co]):
    """Every object has this type with `Any`, and none has it with `Never`."""

    def __sizeof__(self) -> T_co: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]


NoOther: TypeAlias = "Other[Never]"
Location: TypeAlias = "str | Url | None"
Fields: TypeAlias = "Mapping[str, object] | Iterable[tuple[object, object]] | None"
Path: TypeAlias = "str | os.PathLike[str]"
ProxyArgument: TypeAlias = (
    "str | Proxy | ProxyPool | KeyedProxies | Sequence[str | Proxy | None] | None"
)


class ConnectionArguments(TypedDict, total=False):
    """How to reach the server; of a session, or of one request."""

    # file, (certificate, key) or (certificate, key, password)
    cert: Path | tuple[object, ...] | NoOther | None
    fingerprint: str | bytes | Iterable[str | bytes] | NoOther | None  # SHA-256 of the certificate
    min_tls_version: str | ssl.TLSVersion | NoOther | None  # "1.2"; the lowest that is accepted
    proxy: ProxyArgument | NoOther
    resolver: object  # an async function of a name, or an object with such a method `resolve`
    server_hostname: str | NoOther | None  # to ask for and verify, instead of the URL's
    source_address: str | tuple[str, int] | NoOther | None
    unix_socket: str | bytes | os.PathLike[str] | NoOther | None
    verify: bool | Path | Literal["truststore"] | NoOther  # True


class _Context(TypedDict, total=False):
    ssl_context: ssl.SSLContext | NoOther | None


class _Defaults(TypedDict, total=False):
    """Arguments of a request, or of a session as the defaults of all its requests."""

    allow_truncated: bool | NoOther | None  # False; True: return a truncated body, marked as such
    auth: AuthBase | tuple[str, str] | NoOther | None
    auth_off_domain: bool | NoOther | None  # False
    compress: Literal["gzip", "zstd", "br"] | NoOther | None  # coding of the request body; none
    connection_timeout: float | NoOther | None  # seconds, 60
    cookies: Mapping[str, object] | NoOther | None
    decompress: bool | NoOther  # True
    detect_encoding: bool | NoOther | None  # False
    dns_timeout: float | NoOther | None  # seconds for name resolution, no limit of its own
    expect_continue: bool | float | NoOther | None  # False; True, or seconds to wait for the 100
    follow_redirects: bool | NoOther | None  # None: all methods but HEAD
    json_dumps: Callable[[Json], str | bytes] | NoOther | None  # json.dumps
    json_loads: Callable[[AnyArgument], Json] | NoOther | None  # json.loads
    keep_framing: bool | NoOther | None  # False; True: keep `response.framed_body`
    max_body: int | NoOther | None  # bytes as sent, no limit
    max_decompressed: int | NoOther | None  # bytes, 1 GiB
    max_ratio: float | NoOther | None  # decompressed size : received size, no limit
    max_redirects: int | NoOther  # 20
    # functions around each exchange, the outermost first
    middleware: Iterable[Middleware] | NoOther | None
    mimetype: str | NoOther | None  # of the body
    normalize_url: bool | NoOther  # True; False: send path and query exactly as written
    on_event: Callable[[Event], object] | Sequence[Callable[[Event], object]] | NoOther | None
    params: (
        str
        | bytes
        | Mapping[AnyArgument, object]
        | Iterable[tuple[object, object]]
        | NoOther
        | None
    )
    pool_timeout: float | NoOther | None  # seconds, no limit
    read_timeout: float | NoOther | None  # seconds without a byte received, 300
    retries: int | Retry | NoOther  # 1
    sensitive_headers: Iterable[str] | NoOther
    strict: bool | NoOther | None  # False: some protocol violations of servers are tolerated
    timeout: float | Timeouts | NoOther | None  # seconds for the whole request, no limit
    timings: bool | NoOther | None
    upload_max_rate: float | BandwidthLimit | NoOther | None  # bytes per second, no limit
    # called with a Progress after each chunk sent
    upload_progress: ProgressCallback | NoOther | None
    write_timeout: float | NoOther | None  # seconds without a byte sent, 300


class RequestArguments(_Defaults, ConnectionArguments, _Context, total=False):
    """The keyword arguments of a request, except `stream`."""

    callback: Callable[[bytes], object] | NoOther | None  # called with each chunk of the body
    data: object  # dict or pairs: a form; str, bytes, file, Path, iterable of bytes: as it is
    encoding: str | NoOther | None  # of text sent, and of received text without a charset
    files: Mapping[str, object] | Iterable[tuple[str, object]] | NoOther | None
    headers: Fields | NoOther
    json: Json
    multipart: Mapping[str, object] | Iterable[tuple[str, object]] | NoOther | None
    path: str | NoOther  # appended to the base and endpoint of the session
    persist_cookies: bool | CookieTracker | NoOther | None
    trailers: TrailerFields | NoOther | None  # fields after the body, which is chunked


class PreparedArguments(RequestArguments, total=False):
    """The keyword arguments of `session.prepare`."""

    stream: bool | None  # False


class _Connector(TypedDict, total=False):
    """How connections are made."""

    dns_negative_ttl: float | NoOther  # seconds
    dns_ttl: float | NoOther  # seconds
    happy_eyeballs_delay: float | NoOther  # seconds, 0.25
    hosts: Mapping[str, str | Iterable[str]] | NoOther | None
    keepalive: float | NoOther | None  # seconds of silence before the first probe, 60
    socket_options: Iterable[tuple[int, int, int | bytes]] | NoOther
    trust_env: bool | NoOther | None  # False: proxies of the environment are not used


class OneShotArguments(RequestArguments, _Connector, total=False):
    """The keyword arguments of `asks_fast.get` and the other functions, except `stream`."""


class BaseSessionArguments(_Defaults, ConnectionArguments, _Connector, total=False):
    """The keyword arguments that every kind of session takes.

    They accept `stream=` as well. It is missing here because the type of a response depends on the
    arguments of its own call.
    """

    buffer_size: int  # bytes, 64 KiB
    cache: bool | Cache | None  # False; True: in memory
    connections_per_host: int  # 0: as many as `connections`
    idle_timeout: float | None  # seconds, 30; None or 0: no limit
    max_connection_age: float  # seconds, 0: no limit
    max_headers: int  # 256
    max_header_size: int  # bytes, 64 KiB
    max_informational: int  # 1xx responses, 16
    max_requests_per_connection: int  # 0: no limit


class SessionArguments(BaseSessionArguments, _Context, total=False):
    """The keyword arguments of `HSession` and `DSession`, except those in their signatures."""

    headers: Fields
