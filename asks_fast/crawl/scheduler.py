"""Whose turn it is.

Jobs wait in one queue per host. `pop` gives the next job whose host may be asked now, hosts
taking turns; a host that must wait, is full or is left alone costs the others nothing. A worker
stays with its host for a while, since a connection to it is open.

Facts:  a host with waiting jobs is in one place: `ready` (in line), `timed` (waits for a time,
        in a heap), or full (its next `finish` puts it in line again).
Rules:  nothing here waits; time is passed in. Each step is O(log hosts).
        A host that nothing is known about is forgotten, so a million hosts fit.
Not here: how fast a host may be asked (`politeness`), performing (`polite_run`).
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import count

from .host_limits import UNSENT, Host, Politeness
from .job import Job
from .rate_limit import RateLimit

__all__ = ["CIRCUIT_OPEN", "ROBOTS_DENIED", "RUN", "Scheduler"]

RUN, CIRCUIT_OPEN, ROBOTS_DENIED = "go", "left alone", "forbidden"
IDLE, READY, TIMED, FULL = "idle", "ready", "timed", "full"
MAX_IDLE_HOSTS = 20_000  # hosts without waiting jobs
MAX_STREAK = 50  # of one host, before the next in line


class _Entry:
    """A host in the scheduler: what is known of it, its queue, its place."""

    __slots__ = ("host", "name", "queue", "sequence", "state", "streak")

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.host = host
        self.queue: deque[Job] = deque()
        self.state = IDLE
        self.sequence = -1  # its entry in the heap; an older one there is stale
        self.streak = 0  # jobs given to workers that stayed, since it last stood in line


class Scheduler:
    """Per-host queues; see the module."""

    def __init__(self, options: Politeness) -> None:
        self.options = options
        self.rate_limit = options.rate_limit
        if self.rate_limit is None and options.rate:
            self.rate_limit = RateLimit(options.rate, options.burst)
        self.pending = 0  # jobs waiting here
        self._busy: dict[str, _Entry] = {}
        self._idle: OrderedDict[str, _Entry] = OrderedDict()
        self._ready: deque[_Entry] = deque()
        self._timed: list[tuple[float, int, _Entry]] = []
        self._later: list[tuple[float, int, Job]] = []  # jobs to be repeated, not before a time
        self._sequence = count()

    def push(self, job: Job, now: float, not_before: float | None = None) -> None:
        """Add a job, to be started at `not_before` or later (a retry, a delayed redirect).

        A job that is held before a redirect goes ahead of the other jobs of its host.
        """
        self.pending += 1
        if not_before is not None and not_before > now:
            heapq.heappush(self._later, (not_before, next(self._sequence), job))
        else:
            self._enqueue(job, now)

    def pop(
        self, now: float, allowed: Callable[[Job], bool | None] | None = None, prefer_host: str = ""
    ) -> tuple[Job, str] | None:
        """The next job to be done now, and a verdict: `RUN`, `CIRCUIT_OPEN` or `ROBOTS_DENIED`.

        Only a job with `RUN` has been started, and its `finish` must follow. `allowed` is asked
        before a start: False forbids, None means that robots.txt is not known yet. `prefer_host`: the
        host to be preferred.
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
                self._update_state(entry, now)  # it changed while it stood in line
                if self._is_rate_limited(now):  # or another process took the start
                    return None
            else:
                return found
        return None

    def _is_rate_limited(self, now: float) -> bool:
        """Whether a host is in line that the rate of the whole run holds up."""
        return (
            self.rate_limit is not None
            and bool(self._ready)
            and self.rate_limit.ready_at(now) > now
        )

    def _try(
        self, entry: _Entry, now: float, allowed: Callable[[Job], bool | None] | None
    ) -> tuple[Job, str] | None:
        """The first job of this host, if something can be done with it now."""
        host = entry.host
        if host.is_circuit_open(now):
            return self._pop_job(entry, now), CIRCUIT_OPEN
        if not host.has_capacity() or host.ready_at(now) > now:
            return None
        if allowed is not None and allowed(entry.queue[0]) is False:
            return self._pop_job(entry, now), ROBOTS_DENIED
        if self.rate_limit is not None and not self.rate_limit.try_acquire(now):
            return None
        host.start(now)
        return self._pop_job(entry, now), RUN

    @property
    def has_ready(self) -> bool:
        """A host stands in line: `pop` may have something now."""
        return bool(self._ready)

    def next_time(self, now: float) -> float | None:
        """When `pop` may have something, if not now; None: only after a `push` or `finish`."""
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
        """A started job of this host ended; outcomes as in `Host.finish`."""
        if outcome == UNSENT and self.rate_limit is not None:
            self.rate_limit.undo_acquire()
        entry = self._busy[name]
        entry.host.finish(now, started, outcome, retry_after)
        self._update_state(entry, now)

    def host(self, name: str) -> Host:
        """What is known of this host, which has a job started or waiting."""
        return self._busy[name].host

    def hosts(self) -> Iterator[tuple[str, Host]]:
        """Every host that is remembered, by name."""
        for entries in (self._busy, self._idle):
            for name, entry in entries.items():
                yield name, entry.host

    def end_robots_wait(self, name: str, now: float, crawl_delay: float | None) -> None:
        """robots.txt of this host is known: as many at once as the limits allow."""
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
        """The first job of a host that stood in line; the host goes where it belongs next."""
        job = entry.queue.popleft()
        self.pending -= 1
        self._update_state(entry, now)
        return job

    def _update_state(self, entry: _Entry, now: float) -> None:
        """Put a host where `pop` finds it at the right time."""
        host = entry.host
        if entry.state == READY:
            return  # it stands in line, and `pop` looks at it anew
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
        """A host without jobs: remember it while that means something and there is space."""
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
