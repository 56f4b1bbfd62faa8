"""Where the bytes of a request body come from: memory or an iterable, and what every source is.

Facts:  a list can be gone through again, a generator cannot; a piece of no bytes would end a
        chunked body before its time.
Rules:  a `Source` says how much it has and whether it can start again; `open()` gives a `SourceReader`.
        `read()` returns b"" at the end and never before. A reader closes what it opened, and runs
        the `finally` of a generator that is left early.
Not here: files (`body_files`), multipart framing, the check of lengths (`body`, `multipart`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

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

Chunk = bytes | bytearray | memoryview

CHUNK_SIZE = 256 * 1024
COALESCE_BELOW = 16 * 1024

BYTES_TYPE = "application/octet-stream"


class SourceReader:
    """One pass over a source."""

    __slots__ = ()

    async def read(self) -> Chunk:
        """The next bytes, b"" when there are no more. Cancelled: call `close()`, nothing else."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of what this reader opened. May be called twice; never waits for a disk."""


class Source:
    """Some bytes, of known length or not (`None`), that can be read once or again."""

    __slots__ = ("is_replayable", "length")

    length: int | None
    is_replayable: bool

    def open(self) -> SourceReader:
        """A reader from the start. Call it a second time only if `is_replayable`."""
        raise NotImplementedError


# -- memory


class MemorySource(Source):
    """Bytes that are there already, given out in pieces without a copy."""

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
        """All of it as one bytes object."""
        whole = self._view.obj
        return whole if type(whole) is bytes else bytes(self._view)


class _MemoryReader(SourceReader):
    __slots__ = ("_at", "_view")

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    async def read(self) -> Chunk:
        piece = self._view[self._at : self._at + CHUNK_SIZE]
        self._at += len(piece)
        return piece if piece else b""


# -- iterables


class IterableSource(Source):
    """Pieces from an iterable; an iterator or generator can be read once."""

    __slots__ = ("_pieces",)

    def __init__(self, pieces: Iterable[Chunk], length: int | None = None) -> None:
        self._pieces = pieces
        self.length = length
        self.is_replayable = not isinstance(pieces, Iterator)

    def open(self) -> SourceReader:
        return _IteratorReader(iter(self._pieces))


class _IteratorReader(SourceReader):
    """Puts small pieces together: nobody waits for them, and each send costs a system call."""

    __slots__ = ("_pieces",)

    def __init__(self, pieces: Iterator[Chunk]) -> None:
        self._pieces = pieces

    async def read(self) -> Chunk:
        gathered: list[Chunk] = []
        size = 0
        for given in self._pieces:
            piece = validate_chunk(given, self._pieces)
            if not gathered and len(piece) >= COALESCE_BELOW:
                return piece
            if piece:
                gathered.append(piece)
                size += len(piece)
                if size >= COALESCE_BELOW:
                    break
        return gathered[0] if len(gathered) == 1 else b"".join(gathered)

    async def close(self) -> None:
        finish = getattr(self._pieces, "close", None)
        if finish is not None and hasattr(self._pieces, "throw"):  # a generator: run its finally
            finish()


class AsyncIterableSource(Source):
    """Pieces from an asynchronous iterable; an iterator or generator can be read once."""

    __slots__ = ("_pieces",)

    def __init__(self, pieces: AsyncIterable[Chunk]) -> None:
        self._pieces = pieces
        self.length = None
        self.is_replayable = not isinstance(pieces, AsyncIterator)

    def open(self) -> SourceReader:
        return _AsyncIteratorReader(self._pieces.__aiter__())


class _AsyncIteratorReader(SourceReader):
    __slots__ = ("_pieces",)

    def __init__(self, pieces: AsyncIterator[Chunk]) -> None:
        self._pieces = pieces

    async def read(self) -> Chunk:
        while True:
            try:
                given = await self._pieces.__anext__()
            except StopAsyncIteration:
                return b""
            if piece := validate_chunk(given, self._pieces):
                return piece

    async def close(self) -> None:
        finish = getattr(self._pieces, "aclose", None)
        if finish is not None:
            await finish()


def validate_chunk(piece: Any, origin: Any) -> Chunk:
    """The piece, with its length counted in bytes; anything but bytes is the user's mistake."""
    if type(piece) is bytes:
        return piece
    if isinstance(piece, bytes | bytearray):
        return piece
    if isinstance(piece, memoryview):
        return piece if piece.format == "B" and piece.ndim == 1 else memoryview(bytes(piece))
    hint = "; encode it first" if isinstance(piece, str) else ""
    raise TypeError(
        f"a body must give bytes, but {type(origin).__name__} gave {type(piece).__name__}{hint}"
    )


def checked_encode(text: str, encoding: str, what: str) -> bytes:
    """`text` in `encoding`, or `InvalidRequest` that names `what` could not be written."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"{what} cannot be written in {encoding!r} (character {error.object[error.start]!r} "
            f"at {error.start}); give another encoding="
        ) from None
    except LookupError:
        raise InvalidRequest(f"unknown encoding {encoding!r}") from None


def guess_media_type(name: Any) -> str:
    """The media type that a file name promises, application/octet-stream if none."""
    if not isinstance(name, str):
        return BYTES_TYPE
    import mimetypes

    guessed, packed = mimetypes.guess_type(os.path.basename(name))
    if packed is not None:  # `.tar.gz` is sent as what it is, not as what is inside
        return {"gzip": "application/gzip", "bzip2": "application/x-bzip2"}.get(packed, BYTES_TYPE)
    return guessed or BYTES_TYPE
