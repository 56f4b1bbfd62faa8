"""Request bodies that are compressed, or sent with progress and a bandwidth limit.

A filter is a `Source` over another one: it can be read again if that one can. A short body in
memory is compressed at once and has a length; any other is compressed while it is sent, in chunks.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from .._config.transfer import BandwidthLimit, ProgressCallback, TransferMeter
from .._extras import missing_extra
from ..errors import InvalidRequest
from .body import Body
from .body_source import CHUNK_SIZE, Chunk, MemorySource, Source, SourceReader

__all__ = ["CODINGS", "compressed", "metered"]

GZIP_LEVEL = 6
ZSTD_LEVEL = 3
BROTLI_QUALITY = 4  # about as fast as gzip; the default of 11 takes a hundred times longer


class Compressor(Protocol):
    """An object that compresses one body."""

    def compress(self, data: Chunk, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Brotli:
    def __init__(self, module: Any) -> None:
        self._engine = module.Compressor(quality=BROTLI_QUALITY)

    def compress(self, data: Chunk, /) -> bytes:
        output: bytes = self._engine.process(bytes(data))
        return output

    def flush(self) -> bytes:
        output: bytes = self._engine.finish()
        return output


def _gzip() -> Compressor:
    return zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)


def _brotli() -> Compressor:
    return _Brotli(_module('compress="br"', "brotli", "brotli"))


def _zstd() -> Compressor:
    module = _module(
        'compress="zstd"', "zstandard", "compression.zstd", "backports.zstd", "zstandard"
    )
    compressor = module.ZstdCompressor(level=ZSTD_LEVEL)
    if module.__name__ == "zstandard":
        compressor = compressor.compressobj()
    engine: Compressor = compressor
    return engine


def _module(what: str, package: str, *names: str) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise InvalidRequest(missing_extra(what, package, "speed"))


CODINGS: dict[str, Callable[[], Compressor]] = {"gzip": _gzip, "br": _brotli, "zstd": _zstd}


def compressed(body: Body, coding: str) -> Body:
    """The same body with a content coding.

    Raises:
        InvalidRequest: the library for the coding is not installed.
    """
    make = CODINGS[coding]
    if body.buffered is None:
        make()  # a missing library is found before anything is sent
        return Body(_CompressedSource(body.source, make), body.content_type)
    compressor = make()
    whole = compressor.compress(body.buffered) + compressor.flush()
    return Body(MemorySource(whole), body.content_type)


def metered(
    body: Body, progress: ProgressCallback | None, max_rate: float | BandwidthLimit | None
) -> Body:
    """The same body, reported and paced while it is sent."""
    limit = BandwidthLimit.coerce(max_rate)
    return Body(_MeteredSource(body.source, progress, limit), body.content_type)


class _StepReader(SourceReader):
    """Splits long chunks of another reader: bytes in memory are read 2 MiB at a time."""

    __slots__ = ("_reader", "_step", "_view")

    def __init__(self, reader: SourceReader, step: int) -> None:
        self._reader = reader
        self._step = step
        self._view = memoryview(b"")  # what is left of a chunk

    async def read(self) -> Chunk:
        if not self._view:
            chunk = await self._reader.read()
            if len(chunk) <= self._step:
                return chunk
            self._view = memoryview(chunk)
        part, self._view = self._view[: self._step], self._view[self._step :]
        return part

    async def close(self) -> None:
        await self._reader.close()


class _CompressedSource(Source):
    __slots__ = ("_make", "_source")

    def __init__(self, source: Source, make: Callable[[], Compressor]) -> None:
        self._source = source
        self._make = make
        self.length = None
        self.is_replayable = source.is_replayable

    def open(self) -> SourceReader:
        return _CompressedReader(_StepReader(self._source.open(), CHUNK_SIZE), self._make())


class _CompressedReader(SourceReader):
    __slots__ = ("_compressor", "_reader")

    def __init__(self, reader: SourceReader, compressor: Compressor) -> None:
        self._reader = reader
        self._compressor: Compressor | None = compressor

    async def read(self) -> Chunk:
        while self._compressor is not None:
            chunk = await self._reader.read()
            if chunk:
                output = self._compressor.compress(chunk)
            else:
                output = self._compressor.flush()
                self._compressor = None
            if output:
                return output
        return b""

    async def close(self) -> None:
        await self._reader.close()


class _MeteredSource(Source):
    __slots__ = ("_limit", "_progress", "_source")

    def __init__(
        self, source: Source, progress: ProgressCallback | None, limit: BandwidthLimit | None
    ) -> None:
        self._source = source
        self._progress = progress
        self._limit = limit
        self.length = source.length
        self.is_replayable = source.is_replayable

    def open(self) -> SourceReader:
        meter = TransferMeter(total=self.length, progress=self._progress, max_rate=self._limit)
        step = CHUNK_SIZE
        if self._limit is not None:  # no chunk takes longer than a tenth of a second of it
            step = max(1024, int(self._limit.rate / 10))
        return _MeteredReader(_StepReader(self._source.open(), step), meter)


class _MeteredReader(SourceReader):
    """Counts a chunk when the next one is asked for: it has been handed to the system by then."""

    __slots__ = ("_meter", "_reader", "_size")

    def __init__(self, reader: SourceReader, meter: TransferMeter) -> None:
        self._reader = reader
        self._meter = meter
        self._size = 0  # bytes of the chunk that is being sent

    async def read(self) -> Chunk:
        if self._size:
            size, self._size = self._size, 0
            await self._meter.count(size)
        chunk = await self._reader.read()
        self._size = len(chunk)
        return chunk

    async def close(self) -> None:
        await self._reader.close()
