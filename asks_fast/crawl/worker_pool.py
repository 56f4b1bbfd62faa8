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
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from curio import Task, TaskGroup, current_task, sleep
from curio.sched import SchedFIFO

from .._client.methods import RequestMethods
from .._client.retry import Attempt, Retry
from .job import BulkRequest, Result, SessionLike, base_url_of, parse_item

if TYPE_CHECKING:
    from ..response_objects import Response

__all__ = ["WorkerPool", "retry_delay"]

END = object()  # instead of an item: there is none, or taking one must wait

Send: TypeAlias = Callable[[str, str | None, dict[str, Any]], Awaitable[Any]]
"""Send a request: method, URL or None, other arguments."""


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
        self.send = sender_of(session)
        self.concurrency = concurrency
        self.ordered = ordered
        self.window = window
        self.retries = retries
        self.base = base_url_of(session)
        self.allows_paths = bool(self.base)
        self.sync_input: Iterator[BulkRequest] = iter(())
        self.async_input: AsyncIterator[BulkRequest] | None = None
        # `sync_input` while an item may be taken without starting a worker, else empty.
        self.ready_input: Iterator[BulkRequest] = iter(())
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
        self.items_allowed = window  # how many may be taken; grows with each result delivered
        self.under_way = 0
        self.worker_count = 0  # alive
        self.results: deque[Result] = deque()  # for the reader to take
        # When ordered: results of later items than the next one to take, by index.
        self.waiting_results: dict[int, Result] = {}
        self.results_in_order = 0  # how many were moved to `results`
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

    @property
    def results_delivered(self) -> int:
        """The number of results that the reader has taken."""
        return self.items_allowed - self.window

    def state(self) -> str:
        """Return the counts for `repr`; tests rely on them."""
        waiting = len(self.waiting_results) + len(self.results)
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
        if self.worker_count == self.concurrency and not self.is_input_ended:
            self.ready_input = self.sync_input
        await self.group.spawn(self.work)

    async def next_result(self) -> Result:
        """Return the next result.

        Raises StopAsyncIteration at the end, or the exception of the input.
        """
        while True:
            if self.results:
                result = self.results.popleft()
                self.items_allowed += 1
                await self.on_result_taken()
                if self.results:  # there may be several readers
                    await self.wake_consumer()
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
        self.end_input()
        if self.input_task is not None:
            await self.input_task.cancel(blocking=False)
        if len(self.idle_workers):
            await self.idle_workers.wake(1)

    async def close(self) -> None:
        """Cancel every worker and wait for its end. Idempotent."""
        self.end_input()
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
        """Run one worker: take items, send requests and deliver results until the input ends.

        A request is sent again as far as `retries` allows. Failures become results. All of this is
        one coroutine: another one would have to be resumed at each wait of a request.
        """
        send, retries, allows_paths = self.send, self.retries.attempts, self.allows_paths
        ordered, append_result = self.ordered, self.results.append
        try:
            while True:
                index = self.items_taken
                item = next(self.ready_input, END) if index < self.items_allowed else END
                if item is not END:
                    self.items_taken = index + 1
                elif (taken := await self.next_item()) is not None:
                    index, item = taken
                else:
                    break
                key, request, method, url, arguments, error = parse_item(item, allows_paths)
                response: Response | None = None
                attempts, started = 0, monotonic()
                self.under_way += 1
                try:
                    while error is None:
                        attempts += 1
                        try:
                            response = await send(method, url, arguments)
                        except Exception as e:
                            error = e
                        if attempts > retries:
                            break
                        delay = retry_delay(self.retries, method, attempts, error, response)
                        if delay is None:
                            break
                        response = error = None
                        await sleep(delay)
                finally:
                    self.under_way -= 1
                elapsed = monotonic() - started if attempts else 0.0
                result = Result(key, request, response, error, attempts, elapsed)
                if ordered:
                    self.append_in_order(index, result)
                else:
                    append_result(result)
                del result, response  # the reader may drop them before the next result
                if self.may_have_consumers:
                    await self.wake_consumer()
        except Exception as e:
            self.set_pool_error(e)
        finally:
            await self.end_worker()

    def set_pool_error(self, error: Exception) -> None:
        """End the run with an error of the input, or of the pool itself, in the reader."""
        self.end_input()
        self.input_error = self.input_error or error

    def end_input(self) -> None:
        """Take no more items."""
        self.is_input_ended = True
        self.ready_input = iter(())

    async def end_worker(self) -> None:
        """Wake tasks that may wait for this worker, which ends now."""
        self.worker_count -= 1
        # The input may have ended: wake one idle worker, which wakes the next, and the readers.
        if len(self.idle_workers):
            await self.idle_workers.wake(1)
        if self.worker_count == 0:
            while len(self.consumers):
                await self.consumers.wake(1)

    async def suspend_worker(self) -> None:
        """Wait until this worker is woken because there may be something to do."""
        self.may_have_idle_workers = True
        await self.idle_workers.suspend("MAP_IDLE_WORKER")

    async def next_item(self) -> tuple[int, object] | None:
        """Return the index of an item and the item, None at the end.

        Waits while `window` results are not taken, and starts or wakes another worker.
        """
        while not self.is_input_ended:
            if self.input_task is not None or self.items_taken >= self.items_allowed:
                await self.suspend_worker()
                continue
            try:
                if self.async_input is None:
                    item = next(self.sync_input)
                else:
                    item = await self.next_async_item(self.async_input)
            except (StopIteration, StopAsyncIteration):
                break
            index = self.items_taken
            self.items_taken += 1
            await self.start_more_workers()
            return index, item
        self.end_input()
        return None

    async def next_async_item(self, source: AsyncIterator[BulkRequest]) -> BulkRequest:
        """Return one item of the async input, for which only one worker waits at a time."""
        self.input_task = await current_task()
        try:
            return await source.__anext__()
        finally:
            self.input_task = None

    async def start_more_workers(self) -> None:
        """Start or wake another worker if there may be another job."""
        if self.items_taken >= self.items_allowed:
            return
        if self.worker_count < self.concurrency:
            await self.add_worker()
        elif self.async_input is not None and len(self.idle_workers):
            await self.idle_workers.wake(1)

    async def wake_consumer(self) -> None:
        """Wake a reader if one waits and there is a result."""
        if self.results:
            waiting = len(self.consumers)
            self.may_have_consumers = waiting > 1
            if waiting:
                await self.consumers.wake(1)

    async def deliver(self, index: int, result: Result) -> None:
        """Pass the result of an item to the reader and wake it."""
        if self.ordered:
            self.append_in_order(index, result)
        else:
            self.results.append(result)
        await self.wake_consumer()

    def append_in_order(self, index: int, result: Result) -> None:
        """Add a result, and those that waited for it, to the results for the reader."""
        self.waiting_results[index] = result
        while (following := self.waiting_results.pop(self.results_in_order, None)) is not None:
            self.results_in_order += 1
            self.results.append(following)


def sender_of(session: SessionLike) -> Send:
    """Return the function that sends a request of this session.

    A session of this library takes the arguments as a dict, which saves 2,000 instructions.
    """
    request = session.request
    if (
        isinstance(session, RequestMethods)
        and getattr(request, "__func__", None) is RequestMethods.request
    ):
        return session._send

    def send(method: str, url: str | None, arguments: dict[str, Any]) -> Awaitable[Any]:
        return request(method, **arguments) if url is None else request(method, url, **arguments)

    return send


def retry_delay(
    policy: Retry, method: str, attempts: int, error: Exception | None, response: Response | None
) -> float | None:
    """Return the seconds until a request is sent again, or None if its outcome is final."""
    return policy.delay_before_next(
        Attempt.coerce(attempts, method, error=error, response=response)
    )
