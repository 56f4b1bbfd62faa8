"""The few threads in which the system's resolver may block.

Facts:  `getaddrinfo` cannot be interrupted, so whoever stops waiting for it leaves a thread behind
        that is still busy. curio's own pool counts such a thread as free; with slow name
        servers and time-outs, their number would have no bound.
Rules:  never more than `LIMIT` threads in the process, zombies included. A look-up nobody waits
        for any more is not begun. The threads are daemons: the program ends when it wants to.
Not here: caching, and which look-ups are worth making.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .._curio import future_wait

__all__ = ["LIMIT", "LookupThreads", "run"]

LIMIT = 64
_IDLE_SECONDS = 20.0


class _Job:
    """One call on its way through a thread; to curio's kernel it is a future and its start signal.

    The kernel attaches its callback and then calls `set()`, which is when the job joins the queue:
    so it cannot finish before there is someone to tell.
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

    def perform(self) -> None:
        """Called in a thread: make the call and tell the kernel."""
        if self._is_cancelled or self._callback is None:
            return
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error
        self._tell()

    def fail(self, error: BaseException) -> None:
        """The call cannot be made."""
        self._error = error
        self._tell()

    def _tell(self) -> None:
        assert self._callback is not None
        with suppress(OSError):  # that kernel has closed in the meantime; nobody is waiting
            self._callback(self)


class LookupThreads:
    """Threads made when there is work and no idle one, up to `limit`, gone when long idle."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._forget()

    def _forget(self) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._threads = 0
        self._idle = 0

    def __repr__(self) -> str:
        return f"<LookupThreads {self._threads}/{self._limit}, {len(self._jobs)} waiting>"

    @property
    def threads(self) -> int:
        """How many threads there are now, busy with forgotten look-ups or not."""
        return self._threads

    @property
    def waiting(self) -> int:
        """How many look-ups are not begun, forgotten ones included."""
        return len(self._jobs)

    async def run(self, call: Callable[[], Any]) -> Any:
        """`call()` in a thread. Cancelled, the call is dropped, or finishes unheard."""
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
            except RuntimeError as error:  # the system gives us no more
                self._threads -= 1
                if not self._threads:  # nobody else would come to it
                    self._jobs.remove(job)
                    job.fail(error)

    def _take(self) -> _Job | None:
        with self._changed:
            while not self._jobs:
                self._idle += 1
                try:
                    woken = self._changed.wait(_IDLE_SECONDS)
                finally:
                    self._idle -= 1
                if not woken and not self._jobs:
                    self._threads -= 1
                    return None
            return self._jobs.popleft()

    def _work(self) -> None:
        while (job := self._take()) is not None:
            job.perform()


_shared = LookupThreads()
os.register_at_fork(after_in_child=_shared._forget)
run = _shared.run
