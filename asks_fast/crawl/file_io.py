"""Complete writes to a file descriptor.

A write to a pipe or to a disk that fills up may take only part of the data. These functions go on
until all of it is written; OSError may leave a part written.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["write_all", "write_all_at"]


def write_all(fd: int, data: Buffer) -> None:
    """Write all of `data` at the current position."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_all_at(fd: int, data: Buffer, offset: int) -> None:
    """Write all of `data` at `offset` bytes from the start of the file."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written
