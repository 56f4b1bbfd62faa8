"""Which proxy, if any: proxy URLs, the environment's variables, a list taken in turn.

Rules:  a proxy's credentials show in no repr, log or error, and are part of its identity: the same
        proxy under another password is another proxy. Upper-case HTTP_PROXY is not believed in a
        CGI process, where a client of that server sets it (httpoxy, CVE-2016-5388). A name is
        never matched against an IP address.
Not here: speaking to the proxy (tunnel.py, socks.py).
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest, InvalidURL, truncated_repr
from ..urls import DEFAULT_PORTS

if TYPE_CHECKING:
    from .tls_settings import TlsSettings

__all__ = [
    "EnvironmentProxies",
    "Proxy",
    "ProxyRotation",
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
    """One proxy, as a value; made by `Proxy.from_url`.

    `headers` go to the proxy alone. `digest` keeps the password from being sent as Basic.
    `tls` is how an `https` proxy is verified, None for the way the request's origin is.
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
    def from_url(cls, url: str, **options: Any) -> Proxy:
        """The same as `make_proxy`."""
        return make_proxy(url, **options)

    @property
    def is_socks(self) -> bool:
        """Whether the proxy speaks SOCKS, and so carries plain http as a tunnel too."""
        return self.scheme.startswith("socks")

    @property
    def url(self) -> str:
        """The proxy's URL without credentials: this is what errors show."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        if self.username is None:
            return f"<Proxy {self.url!r}>"
        return f"<Proxy {self.url.replace('://', '://***@', 1)!r}>"

    def basic_credentials(self) -> str | None:
        """The Proxy-Authorization value that needs no challenge (RFC 7617), if there is one."""
        if self.username is None or self.digest:
            return None
        from base64 import b64encode

        pair = f"{self.username}:{self.password or ''}".encode()
        return "Basic " + b64encode(pair).decode("ascii")

    def headers_to_send(self) -> tuple[tuple[str, str], ...]:
        """The fields for the proxy: the user's own, and Basic credentials."""
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
    ssl_context: Any = None,
) -> Proxy:
    """A proxy from `scheme://user:password@host:port`; credentials percent-decoded.

    Schemes: http (also when there is none), https, socks4, socks4a, socks5 (the name is resolved
    here), socks5h (by the proxy). `headers` are extra fields for the proxy; `digest=True` answers
    a Digest challenge and never sends Basic; `verify` and `ssl_context` are for the TLS with
    an https proxy. Raises `InvalidURL` or `InvalidRequest`, whose text shows no credentials.
    """
    if not isinstance(url, str):
        raise InvalidRequest(f"a proxy is given as a URL, not as {type(url).__name__}")
    from urllib.parse import unquote, urlsplit

    shown = truncated_repr(_without_credentials(url))
    if _NOT_IN_URL.search(url):  # urlsplit would drop some of them without a word
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
    scheme, mark, rest = url.partition("://")  # a password may hold a second one
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
            f"the proxy's host {truncated_repr(host)} is no valid name: {error}"
        ) from error


def _checked_headers(
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None,
) -> tuple[tuple[str, str], ...]:
    pairs: Any = headers.items() if isinstance(headers, Mapping) else headers or ()
    checked = []
    for name, value in pairs:
        if not _FIELD_NAME.match(name) or _NOT_IN_VALUE.search(value) or not value.isascii():
            raise InvalidRequest(f"{truncated_repr(name)} is no field that a proxy can be sent")
        checked.append((name, value))
    return tuple(checked)


def as_proxy(value: Any) -> Proxy | None:
    """What `proxy=` of a request may be: a URL, a `Proxy`, or None for a direct connection."""
    if value is None or isinstance(value, Proxy):
        return value
    if isinstance(value, str):
        return make_proxy(value)
    raise InvalidRequest(
        "proxy= takes a URL, a Proxy, None for none, or a list of these to be taken in turn; not "
        f"{type(value).__name__}"
    )


def with_credentials(proxy: Proxy, value: str) -> Proxy:
    """The same proxy, logged in at by a `Proxy-Authorization` of the user's own.

    Another password makes another proxy: its connections are shared with no other.
    """
    others = (pair for pair in proxy.headers if pair[0].lower() != "proxy-authorization")
    headers = _checked_headers([*others, ("Proxy-Authorization", value)])
    return replace(proxy, username=None, password=None, digest=False, headers=headers)


class ProxyRotation:
    """Proxies taken in turn, one per request; None among them means a direct connection."""

    def __init__(self, proxies: Iterable[str | Proxy | None]) -> None:
        self._proxies = [as_proxy(proxy) for proxy in proxies]
        if not self._proxies:
            raise InvalidRequest("proxy=[] names no proxy; for none at all, leave it out")
        self._turns = itertools.cycle(self._proxies)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<ProxyRotation of {len(self._proxies)}>"

    def next(self) -> Proxy | None:
        """The proxy whose turn it is."""
        with self._lock:
            return next(self._turns)


class EnvironmentProxies:
    """What `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` said when this was made.

    Lower-case names win over upper-case ones. `no_proxy` lists, by commas or spaces: `*`, names
    (their subdomains included, a leading `.` or `*.` makes no difference), IP addresses, CIDR
    blocks; each but `*` and blocks may end in `:port`.
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
        self._exceptions = [_Exception(entry) for entry in re.split(r"[\s,]+", exceptions) if entry]

    def __repr__(self) -> str:
        return f"<EnvironmentProxies {self._proxies!r}, {len(self._exceptions)} exceptions>"

    def proxy_for(self, scheme: str, host: str, port: int) -> Proxy | None:
        """The proxy for an origin, None for a direct connection."""
        proxy = self._proxies.get(scheme) or self._proxies.get("all")
        if proxy is None:
            return None
        if any(exception.covers(host, port) for exception in self._exceptions):
            return None
        return proxy


def _from_variable(name: str, value: str) -> Proxy:
    try:
        return make_proxy(value)
    except InvalidRequest as error:
        raise InvalidURL(f"the environment's {name} is not usable: {error}") from None


class _Exception:
    """One entry of `no_proxy`."""

    __slots__ = ("_host", "_network", "_port")

    def __init__(self, entry: str) -> None:
        self._network: Any = None
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

    def covers(self, host: str, port: int) -> bool:
        if self._port is not None and self._port != port:
            return False
        if self._host == "*":
            return True
        host = host.removesuffix(".")
        address = _as_address(host)
        if address is not None:
            return self._network is not None and address in self._network
        return bool(self._host) and (host == self._host or host.endswith(f".{self._host}"))


def _as_network(text: str) -> Any:
    import ipaddress

    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _as_address(host: str) -> Any:
    if not (host[:1].isdigit() or ":" in host):
        return None
    import ipaddress

    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
