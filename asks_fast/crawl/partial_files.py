"""Incomplete files, in a directory `.partial` below the output directory.

The process that writes a partial file locks it. The system releases the lock when the process
dies, so a file whose lock is free is abandoned and can be removed.

Invariants: `remove_abandoned` never removes a file of a live process, in this program or another.
        A file appears under its final name only when it is complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .file_io import write_all
from .local_errors import local_errors

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["PartialFile", "keep_file", "remove_abandoned"]

NAME = ".partial"


class PartialFile:
    """A file in `DIRECTORY/.partial`, to be used with `with`.

    It is removed on exit unless `move_to` gave it its final name. Raises `NotWritten` for errors
    of the file system.
    """

    def __init__(self, directory: Path) -> None:
        self._place = directory / NAME
        self._path = self._place
        self._fd = -1

    def __enter__(self) -> Self:
        with local_errors(f"create a file in {self._place}"):
            while self._fd < 0:
                self._create()
        return self

    def _create(self) -> None:
        """Create and lock the file; another process may remove it before it is locked."""
        self._path = self._place / f"{os.getpid()}-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(self._path, flags, 0o666)
        except FileNotFoundError:
            self._place.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, flags, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            is_there = os.fstat(fd).st_nlink > 0
        except BaseException:
            os.close(fd)
            raise
        if is_there:
            self._fd = fd
        else:
            os.close(fd)

    def write(self, data: Any) -> None:
        """Append all of `data`."""
        with local_errors(f"write to {self._path}"):
            write_all(self._fd, data)

    def move_to(self, final: Path) -> None:
        """Give the file its final name, replacing an existing file; directories are created."""
        with local_errors(f"save {final}"):
            final.parent.mkdir(parents=True, exist_ok=True)
            self._path.replace(final)
        self._close()

    def __exit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


def keep_file(source: Path, directory: Path, name: str) -> None:
    """Give `source` the name `directory/name` too: a hard link, or a copy on another disk.

    Raises:
        NotWritten: neither is possible.
    """
    final = directory / name
    with local_errors(f"save {final}"):
        if final.exists() and final.samefile(source):
            return
        final.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            os.link(source, final)
            return
        with PartialFile(directory) as copy, source.open("rb") as file:
            shutil.copyfileobj(file, copy, 1 << 20)
            copy.move_to(final)


def remove_abandoned(directory: Path) -> None:
    """Remove partial files in `directory` whose processes are dead; others stay."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in list((directory / NAME).iterdir()):
            with contextlib.suppress(OSError):  # removed meanwhile, locked, or not ours
                _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(fd)
