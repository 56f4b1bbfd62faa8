"""Run a coroutine in a thread without an event loop.

Rules:  refused where an event loop runs in this thread, because the loop would be blocked. Each
        thread has one kernel, which ends with the thread. A forked child makes its own.
"""

from __future__ import annotations

import asyncio
import atexit
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from .._curio import curio_running
from .guest_kernel import GuestKernel

__all__ = ["run"]

T = TypeVar("T")


class _KernelOwner:
    """Ends the kernel of a thread when the thread ends.

    The kernel is part of reference cycles. The garbage collector may find it in any thread, also
    while another kernel runs there.
    """

    def __init__(self, kernel: GuestKernel) -> None:
        self._kernel = kernel

    def __del__(self) -> None:
        self._kernel.end()


_thread_data = threading.local()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the kernel of this thread.

    Returns:
        What the coroutine returns.

    Raises:
        RuntimeError: an event loop runs in this thread.
    """
    try:
        _check_no_loop_runs()
        kernel = getattr(_thread_data, "kernel", None)
        if kernel is None or not kernel.is_of_this_process:
            kernel = _thread_data.kernel = GuestKernel()
            _thread_data.owner = _KernelOwner(kernel)
    except BaseException:
        coroutine.close()
        raise
    return kernel.run(coroutine)  # type: ignore[no-any-return]


def _check_no_loop_runs() -> None:
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
    _thread_data.__dict__.clear()
