"""The end of a guest kernel, whatever ended its host."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._kernel import Runtime
    from ..kernel import Kernel

__all__ = ["end_kernel"]


def end_kernel(kernel: Kernel, runtime: Runtime, process: int) -> None:
    """Cancel what is left and free what the kernel holds.

    In a forked child the descriptors are the parent's: this process's copies are closed.
    """
    if kernel._shutdown_funcs is None:
        return  # it failed
    if process == os.getpid():
        runtime.attach(None)
        kernel.run(shutdown=True)
        return
    for close in kernel._shutdown_funcs:
        close()
    kernel._shutdown_funcs = None
