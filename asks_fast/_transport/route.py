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

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest

if TYPE_CHECKING:
    import ssl

    from .dns_cache import DnsCache
    from .proxies import Proxy

    Cert = str | os.PathLike[str] | tuple[Any, ...]
    SocketOption = tuple[int, int, int | bytes]

__all__ = ["SECURE_SCHEMES", "Route", "TlsSettings", "make_tls_settings"]

_FINGERPRINT_BYTES = 32  # SHA-256; shorter digests can be forged
SECURE_SCHEMES = frozenset({"https", "wss"})


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How the peer proves who it is, and how we do; made by `make_tls_settings`.

    `verify` is True (system store), False (nothing is checked), the word `"truststore"`, or the
    path of a CA file or folder that *replaces* the system store. `cert` is the client certificate
    as (certificate file, key file or None, password or None). `context` overrules both.
    `fingerprints` are SHA-256 digests, one of which the peer's certificate must have.
    """

    verify: bool | str = True
    cert: tuple[str, str | None, Any] | None = None
    context: ssl.SSLContext | None = None
    fingerprints: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        said = [f"verify={self.verify!r}"]
        if self.cert is not None:
            said.append(f"cert={self.cert[0]!r}")
        if self.context is not None:
            said.append("ssl_context=…")
        if self.fingerprints:
            said.append(f"{len(self.fingerprints)} fingerprint(s)")
        return f"<TlsSettings {' '.join(said)}>"


def _as_cert(cert: Cert) -> tuple[str, str | None, Any]:
    if isinstance(cert, (str, os.PathLike)):
        return (os.fspath(cert), None, None)
    if not isinstance(cert, (tuple, list)) or not 1 <= len(cert) <= 3:
        raise InvalidRequest(
            "cert= takes a path, or (certificate path, key path), or those two and a password"
        )
    padded: tuple[Any, ...] = (*cert, None, None)
    certificate, key, password = padded[:3]
    return (os.fspath(certificate), None if key is None else os.fspath(key), password)


def _as_fingerprint(value: str | bytes) -> bytes:
    if isinstance(value, str):
        text = value.removeprefix("sha256:").replace(":", "").replace(" ", "")
        try:
            value = bytes.fromhex(text)
        except ValueError:
            raise InvalidRequest(
                "fingerprint= takes a SHA-256 digest as 64 hexadecimal digits"
            ) from None
    if len(value) != _FINGERPRINT_BYTES:
        raise InvalidRequest(
            f"fingerprint= takes a SHA-256 digest of {_FINGERPRINT_BYTES} bytes, "
            f"this one has {len(value)}"
        )
    return bytes(value)


def make_tls_settings(
    verify: bool | str | os.PathLike[str] = True,
    cert: Cert | None = None,
    ssl_context: ssl.SSLContext | None = None,
    fingerprint: str | bytes | Iterable[str | bytes] | None = None,
) -> TlsSettings:
    """The settings as a value, checked as far as that goes without opening a file.

    Raises `InvalidRequest` for a fingerprint that is no SHA-256 digest, for a `cert` of the wrong
    shape, and for `verify` or `cert` beside an `ssl_context`, which says all of that itself.
    """
    if not isinstance(verify, bool):
        if not isinstance(verify, (str, os.PathLike)) or not os.fspath(verify):
            raise InvalidRequest(f"verify= takes True, False or a path, not {verify!r}")
        verify = os.fspath(verify)
    if ssl_context is not None and (verify is not True or cert is not None):
        raise InvalidRequest(
            "ssl_context= already says what to verify and which certificate to show; "
            "leave verify= and cert= out"
        )
    prints: Iterable[str | bytes] = ()
    if fingerprint is not None:
        prints = [fingerprint] if isinstance(fingerprint, (str, bytes)) else fingerprint
    return TlsSettings(
        verify=verify,
        cert=None if cert is None else _as_cert(cert),
        context=ssl_context,
        fingerprints=tuple(_as_fingerprint(value) for value in prints),
    )


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
