"""Proxies: their URLs and the environment variables.

- The credentials of a proxy appear in no repr, log or error. They are part of its identity: two
  proxies with different passwords are different proxies.
- In a CGI process HTTP_PROXY is ignored, because the client of that process can set it (httpoxy,
  CVE-2016-5388).
- A name in `no_proxy` never matches an IP address.

Communication with the proxy is implemented in `http_tunnel` and `socks`, the choice among several
in `proxy_pool`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import InvalidRequest, InvalidURL, truncated_repr
from ..urls import DEFAULT_PORTS

if TYPE_CHECKING:
    import ssl

    from .._annotations import AnyArgument, Unchecked
    from .tls_settings import TlsSettings

__all__ = [
    "EnvironmentProxies",
    "Proxy",
    "as_proxy",
    "make_proxy",
    "with_credentials",
]

_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_NOT_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_IN_CREDENTIALS = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f]")
_NOT_IN_HOST = re.compile(r"[\x00-\x20\x7f\"#%/<>?@\\^`{|}]")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, as an immutable value. Use `Proxy.from_url` to create one.

    Attributes:
        scheme: `"http"`, `"https"`, `"socks4"`, `"socks4a"`, `"socks5"` or `"socks5h"`.
        host: a name or an IP address without brackets.
        port: its port.
        username: None without a login.
        password: None without one.
        headers: header fields that are sent to the proxy only.
        digest: if True, the password is never sent as Basic.
        tls: how an `https` proxy is verified; None means as the origin.
    """

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    digest: bool = False
    tls: TlsSettings | None = None

    @classmethod
    def from_url(cls, url: str, **options: AnyArgument) -> Proxy:
        """Create a proxy from a URL.

        Args:
            url: `scheme://user:password@host:port`; user and password are percent-encoded.
            **options: `headers`, `digest`, `verify` and `ssl_context`, as for `make_proxy`.

        Raises:
            InvalidURL: the URL is invalid. The text contains no credentials.
            InvalidRequest: an option has an invalid value.

        Example:
            >>> Proxy.from_url("http://jo:secret@proxy.example:3128")
            <Proxy 'http://***@proxy.example:3128'>
        """
        return make_proxy(url, **options)

    @property
    def is_socks(self) -> bool:
        """Whether this is a SOCKS proxy, which tunnels plain http too."""
        return self.scheme.startswith("socks")

    @property
    def url(self) -> str:
        """The URL without credentials, as errors show it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        if self.username is None:
            return f"<Proxy {self.url!r}>"
        return f"<Proxy {self.url.replace('://', '://***@', 1)!r}>"

    def basic_credentials(self) -> str | None:
        """Return the value of Proxy-Authorization for Basic (RFC 7617), or None."""
        if self.username is None or self.digest:
            return None
        from base64 import b64encode

        pair = f"{self.username}:{self.password or ''}".encode()
        return "Basic " + b64encode(pair).decode("ascii")

    def headers_to_send(self) -> tuple[tuple[str, str], ...]:
        """Return the header fields for the proxy: `headers` and Basic credentials."""
        credentials = self.basic_credentials()
        if credentials is None:
            return self.headers
        return (*self.headers, ("Proxy-Authorization", credentials))


def make_proxy(
    url: str,
    *,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    digest: bool = False,
    verify: bool | str | os.PathLike[str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> Proxy:
    """Create a proxy from `scheme://user:password@host:port`.

    Args:
        url: user and password are percent-encoded. Without a scheme it is an http proxy. With
            `socks4` and `socks5` the client resolves names, with `socks4a` and `socks5h` the proxy.
        headers: header fields that are sent to the proxy only.
        digest: answer Digest challenges and never send the password as Basic.
        verify: as for a session, for the TLS with an https proxy.
        ssl_context: as for a session, for the TLS with an https proxy.

    Raises:
        InvalidURL: the URL is invalid. The text contains no credentials.
        InvalidRequest: an option has an invalid value.
    """
    if not isinstance(url, str):
        raise InvalidRequest(f"a proxy is given as a URL, not as {type(url).__name__}")
    from urllib.parse import unquote, urlsplit

    shown = truncated_repr(_without_credentials(url))
    if _NOT_IN_URL.search(url):  # urlsplit would remove some of them without an error
        raise InvalidURL(f"the proxy URL {shown} has spaces or control characters")
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        raise InvalidURL(f"the proxy URL {shown} is not valid") from None
    if scheme not in DEFAULT_PORTS:
        raise InvalidURL(
            f"the proxy URL {shown} has a scheme other than {', '.join(DEFAULT_PORTS)}"
        )
    if not host or port == 0 or _NOT_IN_HOST.search(host):
        raise InvalidURL(f"the proxy URL {shown} has no valid host and port")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidURL(f"the proxy URL {shown} has more than a host and a port")
    username = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    if _NOT_IN_CREDENTIALS.search(f"{username or ''}{password or ''}"):
        raise InvalidURL(f"the credentials for the proxy {shown} have control characters")
    tls = None
    if verify is not None or ssl_context is not None:
        from .tls_settings import make_tls_settings

        tls = make_tls_settings(True if verify is None else verify, ssl_context=ssl_context)
    return Proxy(
        scheme,
        _ascii_host(host),
        port or DEFAULT_PORTS[scheme],
        username,
        password,
        _checked_headers(headers),
        digest,
        tls,
    )


def _without_credentials(url: str) -> str:
    scheme, mark, rest = url.partition("://")  # a password may contain a second one
    if not mark:
        return url.rpartition("@")[2]
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host.lower()
    import idna

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise InvalidURL(
            f"the proxy's host {truncated_repr(host)} is not a valid name: {error}"
        ) from error


def _checked_headers(
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None,
) -> tuple[tuple[str, str], ...]:
    pairs: AnyArgument = headers.items() if isinstance(headers, Mapping) else headers or ()
    checked = []
    for name, value in pairs:
        if not _FIELD_NAME.match(name) or _NOT_IN_VALUE.search(value) or not value.isascii():
            raise InvalidRequest(f"{truncated_repr(name)} is not a valid header field for a proxy")
        checked.append((name, value))
    return tuple(checked)


def as_proxy(value: object) -> Proxy | None:
    """Return the `proxy=` of a request, a URL, a `Proxy` or None, as a `Proxy` or None."""
    if value is None or isinstance(value, Proxy):
        return value
    if isinstance(value, str):
        return make_proxy(value)
    raise InvalidRequest(
        "proxy= must be a URL, a Proxy, None (no proxy), a list of these, or a ProxyPool; not "
        f"{type(value).__name__}"
    )


def with_credentials(proxy: Proxy, value: str) -> Proxy:
    """Return the proxy with this value of `Proxy-Authorization` instead of its own login.

    It is a different proxy, so its connections are not shared with the original.
    """
    others = (pair for pair in proxy.headers if pair[0].lower() != "proxy-authorization")
    headers = _checked_headers([*others, ("Proxy-Authorization", value)])
    return replace(proxy, username=None, password=None, digest=False, headers=headers)


class EnvironmentProxies:
    """The values of `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` at creation.

    Lower-case names take precedence over upper-case ones. The entries of `no_proxy` are separated
    by commas or spaces. An entry is `*`, an IP address, a CIDR block, or a name, which includes its
    subdomains (a leading `.` or `*.` makes no difference). Names and addresses may end in `:port`.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        is_cgi = "REQUEST_METHOD" in environ
        self._proxies: dict[str, Proxy] = {}
        for kind in ("http", "https", "all"):
            value = environ.get(f"{kind}_proxy") or ""
            if not value and not (kind == "http" and is_cgi):
                value = environ.get(f"{kind.upper()}_PROXY") or ""
            if value.strip():
                self._proxies[kind] = _from_variable(f"{kind}_proxy", value.strip())
        exceptions = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        self._no_proxy = [
            _NoProxyEntry(entry) for entry in re.split(r"[\s,]+", exceptions) if entry
        ]

    def __repr__(self) -> str:
        return f"<EnvironmentProxies {self._proxies!r}, {len(self._no_proxy)} exceptions>"

    def proxy_for(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy for an origin, None for a direct connection."""
        proxy = self._proxies.get(scheme) or self._proxies.get("all")
        if proxy is None:
            return None
        if any(exception.matches(host, port) for exception in self._no_proxy):
            return None
        return proxy


def _from_variable(name: str, value: str) -> Proxy:
    try:
        return make_proxy(value)
    except InvalidRequest as error:
        raise InvalidURL(f"the environment variable {name} is not usable: {error}") from None


class _NoProxyEntry:
    """One entry of `no_proxy`."""

    __slots__ = ("_host", "_network", "_port")

    def __init__(self, entry: str) -> None:
        self._network: Unchecked = None
        self._port: int | None = None
        entry = entry.lower()
        host = entry
        if entry.startswith("["):
            host, _, rest = entry[1:].partition("]")
            if rest.startswith(":") and rest[1:].isdigit():
                self._port = int(rest[1:])
        elif entry.count(":") == 1 and entry.rpartition(":")[2].isdigit():
            host, _, port = entry.rpartition(":")
            self._port = int(port)
        if host != "*" and (host[:1].isdigit() or ":" in host):
            self._network = _as_network(host)
        self._host = host.removeprefix("*.").lstrip(".").removesuffix(".")

    def matches(self, host: str, port: int) -> bool:
        if self._port is not None and self._port != port:
            return False
        if self._host == "*":
            return True
        host = host.removesuffix(".")
        address = _as_address(host)
        if address is not None:
            return self._network is not None and address in self._network
        return bool(self._host) and (host == self._host or host.endswith(f".{self._host}"))


def _as_network(text: str) -> Unchecked:
    import ipaddress

    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _as_address(host: str) -> Unchecked:
    if not (host[:1].isdigit() or ":" in host):
        return None
    import ipaddress

    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
