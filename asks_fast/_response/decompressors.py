"""Decompressors for one content coding each (gzip, deflate, br, zstd), with bounded steps.

`Layer.feed` stores compressed bytes; `Layer.read(limit)` returns about `limit` decompressed bytes,
or `b""` if it needs more input.

Facts:  A compression library copies its unused input on every step. It is fed small slices, so that
        the work is linear for chunks and steps of any size. 4 bytes of zstd can decompress to
        128 KiB, 50 bytes of gzip to 64 KiB. Members and frames may be empty.
        Bytes after a complete gzip member cannot change the body, since a checksum covers it;
        browsers and curl ignore them. A raw deflate stream has no checksum, and the brotli library
        does not report where its stream ends; bytes after their end are an error.
Invariants:
        Every member (gzip) and frame (zstd) is decompressed, by a loop, never by recursion. All
        errors of the libraries become `DecodingError`.

Implemented elsewhere: the choice of the library (`compression_backends`); which codings are
removed, in which order, and the limits of the output (`content_decoder`).
"""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar  # Any: the compression libraries have no common types

from ..errors import DecodingError, truncated_repr
from . import compression_backends

SLICE = 65536
"""Maximum number of compressed bytes given to a library in one step."""

_FIRST_SLICE = 1024
"""Size of the first slice after the end of a member or frame; later ones grow. The library returns
the bytes after an end as a copy, and a chunk may contain thousands of empty members."""

_PADDING_SLICE = 4096

_GZIP_MAGIC = b"\x1f\x8b"

MAX_TRAILING = 65536
"""Number of bytes after the last gzip member that are ignored; more are an error."""

_ZSTANDARD_SLICE = 256
"""zstandard's incremental decompressor has no output limit. This slice yields at most 8 MiB."""


class Layer:
    """Removes one coding. `bytes_in` and `bytes_out` count compressed and decompressed bytes."""

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
        self._chunk = b""  # the current chunk; bytes before `_position` are consumed
        self._position = 0
        self._slice = SLICE
        self._engine: Any = None  # None before the first byte and between members
        self._has_buffered_output = False  # the library has output that needs no further input

    def feed(self, data: bytes) -> None:
        """Append compressed bytes without decompressing them."""
        self.bytes_in += len(data)
        self._chunks.append(data)

    def read(self, limit: int) -> bytes:
        """Return about `limit` decompressed bytes, `b""` if more input is needed.

        The result can exceed `limit` by the output of one slice.

        Raises:
            DecodingError: the input is corrupt, or continues after its end.
        """
        while self._engine is not None or self._begin():
            if not self._has_buffered_output and not self._has_input():
                break
            try:
                plain = self._step(limit)
            except (DecodingError, MemoryError):
                raise
            except Exception as error:  # each library has its own exceptions
                raise DecodingError(
                    f"the {self.name} body is corrupt within its first "
                    f"{self.bytes_in - self._unread()} bytes: {error}"
                ) from error
            if plain:
                self.bytes_out += len(plain)
                return plain
        return b""

    def is_complete(self) -> bool:
        """Tell whether the input may end here: it is empty, or its last stream is complete."""
        return self._engine is None and not self._has_input()

    # -- implemented by each coding

    def _begin(self) -> bool:
        """Create `_engine` for the next input; return False if there is too little input."""
        raise NotImplementedError

    def _step(self, limit: int) -> bytes:
        """Run the library once over the next slice of input; may return nothing."""
        raise NotImplementedError

    # -- input

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
        """Return the next bytes of input without consuming them, at most `size`."""
        while len(self._chunk) - self._position < size and self._chunks:
            self._chunk = self._chunk[self._position :] + self._chunks.popleft()
            self._position = 0
        return self._chunk[self._position : self._position + size]

    def _drop_input(self) -> None:
        self._chunks.clear()
        self._chunk = b""
        self._position = 0

    def _trailing_error(self) -> DecodingError:
        more = self._peek(20)
        return DecodingError(
            f"the {self.name} body continues after its end: {truncated_repr(more)}"
        )

    def _next_slice(self) -> bytes | memoryview:
        """Return the next slice of input and consume it; `_position -= n` returns the last n."""
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
        self._slice = _FIRST_SLICE


class Gzip(Layer):
    """gzip (RFC 1952): any number of members, each with its checksum, and zeros between them.

    Other bytes after a complete member are ignored, up to `MAX_TRAILING`, unless `strict`.
    """

    name = "gzip"

    __slots__ = ("_ended", "_trailing")

    def __init__(self, strict: bool = False) -> None:
        super().__init__(strict)
        self._ended = False  # at least one member is complete
        self._trailing = 0  # number of bytes ignored after the last member

    def _begin(self) -> bool:
        if self._ended and not self._is_at_member():
            return False
        if not self._has_input():
            return False
        self._engine = compression_backends.inflate_module(SLICE).decompressobj(31)
        return True

    def _is_at_member(self) -> bool:
        """Skip the bytes after a member; return whether another member begins there."""
        if not self._trailing:
            self._skip_zeros()
            start = self._peek(len(_GZIP_MAGIC))
            if _GZIP_MAGIC.startswith(start):
                return len(start) == len(_GZIP_MAGIC)
        more = self._unread()
        if self._strict and more:
            raise self._trailing_error()
        self._trailing += more
        if self._trailing > MAX_TRAILING:
            raise DecodingError(
                f"the gzip body continues for more than {MAX_TRAILING} bytes after its end"
            )
        self._drop_input()
        return False

    def _skip_zeros(self) -> None:
        while self._has_input() and self._chunk[self._position] == 0:
            padding = self._chunk[self._position : self._position + _PADDING_SLICE]
            self._position += len(padding) - len(padding.lstrip(b"\0"))

    def is_complete(self) -> bool:
        # Remaining input is shorter than the magic number of another member.
        is_at_end = not self._has_input() or (self._ended and not self._strict)
        return self._engine is None and is_at_end

    def _step(self, limit: int) -> bytes:
        engine = self._engine
        plain: bytes = engine.decompress(self._next_slice(), limit)
        if engine.eof:
            self._ended = True
            self._end_of_stream(len(engine.unused_data))
        else:
            self._position -= len(engine.unconsumed_tail)
            self._has_buffered_output = len(plain) >= limit
        return plain


class _SingleStream(Layer):
    """A coding whose body is one stream: bytes after its end are an error."""

    __slots__ = ("_ended",)

    def __init__(self, strict: bool = False) -> None:
        super().__init__(strict)
        self._ended = False

    def _end_of_stream(self, unused: int) -> None:
        super()._end_of_stream(unused)
        self._ended = True
        self._reject_trailing()

    def _reject_trailing(self) -> None:
        if self._ended and self._has_input():
            raise self._trailing_error()


class Deflate(_SingleStream):
    """deflate: a zlib stream (RFC 1950), or a raw deflate stream, which some servers send."""

    name = "deflate"

    __slots__ = ()

    def _begin(self) -> bool:
        self._reject_trailing()
        if not self._has_input():
            return False
        start = self._peek(2)
        if len(start) < 2:
            return False
        self._engine = compression_backends.inflate_module(SLICE).decompressobj(
            compression_backends.deflate_wbits(*start)
        )
        return True

    _step = Gzip._step


class Brotli(_SingleStream):
    """br (RFC 7932), with the library of Google."""

    name = "br"

    __slots__ = ()

    def _begin(self) -> bool:
        self._reject_trailing()
        if not self._has_input():
            return False
        self._engine = compression_backends.brotli_engine()
        return True

    def _step(self, limit: int) -> bytes:
        engine = self._engine
        data = b"" if self._has_buffered_output else self._next_slice()
        plain: bytes = engine.process(data, output_buffer_limit=limit)
        if engine.is_finished():
            self._end_of_stream(0)
        else:
            # After some output there may be more, even if the library accepts input again.
            self._has_buffered_output = bool(plain) or not engine.can_accept_more_data()
        return plain


class Zstd(Layer):
    """zstd (RFC 8878, RFC 9659): any number of frames, with windows of at most 8 MiB."""

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
            plain = engine.decompress(
                b"" if self._has_buffered_output else self._next_slice(), limit
            )
            self._has_buffered_output = not engine.eof and not engine.needs_input
        else:
            self._slice = _ZSTANDARD_SLICE
            plain = engine.decompress(self._next_slice())
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
