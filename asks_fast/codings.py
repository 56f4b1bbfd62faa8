"""One content coding each: compressed bytes in, plain bytes out, a bounded step at a time.

A `Layer` takes off one coding (gzip, deflate, br, zstd). `feed` hands it compressed bytes, which
it keeps compressed; `read(limit)` gives about `limit` plain bytes, or `b""` when it needs more.

Facts:  an engine's left-over input is copied on every step, so it is fed small slices: the work
        stays linear however large the chunk and however tiny the step. 4 bytes of zstd can be
        128 KiB of text, 50 bytes of gzip 64 KiB; members and frames may be empty.
Rules:  every member (gzip) and frame (zstd) is decoded, by loop, never by recursion. Whatever
        the engine dislikes leaves here as `DecodingError`. Libraries are imported when the first
        such body arrives, the fastest well-kept one that is installed.
Not here: which codings to take off, in what order, and how much output is too much.
"""

from __future__ import annotations

from collections import deque
from functools import cache
from threading import local
from typing import TYPE_CHECKING, Any, ClassVar

from .errors import DecodingError, clip

if TYPE_CHECKING:
    from collections.abc import Callable

SLICE = 65536
"""Most compressed bytes given to an engine in one step."""

_FIRST_SLICE_AGAIN = 1024
"""The slice after the end of a member or frame, growing again from there: what follows an end is
given back by the engine as a copy, and a chunk may hold thousands of empty members."""

_PADDING_SLICE = 4096

_ZSTANDARD_SLICE = 256
"""zstandard's incremental decompressor has no output limit; this many bytes are 8 MiB at worst."""

ZSTD_WINDOW_LOG = 23
"""8 MiB, the window that RFC 9659 allows a zstd body on the web to ask for."""

BROTLI_MINIMUM = (1, 2)
"""The first brotli release whose decompressor can limit its output."""


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
                    f"the {self.name} body is corrupt near byte {self.taken - self._unread()}:"
                    f" {error}"
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
                self._engine = inflate_module(SLICE).decompressobj(31)
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
        self._engine = inflate_module(SLICE).decompressobj(deflate_wbits(first, second))
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
        self._engine = _module("brotli").Decompressor()
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
        self._engine, self._limits_output = zstd_engine()
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


# -- which library


def deflate_wbits(first: int, second: int) -> int:
    """zlib's `wbits` for a deflate body that begins with these two bytes: 15 zlib, -15 raw."""
    is_zlib = first & 0x0F == 8 and first >> 4 <= 7 and (first << 8 | second) % 31 == 0
    return 15 if is_zlib else -15


_SMALL = 256  # compressed bytes below which plain zlib wins: it starts in half the time


def inflate_module(size: int) -> Any:
    """The module with `decompressobj` that is fastest for about `size` compressed bytes."""
    return (
        _module("zlib") if size < _SMALL else _module("isal.isal_zlib", "zlib_ng.zlib_ng", "zlib")
    )


def zstd_engine() -> tuple[Any, bool]:
    """A decompressor for one frame, and whether its steps can be limited."""
    module = _module(*ZSTD_MODULES)
    if module.__name__ == "zstandard":
        whole = module.ZstdDecompressor(max_window_size=1 << ZSTD_WINDOW_LOG)
        return whole.decompressobj(), False
    window = {module.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
    return module.ZstdDecompressor(options=window), True


ZSTD_MODULES = ("compression.zstd", "backports.zstd", "zstandard")


@cache
def _module(*names: str) -> Any:
    """The first of these modules that can be imported, None if there is none."""
    from importlib import import_module

    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


@cache
def installed() -> tuple[str, ...]:
    """The codings that can be taken off here, by looking for libraries without importing them."""
    codings = ["gzip", "deflate"]
    if _has_brotli():
        codings.append("br")
    if any(map(_is_there, ("_zstd", "backports.zstd", "zstandard"))):
        codings.append("zstd")
    return tuple(codings)


def _is_there(name: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(name) is not None
    except ImportError:  # the parent of a dotted name is missing
        return False


def _has_brotli() -> bool:
    """True if a brotli is installed that can limit its output: the directory name tells."""
    from importlib.util import find_spec

    spec = find_spec("brotli")
    if spec is None or not spec.origin:
        return False
    import os
    import re

    for entry in os.listdir(os.path.dirname(spec.origin)):
        match = re.match(r"brotli-(\d+)\.(\d+).*\.(dist|egg)-info$", entry, re.IGNORECASE)
        if match:
            return (int(match[1]), int(match[2])) >= BROTLI_MINIMUM
    return True


# -- whole bodies in one call


def gzip_at_once(data: bytes, limit: int) -> bytes | None:
    """One member, nothing behind it, at most `limit` bytes: the body. Otherwise None."""
    module = inflate_module(len(data))
    try:
        engine = module.decompressobj(31)
        plain: bytes = engine.decompress(data, limit)
    except module.error:
        return None
    return plain if engine.eof and not engine.unused_data else None


def deflate_at_once(data: bytes, limit: int) -> bytes | None:
    """The same for deflate."""
    if len(data) < 2:
        return None
    module = inflate_module(len(data))
    try:
        engine = module.decompressobj(deflate_wbits(data[0], data[1]))
        plain: bytes = engine.decompress(data, limit)
    except module.error:
        return None
    return plain if engine.eof and not engine.unused_data else None


def brotli_at_once(data: bytes, limit: int) -> bytes | None:
    """The same for br, if its library is there."""
    if "br" not in installed():
        return None
    module = _module("brotli")
    engine = module.Decompressor()
    try:
        plain: bytes = engine.process(data, output_buffer_limit=limit)
    except module.error:
        return None
    return plain if engine.is_finished() else None


def zstd_at_once(data: bytes, limit: int) -> bytes | None:
    """One frame that tells its size; a context kept per thread saves most of a small body."""
    module = _module("zstandard")
    if module is None:
        return None
    context = getattr(_per_thread, "zstd", None)
    if context is None:
        context = _per_thread.zstd = module.ZstdDecompressor(max_window_size=1 << ZSTD_WINDOW_LOG)
    try:
        if not 0 <= module.frame_content_size(data) <= limit:
            return None
        plain: bytes = context.decompress(data, allow_extra_data=False)
    except module.ZstdError:
        return None
    return plain


_per_thread = local()

AT_ONCE: dict[str, Callable[[bytes, int], bytes | None]] = {
    "gzip": gzip_at_once,
    "x-gzip": gzip_at_once,
    "deflate": deflate_at_once,
    "br": brotli_at_once,
    "zstd": zstd_at_once,
}
