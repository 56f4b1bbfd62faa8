"""The one task that looks after a pool while nobody else does.

It closes connections that rested too long, cuts off servers that are silent too long and exchanges
whose time is over (`timeout` of a second or more, of a request by plan), and wakes waiters whose
turn came where nothing could be awaited (a response dropped unread).

Facts:  a time limit with a timer per request would cost two traps each, and more than the request
        itself; one round over the connections in use, about once a second, costs nothing that can
        be measured. A connection that is cut off wakes its task with the end of input.
Rules:  the keeper lives while the pool has connections, in the kernel that uses the pool, and is
        a daemon: it keeps no program running. Cancelled by the end of a kernel, it is started
        again by the next use in another kernel, never in the one that is ending. What is under
        way when a kernel is shut down is cancelled, the keeper among it and perhaps first: what
        others wait for then must not rely on a time limit of theirs.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import curio
from curio.errors import TaskTimeout
from curio.traps import _clock, _future_wait, _get_kernel, _set_timeout, _unset_timeout

from .._guest import internal_task
from .._hotpath import Pool

__all__ = ["Keeper"]


class _Alarm:
    """The least that curio's kernel takes for a future: wakes one task, from any context."""

    def __init__(self) -> None:
        self._wake: Callable[[Any], None] | None = None
        self.rung = False

    def add_done_callback(self, wake: Callable[[Any], None]) -> None:
        if self.rung:
            wake(self)
        else:
            self._wake = wake

    def cancel(self) -> bool:
        self._wake = None
        return True

    def ring(self) -> None:
        self.rung = True
        wake, self._wake = self._wake, None
        if wake is not None:
            wake(self)


async def _wait(alarm: _Alarm, seconds: float) -> None:
    """Wait for the alarm, at most so long.

    Not by `curio.ignore_after`: that awaits as it is left, so that a coroutine in it can't be
    closed, and a kernel that failed does nothing but close this one.
    """
    outer = await _set_timeout(await _clock() + seconds)
    with suppress(TaskTimeout):
        await _future_wait(alarm)
    await _unset_timeout(outer)


class Keeper:
    """Looks after one pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._alarm = _Alarm()
        self._on_duty = 0  # the number of the task that is the keeper
        self._ended: weakref.ref[Any] | None = None

    async def start(self) -> None:
        """Start the task unless the kernel is about to end. Nothing here can block.

        One that sleeps in another kernel of this thread, which nobody runs any more, is relieved.
        """
        pool = self._pool
        if pool.thread not in (0, threading.get_ident()):
            return  # who asks will hear that the session is at work there
        kernel = await _get_kernel()
        if pool.kick is not None and pool.kernel is kernel:
            return
        self._on_duty += 1
        self._leave()
        if self._ended is not None and self._ended() is kernel:
            return
        pool.kick, pool.kernel, pool.thread = self.kick, kernel, threading.get_ident()
        try:
            await curio.spawn(self._run, kernel, self._on_duty, daemon=True)
        except BaseException:  # out of memory: the next request tries again
            self._leave()
            raise

    def _leave(self) -> None:
        pool = self._pool
        pool.kick = pool.kernel = None
        pool.thread = 0

    def kick(self) -> None:
        """Make a round now; callable from anywhere."""
        self._alarm.ring()

    @internal_task
    async def _run(self, kernel: Any, number: int) -> None:
        pool = self._pool
        try:
            while self._on_duty == number:
                self._alarm = _Alarm()
                wait = pool.make_rounds()
                await pool.settle()
                if wait is None:
                    return
                await _wait(self._alarm, wait)
        except BaseException:
            self._ended = weakref.ref(kernel)
            raise
        finally:
            if self._on_duty == number:
                self._leave()
