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

__all__ = ["FORBIDDEN", "GO", "LEFT_ALONE", "Scheduler"]

GO, LEFT_ALONE, FORBIDDEN = "go", "left alone", "forbidden"
IDLE, READY, TIMED, FULL = "idle", "ready", "timed", "full"
MOST_REMEMBERED = 20_000  # hosts without waiting jobs
MOST_TURNS = 50  # of one host, before the next in line


class _Entry:
    """A host in the scheduler: what is known of it, its queue, its place."""

    __slots__ = ("host", "name", "place", "queue", "ticket", "turns")

    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.host = host
        self.queue: deque[Job] = deque()
        self.place = IDLE
        self.ticket = -1  # its entry in the heap; an older one there is stale
        self.turns = 0  # jobs given to workers that stayed, since it last stood in line


class Scheduler:
    """Per-host queues; see the module."""

    def __init__(self, options: Politeness) -> None:
        self.options = options
        self.bucket = options.rate_limit
        if self.bucket is None and options.rate:
            self.bucket = RateLimit(options.rate, options.burst)
        self.pending = 0  # jobs waiting here
        self._busy: dict[str, _Entry] = {}
        self._idle: OrderedDict[str, _Entry] = OrderedDict()
        self._ready: deque[_Entry] = deque()
        self._timed: list[tuple[float, int, _Entry]] = []
        self._later: list[tuple[float, int, Job]] = []  # jobs to be repeated, not before a time
        self._tickets = count()

    def push(self, job: Job, now: float, not_before: float | None = None) -> None:
        """Add a job, to be started at `not_before` or later (a retry, a delayed redirect).

        A job that is held before a redirect goes ahead of the other jobs of its host.
        """
        self.pending += 1
        if not_before is not None and not_before > now:
            heapq.heappush(self._later, (not_before, next(self._tickets), job))
        else:
            self._enqueue(job, now)

    def pop(
        self, now: float, allowed: Callable[[Job], bool | None] | None = None, stay: str = ""
    ) -> tuple[Job, str] | None:
        """The next job to be done now, and a verdict: `GO`, `LEFT_ALONE` or `FORBIDDEN`.

        Only a job with `GO` has been started, and its `finish` must follow. `allowed` is asked
        before a start: False forbids, None means that robots.txt is not known yet. `stay`: the
        host to be preferred.
        """
        while self._later and self._later[0][0] <= now:
            self._enqueue(heapq.heappop(self._later)[2], now)
        while self._timed and self._timed[0][0] <= now:
            _, ticket, entry = heapq.heappop(self._timed)
            if entry.place == TIMED and entry.ticket == ticket:
                self._place(entry, now)
        if self._must_wait(now):
            return None
        stayed = self._busy.get(stay)
        if (
            stayed is not None
            and stayed.queue
            and stayed.turns < MOST_TURNS
            and stayed.place == READY
            and (found := self._try(stayed, now, allowed))
        ):
            stayed.turns += 1
            return found
        while self._ready:
            entry = self._ready.popleft()
            entry.place = IDLE
            entry.turns = 0
            if not entry.queue or (found := self._try(entry, now, allowed)) is None:
                self._place(entry, now)  # it changed while it stood in line
                if self._must_wait(now):  # or another process took the start
                    return None
            else:
                return found
        return None

    def _must_wait(self, now: float) -> bool:
        """Whether a host is in line that the rate of the whole run holds up."""
        return self.bucket is not None and bool(self._ready) and self.bucket.ready_at(now) > now

    def _try(
        self, entry: _Entry, now: float, allowed: Callable[[Job], bool | None] | None
    ) -> tuple[Job, str] | None:
        """The first job of this host, if something can be done with it now."""
        host = entry.host
        if host.is_open(now):
            return self._take(entry, now), LEFT_ALONE
        if not host.has_room() or host.ready_at(now) > now:
            return None
        if allowed is not None and allowed(entry.queue[0]) is False:
            return self._take(entry, now), FORBIDDEN
        if self.bucket is not None and not self.bucket.take(now):
            return None
        host.start(now)
        return self._take(entry, now), GO

    @property
    def has_ready(self) -> bool:
        """A host stands in line: `pop` may have something now."""
        return bool(self._ready)

    def next_time(self, now: float) -> float | None:
        """When `pop` may have something, if not now; None: only after a `push` or `finish`."""
        while self._timed and (
            self._timed[0][2].place != TIMED or self._timed[0][2].ticket != self._timed[0][1]
        ):
            heapq.heappop(self._timed)
        times = []
        if self._ready:
            times.append(now if self.bucket is None else self.bucket.ready_at(now))
        if self._timed:
            times.append(self._timed[0][0])
        if self._later:
            times.append(self._later[0][0])
        return min(times) if times else None

    def finish(
        self, name: str, now: float, started: float, outcome: str, retry_after: float | None = None
    ) -> None:
        """A started job of this host ended; outcomes as in `Host.finish`."""
        if outcome == UNSENT and self.bucket is not None:
            self.bucket.give_back()
        entry = self._busy[name]
        entry.host.finish(now, started, outcome, retry_after)
        self._place(entry, now)

    def host(self, name: str) -> Host:
        """What is known of this host, which has a job started or waiting."""
        return self._busy[name].host

    def hosts(self) -> Iterator[tuple[str, Host]]:
        """Every host that is remembered, by name."""
        for entries in (self._busy, self._idle):
            for name, entry in entries.items():
                yield name, entry.host

    def ungate(self, name: str, now: float, crawl_delay: float | None) -> None:
        """robots.txt of this host is known: as many at once as the limits allow."""
        entry = self._busy[name]
        entry.host.gated = False
        if crawl_delay is not None:
            entry.host.set_crawl_delay(crawl_delay)
            entry.host.next_at = max(entry.host.next_at, now + entry.host.floor)
        self._place(entry, now)

    def _enqueue(self, job: Job, now: float) -> None:
        name = job.host
        entry = self._busy.get(name)
        if entry is None:
            entry = self._idle.pop(name, None)
            if entry is None:
                entry = _Entry(name, Host(self.options, gated=self.options.robots))
            self._busy[name] = entry
        if job.held is not None:
            entry.queue.appendleft(job)
        else:
            entry.queue.append(job)
        if entry.place == IDLE:
            self._place(entry, now)

    def _take(self, entry: _Entry, now: float) -> Job:
        """The first job of a host that stood in line; the host goes where it belongs next."""
        job = entry.queue.popleft()
        self.pending -= 1
        self._place(entry, now)
        return job

    def _place(self, entry: _Entry, now: float) -> None:
        """Put a host where `pop` finds it at the right time."""
        host = entry.host
        if entry.place == READY:
            return  # it stands in line, and `pop` looks at it anew
        if not entry.queue:
            entry.place = IDLE
            if host.under_way == 0:
                self._rest(entry, now)
        elif host.is_open(now):
            self._line_up(entry)
        elif not host.has_room():
            entry.place = FULL
        else:
            at = host.ready_at(now)
            if at <= now:
                self._line_up(entry)
            else:
                entry.place = TIMED
                entry.ticket = next(self._tickets)
                heapq.heappush(self._timed, (at, entry.ticket, entry))

    def _line_up(self, entry: _Entry) -> None:
        entry.place = READY
        self._ready.append(entry)

    def _rest(self, entry: _Entry, now: float) -> None:
        """A host without jobs: remember it while that means something and there is space."""
        self._busy.pop(entry.name, None)
        self._idle[entry.name] = entry
        self._idle.move_to_end(entry.name)
        if len(self._idle) > MOST_REMEMBERED:
            name, oldest = next(iter(self._idle.items()))
            if oldest.host.is_plain(now) or len(self._idle) > 5 * MOST_REMEMBERED:
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
