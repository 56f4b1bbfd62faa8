"""Many requests: concurrent, with limits per host, and written to files that can be resumed.

`map` turns any iterable of requests into results and is what `session.map` and `session.gather`
call. `host_limits`, `rate_limit` and `scheduler` decide which request starts next; `robots` reads
robots.txt; `inputs`, `checkpoint` and `formats` read and write files. `bulk_fetch` combines them
for the command line and `asks_fast.scaleout`; `crawler` adds the links of each page (`links`,
`sitemaps`, `scope`, `frontier`).

Invariants: decisions are made without awaiting, with the time passed in; I/O follows afterwards.
        `import asks_fast` imports nothing from here; optional packages are imported where used.

Implemented elsewhere: connections, redirects and retries of a single request (`_client`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .crawl_options import CrawlOptions
    from .crawl_page import CrawlPage
    from .crawler import Crawler
    from .host_limits import Politeness
    from .map import Map, Result, gather, map_requests

__all__ = [
    "CrawlOptions",
    "CrawlPage",
    "Crawler",
    "Map",
    "Politeness",
    "Result",
    "gather",
    "map_requests",
]

_MODULES = {"CrawlOptions": ".crawl_options", "CrawlPage": ".crawl_page", "Crawler": ".crawler"}


def __getattr__(name: str) -> Any:
    if name in ("Map", "Result", "gather", "map_requests"):
        from . import map

        return getattr(map, name)
    if name in _MODULES:
        return getattr(import_module(_MODULES[name], __name__), name)
    if name == "Politeness":
        from .host_limits import Politeness

        return Politeness
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
