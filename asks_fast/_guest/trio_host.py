"""The guest kernel of a trio run.

Facts:  a system task of trio waits for the kernel's descriptor, with the kernel's next timer as its
        deadline. Trio cancels it when the main task of the run has ended.
Rules:  a wait in one of our traps refuses to be aborted until our own code has cleaned up; then
        trio's exception is raised. A wait of user code is ended by a cancel scope of our own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any

import trio
from outcome import Error, capture

from .._kernel import Host, HostedTask
from .guest_kernel import GuestKernel

__all__ = ["TrioHost", "find_host"]


def _refuse(_raise_cancel: Any) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


def _message_class() -> Callable[[Callable[[Any], Any]], Any]:
    """The class of what parks a task: trio has a coroutine for it, which is a frame too many."""
    coroutine = trio.lowlevel.wait_task_rescheduled(_refuse)
    try:
        return type(coroutine.send(None))
    finally:
        coroutine.close()


_park = _message_class()


class TrioTask(HostedTask):
    """A hosted task in trio."""

    def __init__(self) -> None:
        self.signal = _park(self.abort)
        self._scope: trio.CancelScope | None = None

    def abort(self, raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        """Trio cancels the task in one of our traps: it goes on once our code has cleaned up."""
        if self.host_error is None and self.interrupt():
            self.interrupted = False
            self.host_error = capture(raise_cancel).error
        return trio.lowlevel.Abort.FAILED

    def resume(self) -> None:
        """Let the host's task run."""
        trio.lowlevel.reschedule(self.owner)

    def before_foreign(self) -> None:
        """The task is about to wait in user code: what is above it may want to end that wait."""
        self._scope = trio.CancelScope()
        self._scope.__enter__()
        if self.broken:
            self._scope.cancel()

    def after_foreign(self) -> None:
        """The wait is over."""
        scope, self._scope = self._scope, None
        if scope is not None:
            scope.__exit__(None, None, None)

    def break_wait(self) -> None:
        """End a wait of user code."""
        self.broken = True
        if self._scope is not None:
            self._scope.cancel()

    def broke(self, answer: Any, error: BaseException | None) -> bool:
        """Whether that wait was cancelled."""
        return isinstance(answer, Error) and isinstance(answer.error, trio.Cancelled)


class TrioHost(Host):
    """What the guest kernel of one run needs of trio."""

    def __init__(self) -> None:
        self._deadline = math.inf
        self._is_due = False
        self._scope: trio.CancelScope | None = None
        self._tasks: set[HostedTask] = set()
        self._kernel = GuestKernel()
        self._kernel.runtime.attach(self)
        trio.lowlevel.spawn_system_task(self._serve)

    async def _serve(self) -> None:
        try:
            while self.runtime is not None:
                deadline = -math.inf if self._is_due else self._deadline
                with trio.CancelScope(deadline=deadline) as self._scope:
                    await trio.lowlevel.wait_readable(self._kernel._selector.fileno())
                self._turn()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):  # our tasks are cancelled too, and clean up
                while self._tasks and self.runtime is not None:
                    self._turn()
                    await trio.lowlevel.checkpoint()
            raise
        finally:
            self.end()

    def _turn(self) -> None:
        self._scope = None
        self._is_due = False
        runtime = self.runtime
        if runtime is None:
            return
        if trio.current_time() >= self._deadline:
            self._deadline = math.inf
            runtime.on_alarm()
        else:
            runtime.turn()

    def end(self) -> None:
        """The run ends: so does the guest kernel, with what is under way in it."""
        if self.runtime is not None:
            self.forget()
            self._kernel.end()

    def forget(self) -> None:
        """The guest kernel is at its end."""
        self.runtime = None
        if self._scope is not None:
            self._scope.cancel()

    # -- for the kernel

    def current_task(self) -> trio.lowlevel.Task:
        return trio.lowlevel.current_task()

    def hosted_task(self) -> TrioTask:
        return TrioTask()

    def start_task(self, hosted: HostedTask, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(hosted)
        trio.lowlevel.spawn_system_task(self._drive, hosted, coroutine)

    async def _drive(self, hosted: HostedTask, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        finally:
            self._tasks.discard(hosted)
            hosted.lost()

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

    def cancel_again(self, hosted: HostedTask) -> None:
        """Nothing to do: trio cancels at every wait."""


_hosts: trio.lowlevel.RunVar[TrioHost] = trio.lowlevel.RunVar("asks_fast")


def find_host() -> TrioHost | None:
    """The host of the trio task that runs; None outside of one."""
    try:
        host: TrioHost | None = _hosts.get(None)
    except RuntimeError:
        return None
    if host is None or host.runtime is None:
        if not trio.lowlevel.in_trio_task():
            return None
        host = TrioHost()
        _hosts.set(host)
    return host
