"""Open a connection along a route, ready for the first byte of a request.

A `Connector` belongs to a session. It holds the DNS cache, TLS contexts, TLS sessions and the state
of proxy authentication.

- Every failure closes the socket before the error is raised, cancellation and time-outs included.
- The timers here are the delay between two addresses and the limit for name resolution; the caller
  applies the limit for all of it.
- A certificate file that is missing is reported before a socket is opened.
- `ssl` is imported with the first https route only.

The pool, the exchange and the time limits are implemented in `transport` and `_hotpath`, the choice
of a route in `route_builder`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from curio.errors import TaskTimeout

from .._curio import io_release
from .._deadlines import timeout_after
from ..errors import (
    ConnectionFailed,
    DnsTimeout,
    InvalidRequest,
    NameResolutionError,
    ProxyError,
    TlsError,
)
from .dns_cache import (
    DEFAULT_TTLS,
    DnsCache,
    StaticHosts,
    as_resolver,
    literal_address,
    shared_dns_cache,
    system_lookup,
)
from .happy_eyeballs import ATTEMPT_DELAY, connect_to_any
from .proxy_auth import ProxyAuthenticator
from .route import Route
from .route_builder import UNSET, RouteBuilder
from .sockets import SocketSettings, connect_unix
from .tls_settings import TlsSettings

if TYPE_CHECKING:
    import socket

    from .dns_cache import Resolver
    from .proxies import Proxy
    from .proxy_pool import KeyedProxies
    from .sockets import Address
    from .tls import TlsWrapper

    OnStep = Callable[[str, float], None]

__all__ = ["UNSET", "Connector"]

_MAX_CONTEXTS = 64
_MAX_TUNNEL_ATTEMPTS = 3


class _ConnectSteps:
    """Reports the steps of opening one connection, and applies the limit for name resolution."""

    __slots__ = ("_dns_timeout", "_on_step")

    def __init__(self, on_step: OnStep | None, dns_timeout: float | None) -> None:
        self._on_step = on_step
        self._dns_timeout = dns_timeout

    def report(self, name: str) -> None:
        """Report a step that is complete."""
        if self._on_step is not None:
            self._on_step(name, time.monotonic())

    async def resolve(self, cache: DnsCache, host: str) -> tuple[str, ...]:
        """Return the addresses of `host`. Raises `DnsTimeout` and `NameResolutionError`."""
        limit = self._dns_timeout
        if limit is None:
            return await cache.resolve(host)
        started = time.monotonic()
        try:
            return await timeout_after(limit, cache.resolve(host))
        except TaskTimeout:
            elapsed = time.monotonic() - started
            raise DnsTimeout(
                f"could not resolve {host!r} within dns_timeout={limit:g} s ({elapsed:.3f} s)",
                limit,
                host=host,
                elapsed=elapsed,
            ) from None


class Connector:
    """Open the connections of one session. Creating one opens nothing.

    Args:
        socket_options: `(level, option, value)` tuples for `setsockopt`.
        keepalive: seconds without data before the first TCP keepalive probe; None sends none.
        resolver: an async function `host -> addresses`, or an object with such a method `resolve`.
        hosts: maps a name, or `"name:port"`, to an IP address or several.
        dns_ttl: seconds that an answer is cached.
        dns_negative_ttl: seconds that a failed resolution is cached.
        happy_eyeballs_delay: seconds before the next address is tried as well.
        **route_options: `verify`, `cert`, `ssl_context`, `fingerprint`, `min_tls_version`,
            `server_hostname`, `proxy` (URL, `Proxy`, `ProxyPool`, or a list), `trust_env`,
            `source_address` (IP, or `(IP, port)`) and `unix_socket` (path).

    Raises:
        InvalidRequest: an option has an invalid value.
    """

    def __init__(
        self,
        *,
        socket_options: Iterable[tuple[int, int, int | bytes]] = (),
        keepalive: float | None = 60.0,
        resolver: object = None,
        hosts: Mapping[str, str | Iterable[str]] | None = None,
        dns_ttl: float = DEFAULT_TTLS[0],
        dns_negative_ttl: float = DEFAULT_TTLS[1],
        happy_eyeballs_delay: float = ATTEMPT_DELAY,
        **route_options: Any,
    ) -> None:
        self._routes = RouteBuilder(dns_cache_for=self._dns_cache_for, **route_options)
        self._tcp_options = SocketSettings(keepalive, tuple(socket_options)).tcp_options()
        if not happy_eyeballs_delay >= 0:
            raise InvalidRequest("happy_eyeballs_delay= takes seconds, 0 or more")
        self._delay = happy_eyeballs_delay
        self._hosts = StaticHosts(hosts)
        self._ttls = (dns_ttl, dns_negative_ttl)
        if resolver is not None:
            self._dns_cache = self._new_dns_cache(as_resolver(resolver))
        elif self._ttls != DEFAULT_TTLS:
            self._dns_cache = self._new_dns_cache(system_lookup)
        else:
            self._dns_cache = shared_dns_cache()
        self._resolvers: dict[Any, DnsCache] = {}
        self._proxy_auth = ProxyAuthenticator()
        self._tls_wrappers: dict[TlsSettings, TlsWrapper] = {}
        self._tls_sessions: Any = None

    def __repr__(self) -> str:
        return f"<Connector {self._routes!r} {self._dns_cache!r}>"

    # -- routes

    def proxy_pool(self, **overrides: Any) -> KeyedProxies | None:
        """Return the pool of proxies of a request, None if it has a single proxy or none.

        `overrides` are the options of the request, as in `route_for`.
        """
        return self._routes.proxy_pool(overrides.get("proxy", UNSET))

    def route_for(self, scheme: str, host: str, port: int, **overrides: Any) -> Route:
        """Return the route to an origin.

        The same arguments give the same object, unless there are several proxies. Does not block.

        Args:
            scheme: `"http"` or `"https"`.
            host: lower-case ASCII, or an IP address without brackets.
            port: the port of the origin.
            **overrides: the request's own `verify`, `cert`, `ssl_context`, `fingerprint`,
                `server_hostname`, `proxy`, `source_address`, `unix_socket` and `resolver`;
                `UNSET` stands for an option that was not given.

        Raises:
            InvalidRequest: an option has an invalid value.
            TypeError: an option is unknown.
        """
        return self._routes.route_for(scheme, host, port, **overrides)

    def with_proxy_credentials(self, route: Route, credentials: str) -> Route:
        """Return the route with the `Proxy-Authorization` that the request itself contains.

        Raises `InvalidRequest` if the route has no HTTP proxy: the field would reach the origin.
        """
        return self._routes.with_proxy_credentials(route, credentials)

    def proxy_headers(self, route: Route, method: str, url: str) -> tuple[tuple[str, str], ...]:
        """Return the header fields for the proxy that forwards this request.

        Empty if no proxy forwards it. `url` is the absolute URL of the request line.
        """
        if not route.is_forward_proxy or route.proxy is None:
            return ()
        return self._proxy_auth.headers(route.proxy, method, url)

    async def handle_proxy_challenge(
        self,
        route: Route,
        method: str,
        url: str,
        sent: Iterable[tuple[str, str]],
        answer: Iterable[tuple[str, str]],
    ) -> bool:
        """Process a 407 response of the proxy that forwards a request.

        Args:
            route: the route of the request.
            method: its method.
            url: the absolute URL of the request line.
            sent: what `proxy_headers` returned for the request.
            answer: the header fields of the 407 response.

        Returns:
            True if the request should be sent again, with new `proxy_headers`; False if there are
            no better credentials, so the 407 is the result.
        """
        if not route.is_forward_proxy or route.proxy is None:
            return False
        return await self._proxy_auth.handle_challenge(route.proxy, method, url, sent, answer)

    # -- connections

    async def connect(
        self,
        route: Route,
        *,
        on_step: OnStep | None = None,
        dns_timeout: float | None = None,
    ) -> Any:
        """Open a new connection along `route`, TLS included. If cancelled, it leaves nothing open.

        Args:
            route: from `route_for`.
            on_step: called after each step with its name (`"resolved"`, `"connected"`,
                `"tunnel_established"`, `"tls"`) and `time.monotonic()`. `"tls"` is reported for an
                https proxy too.
            dns_timeout: seconds for the resolution of each name, None for no limit.

        Returns:
            A `socket.socket`, an `ssl.SSLSocket`, or an object with their non-blocking
            `recv_into`, `send`, `pending`, `close` and `fileno`.

        Raises:
            ConnectionFailed: or a subclass: `NameResolutionError`, `ProxyError`, `TlsError`,
                `CertificateError`.
            DnsTimeout: `dns_timeout` expired.
            InvalidRequest: a file or an optional package is missing.
        """
        steps = _ConnectSteps(on_step, dns_timeout)
        wrap_tls = None
        if route.tls is not None:
            peer = route.origin
            wrap_tls = self._tls_wrapper(
                route.tls, route.server_hostname or route.host, route, peer
            )
        if route.proxy is not None:
            sock = await self._open_through_proxy(route, route.proxy, steps)
        elif route.unix_socket is not None:
            sock = await self._open_unix(route, steps)
        else:
            sock = await self._open_tcp(route, route.host, route.port, route.origin, steps)
        if wrap_tls is not None:
            sock = await wrap_tls(sock)
            steps.report("tls")
        return sock

    async def _open_tcp(
        self, route: Route, host: str, port: int, target: str, steps: _ConnectSteps
    ) -> socket.socket:
        addresses = await self._addresses(route, host, port, steps)
        steps.report("resolved")
        sock = await connect_to_any(
            addresses,
            options=self._tcp_options,
            source_address=route.source_address,
            delay=self._delay,
            target=target,
        )
        steps.report("connected")
        return sock

    async def _open_unix(self, route: Route, steps: _ConnectSteps) -> socket.socket:
        assert route.unix_socket is not None
        try:
            sock = await connect_unix(route.unix_socket)
        except OSError as error:
            raise ConnectionFailed(
                f"could not connect to {route.origin} on the Unix socket {route.unix_socket!r}: "
                f"{error.strerror or error}"
            ) from error
        steps.report("connected")
        return sock

    # -- through proxies

    async def _open_through_proxy(self, route: Route, proxy: Proxy, steps: _ConnectSteps) -> Any:
        if proxy.is_socks:
            return await self._open_through_socks(route, proxy, steps)
        if route.is_forward_proxy:
            return await self._open_to_proxy(route, proxy, steps)
        from . import http_tunnel

        attempts = 0
        while True:
            attempts += 1
            sock = await self._open_to_proxy(route, proxy, steps)
            try:
                headers = self._proxy_auth.headers(proxy, "CONNECT", route.authority)
                reply = await http_tunnel.open_tunnel(sock, route.authority, headers, str(proxy))
                if reply.status_code < 300:
                    steps.report("tunnel_established")
                    tunnel, sock = sock, None
                    return tunnel
            finally:
                if sock is not None:
                    await io_release(sock)
                    sock.close()
            if (
                attempts == _MAX_TUNNEL_ATTEMPTS
                or reply.status_code != 407
                or not await self._proxy_auth.handle_challenge(
                    proxy, "CONNECT", route.authority, headers, reply.headers
                )
            ):
                raise http_tunnel.refusal_error(str(proxy), route.authority, reply)

    async def _open_through_socks(self, route: Route, proxy: Proxy, steps: _ConnectSteps) -> Any:
        from . import socks

        host = route.host
        if proxy.scheme in ("socks4", "socks5"):
            host = await self._first_address(route, steps, only_v4=proxy.scheme == "socks4")
        sock = await self._open_to_proxy(route, proxy, steps)
        try:
            await socks.open_socks_tunnel(sock, proxy, host, route.port)
        except BaseException:
            await io_release(sock)
            sock.close()
            raise
        steps.report("tunnel_established")
        return sock

    async def _open_to_proxy(self, route: Route, proxy: Proxy, steps: _ConnectSteps) -> Any:
        wrap_tls = None
        if route.proxy_tls is not None:
            key = (proxy, route.proxy_tls)
            wrap_tls = self._tls_wrapper(route.proxy_tls, proxy.host, key, f"the proxy {proxy}")
        try:
            sock: Any = await self._open_tcp(route, proxy.host, proxy.port, str(proxy), steps)
        except ConnectionFailed as error:
            raise ProxyError(f"the proxy cannot be reached: {error}") from error
        if wrap_tls is not None:
            try:
                sock = await wrap_tls(sock)
            except TlsError as error:
                error.is_proxy = True
                raise
            steps.report("tls")
        return sock

    # -- name resolution and TLS contexts

    async def _addresses(
        self, route: Route, host: str, port: int, steps: _ConnectSteps
    ) -> list[Address]:
        literal = literal_address(host, port)
        if literal is not None:
            return [literal]
        found = self._hosts.find(host, port) if self._hosts else None
        if found is None:
            cache = self._dns_cache if route.resolver is None else route.resolver
            found = await steps.resolve(cache, host)
        return [address for text in found if (address := literal_address(text, port)) is not None]

    async def _first_address(self, route: Route, steps: _ConnectSteps, *, only_v4: bool) -> str:
        for _, target in await self._addresses(route, route.host, route.port, steps):
            if not only_v4 or ":" not in target[0]:
                return target[0]
        raise NameResolutionError(f"{route.host!r} has no IPv4 address, and SOCKS4 needs one")

    def _dns_cache_for(self, resolver: Any) -> DnsCache:
        cache = self._resolvers.get(resolver)
        if cache is None:
            cache = self._resolvers[resolver] = self._new_dns_cache(as_resolver(resolver))
        return cache

    def _new_dns_cache(self, lookup: Resolver) -> DnsCache:
        ttl, negative_ttl = self._ttls
        return DnsCache(lookup, ttl=ttl, negative_ttl=negative_ttl)

    def _tls_wrapper(
        self, settings: TlsSettings, host: str, key: Hashable, peer: str
    ) -> Callable[[Any], Awaitable[Any]]:
        """Return the function that adds TLS to a socket. Raises for settings that cannot work."""
        from . import tls

        name = tls.tls_name(host)
        wrapper = self._tls_wrappers.get(settings)
        if wrapper is None:
            if self._tls_sessions is None:
                self._tls_sessions = tls.SessionCache()
            wrapper = tls.TlsWrapper(settings, self._tls_sessions)
            if len(self._tls_wrappers) >= _MAX_CONTEXTS:
                del self._tls_wrappers[next(iter(self._tls_wrappers))]
            self._tls_wrappers[settings] = wrapper
        return partial(wrapper.wrap, name=name, key=key, peer=peer)
