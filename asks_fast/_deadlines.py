"""`timeout_after` and `ignore_after` without curio's warning about a late completion.

`curio.timeout_after` logs "Operation completed successfully, but it took longer than an enclosing
timeout. Badness delta=…" if the limit expires between the end of the operation and the next cycle
of the kernel. On a busy machine this is normal for a background task and for a complete response.
In all other respects the functions work as in curio, also when nested with time-outs of the
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
    """curio's context manager, but a successful exit does not compare the time with the limit."""

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
    """Await `work` with a time limit.

    Args:
        seconds: the limit, None for none.
        work: an awaitable, which is cancelled at the limit.

    Raises:
        curio.TaskTimeout: the limit expired.
    """
    if seconds is None:
        return await work
    async with _Deadline(seconds):
        return await work


async def ignore_after(seconds: float | None, work: Awaitable[T]) -> T | None:
    """Await `work` with a time limit; at the limit cancel it and return None.

    Args:
        seconds: the limit, None for none.
        work: an awaitable.
    """
    if seconds is None:
        return await work
    async with _Deadline(seconds, ignore=True):
        return await work
    return None
