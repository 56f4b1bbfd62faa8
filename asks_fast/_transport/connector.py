"""From a route to a connected socket, ready for the first byte of a request.

A `Connector` belongs to a session and holds what its connections need: names, contexts, TLS
sessions, logins at proxies.

Rules:  whatever fails is closed before the error leaves, cancellation and time-outs included. No
        timer is armed here but the one between two addresses: the time limit is the caller's.
        What a certificate file or an extra must provide is asked for before anything is opened.
        `ssl` is imported with the first https route only.
Not here: the pool, the exchange, the time limits, which route to take (routing.py).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from curio.traps import _io_release

from ..errors import ConnectionFailed, InvalidRequest, NameResolutionError, ProxyError
from .dns_cache import (
    DEFAULT_TTLS,
    DnsCache,
    StaticHosts,
    as_resolver,
    literal_address,
    shared_dns_cache,
    system_lookup,
)
from .happy_eyeballs import DELAY, connect_to_any
from .proxy_auth import ProxyAuthenticator
from .route import Route
from .route_builder import UNSET, RouteBuilder
from .sockets import SocketSettings, connect_unix
from .tls_settings import TlsSettings

if TYPE_CHECKING:
    import socket

    from .dns_cache import Resolver
    from .proxies import Proxy
    from .sockets import Address
    from .tls import TlsWrapper

    Trace = Callable[[str, float], None]

__all__ = ["UNSET", "Connector"]

_MOST_CONTEXTS = 64
_MOST_LOGINS_IN_A_ROW = 3


class Connector:
    """Makes connections for one session. All options by keyword; none opens anything yet.

    Names: `resolver` (async function `host -> addresses`, or an object with such a method
    `resolve`), `hosts` (name or `"name:port"` → address or addresses), `dns_ttl` and
    `dns_negative_ttl` (seconds). Sockets: `source_address` (IP, or `(IP, port)`),
    `socket_options` (`(level, option, value)` each), `keepalive` (seconds of silence before the
    first probe, None for no probes), `unix_socket` (path), `happy_eyeballs_delay` (seconds).
    TLS: `verify`, `cert`, `ssl_context`, `fingerprint`, `min_tls_version`, `server_hostname`.
    Proxies: `proxy` (URL, `Proxy`, or a list of them to be taken in turn), `trust_env`.
    Raises `InvalidRequest` for options that cannot be right.
    """

    def __init__(
        self,
        *,
        socket_options: Iterable[tuple[int, int, int | bytes]] = (),
        keepalive: float | None = 60.0,
        resolver: Any = None,
        hosts: Mapping[str, str | Iterable[str]] | None = None,
        dns_ttl: float = DEFAULT_TTLS[0],
        dns_negative_ttl: float = DEFAULT_TTLS[1],
        happy_eyeballs_delay: float = DELAY,
        **route_options: Any,
    ) -> None:
        self._routes = RouteBuilder(dns_cache_for=self._names_for, **route_options)
        self._tcp_options = SocketSettings(keepalive, tuple(socket_options)).tcp_options()
        if not happy_eyeballs_delay >= 0:
            raise InvalidRequest("happy_eyeballs_delay= takes seconds, 0 or more")
        self._delay = happy_eyeballs_delay
        self._hosts = StaticHosts(hosts)
        self._ttls = (dns_ttl, dns_negative_ttl)
        if resolver is not None:
            self._names = self._new_names(as_resolver(resolver))
        elif self._ttls != DEFAULT_TTLS:
            self._names = self._new_names(system_lookup)
        else:
            self._names = shared_dns_cache()
        self._resolvers: dict[Any, DnsCache] = {}
        self._logins = ProxyAuthenticator()
        self._securities: dict[TlsSettings, TlsWrapper] = {}
        self._sessions: Any = None

    def __repr__(self) -> str:
        return f"<Connector {self._routes!r} {self._names!r}>"

    # -- routes

    def has_proxy_rotation(self, **overrides: Any) -> bool:
        """Whether one origin's route differs from request to request (a list of proxies).

        `overrides` are the request's own, as in `route_for`.
        """
        return self._routes.has_proxy_rotation(overrides.get("proxy", UNSET))

    def route_for(self, scheme: str, host: str, port: int, **overrides: Any) -> Route:
        """The route to an origin; the same object for the same arguments, unless it `rotates`.

        `host` is lower-case ASCII, or an IP address without brackets. `overrides` are one
        request's own `verify`, `cert`, `ssl_context`, `fingerprint`, `server_hostname`, `proxy`,
        `source_address`, `unix_socket` and `resolver`; leave out (or `UNSET`) what is not given.
        Raises `InvalidRequest`, and `TypeError` for an unknown name. Waits for nothing.
        """
        return self._routes.route_for(scheme, host, port, **overrides)

    def with_proxy_credentials(self, route: Route, credentials: str) -> Route:
        """The route with a `Proxy-Authorization` of the request's own, for its HTTP proxy alone.

        Raises `InvalidRequest` where there is none, since it would go to somebody else.
        """
        return self._routes.with_proxy_credentials(route, credentials)

    def proxy_headers(self, route: Route, method: str, url: str) -> tuple[tuple[str, str], ...]:
        """The fields that go with this request to the proxy of a `forward` route.

        `url` is the absolute target as it stands in the request line. Empty on any other route.
        """
        if not route.is_forward_proxy or route.proxy is None:
            return ()
        return self._logins.headers(route.proxy, method, url)

    async def handle_proxy_challenge(
        self,
        route: Route,
        method: str,
        url: str,
        sent: Iterable[tuple[str, str]],
        answer: Iterable[tuple[str, str]],
    ) -> bool:
        """Take in the 407 that a proxy gave to a request on a `forward` route.

        `sent` is what `proxy_headers` gave for the request, `answer` the fields of the 407. True
        means: send the request once more, with `proxy_headers` asked for anew. False means that
        there is nothing better to say: the 407 is the caller's.
        """
        if not route.is_forward_proxy or route.proxy is None:
            return False
        return await self._logins.handle_challenge(route.proxy, method, url, sent, answer)

    # -- connections

    async def connect(self, route: Route, *, on_step: Trace | None = None) -> Any:
        """A connection along `route`: connected, TLS done, non-blocking, nobody else's.

        Returns a `socket.socket`, an `ssl.SSLSocket`, or an object with their non-blocking
        `recv_into`, `send`, `pending`, `close` and `fileno`. `on_step` is called with the name of
        each step done (`"resolved"`, `"connected"`, `"tunnel_established"`, `"tls"`, the latter for the
        TLS with an https proxy too) and
        `time.monotonic()`. Raises `ConnectionFailed` and its kinds (`NameResolutionError`,
        `ProxyError`, `TlsError`, `CertificateError`), and `InvalidRequest` for files or extras
        that are missing. Cancelled at any point, it leaves nothing open.
        """
        secure = None
        if route.tls is not None:
            peer = route.origin
            secure = self._tls_wrapper(route.tls, route.server_hostname or route.host, route, peer)
        if route.proxy is not None:
            sock = await self._reach_through(route, route.proxy, on_step)
        elif route.unix_socket is not None:
            sock = await self._reach_unix(route, on_step)
        else:
            sock = await self._reach(route, route.host, route.port, route.origin, on_step)
        if secure is not None:
            sock = await secure(sock)
            if on_step is not None:
                on_step("tls", time.monotonic())
        return sock

    async def _reach(
        self, route: Route, host: str, port: int, target: str, on_step: Trace | None
    ) -> socket.socket:
        addresses = await self._addresses(route, host, port)
        if on_step is not None:
            on_step("resolved", time.monotonic())
        sock = await connect_to_any(
            addresses,
            options=self._tcp_options,
            source_address=route.source_address,
            delay=self._delay,
            target=target,
        )
        if on_step is not None:
            on_step("connected", time.monotonic())
        return sock

    async def _reach_unix(self, route: Route, on_step: Trace | None) -> socket.socket:
        assert route.unix_socket is not None
        try:
            sock = await connect_unix(route.unix_socket)
        except OSError as error:
            raise ConnectionFailed(
                f"could not connect to {route.origin} on the Unix socket {route.unix_socket!r}: "
                f"{error.strerror or error}"
            ) from error
        if on_step is not None:
            on_step("connected", time.monotonic())
        return sock

    # -- through proxies

    async def _reach_through(self, route: Route, proxy: Proxy, on_step: Trace | None) -> Any:
        if proxy.is_socks:
            return await self._reach_through_socks(route, proxy, on_step)
        if route.is_forward_proxy:
            return await self._reach_proxy(route, proxy, on_step)
        from . import http_tunnel

        logins = 0
        while True:
            logins += 1
            sock = await self._reach_proxy(route, proxy, on_step)
            try:
                headers = self._logins.headers(proxy, "CONNECT", route.authority)
                reply = await http_tunnel.open_tunnel(sock, route.authority, headers, str(proxy))
                if reply.status_code < 300:
                    if on_step is not None:
                        on_step("tunnel_established", time.monotonic())
                    tunnelled, sock = sock, None
                    return tunnelled
            finally:
                if sock is not None:
                    await _io_release(sock)
                    sock.close()
            if (
                logins == _MOST_LOGINS_IN_A_ROW
                or reply.status_code != 407
                or not await self._logins.handle_challenge(
                    proxy, "CONNECT", route.authority, headers, reply.headers
                )
            ):
                raise http_tunnel.refusal(str(proxy), route.authority, reply)

    async def _reach_through_socks(self, route: Route, proxy: Proxy, on_step: Trace | None) -> Any:
        from . import socks

        socks.require_python_socks()
        host = route.host
        if proxy.scheme in ("socks4", "socks5"):
            host = await self._one_address(route, only_v4=proxy.scheme == "socks4")
        sock = await self._reach_proxy(route, proxy, on_step)
        try:
            await socks.open_socks_tunnel(sock, proxy, host, route.port)
        except BaseException:
            await _io_release(sock)
            sock.close()
            raise
        if on_step is not None:
            on_step("tunnel_established", time.monotonic())
        return sock

    async def _reach_proxy(self, route: Route, proxy: Proxy, on_step: Trace | None) -> Any:
        secure = None
        if route.proxy_tls is not None:
            key = (proxy, route.proxy_tls)
            secure = self._tls_wrapper(route.proxy_tls, proxy.host, key, f"the proxy {proxy}")
        try:
            sock: Any = await self._reach(route, proxy.host, proxy.port, str(proxy), on_step)
        except ConnectionFailed as error:
            raise ProxyError(f"the proxy cannot be reached: {error}") from error
        if secure is not None:
            sock = await secure(sock)
            if on_step is not None:
                on_step("tls", time.monotonic())
        return sock

    # -- names and contexts

    async def _addresses(self, route: Route, host: str, port: int) -> list[Address]:
        literal = literal_address(host, port)
        if literal is not None:
            return [literal]
        found = self._hosts.find(host, port) if self._hosts else None
        if found is None:
            names = self._names if route.resolver is None else route.resolver
            found = await names.resolve(host)
        return [address for text in found if (address := literal_address(text, port)) is not None]

    async def _one_address(self, route: Route, *, only_v4: bool) -> str:
        for _, target in await self._addresses(route, route.host, route.port):
            if not only_v4 or ":" not in target[0]:
                return target[0]
        raise NameResolutionError(f"{route.host!r} has no IPv4 address, and SOCKS4 knows no other")

    def _names_for(self, resolver: Any) -> DnsCache:
        names = self._resolvers.get(resolver)
        if names is None:
            names = self._resolvers[resolver] = self._new_names(as_resolver(resolver))
        return names

    def _new_names(self, lookup: Resolver) -> DnsCache:
        ttl, negative_ttl = self._ttls
        return DnsCache(lookup, ttl=ttl, negative_ttl=negative_ttl)

    def _tls_wrapper(
        self, settings: TlsSettings, host: str, key: Hashable, peer: str
    ) -> Callable[[Any], Awaitable[Any]]:
        """What puts TLS on a socket; all that can be wrong beforehand is raised here."""
        from . import tls

        name = tls.tls_name(host)
        security = self._securities.get(settings)
        if security is None:
            if self._sessions is None:
                self._sessions = tls.SessionCache()
            security = tls.TlsWrapper(settings, self._sessions)
            if len(self._securities) >= _MOST_CONTEXTS:
                del self._securities[next(iter(self._securities))]
            self._securities[settings] = security
        return partial(security.wrap, name=name, key=key, peer=peer)
