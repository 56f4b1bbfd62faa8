"""The one task that looks after a pool while nobody else does.

It closes connections that rested too long, cuts off servers that are silent too long and exchanges
whose time is over (`timeout` of a second or more, of a request by plan), and wakes waiters whose
turn came where nothing could be awaited (a response dropped unread).

Facts:  a time limit with a timer per request would cost two traps each, and more than the request
        itself; one round over the connections in use, about once a second, costs nothing that can
        be measured. A connection that is cut off wakes its task with the end of input.
Rules:  the keeper lives while the pool has connections, in the kernel that uses the pool, and is
        a daemon: it keeps no program running. A kernel that is shutting down cancels it and
        gets no new one: a request made then has a task beside it, which ends before the request
        does. A request that was sent before, in a task that cannot be cancelled, loses
        `read_timeout`, `write_timeout` and `timeout` (on the fast path) with the keeper; so
        does a body that is streamed during the shutdown.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import curio
from curio.errors import TaskTimeout
from curio.traps import _clock, _future_wait, _get_kernel, _set_timeout, _unset_timeout

from .._guest import internal_task
from .._hotpath import Pool
from .._shutdown import is_shutting_down

__all__ = ["PoolMonitor"]

T = TypeVar("T")


class _Wakeup:
    """The least that curio's kernel takes for a future: wakes one task, from any context."""

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
    outer = await _set_timeout(await _clock() + seconds)
    with suppress(TaskTimeout):
        await _future_wait(alarm)
    await _unset_timeout(outer)


class PoolMonitor:
    """Looks after one pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._alarm = _Wakeup()
        self._generation = 0  # the number of the task that is the keeper
        self._attended = 0  # requests that have a task beside them
        self._helper: Any = None  # that task

    async def start(self) -> bool:
        """Start the task; False if the kernel is shutting down, then use `attend`.

        Nothing here can block. One that sleeps in another kernel of this thread, which nobody runs
        any more, is relieved.
        """
        pool = self._pool
        if pool.thread not in (0, threading.get_ident()):
            return True  # who asks will hear that the session is at work there
        kernel = await _get_kernel()
        if pool.wake_monitor is not None and pool.kernel is kernel:
            return True
        if is_shutting_down(kernel):
            return False
        await self._spawn(kernel)
        return True

    async def attend(self, send: Callable[[], Awaitable[T]]) -> T:
        """Await `send()` in a kernel that shuts down, with a task beside it that ends with it.

        Requests at the same time share the task. Cancellation ends both.
        """
        if not self._attended:
            # Without a kernel in the pool, every request asks whether it needs a keeper.
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
            # It waits for its alarm only, so it ends in the next turn of the kernel; whoever
            # waits for the caller's task is woken after that.
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
        """Make a round now; callable from anywhere."""
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
