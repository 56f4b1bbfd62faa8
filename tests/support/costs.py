"""What a computation costs, told so that a busy machine does not matter.

Rules:  the processor time of this thread alone, the least of several tries: other programs make
        that a little longer, never many times. Bounds are for what is linear against what is not,
        so they are wide: tenfold at least.
Not here: how fast something is: `bench/`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def thread_seconds(function: Callable[..., Any], *arguments: Any, tries: int = 3) -> float:
    """Seconds of this thread's processor time for one call, the least of `tries`."""
    least = float("inf")
    for _ in range(tries):
        began = time.thread_time()
        function(*arguments)
        least = min(least, time.thread_time() - began)
    return least
