"""Request bodies from files: a path, an open file, or a curio file.

Facts:  A disk read can take seconds (cold cache, network file system) and curio has one thread, so
        files are read in a worker thread. At 256 KiB the switch of threads costs about as much as
        the read, and a thousand simultaneous uploads use 256 MiB. `RWF_NOWAIT` reads what Linux
        has cached without a thread, which saves most of the time for small files. After
        cancellation the worker thread keeps running, so it must not use a closed file. `fileno()`
        of a decompressing file belongs to the compressed file, so the size is taken only from
        files known to be plain.
Invariants:
        A path is checked when the request is made and opened when the body is read. Files opened
        here are closed without waiting for a disk; files that the caller opened stay open.

Implemented elsewhere: the interface of sources and readers (`body_source`).
"""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Awaitable
from typing import Any, Protocol, TypeGuard, cast

from .body_source import CHUNK_SIZE, Chunk, Source, SourceReader, validate_chunk

__all__ = [
    "AsyncBinaryFile",
    "AsyncFileSource",
    "BinaryFile",
    "DiskSource",
    "FileSource",
    "source_of_file",
]

_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)


class BinaryFile(Protocol):
    """A file that is open for reading bytes."""

    def read(self, size: int, /) -> bytes: ...


class _SeekableFile(BinaryFile, Protocol):
    def tell(self) -> int: ...

    def seek(self, offset: int, /) -> object: ...


class AsyncBinaryFile(Protocol):
    """A file whose `read` must be awaited, such as those of curio."""

    def read(self, size: int, /) -> Awaitable[bytes]: ...


class DiskSource(Source):
    """A file by its path, opened when the body is read.

    Raises:
        OSError: what `open()` would raise, such as `FileNotFoundError` or `IsADirectoryError`; it
            is raised at once, so that a wrong path fails before anything is sent.
    """

    __slots__ = ("path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        mode = os.stat(self.path).st_mode
        self.length = None
        self.is_replayable = stat.S_ISREG(mode)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(f"{self.path!r} is a directory and cannot be sent")
        if self.is_replayable:  # opening a pipe twice would break it for its writer
            with io.FileIO(self.path) as file:
                self.length = _size_from(file.fileno(), 0)

    def open(self) -> SourceReader:
        return _DiskReader(self.path, self.length, self.is_replayable)


class _DiskReader(SourceReader):
    """Reads cached data directly and other data in a worker thread.

    A lock keeps `close()` from closing the file while the worker thread reads from it.
    """

    __slots__ = (
        "_closed",
        "_file",
        "_is_plain",
        "_lock",
        "_needs_thread",
        "_offset",
        "_path",
        "_remaining",
    )

    def __init__(self, path: str, length: int | None, is_plain: bool) -> None:
        self._path = path
        self._remaining = length
        self._offset = 0
        self._is_plain = is_plain  # not a pipe or device
        self._needs_thread = not is_plain or _NOWAIT is None
        self._file: io.FileIO | None = None
        self._lock = threading.Lock()
        self._closed = False

    async def read(self) -> Chunk:
        if self._remaining == 0 or self._closed:
            return b""
        size = CHUNK_SIZE if self._remaining is None else min(CHUNK_SIZE, self._remaining)
        data = None if self._needs_thread else self._read_cached(size)
        if data is None:
            import curio

            data = await curio.run_in_thread(self._read_in_thread, size)
            self._needs_thread = not self._is_plain or _NOWAIT is None
        self._offset += len(data)
        if self._remaining is not None:
            self._remaining -= len(data)
        return data

    def _read_cached(self, size: int) -> Chunk | None:
        """Return the bytes that Linux has cached, None if it has none or does not support this."""
        if self._file is None:
            self._file = io.FileIO(self._path)
        buffer = bytearray(size)
        try:
            count = os.preadv(self._file.fileno(), [buffer], self._offset, _NOWAIT or 0)
        except OSError:
            return None
        self._needs_thread = count < size  # the thread reads whole chunks
        return memoryview(buffer)[:count]

    def _read_in_thread(self, size: int) -> bytes:
        with self._lock:
            if self._closed:
                return b""
            if self._file is None:
                self._file = io.FileIO(self._path)
            if self._is_plain:
                data = os.pread(self._file.fileno(), size, self._offset)
            else:
                data = self._file.read(size)
        if self._closed:  # during the read: `close()` could not get the lock
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
    """A binary file that the caller opened, from its current position. It is not closed."""

    __slots__ = ("_file", "_start")

    def __init__(self, file: BinaryFile) -> None:
        self._file = file
        self._start: int | None = file.tell() if _is_seekable(file) else None
        self.is_replayable = self._start is not None
        self.length = _remaining_length(file)

    def open(self) -> SourceReader:
        if self._start is not None and _is_seekable(self._file):
            self._file.seek(self._start)  # for a second pass, or a second part from the same file
        return _FileReader(self._file, self.length)


class _FileReader(SourceReader):
    __slots__ = ("_file", "_remaining")

    def __init__(self, file: BinaryFile, length: int | None) -> None:
        self._file = file
        self._remaining = length

    async def read(self) -> Chunk:
        if self._remaining == 0:
            return b""
        size = CHUNK_SIZE if self._remaining is None else min(CHUNK_SIZE, self._remaining)
        data: Chunk
        if isinstance(self._file, io.BytesIO):
            data = self._file.read(size)
        else:
            import curio

            data = validate_chunk(await curio.run_in_thread(self._file.read, size), self._file)
        if self._remaining is not None:
            self._remaining -= len(data)
        return data


class AsyncFileSource(Source):
    """A file whose `read` must be awaited. Its length is unknown and it can be read once."""

    __slots__ = ("_file",)

    def __init__(self, file: AsyncBinaryFile) -> None:
        self._file = file
        self.length = None
        self.is_replayable = False

    def open(self) -> SourceReader:
        return _AsyncFileReader(self._file)


class _AsyncFileReader(SourceReader):
    __slots__ = ("_file",)

    def __init__(self, file: AsyncBinaryFile) -> None:
        self._file = file

    async def read(self) -> Chunk:
        return validate_chunk(await self._file.read(CHUNK_SIZE), self._file)


def source_of_file(file: object) -> Source:
    """Return the source for an open binary file.

    Args:
        file: any object with `read`, curio's asynchronous files included.

    Raises:
        TypeError: the file is in text mode or not open for reading.
    """
    from curio.file import AsyncFile

    if isinstance(file, AsyncFile):
        wrapper: Any = file  # curio has no types
        with wrapper.blocking() as inner:  # it has a position and a size, the wrapper has not
            return source_of_file(inner)
    if isinstance(_unwrapped(file), io.TextIOBase):
        raise TypeError(f"{file!r} is open in text mode; open it with 'rb'")
    if _is_async_file(file):
        return AsyncFileSource(file)
    readable = getattr(file, "readable", None)
    if readable is not None and not readable():
        raise TypeError(f"{file!r} is not open for reading; open it with 'rb'")
    return FileSource(cast("BinaryFile", file))


def _is_async_file(file: object) -> TypeGuard[AsyncBinaryFile]:
    from inspect import iscoroutinefunction

    return iscoroutinefunction(getattr(file, "read", None))


def _is_seekable(file: BinaryFile) -> TypeGuard[_SeekableFile]:
    seekable = getattr(file, "seekable", None)
    if seekable is not None:
        return bool(seekable())
    return hasattr(file, "seek") and hasattr(file, "tell")


def _unwrapped(file: object) -> object:
    """Return the file inside a wrapper of `tempfile`."""
    return getattr(file, "file", file) if type(file).__module__ == "tempfile" else file


def _remaining_length(file: object) -> int | None:
    """Return the bytes from the position to the end, None if only reading would tell."""
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
    length = found.st_size - start
    if length > 0:
        return length
    # Files in /proc report a size of 0 although they have content.
    return None if os.pread(descriptor, 1, start) else 0
