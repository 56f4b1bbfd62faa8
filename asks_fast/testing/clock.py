"""A virtual clock: the delays of routed answers pass without being waited for.

Rules:  delays end in the order in which they would end in real time. Where the calling task has a
        time-out of curio that ends before the delay does, that time is waited for, so that the
        time-out expires as it would.
Not here: the time limits of a request (`routes`).
"""

from __future__ import annotations

import heapq
from itertools import count
from time import monotonic

import curio

__all__ = ["VirtualClock"]


class VirtualClock:
    """Time that passes only by `sleep`. `now` is in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ends: list[tuple[float, int]] = []  # a heap of the delays that pass at present
        self._tickets = count()

    async def sleep(self, seconds: float) -> None:
        """Let the clock advance by `seconds`, after all delays that end earlier."""
        deadline = (await curio.current_task()).timeout
        if deadline is not None and deadline - monotonic() <= seconds:
            await curio.sleep(seconds)
            return
        end = (self.now + seconds, next(self._tickets))
        heapq.heappush(self._ends, end)
        try:
            await curio.sleep(0)
            while self._ends[0] != end:
                await curio.sleep(0)
            self.now = end[0]
        finally:
            self._ends.remove(end)
            heapq.heapify(self._ends)
