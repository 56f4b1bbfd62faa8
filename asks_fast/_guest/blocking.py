"""Run a coroutine in a thread without an event loop.

Rules:  refused where an event loop runs in this thread, because the loop would be blocked. Each
        thread has one kernel, which ends with the thread. A forked child makes its own.
Implemented elsewhere: running the coroutine (src_pyx/kernel/blocking.pyx).
"""

from __future__ import annotations

import atexit
import os
import threading

from .._kernel import BlockingRunner
from .guest_kernel import GuestKernel

__all__ = ["run"]


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


def _kernel_of_thread() -> GuestKernel:
    """Return the kernel of this thread, made by its first call."""
    kernel: GuestKernel | None = getattr(_thread_data, "kernel", None)
    if kernel is None or kernel.has_ended:
        kernel = _thread_data.kernel = GuestKernel()
        _thread_data.owner = _KernelOwner(kernel)
    return kernel


run = BlockingRunner(_kernel_of_thread)


def _start_child() -> None:
    """Make a forked child use a kernel of its own. This one has the parent's descriptors."""
    _thread_data.kernel = None
    run.forget()


def _end() -> None:
    _thread_data.__dict__.clear()
    run.forget()


os.register_at_fork(after_in_child=_start_child)
atexit.register(_end)
