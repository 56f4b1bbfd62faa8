"""A kernel that ends together with an event loop of another library, or with a thread.

Implemented elsewhere: the hosts (`asyncio_host`, `trio_host`), the kernels of threads (`blocking`).
"""

from __future__ import annotations

import os
from collections.abc import Callable

from .._kernel import Runtime
from ..kernel import Kernel, Task, _kernel_task

__all__ = ["GuestKernel"]


class GuestKernel(Kernel):
    """A compiled kernel that makes its runtime at once and needs no explicit shutdown."""

    _shutdown_funcs: list[Callable[[], object]] | None

    def __init__(self) -> None:
        super().__init__()
        self._process = os.getpid()
        self.runtime = self._runner = Runtime(self, Task, _kernel_task)

    @property
    def is_of_this_process(self) -> bool:
        """Whether this process made the kernel. A forked child shares the parent's descriptors."""
        return self._process == os.getpid()

    @property
    def has_ended(self) -> bool:
        """Whether the kernel was ended or has failed."""
        return self._shutdown_funcs is None

    def end(self) -> None:
        """Cancel the remaining tasks and close the descriptors. May be called again."""
        if self.has_ended:
            return
        self.runtime.attach(None)
        if self.is_of_this_process and not self._is_garbage():
            self.run(shutdown=True)
        else:
            self.free()

    def free(self) -> None:
        """Close this process's descriptors without running the tasks."""
        functions, self._shutdown_funcs = self._shutdown_funcs, None
        for close in functions or ():
            close()

    def _is_garbage(self) -> bool:
        """Whether the garbage collector has begun to close the coroutines of the tasks."""
        return any(getattr(task.coro, "cr_frame", task) is None for task in self._tasks.values())

    def __del__(self) -> None:
        self.free()
