"""The load generator of `asks-fast bench URL`: closed loop, or open loop with a rate.

Closed loop: each connection sends its next request when the response to the last one is there.
Open loop: request k is due at k / rate seconds, whatever the server does. Its latency counts from
that moment, also if it had to wait for a connection. So a server that stalls for a second gives
many slow requests, as for independent users, rather than one (coordinated omission).

Facts:  epoll waits whole milliseconds, so the last one before a request is due is spent polling. A
        rate therefore keeps the processor busy, whether or not the server is fast.
Invariants: memory does not grow with the number of requests; each second takes a few hundred bytes.
        A request counts if it was due after the warm-up. All that were started are waited for, so
        slow ones are not left out, except by a cancellation. Requests without a response have no
        latency.

Implemented elsewhere: percentiles (`histogram`), what is shown (`bench_report`).
"""

from __future__ import annotations

import resource
from collections import Counter
from dataclasses import dataclass, field
from math import ceil, inf
from time import monotonic

import curio

from asks_fast.cli.histogram import Histogram
from asks_fast.errors import AsksException
from asks_fast.sessions import HSession
from asks_fast.urls import parse_url

__all__ = ["Interval", "LoadPlan", "LoadRun"]

POLL_TIME = 0.001  # seconds before a request is due that are spent polling


@dataclass(frozen=True)
class LoadPlan:
    """What to send; times in seconds.

    Attributes:
        url: the URL.
        method, headers, data: of each request.
        connections: limit of connections, and of requests in progress.
        rate: requests per second of the open loop; None: closed loop.
        duration: time in which requests are started; None: until `requests` were started.
        requests: number of requests; None: as many as fit into `duration`.
        warm_up: time before that, whose requests do not count.
        timeout: limit for one request; None: no limit.
        verify: False turns certificate checks off.
    """

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    data: bytes | None = None
    connections: int = 50
    rate: float | None = None
    duration: float | None = 10.0
    requests: int | None = None
    warm_up: float = 1.0
    timeout: float | None = 30.0
    verify: bool = True


class Interval:
    """The counts of one second, or of the whole run."""

    def __init__(self) -> None:
        self.latencies = Histogram()  # of requests with a response
        self.bytes = 0  # of bodies, decompressed
        self.failed = 0  # without a response

    @property
    def requests(self) -> int:
        """The number of requests that ended."""
        return self.latencies.count + self.failed

    def add(self, other: Interval) -> None:
        """Add the counts of another interval."""
        self.latencies.add(other.latencies)
        self.bytes += other.bytes
        self.failed += other.failed


@dataclass(frozen=True)
class Second:
    """One second of the run, as it is reported; latencies in seconds."""

    requests: int
    failed: int
    bytes: int
    p50: float
    p99: float
    max: float


class LoadRun:
    """One run of a plan: `await run()`. The counts can be read at any time.

    Attributes:
        total: the counts of all completed seconds, of everything when the run has ended.
        service: latencies from the moment of sending (open loop only).
        statuses: status code -> number of responses.
        errors: name of the error -> number of requests; `messages` has the first message of each.
        seconds: the figures of each second.
        not_started: requests of the open loop that were due and never sent, as no connection was
            free before the end.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self.plan = plan
        self.total = Interval()
        self.service = Histogram()
        self.statuses: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.messages: dict[str, str] = {}
        self.seconds: list[Second] = []
        self.not_started = 0
        self.started = 0  # requests that count
        self.begin = inf  # clock: end of the warm-up
        self.elapsed = 0.0  # seconds from `begin` to the last response
        self.cpu = 0.0  # processor seconds of that time
        self.is_stopped = False
        self._current = Interval()
        self._end = inf  # clock: no request is started after it
        self._due = 0  # number of the next request of the open loop, warm-up included
        self._first = 0.0  # clock: when request 0 was due
        self._due_lock = curio.Lock()
        self._cpu_at_begin = 0.0

    async def run(self) -> None:
        """Send one request as a check, warm up, and measure.

        A cancellation cancels the requests in progress, which do not count; the counts remain. The
        caller sets `is_stopped` before it, and the results then say that the run was interrupted.

        Raises:
            AsksException: the first request got no response.
        """
        plan = self.plan
        url = parse_url(plan.url)
        self._target = url.target
        async with HSession(
            url.origin,
            connections=plan.connections,
            headers=plan.headers,
            verify=plan.verify,
            timeout=plan.timeout,
            follow_redirects=False,
        ) as session:
            self._session = session
            await self._exchange()
            self._first = monotonic()
            self.begin = self._first + plan.warm_up
            if plan.duration is not None:
                self._end = self.begin + plan.duration
            try:
                async with curio.TaskGroup() as group:
                    await group.spawn(self._count_seconds, daemon=True)
                    for _ in range(plan.connections):
                        await group.spawn(self._work)
            finally:
                self._finish()
            for error in group.exceptions:  # the group does not raise the errors of its tasks
                if error is not None:
                    raise error

    def _finish(self) -> None:
        if self._current.requests:
            self._end_second()
        self.cpu = _cpu_seconds() - self._cpu_at_begin if self.elapsed else 0.0
        if self.plan.rate is not None and self.plan.duration is not None and not self.is_stopped:
            due = ceil(self.plan.duration * self.plan.rate - 1e-6)
            self.not_started = max(0, due - self.started)

    async def _exchange(self) -> tuple[int, int]:
        """Send one request; return the status and the number of bytes of the body."""
        plan = self.plan
        if plan.data is None:
            response = await self._session.request(plan.method, path=self._target)
        else:
            response = await self._session.request(plan.method, path=self._target, data=plan.data)
        return response.status_code, len(response.content)

    async def _work(self) -> None:
        """Make requests over one connection until none is left."""
        start = self._next_at_once if self.plan.rate is None else self._next_due
        while (due := await start()) is not None:
            sent = monotonic()
            try:
                status, size = await self._exchange()
            except AsksException as error:
                if due >= self.begin:
                    self._note_error(error)
                continue
            if due >= self.begin:
                self._note(monotonic(), due, sent, status, size)

    def _note(self, now: float, due: float, sent: float, status: int, size: int) -> None:
        current = self._current
        current.latencies.record(now - due)
        current.bytes += size
        self.statuses[status] += 1
        if self.plan.rate is not None:
            self.service.record(now - sent)
        self.elapsed = now - self.begin

    def _note_error(self, error: AsksException) -> None:
        name = type(error).__name__
        self._current.failed += 1
        self.errors[name] += 1
        self.messages.setdefault(name, str(error))
        self.elapsed = monotonic() - self.begin

    async def _next_at_once(self) -> float | None:
        """Return the time, or None when no more requests are to be started."""
        now = monotonic()
        return now if self._may_start(now, now) else None

    async def _next_due(self) -> float | None:
        """Wait until the next request is due; return that time, or None at the end.

        One task waits for the time, and the others for the lock.
        """
        assert self.plan.rate is not None
        async with self._due_lock:
            due = self._first + self._due / self.plan.rate
            while (left := due - monotonic()) > 0:
                if due >= self._end:
                    return None
                await curio.sleep(max(left - POLL_TIME, 0))
            if not self._may_start(monotonic(), due):
                return None
            self._due += 1
        return due

    def _may_start(self, now: float, due: float) -> bool:
        """Return whether a request that is due may be started, and count it."""
        if now >= self._end:
            return False
        if due >= self.begin:
            if self.started == self.plan.requests:
                return False
            if not self.started:
                self._cpu_at_begin = _cpu_seconds()
            self.started += 1
        return True

    async def _count_seconds(self) -> None:
        """Complete one interval each second."""
        second = 1
        while True:
            await curio.sleep(max(0.0, self.begin + second - monotonic()))
            self._end_second()
            second += 1

    def _end_second(self) -> None:
        """Move the counts of this second to the total."""
        current, self._current = self._current, Interval()
        latencies = current.latencies
        self.total.add(current)
        self.seconds.append(
            Second(
                current.requests,
                current.failed,
                current.bytes,
                latencies.percentile(50),
                latencies.percentile(99),
                latencies.max,
            )
        )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
