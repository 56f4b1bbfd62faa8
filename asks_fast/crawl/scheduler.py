"""The order of bulk requests: one queue per host, and the next job whose host may start one.

Ready hosts take turns. A host that must wait, has no capacity or has an open circuit does not delay
the others. A worker prefers the host of its last job for up to `MAX_STREAK` jobs, since a
connection to it is open.

Facts:  a host with waiting jobs is in one state: READY (in the ready queue), TIMED (in a heap,
        until a time), or FULL (its next `finish` makes it ready).
Invariants: nothing here waits; time is passed in. Each step is O(log hosts). Hosts in their initial
        state are removed, so a million hosts fit into memory.

Implemented elsewhere: the limits of a host (`host_limits`), sending (`scheduled_worker_pool`).
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count

from .host_limits import UNSENT, Host, Politeness
from .job import Job
from .rate_limit import RateLimit

__all__ = ["CIRCUIT_OPEN", "ROBOTS_DENIED", "RUN", "Scheduler"]

RUN, CIRCUIT_OPEN, ROBOTS_DENIED = "run", "circuit open", "robots denied"
IDLE, READY, TIMED, FULL = "idle", "ready", "timed", "full"
MAX_IDLE_HOSTS = 20_000  # without waiting jobs
MAX_STREAK = 50  # jobs of one host before the next ready host


class _Entry:
    """A host in the scheduler: its limits, queue and state."""

    __slots__ = ("host", "name", "queue", "sequence", "state", "streak")

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.host = host
        self.queue: deque[Job] = deque()
        self.state = IDLE
        self.sequence = -1  # number of its current heap entry; others are stale
        self.streak = 0  # consecutive jobs taken by workers that prefer this host


class Scheduler:
    """A queue of jobs for each host."""

    def __init__(self, options: Politeness) -> None:
        self.options = options
        self.rate_limit = options.rate_limit
        if self.rate_limit is None and options.rate:
            self.rate_limit = RateLimit(options.rate, options.burst)
        self.pending = 0  # waiting jobs
        self._busy: dict[str, _Entry] = {}
        self._idle: OrderedDict[str, _Entry] = OrderedDict()
        self._ready: deque[_Entry] = deque()
        self._timed: list[tuple[float, int, _Entry]] = []
        self._later: list[tuple[float, int, Job]] = []  # jobs that may not start before a time
        self._sequence = count()

    def push(self, job: Job, now: float, not_before: float | None = None) -> None:
        """Add a job, to be started at `not_before` or later (a retry, a delayed redirect).

        A job that is paused before a redirect precedes the other jobs of its host.
        """
        self.pending += 1
        if not_before is not None and not_before > now:
            heapq.heappush(self._later, (not_before, next(self._sequence), job))
        else:
            self._enqueue(job, now)

    def pop(
        self, now: float, allowed: Callable[[Job], bool | None] | None = None, prefer_host: str = ""
    ) -> tuple[Job, str] | None:
        """Return the next job and a decision: `RUN`, `CIRCUIT_OPEN` or `ROBOTS_DENIED`.

        Only a job with `RUN` has been started, and its `finish` must follow.

        Args:
            now: monotonic seconds.
            allowed: called before a start; False denies it, None means that robots.txt is not
                known yet.
            prefer_host: the host of the worker's previous job.
        """
        while self._later and self._later[0][0] <= now:
            self._enqueue(heapq.heappop(self._later)[2], now)
        while self._timed and self._timed[0][0] <= now:
            _, sequence, entry = heapq.heappop(self._timed)
            if entry.state == TIMED and entry.sequence == sequence:
                self._update_state(entry, now)
        if self._is_rate_limited(now):
            return None
        preferred = self._busy.get(prefer_host)
        if (
            preferred is not None
            and preferred.queue
            and preferred.streak < MAX_STREAK
            and preferred.state == READY
            and (found := self._try(preferred, now, allowed))
        ):
            preferred.streak += 1
            return found
        while self._ready:
            entry = self._ready.popleft()
            entry.state = IDLE
            entry.streak = 0
            if not entry.queue or (found := self._try(entry, now, allowed)) is None:
                self._update_state(entry, now)  # its state changed while it was queued
                if self._is_rate_limited(now):  # another process took the start
                    return None
            else:
                return found
        return None

    def _is_rate_limited(self, now: float) -> bool:
        """Return whether a host is ready but the rate of the whole run delays it."""
        return (
            self.rate_limit is not None
            and bool(self._ready)
            and self.rate_limit.ready_at(now) > now
        )

    def _try(
        self, entry: _Entry, now: float, allowed: Callable[[Job], bool | None] | None
    ) -> tuple[Job, str] | None:
        """Return the first job of this host if it can be started or rejected now."""
        host = entry.host
        if host.is_circuit_open(now):
            return self._pop_job(entry, now), CIRCUIT_OPEN
        if not host.has_capacity() or host.ready_at(now) > now:
            return None
        if allowed is not None and allowed(entry.queue[0]) is False:
            return self._pop_job(entry, now), ROBOTS_DENIED
        if self.rate_limit is not None:
            has_more = len(entry.queue) > 1 or any(e.queue for e in self._ready if e is not entry)
            if not self.rate_limit.try_acquire(now, has_more):
                return None
        host.start(now)
        return self._pop_job(entry, now), RUN

    @property
    def has_ready(self) -> bool:
        """Whether a host is ready, so `pop` may return a job."""
        return bool(self._ready)

    def next_time(self, now: float) -> float | None:
        """Return when `pop` may return a job; None: only after a `push` or `finish`."""
        while self._timed and (
            self._timed[0][2].state != TIMED or self._timed[0][2].sequence != self._timed[0][1]
        ):
            heapq.heappop(self._timed)
        times = []
        if self._ready:
            times.append(now if self.rate_limit is None else self.rate_limit.ready_at(now))
        if self._timed:
            times.append(self._timed[0][0])
        if self._later:
            times.append(self._later[0][0])
        return min(times) if times else None

    def finish(
        self, name: str, now: float, started: float, outcome: str, retry_after: float | None = None
    ) -> None:
        """Note that a started job of this host ended; outcomes as in `Host.finish`."""
        if outcome == UNSENT and self.rate_limit is not None:
            self.rate_limit.undo_acquire()
        entry = self._busy[name]
        entry.host.finish(now, started, outcome, retry_after)
        self._update_state(entry, now)

    def host(self, name: str) -> Host:
        """Return the limits of a host that has a job started or waiting."""
        return self._busy[name].host

    def hosts(self) -> Iterator[tuple[str, Host]]:
        """Yield name and limits of every host in memory."""
        for entries in (self._busy, self._idle):
            for name, entry in entries.items():
                yield name, entry.host

    def find(self, names: Iterable[str]) -> Iterator[tuple[str, Host]]:
        """Yield name and limits of those of these hosts that are in memory."""
        for name in names:
            entry = self._busy.get(name) or self._idle.get(name)
            if entry is not None:
                yield name, entry.host

    def end_robots_wait(self, name: str, now: float, crawl_delay: float | None) -> None:
        """Apply robots.txt of a host: from now on, its own limits apply."""
        entry = self._busy[name]
        entry.host.awaiting_robots = False
        if crawl_delay is not None:
            entry.host.set_crawl_delay(crawl_delay)
            entry.host.next_at = max(entry.host.next_at, now + entry.host.min_interval)
        self._update_state(entry, now)

    def _enqueue(self, job: Job, now: float) -> None:
        name = job.host
        entry = self._busy.get(name)
        if entry is None:
            entry = self._idle.pop(name, None)
            if entry is None:
                entry = _Entry(name, Host(self.options, awaiting_robots=self.options.robots))
            self._busy[name] = entry
        if job.paused is not None:
            entry.queue.appendleft(job)
        else:
            entry.queue.append(job)
        if entry.state == IDLE:
            self._update_state(entry, now)

    def _pop_job(self, entry: _Entry, now: float) -> Job:
        """Remove the first job of a host and update the host's state."""
        job = entry.queue.popleft()
        self.pending -= 1
        self._update_state(entry, now)
        return job

    def _update_state(self, entry: _Entry, now: float) -> None:
        """Put a host where `pop` finds it at the right time."""
        host = entry.host
        if entry.state == READY:
            return  # it is queued, and `pop` checks it again
        if not entry.queue:
            entry.state = IDLE
            if host.under_way == 0:
                self._make_idle(entry, now)
        elif host.is_circuit_open(now):
            self._make_ready(entry)
        elif not host.has_capacity():
            entry.state = FULL
        else:
            at = host.ready_at(now)
            if at <= now:
                self._make_ready(entry)
            else:
                entry.state = TIMED
                entry.sequence = next(self._sequence)
                heapq.heappush(self._timed, (at, entry.sequence, entry))

    def _make_ready(self, entry: _Entry) -> None:
        entry.state = READY
        self._ready.append(entry)

    def _make_idle(self, entry: _Entry, now: float) -> None:
        """Keep a host without jobs in memory while its limits matter and there is space."""
        self._busy.pop(entry.name, None)
        self._idle[entry.name] = entry
        self._idle.move_to_end(entry.name)
        if len(self._idle) > MAX_IDLE_HOSTS:
            name, oldest = next(iter(self._idle.items()))
            if oldest.host.is_forgettable(now) or len(self._idle) > 5 * MAX_IDLE_HOSTS:
                del self._idle[name]
            else:
                self._idle.move_to_end(name)

    def __len__(self) -> int:
        return self.pending

    def __repr__(self) -> str:
        return (
            f"<Scheduler {self.pending} pending, {len(self._busy)} hosts busy, "
            f"{len(self._ready)} ready, {len(self._timed)} timed>"
        )
