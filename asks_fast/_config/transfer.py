"""The pace of a transfer: progress, the lowest speed that is accepted, a limit on the bandwidth.

One `TransferMeter` counts the bytes of one transfer. Only time spent waiting for the network counts
towards the lowest speed: neither the caller's own work nor the pauses of the bandwidth limit do.
Reading and writing are implemented in `_response/stream` and `_request/body_source`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import TypeAlias

import curio

from ..errors import InvalidRequest, TransferTooSlow

__all__ = ["BandwidthLimit", "LowSpeed", "Progress", "ProgressCallback", "TransferMeter"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer is: `progress=` of a download is called with it after each chunk.

    `transferred`: bytes so far, those of earlier attempts included. `total`: bytes in all, None
    if unknown. `resumed_from`: bytes that were there before the call. `elapsed`: seconds since the
    transfer began.
    """

    transferred: int
    total: int | None
    resumed_from: int
    elapsed: float

    @property
    def rate(self) -> float:
        """Bytes per second on average, without those that were there before."""
        new = self.transferred - self.resumed_from
        return new / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def fraction(self) -> float | None:
        """The part that is done, from 0 to 1; None if the total is unknown."""
        return None if self.total is None else self.transferred / max(self.total, 1)


ProgressCallback: TypeAlias = Callable[[Progress], object]  # an awaitable result is awaited
LowSpeed: TypeAlias = "tuple[float, float]"  # bytes per second, seconds


class BandwidthLimit:
    """At most `rate` bytes per second, over all transfers that are given this object.

    Example:
        limit = BandwidthLimit(1_000_000)
        await session.download(first, "first.iso", max_rate=limit)
    """

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not rate > 0:
            raise InvalidRequest(f"a rate must be more than 0 bytes per second, not {rate!r}")
        self.rate = float(rate)
        self._clock = clock
        self._free_at = 0.0  # the time at which the bytes so far are paid for

    @classmethod
    def coerce(cls, value: float | BandwidthLimit | None) -> BandwidthLimit | None:
        """The limit itself, or a new one for a number of bytes per second."""
        return value if value is None or isinstance(value, BandwidthLimit) else cls(value)

    def delay_after(self, size: int) -> float:
        """Count `size` bytes and return the seconds to wait before the next ones."""
        now = self._clock()
        self._free_at = max(now, self._free_at) + size / self.rate
        return self._free_at - now

    def __repr__(self) -> str:
        return f"<BandwidthLimit {self.rate:g} bytes/s>"


class TransferMeter:
    """Counts the bytes of one transfer, reports them, and keeps to its limits."""

    def __init__(
        self,
        *,
        total: int | None = None,
        start: int = 0,
        progress: ProgressCallback | None = None,
        low_speed: LowSpeed | None = None,
        max_rate: float | BandwidthLimit | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.transferred = start
        self.resumed_from = start
        self._progress = progress
        self._low_speed = check_low_speed(low_speed)
        self._limit = BandwidthLimit.coerce(max_rate)
        self._clock = clock
        self._began = clock()
        self._waited = 0.0  # seconds of waiting for the network, and the bytes that came in them
        self._arrived = 0

    def time_left(self) -> float | None:
        """Seconds within which the next bytes must come; None for no limit."""
        return None if self._low_speed is None else self._low_speed[1] - self._waited

    def wait_ended(self, seconds: float, size: int) -> None:
        """Count a wait for the network of `seconds`, which brought `size` bytes.

        Raises:
            TransferTooSlow: the speed was below `low_speed` for its whole time.
        """
        if self._low_speed is None:
            return
        rate, limit = self._low_speed
        self._waited += seconds
        self._arrived += size
        if self._arrived >= rate * limit:
            self._waited, self._arrived = 0.0, 0
        elif self._waited >= limit:
            raise TransferTooSlow(
                f"{self._arrived} bytes in {limit:g} s are fewer than low_speed={rate:g} bytes per "
                f"second; {self.transferred} bytes were transferred before",
                limit,
            )

    async def count(self, size: int) -> None:
        """Count `size` transferred bytes: report them and pause if the bandwidth limit asks to."""
        self.transferred += size
        if self._progress is not None:
            elapsed = self._clock() - self._began
            outcome = self._progress(
                Progress(self.transferred, self.total, self.resumed_from, elapsed)
            )
            if isawaitable(outcome):
                await outcome
        if self._limit is not None:
            await curio.sleep(self._limit.delay_after(size))


def check_low_speed(value: LowSpeed | None) -> LowSpeed | None:
    """Raise `InvalidRequest` unless `value` is (bytes per second, seconds), both above 0."""
    if value is None:
        return None
    is_pair = isinstance(value, tuple) and len(value) == 2
    if not is_pair or not all(isinstance(n, (int, float)) and n > 0 for n in value):
        raise InvalidRequest(
            f"low_speed must be (bytes per second, seconds), both above 0, not {value!r}"
        )
    return value
