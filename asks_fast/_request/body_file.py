"""Request bodies from files: by path, open, open in curio.

Facts:  a disk read can take seconds (cold cache, network file system) and curio has one thread,
        so disks are read in a worker thread; at 256 KiB a hop costs about as much as the read, and
        a thousand uploads at once hold 256 MiB. Linux can be asked for what it has in memory
        (`RWF_NOWAIT`), which for small files saves most of the time. A cancelled hop leaves its
        thread running: it must find nothing to harm. `fileno()` of a decompressing file is that
        of the compressed one, so only files known to be plain are asked for a size.
Rules:  a path is checked at the call and opened when read. What we opened we close, without
        waiting for a disk; what the user opened stays open.
Not here: what a source and a reader are (`body_sources`).
"""

from __future__ import annotations

import io
import os
import stat
import threading
from typing import Any

from .body_source import CHUNK_SIZE, Chunk, Source, SourceReader, validate_chunk

__all__ = ["AsyncFileSource", "DiskSource", "FileSource", "source_of_file"]

_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)


class DiskSource(Source):
    """A file by its path, opened when it is read and not before.

    Raises what `open()` would raise (`FileNotFoundError`, `IsADirectoryError`, `PermissionError`)
    at once, so that a wrong path fails before anything is sent.
    """

    __slots__ = ("path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        mode = os.stat(self.path).st_mode
        self.length = None
        self.is_replayable = stat.S_ISREG(mode)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(f"{self.path!r} is a directory, it cannot be sent")
        if self.is_replayable:  # opening a pipe twice would break it for its writer
            with io.FileIO(self.path) as file:
                self.length = _size_from(file.fileno(), 0)

    def open(self) -> SourceReader:
        return _DiskReader(self.path, self.length, self.is_replayable)


class _DiskReader(SourceReader):
    """Reads here what is in memory already, and in a worker thread what is not.

    `close()` on one side and the thread on the other share a lock.
    """

    __slots__ = ("_at", "_closed", "_file", "_is_cold", "_is_plain", "_left", "_lock", "_path")

    def __init__(self, path: str, length: int | None, is_plain: bool) -> None:
        self._path = path
        self._left = length
        self._at = 0
        self._is_plain = is_plain  # not a pipe or device
        self._is_cold = not is_plain or _NOWAIT is None
        self._file: io.FileIO | None = None
        self._lock = threading.Lock()
        self._closed = False

    async def read(self) -> Chunk:
        if self._left == 0 or self._closed:
            return b""
        size = CHUNK_SIZE if self._left is None else min(CHUNK_SIZE, self._left)
        data = None if self._is_cold else self._read_cached(size)
        if data is None:
            import curio

            data = await curio.run_in_thread(self._read_here, size)
            self._is_cold = not self._is_plain or _NOWAIT is None
        self._at += len(data)
        if self._left is not None:
            self._left -= len(data)
        return data

    def _read_cached(self, size: int) -> Chunk | None:
        """What Linux has in its cache; `None` if that is nothing, or it cannot tell."""
        if self._file is None:
            self._file = io.FileIO(self._path)
        buffer = bytearray(size)
        try:
            count = os.preadv(self._file.fileno(), [buffer], self._at, _NOWAIT or 0)
        except OSError:
            return None
        self._is_cold = count < size  # the rest is better waited for than taken in crumbs
        return memoryview(buffer)[:count]

    def _read_here(self, size: int) -> bytes:
        with self._lock:
            if self._closed:
                return b""
            if self._file is None:
                self._file = io.FileIO(self._path)
            if self._is_plain:
                data = os.pread(self._file.fileno(), size, self._at)
            else:
                data = self._file.read(size)
        if self._closed:  # while we were reading: whoever asked for it could not get the lock
            self._close_if_unused()
        return data

    def _close_if_unused(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                file, self._file = self._file, None
                if file is not None:
                    file.close()
            finally:
                self._lock.release()

    async def close(self) -> None:
        self._closed = True
        self._close_if_unused()


class FileSource(Source):
    """A binary file that the user opened, from where it stands. It is not closed."""

    __slots__ = ("_file", "_start")

    def __init__(self, file: Any) -> None:
        self._file = file
        self._start = 0
        self.is_replayable = _is_seekable(file)
        if self.is_replayable:
            self._start = file.tell()
        self.length = _length_left(file)

    def open(self) -> SourceReader:
        if self.is_replayable:  # a second pass, or a second part made of the same file
            self._file.seek(self._start)
        return _FileReader(self._file, self.length)


class _FileReader(SourceReader):
    __slots__ = ("_file", "_left")

    def __init__(self, file: Any, length: int | None) -> None:
        self._file = file
        self._left = length

    async def read(self) -> Chunk:
        if self._left == 0:
            return b""
        size = CHUNK_SIZE if self._left is None else min(CHUNK_SIZE, self._left)
        data: Chunk
        if isinstance(self._file, io.BytesIO):
            data = self._file.read(size)
        else:
            import curio

            data = validate_chunk(await curio.run_in_thread(self._file.read, size), self._file)
        if self._left is not None:
            self._left -= len(data)
        return data


class AsyncFileSource(Source):
    """A file whose `read` must be awaited; length unknown, read once."""

    __slots__ = ("_file",)

    def __init__(self, file: Any) -> None:
        self._file = file
        self.length = None
        self.is_replayable = False

    def open(self) -> SourceReader:
        return _AsyncFileReader(self._file)


class _AsyncFileReader(SourceReader):
    __slots__ = ("_file",)

    def __init__(self, file: Any) -> None:
        self._file = file

    async def read(self) -> Chunk:
        return validate_chunk(await self._file.read(CHUNK_SIZE), self._file)


def source_of_file(file: Any) -> Source:
    """The source for an open binary file: any object with `read`, curio's async files included.

    Raises `TypeError` for a file in text mode or one that is not open for reading.
    """
    from curio.file import AsyncFile

    if isinstance(file, AsyncFile):
        with file.blocking() as inner:  # has a position and a size, which the wrapper hides
            return source_of_file(inner)
    if isinstance(_unwrapped(file), io.TextIOBase):
        raise TypeError(f"{file!r} is open in text mode; open it with 'rb'")
    from inspect import iscoroutinefunction

    if iscoroutinefunction(file.read):
        return AsyncFileSource(file)
    readable = getattr(file, "readable", None)
    if readable is not None and not readable():
        raise TypeError(f"{file!r} is not open for reading; open it with 'rb'")
    return FileSource(file)


def _is_seekable(file: Any) -> bool:
    seekable = getattr(file, "seekable", None)
    if seekable is not None:
        return bool(seekable())
    return hasattr(file, "seek") and hasattr(file, "tell")


def _unwrapped(file: Any) -> Any:
    """The file inside what `tempfile` hands out."""
    return getattr(file, "file", file) if type(file).__module__ == "tempfile" else file


def _length_left(file: Any) -> int | None:
    """Bytes from here to the end, `None` unless that is certain without reading."""
    if isinstance(file, io.BytesIO):
        return max(0, file.getbuffer().nbytes - file.tell())
    file = _unwrapped(file)
    raw = getattr(file, "raw", file)
    if not isinstance(raw, io.FileIO):
        return None
    if not isinstance(file, io.FileIO | io.BufferedReader | io.BufferedRandom):
        return None
    if file.writable():
        file.flush()
    descriptor = raw.fileno()
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    return _size_from(descriptor, file.tell())


def _size_from(descriptor: int, start: int) -> int | None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        return None
    left = found.st_size - start
    if left > 0:
        return left
    # Files of /proc say 0 and have content all the same.
    return None if os.pread(descriptor, 1, start) else 0
