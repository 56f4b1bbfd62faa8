"""`Route`: everything that distinguishes one connection from another, and the key of the pool.

That is the origin, the proxy with its credentials, the TLS settings, the name to verify, the local
address, the Unix socket and the resolver. Two requests share a connection only if their routes are
equal. So nothing that is sent with one certificate, proxy or password is ever sent with another.
A route is a value; its hash is computed once. Its repr shows no password and no key.

Routes are created by `route_builder`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .tls_settings import TlsSettings

if TYPE_CHECKING:
    from .dns_cache import DnsCache
    from .proxies import Proxy


__all__ = ["SECURE_SCHEMES", "Route"]

SECURE_SCHEMES = frozenset({"https", "wss"})


@dataclass(frozen=True, slots=True)
class Route:
    """The route to one origin. Created by `Connector.route_for`.

    Attributes:
        scheme: of the origin.
        host: of the origin, lower-case ASCII or an IP address without brackets.
        port: of the origin.
        proxy: None for a direct connection.
        proxy_tls: None unless the proxy is an https proxy.
        tls: None for plain http only.
        server_hostname: the name for SNI and verification if it is not `host`.
        source_address: the local IP address and port.
        unix_socket: the path of a Unix socket.
        resolver: compared by identity.
        is_forward_proxy: whether an HTTP proxy forwards the requests. Then the request line has
            the absolute URL, and the header fields for the proxy are sent with each request.
    """

    scheme: str
    host: str
    port: int
    proxy: Proxy | None = None
    proxy_tls: TlsSettings | None = None
    tls: TlsSettings | None = None
    server_hostname: str | None = None
    source_address: tuple[str, int] | None = None
    unix_socket: str | bytes | None = None
    resolver: DnsCache | None = None
    is_forward_proxy: bool = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        proxy = self.proxy
        is_forward = proxy is not None and not proxy.is_socks and self.scheme not in SECURE_SCHEMES
        object.__setattr__(self, "is_forward_proxy", is_forward)
        key = (
            self.scheme,
            self.host,
            self.port,
            proxy,
            self.proxy_tls,
            self.tls,
            self.server_hostname,
            self.source_address,
            self.unix_socket,
            self.resolver,
        )
        object.__setattr__(self, "_hash", hash(key))

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        parts = [repr(self.origin)]
        if self.proxy is not None:
            parts.append(f"{'forwarded by' if self.is_forward_proxy else 'through'} {self.proxy}")
        if self.unix_socket is not None:
            parts.append(f"on {self.unix_socket!r}")
        if self.tls is not None and self.tls != TlsSettings():
            parts.append(repr(self.tls))
        return f"<Route {' '.join(parts)}>"

    @property
    def authority(self) -> str:
        """`host:port`, an IPv6 address in brackets: the target of CONNECT (RFC 9112 §3.2.3)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The origin as errors and logs show it."""
        return f"{self.scheme}://{self.authority}"

    @property
    def proxy_headers(self) -> tuple[tuple[str, str], ...]:
        """The header fields for a proxy that forwards requests; else empty.

        They lack Digest credentials, which differ for each request: see `Connector.proxy_headers`.
        """
        return (
            self.proxy.headers_to_send() if self.is_forward_proxy and self.proxy is not None else ()
        )
