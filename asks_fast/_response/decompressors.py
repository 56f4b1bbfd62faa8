"""One content coding each: compressed bytes in, plain bytes out, a bounded step at a time.

A `Layer` takes off one coding (gzip, deflate, br, zstd). `feed` hands it compressed bytes, which
it keeps compressed; `read(limit)` gives about `limit` plain bytes, or `b""` when it needs more.

Facts:  an engine's left-over input is copied on every step, so it is fed small slices: the work
        stays linear however large the chunk and however tiny the step. 4 bytes of zstd can be
        128 KiB of text, 50 bytes of gzip 64 KiB; members and frames may be empty.
        What follows a complete gzip member and is not another member cannot change the body,
        since a checksum covers it; browsers and curl ignore it. A raw deflate stream has no
        checksum, and the brotli library does not tell where its stream ends: there it stays an
        error.
Rules:  every member (gzip) and frame (zstd) is decoded, by loop, never by recursion. Whatever
        the engine dislikes leaves here as `DecodingError`.
Not here: which library does the work (compression_backends.py); which codings to take off, in what
        order, and how much output is too much (decoding.py).
"""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

from ..errors import DecodingError, truncated_repr
from . import compression_backends

SLICE = 65536
"""Most compressed bytes given to an engine in one step."""

_FIRST_SLICE_AGAIN = 1024
"""The slice after the end of a member or frame, growing again from there: what follows an end is
given back by the engine as a copy, and a chunk may hold thousands of empty members."""

_PADDING_SLICE = 4096

_GZIP_MAGIC = b"\x1f\x8b"

MAX_TRAILING = 65536
"""Bytes after the last gzip member that are ignored; more are an error."""

_ZSTANDARD_SLICE = 256
"""zstandard's incremental decompressor has no output limit; this many bytes are 8 MiB at worst."""


class Layer:
    """Takes off one coding. `taken` and `given` count compressed and plain bytes so far."""

    name: ClassVar[str] = ""

    __slots__ = (
        "_chunk",
        "_chunks",
        "_engine",
        "_has_buffered_output",
        "_position",
        "_slice",
        "_strict",
        "bytes_in",
        "bytes_out",
    )

    def __init__(self, strict: bool = False) -> None:
        self._strict = strict
        self.bytes_in = 0
        self.bytes_out = 0
        self._chunks: deque[bytes] = deque()
        self._chunk = b""  # the one being taken apart, from `_position` on
        self._position = 0
        self._slice = SLICE
        self._engine: Any = None  # None before the first byte and between members
        self._has_buffered_output = False  # the engine holds output that needs no further input

    def feed(self, data: bytes) -> None:
        """Append compressed bytes; nothing is decompressed yet."""
        self.bytes_in += len(data)
        self._chunks.append(data)

    def read(self, limit: int) -> bytes:
        """Give about `limit` bytes (one slice's worth more at worst); `b""` means feed me.

        Raises:
            DecodingError: the input is corrupt, or goes on after its end.
        """
        while self._engine is not None or self._begin():
            if not self._has_buffered_output and not self._has_input():
                break
            try:
                plain = self._step(limit)
            except (DecodingError, MemoryError):
                raise
            except Exception as error:  # each library has an exception family of its own
                raise DecodingError(
                    f"the {self.name} body is corrupt within its first "
                    f"{self.bytes_in - self._unread()} bytes: {error}"
                ) from error
            if plain:
                self.bytes_out += len(plain)
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

    def _peek(self, size: int) -> bytes:
        """The next bytes of input, `size` of them if there are so many."""
        while len(self._chunk) - self._position < size and self._chunks:
            self._chunk = self._chunk[self._position :] + self._chunks.popleft()
            self._position = 0
        return self._chunk[self._position : self._position + size]

    def _drop_input(self) -> None:
        self._chunks.clear()
        self._chunk = b""
        self._position = 0

    def _goes_on(self) -> DecodingError:
        more = self._peek(20)
        return DecodingError(f"the {self.name} body goes on after its end: {truncated_repr(more)}")

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
        self._has_buffered_output = False
        self._slice = _FIRST_SLICE_AGAIN


class Gzip(Layer):
    """gzip (RFC 1952): any number of members, each with its checksum, zeros between them.

    Other bytes after a complete member are ignored, up to `MAX_TRAILING`, unless `strict`.
    """

    name = "gzip"

    __slots__ = ("_ended", "_trailing")

    def __init__(self, strict: bool = False) -> None:
        super().__init__(strict)
        self._ended = False  # a member is complete
        self._trailing = 0  # bytes ignored after the last one

    def _begin(self) -> bool:
        if self._ended and not self._is_at_member():
            return False
        if not self._has_input():
            return False
        self._engine = compression_backends.inflate_module(SLICE).decompressobj(31)
        return True

    def _is_at_member(self) -> bool:
        """Skip what follows a member; whether another one begins there."""
        if not self._trailing:
            self._skip_zeros()
            begin = self._peek(len(_GZIP_MAGIC))
            if _GZIP_MAGIC.startswith(begin):
                return len(begin) == len(_GZIP_MAGIC)
        more = self._unread()
        if self._strict and more:
            raise self._goes_on()
        self._trailing += more
        if self._trailing > MAX_TRAILING:
            raise DecodingError(
                f"the gzip body goes on for more than {MAX_TRAILING} bytes after its end"
            )
        self._drop_input()
        return False

    def _skip_zeros(self) -> None:
        while self._has_input() and self._chunk[self._position] == 0:
            piece = self._chunk[self._position : self._position + _PADDING_SLICE]
            self._position += len(piece) - len(piece.lstrip(b"\0"))

    def is_complete(self) -> bool:
        # What is left after an end is less than the beginning of another member.
        is_at_end = not self._has_input() or (self._ended and not self._strict)
        return self._engine is None and is_at_end

    def _step(self, limit: int) -> bytes:
        engine = self._engine
        plain: bytes = engine.decompress(self._piece(), limit)
        if engine.eof:
            self._ended = True
            self._end_of_stream(len(engine.unused_data))
        else:
            self._position -= len(engine.unconsumed_tail)
            self._has_buffered_output = len(plain) >= limit
        return plain


class _SingleStream(Layer):
    """A coding whose body is one stream: anything behind its end is an error."""

    __slots__ = ("_ended",)

    def __init__(self, strict: bool = False) -> None:
        super().__init__(strict)
        self._ended = False

    def _end_of_stream(self, unused: int) -> None:
        super()._end_of_stream(unused)
        self._ended = True
        self._refuse_more()

    def _refuse_more(self) -> None:
        if self._ended and self._has_input():
            raise self._goes_on()


class Deflate(_SingleStream):
    """deflate: a zlib stream (RFC 1950) as it should be, or a raw one as some servers send."""

    name = "deflate"

    __slots__ = ()

    def _begin(self) -> bool:
        self._refuse_more()
        if not self._has_input():
            return False
        begin = self._peek(2)
        if len(begin) < 2:
            return False
        self._engine = compression_backends.inflate_module(SLICE).decompressobj(
            compression_backends.deflate_wbits(*begin)
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
        self._engine = compression_backends.brotli_engine()
        return True

    def _step(self, limit: int) -> bytes:
        engine = self._engine
        piece = b"" if self._has_buffered_output else self._piece()
        plain: bytes = engine.process(piece, output_buffer_limit=limit)
        if engine.is_finished():
            self._end_of_stream(0)
        else:
            # whoever gave some may have more, even where it says that it can take input
            self._has_buffered_output = bool(plain) or not engine.can_accept_more_data()
        return plain


class Zstd(Layer):
    """zstd (RFC 8878, RFC 9659): any number of frames, windows of 8 MiB at most."""

    name = "zstd"

    __slots__ = ("_limits_output",)

    def _begin(self) -> bool:
        if not self._has_input():
            return False
        self._engine, self._limits_output = compression_backends.zstd_engine()
        return True

    def _step(self, limit: int) -> bytes:
        engine = self._engine
        plain: bytes
        if self._limits_output:
            plain = engine.decompress(b"" if self._has_buffered_output else self._piece(), limit)
            self._has_buffered_output = not engine.eof and not engine.needs_input
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
