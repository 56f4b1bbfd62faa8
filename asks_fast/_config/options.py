"""The keyword arguments of requests and sessions: names and defaults.

A session takes the arguments of a request as its defaults, so one table serves both. The connector
takes `CONNECTOR_OPTIONS`; `POOL_OPTIONS` are for sessions only.

An unknown name is a `TypeError` at the call. An invalid value is an `InvalidRequest` (a
`ValueError`) at the call, before anything is sent.

Implemented elsewhere: which values a single argument takes (`argument_checks`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .._extras import missing_extra
from ..errors import InvalidRequest, printable
from .argument_checks import check_arguments
from .timeouts import Timeouts

if TYPE_CHECKING:
    from .transfer import BandwidthLimit, ProgressCallback

__all__ = [
    "CONNECTION_OPTIONS",
    "CONNECTOR_OPTIONS",
    "POOL_OPTIONS",
    "SESSION_DEFAULTS",
    "SESSION_NAMES",
    "RequestOptions",
    "read_iterators",
    "unexpected_argument",
]

DEFAULT_READ_TIMEOUT = 300.0
DEFAULT_CONNECT_TIMEOUT = 60.0

# Options of a connection that a request can override.
CONNECTION_OPTIONS = frozenset(
    {
        "cert",
        "fingerprint",
        "min_tls_version",
        "proxy",
        "resolver",
        "server_hostname",
        "source_address",
        "ssl_context",
        "unix_socket",
        "verify",
    }
)

# Options of a session's connections.
CONNECTOR_OPTIONS = CONNECTION_OPTIONS | {
    "dns_negative_ttl",
    "dns_ttl",
    "happy_eyeballs_delay",
    "hosts",
    "keepalive",
    "socket_options",
    "trust_env",
}

# Options of a session's pool and parser: name → default.
POOL_OPTIONS: dict[str, Any] = {
    "connections_per_host": 0,
    "idle_timeout": 30.0,
    "max_requests_per_connection": 0,
    "max_connection_age": 0.0,
    "max_header_size": 65536,
    "max_headers": 256,
    "max_informational": 16,
    "buffer_size": 65536,
}


class RequestOptions:
    """The options of one request, with the default of each option that was not given.

    `explicit` contains the names that were given by the session or the call.
    """

    allow_truncated: bool = False
    auth: Any = None
    auth_off_domain: bool = False
    callback: Callable[[bytes], Any] | None = None
    compress: str | None = None
    connection: Mapping[str, Any] = MappingProxyType({})
    connection_timeout: float | None = DEFAULT_CONNECT_TIMEOUT
    cookies: Mapping[str, Any] | None = None
    data: Any = None
    decompress: bool = True
    detect_encoding: bool = False
    dns_timeout: float | None = None
    encoding: str | None = None
    expect_continue: bool | float = False
    explicit: Collection[str] = frozenset()
    files: Any = None
    follow_redirects: bool | None = None
    headers: Any = None
    json: Any = None
    json_dumps: Callable[[Any], str | bytes] | None = None
    json_loads: Callable[[Any], Any] | None = None
    keep_framing: bool = False
    max_body: int | None = None
    max_decompressed: int | None = 1 << 30
    max_ratio: float | None = None
    max_redirects: int = 20
    middleware: Any = ()  # Any: an iterable of `Middleware`, of a higher layer
    mimetype: str | None = None
    multipart: Any = None
    normalize_url: bool = True
    on_event: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None
    params: Any = None
    path: str = ""
    persist_cookies: Any = None
    pool_timeout: float | None = None
    read_timeout: float | None = DEFAULT_READ_TIMEOUT
    retries: Any = 1
    sensitive_headers: Iterable[str] = ()
    stream: bool = False
    strict: bool = False
    timeout: Any = None
    timings: bool = False
    trailers: Any = None  # Any: `TrailerFields`, of a higher layer
    upload_max_rate: float | BandwidthLimit | None = None
    upload_progress: ProgressCallback | None = None
    write_timeout: float | None = DEFAULT_READ_TIMEOUT

    def __init__(self, given: Mapping[str, Any], function: str = "request") -> None:
        if not given:
            return
        unknown = given.keys() - _NAMES
        self.__dict__.update(given)
        if unknown:
            if unknown - CONNECTION_OPTIONS:
                raise unexpected_argument(function, unknown - CONNECTION_OPTIONS)
            self.connection = {name: self.__dict__.pop(name) for name in unknown}
        self.explicit = given.keys()
        self._check(given)

    def _check(self, given: Mapping[str, Any]) -> None:
        if isinstance(self.sensitive_headers, Iterator):  # the check would use it up
            self.sensitive_headers = tuple(self.sensitive_headers)
            given = {**given, "sensitive_headers": self.sensitive_headers}
        check_arguments(given)
        for name in _DURATION_OPTIONS & given.keys():
            value = given[name]
            if value is None:
                continue
            if name == "timeout" and isinstance(value, Timeouts):
                self._apply_timeouts(value, given)
            elif isinstance(value, bool) or not isinstance(value, (int, float)):
                hint = "; for limits by phase use asks_fast.Timeouts(connect=…, read=…)"
                raise InvalidRequest(
                    f"{name} must be a number of seconds or None, not {value!r}"
                    + (hint if name == "timeout" else "")
                )
            elif not value > 0:
                raise InvalidRequest(f"{name} must be more than 0 seconds, not {value!r}")
        if self.compress not in (None, "br", "gzip", "zstd"):
            raise InvalidRequest(f"compress must be 'gzip', 'zstd' or 'br', not {self.compress!r}")
        if "on_event" in given:
            _check_listeners(self.on_event)
        if self.stream and self.callback is not None:
            raise TypeError("stream and callback exclude each other")
        if self.detect_encoding:
            _check_detection()
        if self.middleware != ():
            self.middleware = _check_middleware(self.middleware)

    def _apply_timeouts(self, limits: Timeouts, given: Mapping[str, Any]) -> None:
        """Apply a `Timeouts` value; a limit that was given by name takes precedence."""
        self.timeout = limits.total
        for name, value in (
            ("pool_timeout", limits.pool),
            ("connection_timeout", limits.connect),
            ("read_timeout", limits.read),
            ("write_timeout", limits.write),
            ("dns_timeout", limits.dns),
        ):
            if name not in given:
                setattr(self, name, value)


_DURATION_OPTIONS = frozenset(
    {
        "connection_timeout",
        "dns_timeout",
        "pool_timeout",
        "read_timeout",
        "timeout",
        "write_timeout",
    }
)
_NAMES = frozenset(RequestOptions.__annotations__) - {"connection", "explicit"}

# Options of a request that cannot be defaults of a session.
ONE_REQUEST_ONLY = frozenset(
    {"data", "json", "files", "headers", "multipart", "path", "callback", "trailers"}
)
SESSION_DEFAULTS = _NAMES - ONE_REQUEST_ONLY


SESSION_NAMES = (
    SESSION_DEFAULTS
    | CONNECTOR_OPTIONS
    | POOL_OPTIONS.keys()
    | {"cache", "connections", "encoding", "endpoint", "headers", "persist_cookies"}
)
_REQUEST_NAMES = _NAMES | CONNECTION_OPTIONS | {"url"}

# Argument names of other libraries → names here.
_OTHER_LIBRARIES = {
    "allow_redirects": "follow_redirects",
    "base_url": "host",
    "body": "data",
    "ca_certs": "verify",
    "client_cert": "cert",
    "connect_timeout": "connection_timeout",
    "content": "data",
    "cookiejar": "persist_cookies",
    "event_hooks": "middleware",
    "form": "data",
    "limits": "connections",
    "max_connections": "connections",
    "max_retries": "retries",
    "middlewares": "middleware",
    "proxies": "proxy",
    "query": "params",
    "retry": "retries",
    "raise_for_status": "response.raise_for_status()",
    "ssl": "ssl_context",
    "token": "auth",
    "verify_ssl": "verify",
}


def read_iterators(given: dict[str, Any]) -> None:
    """Replace iterators by tuples: each request of a session reads its defaults again."""
    for name, value in given.items():
        if isinstance(value, Iterator):
            given[name] = tuple(value)


def unexpected_argument(function: str, names: Iterable[str]) -> TypeError:
    """Return the error for unknown keyword arguments, as asks words it, with suggestions."""
    is_session = function[:1].isupper()
    known, others = (
        (SESSION_NAMES, _REQUEST_NAMES) if is_session else (_REQUEST_NAMES, SESSION_NAMES)
    )
    text = f"{function}() got unexpected keyword arguments "
    text += ", ".join(repr(name) for name in sorted(names))
    for name in sorted(names):
        if name in others:
            text += f"; {name!r} is an argument of {'requests' if is_session else 'sessions'}"
        elif meant := _OTHER_LIBRARIES.get(name) or _closest(name, known):
            text += f"; did you mean {meant!r}?"
    return TypeError(text)


def _closest(name: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches  # only needed after a mistake

    return next(iter(get_close_matches(name, sorted(known), n=1, cutoff=0.75)), None)


def _check_middleware(value: Any) -> tuple[Callable[..., Any], ...]:
    """The functions of `middleware=`."""
    if value is None:
        return ()
    is_list = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    found: tuple[Any, ...] = tuple(value) if is_list and not callable(value) else (None,)
    if not all(callable(one) for one in found):
        raise InvalidRequest(
            "middleware must be a list of functions `async def f(request, call_next)`, not "
            f"{printable(repr(value), 80)}"
        )
    return found


def _check_listeners(given: object) -> None:
    if given is None or callable(given):
        return
    if not isinstance(given, (list, tuple)) or not all(map(callable, given)):
        raise InvalidRequest(f"on_event= takes a function or a list of them, not {given!r}")


def _check_detection() -> None:
    """Report a missing package before a request is sent."""
    if find_spec("charset_normalizer") is None:
        raise ModuleNotFoundError(
            missing_extra("detect_encoding=True", "charset-normalizer", "charset")
        )
