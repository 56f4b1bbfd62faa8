"""Tell whether a curio kernel is shutting down.

A kernel that shuts down lists its tasks, cancels each one and waits for its end. A task that is
spawned later is not on the list; if it is still there afterwards, curio's kernel fails. So a
background task of ours is spawned before the shutdown, or ends before the task that needs it.

curio has no public way to ask. `Kernel.run` keeps the list of the tasks to cancel in a local
variable while it shuts down, and whatever a task runs is called from there. Both kernels share
that method.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from curio.kernel import Kernel

__all__ = ["is_shutting_down"]

_RUN = Kernel.run.__code__


def is_shutting_down(kernel: Any) -> bool:
    """Whether the kernel that runs the caller is cancelling its tasks for good."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _RUN and frame.f_locals.get("self") is kernel:
            return "tocancel" in frame.f_locals
        frame = frame.f_back
    return False
