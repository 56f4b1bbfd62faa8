"""What a connection is made of, and therefore who may use it again.

A `Route` says everything that distinguishes one connection from another: the origin, the proxy with
its credentials, the TLS settings, the name to verify, the local address, the Unix socket and the
resolver. It is the key of the connection pool.

Facts:  a route is a value; its hash is computed once, when it is made.
Rules:  two requests share a connection only if their routes are equal, so that nothing sent under
        one certificate, proxy or password ever travels under another (SECURITY 3.7). No
        password and no key shows in a repr.
Not here: `ssl`, sockets, names, parsing of proxy URLs.
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
    """The way to one origin, and the key of its connections; made by `Connector.route_for`.

    `tls` is None exactly for plain http, `proxy_tls` unless the proxy is an https one.
    `server_hostname` is the name to ask for and to verify where it is not `host`. `resolver` is
    compared by identity. `forward` is true where requests go to an HTTP proxy as they are: then
    the request line carries the absolute URL, and the proxy's fields go along, which nobody else
    may see.
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
        forward = proxy is not None and not proxy.is_socks and self.scheme not in SECURE_SCHEMES
        object.__setattr__(self, "is_forward_proxy", forward)
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
        said = [repr(self.origin)]
        if self.proxy is not None:
            said.append(f"{'forwarded by' if self.is_forward_proxy else 'through'} {self.proxy}")
        if self.unix_socket is not None:
            said.append(f"on {self.unix_socket!r}")
        if self.tls is not None and self.tls != TlsSettings():
            said.append(repr(self.tls))
        return f"<Route {' '.join(said)}>"

    @property
    def authority(self) -> str:
        """`host:port`, an IPv6 address in brackets: the target of CONNECT (RFC 9112 §3.2.3)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The origin for people: in errors and logs."""
        return f"{self.scheme}://{self.authority}"

    @property
    def proxy_headers(self) -> tuple[tuple[str, str], ...]:
        """Fields that go with each forwarded request, to the proxy alone; else empty.

        Without Digest credentials, which differ each time: `Connector.proxy_headers` has them too.
        """
        return (
            self.proxy.headers_to_send() if self.is_forward_proxy and self.proxy is not None else ()
        )
