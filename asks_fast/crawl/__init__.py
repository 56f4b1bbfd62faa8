"""Many requests: concurrent, with limits per host, and written to files that can be resumed.

`map` turns any iterable of requests into results and is what `session.map` and `session.gather`
call. `host_limits`, `rate_limit` and `scheduler` decide which request starts next; `robots` reads
robots.txt; `inputs`, `checkpoint` and `formats` read and write files. `bulk_fetch` combines them
for the command line and `asks_fast.scaleout`.

Invariants: decisions are made without awaiting, with the time passed in; I/O follows afterwards.
        `import asks_fast` imports nothing from here; optional packages are imported where used.

Implemented elsewhere: connections, redirects and retries of a single request (`_client`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .host_limits import Politeness
    from .map import Map, Result, gather, map_requests

__all__ = ["Map", "Politeness", "Result", "gather", "map_requests"]


def __getattr__(name: str) -> Any:
    if name in ("Map", "Result", "gather", "map_requests"):
        from . import map

        return getattr(map, name)
    if name == "Politeness":
        from .host_limits import Politeness

        return Politeness
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
