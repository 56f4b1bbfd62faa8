"""The limits of bulk requests: options, and the state of one host.

`Politeness` holds the options. `Host` decides when the next request to a host may start, how many
may be under way, and whether its circuit is open. All of it is arithmetic on monotonic seconds that
are passed in.

Facts:  429 and 503 mean "slower" (RFC 6585 §4, RFC 9110 §15.6.4); `Retry-After` says by how much.
Invariants: one congestion counts once: requests sent before a slow-down do not slow down again.
        What a server asks for is bounded by `max_pause`.

Implemented elsewhere: rates (`rate_limit`), adaptive limits (`adaptive_limit`), queues
(`scheduler`), robots.txt (`robots`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .._config.argument_checks import is_number
from .adaptive_limit import AdaptiveLimit
from .rate_limit import RateLimit

__all__ = ["FAILED", "SUCCEEDED", "THROTTLED", "TIMED_OUT", "UNSENT", "Host", "Politeness"]

SUCCEEDED, THROTTLED, FAILED, UNSENT = "succeeded", "throttled", "failed", "unsent"
TIMED_OUT = "timed out"


@dataclass(frozen=True)
class Politeness:
    """Limits for bulk requests. The defaults limit nothing but react to what hosts ask for.

    Attributes:
        rate: average requests per second of the whole run.
        burst: how many requests `rate` lets start at once; no second has more than `rate + burst`.
        host_rate, host_burst: the same per host.
        rate_limit: an object that replaces `rate` for runs of several processes.
        host_concurrency: limit of concurrent requests per host.
        min_delay: least seconds between the starts of two requests to a host.
        max_pause: limit in seconds for the pause that a `Retry-After` or crawl-delay asks for.
        max_failures: consecutive connection failures that open a host's circuit; 0: never.
        circuit_reset: seconds until a host with an open circuit is tried again, doubled each time.
        robots: obey robots.txt.
        user_agent: the name looked up in robots.txt.
        lookahead: items read ahead of the requests, so that a slow host does not delay the others.
        adaptive: find the number of concurrent requests and the rate that each host can take, up
            to the limits above: both grow step by step, and shrink after a 429 or 503, a time-out,
            or when the latency grows.

    Raises:
        ValueError: a value is out of range.

    Example:
        session.map(urls, politeness=Politeness(host_concurrency=2, min_delay=0.5, robots=True))
    """

    rate: float | None = None
    burst: int = 1
    host_rate: float | None = None
    host_burst: int = 1
    host_concurrency: int | None = None
    min_delay: float = 0.0
    max_pause: float = 300.0
    max_failures: int = 5
    circuit_reset: float = 30.0
    robots: bool = False
    user_agent: str = "asks-fast"
    lookahead: int = 10_000
    adaptive: bool = False
    rate_limit: RateLimit | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range; the message names the field and the value."""
        for name in ("rate", "host_rate", "host_concurrency"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and value > 0):
                raise ValueError(f"{name} must be above 0 or None, found {value!r}")
        for name in ("burst", "host_burst", "lookahead"):
            value = getattr(self, name)
            if not is_number(value) or not value >= 1:
                raise ValueError(f"{name} must be at least 1, found {value!r}")
        for name in ("min_delay", "max_pause", "max_failures", "circuit_reset"):
            value = getattr(self, name)
            if not is_number(value) or not value >= 0:
                raise ValueError(f"{name} must be a number and not negative, found {value!r}")
        for name in ("robots", "adaptive"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, found {getattr(self, name)!r}")
        if not isinstance(self.user_agent, str) or not self.user_agent:
            raise ValueError(f"user_agent must be a name, found {self.user_agent!r}")


class Host:
    """The state of one host. It decides and never waits."""

    __slots__ = (
        "adaptive",
        "awaiting_robots",
        "circuit_open_until",
        "concurrency_limit",
        "failures",
        "interval",
        "min_interval",
        "next_at",
        "options",
        "rate_limit",
        "successes",
        "throttled_at",
        "times_opened",
        "under_way",
    )

    def __init__(self, options: Politeness, awaiting_robots: bool = False) -> None:
        self.options = options
        self.rate_limit = (
            RateLimit(options.host_rate, options.host_burst) if options.host_rate else None
        )
        self.under_way = 0
        most = float(options.host_concurrency or math.inf)
        self.adaptive = AdaptiveLimit(most) if options.adaptive else None
        self.concurrency_limit = most  # halved by a slow-down unless adaptive
        self.min_interval = options.min_delay  # seconds between starts; a crawl-delay raises it
        self.interval = 0.0  # added spacing, grown by slow-downs, shrunk by success
        self.next_at = -math.inf  # no start before this time
        self.throttled_at = -math.inf  # time of the last slow-down
        self.successes = 0  # since the last change of speed
        self.failures = 0  # consecutive connection failures
        self.circuit_open_until: float | None = None  # open until then; None: closed
        self.times_opened = 0  # how often the circuit opened without a success in between
        self.awaiting_robots = awaiting_robots  # robots.txt is not known yet: one request at a time

    def has_capacity(self) -> bool:
        """Return whether one more request may be under way."""
        if self.awaiting_robots or self.circuit_open_until is not None:
            return self.under_way < 1
        if self.adaptive is not None:
            return self.adaptive.has_capacity(self.under_way)
        return self.under_way < self.concurrency_limit

    def is_circuit_open(self, now: float) -> bool:
        """Return whether requests to this host fail at once."""
        return self.circuit_open_until is not None and (
            now < self.circuit_open_until or self.under_way > 0
        )

    def ready_at(self, now: float) -> float:
        """Return when the next request may start, regardless of the number under way."""
        at = max(now, self.next_at)
        if self.adaptive is not None and at <= now:
            at = self.adaptive.ready_at(now)
        return at if self.rate_limit is None else max(at, self.rate_limit.ready_at(now))

    def start(self, now: float) -> None:
        """Note that a request starts."""
        self.under_way += 1
        if self.rate_limit is not None:
            self.rate_limit.try_acquire(now)
        if self.adaptive is not None:
            self.adaptive.on_start(now)
        self.next_at = max(self.next_at, now + max(self.min_interval, self.interval))

    def finish(
        self, now: float, started: float, outcome: str, retry_after: float | None = None
    ) -> None:
        """Note that a request ended.

        Args:
            now: monotonic seconds.
            started: when it started.
            outcome: `SUCCEEDED`, `THROTTLED` (429, 503), `FAILED` (no response), `TIMED_OUT` (no
                response in time) or `UNSENT`.
            retry_after: seconds of a `Retry-After`.
        """
        self.under_way -= 1
        if self.adaptive is not None:
            self._adapt(self.adaptive, now, started, outcome, retry_after)
        if outcome == SUCCEEDED:
            self._on_success()
        elif outcome == THROTTLED:
            self._on_throttled(now, started, retry_after)
        elif outcome in (FAILED, TIMED_OUT):
            self._on_failure(now, started)
        elif self.rate_limit is not None:
            self.rate_limit.undo_acquire()

    def set_crawl_delay(self, seconds: float) -> None:
        """Apply the seconds between requests that robots.txt asks for, within our own limits."""
        self.min_interval = max(self.options.min_delay, min(seconds, self.options.max_pause))

    def is_forgettable(self, now: float) -> bool:
        """Return whether this host is in its initial state, so that it can be removed."""
        return (
            self.under_way == 0
            and self.next_at <= now
            and self.interval == 0.0
            and self.failures == 0
            and self.circuit_open_until is None
            and (self.rate_limit is None or self.rate_limit.is_full(now))
            and (self.adaptive is None or not self.adaptive.is_reduced)
        )

    def _adapt(
        self,
        adaptive: AdaptiveLimit,
        now: float,
        started: float,
        outcome: str,
        retry_after: float | None,
    ) -> None:
        """Tell the adaptive limit how a request ended."""
        if outcome == SUCCEEDED:
            adaptive.on_success(now, started, self.under_way + 1)
        elif outcome == THROTTLED:
            pause = None if retry_after is None else min(retry_after, self.options.max_pause)
            adaptive.on_rejected(now, started, pause)
        elif outcome == TIMED_OUT:
            adaptive.on_timeout(now, started)
        else:
            adaptive.on_other_end(started)

    def _on_throttled(self, now: float, started: float, retry_after: float | None) -> None:
        self.failures = 0
        self.circuit_open_until = None
        if self.adaptive is not None:
            self.throttled_at = now
            return
        if started > self.throttled_at:  # sent after the last slow-down
            self.throttled_at = now
            self.successes = 0
            under_way = self.under_way + 1
            self.concurrency_limit = max(
                1.0, math.floor(min(self.concurrency_limit, under_way) / 2)
            )
            self.interval = min(60.0, max(0.5, self.min_interval, self.interval) * 2)
        pause = retry_after if retry_after is not None else self.interval
        self.next_at = max(self.next_at, now + min(pause, self.options.max_pause))

    def _on_success(self) -> None:
        self.failures = 0
        self.times_opened = 0
        self.circuit_open_until = None
        if self.adaptive is not None:
            return
        most = float(self.options.host_concurrency or math.inf)
        if self.interval == 0.0 and self.concurrency_limit >= most:
            return
        self.successes += 1
        if self.successes >= 5:
            self.successes = 0
            self.interval = self.interval / 2 if self.interval > 0.05 else 0.0
            # Raise the limit step by step. If the user set none, double it until there is none.
            if most < math.inf:
                self.concurrency_limit = min(most, self.concurrency_limit + 1)
            else:
                self.concurrency_limit = (
                    self.concurrency_limit * 2 if self.concurrency_limit < 10_000 else math.inf
                )

    def _on_failure(self, now: float, started: float) -> None:
        self.failures += 1
        if self.circuit_open_until is not None:
            if started >= self.circuit_open_until:  # the trial request failed
                self._open_circuit(now)
        elif 0 < self.options.max_failures <= self.failures:
            self._open_circuit(now)

    def _open_circuit(self, now: float) -> None:
        self.times_opened += 1
        self.circuit_open_until = now + min(
            600.0, self.options.circuit_reset * 2 ** (self.times_opened - 1)
        )

    def __repr__(self) -> str:
        circuit = (
            "" if self.circuit_open_until is None else f", open until {self.circuit_open_until:.1f}"
        )
        if self.adaptive is not None:
            return (
                f"<Host {self.under_way} under way, {self.adaptive!r}, {self.failures} "
                f"failures{circuit}>"
            )
        return (
            f"<Host {self.under_way} of {self.concurrency_limit:g} under way, interval "
            f"{max(self.min_interval, self.interval):g} s, {self.failures} failures{circuit}>"
        )
