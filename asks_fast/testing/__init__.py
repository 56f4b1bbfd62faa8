"""Test programs that use asks_fast.

- `Routes` answers requests from a table, without a socket (`with routes:`).
- `serve(routes)` answers them over real sockets, and can inject `faults`.
- `Cassette` records real exchanges to a file and replays them.
- The pytest plugin (`asks_fast.testing.plugin`) provides these as fixtures and runs `async def`
  tests in curio. pytest finds it when the package is installed.

No other module of the package imports this one.
"""

from __future__ import annotations

from . import faults
from .cassette import Cassette, NotRecorded
from .messages import MockResponse, RecordedRequest, response
from .routes import NoRoute, Route, Routes
from .server import LocalServer, serve

__all__ = [
    "Cassette",
    "LocalServer",
    "MockResponse",
    "NoRoute",
    "NotRecorded",
    "RecordedRequest",
    "Route",
    "Routes",
    "faults",
    "response",
    "serve",
]
