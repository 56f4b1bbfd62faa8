"""Time limits without curio's warning about work that completes slightly late.

`curio.timeout_after` logs "Operation completed successfully, but it took longer than an enclosing
timeout. Badness delta=…" if the limit expires after the work completes and before the kernel runs
again. On a busy machine that is normal for a background task, and for a complete response. In
every other respect the limits work as in curio, also nested with those of the program.
"""

from __future__ import annotations

from collections.abc import Awaitable
from types import TracebackType
from typing import TypeVar

from ._curio import TimeoutAfter, unset_timeout

__all__ = ["ignore_after", "timeout_after"]

T = TypeVar("T")


class _Deadline(TimeoutAfter):
    async def __aexit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        if ty is not None:
            return await super().__aexit__(ty, val, tb)
        try:
            await unset_timeout(self._prior)
        finally:
            self._deadlines.pop()
        return None


async def timeout_after(seconds: float | None, work: Awaitable[T]) -> T:
    """Await `work` for at most `seconds`; None means no limit. Raises `TaskTimeout`."""
    if seconds is None:
        return await work
    async with _Deadline(seconds):
        return await work


async def ignore_after(seconds: float | None, work: Awaitable[T]) -> T | None:
    """Await `work` for at most `seconds`; None means no limit. Returns None on time-out."""
    if seconds is None:
        return await work
    async with _Deadline(seconds, ignore=True):
        return await work
    return None
