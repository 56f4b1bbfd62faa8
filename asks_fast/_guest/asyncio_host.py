"""The guest kernel of a loop of asyncio, uvloop included.

Facts:  asyncio has no hook for the end of a loop. `asyncio.run` closes the async generators that
        were begun in the loop: one that is suspended for the whole life of the loop ends the guest
        kernel. A loop that is only closed drops its readers, and with them a guard that ends it.
Rules:  the loop keeps the host, and the host is found by an attribute of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from typing import Any

from .._kernel import Host, HostedTask
from .guest_kernel import GuestKernel

__all__ = ["AsyncioHost", "make_host"]


class AsyncioHost(Host):
    """What the guest kernel of one loop needs of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()  # asyncio itself keeps weak references
        self._kernel = GuestKernel()
        runtime = self._kernel.runtime
        self._descriptor = self._kernel._selector.fileno()
        loop.add_reader(self._descriptor, runtime.turn, _Guard(self))
        runtime.attach(self)
        self._guard = self._wait_for_end()
        with suppress(StopIteration):
            self._guard.asend(None).send(None)

    async def _wait_for_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        """The loop ends: so does the guest kernel, with what is under way in it."""
        if self.runtime is not None:
            self.forget()
            self._kernel.end()

    def drop(self) -> None:
        """The loop is collected as garbage, and its tasks with it: only free what we hold."""
        if self.runtime is not None:
            self.forget()
            self._kernel.free()

    def forget(self) -> None:
        """The guest kernel is at its end: no more calls from the loop, and none to it."""
        self.runtime = None
        if self.loop.__dict__.get("_asks_fast_host") is self:
            del self.loop.__dict__["_asks_fast_host"]
        if self._timer is not None:
            self._timer.cancel()
        if not self.loop.is_closed() and self._kernel.is_of_this_process:
            self.loop.remove_reader(self._descriptor)

    # -- for the kernel

    def start_task(self, hosted: HostedTask, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)

        def ended(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            hosted.lost()

        task.add_done_callback(ended)

    def call_soon(self) -> None:
        if self.runtime is not None:
            self.loop.call_soon(self.runtime.turn)

    def call_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.runtime is not None:
            self._timer = self.loop.call_later(seconds, self.runtime.on_alarm)

    def resume_later(self, hosted: HostedTask) -> None:
        self.loop.call_soon(hosted.resume)

    def cancel_again(self, hosted: HostedTask) -> None:
        task = asyncio.current_task(self.loop)
        assert task is not None
        if hasattr(task, "uncancel"):  # Python 3.11
            task.uncancel()
        task.cancel()


class _Guard:
    """An object that only the loop's reader of our descriptor holds."""

    def __init__(self, host: AsyncioHost) -> None:
        self._host = host

    def __del__(self) -> None:
        if self._host.loop.is_closed():
            self._host.end()
        else:
            self._host.drop()


def make_host(loop: asyncio.AbstractEventLoop) -> AsyncioHost:
    """The first call in this loop: make its guest kernel."""
    host = AsyncioHost(loop)
    loop._asks_fast_host = host  # type: ignore[attr-defined]
    return host
