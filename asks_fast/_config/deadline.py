"""The time that is left of a request's `timeout`."""

from __future__ import annotations

import time
from typing import Any

from curio.errors import TaskTimeout

from .._deadlines import timeout_after
from ..errors import TotalTimeout
from .events import RequestInfo

__all__ = ["Deadline"]


class Deadline:
    """What is left of a request's `timeout`; the time in line is not taken from it."""

    __slots__ = ("remaining", "timeout")

    def __init__(self, total: float | None, elapsed: float = 0.0) -> None:
        self.timeout = total
        self.remaining = None if total is None else total - elapsed

    async def run(self, request: RequestInfo, work: Any) -> Any:
        """Await `work` within what is left. Raises `TotalTimeout`."""
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
        """Count time that passed on a virtual clock."""
        if self.remaining is not None:
            self.remaining -= seconds

    def exceeded(self, request: RequestInfo) -> TotalTimeout:
        """The error for a request that took longer than `timeout`."""
        return TotalTimeout(
            f"{request.method} {request.url}: not done within timeout={self.timeout:g} s",
            self.timeout,
        )
