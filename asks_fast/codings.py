"""One content coding each: compressed bytes in, plain bytes out, a bounded step at a time.

A `Layer` takes off one coding (gzip, deflate, br, zstd). `feed` hands it compressed bytes, which
it keeps compressed; `read(limit)` gives about `limit` plain bytes, or `b""` when it needs more.

Facts:  an engine's left-over input is copied on every step, so it is fed small slices: the work
        stays linear however large the chunk and however tiny the step. 4 bytes of zstd can be
        128 KiB of text, 50 bytes of gzip 64 KiB; members and frames may be empty.
Rules:  every member (gzip) and frame (zstd) is decoded, by loop, never by recursion. Whatever
        the engine dislikes leaves here as `DecodingError`.
Not here: which library does the work (coding_engines.py); which codings to take off, in what
        order, and how much output is too much (decoding.py).
"""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

from . import coding_engines
from .errors import DecodingError, clip

SLICE = 65536
"""Most compressed bytes given to an engine in one step."""

_FIRST_SLICE_AGAIN = 1024
"""The slice after the end of a member or frame, growing again from there: what follows an end is
given back by the engine as a copy, and a chunk may hold thousands of empty members."""

_PADDING_SLICE = 4096

_ZSTANDARD_SLICE = 256
"""zstandard's incremental decompressor has no output limit; this many bytes are 8 MiB at worst."""


class Layer:
    """Takes off one coding. `taken` and `given` count compressed and plain bytes so far."""

    name: ClassVar[str] = ""

    __slots__ = ("_chunk", "_chunks", "_engine", "_owes", "_position", "_slice", "given", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self.given = 0
        self._chunks: deque[bytes] = deque()
        self._chunk = b""  # the one being taken apart, from `_position` on
        self._position = 0
        self._slice = SLICE
        self._engine: Any = None  # None before the first byte and between members
        self._owes = False  # the engine holds output that needs no further input

    def feed(self, data: bytes) -> None:
        """Append compressed bytes; nothing is decompressed yet."""
        self.taken += len(data)
        self._chunks.append(data)

    def read(self, limit: int) -> bytes:
        """Give about `limit` bytes (one slice's worth more at worst); `b""` means feed me.

        Raises:
            DecodingError: the input is corrupt, or goes on after its end.
        """
        while self._engine is not None or self._begin():
            if not self._owes and not self._has_input():
                break
            try:
                plain = self._step(limit)
            except (DecodingError, MemoryError):
                raise
            except Exception as error:  # each library has an exception family of its own
                raise DecodingError(
                    f"the {self.name} body is corrupt within its first "
                    f"{self.taken - self._unread()} bytes: {error}"
                ) from error
            if plain:
                self.given += len(plain)
                return plain
        return b""

    def is_complete(self) -> bool:
        """True if the input so far may be all there is: nothing at all, or an exact end."""
        return self._engine is None and not self._has_input()

    # -- what each coding fills in

    def _begin(self) -> bool:
        """Make `_engine` for the bytes that wait; False if there are too few to tell."""
        raise NotImplementedError

    def _step(self, limit: int) -> bytes:
        """Run the engine once over the next piece of input; may give nothing."""
        raise NotImplementedError

    # -- the input

    def _has_input(self) -> bool:
        while self._position >= len(self._chunk):
            if not self._chunks:
                return False
            self._chunk = self._chunks.popleft()
            self._position = 0
        return True

    def _unread(self) -> int:
        return len(self._chunk) - self._position + sum(map(len, self._chunks))

    def _piece(self) -> bytes | memoryview:
        """The next slice of input, counted as read: `_position -= n` gives the last n back."""
        if not self._has_input():
            return b""
        start = self._position
        end = self._position = min(start + self._slice, len(self._chunk))
        self._slice = min(2 * self._slice, SLICE)
        if start == 0 and end == len(self._chunk):
            return self._chunk
        return memoryview(self._chunk)[start:end]

    def _end_of_stream(self, unused: int) -> None:
        self._position -= unused
        self._engine = None
        self._owes = False
        self._slice = _FIRST_SLICE_AGAIN


class Gzip(Layer):
    """gzip (RFC 1952): any number of members, each with its checksum, then zeros at most."""

    name = "gzip"

    __slots__ = ("_padding_may_follow",)

    def __init__(self) -> None:
        super().__init__()
        self._padding_may_follow = False  # behind a member, not before the first

    def _begin(self) -> bool:
        while self._has_input():
            start = self._position
            if not self._padding_may_follow or self._chunk[start] != 0:
                self._engine = coding_engines.inflate_module(SLICE).decompressobj(31)
                self._padding_may_follow = True
                return True
            piece = self._chunk[start : start + _PADDING_SLICE]
            self._position += len(piece) - len(piece.lstrip(b"\0"))
        return False

    def _step(self, limit: int) -> bytes:
        engine = self._engine
        plain: bytes = engine.decompress(self._piece(), limit)
        if engine.eof:
            self._end_of_stream(len(engine.unused_data))
        else:
            self._position -= len(engine.unconsumed_tail)
            self._owes = len(plain) >= limit
        return plain


class _SingleStream(Layer):
    """A coding whose body is one stream: anything behind its end is an error."""

    __slots__ = ("_ended",)

    def __init__(self) -> None:
        super().__init__()
        self._ended = False

    def _end_of_stream(self, unused: int) -> None:
        super()._end_of_stream(unused)
        self._ended = True
        self._refuse_more()

    def _refuse_more(self) -> None:
        if self._ended and self._has_input():
            more = self._chunk[self._position : self._position + 100]
            raise DecodingError(f"the {self.name} body goes on after its end: {clip(more, 20)}")


class Deflate(_SingleStream):
    """deflate: a zlib stream (RFC 1950) as it should be, or a raw one as some servers send."""

    name = "deflate"

    __slots__ = ()

    def _begin(self) -> bool:
        self._refuse_more()
        if not self._has_input():
            return False
        if len(self._chunk) - self._position < 2:
            if not self._chunks:
                return False
            self._chunk = self._chunk[self._position :] + self._chunks.popleft()
            self._position = 0
        first, second = self._chunk[self._position : self._position + 2]
        self._engine = coding_engines.inflate_module(SLICE).decompressobj(
            coding_engines.deflate_wbits(first, second)
        )
        return True

    _step = Gzip._step


class Brotli(_SingleStream):
    """br (RFC 7932), by Google's own library."""

    name = "br"

    __slots__ = ()

    def _begin(self) -> bool:
        self._refuse_more()
        if not self._has_input():
            return False
        self._engine = coding_engines.brotli_engine()
        return True

    def _step(self, limit: int) -> bytes:
        engine = self._engine
        piece = b"" if self._owes else self._piece()
        plain: bytes = engine.process(piece, output_buffer_limit=limit)
        if engine.is_finished():
            self._end_of_stream(0)
        else:
            # whoever gave some may have more, even where it says that it can take input
            self._owes = bool(plain) or not engine.can_accept_more_data()
        return plain


class Zstd(Layer):
    """zstd (RFC 8878, RFC 9659): any number of frames, windows of 8 MiB at most."""

    name = "zstd"

    __slots__ = ("_limits_output",)

    def _begin(self) -> bool:
        if not self._has_input():
            return False
        self._engine, self._limits_output = coding_engines.zstd_engine()
        return True

    def _step(self, limit: int) -> bytes:
        engine = self._engine
        plain: bytes
        if self._limits_output:
            plain = engine.decompress(b"" if self._owes else self._piece(), limit)
            self._owes = not engine.eof and not engine.needs_input
        else:
            self._slice = _ZSTANDARD_SLICE
            plain = engine.decompress(self._piece())
        if engine.eof:
            self._end_of_stream(len(engine.unused_data))
        return plain


LAYERS: dict[str, type[Layer]] = {
    "gzip": Gzip,
    "x-gzip": Gzip,
    "deflate": Deflate,
    "br": Brotli,
    "zstd": Zstd,
}
