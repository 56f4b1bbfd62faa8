"""Rate limits: how many requests may start per second.

`RateLimit` is a token bucket that makes up for late wake-ups. `SharedRateLimit` keeps the same
state in a file that several processes map, so that all of them together keep one limit.

Facts:  a timer wakes a task up to some milliseconds late. A bucket of one token loses that time:
        370 of 500 requests a second were sent, and 670 of 2,000. So the lateness of an awaited
        start is stored and made up for. Time in which no request was waiting is not made up for;
        time in which requests waited for a busy worker is.
Invariants: the average is the rate. No second has more than `rate + burst` starts: a window of the
        last starts enforces this while lost time is made up for. Nothing here waits; times are
        monotonic seconds that are passed in (one clock for all processes of a machine).

Implemented elsewhere: the order of requests (`scheduler`), the limits of a host (`host_limits`).
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["RateLimit", "SharedRateLimit"]

WINDOW = 1.004  # seconds; above 1 because requests may bunch by milliseconds on the network
MAX_LATENESS = 1.0  # seconds; a longer lateness is not made up for
TOLERANCE = 1e-9  # seconds; `now + (at - now)` may round to just before `at`


class RateLimit:
    """At most `rate` starts per second on average, of which `burst` may come at once."""

    __slots__ = ("burst", "full_at", "is_awaited", "lateness", "max_starts", "rate", "starts")

    def __init__(self, rate: float, burst: int = 1) -> None:
        self.rate = rate
        self.burst = burst
        self.max_starts = max(1, math.floor(rate + burst))  # within WINDOW
        self.full_at = -math.inf  # when the bucket is full again
        self.lateness = 0.0  # seconds lost by late wake-ups and not made up for yet
        self.is_awaited = False  # a caller waits for the next start
        self.starts: deque[float] | _Ring = deque()  # times of the starts within WINDOW

    def ready_at(self, now: float) -> float:
        """Return when the next request may start: `now`, or a later time to wait for.

        Call it only for a request that could start otherwise: after a later time was returned, the
        time until `try_acquire` counts as waiting.
        """
        while self.starts and self.starts[0] <= now - WINDOW:
            self.starts.popleft()
        at = self.full_at - (self.burst - 1) / self.rate
        if len(self.starts) >= self.max_starts:
            at = max(at, self.starts[0] + WINDOW)
        if at <= now + TOLERANCE:
            return now
        self.is_awaited = True
        return at

    def try_acquire(self, now: float, has_more: bool = False) -> bool:
        """Start a request if one may start now, and return whether it was started.

        Args:
            now: monotonic seconds.
            has_more: whether another request is waiting; the time until it starts counts as
                waiting, even if no caller asks for it because all workers are busy.
        """
        if RateLimit.ready_at(self, now) > now:
            return False
        late = max(0.0, now - self.full_at)
        if not self.is_awaited:
            late = min(late, self.lateness)
        self.lateness = late if late <= MAX_LATENESS else 0.0
        self.full_at = max(self.full_at, now - self.lateness) + 1.0 / self.rate
        self.is_awaited = has_more
        if len(self.starts) == self.max_starts:  # the first is exactly as old as the window
            self.starts.popleft()
        self.starts.append(now)
        return True

    def undo_acquire(self) -> None:
        """Undo one `try_acquire` whose request was not sent."""
        self.full_at -= 1.0 / self.rate
        if self.starts:
            self.starts.pop()

    def is_full(self, now: float) -> bool:
        """Return whether this limit is in its initial state, so that it can be removed."""
        return self.full_at <= now and (not self.starts or self.starts[-1] <= now - WINDOW)


class SharedRateLimit(RateLimit):
    """A `RateLimit` shared by all processes that map the same file.

    The file is locked for each call. The system releases the lock of a killed process.
    """

    __slots__ = ("_fd", "_state")

    def __init__(self, fd: int, rate: float, burst: int = 1) -> None:
        """Map the file of descriptor `fd`, which the caller keeps open.

        An empty file is initialised.
        """
        super().__init__(rate, burst)
        self._fd = fd
        size = 8 * (_HEADER + self.max_starts)
        with self._locked():
            is_new = os.fstat(fd).st_size == 0
            if is_new:
                os.ftruncate(fd, size)
            self._state: memoryview[float] = memoryview(mmap.mmap(fd, size)).cast("d")
            self.starts = _Ring(self._state)
            if is_new:
                self._store()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    @contextmanager
    def _loaded(self) -> Iterator[None]:
        with self._locked():
            self.full_at, self.lateness = self._state[0], self._state[1]
            self.is_awaited = bool(self._state[2])
            yield
            self._store()

    def _store(self) -> None:
        self._state[0], self._state[1] = self.full_at, self.lateness
        self._state[2] = float(self.is_awaited)

    def ready_at(self, now: float) -> float:
        """Return when the next request may start; another process may take that start."""
        with self._loaded():
            return super().ready_at(now)

    def try_acquire(self, now: float, has_more: bool = False) -> bool:
        """Start a request if one may start now, atomically."""
        with self._loaded():
            return super().try_acquire(now, has_more)

    def undo_acquire(self) -> None:
        """Undo one `try_acquire`."""
        with self._loaded():
            super().undo_acquire()


_HEADER = 5  # full_at, lateness, is_awaited; index of the first start and number of starts


class _Ring:
    """A queue of numbers in a mapped file, with the methods of a deque that `RateLimit` uses."""

    def __init__(self, state: memoryview[float]) -> None:
        self._state = state
        self._capacity = len(state) - _HEADER

    def __len__(self) -> int:
        return int(self._state[4])

    def _at(self, index: int) -> int:
        return _HEADER + (int(self._state[3]) + index % len(self)) % self._capacity

    def __getitem__(self, index: int) -> float:
        return float(self._state[self._at(index)])

    def append(self, value: float) -> None:
        """Add a number; there is space for all starts within `WINDOW`."""
        self._state[4] = float(len(self) + 1)
        self._state[self._at(-1)] = value

    def popleft(self) -> None:
        """Remove the first number."""
        self._state[3] = (self._state[3] + 1) % self._capacity
        self.pop()

    def pop(self) -> None:
        """Remove the last number."""
        self._state[4] = float(len(self) - 1)
