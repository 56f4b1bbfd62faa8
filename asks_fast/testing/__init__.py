"""What you need to test a program of your own that uses asks_fast.

`Routes` answers from a table, without a socket (`with routes:`) or over real ones
(`with serve(routes) as server:`, where `faults` can be scripted); `Cassette` records real
exchanges to a file and replays them. The pytest plugin (`asks_fast.testing.plugin`, found by
itself once the package is installed) brings all of them as fixtures and runs `async def` tests
in curio.

Not here: anything that a program needs at work; nothing else in the package imports this.
"""

from __future__ import annotations

from . import faults
from .cassette import Cassette, NotRecorded
from .messages import Answer, SeenRequest, answer
from .routes import NoRoute, Route, Routes
from .server import LocalServer, serve

__all__ = [
    "Answer",
    "Cassette",
    "LocalServer",
    "NoRoute",
    "NotRecorded",
    "Route",
    "Routes",
    "SeenRequest",
    "answer",
    "faults",
    "serve",
]
