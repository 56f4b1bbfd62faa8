"""The workers of a bulk run, their input, and the results that were not taken yet.

Workers, as many as may be under way, take items from the input and deliver results to the reader.
A worker that finds `window` results not taken becomes idle; taking a result wakes one idle worker.

Facts:  curio changes tasks only at an await, so counters need no lock. Waking many tasks at once is
        slow on stock curio, so one event wakes one task.
Invariants: at most `window` items are taken from the input and not yet returned to the reader.
        Workers live in one task group, and `close` leaves it empty.

Implemented elsewhere: the object that users hold (`map`), limits per host
(`scheduled_worker_pool`, which puts a scheduler between input and workers).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING

from curio import Task, TaskGroup, current_task, sleep
from curio.sched import SchedFIFO

from .._client.retry import Attempt, Retry
from .job import BulkRequest, Job, Result, SessionLike, base_url_of, make_job

if TYPE_CHECKING:
    from ..response_objects import Response

__all__ = ["WorkerPool", "retry_delay"]


class WorkerPool:
    """The workers of one bulk run."""

    def __init__(
        self,
        session: SessionLike,
        requests: Iterable[BulkRequest] | AsyncIterable[BulkRequest],
        concurrency: int,
        ordered: bool,
        window: int,
        retries: Retry,
    ) -> None:
        self.session = session
        self.concurrency = concurrency
        self.ordered = ordered
        self.window = window
        self.retries = retries
        self.base = base_url_of(session)
        self.allows_paths = bool(self.base)
        self.sync_input: Iterator[BulkRequest] = iter(())
        self.async_input: AsyncIterator[BulkRequest] | None = None
        if isinstance(requests, (str, bytes, dict)):
            raise TypeError(
                "requests must be an iterable of requests, found a single "
                f"{type(requests).__name__}; put it into a list"
            )
        if isinstance(requests, AsyncIterable):
            self.async_input = requests.__aiter__()
        else:
            self.sync_input = iter(requests)
        self.group: TaskGroup | None = None
        self.input_task: Task | None = None  # the worker that waits for the async input
        self.is_input_ended = False
        self.input_error: BaseException | None = None
        self.items_taken = 0  # from the input
        self.results_delivered = 0  # to the reader
        self.under_way = 0
        self.worker_count = 0  # alive
        self.results: deque[Result] = deque()  # when not ordered
        self.ordered_results: dict[int, Result] = {}  # when ordered: index -> result
        self.consumers = SchedFIFO()  # readers waiting for a result
        self.idle_workers = SchedFIFO()
        # False if nothing waits there, which costs less to test than a length.
        self.may_have_consumers = False
        self.may_have_idle_workers = False

    # -- called by the reader

    @property
    def is_running(self) -> bool:
        """Whether there are workers."""
        return self.worker_count > 0

    def state(self) -> str:
        """Return the counts for `repr`; tests rely on them."""
        waiting = len(self.ordered_results) if self.ordered else len(self.results)
        return (
            f"taken={self.items_taken} under way={self.under_way} waiting={waiting} "
            f"delivered={self.results_delivered} workers={self.worker_count}"
        )

    async def start(self) -> None:
        """Start the first worker; each worker starts the next as long as there is work for it."""
        self.group = TaskGroup()
        await self.add_worker()

    async def add_worker(self) -> None:
        """Start one more worker. The caller has checked that there may be one more."""
        assert self.group is not None
        self.worker_count += 1
        await self.group.spawn(self.work)

    async def next_result(self) -> Result:
        """Return the next result.

        Raises StopAsyncIteration at the end, or the exception of the input.
        """
        while True:
            result = self.pop_result()
            if result is not None:
                self.results_delivered += 1
                await self.on_result_taken()
                if len(self.consumers) and (
                    self.results or self.results_delivered in self.ordered_results
                ):
                    await self.consumers.wake(
                        1
                    )  # there are several readers, and another result is there
                return result
            if self.worker_count == 0:
                await self.close()
                if self.input_error is not None:
                    failure, self.input_error = self.input_error, None
                    raise failure
                raise StopAsyncIteration
            self.may_have_consumers = True
            await self.consumers.suspend("MAP_RESULT")

    async def on_result_taken(self) -> None:
        """Wake an idle worker, as the reader has taken a result."""
        waiting = len(self.idle_workers)
        self.may_have_idle_workers = waiting > 1
        if waiting:
            await self.idle_workers.wake(1)

    async def stop(self) -> None:
        """Take no more items from the input."""
        self.is_input_ended = True
        if self.input_task is not None:
            await self.input_task.cancel(blocking=False)
        if len(self.idle_workers):
            await self.idle_workers.wake(1)

    def pop_result(self) -> Result | None:
        """Return the next result for the reader, or None if it is not there yet."""
        if self.ordered:
            return self.ordered_results.pop(self.results_delivered, None)
        return self.results.popleft() if self.results else None

    async def close(self) -> None:
        """Cancel every worker and wait for its end. Idempotent."""
        self.is_input_ended = True
        group = self.group
        if group is not None:
            try:
                await group.cancel_remaining()
            finally:
                await group.join()
        self.worker_count = 0
        while len(self.consumers):
            await self.consumers.wake(1)
        source, self.async_input = self.async_input, None
        aclose = getattr(source, "aclose", None)
        if aclose is not None:
            await aclose()

    # -- run by the workers

    async def work(self) -> None:
        """Run one worker: take jobs, run them and deliver results until the input ends.

        A request is sent again as far as `retries` allows. Failures become results. All of this is
        one coroutine: another one would have to be resumed at each wait of a request.
        """
        request, attempts = self.session.request, self.retries.attempts
        job: Job | None = None
        try:
            while True:
                job = self.take_job() or await self.next_job(job)
                if job is None:
                    break
                if job.error is not None:
                    await self.deliver(job, Result(job.key, job.request, None, job.error, 0, 0.0))
                    continue
                self.under_way += 1
                try:
                    job.started = monotonic()
                    while True:
                        job.attempts += 1
                        response: Response | None = None
                        error: Exception | None = None
                        try:
                            response = await request(job.method, **job.kwargs)
                        except Exception as e:
                            error = e
                        elapsed = monotonic() - job.started
                        result = Result(
                            job.key, job.request, response, error, job.attempts, elapsed
                        )
                        if job.attempts > attempts:
                            break
                        delay = retry_delay(self.retries, job, result)
                        if delay is None:
                            break
                        await sleep(delay)
                finally:
                    self.under_way -= 1
                if self.ordered:
                    self.ordered_results[job.index] = result
                    if job.index != self.results_delivered:
                        continue
                else:
                    self.results.append(result)
                if self.may_have_consumers:
                    await self.wake_consumer()
        except Exception as e:
            self.set_pool_error(e)
        finally:
            await self.end_worker()

    def set_pool_error(self, error: Exception) -> None:
        """Raise an error of the pool itself, not of a request, in the reader."""
        self.is_input_ended = True
        self.input_error = self.input_error or error

    async def end_worker(self) -> None:
        """Wake tasks that may wait for this worker, which ends now."""
        self.worker_count -= 1
        # The input may have ended: wake one idle worker, which wakes the next, and the readers.
        if len(self.idle_workers):
            await self.idle_workers.wake(1)
        if self.worker_count == 0:
            while len(self.consumers):
                await self.consumers.wake(1)

    def take_job(self) -> Job | None:
        """Return the next job if that needs no wait and all workers run, else None."""
        if (
            self.is_input_ended
            or self.async_input is not None
            or self.worker_count < self.concurrency
            or self.items_taken - self.results_delivered >= self.window
        ):
            return None
        try:
            item = next(self.sync_input)
        except StopIteration:
            self.is_input_ended = True
            return None
        except Exception as e:
            self.is_input_ended = True
            self.input_error = e
            return None
        index = self.items_taken
        self.items_taken = index + 1
        return make_job(index, item, self.allows_paths)

    async def suspend_worker(self) -> None:
        """Wait until this worker is woken because there may be something to do."""
        self.may_have_idle_workers = True
        await self.idle_workers.suspend("MAP_IDLE_WORKER")

    async def next_job(self, previous: Job | None) -> Job | None:
        """Return the next job, or None at the end; wait while `window` results are not taken.

        Args:
            previous: the job that this worker did last.
        """
        while True:
            if self.is_input_ended:
                return None
            if (
                self.input_task is not None
                or self.items_taken - self.results_delivered >= self.window
            ):
                await self.suspend_worker()
                continue
            try:
                if self.async_input is None:
                    item = next(self.sync_input)
                else:
                    item = await self.next_item(self.async_input)
            except (StopIteration, StopAsyncIteration):
                self.is_input_ended = True
                return None
            except Exception as e:
                self.is_input_ended = True
                self.input_error = e
                return None
            index = self.items_taken
            self.items_taken += 1
            await self.start_more_workers()
            return make_job(index, item, self.allows_paths)

    async def next_item(self, source: AsyncIterator[BulkRequest]) -> BulkRequest:
        """Return one item of the async input, for which only one worker waits at a time."""
        self.input_task = await current_task()
        try:
            return await source.__anext__()
        finally:
            self.input_task = None

    async def start_more_workers(self) -> None:
        """Start or wake another worker if there may be another job."""
        if self.items_taken - self.results_delivered >= self.window:
            return
        if self.worker_count < self.concurrency:
            await self.add_worker()
        elif self.async_input is not None and len(self.idle_workers):
            await self.idle_workers.wake(1)

    async def wake_consumer(self) -> None:
        """Wake a reader if one waits."""
        waiting = len(self.consumers)
        self.may_have_consumers = waiting > 1
        if waiting:
            await self.consumers.wake(1)

    async def deliver(self, job: Job, result: Result) -> None:
        """Pass a result to the reader and wake it."""
        if self.ordered:
            self.ordered_results[job.index] = result
            if job.index != self.results_delivered:
                return
        else:
            self.results.append(result)
        await self.wake_consumer()


def retry_delay(policy: Retry, job: Job, result: Result) -> float | None:
    """Return the seconds until the job is tried again, or None if its result is final."""
    attempt = Attempt.coerce(job.attempts, job.method, error=result.error, response=result.response)
    return policy.delay_before_next(attempt)
