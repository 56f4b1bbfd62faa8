"""Create routes from the options of the session, of the request and of the environment.

- Options of the request take precedence over those of the session, and a proxy that is given over
  one from the environment.
- With several proxies, of the session or of a request, each request uses one of a `ProxyPool`.
  Equal lists share one pool.
- TLS options of a request apply to that request only.
- Most requests have no such options, so their route is looked up, not created.

Nothing is opened here, and `ssl` is not imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from .dns_cache import literal_address
from .proxies import EnvironmentProxies, Proxy, as_proxy, with_credentials
from .proxy_pool import KeyedProxies, ProxyPool
from .route import SECURE_SCHEMES, Route
from .tls_settings import TlsSettings, make_tls_settings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from .dns_cache import DnsCache

__all__ = ["UNSET", "RouteBuilder"]


class _Unset:
    """The value of an option that was not given, because None is a valid value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Any = _Unset()

_MAX_ROUTES = 4096
_MAX_POOLS = 64
_TLS_OPTIONS = ("verify", "cert", "ssl_context", "fingerprint", "min_tls_version")
_OVERRIDES = frozenset(
    {*_TLS_OPTIONS, "proxy", "resolver", "server_hostname", "source_address", "unix_socket"}
)


class RouteBuilder:
    """Creates and caches the routes of one session.

    `dns_cache_for` returns the `DnsCache` for a `resolver=` of a request. The other arguments are
    the options of the session.
    """

    def __init__(
        self,
        *,
        dns_cache_for: Callable[[Any], DnsCache],
        verify: bool | str | os.PathLike[str] = True,
        cert: Any = None,
        ssl_context: Any = None,
        fingerprint: str | bytes | Iterable[str | bytes] | None = None,
        min_tls_version: str | ssl.TLSVersion | None = None,
        server_hostname: str | None = None,
        proxy: Any = None,
        trust_env: bool = False,
        source_address: str | tuple[str, int] | None = None,
        unix_socket: str | bytes | os.PathLike[str] | None = None,
    ) -> None:
        self._dns_cache_for = dns_cache_for
        self._tls_options = {
            "verify": verify,
            "cert": cert,
            "ssl_context": ssl_context,
            "fingerprint": fingerprint,
            "min_tls_version": min_tls_version,
        }
        self._tls = make_tls_settings(**self._tls_options)
        self._server_hostname = server_hostname
        self._source_address = _as_source(source_address)
        self._unix_socket = _as_path(unix_socket)
        self._pools: dict[tuple[Any, ...], ProxyPool] = {}  # those of lists
        self._pool = self._as_pool(proxy)
        self._proxy = None if self._pool is not None else as_proxy(proxy)
        if proxy is not None and unix_socket is not None:
            raise InvalidRequest("unix_socket= and proxy= exclude each other")
        self._environment = EnvironmentProxies() if trust_env and proxy is None else None
        self._cache: dict[Any, Route] = {}

    def __repr__(self) -> str:
        proxy = self._proxy or "no proxy" if self._pool is None else self._pool.pool
        return f"<RouteBuilder {len(self._cache)} cached, {proxy}>"

    def proxy_pool(self, proxy: Any = UNSET) -> KeyedProxies | None:
        """Return the pool of a request, given its `proxy=`; None for one proxy or none."""
        return self._pool if proxy is UNSET else self._as_pool(proxy)

    def _as_pool(self, proxy: Any) -> KeyedProxies | None:
        if isinstance(proxy, KeyedProxies):
            return proxy
        if isinstance(proxy, ProxyPool):
            return KeyedProxies(proxy, None)
        if isinstance(proxy, str) or not isinstance(proxy, Sequence):
            return None
        key = tuple(proxy)
        try:
            found = self._pools.get(key)
        except TypeError:  # something in it is no proxy, which `ProxyPool` reports
            found = None
        if found is None:
            # Only the status 407 is certainly that of the proxy, not of the origin.
            found = ProxyPool(key, ban_statuses=(407,))
            if len(self._pools) >= _MAX_POOLS:
                del self._pools[next(iter(self._pools))]
            self._pools[key] = found
        return KeyedProxies(found, None)

    def with_proxy_credentials(self, route: Route, credentials: str) -> Route:
        """See `Connector.with_proxy_credentials`."""
        proxy = route.proxy
        if proxy is None or proxy.is_socks:
            raise InvalidRequest(
                f"Proxy-Authorization needs an HTTP proxy, and the request to {route.origin} has "
                "none: the field would reach the server; set proxy="
            )
        key = (route, credentials)
        new_route = self._cache.get(key)
        if new_route is None:
            new_route = replace(route, proxy=with_credentials(proxy, credentials))
            self._store(key, new_route)
        return new_route

    def route_for(self, scheme: str, host: str, port: int, **overrides: Any) -> Route:
        """See `Connector.route_for`."""
        key: Any = (scheme, host, port)
        several = self.proxy_pool(overrides.get("proxy", UNSET))
        if several is not None:
            overrides["proxy"] = several.pool.next(host)
        if overrides:
            overrides = {name: value for name, value in overrides.items() if value is not UNSET}
            unknown = overrides.keys() - _OVERRIDES
            if unknown:
                raise TypeError(f"unknown connection options: {', '.join(sorted(unknown))}")
            key = (*key, *sorted(overrides.items(), key=_option_name))
        try:
            route = self._cache.get(key)
        except TypeError:  # an unhashable value, such as a list of fingerprints
            return self._new_route(scheme, host, port, overrides)
        if route is None:
            route = self._new_route(scheme, host, port, overrides)
            self._store(key, route)
        return route

    def _store(self, key: Any, route: Route) -> None:
        if len(self._cache) >= _MAX_ROUTES:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = route

    def _new_route(self, scheme: str, host: str, port: int, overrides: dict[str, Any]) -> Route:
        tls = self._tls_for(overrides)
        unix_socket = self._unix_socket
        if "unix_socket" in overrides:
            unix_socket = _as_path(overrides["unix_socket"])
        proxy = None
        if "proxy" in overrides:
            proxy = as_proxy(overrides["proxy"])
            if proxy is not None and unix_socket is not None:
                raise InvalidRequest("unix_socket= and proxy= exclude each other")
        elif unix_socket is None:
            proxy = self._proxy
            if self._environment is not None:
                proxy = self._environment.proxy_for(scheme, host, port)
        source = self._source_address
        if "source_address" in overrides:
            source = _as_source(overrides["source_address"])
        name = resolver = None
        if scheme in SECURE_SCHEMES:
            name = overrides.get("server_hostname", self._server_hostname)
        if overrides.get("resolver") is not None:
            resolver = self._dns_cache_for(overrides["resolver"])
        return Route(
            scheme,
            host,
            port,
            proxy=proxy,
            proxy_tls=_proxy_tls(proxy, tls),
            tls=tls if scheme in SECURE_SCHEMES else None,
            server_hostname=name,
            source_address=source,
            unix_socket=unix_socket,
            resolver=resolver,
        )

    def _tls_for(self, overrides: dict[str, Any]) -> TlsSettings:
        given = {name: overrides[name] for name in _TLS_OPTIONS if name in overrides}
        if not given:
            return self._tls
        wanted = self._tls_options | given
        # An ssl_context of the request replaces verify and cert of the session, and vice versa.
        if given.get("ssl_context") is not None:
            wanted["verify"] = given.get("verify", True)
            wanted["cert"] = given.get("cert")
            wanted["min_tls_version"] = given.get("min_tls_version")
        elif given.keys() & {"verify", "cert", "min_tls_version"}:
            wanted["ssl_context"] = None
        return make_tls_settings(**wanted)


def _proxy_tls(proxy: Proxy | None, tls: TlsSettings) -> TlsSettings | None:
    """Return the TLS settings for an https proxy, None for another one.

    These are its own, or those of the origin without client certificate and fingerprints.
    """
    if proxy is None or proxy.scheme != "https":
        return None
    return proxy.tls or TlsSettings(
        verify=tls.verify, context=tls.context, min_version=tls.min_version
    )


def _option_name(item: tuple[str, Any]) -> str:
    return item[0]


def _as_path(path: str | bytes | os.PathLike[str] | None) -> str | bytes | None:
    if path is None:
        return None
    if not isinstance(path, (str, bytes, os.PathLike)) or not path:
        raise InvalidRequest(f"unix_socket= must be the path of a socket, not {path!r}")
    return os.fspath(path)


def _as_source(source: str | tuple[str, int] | None) -> tuple[str, int] | None:
    if source is None:
        return None
    host, port = (source, 0) if isinstance(source, str) else source
    if literal_address(host, 0) is None or not 0 <= port <= 65535:
        raise InvalidRequest(
            f"source_address= must be an IP address of this machine, or (address, port), "
            f"not {source!r}"
        )
    return (host, port)
