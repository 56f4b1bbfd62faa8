"""SIGINT and SIGTERM as events that a task can await.

Facts:  a signal handler may do almost nothing; a byte written to a socket wakes the kernel.
Invariants: signals are counted while the block is entered. The third one restores the previous
        handler (KeyboardInterrupt), so that the user can always interrupt.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from curio import Task
from curio.io import Socket

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["SignalHandler", "stop_on_signals"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SignalHandler:
    """Context manager for the main thread; `await wait()` returns the number of the next signal."""

    def __init__(self) -> None:
        self.count = 0
        self.last = 0  # signal number

    def __enter__(self) -> Self:
        reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._raw = reader
        self._reader = Socket(reader)
        self._before: dict[int, Any] = {s: signal.signal(s, self._on_signal) for s in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._writer.close()
        self._raw.close()

    async def wait(self) -> int:
        """Return the next signal, or one that arrived since the last call."""
        await self._reader.recv(1)
        return self.last

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.last = number
        if self.count > 2:
            for one, handler in self._before.items():
                signal.signal(one, handler)
        with contextlib.suppress(OSError):
            self._writer.send(b"!")


class Stoppable(Protocol):
    """A bulk run that can be asked to stop."""

    async def stop(self) -> None:
        """Start no more requests."""


async def stop_on_signals(
    handler: SignalHandler,
    run: Stoppable,
    task: Task,
    on_signal: Callable[[int], None] = lambda count: None,
) -> None:
    """Stop `run` at the first signal and cancel its task at the second.

    Args:
        handler: an entered handler.
        run: the run; requests under way are finished after the first signal.
        task: the task that runs it.
        on_signal: called with 1 or 2 before the signal takes effect.
    """
    await handler.wait()
    on_signal(1)
    await run.stop()
    await handler.wait()
    on_signal(2)
    await task.cancel(blocking=False)
