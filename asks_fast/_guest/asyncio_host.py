"""The host of a guest kernel in a loop of asyncio or uvloop.

Facts:  asyncio has no hook for the end of a loop, so two objects detect it. `asyncio.run` closes
        the async generators of the loop; one that is suspended until then ends the guest kernel.
        A loop that is only closed drops its readers, and with them a guard that ends it.
Rules:  the loop owns the host, in an attribute by which the host is found.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from .._kernel import Host, HostedTask
from .guest_kernel import GuestKernel

__all__ = ["AsyncioHost", "make_host"]


class AsyncioHost(Host):
    """The interface of a guest kernel to its asyncio loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()  # asyncio keeps only weak references
        self._kernel = GuestKernel()
        runtime = self._kernel.runtime
        self._descriptor = self._kernel._selector.fileno()
        loop.add_reader(self._descriptor, runtime.run_iteration, _Guard(self))
        runtime.attach(self)
        self._end_detector = self._wait_for_end()
        with suppress(StopIteration):
            self._end_detector.__anext__().send(None)

    async def _wait_for_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        """End the guest kernel and cancel its tasks, because the loop ends."""
        if self.runtime is not None:
            self.detach()
            self._kernel.end()

    def free(self) -> None:
        """Close the descriptors only: the loop was garbage collected together with its tasks."""
        if self.runtime is not None:
            self.detach()
            self._kernel.free()

    def detach(self) -> None:
        """Stop all calls between the loop and the guest kernel."""
        self.runtime = None
        if self.loop.__dict__.get("_asks_fast_host") is self:
            del self.loop.__dict__["_asks_fast_host"]
        if self._timer is not None:
            self._timer.cancel()
        if not self.loop.is_closed() and self._kernel.is_of_this_process:
            self.loop.remove_reader(self._descriptor)

    # -- called by the kernel

    def start_task(self, hosted: HostedTask) -> None:
        task: asyncio.Task[Any] = self.loop.create_task(hosted)
        self._tasks.add(task)

        def ended(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            hosted.on_host_task_end()

        task.add_done_callback(ended)

    def call_soon(self) -> None:
        if self.runtime is not None:
            self.loop.call_soon(self.runtime.run_iteration)

    def call_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.runtime is not None:
            self._timer = self.loop.call_later(seconds, self.runtime.on_timer)

    def resume_later(self, hosted: HostedTask) -> None:
        self.loop.call_soon(hosted.resume)

    def redeliver_cancellation(self, hosted: HostedTask) -> None:
        task = asyncio.current_task(self.loop)
        assert task is not None
        if sys.version_info >= (3, 11):
            task.uncancel()
        task.cancel()


class _Guard:
    """Ends the host when it is deleted; only the loop's reader of our descriptor refers to it."""

    def __init__(self, host: AsyncioHost) -> None:
        self._host = host

    def __del__(self) -> None:
        if self._host.loop.is_closed():
            self._host.end()
        else:
            self._host.free()


def make_host(loop: asyncio.AbstractEventLoop) -> AsyncioHost:
    """Make the host and the guest kernel of a loop."""
    host = AsyncioHost(loop)
    loop._asks_fast_host = host  # type: ignore[attr-defined]
    return host
