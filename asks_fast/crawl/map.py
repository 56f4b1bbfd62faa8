"""Many requests at once: `session.map` and `session.gather`.

Rules:  `Map` is the reader's end, `run.Run` the workers'. Workers hold the run, the reader holds
        the map: a reader that just walks away closes a socket pair in its finalizer, and a task at
        the other end cancels the workers. `aclose` leaves nothing behind.
Not here: the workers (`run`), politeness (`polite_run`).
"""

from __future__ import annotations

import inspect
import socket
import warnings
from collections.abc import AsyncIterable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from curio import spawn
from curio.errors import TaskCancelled
from curio.io import Socket
from curio.traps import _get_kernel

from .._client.retry import Retry
from .._guest import hosted
from .._shutdown import is_shutting_down
from .job import Result, SessionLike
from .worker_pool import Run

if TYPE_CHECKING:
    from typing_extensions import Self

    from .host_limits import Politeness

__all__ = ["Map", "Result", "check_arguments", "gather", "map_requests"]


def check_arguments(function: str, given: Mapping[str, Any]) -> None:
    """Raise the TypeError for arguments that `session.map` or `session.gather` do not take."""
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
    requests: Iterable[Any] | AsyncIterable[Any],
    *,
    concurrency: int | None = None,
    ordered: bool = False,
    window: int | None = None,
    retries: int | Retry = 0,
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
        retries: a `Retry` policy, or for short the number of its `attempts`: further tries after
            a `ConnectivityError` or a 429, 502, 503 or 504, with growing pauses or after the time
            that `Retry-After` names. On top of what the session itself repeats.
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
    retries: int | Retry = 0,
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
        retries: int | Retry = 0,
        politeness: Politeness | None = None,
    ) -> None:
        self._watch: socket.socket | None = None  # closing it tells that the reader is gone
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
        kind: type[Run] = Run
        if politeness is not None:
            from .scheduled_worker_pool import PoliteRun

            kind = PoliteRun
        self._run = kind(session, requests, concurrency, ordered, window, policy, politeness)

    def __aiter__(self) -> Self:
        return self

    @hosted
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

    @hosted
    async def __aenter__(self) -> Self:
        if self._run.group is None:
            await self._run.start()
        return self

    async def __aexit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    @hosted
    async def aclose(self) -> None:
        """Cancel what is under way and wait until it is gone. Idempotent, safe when cancelled."""
        try:
            await self._run.close()
        finally:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
                await self._watcher.cancel()

    @hosted
    async def stop(self) -> None:
        """Take nothing more from the input; what is under way still gives its results."""
        await self._run.stop()

    @property
    def under_way(self) -> int:
        """Requests sent, or waiting for a connection, at this moment."""
        return self._run.under_way

    @property
    def slow_hosts(self) -> dict[str, str]:
        """Hosts that politeness slows down, or did, and why."""
        from .scheduled_worker_pool import PoliteRun
        from .slow_hosts import slow_hosts

        run = self._run
        return slow_hosts(run.scheduler.hosts()) if isinstance(run, PoliteRun) else {}

    async def _watch_reader(self) -> None:
        """Start the task that ends the run when this object is dropped without `aclose`.

        In a kernel that is shutting down nothing could wait for that end: `TaskCancelled`.
        """
        if is_shutting_down(await _get_kernel()):
            raise TaskCancelled("the kernel is shutting down")
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


async def _end_when_abandoned(run: Run, watch: Socket) -> None:
    """Wait until the reader is gone (the other end of `watch` is closed), then end the run."""
    try:
        await watch.recv(1)
    finally:
        await watch.close()
        await run.close()
