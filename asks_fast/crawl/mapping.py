"""Many requests at once: `session.map` and `session.gather`.

A few workers (as many as may be under way) pull items from the input, and hand results to the
reader. A worker that finds the reader too far behind parks; taking a result wakes one of them.

Facts:  curio changes task only at an await, so counters need no lock. Waking a crowd is slow on
        stock curio: one event wakes one task.
Rules:  taken from the input and not yet given to the reader: never more than `window`.
        Workers live in one task group, and `aclose` leaves it empty. Workers hold `_Run`, the
        reader holds `Map`: a reader that just walks away is noticed, and its workers cancelled.
Not here: politeness (`polite` puts a scheduler between the input and the workers).
"""

from __future__ import annotations

import socket
import warnings
from collections import deque
from collections.abc import AsyncIterable, Iterable
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

from curio import Task, TaskGroup, current_task, sleep, spawn
from curio.errors import TaskCancelled
from curio.io import Socket
from curio.sched import SchedFIFO

from ..errors import ConnectivityError
from .jobs import Job, Result, SessionLike, base_of, prepare

if TYPE_CHECKING:
    from typing_extensions import Self

    from .politeness import Politeness

__all__ = ["Map", "Result", "gather", "map_requests"]

RETRY_STATUSES = frozenset({429, 502, 503, 504})


def map_requests(
    session: SessionLike,
    requests: Iterable[Any] | AsyncIterable[Any],
    *,
    concurrency: int | None = None,
    ordered: bool = False,
    window: int | None = None,
    retries: int = 0,
    politeness: Politeness | None = None,
) -> Map:
    """Results of many requests, as they complete.

    Args:
        session: any session.
        requests: iterable or async iterable, endless ones too, of URLs (paths for a session with
            a host), dicts of request arguments (`method`, `url` or `path`, `headers`, …, and
            optionally `key`), or pairs `(key, one of these)`.
        concurrency: most requests under way; default: the session's `connections`.
        ordered: results in the order of the input instead of as they complete.
        window: most items taken from the input whose results were not taken yet; default four
            times `concurrency`. The reader may be that far behind.
        retries: further tries of a request that ended in a `ConnectivityError` or a 429, 502,
            503 or 504, with growing pauses; methods that are not idempotent are not repeated.
            On top of what the session itself repeats.
        politeness: limits per host, robots.txt, circuit breaker; default none.

    Returns: an async iterator of `Result`, and an async context manager that closes it.

    Raises: ValueError for numbers below one. An exception raised by `requests` itself is raised
        again to the reader, after the results of what was taken before.

    Cancellation or leaving early cancels what is under way; nothing is left behind. A plain
    `async for` that is left early does so within a turn of the kernel, `async with` at once.
    """
    return Map(
        session,
        requests,
        concurrency=concurrency,
        ordered=ordered,
        window=window,
        retries=retries,
        politeness=politeness,
    )


async def gather(
    session: SessionLike,
    requests: Iterable[Any] | AsyncIterable[Any],
    *,
    concurrency: int | None = None,
    retries: int = 0,
    politeness: Politeness | None = None,
) -> list[Result]:
    """The results of a few requests, in the order asked; arguments as in `map_requests`."""
    mapped = map_requests(
        session,
        requests,
        concurrency=concurrency,
        ordered=True,
        retries=retries,
        politeness=politeness,
    )
    async with mapped as results:
        return [result async for result in results]


class Map:
    """The reader's end of a bulk run: async iterator of `Result`, async context manager."""

    __slots__ = ("__weakref__", "_run", "_watch", "_watcher")

    def __init__(
        self,
        session: SessionLike,
        requests: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int | None = None,
        ordered: bool = False,
        window: int | None = None,
        retries: int = 0,
        politeness: Politeness | None = None,
    ) -> None:
        self._watch: socket.socket | None = None  # closing it tells that the reader is gone
        if concurrency is None:
            concurrency = int(getattr(session, "connections", 0) or 20)
        if window is None:
            window = 4 * concurrency
        if concurrency < 1 or window < 1 or retries < 0:
            raise ValueError(
                "concurrency and window must be at least 1 and retries not negative, found "
                f"concurrency={concurrency}, window={window}, retries={retries}"
            )
        kind: type[_Run] = _Run
        if politeness is not None:
            from .polite import PoliteRun

            kind = PoliteRun
        self._run = kind(session, requests, concurrency, ordered, window, retries, politeness)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        run = self._run
        if run.group is None:
            if self._watch is None:
                await self._watch_reader()
            await run.start()
        try:
            return await run.next_result()
        except Exception:  # the end, or what the input raised
            await self.aclose()
            raise
        except TaskCancelled:
            if self._watch is not None:  # nobody else will close it, and the task's error holds us
                await self.aclose()
            raise

    async def __aenter__(self) -> Self:
        if self._run.group is None:
            await self._run.start()
        return self

    async def __aexit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel what is under way and wait until it is gone. Idempotent, safe when cancelled."""
        try:
            await self._run.close()
        finally:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
                await self._watcher.cancel()

    async def stop(self) -> None:
        """Take nothing more from the input; what is under way still gives its results."""
        await self._run.stop()

    @property
    def under_way(self) -> int:
        """Requests sent, or waiting for a connection, at this moment."""
        return self._run.under_way

    async def _watch_reader(self) -> None:
        """Start the task that ends the run when this object is dropped without `aclose`."""
        ours, theirs = socket.socketpair()
        self._watch = ours
        self._watcher = await spawn(_end_when_abandoned, self._run, Socket(theirs), daemon=True)

    def __del__(self) -> None:
        if self._watch is not None:
            self._watch.close()
        elif getattr(self, "_run", None) is not None and self._run.is_running:
            warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2)

    def __repr__(self) -> str:
        return f"<Map {self._run.state()}>"


async def _end_when_abandoned(run: _Run, watch: Socket) -> None:
    """Wait until the reader is gone (the other end of `watch` is closed), then end the run."""
    try:
        await watch.recv(1)
    finally:
        await watch.close()
        await run.close()


class _Run:
    """The workers' end: input, workers, and the results nobody took yet."""

    def __init__(
        self,
        session: SessionLike,
        requests: Iterable[Any] | AsyncIterable[Any],
        concurrency: int,
        ordered: bool,
        window: int,
        retries: int,
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
        if hasattr(requests, "__aiter__"):
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
                if self.retries < job.attempts or not is_worth_repeating(job, result):
                    return result
                await sleep(pause_before(job.attempts))
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


def is_worth_repeating(job: Job, result: Result) -> bool:
    """Another try may end otherwise, and does no harm."""
    if result.error is None and result.response.status_code not in RETRY_STATUSES:
        return False
    if job.method.upper() not in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"):
        return False
    return result.error is None or isinstance(result.error, ConnectivityError)


def pause_before(attempt: int) -> float:
    """Seconds to wait after this many tries: 0.5, 1, 2, … up to 30, spread by a quarter."""
    import random

    return min(30.0, 0.5 * float(2 ** (attempt - 1))) * random.uniform(0.75, 1.25)
