"""The end of a guest kernel, whatever ended its host."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._kernel import Runtime
    from ..kernel import Kernel

__all__ = ["end_kernel", "free_kernel"]


def end_kernel(kernel: Kernel, runtime: Runtime | None, process: int) -> None:
    """Cancel what is left and free what the kernel holds.

    In a forked child the descriptors are the parent's: this process's copies are closed.
    """
    if process != os.getpid():
        free_kernel(kernel)
    elif kernel._shutdown_funcs is not None:  # it has not failed
        if runtime is not None:
            runtime.attach(None)
        kernel.run(shutdown=True)


def free_kernel(kernel: Kernel) -> None:
    """Close the descriptors of a kernel whose tasks are gone or another process's."""
    functions, kernel._shutdown_funcs = kernel._shutdown_funcs, None
    for close in functions or ():
        close()
