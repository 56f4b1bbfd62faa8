"""Many requests: fetched side by side, politely, and written down so that nothing is lost.

`mapping` turns any iterable into results and is what `session.map` and `session.gather` call;
`politeness` and `schedule` decide whose turn it is; `robots` asks the site; `inputs`, `checkpoint`
and `formats` read and write; `fetching` puts them together for the command line and for
`asks_fast.scaleout`.

Rules:  decisions are made without awaiting and with the time passed in, I/O is done after.
        Nothing here is imported by `import asks_fast`; optional packages are imported where used.
Not here: connections, redirects, retries of a single exchange. Those are the session's.
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
