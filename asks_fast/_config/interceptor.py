"""The one place where something else may stand in for the wire: a test's routes, a recording.

Rules:  at most one stands in at a time, for every session of the process. It is asked before
        each single exchange, so that redirects, cookies, auth and retries work as ever.
Not here: anything that stands in (`asks_fast.testing`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .._request.prepared_request import PreparedRequest
    from .._transport.transport import Deadline
    from ..response_objects import BaseResponse

__all__ = ["Interceptor", "current"]


class Interceptor(Protocol):
    """Whoever stands in for the wire."""

    async def exchange(
        self,
        request: PreparedRequest,
        response: BaseResponse,
        forward: Callable[[], Awaitable[None]],
        budget: Deadline,
    ) -> None:
        """Fill in `response` (`assume`), or let the wire do it by `await forward()`.

        `budget` is what is left of the request's `timeout`: `forward` takes its time from it by
        itself, and whatever else waits must do so by `budget.spend`. What it raises reaches the
        caller as if the wire had failed so.
        """


current: Interceptor | None = None
