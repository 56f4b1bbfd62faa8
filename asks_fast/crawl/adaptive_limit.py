"""Adaptive concurrency of one host: additive increase, multiplicative decrease.

`AdaptiveLimit` finds how many requests a host can take, without knowing the server. One number is
adapted, the mean number of requests under way. It may be below one. By Little's law it is also a
rate, as requests under way divided by the latency are requests per second; starts are spaced by
that rate, so the limit fits servers that count requests under way and servers that count requests
per second. The limit grows by a small step per success while it is what delays requests. It
shrinks by a factor after a 429 or 503, a time-out, or a growth of the latency.

Facts:  a queue in the server shows as latency before anything is rejected.
Invariants: nothing here waits or reads a clock; times are monotonic seconds that are passed in.
        One congestion counts once: results of requests sent before a decrease do not decrease the
        limit again. After an unexpected rejection, one request at a time is sent until one
        succeeds. The limit is above 0 and at most `maximum`.

Implemented elsewhere: circuit, robots.txt and fixed limits of a host (`host_limits`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["AdaptiveLimit"]

START = 2.0  # requests under way at first
START_GROWTH = 0.5  # per success until the first decrease: 50 % per round trip
DECREASE = 0.875  # after a rejection, or when the latency has grown
MIN_DECREASE = 0.25  # factor for a limit that was far too high
MIN_DECREASE_AFTER_PAUSE = 0.5  # the same if the server asked for a pause
TIMEOUT_DECREASE = 0.5
CYCLE = 600  # successes in which the first step makes up for a decrease, at least
DOUBLINGS = 12  # how often the step is doubled in a cycle, which then takes 185 successes
MAX_PAUSE_SHARE = 0.02  # part of a cycle that the pause after a rejection may take
MIN_LIMIT = 1e-4
MAX_INTERVAL = 60.0  # seconds between two requests
CREDIT = 0.005  # seconds of late wake-ups that are made up for
MIN_PAUSE = 0.1  # seconds after a rejection before the trial request
FIRST_PAUSE, MAX_PAUSE = 0.25, 60.0  # seconds after a rejected trial request, doubled each time

SAMPLES = 16  # latencies whose lower quartile is compared, at least
SMOOTHING = 1 / 8  # weight of a new latency in the mean that spaces the starts
LATENCY_FACTOR = 2.0  # growth of the latency that counts as a queue in the server
LATENCY_MARGIN = 0.01  # seconds; below this a growth is noise


class _LatencyEpisode(NamedTuple):
    """A period in which the latency stays too long while the limit is decreased."""

    first_limit: float  # before the first decrease
    limit: float
    latency: float  # with this limit; infinite until it is known


class AdaptiveLimit:
    """The adaptive limit of one host.

    Attributes:
        limit: how many requests may be under way, on average.
        maximum: limit of `limit`.

    Example:
        adaptive = AdaptiveLimit(maximum=8)
        if adaptive.has_capacity(under_way) and adaptive.ready_at(now) <= now:
            adaptive.on_start(now)
    """

    __slots__ = (
        "_baseline",
        "_cycle",
        "_decreased_at",
        "_is_recovering",
        "_is_starting",
        "_is_trying",
        "_latency",
        "_latency_episode",
        "_next_at",
        "_paced",
        "_pause",
        "_rejected_at",
        "_samples",
        "_step",
        "_successes",
        "_was_paced",
        "limit",
        "maximum",
    )

    def __init__(self, maximum: float = math.inf) -> None:
        self.maximum = max(1.0, maximum)
        self.limit = min(START, self.maximum)
        self._is_starting = True  # no decrease yet
        self._step = START_GROWTH  # added to the limit per success
        self._cycle = CYCLE  # successes in which a step of this size makes up for a decrease
        self._successes = 0  # of requests sent since the last decrease
        self._decreased_at = -math.inf
        self._rejected_at = -math.inf  # time of the rejection that caused the last decrease
        self._is_recovering = False  # no request sent since the last rejection has succeeded
        self._is_trying = False  # the one request of the recovery is under way
        self._pause = FIRST_PAUSE  # after the next rejected trial request
        self._next_at = -math.inf  # no start before this time
        self._was_paced = False  # the next start was delayed by the rate
        self._paced = 0  # such starts whose success was not counted yet
        self._latency = 0.0  # mean of successes, in seconds; 0.0 before the first
        self._samples: list[float] = []  # latencies of this round
        self._baseline = math.inf  # latency without a queue
        self._latency_episode: _LatencyEpisode | None = None  # since the latency has grown

    @property
    def rate(self) -> float:
        """Requests per second; infinite until the first decrease."""
        if self._is_starting or self._latency <= 0.0:
            return math.inf
        return max(self.limit / self._latency, 1.0 / MAX_INTERVAL)

    @property
    def concurrency(self) -> int:
        """How many requests may be under way at any moment, at least 1."""
        if self.limit == math.inf:
            return 1_000_000
        return max(1, math.floor(self.limit) if self._is_starting else math.ceil(self.limit - 1e-9))

    @property
    def is_reduced(self) -> bool:
        """Whether the limit was decreased, so that it should be remembered."""
        return not self._is_starting

    def has_capacity(self, under_way: int) -> bool:
        """Return whether one more request may be under way."""
        return under_way < self.concurrency and not (self._is_recovering and self._is_trying)

    def ready_at(self, now: float) -> float:
        """Return when the next request may start; call it for a request that could start."""
        if self._next_at <= now:
            return now
        self._was_paced = True
        return self._next_at

    def on_start(self, now: float) -> None:
        """Note that a request starts."""
        self._is_trying = self._is_recovering
        rate = self.rate
        if rate < math.inf:
            interval = 1.0 / rate
            self._next_at = max(self._next_at, now - CREDIT) + interval
            self._paced += self._was_paced
        self._was_paced = False

    def on_success(self, now: float, started: float, under_way: int) -> None:
        """Note a success.

        Args:
            now: monotonic seconds.
            started: when the request started.
            under_way: requests under way, this one included.
        """
        latency = now - started
        if self._latency > 0.0:
            self._latency += (latency - self._latency) * SMOOTHING
        else:
            self._latency = latency
        if started < self._decreased_at:
            return
        self._is_recovering = self._is_trying = False
        self._pause = FIRST_PAUSE
        self._successes += 1
        if not self._is_starting and self._successes % (self._cycle // DOUBLINGS) == 0:
            self._step *= 2.0  # far below the capacity: grow faster and faster
        if self._paced or under_way >= self.concurrency:
            self._paced = max(0, self._paced - 1)
            self.limit = min(self.maximum, self.limit + self._step)
        self._note_latency(now, latency)

    def on_rejected(self, now: float, started: float, pause: float | None = None) -> None:
        """Note a 429 or 503; `pause` is the number of seconds of a `Retry-After`."""
        if started >= self._decreased_at:
            if self._is_recovering:
                self._is_trying = False
                self._decreased_at = now
                self._pause = min(MAX_PAUSE, 2.0 * self._pause)
                self._next_at = max(self._next_at, now + self._pause)
            else:
                self._on_first_rejection(now, pause or 0.0)
        if pause is not None:
            self._next_at = max(self._next_at, now + pause)

    def on_timeout(self, now: float, started: float) -> None:
        """Note a time-out."""
        if started >= self._decreased_at:
            self._is_trying = False
            self._decrease(now, TIMEOUT_DECREASE)

    def on_other_end(self, started: float) -> None:
        """Note that a request was not sent, or failed for a reason other than load."""
        if started >= self._decreased_at:
            self._is_trying = False

    def _on_first_rejection(self, now: float, pause: float) -> None:
        """Decrease the limit: by `DECREASE` if it was right before, else by what was measured."""
        factor = DECREASE
        own_pause = max(MIN_PAUSE, self._latency)
        if not self._is_starting and 4 * self._successes < self._cycle:
            # The successes were sent in this time: without a round trip of pause, one of the trial
            # request, and one of the request that was rejected now.
            elapsed = now - self._rejected_at - 3.0 * self._latency
            factor = MIN_DECREASE if pause == 0.0 else MIN_DECREASE_AFTER_PAUSE
            if elapsed > 0.0:
                measured = self._successes / elapsed * self._latency
                factor = min(DECREASE, max(factor, measured / self.limit))
        rate = self.limit / self._latency if self._latency > 0.0 else 0.0
        longest = (max(pause, own_pause) + self._latency) * rate / MAX_PAUSE_SHARE
        self._cycle = max(CYCLE, min(100_000, math.ceil(longest)))
        self._decrease(now, factor)
        self._rejected_at = now
        self._is_recovering = True
        self._next_at = max(self._next_at, now + own_pause)

    def _decrease(self, now: float, factor: float) -> None:
        """Multiply the limit by `factor`; set the step so that a cycle makes up for it."""
        limit = max(self.limit * factor, MIN_LIMIT)
        self._step = (self.limit - limit) / self._cycle
        self.limit = limit
        self._is_starting = False
        self._decreased_at = now
        self._successes = self._paced = 0
        self._samples.clear()

    def _note_latency(self, now: float, latency: float) -> None:
        """Compare the latency with that without a queue, once per round of requests."""
        self._samples.append(latency)
        if len(self._samples) < max(SAMPLES, min(self.limit, 1000.0)):
            return
        found = sorted(self._samples)[len(self._samples) // 4]
        if self._baseline == math.inf:
            self._baseline = min(self._samples)  # the limit grew while they were measured
        self._samples.clear()
        if found <= LATENCY_FACTOR * self._baseline + LATENCY_MARGIN:
            self._latency_episode = None
            self._baseline = min(self._baseline, found)
            return
        before = self._latency_episode
        if before is None:
            self._latency_episode = _LatencyEpisode(self.limit, self.limit, math.inf)
        elif before.latency == math.inf:
            self._latency_episode = _LatencyEpisode(before.first_limit, self.limit, found)
        elif self.limit <= max(1.0, 0.75 * before.limit):
            if found > 0.9 * before.latency:  # fewer requests did not help: the cause is elsewhere
                self._baseline = found
                self.limit = max(self.limit, before.first_limit)
                self._latency_episode = None
                return
            self._latency_episode = _LatencyEpisode(before.first_limit, self.limit, found)
        self._decrease(now, DECREASE)

    def __repr__(self) -> str:
        pace = "" if self.rate == math.inf else f", {self.rate:.3g}/s"
        state = ", recovering" if self._is_recovering else ""
        return f"<AdaptiveLimit {self.limit:.3g} at once{pace}{state}>"
