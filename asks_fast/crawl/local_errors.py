"""Errors of this machine: a full disk, a file name that is too long, a page that cannot be encoded.

They say nothing about the URL. A result that ends in one is reported as failed and not recorded in
the checkpoint, so the next run with `--resume` fetches the URL again.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["NotWritten", "is_local_error", "local_errors"]

# Exhausted resources of this machine. The connector reports these as the cause of its error.
_EXHAUSTED = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
_NO_SPACE = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EROFS])


class NotWritten(Exception):
    """A result could not be written on this machine; another attempt may succeed.

    Attributes:
        is_disk_full: no file can be written any more, so continuing is pointless.
    """

    is_disk_full = False


@contextmanager
def local_errors(task: str) -> Iterator[None]:
    """Turn errors of the file system and of encoders into `NotWritten`: `cannot TASK: reason`."""
    try:
        yield
    except NotWritten:
        raise
    except OSError as error:
        made = NotWritten(f"cannot {task}: {error.strerror or error}")
        made.is_disk_full = error.errno in _NO_SPACE
        raise made from error
    except Exception as error:
        raise NotWritten(f"cannot {task}: {type(error).__name__}: {error}") from error


def is_local_error(error: BaseException | None) -> bool:
    """Return whether a request failed on this machine, not at the server or in the network."""
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, NotWritten | MemoryError):
            return True
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            return True
        error, seen = error.__cause__, seen + 1
    return False
