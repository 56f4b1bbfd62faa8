"""The hook by which test routes or a recording replace the exchanges of all sessions.

At most one interceptor is active in the process. It is the innermost middleware of each exchange,
below redirects, cookies, auth, retries, the cache and the middleware of the program. Interceptors
are implemented in `asks_fast.testing`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

__all__ = ["Interceptor", "current"]


class Interceptor(Protocol):
    """The interface of an object that replaces exchanges."""

    # Any: a PreparedRequest and a BaseResponse; their modules are in higher layers.
    async def __call__(self, request: Any, call_next: Callable[[Any], Awaitable[Any]], /) -> Any:
        """Return a response, or that of `await call_next(request)`, which is a real exchange.

        `request.deadline` has the remaining time of the request. `call_next` observes it;
        everything else must wait with `deadline.run`. An exception reaches the caller like one of a
        real exchange.
        """


current: Interceptor | None = None
