"""Sources of request bodies: the common interface, bytes in memory, and iterables.

Facts:  A list can be iterated again, a generator cannot. An empty chunk would end a chunked body
        early.
Invariants:
        A `Source` knows its length, if that is known at all, and whether it can start again.
        `open()` returns a `SourceReader`. `read()` returns b"" only at the end. A reader closes
        what it opened, and runs the `finally` of a generator that it leaves early.

Implemented elsewhere: files (`body_file`), multipart framing (`multipart`), the check of lengths
(`body` and `multipart`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TypeAlias

from ..errors import InvalidRequest

__all__ = [
    "BYTES_TYPE",
    "CHUNK_SIZE",
    "AsyncIterableSource",
    "Chunk",
    "IterableSource",
    "MemorySource",
    "Source",
    "SourceReader",
    "checked_encode",
    "guess_media_type",
    "validate_chunk",
]

Chunk: TypeAlias = bytes | bytearray | memoryview

CHUNK_SIZE = 256 * 1024
"""Bytes that a reader returns at once, at most, unless they are in memory."""

MEMORY_CHUNK_SIZE = 2 * 1024 * 1024
"""Bytes in memory that are returned at once: about as many as the buffer of a socket takes."""

COALESCE_BELOW = 16 * 1024
"""Smaller chunks of an iterable are joined: each send costs a system call."""

BYTES_TYPE = "application/octet-stream"


class SourceReader:
    """One pass over a source."""

    __slots__ = ()

    async def read(self) -> Chunk:
        """Return the next bytes, b"" at the end. After cancellation only `close` may be called."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close what this reader opened. May be called twice; never waits for a disk."""


class Source:
    """The bytes of a body. `length` is None if it is unknown."""

    __slots__ = ("is_replayable", "length")

    length: int | None
    is_replayable: bool

    def open(self) -> SourceReader:
        """Return a reader from the start. Call it a second time only if `is_replayable`."""
        raise NotImplementedError


# -- memory


class MemorySource(Source):
    """Bytes in memory, read in chunks without a copy."""

    __slots__ = ("_view",)

    def __init__(self, data: Chunk) -> None:
        view = memoryview(data)
        if not view.contiguous:
            view = memoryview(bytes(view))
        self._view = view.cast("B")
        self.length = self._view.nbytes
        self.is_replayable = True

    def open(self) -> SourceReader:
        return _MemoryReader(self._view)

    def whole(self) -> bytes:
        """Return all of it as one bytes object."""
        data = self._view.obj
        return data if type(data) is bytes else bytes(self._view)


class _MemoryReader(SourceReader):
    __slots__ = ("_at", "_view")

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    async def read(self) -> Chunk:
        piece = self._view[self._at : self._at + MEMORY_CHUNK_SIZE]
        self._at += len(piece)
        return piece if piece else b""


# -- iterables


class IterableSource(Source):
    """Chunks of an iterable; an iterator or generator can be read once."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: Iterable[Chunk], length: int | None = None) -> None:
        self._chunks = chunks
        self.length = length
        self.is_replayable = not isinstance(chunks, Iterator)

    def open(self) -> SourceReader:
        return _IteratorReader(iter(self._chunks))


class _IteratorReader(SourceReader):
    """Reads an iterator and joins small chunks."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks

    async def read(self) -> Chunk:
        gathered: list[Chunk] = []
        size = 0
        for item in self._chunks:
            chunk = validate_chunk(item, self._chunks)
            if not gathered and len(chunk) >= COALESCE_BELOW:
                return chunk
            if chunk:
                gathered.append(chunk)
                size += len(chunk)
                if size >= COALESCE_BELOW:
                    break
        return gathered[0] if len(gathered) == 1 else b"".join(gathered)

    async def close(self) -> None:
        close = getattr(self._chunks, "close", None)
        if close is not None and hasattr(self._chunks, "throw"):  # a generator: run its finally
            close()


class AsyncIterableSource(Source):
    """Chunks of an asynchronous iterable; an iterator or generator can be read once."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: AsyncIterable[Chunk]) -> None:
        self._chunks = chunks
        self.length = None
        self.is_replayable = not isinstance(chunks, AsyncIterator)

    def open(self) -> SourceReader:
        return _AsyncIteratorReader(self._chunks.__aiter__())


class _AsyncIteratorReader(SourceReader):
    __slots__ = ("_chunks",)

    def __init__(self, chunks: AsyncIterator[Chunk]) -> None:
        self._chunks = chunks

    async def read(self) -> Chunk:
        while True:
            try:
                item = await self._chunks.__anext__()
            except StopAsyncIteration:
                return b""
            if chunk := validate_chunk(item, self._chunks):
                return chunk

    async def close(self) -> None:
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()


def validate_chunk(chunk: object, origin: object) -> Chunk:
    """Return the chunk, as an object whose `len` counts bytes.

    Args:
        chunk: what the caller's iterable or file returned.
        origin: that iterable or file; the error names its type.

    Raises:
        TypeError: `chunk` is not bytes.
    """
    if isinstance(chunk, bytes | bytearray):
        return chunk
    if isinstance(chunk, memoryview):
        return chunk if chunk.format == "B" and chunk.ndim == 1 else memoryview(bytes(chunk))
    hint = "; encode it first" if isinstance(chunk, str) else ""
    raise TypeError(
        f"a body must consist of bytes, but {type(origin).__name__} returned "
        f"{type(chunk).__name__}{hint}"
    )


def checked_encode(text: str, encoding: str, what: str) -> bytes:
    """Encode a text.

    Args:
        text: the text.
        encoding: a text codec.
        what: what the text is, for the error.

    Raises:
        InvalidRequest: the codec is unknown or cannot encode the text.
    """
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"{what} cannot be encoded as {encoding!r} (character {error.object[error.start]!r} "
            f"at index {error.start}); give another encoding="
        ) from None
    except LookupError:
        raise InvalidRequest(f"unknown encoding {encoding!r}") from None


def guess_media_type(name: object) -> str:
    """Return the media type for a file name, application/octet-stream if it is unknown."""
    if not isinstance(name, str):
        return BYTES_TYPE
    import mimetypes

    guessed, coding = mimetypes.guess_type(os.path.basename(name))
    if coding is not None:  # `.tar.gz` is a gzip file; `guessed` is the type of its content
        return {"gzip": "application/gzip", "bzip2": "application/x-bzip2"}.get(coding, BYTES_TYPE)
    return guessed or BYTES_TYPE
