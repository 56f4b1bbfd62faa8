"""Servers with limits: simulated, with a client on a virtual clock, and a real one on loopback."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from asks_fast.crawl.host_limits import SUCCEEDED, THROTTLED, TIMED_OUT, Politeness
from asks_fast.crawl.job import Job
from asks_fast.crawl.scheduler import RUN, Scheduler
from support.leaks import ignore_descriptor

Reply = tuple[str, float, float | None]  # outcome, seconds until it arrives, Retry-After


class ConcurrencyLimited:
    """Rejects with 503 while `slots` requests are under way."""

    def __init__(self, slots: int, latency: float, seed: int = 0, jitter: float = 0.2) -> None:
        self.slots, self.latency, self.jitter = slots, latency, jitter
        self.random = random.Random(seed)
        self.ends: list[float] = []
        self.capacity = slots / latency  # requests per second

    def __call__(self, now: float) -> Reply:
        while self.ends and self.ends[0] <= now:
            heapq.heappop(self.ends)
        if len(self.ends) >= self.slots:
            return THROTTLED, 0.005, None
        seconds = self.latency * self.random.uniform(1 - self.jitter, 1 + self.jitter)
        heapq.heappush(self.ends, now + seconds)
        return SUCCEEDED, seconds, None


class RateLimited:
    """Rejects requests with 429 when its token bucket is empty."""

    def __init__(
        self, rate: float, latency: float, burst: float = 5.0, retry_after: float | None = None
    ) -> None:
        self.capacity, self.latency, self.burst = rate, latency, burst
        self.retry_after = retry_after
        self.tokens, self.at = burst, 0.0

    def __call__(self, now: float) -> Reply:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.capacity)
        self.at = now
        if self.tokens < 1:
            return THROTTLED, self.latency, self.retry_after
        self.tokens -= 1
        return SUCCEEDED, self.latency, None


class Queueing:
    """Answers `workers` requests at a time; others wait, and time out after `timeout` seconds."""

    def __init__(self, workers: int, latency: float, timeout: float = 1e9) -> None:
        self.latency, self.timeout = latency, timeout
        self.free = [0.0] * workers
        self.capacity = workers / latency
        self.waits: list[tuple[float, float]] = []  # arrival and seconds until the answer

    def __call__(self, now: float) -> Reply:
        end = max(now, heapq.heappop(self.free)) + self.latency
        heapq.heappush(self.free, end)
        self.waits.append((now, end - now))
        if end - now > self.timeout:
            return TIMED_OUT, self.timeout, None
        return SUCCEEDED, end - now, None


@dataclass
class Outcome:
    """The outcomes of the requests to one host."""

    succeeded: int = 0
    rejected: int = 0
    per_second: dict[int, int] = field(default_factory=dict)

    @property
    def rejected_share(self) -> float:
        return self.rejected / max(1, self.succeeded + self.rejected)

    def rate(self, begin: float, end: float) -> float:
        """Successes per second between two times."""
        return sum(n for at, n in self.per_second.items() if begin <= at < end) / (end - begin)


def simulate(
    servers: dict[str, Callable[[float], Reply]],
    options: Politeness,
    seconds: float,
    workers: int = 100,
    lateness: float = 0.001,
) -> dict[str, Outcome]:
    """Send as many requests to each server as the scheduler of a run allows."""
    scheduler = Scheduler(options)
    outcomes = {name: Outcome() for name in servers}
    events: list[tuple[float, int, Job, float, str, float | None]] = []
    index = itertools.count()
    now = 0.0
    running = 0

    def refill(name: str) -> None:
        job = Job(next(index), None, None, "GET", {})
        job.host = name
        scheduler.push(job, now)

    for name in servers:
        for _ in range(200):
            refill(name)
    while now < seconds:
        while running < workers and (found := scheduler.pop(now)) is not None:
            job, verdict = found
            assert verdict == RUN
            refill(job.host)
            running += 1
            outcome, delay, retry_after = servers[job.host](now)
            heapq.heappush(events, (now + delay, job.index, job, now, outcome, retry_after))
        at = scheduler.next_time(now) if running < workers else None
        if events and (at is None or events[0][0] <= at + lateness):
            now, _, job, started, outcome, retry_after = heapq.heappop(events)
            running -= 1
            scheduler.finish(job.host, now, started, outcome, retry_after)
            one = outcomes[job.host]
            one.succeeded += outcome == SUCCEEDED
            one.rejected += outcome == THROTTLED
            if outcome == SUCCEEDED:
                one.per_second[int(now)] = one.per_second.get(int(now), 0) + 1
        else:
            assert at is not None
            now = max(now, at) + lateness
    return outcomes


class LimitedServer:
    """A server in a thread that rejects requests beyond its slots (503) or its rate (429)."""

    def __init__(self, *, slots: int | None, rate: float | None, latency: float) -> None:
        self.slots, self.rate, self.latency = slots, rate, latency
        self.accepted = self.rejected = 0
        self.active = 0
        self.tokens, self.at = 5.0, monotonic()
        self._log: list[tuple[float, float]] = []  # time, seconds that a slot was used until then
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        ignore_descriptor(self._socket.fileno())
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> LimitedServer:
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def used_share(self, begin: float, end: float) -> float:
        """How much of the capacity was used between two times, between 0 and 1."""
        used = sum(seconds for at, seconds in self._log if begin <= at < end)
        if self.rate is not None:
            return used / self.latency / self.rate / (end - begin)
        assert self.slots is not None
        return used / self.slots / (end - begin)

    def _status(self) -> int:
        if self.slots is not None:
            return 503 if self.active >= self.slots else 200
        assert self.rate is not None
        now = monotonic()
        self.tokens = min(5.0, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1.0:
            return 429
        self.tokens -= 1.0
        return 200

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._tasks: set[Any] = set()
        server = await asyncio.start_server(self._handle, sock=self._socket)
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        ignore_descriptor(writer.get_extra_info("socket").fileno())
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                status = self._status()
                if status == 200:
                    self.accepted += 1
                    self.active += 1
                    begin = monotonic()
                    await asyncio.sleep(self.latency)
                    self.active -= 1
                    seconds = monotonic() - begin if self.rate is None else self.latency
                    self._log.append((monotonic(), seconds))
                else:
                    self.rejected += 1
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % status)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(asyncio.current_task())
            writer.close()
