"""Which library takes a coding off, and whole bodies in one call of it.

Facts:  isal is twice as fast as plain zlib from some hundred bytes on, but only in a loop: its
        tables are cold between two requests, and up to some KiB zlib is the faster one. Making
        a zstd context costs thirty microseconds, more than decoding a small body.
Rules:  the fastest well-kept library that is installed, imported when the first such body comes.
        `…_at_once` gives the body only if the call settled everything: one member or frame, an
        exact end, nothing behind it, within the limit; else None, and the slow way judges.
Not here: streams (codings.py).
"""

from __future__ import annotations

from functools import cache
from threading import local
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ZSTD_WINDOW_LOG = 23
"""8 MiB, the window that RFC 9659 allows a zstd body on the web to ask for."""

BROTLI_MINIMUM = (1, 2)
"""The first brotli release whose decompressor can limit its output."""


def deflate_wbits(first: int, second: int) -> int:
    """zlib's `wbits` for a deflate body that begins with these two bytes: 15 zlib, -15 raw."""
    is_zlib = first & 0x0F == 8 and first >> 4 <= 7 and (first << 8 | second) % 31 == 0
    return 15 if is_zlib else -15


_SMALL = 4096  # compressed bytes below which plain zlib wins


def inflate_module(size: int) -> Any:
    """The module with `decompressobj` that is fastest for about `size` compressed bytes."""
    return (
        _module("zlib") if size < _SMALL else _module("isal.isal_zlib", "zlib_ng.zlib_ng", "zlib")
    )


def brotli_engine() -> Any:
    """A decompressor for one br stream."""
    return _module("brotli").Decompressor()


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
