"""A virtual clock: delays of mocked responses end without being waited for.

Delays end in the order in which they would end in real time. If the calling task has a curio
time-out that expires before the delay ends, the task waits in real time, so that the time-out
expires as usual. The time limits of a request are implemented in `routes`.
"""

from __future__ import annotations

import heapq
from itertools import count
from time import monotonic

import curio

__all__ = ["VirtualClock"]


class VirtualClock:
    """A clock that only `sleep` advances. `now` is in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ends: list[tuple[float, int]] = []  # a heap of the current delays
        self._order = count()

    async def sleep(self, seconds: float) -> None:
        """Advance the clock by `seconds`, after all delays that end earlier."""
        deadline = (await curio.current_task()).timeout
        if deadline is not None and deadline - monotonic() <= seconds:
            await curio.sleep(seconds)
            return
        end = (self.now + seconds, next(self._order))
        heapq.heappush(self._ends, end)
        try:
            await curio.sleep(0)
            while self._ends[0] != end:
                await curio.sleep(0)
            self.now = end[0]
        finally:
            self._ends.remove(end)
            heapq.heapify(self._ends)
