"""The keyword arguments of a request: their names, defaults and checks, in one place.

A session takes the same names as its own defaults, so that one table serves both. What belongs to
connections (`CONNECTION_OPTIONS`) goes to the connector, what belongs to the pool (`POOL_OPTIONS`)
is for sessions alone.

Rules:  unknown names are a TypeError at the call; values that can't be right are an
        `InvalidRequest` (a ValueError) at the call, before a byte is sent.
Not here: what any of it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .errors import InvalidRequest

__all__ = ["CONNECTION_OPTIONS", "POOL_OPTIONS", "RequestOptions", "unexpected"]

DEFAULT_READ_TIMEOUT = 300.0
DEFAULT_CONNECT_TIMEOUT = 60.0

# Options of a connection that a single request may choose for itself.
CONNECTION_OPTIONS = frozenset(
    {
        "cert",
        "fingerprint",
        "proxy",
        "resolver",
        "server_hostname",
        "source_address",
        "ssl_context",
        "unix_socket",
        "verify",
    }
)

# Options of a session's pool and parser: name → default.
POOL_OPTIONS: dict[str, Any] = {
    "connections_per_host": 0,
    "idle_timeout": 30.0,
    "max_requests_per_connection": 0,
    "max_connection_age": 0.0,
    "max_head": 65536,
    "max_fields": 256,
    "max_interim": 16,
    "strict": False,
    "buffer_size": 65536,
}


class RequestOptions:
    """What one request was asked to do; the defaults where nothing was said.

    `explicit` holds the names that were given, by the session or the call.
    """

    __slots__ = (
        "auth",
        "auth_off_domain",
        "callback",
        "connection",
        "connection_timeout",
        "cookies",
        "data",
        "decompress",
        "detect_encoding",
        "encoding",
        "expect_continue",
        "explicit",
        "files",
        "follow_redirects",
        "headers",
        "json",
        "json_dumps",
        "json_loads",
        "max_body",
        "max_decompressed",
        "max_ratio",
        "max_redirects",
        "mimetype",
        "multipart",
        "on_event",
        "params",
        "path",
        "persist_cookies",
        "pool_timeout",
        "raw_url",
        "read_timeout",
        "retries",
        "secret_headers",
        "stream",
        "timeout",
        "write_timeout",
    )

    auth: Any
    auth_off_domain: bool
    callback: Callable[[bytes], Any] | None
    connection: dict[str, Any]
    connection_timeout: float | None
    cookies: Mapping[str, Any] | None
    data: Any
    decompress: bool
    detect_encoding: bool
    encoding: str | None
    expect_continue: bool | float
    explicit: frozenset[str]
    files: Any
    follow_redirects: bool | None
    headers: Any
    json: Any
    json_dumps: Callable[[Any], str | bytes] | None
    json_loads: Callable[[Any], Any] | None
    max_body: int | None
    max_decompressed: int | None
    max_ratio: float | None
    max_redirects: int
    mimetype: str | None
    multipart: Any
    on_event: Callable[..., Any] | None
    params: Any
    path: str
    persist_cookies: Any
    pool_timeout: float | None
    raw_url: bool
    read_timeout: float | None
    retries: Any
    secret_headers: Iterable[str]
    stream: bool
    timeout: Any
    write_timeout: float | None

    def __init__(self, given: Mapping[str, Any], function: str = "request") -> None:
        for name, value in _DEFAULTS:
            setattr(self, name, value)
        self.connection = {}
        for name, value in given.items():
            if name in _NAMES:
                setattr(self, name, value)
            elif name in CONNECTION_OPTIONS:
                self.connection[name] = value
            else:
                raise unexpected(function, given.keys() - _NAMES - CONNECTION_OPTIONS)
        self.explicit = frozenset(given)
        if given:
            self._check()

    def _check(self) -> None:
        for name in (
            "timeout",
            "connection_timeout",
            "pool_timeout",
            "read_timeout",
            "write_timeout",
        ):
            value = getattr(self, name)
            if value is None:
                continue
            if name == "timeout" and hasattr(value, "total"):
                self._spread(value)
            elif isinstance(value, bool) or not isinstance(value, (int, float)):
                raise InvalidRequest(f"{name} must be a number of seconds or None, not {value!r}")
            elif not value > 0:
                raise InvalidRequest(f"{name} must be more than 0 seconds, not {value!r}")
        for name in ("max_redirects", "max_body", "max_decompressed"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 0):
                raise InvalidRequest(f"{name} must be 0 or more, not {value!r}")
        if isinstance(self.retries, int) and self.retries < 0:
            raise InvalidRequest(f"retries must be 0 or more, not {self.retries!r}")
        if self.stream and self.callback is not None:
            raise TypeError("stream and callback exclude each other")
        if self.detect_encoding:
            from .charsets import detector

            detector()  # a missing extra shows now, not when the answer is there

    def _spread(self, limits: Any) -> None:
        """A `Timeouts` value says all phases at once; a phase given by name overrules it."""
        self.timeout = limits.total
        for name, value in (
            ("pool_timeout", limits.pool),
            ("connection_timeout", limits.connect),
            ("read_timeout", limits.read),
            ("write_timeout", limits.write),
        ):
            setattr(self, name, value)


_DEFAULTS: tuple[tuple[str, Any], ...] = tuple(
    {
        "auth": None,
        "auth_off_domain": False,
        "callback": None,
        "connection_timeout": DEFAULT_CONNECT_TIMEOUT,
        "cookies": None,
        "data": None,
        "decompress": True,
        "detect_encoding": False,
        "encoding": None,
        "expect_continue": False,
        "files": None,
        "follow_redirects": None,
        "headers": None,
        "json": None,
        "json_dumps": None,
        "json_loads": None,
        "max_body": None,
        "max_decompressed": 1 << 30,
        "max_ratio": None,
        "max_redirects": 20,
        "mimetype": None,
        "multipart": None,
        "on_event": None,
        "params": None,
        "path": "",
        "persist_cookies": None,
        "pool_timeout": None,
        "raw_url": False,
        "read_timeout": DEFAULT_READ_TIMEOUT,
        "retries": 1,
        "secret_headers": (),
        "stream": False,
        "timeout": None,
        "write_timeout": DEFAULT_READ_TIMEOUT,
    }.items()
)
_NAMES = frozenset(name for name, _ in _DEFAULTS)

# What makes sense for one request only, never as the default of a session.
ONE_REQUEST_ONLY = frozenset({"data", "json", "files", "headers", "multipart", "path", "callback"})
SESSION_DEFAULTS = _NAMES - ONE_REQUEST_ONLY


def unexpected(function: str, names: Iterable[str]) -> TypeError:
    """The error for keyword arguments that nobody knows, in the words of asks."""
    listed = ", ".join(repr(name) for name in sorted(names))
    return TypeError(f"{function}() got unexpected keyword arguments {listed}")
