"""A bounded number of threads for the system's blocking resolver.

`getaddrinfo` cannot be interrupted, so a cancelled call leaves its thread busy. curio's own thread
pool counts such a thread as free, so slow name servers would make the number of threads unbounded.
Here at most `MAX_THREADS` threads exist in the process, those of cancelled calls included. A call
that is cancelled before it begins is not made. The threads are daemons: they do not delay the end
of the program.

Caching is implemented in `dns_cache`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .._curio import future_wait

__all__ = ["MAX_THREADS", "LookupThreads", "run"]

MAX_THREADS = 64
_IDLE_TIMEOUT = 20.0


class _Job:
    """One call for a thread. It is both arguments of curio's trap: the future and the event.

    The kernel adds its callback and then calls `set()`, which puts the job into the queue. So the
    job cannot finish before the callback is there.
    """

    __slots__ = ("_call", "_callback", "_error", "_is_cancelled", "_pool", "_value")

    def __init__(self, pool: LookupThreads, call: Callable[[], Any]) -> None:
        self._pool = pool
        self._call = call
        self._callback: Callable[[_Job], None] | None = None
        self._error: BaseException | None = None
        self._value: Any = None
        self._is_cancelled = False

    def add_done_callback(self, callback: Callable[[_Job], None]) -> None:
        self._callback = callback

    def set(self) -> None:
        self._pool.submit(self)

    def cancel(self) -> bool:
        self._is_cancelled = True
        return True

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value

    def run_in_thread(self) -> None:
        """Make the call and notify the kernel."""
        if self._is_cancelled or self._callback is None:
            return
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error
        self._notify()

    def fail(self, error: BaseException) -> None:
        """Report that the call cannot be made."""
        self._error = error
        self._notify()

    def _notify(self) -> None:
        assert self._callback is not None
        with suppress(OSError):  # the kernel has closed in the meantime
            self._callback(self)


class LookupThreads:
    """A pool of up to `limit` threads, started on demand, ended after 20 seconds without work."""

    def __init__(self, limit: int = MAX_THREADS) -> None:
        self._limit = limit
        self._reset()

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._threads = 0
        self._idle = 0

    def __repr__(self) -> str:
        return f"<LookupThreads {self._threads}/{self._limit}, {len(self._jobs)} waiting>"

    @property
    def threads(self) -> int:
        """The number of threads, those of cancelled calls included."""
        return self._threads

    @property
    def waiting(self) -> int:
        """The number of calls in the queue, cancelled ones included."""
        return len(self._jobs)

    async def run(self, call: Callable[[], Any]) -> Any:
        """Return `call()`, run in a thread. If cancelled, a call that has begun runs to its end."""
        job = _Job(self, call)
        await future_wait(job, job)
        return job.result()

    def submit(self, job: _Job) -> None:
        with self._changed:
            self._jobs.append(job)
            if len(self._jobs) <= self._idle or self._threads >= self._limit:
                self._changed.notify()
                return
            self._threads += 1
            thread = threading.Thread(target=self._work, name="asks_fast lookup", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system allows no further thread
                self._threads -= 1
                if not self._threads:  # no other thread would run it
                    self._jobs.remove(job)
                    job.fail(error)

    def _next_job(self) -> _Job | None:
        with self._changed:
            while not self._jobs:
                self._idle += 1
                try:
                    woken = self._changed.wait(_IDLE_TIMEOUT)
                finally:
                    self._idle -= 1
                if not woken and not self._jobs:
                    self._threads -= 1
                    return None
            return self._jobs.popleft()

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            job.run_in_thread()


_shared = LookupThreads()
os.register_at_fork(after_in_child=_shared._reset)
run = _shared.run
