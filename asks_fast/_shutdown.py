"""Tell whether a curio kernel is shutting down.

A kernel that shuts down lists its tasks, cancels each one and waits until it has ended. A task that
is spawned later is not on the list, and curio's kernel fails if it still exists afterwards. So this
package spawns a background task before the shutdown, or ends it before the task that needs it.

curio has no public function for this. `Kernel.run` keeps the tasks to cancel in the local variable
`tocancel` while it shuts down, and every task runs inside that call. Both kernels use that method.
"""

from __future__ import annotations

import sys
from types import FrameType

from ._curio import CurioKernel

__all__ = ["is_shutting_down"]

_RUN = CurioKernel.run.__code__


def is_shutting_down(kernel: object) -> bool:
    """Return whether `kernel`, which runs the caller, is cancelling all its tasks to shut down."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _RUN and frame.f_locals.get("self") is kernel:
            return "tocancel" in frame.f_locals
        frame = frame.f_back
    return False
