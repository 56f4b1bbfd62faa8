"""The time that remains of the `timeout` of a request."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TypeVar

from curio.errors import TaskTimeout

from .._deadlines import timeout_after
from ..errors import TotalTimeout
from .events import RequestInfo

__all__ = ["Deadline"]

T = TypeVar("T")


class Deadline:
    """The time that remains of a request's `timeout`; waiting for a connection does not count.

    Attributes:
        timeout: the limit in seconds, None for none.
        remaining: the remaining seconds, None without a limit.
    """

    __slots__ = ("remaining", "timeout")

    def __init__(self, total: float | None, elapsed: float = 0.0) -> None:
        self.timeout = total
        self.remaining = None if total is None else total - elapsed

    async def run(self, request: RequestInfo, work: Awaitable[T]) -> T:
        """Await `work` within the remaining time. Raises `TotalTimeout`."""
        if self.remaining is None:
            return await work
        started = time.monotonic()
        try:
            return await timeout_after(max(self.remaining, 0.0), work)
        except TaskTimeout:
            raise self.exceeded(request) from None
        finally:
            self.remaining -= time.monotonic() - started

    def charge(self, seconds: float) -> None:
        """Subtract time that passed on a virtual clock."""
        if self.remaining is not None:
            self.remaining -= seconds

    def exceeded(self, request: RequestInfo) -> TotalTimeout:
        """Return the error for a request that exceeded `timeout`."""
        return TotalTimeout(
            f"{request.method} {request.url}: not done within timeout={self.timeout:g} s",
            self.timeout,
        )
