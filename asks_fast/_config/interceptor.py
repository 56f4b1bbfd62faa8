"""The one place where something else may stand in for the wire: a test's routes, a recording.

Rules:  at most one stands in at a time, for every session of the process. It is asked before
        each single exchange, so that redirects, cookies, auth and retries work as ever.
Not here: anything that stands in (`asks_fast.testing`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

__all__ = ["Interceptor", "current"]


class Interceptor(Protocol):
    """Whoever stands in for the wire."""

    async def exchange(
        self,
        request: Any,  # a PreparedRequest; its module is above this one
        response: Any,  # a BaseResponse, to be filled
        forward: Callable[[], Awaitable[None]],
        deadline: Any,  # a Deadline
    ) -> None:
        """Fill in `response` (`assume`), or let the wire do it by `await forward()`.

        `deadline` is what is left of the request's `timeout`: `forward` takes its time from it by
        itself, and whatever else waits must do so by `deadline.run`. What it raises reaches the
        caller as if the wire had failed so.
        """


current: Interceptor | None = None
