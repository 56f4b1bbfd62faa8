"""Find descriptors and requests that a test left open.

/proc/self/fd names what each descriptor is ("socket:[inode]"). An inode number is not reused within
one test run, so a name identifies one socket. The servers of a test run in this process too; they
exclude their descriptors with `ignore_descriptor`. Unclosed objects are reported by the interpreter
(ResourceWarning is an error).
"""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from typing import Any

FD_DIRECTORY = "/proc/self/fd"
LIBFFI = "/libffi.so"  # libffi 3.5 keeps its own file open once a ctypes callback was made

_ignored: set[str] = set()


def ignore_descriptor(fd: int) -> None:
    """Exclude `fd`, which belongs to a test server, for as long as it is open."""
    name = _name(fd)
    if name is not None:
        _ignored.add(name)


def open_descriptors() -> Counter[str]:
    """Return the open descriptors by name; empty if the system has no /proc."""
    if not os.path.isdir(FD_DIRECTORY):
        return Counter()
    names = (_name(int(entry)) or "" for entry in os.listdir(FD_DIRECTORY))
    return Counter(n for n in names if n and n not in _ignored and LIBFFI not in n)


def left_open(before: Counter[str], timeout: float = 2.0) -> list[str]:
    """Return the names of descriptors opened since `before` that do not close within `timeout` s.

    Threads of test servers may need that time to close. Garbage is collected once, so an object
    that only the collector closes emits its ResourceWarning.
    """
    deadline = time.monotonic() + timeout
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


def assert_no_active_requests(session: Any) -> None:
    """Assert that no request of the session uses a connection or waits for one."""
    stats = session.pool_stats()
    assert (stats["in_use"], stats["waiting"], stats["opening"]) == (0, 0, 0), stats
    assert stats["open"] == stats["idle"], stats
