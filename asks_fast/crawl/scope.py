"""The scope of a crawl: which URLs it may request.

Facts:  a registrable domain is one label below a public suffix: `example.co.uk` for
        `www.example.co.uk`. An IP address is its own domain.
Invariants: http and https of one host are equal, as for the limits per host. Decisions depend on
        the URL only. The number of hosts whose decision is kept is bounded.

Implemented elsewhere: the form of a URL (`links`), limits in number (`frontier`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from ..errors import InvalidRequest
from ..urls import parse_url
from .job import host_of

__all__ = ["SCOPES", "Scope"]

SCOPES = ("host", "domain", "prefix", "any")
MAX_HOSTS = 10_000


class Scope:
    """The URLs that a crawl may request.

    Args:
        start: the URLs that the crawl starts from, in canonical form.
        kind: `host`: hosts of the start URLs; `domain`: their registrable domains and all hosts
            below; `prefix`: URLs that begin like a start URL up to its last slash; `any`.
        include: regular expressions; a URL must match one of them, if there are any.
        exclude: regular expressions; a URL must match none of them.

    Raises:
        ValueError: an unknown kind, or an invalid expression.

    Example:
        Scope(["https://example.com/docs/"], "prefix", exclude=[r"[?&]print="])
    """

    def __init__(
        self,
        start: Iterable[str],
        kind: str = "host",
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
    ) -> None:
        if kind not in SCOPES:
            raise ValueError(f"scope must be one of {', '.join(SCOPES)}, found {kind!r}")
        self.kind = kind
        urls = list(start)
        self._hosts = {host_of(url) for url in urls}
        self._domains = {domain_of(host) for host in self._hosts} if kind == "domain" else set()
        self._prefixes = tuple(sorted({_without_scheme(url).rpartition("/")[0] for url in urls}))
        self._include = [_compile(text) for text in include]
        self._exclude = [_compile(text) for text in exclude]
        self._decisions: dict[str, bool] = {}  # by host

    def allows(self, url: str) -> bool:
        """Return whether a URL in canonical form is in scope."""
        if not self.allows_host(url):
            return False
        if self.kind == "prefix" and not self._has_prefix(url):
            return False
        if self._include and not any(one.search(url) for one in self._include):
            return False
        return not (self._exclude and any(one.search(url) for one in self._exclude))

    def allows_host(self, url: str) -> bool:
        """Return whether the host of a URL is in scope."""
        if self.kind == "any":
            return True
        host = host_of(url)
        decision = self._decisions.get(host)
        if decision is None:
            if self.kind == "domain":
                decision = domain_of(host) in self._domains
            else:
                decision = host in self._hosts
            if len(self._decisions) >= MAX_HOSTS:
                self._decisions.clear()
            self._decisions[host] = decision
        return decision

    def _has_prefix(self, url: str) -> bool:
        rest = _without_scheme(url)
        return any(rest.startswith(prefix + "/") for prefix in self._prefixes)


def domain_of(host: str) -> str:
    """Return the registrable domain of a host, or the host itself if there is none."""
    try:
        name = parse_url(f"http://{host}/").host
    except InvalidRequest:
        return host
    if ":" in name or name.replace(".", "").isdigit():
        return name
    return _suffixes().privatesuffix(name) or name


class _SuffixList(Protocol):
    """The methods of `publicsuffixlist.PublicSuffixList` that this module calls."""

    def privatesuffix(self, domain: str) -> str | None:
        """Return the registrable domain of a host."""
        raise NotImplementedError


@lru_cache(1)
def _suffixes() -> _SuffixList:
    from publicsuffixlist import PublicSuffixList

    made: _SuffixList = PublicSuffixList()
    return made


def _compile(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"invalid regular expression {text!r}: {error}") from None


def _without_scheme(url: str) -> str:
    return url.partition("://")[2]
