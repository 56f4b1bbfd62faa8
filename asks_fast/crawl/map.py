"""Many requests at once: `session.map` and `session.gather`.

`Map` belongs to the reader of results, `WorkerPool` to the workers. Workers hold the pool, the
reader holds the map. If the reader drops the map without closing it, the map's finalizer closes a
socket pair; a task at its other end cancels the workers.

Invariants: `aclose` leaves no task and no request behind.

Implemented elsewhere: the workers (`worker_pool`), limits per host (`scheduled_worker_pool`).
"""

from __future__ import annotations

import inspect
import socket
import warnings
from collections.abc import AsyncIterable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from curio import spawn
from curio.errors import TaskCancelled
from curio.io import Socket

from .._client.retry import Retry
from .._curio import get_kernel
from .._guest import hosted
from .._shutdown import is_shutting_down
from .job import BulkRequest, Result, SessionLike
from .worker_pool import WorkerPool

if TYPE_CHECKING:
    from typing_extensions import Self

    from .host_limits import Politeness

__all__ = ["Map", "Result", "check_arguments", "gather", "map_requests"]


def check_arguments(function: str, given: Mapping[str, object]) -> None:
    """Raise TypeError for arguments that `session.map` or `session.gather` do not take."""
    taken = inspect.signature(map_requests if function == "map" else gather).parameters
    unknown = sorted(given.keys() - taken)
    if unknown:
        raise TypeError(
            f"{function}() got unexpected keyword arguments {', '.join(map(repr, unknown))}; "
            "arguments of requests belong to the session or to a request, as in "
            f"{{'url': …, {unknown[0]!r}: …}}"
        )


def map_requests(
    session: SessionLike,
    requests: Iterable[BulkRequest] | AsyncIterable[BulkRequest],
    *,
    concurrency: int | None = None,
    ordered: bool = False,
    window: int | None = None,
    retries: int | Retry = 0,
    politeness: Politeness | None = None,
) -> Map:
    """Send many requests and return their results as they complete.

    Args:
        session: any session.
        requests: an iterable or async iterable, possibly endless, of URLs (paths for a session
            with a host), dicts of request arguments (`method`, `url` or `path`, `headers`, …, and
            optionally `key`), or pairs `(key, one of these)`.
        concurrency: limit of concurrent requests; default: the session's `connections`.
        ordered: return results in the order of the input instead of as they complete.
        window: limit of items taken from the input whose results were not taken yet; default: four
            times `concurrency`.
        retries: a `Retry` policy, or the number of its `attempts`: retries after a
            `ConnectivityError` or a 429, 502, 503 or 504, after growing pauses or the time of
            `Retry-After`. They come on top of the session's own retries.
        politeness: limits per host, robots.txt and circuit breaker; default: none.

    Returns:
        An async iterator of `Result` that is also an async context manager.

    Raises:
        ValueError: a number is below one.
        TypeError: `requests` is a single request.

    An exception raised by `requests` is raised to the reader after the results of earlier items.
    Cancelling or leaving the iteration cancels the requests under way; none stays. `async with`
    ends them at once, a plain `async for` that is left early within one turn of the kernel.

    Example:
        async for result in session.map(urls, concurrency=20):
            print(result.key, result.response or result.error)
    """
    if concurrency is None:
        concurrency = int(getattr(session, "connections", 0) or 20)
    if window is None:
        window = 4 * concurrency
    if concurrency < 1 or window < 1:
        raise ValueError(
            "concurrency and window must be at least 1, found "
            f"concurrency={concurrency}, window={window}"
        )
    policy = retries if isinstance(retries, Retry) else Retry(attempts=retries)
    if politeness is None:
        return Map(WorkerPool(session, requests, concurrency, ordered, window, policy))
    from .scheduled_worker_pool import ScheduledWorkerPool

    return Map(
        ScheduledWorkerPool(session, requests, concurrency, ordered, window, policy, politeness)
    )


async def gather(
    session: SessionLike,
    requests: Iterable[BulkRequest] | AsyncIterable[BulkRequest],
    *,
    concurrency: int | None = None,
    retries: int | Retry = 0,
    politeness: Politeness | None = None,
) -> list[Result]:
    """Return the results of a few requests in the order of the input.

    Arguments and errors are those of `map_requests`. Cancellation cancels the requests under way.

    Example:
        first, second = await session.gather(["/a", "/b"])
    """
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
    """The reader's side of a bulk run: async iterator of `Result`, async context manager."""

    __slots__ = ("__weakref__", "_pool", "_watch", "_watcher")

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._watch: socket.socket | None = None  # closed when the reader drops the map

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        pool = self._pool
        if pool.results and not pool.may_have_idle_workers and not pool.may_have_consumers:
            pool.items_allowed += 1  # and no other task must be woken
            return pool.results.popleft()
        return await self._next()

    @hosted
    async def _next(self) -> Result:
        pool = self._pool
        if pool.group is None:
            if self._watch is None:
                await self._watch_reader()
            await pool.start()
        try:
            return await pool.next_result()
        except Exception:  # the end, or what the input raised
            await self.aclose()
            raise
        except TaskCancelled:
            if (
                self._watch is not None
            ):  # nothing else closes it: the task's error refers to this map
                await self.aclose()
            raise

    @hosted
    async def __aenter__(self) -> Self:
        if self._pool.group is None:
            await self._pool.start()
        return self

    async def __aexit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    @hosted
    async def aclose(self) -> None:
        """Cancel the requests under way and wait for their end. Idempotent, safe when cancelled."""
        try:
            await self._pool.close()
        finally:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
                await self._watcher.cancel()

    @hosted
    async def stop(self) -> None:
        """Take no more items from the input; requests under way still give their results."""
        await self._pool.stop()

    @property
    def under_way(self) -> int:
        """The number of requests sent, or waiting for a connection, at this moment."""
        return self._pool.under_way

    @property
    def slow_hosts(self) -> dict[str, str]:
        """The hosts that politeness slows down, or has slowed down, and why."""
        from .scheduled_worker_pool import ScheduledWorkerPool
        from .slow_hosts import slow_hosts

        pool = self._pool
        return slow_hosts(pool.scheduler.hosts()) if isinstance(pool, ScheduledWorkerPool) else {}

    def adaptive_limits(self, hosts: Iterable[str]) -> dict[str, str]:
        """Return the present adaptive limit of each of these hosts, as text.

        Args:
            hosts: names as in URLs, with the port unless it is the default.

        Returns:
            Texts such as `6 at once, 48.2/s`; nothing for a host without requests, and nothing at
            all unless the run has `Politeness(adaptive=True)`.
        """
        from .scheduled_worker_pool import ScheduledWorkerPool
        from .slow_hosts import adaptive_limits

        pool = self._pool
        if not isinstance(pool, ScheduledWorkerPool):
            return {}
        return adaptive_limits(pool.scheduler.find(hosts))

    async def _watch_reader(self) -> None:
        """Start the task that ends the run when this object is dropped without `aclose`.

        In a kernel that is shutting down, nothing could wait for that end: raises `TaskCancelled`.
        """
        if is_shutting_down(await get_kernel()):
            raise TaskCancelled("the kernel is shutting down")
        ours, theirs = socket.socketpair()
        self._watch = ours
        self._watcher = await spawn(_end_when_abandoned, self._pool, Socket(theirs), daemon=True)

    def __del__(self) -> None:
        if self._watch is not None:
            self._watch.close()
        elif self._pool.is_running:
            warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2)

    def __repr__(self) -> str:
        return f"<Map {self._pool.state()}>"


async def _end_when_abandoned(pool: WorkerPool, watch: Socket) -> None:
    """Wait until the reader is gone (the other end of `watch` is closed), then end the run."""
    try:
        await watch.recv(1)
    finally:
        await watch.close()
        await pool.close()
