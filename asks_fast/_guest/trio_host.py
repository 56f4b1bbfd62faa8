"""The host of a guest kernel in a run of trio.

Facts:  a system task of trio waits for the kernel's descriptor, until the kernel's next timer is
        due. Trio cancels that task when the main task of the run has ended.
Rules:  a trap refuses to be aborted until our own code has cleaned up; then trio's exception is
        raised. A wait of user code is cancelled by a cancel scope of its own.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import trio
from outcome import Error
from trio import CancelScope
from trio.lowlevel import (
    cancel_shielded_checkpoint,
    current_task,
    in_trio_task,
)

from .._kernel import Host, HostedTask
from .guest_kernel import GuestKernel

__all__ = [
    "FAILED",
    "CancelScope",
    "TrioHost",
    "current_task",
    "find_host",
    "in_trio_task",
    "is_cancellation",
    "wait_message",
]


FAILED = trio.lowlevel.Abort.FAILED


def _message_class() -> Callable[[Callable[[Any], Any]], Any]:
    """Return the class of the value that a waiting task yields to trio; saves trio's coroutine."""
    coroutine = trio.lowlevel.wait_task_rescheduled(lambda raise_cancel: FAILED)
    try:
        return type(coroutine.send(None))
    finally:
        coroutine.close()


wait_message = _message_class()


def is_cancellation(outcome: Any) -> bool:
    """Whether a wait of user code ended because of a cancellation."""
    return isinstance(outcome, Error) and isinstance(outcome.error, trio.Cancelled)


def _trio_data() -> dict[str, Any] | None:
    """Return trio's data of this thread, a dict with `task` and `runner`; None if it is not found.

    `current_task()` and `reschedule()` read it too, but cost 1,500 and 900 instructions more, a
    tenth of a request. The name is private, so a release of trio may lack it.
    """
    context = getattr(sys.modules.get("trio._core._run"), "GLOBAL_RUN_CONTEXT", None)
    data = getattr(context, "__dict__", None)
    return data if isinstance(data, dict) and data.keys() >= {"task", "runner"} else None


class TrioHost(Host):
    """The interface of a guest kernel to its run of trio."""

    def __init__(self) -> None:
        self._deadline = math.inf
        self._is_due = False
        self._scope: trio.CancelScope | None = None
        self._tasks: set[HostedTask] = set()
        self._kernel = GuestKernel()
        self.trio_data = _trio_data()
        runner = None if self.trio_data is None else self.trio_data.get("runner")
        self.reschedule = getattr(runner, "reschedule", trio.lowlevel.reschedule)
        self._kernel.runtime.attach(self)
        trio.lowlevel.spawn_system_task(self._serve)

    async def _serve(self) -> None:
        try:
            while self.runtime is not None:
                deadline = -math.inf if self._is_due else self._deadline
                with trio.CancelScope(deadline=deadline) as self._scope:
                    await trio.lowlevel.wait_readable(self._kernel._selector.fileno())
                while self._run_iteration():  # more are probably ready, and need no wait
                    await cancel_shielded_checkpoint()
                    if self.resumed:  # trio runs ready tasks forwards or backwards
                        await cancel_shielded_checkpoint()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):  # our cancelled tasks clean up first
                while self._tasks and self.runtime is not None:
                    self._run_iteration()
                    await trio.lowlevel.checkpoint()
            raise
        finally:
            self.end()

    def _run_iteration(self) -> int:
        self._scope = None
        self._is_due = False
        runtime = self.runtime
        if runtime is None:
            return 0
        if trio.current_time() >= self._deadline:
            self._deadline = math.inf
            return runtime.on_timer()
        return runtime.run_iteration()

    def end(self) -> None:
        """End the guest kernel and cancel its tasks, because the run ends."""
        if self.runtime is not None:
            self.detach()
            self._kernel.end()

    def detach(self) -> None:
        """Stop the system task that runs the kernel."""
        self.runtime = None
        if self._scope is not None:
            self._scope.cancel()

    # -- called by the kernel

    def start_task(self, hosted: HostedTask) -> None:
        self._tasks.add(hosted)
        trio.lowlevel.spawn_system_task(self._run_hosted, hosted)

    async def _run_hosted(self, hosted: HostedTask) -> None:
        try:
            await hosted
        finally:
            self._tasks.discard(hosted)
            hosted.on_host_task_end()

    def call_soon(self) -> None:
        self._is_due = True
        if self._scope is not None:
            self._scope.cancel()

    def call_after(self, seconds: float) -> None:
        self._deadline = trio.current_time() + seconds
        if self._scope is not None and not self._is_due:
            self._scope.deadline = self._deadline

    def resume_later(self, hosted: HostedTask) -> None:
        hosted.resume()

    def redeliver_cancellation(self, hosted: HostedTask) -> None:
        """Do nothing: trio cancels at every wait."""


_hosts: trio.lowlevel.RunVar[TrioHost | None] = trio.lowlevel.RunVar("asks_fast")


def find_host() -> TrioHost:
    """Return the host of the trio task that runs, made if necessary."""
    host: TrioHost | None = _hosts.get(None)
    if host is None or host.runtime is None:
        host = TrioHost()
        _hosts.set(host)
    return host
