"""Choose the compression libraries, and decompress whole bodies in one call.

Facts:  isal is faster than zlib for all but small bodies (13 KiB of text: 12 µs instead of 19),
        although its tables leave the processor cache between two requests. Creating a zstd context
        takes 30 microseconds, more than decompressing a small body.
Invariants:
        The fastest well-maintained library that is installed is used. It is imported for the first
        body that needs it. The `…_at_once` functions return the body only in the simple case: one
        member or frame, complete, nothing after it, within the limit. Otherwise they return None,
        and `ContentDecoder` decides.

Implemented elsewhere: incremental decompression (`decompressors`).
"""

from __future__ import annotations

from functools import cache
from threading import local
from typing import TYPE_CHECKING, Any  # Any: the compression libraries have no common types

if TYPE_CHECKING:
    from collections.abc import Callable

ZSTD_WINDOW_LOG = 23
"""8 MiB, the largest window that RFC 9659 allows for a zstd body."""

BROTLI_MINIMUM = (1, 2)
"""The first brotli release whose decompressor can limit its output."""


def deflate_wbits(first: int, second: int) -> int:
    """Return zlib's `wbits` for a deflate body with these first bytes: 15 for zlib, -15 for raw."""
    is_zlib = first & 0x0F == 8 and first >> 4 <= 7 and (first << 8 | second) % 31 == 0
    return 15 if is_zlib else -15


_SMALL = 512  # zlib is fastest below this number of compressed bytes


def inflate_module(size: int) -> Any:
    """Return the module with `decompressobj` that is fastest for `size` compressed bytes."""
    return _module("zlib") if size < _SMALL else _fastest_inflate_module()


@cache
def _fastest_inflate_module() -> Any:
    return _module("isal.isal_zlib", "zlib_ng.zlib_ng", "zlib")


def brotli_engine() -> Any:
    """Return a decompressor for one br stream."""
    return _module("brotli").Decompressor()


def zstd_engine() -> tuple[Any, bool]:
    """Return a decompressor for one frame, and whether it can limit its output."""
    module = _module(*ZSTD_MODULES)
    if module.__name__ == "zstandard":
        whole = module.ZstdDecompressor(max_window_size=1 << ZSTD_WINDOW_LOG)
        return whole.decompressobj(), False
    window = {module.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
    return module.ZstdDecompressor(options=window), True


ZSTD_MODULES = ("compression.zstd", "backports.zstd", "zstandard")


@cache
def _module(*names: str) -> Any:
    """Return the first of these modules that can be imported, None if there is none."""
    from importlib import import_module

    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


@cache
def installed() -> tuple[str, ...]:
    """Return the supported codings. The libraries are found without importing them."""
    codings = ["gzip", "deflate"]
    if _has_brotli():
        codings.append("br")
    if any(map(_is_installed, ("_zstd", "backports.zstd", "zstandard"))):
        codings.append("zstd")
    return tuple(codings)


def _is_installed(name: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(name) is not None
    except ImportError:  # the parent of a dotted name is missing
        return False


def _has_brotli() -> bool:
    """Tell whether a brotli that can limit its output is installed, from its metadata directory."""
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
    """Return the body if it is one member of at most `limit` bytes, otherwise None."""
    module = inflate_module(len(data))
    try:
        engine = module.decompressobj(31)
        plain: bytes = engine.decompress(data, limit)
    except module.error:
        return None
    return plain if engine.eof and not engine.unused_data else None


def deflate_at_once(data: bytes, limit: int) -> bytes | None:
    """Return the body if it is one deflate stream of at most `limit` bytes, otherwise None."""
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
    """Return the body if it is one br stream of at most `limit` bytes, otherwise None."""
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
    """Return the body if it is one frame with a known size of at most `limit`, otherwise None.

    One context per thread is reused, which saves most of the time for a small body.
    """
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

ONE_SHOT: dict[str, Callable[[bytes, int], bytes | None]] = {
    "gzip": gzip_at_once,
    "x-gzip": gzip_at_once,
    "deflate": deflate_at_once,
    "br": brotli_at_once,
    "zstd": zstd_at_once,
}
