"""The workers' end of a bulk run: input, workers, and the results that nobody took yet.

A few workers (as many as may be under way) pull items from the input, and hand results to the
reader. A worker that finds the reader too far behind parks; taking a result wakes one of them.

Facts:  curio changes task only at an await, so counters need no lock. Waking a crowd is slow on
        stock curio: one event wakes one task.
Rules:  taken from the input and not yet given to the reader: never more than `window`.
        Workers live in one task group, and `close` leaves it empty.
Not here: what the user holds (`mapping`), politeness (`polite_run` puts a scheduler between).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any

from curio import Task, TaskGroup, current_task, sleep
from curio.sched import SchedFIFO

from .._client.retry import Attempt, Retry
from .job import Job, Result, SessionLike, base_of, prepare

if TYPE_CHECKING:
    from .host_limits import Politeness

__all__ = ["Run", "retry_delay"]


class Run:
    """One run; see the module."""

    def __init__(
        self,
        session: SessionLike,
        requests: Iterable[Any] | AsyncIterable[Any],
        concurrency: int,
        ordered: bool,
        window: int,
        retries: Retry,
        politeness: Politeness | None,
    ) -> None:
        self.session = session
        self.concurrency = concurrency
        self.ordered = ordered
        self.window = window
        self.retries = retries
        self.base = base_of(session)
        self.takes_paths = bool(self.base)
        self.sync_input: Any = None
        self.async_input: Any = None
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
        self.puller: Task | None = None  # the worker inside the async input's __anext__
        self.exhausted = False  # nothing more comes from the input
        self.failure: BaseException | None = None  # raised by the input
        self.taken = 0  # items from the input
        self.delivered = 0  # results given to the reader
        self.under_way = 0
        self.workers = 0  # alive
        self.done: deque[Result] = deque()  # when not ordered
        self.held: dict[int, Result] = {}  # when ordered: index -> result
        self.readers = SchedFIFO()
        self.parked = SchedFIFO()  # workers with nothing to do

    # -- for the reader

    @property
    def is_running(self) -> bool:
        """There are workers."""
        return self.workers > 0

    def state(self) -> str:
        """For `repr`: counts that tests rely on."""
        waiting = len(self.held) if self.ordered else len(self.done)
        return (
            f"taken={self.taken} under way={self.under_way} waiting={waiting} "
            f"delivered={self.delivered} workers={self.workers}"
        )

    async def start(self) -> None:
        """Start the first worker; each starts the next as long as there is work for it."""
        self.group = TaskGroup()
        await self.add_worker()

    async def add_worker(self) -> None:
        """One more worker. The caller checked that there may be one more."""
        assert self.group is not None
        self.workers += 1
        await self.group.spawn(self.work)

    async def next_result(self) -> Result:
        """The next result, or StopAsyncIteration, or what the input raised."""
        while True:
            result = self.pop_result()
            if result is not None:
                self.delivered += 1
                await self.made_room()
                if len(self.readers) and (self.done or self.delivered in self.held):
                    await self.readers.wake(1)  # several readers, and one more has its result
                return result
            if self.workers == 0:
                await self.close()
                if self.failure is not None:
                    failure, self.failure = self.failure, None
                    raise failure
                raise StopAsyncIteration
            await self.readers.suspend("MAP_RESULT")

    async def made_room(self) -> None:
        """The reader took a result: a parked worker may go on."""
        if len(self.parked):
            await self.parked.wake(1)

    async def stop(self) -> None:
        """Take nothing more from the input."""
        self.exhausted = True
        if self.puller is not None:
            await self.puller.cancel(blocking=False)
        if len(self.parked):
            await self.parked.wake(1)

    def pop_result(self) -> Result | None:
        """The result whose turn it is, if it is there."""
        if self.ordered:
            return self.held.pop(self.delivered, None)
        return self.done.popleft() if self.done else None

    async def close(self) -> None:
        """Cancel every worker and wait for its end. Idempotent."""
        self.exhausted = True
        group = self.group
        if group is not None:
            try:
                await group.cancel_remaining()
            finally:
                await group.join()
        self.workers = 0
        while len(self.readers):
            await self.readers.wake(1)
        source, self.async_input = self.async_input, None
        if source is not None and hasattr(source, "aclose"):
            await source.aclose()

    # -- for the workers

    async def work(self) -> None:
        """One worker's life: take, perform, deliver, until there is nothing to take."""
        job: Job | None = None
        try:
            while True:
                job = await self.take(job)
                if job is None:
                    break
                result = await self.perform(job)
                if result is not None:
                    await self.put(job, result)
        except Exception as e:  # the machinery itself failed: say so rather than hang
            self.exhausted = True
            self.failure = self.failure or e
        finally:
            self.workers -= 1
            # Nothing more to take: let a parked worker and the readers find that out, one by one.
            if len(self.parked):
                await self.parked.wake(1)
            if self.workers == 0:
                while len(self.readers):
                    await self.readers.wake(1)

    async def take(self, before: Job | None) -> Job | None:
        """The next job, or None when there will be none. Parks while the reader is behind.

        `before` is the job that this worker did last.
        """
        while True:
            if self.exhausted:
                return None
            if self.puller is not None or self.taken - self.delivered >= self.window:
                await self.parked.suspend("MAP_PARKED")
                continue
            try:
                if self.async_input is None:
                    item = next(self.sync_input)
                else:
                    item = await self.pull()
            except (StopIteration, StopAsyncIteration):
                self.exhausted = True
                return None
            except Exception as e:
                self.exhausted = True
                self.failure = e
                return None
            index = self.taken
            self.taken += 1
            await self.invite()
            return prepare(index, item, self.takes_paths)

    async def pull(self) -> Any:
        """One item from the async input; only one worker at a time may be in there."""
        self.puller = await current_task()
        try:
            return await self.async_input.__anext__()
        finally:
            self.puller = None

    async def invite(self) -> None:
        """A job was taken: if there may be another, see that somebody comes for it."""
        if self.taken - self.delivered >= self.window:
            return
        if self.workers < self.concurrency:
            await self.add_worker()
        elif self.async_input is not None and len(self.parked):
            await self.parked.wake(1)

    async def perform(self, job: Job) -> Result | None:
        """Send, and send again as far as `retries` allows. Failures become results."""
        if job.error is not None:
            return Result(job.key, job.request, None, job.error, 0, 0.0)
        job.started = monotonic()
        self.under_way += 1
        try:
            while True:
                result = await self.attempt(job)
                delay = retry_delay(self.retries, job, result)
                if delay is None:
                    return result
                await sleep(delay)
        finally:
            self.under_way -= 1

    async def attempt(self, job: Job) -> Result:
        """Send once."""
        job.attempts += 1
        response: Any = None
        error: Exception | None = None
        try:
            response = await self.session.request(job.method, **job.kwargs)
        except Exception as e:
            error = e
        return Result(
            job.key, job.request, response, error, job.attempts, monotonic() - job.started
        )

    async def put(self, job: Job, result: Result) -> None:
        """Give a result to the reader, and wake one that waits for it."""
        if self.ordered:
            self.held[job.index] = result
            if job.index != self.delivered:
                return
        else:
            self.done.append(result)
        if len(self.readers):
            await self.readers.wake(1)


def retry_delay(policy: Retry, job: Job, result: Result) -> float | None:
    """Return the seconds to wait before the job is tried again, or None if its result is final."""
    attempt = Attempt.coerce(job.attempts, job.method, error=result.error, response=result.response)
    return policy.delay_before_next(attempt)
