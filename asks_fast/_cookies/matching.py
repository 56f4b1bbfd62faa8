"""Match hosts and paths with the domains and paths of cookies.

Facts:  RFC 6265 §5.1.3 and §5.1.4 define the rules. Below a public suffix such as `co.uk` or
        `github.io` anyone can register a name, so no cookie may be valid for all of it.
Invariants:
        Matching ends at label and path boundaries. An IP address matches only itself. Case is
        ignored. A Domain that ends in a dot matches no host. The public suffix list is loaded when
        the first Domain needs it.

Implemented elsewhere: `Cookie` (`cookie`), stored cookies (`jar`), matching of paths
(`src_pyx/hotpath/cookies.pyx`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from .._hotpath import path_matches
from .._url.host import canonical_host, canonical_ipv6, is_ip
from .cookie import Cookie

__all__ = [
    "canonical_domain",
    "domain_matches",
    "domains_of",
    "is_public_suffix",
    "path_matches",
    "resolve_domain",
    "strip_root_dot",
]


class _SuffixList(Protocol):
    def is_public(self, domain: str, /) -> bool: ...


_public_suffixes: _SuffixList | None = None


@lru_cache(1024)
def is_public_suffix(domain: str) -> bool:
    """Tell whether anyone can register names below this domain (`com`, `co.uk`, `github.io`)."""
    global _public_suffixes
    if _public_suffixes is None:
        from publicsuffixlist import PublicSuffixList

        _public_suffixes = PublicSuffixList()
    return _public_suffixes.is_public(domain)


def strip_root_dot(host: str) -> str:
    """Return the host without the final dot of the DNS root: both names mean the same host."""
    return host[:-1] if host and host[-1] == "." else host


@lru_cache(256)
def domains_of(host: str) -> tuple[str, ...]:
    """Return the host and the domains above it; an IP address has none."""
    domains = [host]
    if ":" not in host and not (host[-1:].isdigit() and is_ip(host)):
        while host := host.partition(".")[2]:
            domains.append(host)
    return tuple(domains)


def domain_matches(host: str, domain: str) -> bool:
    """Tell whether a host is this domain or a subdomain of it (RFC 6265 §5.1.3)."""
    return host == domain or (host.endswith("." + domain) and not is_ip(host))


def resolve_domain(cookie: Cookie, host: str) -> bool:
    """Set `effective_domain` and `host_only` of a cookie that `host` sent.

    Returns:
        False if `host` may not set a cookie for the Domain that it names.
    """
    domain = (cookie.domain or "").lower()
    host_only = True
    if not domain:
        domain = host
    elif domain == host:
        host_only = is_ip(host) or is_public_suffix(host)
    elif domain_matches(host, domain) and not is_public_suffix(domain):
        host_only = False
    else:
        return False
    cookie.effective_domain, cookie.host_only = domain, host_only
    return True


def canonical_domain(domain: str) -> str:
    """Return a domain given by the user in the form of `Url.host`.

    Raises:
        InvalidURL: the domain is not a valid host.
    """
    text = domain.removeprefix(".").strip("[]")
    return canonical_ipv6(text) if ":" in text else strip_root_dot(canonical_host(text))
