"""Did a test leave a descriptor or a task behind?

Facts:  /proc/self/fd names what each descriptor is ("socket:[inode]"); an inode number is not
        given out again within one test run, so a name tells one socket from all others.
Rules:  the test's own servers live in this process too and say so with `disregard`, all else
        that was not open before the test body and is open after it counts as left behind.
Not here: unclosed objects that the interpreter finds itself (ResourceWarning is an error).
"""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from typing import Any

FD_DIRECTORY = "/proc/self/fd"
LIBFFI = "/libffi.so"  # libffi 3.5 keeps its own file open once a ctypes callback was made

_disregarded: set[str] = set()


def disregard(fd: int) -> None:
    """Say that `fd` belongs to the test's scaffolding, for as long as it is open."""
    name = _name(fd)
    if name is not None:
        _disregarded.add(name)


def open_descriptors() -> Counter[str]:
    """What is open now, by name; empty where the system does not tell."""
    if not os.path.isdir(FD_DIRECTORY):
        return Counter()
    names = (_name(int(entry)) or "" for entry in os.listdir(FD_DIRECTORY))
    return Counter(n for n in names if n and n not in _disregarded and LIBFFI not in n)


def left_open(before: Counter[str], read_timeout: float = 2.0) -> list[str]:
    """Names of what was opened since `before` and does not close within `read_timeout` seconds.

    The patience is for scaffolding threads that are just closing; garbage is collected once, so
    that what only the collector would close is reported by its own ResourceWarning.
    """
    deadline = time.monotonic() + read_timeout
    collected = False
    while True:
        extra = open_descriptors() - before
        if not extra:
            return []
        if time.monotonic() > deadline:
            return sorted(extra.elements())
        if not collected:
            gc.collect()
            collected = True
        time.sleep(0.005)


def _name(fd: int) -> str | None:
    try:
        return os.readlink(f"{FD_DIRECTORY}/{fd}")
    except OSError:
        return None


def nothing_under_way(session: Any) -> None:
    """Assert that no request of a session holds a connection or a place, or waits for one."""
    stats = session.pool_stats()
    assert (stats["in_use"], stats["waiting"], stats["opening"]) == (0, 0, 0), stats
    assert stats["open"] == stats["idle"], stats
