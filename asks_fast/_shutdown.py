"""Tell whether a curio kernel is shutting down.

At shutdown a kernel lists its tasks, cancels each one and joins it. A task that is spawned later is
not on the list; if it still exists afterwards, curio's kernel fails. So a background task of this
library is spawned before the shutdown, or ends before the task that needs it.

curio has no public function for this. While `Kernel.run` shuts down, it keeps the list of tasks in
a local variable, and all code of a task runs below its frame. Both kernels share that method.
"""

from __future__ import annotations

import sys
from types import FrameType

from curio.kernel import Kernel

__all__ = ["is_shutting_down"]

_RUN = Kernel.run.__code__


def is_shutting_down(kernel: object) -> bool:
    """Tell whether `kernel`, which runs the caller, is cancelling its tasks to shut down."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _RUN and frame.f_locals.get("self") is kernel:
            return "tocancel" in frame.f_locals
        frame = frame.f_back
    return False
