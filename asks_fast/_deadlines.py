"""Time limits without curio's warning about work that is done a little late.

`curio.timeout_after` logs "Operation completed successfully, but it took longer than an enclosing
timeout. Badness delta=…" when a limit passes between the end of the work and the next turn of the
kernel. On a busy machine that is normal for a background task, and for a response that is complete.
In every other respect time-outs work as in curio, also when they are nested with those of the
program.
"""

from __future__ import annotations

from collections.abc import Awaitable
from types import TracebackType
from typing import TypeVar

from curio.time import _TimeoutAfter
from curio.traps import _unset_timeout

__all__ = ["ignore_after", "timeout_after"]

T = TypeVar("T")


class _Deadline(_TimeoutAfter):  # type: ignore[misc]
    async def __aexit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        if ty is not None:
            return await super().__aexit__(ty, val, tb)  # type: ignore[no-any-return]
        try:
            await _unset_timeout(self._prior)
        finally:
            self._deadlines.pop()
        return None


async def timeout_after(seconds: float | None, work: Awaitable[T]) -> T:
    """Await `work`. Raises `TaskTimeout` after so many seconds; None: no limit."""
    if seconds is None:
        return await work
    async with _Deadline(seconds):
        return await work


async def ignore_after(seconds: float | None, work: Awaitable[T]) -> T | None:
    """Await `work`. Returns None if it is not done after so many seconds; None: no limit."""
    if seconds is None:
        return await work
    async with _Deadline(seconds, ignore=True):
        return await work
    return None
