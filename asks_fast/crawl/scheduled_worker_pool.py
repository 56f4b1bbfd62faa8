"""A worker pool that takes its jobs from a scheduler: bulk requests with limits per host.

A reader task reads the input ahead into the scheduler. Workers take jobs that may start now. A
timer task wakes an idle worker when a host becomes ready.

Invariants: a job that must wait does so in the scheduler, never in a worker, so one slow host
        occupies at most as many workers as it may have requests under way. A redirect is a request
        of its own: it waits in the scheduler for its host, and its worker takes another job.
        Rejected jobs (open circuit, robots.txt) become results; they are not sent, or not further.

Implemented elsewhere: the order of jobs (`scheduler`), the limits of a host (`host_limits`).
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import time
from collections.abc import AsyncIterable, Iterable
from time import monotonic
from typing import TYPE_CHECKING

from curio import current_task, sleep
from curio.errors import TaskTimeout
from curio.sched import SchedFIFO

from .._client.redirect_pause import RedirectPaused, gates
from .._client.retry import Retry
from .._deadlines import timeout_after
from ..errors import (
    AsksException,
    CircuitOpen,
    ConnectivityError,
    InvalidRequest,
    PoolTimeout,
    RequestTimeout,
    ResponseTooLarge,
)
from ..http_utils import retry_after as parse_retry_after
from ..urls import add_params, parse_url
from .host_limits import FAILED, SUCCEEDED, THROTTLED, TIMED_OUT, UNSENT, Politeness
from .job import BulkRequest, Job, Result, SessionLike, host_of, make_job
from .robots import RobotsCache
from .robots_fetch import RobotsFetcher
from .scheduler import ROBOTS_DENIED, RUN, Scheduler
from .worker_pool import WorkerPool, retry_delay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..response_objects import Response

    ResumeRedirect = Callable[[RedirectPaused, str], Awaitable[Response]]

__all__ = ["ScheduledWorkerPool"]

ITEMS_PER_TURN = 200  # items read from a synchronous input before other tasks run


class ScheduledWorkerPool(WorkerPool):
    """A pool whose workers take their jobs from a scheduler."""

    def __init__(
        self,
        session: SessionLike,
        requests: Iterable[BulkRequest] | AsyncIterable[BulkRequest],
        concurrency: int,
        ordered: bool,
        window: int,
        retries: Retry,
        options: Politeness,
    ) -> None:
        super().__init__(session, requests, concurrency, ordered, window, retries)
        # Always, so that `on_result_taken` is called: a timer or the input reader may wait, too.
        self.may_have_idle_workers = True
        self.options = options
        longest = min(self.retries.max_retry_after, options.max_pause)
        self.retries = dataclasses.replace(self.retries, max_retry_after=longest)
        self.scheduler = Scheduler(options)
        self.robots: RobotsCache | None = None
        if options.robots:
            self.robots_fetcher = RobotsFetcher(self.session, options.user_agent)
            self.robots = RobotsCache(
                self.robots_fetcher.fetch,
                options.user_agent,
                on_sitemaps=getattr(self.session, "on_sitemaps", None),
            )
        self.items_read = 0  # items read from the input
        self.input_reader = SchedFIFO()  # the input reader, waiting until it may read ahead
        self.timer = SchedFIFO()  # the timer, waiting for a change
        self.timer_at: float | None = None  # its deadline
        self.is_input_read = False  # to its end
        # A session that transforms its responses must do so itself after a redirect.
        self.resume_redirect: ResumeRedirect | None = getattr(self.session, "resume_redirect", None)
        self.can_pause_redirects = self.resume_redirect is not None or is_library_session(
            self.session
        )

    async def start(self) -> None:
        """Start a worker, the timer and the input reader; the reader starts more workers."""
        await super().start()
        assert self.group is not None
        await self.group.spawn(self.run_timer, daemon=True)
        await self.group.spawn(self.read_input, daemon=True)

    async def close(self) -> None:
        """Cancel every worker; close the session for robots.txt."""
        try:
            await super().close()
        finally:
            if self.robots is not None:
                await self.robots_fetcher.aclose()

    # -- input

    def has_capacity(self) -> bool:
        """Return whether another item may be read from the input."""
        if self.ordered:  # the item that the reader waits for must be among those read
            return self.items_read - self.results_delivered < self.window
        return self.scheduler.pending < self.options.lookahead

    def should_read_input(self) -> bool:
        """Return whether to wake the input reader: for many items at once, not for each."""
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
            await self.idle_workers.wake(1)  # it finds that the input has ended

    async def enqueue(self, job: Job) -> None:
        """Add one job to the scheduler, and make a worker take it."""
        self.items_read += 1
        if job.error is None:
            job.host = host_of(str(job.url or self.base))
        self.scheduler.push(job, monotonic())
        await self.wake_worker()
        await self.reset_timer()

    async def on_result_taken(self) -> None:
        """Wake what a taken result lets continue: the input reader, a worker, the timer."""
        if self.ordered and len(self.input_reader):
            await self.input_reader.wake(1)
        await self.wake_worker()
        await self.reset_timer()

    async def wake_worker(self) -> None:
        """Wake or start a worker if a job is ready."""
        if not self.scheduler.has_ready:
            return
        if len(self.idle_workers):
            await self.idle_workers.wake(1)
        elif 0 < self.worker_count < self.concurrency:
            await self.add_worker()

    async def reset_timer(self) -> None:
        """Set the timer anew, as the next start may have changed.

        While no worker is idle this is not needed: each looks for a job when it is done.
        """
        if len(self.idle_workers):
            await self.arm_timer()

    async def arm_timer(self) -> None:
        """Wake the timer if the next start comes before its deadline."""
        if len(self.timer):
            at = self.scheduler.next_time(monotonic())
            if at is not None and (self.timer_at is None or at < self.timer_at):
                await self.timer.wake(1)

    # -- scheduling

    async def next_job(self, previous: Job | None) -> Job | None:
        """Return the next job that may start now, preferably of the same host.

        Rejected jobs are delivered as results on the way. None at the end.
        """
        prefer_host = previous.host if previous is not None else ""
        while True:
            if self.is_input_ended or (
                self.is_input_read and not self.scheduler.pending and self.under_way == 0
            ):
                self.is_input_ended = True
                return None
            if self.is_backpressured():
                await self.suspend_worker()
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
                self.under_way += 1  # from here on, other workers see that the run has not ended
                await self.wake_worker()
                await self.reset_timer()
                return job
            await self.deliver(job.index, self.rejection(job, decision))

    async def wait_for_work(self) -> None:
        """Wait until there is something to do; the timer wakes an idle worker then."""
        await self.arm_timer()
        await self.suspend_worker()

    def is_backpressured(self) -> bool:
        """Return whether too many results are not taken; in order, the look-ahead bounds them."""
        return not self.ordered and self.items_taken >= self.items_allowed

    def is_allowed(self, job: Job) -> bool | None:
        """Return whether robots.txt allows a job; None if it is not known yet."""
        if self.robots is None or job.error is not None:
            return True
        return self.robots.is_allowed(self.url_of(job))

    def url_of(self, job: Job) -> str:
        """Return the full URL of a job, accurate enough for robots.txt."""
        if job.paused is not None:
            return job.paused.url
        url = str(job.url or "")
        if not url:
            endpoint = str(getattr(self.session, "endpoint", "") or "")
            pieces = (self.base, endpoint, str(job.kwargs.get("path") or ""))
            url = "/".join(piece.strip("/") for piece in pieces if piece.strip("/"))
        if job.kwargs.get("params"):
            with contextlib.suppress(InvalidRequest, TypeError):  # the request raises it itself
                parsed = parse_url(url)
                url = str(parsed.with_target(add_params(parsed.target, job.kwargs["params"])))
        return url

    def rejection(self, job: Job, decision: str) -> Result:
        """Return the result of a job that is not sent."""
        elapsed = monotonic() - job.started if job.started else 0.0
        error: Exception
        if decision == ROBOTS_DENIED:
            assert self.robots is not None
            error = self.robots.refusal_error(self.url_of(job), self.options.user_agent)
        else:
            error = CircuitOpen(
                f"{job.host} failed {self.options.max_failures} times in a row and "
                f"is paused; not sent: {self.url_of(job)}"
            )
        if job.paused is not None and isinstance(error, AsksException):
            error = copy.copy(error)  # the error of a dead origin is shared
            error.history = job.paused.history
        return Result(job.key, job.request, None, error, job.attempts, elapsed)

    async def run_timer(self) -> None:
        """Wake an idle worker whenever a host becomes ready."""
        while True:
            now = monotonic()
            at = self.scheduler.next_time(now)
            if at is not None and at <= now:
                if len(self.idle_workers) and not self.is_backpressured():
                    await self.idle_workers.wake(1)
                at = None  # the worker resets the timer when it takes the job
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
        """Run one worker; redirects of its requests are paused."""
        task = await current_task()
        if self.can_pause_redirects:
            gates[task] = self.should_pause_redirect
        job: Job | None = None
        try:
            while (job := await self.next_job(job)) is not None:
                result = await self.run_job(job)
                if result is not None:
                    await self.deliver(job.index, result)
        except Exception as e:
            self.set_pool_error(e)
        finally:
            gates.pop(task, None)
            await self.end_worker()

    def should_pause_redirect(self, url: str) -> bool:
        """Pause redirects, except after the run was stopped."""
        return not self.is_input_ended

    async def attempt(self, job: Job) -> Result:
        """Send the request once, or continue it after a redirect.

        Raises:
            RedirectPaused: before a further redirect.
        """
        paused, job.paused = job.paused, None
        job.attempts += paused is None
        response: Response | None = None
        error: Exception | None = None
        try:
            if paused is None:
                response = await self.send(job.method, job.url, job.kwargs)
            elif self.resume_redirect is not None:
                response = await self.resume_redirect(paused, str(job.url or ""))
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
        """Send the request once and report the outcome to the scheduler.

        Returns None if the job went back to the scheduler.
        """
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
            if job.paused is not None and outcome == SUCCEEDED:  # continued when its host is ready
                self.items_taken -= 1
                job.host = host_of(job.paused.url)
                self.scheduler.push(job, now, now + min(job.paused.delay, self.options.max_pause))
        if result is None:  # paused before a redirect
            await self.wake_worker()
            await self.reset_timer()
            return None
        delay = retry_delay(self.retries, job.method, job.attempts, result.error, result.response)
        if delay is not None:  # back into the scheduler before other workers see the run as ended
            self.items_taken -= 1
            job.host = host_of(self.url_of(job))  # the request starts again, before its redirects
            self.scheduler.push(job, now, now + delay)
        await self.reset_timer()
        return result if delay is None else None

    async def is_robots_allowed(self, job: Job) -> bool:
        """Return whether robots.txt allows a job; fetch it first if necessary."""
        assert self.robots is not None
        url = self.url_of(job)
        await self.robots.load(url)
        if self.scheduler.host(job.host).awaiting_robots:
            self.scheduler.end_robots_wait(job.host, monotonic(), self.robots.crawl_delay(url))
            await self.wake_worker()
        return self.robots.is_allowed(url) is not False


def is_library_session(session: SessionLike) -> bool:
    """Return whether the session is one of this library whose `request` is not overridden."""
    from ..sessions import BaseSession

    return isinstance(session, BaseSession) and type(session).request is BaseSession.request


def classify_result(result: Result) -> tuple[str, float | None]:
    """Return the outcome for the host, and the seconds that it asks us to wait."""
    if isinstance(result.error, RequestTimeout):
        return (FAILED if isinstance(result.error, PoolTimeout) else TIMED_OUT), None
    if isinstance(result.error, ConnectivityError):
        return FAILED, None
    response = result.error if isinstance(result.error, ResponseTooLarge) else result.response
    if response is not None and response.status_code in (429, 503):
        value = response.headers.get("retry-after")
        return THROTTLED, parse_retry_after(value, time.time())
    return SUCCEEDED, None
