"""The place where test routes or a recording replace the exchanges of all sessions.

At most one interceptor is active in the process. It is called for each single exchange, below
redirects, cookies, auth and retries. Interceptors are implemented in `asks_fast.testing`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

__all__ = ["Interceptor", "current"]


class Interceptor(Protocol):
    """The interface of an object that replaces exchanges."""

    async def exchange(
        self,
        request: Any,  # a PreparedRequest; its module is in a higher layer
        response: Any,  # a BaseResponse, to be filled
        forward: Callable[[], Awaitable[None]],
        deadline: Any,  # a Deadline
    ) -> None:
        """Fill `response`, or call `await forward()` for a real exchange.

        `deadline` has the remaining time of the request. `forward` observes it; everything else
        must wait with `deadline.run`. An exception reaches the caller like one of a real exchange.
        """


current: Interceptor | None = None
