"""The host of a guest kernel in a run of trio.

Facts:  a system task of trio waits for the kernel's descriptor, until the kernel's next timer is
        due. Trio cancels that task when the main task of the run has ended.
Rules:  a trap refuses to be aborted until our own code has cleaned up; then trio's exception is
        raised. A wait of user code is cancelled by a cancel scope of its own.
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
    """Return the class of the value that a waiting task yields to trio; saves trio's coroutine."""
    coroutine = trio.lowlevel.wait_task_rescheduled(_refuse)
    try:
        return type(coroutine.send(None))
    finally:
        coroutine.close()


_wait_message = _message_class()


class TrioTask(HostedTask):
    """A hosted task in trio."""

    def __init__(self) -> None:
        self.wait_object = _wait_message(self.abort)
        self._scope: trio.CancelScope | None = None

    def abort(self, raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        """Cancel the trap for trio. The task goes on, so that our code can clean up."""
        if self.host_error is None and self.interrupt():
            self.is_interrupted = False
            self.host_error = capture(raise_cancel).error
        return trio.lowlevel.Abort.FAILED

    def resume(self) -> None:
        """Resume the host's task."""
        trio.lowlevel.reschedule(self.host_task)

    def before_user_wait(self) -> None:
        """Open a cancel scope, by which `cancel_user_wait` can end the wait that follows."""
        self._scope = trio.CancelScope()
        self._scope.__enter__()
        if self.is_user_wait_cancelled:
            self._scope.cancel()

    def after_user_wait(self) -> None:
        """Close the cancel scope."""
        scope, self._scope = self._scope, None
        if scope is not None:
            scope.__exit__(None, None, None)

    def cancel_user_wait(self) -> None:
        """Cancel the wait of user code."""
        self.is_user_wait_cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    def was_cancelled_by_kernel(self, answer: Any, error: BaseException | None) -> bool:
        """Whether the wait ended because of a cancellation."""
        return isinstance(answer, Error) and isinstance(answer.error, trio.Cancelled)


class TrioHost(Host):
    """The interface of a guest kernel to its run of trio."""

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
                self._run_iteration()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):  # our cancelled tasks clean up first
                while self._tasks and self.runtime is not None:
                    self._run_iteration()
                    await trio.lowlevel.checkpoint()
            raise
        finally:
            self.end()

    def _run_iteration(self) -> None:
        self._scope = None
        self._is_due = False
        runtime = self.runtime
        if runtime is None:
            return
        if trio.current_time() >= self._deadline:
            self._deadline = math.inf
            runtime.on_timer()
        else:
            runtime.run_iteration()

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

    def current_task(self) -> trio.lowlevel.Task:
        return trio.lowlevel.current_task()

    def make_hosted_task(self) -> TrioTask:
        return TrioTask()

    def start_task(self, hosted: HostedTask, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(hosted)
        trio.lowlevel.spawn_system_task(self._run_hosted, hosted, coroutine)

    async def _run_hosted(self, hosted: HostedTask, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
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


_hosts: trio.lowlevel.RunVar[TrioHost] = trio.lowlevel.RunVar("asks_fast")


def find_host() -> TrioHost | None:
    """Return the host of the trio task that runs, made if necessary; None outside of a task."""
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
