"""The options of a crawl that follows links: what is in scope, and how much of it.

Invariants: invalid values raise when the options are made; the message names the field.

Implemented elsewhere: how each page is fetched (`options`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .scope import Scope

__all__ = ["CrawlOptions"]


@dataclass(frozen=True)
class CrawlOptions:
    """Which links to follow.

    Attributes:
        scope: `host`: the hosts of the start URLs; `domain`: their registrable domains, with all
            hosts below; `prefix`: URLs that begin like a start URL up to its last slash; `any`.
        include: regular expressions, one of which a URL must match.
        exclude: regular expressions, none of which a URL may match.
        max_depth: limit of links between a start URL and a page.
        max_pages: limit of pages of the crawl, those of earlier runs included; None: no limit.
        max_pages_per_host: the same for each host; further URLs of it are not kept.
        max_hosts: limit of hosts.
        max_queries: limit of URLs with different queries for one path.
        max_links: limit of links taken from one page.
        max_url_length: limit in characters; longer links are ignored.
        sitemaps: follow the sitemaps that robots.txt names.
        nofollow: obey `rel=nofollow` and the `nofollow` of robots directives.

    Raises:
        ValueError: a value is out of range.

    Example:
        CrawlOptions(scope="domain", exclude=[r"[?&]session="], max_pages=10_000)
    """

    scope: str = "host"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_depth: int = 100
    max_pages: int | None = None
    max_pages_per_host: int | None = 1_000_000
    max_hosts: int = 10_000
    max_queries: int = 1_000
    max_links: int = 5_000
    max_url_length: int = 2_000
    sitemaps: bool = True
    nofollow: bool = True

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        for name in ("include", "exclude"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        if self.max_depth < 0:
            raise ValueError(f"max_depth must not be negative, found {self.max_depth}")
        for name in ("max_pages", "max_pages_per_host", "max_hosts", "max_queries", "max_links"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, found {value!r}")
        self.make_scope(())

    def make_scope(self, start: Iterable[str]) -> Scope:
        """Return the scope of a crawl with these start URLs."""
        return Scope(start, self.scope, self.include, self.exclude)
