"""Measure processor time in a way that does not depend on the load of the machine.

Only the time of this thread counts, and the least of several runs: other programs increase it a
little, never many times. Tests compare linear with non-linear growth, so their bounds are wide: a
factor of ten at least. Benchmarks are in `bench/`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def thread_seconds(function: Callable[..., Any], *arguments: Any, tries: int = 3) -> float:
    """Return the seconds of processor time that one call takes, the least of `tries`."""
    least = float("inf")
    for _ in range(tries):
        began = time.thread_time()
        function(*arguments)
        least = min(least, time.thread_time() - began)
    return least
