"""The task that enforces the time limits of a pool.

It closes connections that were idle too long, ends exchanges whose `read_timeout`, `write_timeout`
or `timeout` is over, and wakes waiters for slots that were freed where nothing could be awaited
(a response that was dropped unread).

Facts:  a timer per request would take two traps and cost more than the request itself. One look at
        the connections in use, once a second or when the next limit is due, costs too little to be
        measured. Shutting down a socket wakes its task with the end of input.
Rules:  the monitor lives while the pool has connections, in the kernel that uses the pool. It is a
        daemon task, so it keeps no program running. A kernel that is shutting down cancels it and
        gets no new one: a request made then has a helper task, which ends before the request
        does. A request that was sent before, in a task that cannot be cancelled, loses its time
        limits with the monitor; so does a body that is streamed during the shutdown.
Implemented elsewhere: which limits are over (`Pool.check_deadlines`).
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import curio
from curio.errors import TaskTimeout

from .._curio import clock, future_wait, get_kernel, set_timeout, unset_timeout
from .._guest import internal_task
from .._hotpath import Pool
from .._shutdown import is_shutting_down

__all__ = ["PoolMonitor"]

T = TypeVar("T")


class _Wakeup:
    """The part of a future that curio's kernel needs: wakes one task, from any context."""

    def __init__(self) -> None:
        self._wake: Callable[[Any], None] | None = None
        self.is_set = False

    def add_done_callback(self, wake: Callable[[Any], None]) -> None:
        if self.is_set:
            wake(self)
        else:
            self._wake = wake

    def cancel(self) -> bool:
        self._wake = None
        return True

    def set(self) -> None:
        self.is_set = True
        wake, self._wake = self._wake, None
        if wake is not None:
            wake(self)


async def _wait(alarm: _Wakeup, seconds: float) -> None:
    """Wait for the alarm, at most so long.

    Not by `curio.ignore_after`: that awaits as it is left, so that a coroutine in it can't be
    closed, and a kernel that failed does nothing but close this one.
    """
    outer = await set_timeout(await clock() + seconds)
    with suppress(TaskTimeout):
        await future_wait(alarm)
    await unset_timeout(outer)


class PoolMonitor:
    """Enforces the time limits of one pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._alarm = _Wakeup()
        self._generation = 0  # the number of the current task
        self._attended = 0  # requests that have a helper task
        self._helper: Any = None  # that task

    async def start(self) -> bool:
        """Start the task; False if the kernel is shutting down, then use `attend`.

        Nothing here can block. A monitor that sleeps in another kernel of this thread, which does
        not run any more, is replaced.
        """
        pool = self._pool
        if pool.thread not in (0, threading.get_ident()):
            return True  # the pool will raise `WrongThread`
        kernel = await get_kernel()
        if pool.wake_monitor is not None and pool.kernel is kernel:
            return True
        if is_shutting_down(kernel):
            return False
        await self._spawn(kernel)
        return True

    async def attend(self, send: Callable[[], Awaitable[T]]) -> T:
        """Await `send()` in a kernel that shuts down, with a helper task that ends with it.

        Requests at the same time share the task. Cancellation ends both.
        """
        if not self._attended:
            # Without a kernel in the pool, every request asks whether it needs a monitor.
            self._helper = await self._spawn(None)
        self._attended += 1
        try:
            result = await send()
        except GeneratorExit:
            self._attended -= 1
            raise
        except BaseException:
            await self._leave_helper()
            raise
        await self._leave_helper()
        return result

    async def _leave_helper(self) -> None:
        self._attended -= 1
        if not self._attended:
            # It waits for its alarm only, so it ends in the next turn of the kernel; a task that
            # joins the caller's task is woken after that.
            await self._helper.cancel(blocking=False)

    async def _spawn(self, kernel: Any) -> Any:
        pool = self._pool
        self._generation += 1
        pool.wake_monitor, pool.kernel, pool.thread = (
            self.wake_monitor,
            kernel,
            threading.get_ident(),
        )
        try:
            return await curio.spawn(self._run, self._generation, daemon=True)
        except BaseException:  # out of memory: the next request tries again
            self._leave()
            raise

    def _leave(self) -> None:
        pool = self._pool
        pool.wake_monitor = pool.kernel = None
        pool.thread = 0

    def wake_monitor(self) -> None:
        """Check the limits now; can be called from anywhere."""
        self._alarm.set()

    @internal_task
    async def _run(self, number: int) -> None:
        pool = self._pool
        try:
            while self._generation == number:
                self._alarm = _Wakeup()
                wait = pool.check_deadlines()
                await pool.wake_pending()
                if wait is None and not self._attended:
                    return
                await _wait(self._alarm, wait or 1.0)
        finally:
            if self._generation == number:
                self._leave()
