"""Bulk requests through the scheduler: the polite kind of run.

A feeder task reads the input ahead into the scheduler; workers take what may go now; a timer
task wakes a parked worker when a host's time has come.

Rules:  a job that must wait waits in the scheduler, never in a worker: one slow host keeps busy
        at most as many workers as it may have requests under way. A redirect is a request of its
        own: it waits in the schedule until its host's turn, and its worker does something else.
        Refused jobs (open circuit, robots.txt) are results; they were not sent, or not further.
Not here: whose turn it is (`schedule`), how fast (`politeness`).
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import time
from time import monotonic
from typing import Any

from curio import current_task, sleep
from curio.errors import TaskTimeout
from curio.sched import SchedFIFO

from .._client.redirect_pause import RedirectPaused, gates
from .._deadlines import timeout_after
from ..errors import AsksException, CircuitOpen, ConnectivityError, InvalidRequest, ResponseTooLarge
from ..http_utils import retry_after as parse_retry_after
from ..urls import add_params, parse_url
from .host_limits import FAILED, SUCCEEDED, THROTTLED, UNSENT, Politeness
from .job import Job, Result, host_of, make_job
from .robots import RobotsCache
from .robots_fetch import RobotsFetcher
from .scheduler import ROBOTS_DENIED, RUN, Scheduler
from .worker_pool import WorkerPool, retry_delay

__all__ = ["ScheduledWorkerPool"]

ITEMS_PER_TURN = 200  # items read from a synchronous input before others get their turn


class ScheduledWorkerPool(WorkerPool):
    """A run whose workers take their jobs from a scheduler."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        options: Politeness = args[-1]
        self.options = options
        longest = min(self.retries.max_retry_after, options.max_pause)
        self.retries = dataclasses.replace(self.retries, max_retry_after=longest)
        self.scheduler = Scheduler(options)
        self.robots: RobotsCache | None = None
        if options.robots:
            self.robots_fetcher = RobotsFetcher(self.session, options.user_agent)
            self.robots = RobotsCache(self.robots_fetcher.fetch, options.user_agent)
        self.items_read = 0  # items read from the input
        self.input_reader = SchedFIFO()  # the feeder, waiting for room in the look-ahead
        self.timer = SchedFIFO()  # the timer, waiting for something to change
        self.timer_at: float | None = None  # when the timer looks again by itself
        self.is_input_read = False  # the input ended
        # A session that makes something else of its answers must do that itself after a redirect.
        self.resume_redirect: Any = getattr(self.session, "resume_redirect", None)
        self.can_pause_redirects = self.resume_redirect is not None or is_library_session(
            self.session
        )

    async def start(self) -> None:
        """The feeder starts the workers as jobs come in."""
        await super().start()
        assert self.group is not None
        await self.group.spawn(self.run_timer, daemon=True)
        await self.group.spawn(self.read_input, daemon=True)

    async def close(self) -> None:
        """As `WorkerPool.close`; the session for robots.txt goes with the run."""
        try:
            await super().close()
        finally:
            if self.robots is not None:
                await self.robots_fetcher.aclose()

    # -- input

    def has_capacity(self) -> bool:
        """The feeder may read another item."""
        if self.ordered:  # the item that is next for the reader must be among those read
            return self.items_read - self.results_delivered < self.window
        return self.scheduler.pending < self.options.lookahead

    def should_read_input(self) -> bool:
        """Worth waking the feeder: in gulps, not for each item."""
        if self.ordered:
            return self.has_capacity()
        return 4 * self.scheduler.pending <= 3 * self.options.lookahead

    async def read_input(self) -> None:
        """Read the input into the scheduler."""
        try:
            while not self.is_input_ended:
                if not self.has_capacity():
                    await self.input_reader.suspend("MAP_LOOKAHEAD")
                    continue
                if self.async_input is None:
                    item = next(self.sync_input)
                    if self.items_read % ITEMS_PER_TURN == ITEMS_PER_TURN - 1:
                        await sleep(0)
                else:
                    item = await self.async_input.__anext__()
                await self.enqueue(make_job(self.items_read, item, self.allows_paths))
        except (StopIteration, StopAsyncIteration):
            pass
        except Exception as e:
            self.input_error = e
        finally:
            self.is_input_read = True
        if len(self.idle_workers):
            await self.idle_workers.wake(1)  # to find out that nothing more comes

    async def enqueue(self, job: Job) -> None:
        """One job into the scheduler, and a worker for it."""
        self.items_read += 1
        if job.error is None:
            job.host = host_of(str(job.kwargs.get("url") or self.base))
        self.scheduler.push(job, monotonic())
        await self.wake_worker()
        await self.reset_timer()

    async def on_result_taken(self) -> None:
        """The reader took a result: there may be work for the feeder and for a worker."""
        if self.ordered and len(self.input_reader):
            await self.input_reader.wake(1)
        await self.wake_worker()
        await self.reset_timer()

    async def wake_worker(self) -> None:
        """If there is something to do at once, wake a parked worker, or add one."""
        if not self.scheduler.has_ready:
            return
        if len(self.idle_workers):
            await self.idle_workers.wake(1)
        elif 0 < self.worker_count < self.concurrency:
            await self.add_worker()

    async def reset_timer(self) -> None:
        """What comes next may have changed: have the timer look again if it would be late.

        While no worker is parked it need not: each looks for itself when it is done.
        """
        if len(self.idle_workers):
            await self.arm_timer()

    async def arm_timer(self) -> None:
        """Have the timer look again if something comes before it would."""
        if len(self.timer):
            at = self.scheduler.next_time(monotonic())
            if at is not None and (self.timer_at is None or at < self.timer_at):
                await self.timer.wake(1)

    # -- turns

    async def next_job(self, previous: Job | None) -> Job | None:
        """The next job that may go now, of the same host if it may be; refused jobs are answered
        on the way.
        """
        prefer_host = previous.host if previous is not None else ""
        while True:
            if self.is_input_ended or (
                self.is_input_read and not self.scheduler.pending and self.under_way == 0
            ):
                self.is_input_ended = True
                return None
            if self.is_backpressured():
                await self.idle_workers.suspend("MAP_PARKED")
                continue
            found = self.scheduler.pop(monotonic(), self.is_allowed, prefer_host)
            if found is None:
                await self.wait_for_work()
                continue
            job, decision = found
            self.items_taken += 1
            if len(self.input_reader) and self.should_read_input():
                await self.input_reader.wake(1)
            if decision == RUN:
                self.under_way += 1  # from here on the run cannot be taken for ended
                await self.wake_worker()
                await self.reset_timer()
                return job
            await self.deliver(job, self.rejection(job, decision))

    async def wait_for_work(self) -> None:
        """Wait until there is something to do; the timer sees to it that somebody is woken."""
        await self.arm_timer()
        await self.idle_workers.suspend("MAP_PARKED")

    def is_backpressured(self) -> bool:
        """The reader is too far behind. In order, the look-ahead bounds it already."""
        return not self.ordered and self.items_taken - self.results_delivered >= self.window

    def is_allowed(self, job: Job) -> bool | None:
        """robots.txt's word on a job; None when it is not known yet."""
        if self.robots is None or job.error is not None:
            return True
        return self.robots.is_allowed(self.url_of(job))

    def url_of(self, job: Job) -> str:
        """The full URL of a job, near enough for robots.txt."""
        if job.paused is not None:
            return job.paused.url
        url = str(job.kwargs.get("url") or "")
        if not url:
            endpoint = str(getattr(self.session, "endpoint", "") or "")
            pieces = (self.base, endpoint, str(job.kwargs.get("path") or ""))
            url = "/".join(piece.strip("/") for piece in pieces if piece.strip("/"))
        if job.kwargs.get("params"):
            with contextlib.suppress(InvalidRequest, TypeError):  # the request itself raises it
                parsed = parse_url(url)
                url = str(parsed.with_target(add_params(parsed.target, job.kwargs["params"])))
        return url

    def rejection(self, job: Job, decision: str) -> Result:
        """The result of a job that is not sent."""
        elapsed = monotonic() - job.started if job.started else 0.0
        error: Exception
        if decision == ROBOTS_DENIED:
            assert self.robots is not None
            error = self.robots.refusal_error(self.url_of(job), self.options.user_agent)
        else:
            error = CircuitOpen(
                f"{job.host} failed {self.options.max_failures} times in a row and "
                f"is left alone for a while; not sent: {self.url_of(job)}"
            )
        if job.paused is not None and isinstance(error, AsksException):
            error = copy.copy(error)  # one for an origin without an answer is shared
            error.history = job.paused.history
        return Result(job.key, job.request, None, error, job.attempts, elapsed)

    async def run_timer(self) -> None:
        """Wake a worker whenever a host's time has come."""
        while True:
            now = monotonic()
            at = self.scheduler.next_time(now)
            if at is not None and at <= now:
                if len(self.idle_workers) and not self.is_backpressured():
                    await self.idle_workers.wake(1)
                at = None  # whoever took it pokes us
            self.timer_at = at
            if at is None:
                await self.timer.suspend("MAP_TIMER")
            else:
                try:
                    await timeout_after(at - now, self.timer.suspend("MAP_TIMER"))
                except TaskTimeout:
                    continue

    # -- requests

    async def work(self) -> None:
        """One worker's life; redirects are held that its requests come to."""
        if not self.can_pause_redirects:
            return await super().work()
        task = await current_task()
        gates[task] = self.should_pause_redirect
        try:
            await super().work()
        finally:
            del gates[task]
        return None

    def should_pause_redirect(self, url: str) -> bool:
        """Redirects wait for their turn, but not once nothing more is to be begun."""
        return not self.is_input_ended

    async def attempt(self, job: Job) -> Result:
        """Send once, or go on where a redirect leads. Raises `RedirectPaused` before a further redirect."""
        paused, job.paused = job.paused, None
        job.attempts += paused is None
        response: Any = None
        error: Exception | None = None
        try:
            if paused is None:
                response = await self.session.request(job.method, **job.kwargs)
            elif self.resume_redirect is not None:
                response = await self.resume_redirect(paused, str(job.kwargs.get("url") or ""))
            else:
                response = await paused.flow.run()
        except RedirectPaused:
            raise
        except Exception as e:
            error = e
        return Result(
            job.key, job.request, response, error, job.attempts, monotonic() - job.started
        )

    async def run_job(self, job: Job) -> Result | None:
        """Send once and tell the scheduler how it went; None when it is to be repeated."""
        started = monotonic()
        job.started = job.started or started
        outcome, retry_after = UNSENT, None
        result: Result | None = None
        try:
            if job.error is not None:
                return Result(job.key, job.request, None, job.error, 0, 0.0)
            if self.robots is not None and not await self.is_robots_allowed(job):
                return self.rejection(job, ROBOTS_DENIED)
            try:
                result = await self.attempt(job)
                outcome, retry_after = classify_result(result)
            except RedirectPaused as paused:
                job.paused, outcome = paused, SUCCEEDED
        finally:
            self.under_way -= 1
            now = monotonic()
            self.scheduler.finish(job.host, now, started, outcome, retry_after)
            if (
                job.paused is not None and outcome == SUCCEEDED
            ):  # its turn comes, at whatever host it is
                self.items_taken -= 1
                job.host = host_of(job.paused.url)
                self.scheduler.push(job, now, now + min(job.paused.delay, self.options.max_pause))
        if result is None:  # it is held
            await self.wake_worker()
            await self.reset_timer()
            return None
        delay = retry_delay(self.retries, job, result)
        if delay is not None:  # back into the schedule before anybody can take the run for ended
            self.items_taken -= 1
            job.host = host_of(self.url_of(job))  # from the start, wherever redirects had led
            self.scheduler.push(job, now, now + delay)
        await self.reset_timer()
        return result if delay is None else None

    async def is_robots_allowed(self, job: Job) -> bool:
        """robots.txt allows it; fetched first if need be."""
        assert self.robots is not None
        url = self.url_of(job)
        await self.robots.load(url)
        if self.scheduler.host(job.host).awaiting_robots:
            self.scheduler.end_robots_wait(job.host, monotonic(), self.robots.crawl_delay(url))
            await self.wake_worker()
        return self.robots.is_allowed(url) is not False


def is_library_session(session: Any) -> bool:
    """Whether its answers are those of the conversation: a session of the house, not changed."""
    from ..sessions import BaseSession

    return isinstance(session, BaseSession) and type(session).request is BaseSession.request


def classify_result(result: Result) -> tuple[str, float | None]:
    """What a result says of its host, and the seconds it asks us to wait."""
    if isinstance(result.error, ConnectivityError):
        return FAILED, None
    response = result.error if isinstance(result.error, ResponseTooLarge) else result.response
    if response is not None and response.status_code in (429, 503):
        value = response.headers.get("retry-after")
        return THROTTLED, parse_retry_after(value, time.time())
    return SUCCEEDED, None
