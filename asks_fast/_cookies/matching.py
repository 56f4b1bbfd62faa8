"""Which domain and which path a cookie belongs to.

Facts:  RFC 6265 §5.1.3 and §5.1.4, and the public suffix list: below `co.uk` or `github.io`
        everyone can register a name, so a cookie for all of it would be everyone's.
Rules:  matching ends at label and path boundaries, an address matches only itself, case does not
        count. A Domain that ends in a dot matches no host (RFC 6265 §5.1.3). The list is loaded at
        the first Domain that needs it.
Not here: the cookies themselves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .._url.host import canonical_host, canonical_ipv6, is_ip
from .cookie import Cookie

__all__ = [
    "canonical_domain",
    "domain_matches",
    "is_public_suffix",
    "path_matches",
    "resolve_domain",
    "strip_zone",
]

_public_suffixes: Any = None


@lru_cache(1024)
def is_public_suffix(domain: str) -> bool:
    """Whether anyone can register names below this domain (`com`, `co.uk`, `github.io`, …)."""
    global _public_suffixes
    if _public_suffixes is None:
        from publicsuffixlist import PublicSuffixList

        _public_suffixes = PublicSuffixList()
    return bool(_public_suffixes.is_public(domain))


def strip_zone(host: str) -> str:
    """The host without the dot of the root, which names the same host."""
    return host[:-1] if host.endswith(".") else host


def path_matches(request_path: str, cookie_path: str) -> bool:
    """Whether a cookie with this path goes to this path (RFC 6265 §5.1.4)."""
    if not request_path.startswith(cookie_path):
        return False
    return (
        len(request_path) == len(cookie_path)
        or cookie_path.endswith("/")
        or request_path[len(cookie_path)] == "/"
    )


def domain_matches(host: str, domain: str) -> bool:
    """Whether a host is this domain or below it (RFC 6265 §5.1.3)."""
    return host == domain or (host.endswith("." + domain) and not is_ip(host))


def resolve_domain(cookie: Cookie, host: str) -> bool:
    """Fill in whom the cookie goes to; False if `host` may not set it for the Domain it names."""
    domain = (cookie.domain or "").lower()
    cookie.effective_domain, cookie.host_only = host, True
    if not domain:
        return True
    if domain == host:
        cookie.host_only = is_ip(host) or is_public_suffix(host)
        return True
    if not domain_matches(host, domain) or is_public_suffix(domain):
        return False
    cookie.effective_domain, cookie.host_only = domain, False
    return True


def canonical_domain(domain: str) -> str:
    """A domain as a user writes it in the form that `Url.host` has, or `InvalidURL`."""
    text = domain.removeprefix(".").strip("[]")
    return canonical_ipv6(text) if ":" in text else strip_zone(canonical_host(text))
