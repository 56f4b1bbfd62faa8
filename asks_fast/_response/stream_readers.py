"""Iterators over a streamed body in other forms: chunks of one size, text, lines.

Implemented elsewhere: the body itself (`stream`), the encoding of text (`charset`).
"""

from __future__ import annotations

from typing import Protocol

from .._annotations import AsyncCall
from ..errors import InvalidRequest
from .charset import TextDecoder

__all__ = ["ChunkedStream", "LineStream", "TextStream", "split_lines"]


class Chunks(Protocol):
    """The body that is read: a `StreamBody`."""

    def __anext__(self) -> AsyncCall[bytes]: ...


class ChunkedStream:
    """Iterates over a body in chunks of one size."""

    def __init__(self, body: Chunks, size: int) -> None:
        if size < 1:
            raise InvalidRequest(f"the chunk size must be 1 or more, not {size!r}")
        self._body = body
        self._size = size
        self._buffer = bytearray()

    def __aiter__(self) -> ChunkedStream:
        return self

    async def __anext__(self) -> bytes:
        while len(self._buffer) < self._size:
            try:
                self._buffer += await self._body.__anext__()
            except StopAsyncIteration:
                if not self._buffer:
                    raise
                break
        chunk = bytes(self._buffer[: self._size])
        del self._buffer[: self._size]
        return chunk


class TextStream:
    """Iterates over a body as text. No character is split."""

    def __init__(self, body: Chunks, decoder: TextDecoder) -> None:
        self._body = body
        self._decoder = decoder
        self._ended = False

    def __aiter__(self) -> TextStream:
        return self

    async def __anext__(self) -> str:
        while not self._ended:
            try:
                text = self._decoder.decode(await self._body.__anext__())
            except StopAsyncIteration:
                self._ended = True
                text = self._decoder.decode(b"", True)
            if text:
                return text
        raise StopAsyncIteration


def split_lines(text: str) -> list[str]:
    """Split a text at `\\n`, `\\r\\n` and `\\r`; the last item follows the last line end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


class LineStream:
    """Iterates over the lines of a text, without their ends `\\n`, `\\r\\n` or `\\r`."""

    def __init__(self, text: TextStream) -> None:
        self._text = text
        self._ready: list[str] = []
        self._partial_line: list[str] = []
        self._after_cr = False

    def __aiter__(self) -> LineStream:
        return self

    async def __anext__(self) -> str:
        while not self._ready:
            try:
                self._split(await self._text.__anext__())
            except StopAsyncIteration:
                if not self._partial_line:
                    raise
                line = "".join(self._partial_line)
                self._partial_line = []
                return line
        return self._ready.pop()

    def _split(self, text: str) -> None:
        if self._after_cr and text[0] == "\n":
            text = text[1:]
        self._after_cr = text.endswith("\r")
        pieces = split_lines(text)
        if len(pieces) > 1:
            pieces[0] = "".join([*self._partial_line, pieces[0]])
            self._partial_line = []
        last = pieces.pop()
        if last:
            self._partial_line.append(last)
        self._ready = pieces[::-1]
