"""From a route to a connected socket, ready for the first byte of a request.

A `Connector` belongs to a session: it holds the options of the session, turns an origin and a
request's own options into a `Route`, and connects along one.

Facts:  most sessions use one set of options, so a route is looked up, not made.
Rules:  whatever fails is closed before the error leaves, cancellation and time-outs included. No
        timer is armed here but the one between two addresses: the time limit is the caller's.
        `ssl` is imported with the first https route only.
Not here: the pool, the exchange, the time limits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConnectionFailed, InvalidRequest
from .eyeballs import DELAY, connect_to_any
from .names import (
    TTLS,
    Names,
    StaticHosts,
    as_lookup,
    literal_address,
    shared_names,
    system_lookup,
)
from .route import Route, TlsSettings, make_tls_settings
from .sockets import SocketSettings, connect_unix

if TYPE_CHECKING:
    import socket

    from .names import Lookup
    from .sockets import Address
    from .tls import Sessions

    Trace = Callable[[str, float], None]

__all__ = ["UNSET", "Connector"]


class _Unset:
    """The value of an option that was not given, where None is a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Any = _Unset()

_MOST_ROUTES = 4096
_MOST_CONTEXTS = 64
_OVERRIDES = frozenset(
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
_TLS_OPTIONS = ("verify", "cert", "ssl_context", "fingerprint")
_SECURE = frozenset({"https", "wss"})


class Connector:
    """Makes connections for one session. All options by keyword; none opens anything yet.

    Names: `resolver` (async function `host -> addresses`, or an object with such a method
    `resolve`), `hosts` (name or `"name:port"` → address or addresses), `dns_ttl` and
    `dns_negative_ttl` (seconds). Sockets: `source_address` (IP, or `(IP, port)`),
    `socket_options` (`(level, option, value)` each), `keepalive` (seconds of silence before the
    first probe, None for no probes), `unix_socket` (path), `happy_eyeballs_delay` (seconds).
    TLS: `verify`, `cert`, `ssl_context`, `fingerprint`, `server_hostname`. Proxies: `proxy`,
    `trust_env`. All that may also be given per request is listed at `route_for`.

    Raises `InvalidRequest` for options that cannot be right.
    """

    def __init__(
        self,
        *,
        verify: bool | str | os.PathLike[str] = True,
        cert: Any = None,
        ssl_context: Any = None,
        fingerprint: str | bytes | Iterable[str | bytes] | None = None,
        server_hostname: str | None = None,
        proxy: Any = None,
        trust_env: bool = False,
        source_address: str | tuple[str, int] | None = None,
        socket_options: Iterable[tuple[int, int, int | bytes]] = (),
        keepalive: float | None = 60.0,
        unix_socket: str | bytes | os.PathLike[str] | None = None,
        resolver: Any = None,
        hosts: Mapping[str, str | Iterable[str]] | None = None,
        dns_ttl: float = TTLS[0],
        dns_negative_ttl: float = TTLS[1],
        happy_eyeballs_delay: float = DELAY,
    ) -> None:
        self._options: dict[str, Any] = {
            "verify": verify,
            "cert": cert,
            "ssl_context": ssl_context,
            "fingerprint": fingerprint,
            "server_hostname": server_hostname,
            "source_address": _as_source(source_address),
            "unix_socket": _as_path(unix_socket),
        }
        self._tls = make_tls_settings(verify, cert, ssl_context, fingerprint)
        self._settings = SocketSettings(keepalive, tuple(socket_options))
        self._tcp_options = self._settings.tcp_options()
        if happy_eyeballs_delay < 0:
            raise InvalidRequest("happy_eyeballs_delay= takes seconds, 0 or more")
        self._delay = happy_eyeballs_delay
        self._hosts = StaticHosts(hosts)
        self._ttls = (dns_ttl, dns_negative_ttl)
        if resolver is not None:
            self._names = self._new_names(as_lookup(resolver))
        elif self._ttls != TTLS:
            self._names = self._new_names(system_lookup)
        else:
            self._names = shared_names()
        self._resolvers: dict[Any, Names] = {}
        self._routes: dict[Any, Route] = {}
        self._contexts: dict[TlsSettings, Any] = {}
        self._sessions: Sessions | None = None

    def __repr__(self) -> str:
        return f"<Connector {self._tls!r}, {len(self._routes)} routes>"

    # -- routes

    def route_for(self, scheme: str, host: str, port: int, **overrides: Any) -> Route:
        """The route to an origin; the same object for the same arguments.

        `host` is lower-case ASCII, or an IP address without brackets. `overrides` are one
        request's own `verify`, `cert`, `ssl_context`, `fingerprint`, `server_hostname`, `proxy`,
        `source_address`, `unix_socket` and `resolver`; leave out (or `UNSET`) what is not given.
        Raises `InvalidRequest`, and `TypeError` for an unknown name. Waits for nothing.
        """
        key: Any = (scheme, host, port)
        if overrides:
            overrides = {name: value for name, value in overrides.items() if value is not UNSET}
            unknown = overrides.keys() - _OVERRIDES
            if unknown:
                raise TypeError(f"unknown connection options: {', '.join(sorted(unknown))}")
            key = (*key, *sorted(overrides.items(), key=_first))
        try:
            route = self._routes.get(key)
        except TypeError:  # an unhashable value, such as a list of fingerprints
            return self._make_route(scheme, host, port, overrides)
        if route is None:
            route = self._make_route(scheme, host, port, overrides)
            if len(self._routes) >= _MOST_ROUTES:
                del self._routes[next(iter(self._routes))]
            self._routes[key] = route
        return route

    def _make_route(self, scheme: str, host: str, port: int, overrides: dict[str, Any]) -> Route:
        own = self._options
        unix_socket = own["unix_socket"]
        if "unix_socket" in overrides:
            unix_socket = _as_path(overrides["unix_socket"])
        source = own["source_address"]
        if "source_address" in overrides:
            source = _as_source(overrides["source_address"])
        tls = name = None
        if scheme in _SECURE:
            tls = self._tls_for(overrides)
            name = overrides.get("server_hostname", own["server_hostname"])
        return Route(
            scheme,
            host,
            port,
            tls=tls,
            server_hostname=name,
            source_address=source,
            socket_options=self._settings.options,
            unix_socket=unix_socket,
            resolver=self._names_of(overrides.get("resolver")),
        )

    def _tls_for(self, overrides: dict[str, Any]) -> TlsSettings:
        given = {name: overrides[name] for name in _TLS_OPTIONS if name in overrides}
        if not given:
            return self._tls
        wanted = {name: self._options[name] for name in _TLS_OPTIONS} | given
        # What a request says itself stands against the session's statement of another kind.
        if given.get("ssl_context") is not None:
            wanted["verify"] = given.get("verify", True)
            wanted["cert"] = given.get("cert")
        elif "verify" in given or "cert" in given:
            wanted["ssl_context"] = None
        return make_tls_settings(**wanted)

    def _names_of(self, resolver: Any) -> Names | None:
        if resolver is None:
            return None
        names = self._resolvers.get(resolver)
        if names is None:
            names = self._resolvers[resolver] = self._new_names(as_lookup(resolver))
        return names

    def _new_names(self, lookup: Lookup) -> Names:
        ttl, negative_ttl = self._ttls
        return Names(lookup, ttl=ttl, negative_ttl=negative_ttl)

    # -- connections

    async def connect(self, route: Route, *, trace: Trace | None = None) -> Any:
        """A connection along `route`: connected, TLS done, non-blocking, nobody else's.

        Returns a `socket.socket`, an `ssl.SSLSocket`, or an object with their non-blocking
        `recv_into`, `send`, `pending`, `close` and `fileno`. `trace` is called with the name of
        each step done (`"resolved"`, `"connected"`, `"tls"`) and `time.monotonic()`. Raises
        `ConnectionFailed` and its kinds (`NameResolutionError`, `ProxyError`, `TlsError`,
        `CertificateError`). Cancelled at any point, it leaves nothing open.
        """
        security = None if route.tls is None else self._prepare(route.tls)
        if route.unix_socket is not None:
            sock = await self._reach_unix(route)
        else:
            sock = await self._reach(route, route.host, route.port, route.origin, trace)
        if trace is not None:
            trace("connected", time.monotonic())
        if security is None:
            return sock
        tls, context, sessions = security
        name = tls.tls_name(route.server_hostname or route.host)
        secured = await tls.start_tls(
            sock, route.tls, context, name, sessions=sessions, key=route, peer=route.origin
        )
        if trace is not None:
            trace("tls", time.monotonic())
        return secured

    async def _reach(
        self, route: Route, host: str, port: int, target: str, trace: Trace | None
    ) -> socket.socket:
        addresses = await self._addresses(route, host, port)
        if trace is not None:
            trace("resolved", time.monotonic())
        return await connect_to_any(
            addresses,
            options=self._tcp_options,
            source_address=route.source_address,
            delay=self._delay,
            target=target,
        )

    async def _addresses(self, route: Route, host: str, port: int) -> list[Address]:
        literal = literal_address(host, port)
        if literal is not None:
            return [literal]
        found = self._hosts.find(host, port) if self._hosts else None
        if found is None:
            names = self._names if route.resolver is None else route.resolver
            found = await names.resolve(host)  # type: ignore[attr-defined]
        return [address for text in found if (address := literal_address(text, port)) is not None]

    async def _reach_unix(self, route: Route) -> socket.socket:
        assert route.unix_socket is not None
        try:
            return await connect_unix(route.unix_socket)
        except OSError as error:
            raise ConnectionFailed(
                f"could not connect to {route.origin} on the Unix socket {route.unix_socket!r}: "
                f"{error.strerror or error}"
            ) from error

    def _prepare(self, settings: TlsSettings) -> tuple[Any, Any, Sessions]:
        # Before anything is opened: files that are missing fail here.
        from . import tls

        tls.warn_once_if_unverified(settings)
        context = self._contexts.get(settings)
        if context is None:
            if len(self._contexts) >= _MOST_CONTEXTS:
                del self._contexts[next(iter(self._contexts))]
            context = self._contexts[settings] = tls.context_for(settings)
        if self._sessions is None:
            self._sessions = tls.Sessions()
        return tls, context, self._sessions


def _first(item: tuple[str, Any]) -> str:
    return item[0]


def _as_path(path: str | bytes | os.PathLike[str] | None) -> str | bytes | None:
    if path is None:
        return None
    if not isinstance(path, (str, bytes, os.PathLike)) or not path:
        raise InvalidRequest(f"unix_socket= takes the path of a socket, not {path!r}")
    return os.fspath(path)


def _as_source(source: str | tuple[str, int] | None) -> tuple[str, int] | None:
    if source is None:
        return None
    host, port = (source, 0) if isinstance(source, str) else source
    if literal_address(host, 0) is None or not 0 <= port <= 65535:
        raise InvalidRequest(
            f"source_address= takes an IP address of this machine, or (address, port); "
            f"not {source!r}"
        )
    return (host, port)
