"""Run a coroutine of ours to its end in plain code: one kernel for each thread.

Rules:  never where an event loop runs in this thread, which would stand still. A thread's kernel
        ends with the thread; a forked child has a kernel of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from curio.meta import curio_running

from .guest_kernel import GuestKernel

__all__ = ["run"]

T = TypeVar("T")


class _ThreadKernel(GuestKernel):
    """The kernel of one thread."""

    def __del__(self) -> None:
        self.end()


_of_thread = threading.local()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The outcome of a coroutine of ours. RuntimeError where an event loop runs."""
    try:
        _refuse_in_loop()
        found = getattr(_of_thread, "kernel", None)
        if found is None or not found.is_of_this_process:
            found = _of_thread.kernel = _ThreadKernel()
    except BaseException:
        coroutine.close()
        raise
    return found.run(coroutine)  # type: ignore[no-any-return]


def _refuse_in_loop() -> None:
    if asyncio._get_running_loop() is not None:
        library = "asyncio"
    elif curio_running():
        library = "curio"
    elif "trio" in sys.modules and sys.modules["trio"].lowlevel.in_trio_run():
        library = "trio"
    else:
        return
    raise RuntimeError(
        f"asks_fast.sync would block the event loop of {library} that runs in this thread: "
        "use the functions and sessions of asks_fast itself, with `await`"
    )


@atexit.register
def _end() -> None:
    _of_thread.__dict__.clear()
