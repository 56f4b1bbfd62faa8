"""Ctrl-C as something to wait for.

Facts:  a signal handler may do next to nothing; a byte into a socket wakes the kernel.
Rules:  SIGINT and SIGTERM are counted while the block is entered; the third one in a row is
        what it was before (KeyboardInterrupt), so that a person can always get out.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from types import FrameType
from typing import TYPE_CHECKING, Any

from curio.io import Socket

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["SignalHandler"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SignalHandler:
    """Context manager, for the main thread; `await wait()` gives the number of the next signal."""

    def __init__(self) -> None:
        self.count = 0
        self.last = 0  # signal number

    def __enter__(self) -> Self:
        reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._raw = reader
        self._reader = Socket(reader)
        self._before: dict[int, Any] = {s: signal.signal(s, self._note) for s in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._writer.close()
        self._raw.close()

    async def wait(self) -> int:
        """The next signal that comes, or came and was not waited for yet."""
        await self._reader.recv(1)
        return self.last

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.last = number
        if self.count > 2:
            for one, handler in self._before.items():
                signal.signal(one, handler)
        with contextlib.suppress(OSError):
            self._writer.send(b"!")
