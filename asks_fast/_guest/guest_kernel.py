"""A kernel that ends with an event loop of another library, or with a thread."""

from __future__ import annotations

import os
from collections.abc import Callable

from .._kernel import Runtime
from ..kernel import Kernel, Task, _kernel_task

__all__ = ["GuestKernel"]


class GuestKernel(Kernel):
    """A compiled kernel whose runtime is made at once, and whose end nobody may be there to see."""

    _shutdown_funcs: list[Callable[[], object]] | None

    def __init__(self) -> None:
        super().__init__()
        self._process = os.getpid()
        self.runtime = self._runner = Runtime(self, Task, _kernel_task)

    @property
    def is_of_this_process(self) -> bool:
        """Whether its descriptors are ours alone: not so in a forked child."""
        return self._process == os.getpid()

    def end(self) -> None:
        """Cancel what is left and free what the kernel holds. Safe to repeat."""
        if self._shutdown_funcs is None:
            return  # ended, or failed
        self.runtime.attach(None)
        if self.is_of_this_process and not self._is_garbage():
            self.run(shutdown=True)
        else:
            self.free()

    def free(self) -> None:
        """Close the descriptors, this process's copies of them; tasks can do nothing more."""
        functions, self._shutdown_funcs = self._shutdown_funcs, None
        for close in functions or ():
            close()

    def _is_garbage(self) -> bool:
        """Whether the collector has begun to close the coroutines of our tasks."""
        return any(getattr(task.coro, "cr_frame", task) is None for task in self._tasks.values())

    def __del__(self) -> None:
        self.free()
