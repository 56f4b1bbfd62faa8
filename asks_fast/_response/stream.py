"""The body of a streamed response, read in chunks while it arrives.

A program that reads slowly slows down the server: nothing is read in advance.

Rules:  after the last chunk the connection returns to the pool. If reading stops earlier, for any
        reason, the connection is closed and its slot is free at once. A body that ends early
        raises, also if only its compressed content does. Only one task may read at a time.

Implemented elsewhere: reading what is not compressed (`src_pyx/hotpath/stream_body.pyx`),
        decompression (`content_decoder`), other forms of a body (`stream_readers`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from curio.errors import TaskTimeout

from .._deadlines import timeout_after
from .._guest import hosted
from .._hotpath import BaseStreamBody
from ..errors import (
    AsksException,
    ConnectivityError,
    ReadTimeout,
    ResponseTooLarge,
    add_request_context,
)
from .stream_readers import ChunkedStream, LineStream, TextStream

if TYPE_CHECKING:
    from .._config.transfer import BandwidthLimit, LowSpeed, ProgressCallback
    from .content_decoder import ContentDecoder
    from .metered import MeteredBody

__all__ = ["StreamBody"]

__tracebackhide__ = True  # pytest leaves out frames of this module

DEFAULT_MAX_DECOMPRESSED = 1 << 30


class Lease(Protocol):
    """The use of a proxy: a `ProxyLease`."""

    def record(self, outcome: int | BaseException) -> None: ...

    def release(self) -> None: ...


class StreamBody(BaseStreamBody):
    """The body of a streamed response: an asynchronous iterator over chunks, which are not empty.

    `async with body` closes it at the end. An error or a cancellation of a read closes the
    connection.

    Attributes:
        read_size: maximum size of a decompressed chunk in bytes.
        timeout: limit for each chunk in seconds, None for none; also set by `body(timeout=5)`.

    Raises:
        ReadTimeout: a chunk did not arrive within `timeout`.
        ResponseTooLarge: the body exceeds `max_body`, `max_decompressed` or `max_ratio`.
        DecodingError: the body cannot be decompressed.
        StreamConsumed: another task is reading.
        ServerClosedConnectionError: the body is incomplete.

    Example:
        >>> response = await asks.get("https://example.com", stream=True)
        >>> async with response.body:
        ...     async for chunk in response.body:
        ...         print(len(chunk))
    """

    __slots__ = ("__dict__", "__weakref__")  # for attributes of the program

    read_size = 65536
    _decoder: ContentDecoder | None = None
    _lease: Lease | None
    _on_close: Callable[[], Awaitable[object]] | None

    def __repr__(self) -> str:
        state = "ended" if self._ended else "open"
        return f"<StreamBody {state}, {self._raw_bytes} bytes read>"

    def __call__(self, timeout: float | None = None) -> StreamBody:
        """Set the limit for each chunk in seconds, None for none, and return the body."""
        self.timeout = timeout
        return self

    @property
    def decompress_data(self) -> bool:
        """Whether chunks are decompressed."""
        if self._decompress is None:
            return bool(self._response._get_option("decompress", True))
        return self._decompress

    @decompress_data.setter
    def decompress_data(self, decompress: bool) -> None:
        self._decompress = bool(decompress)

    async def _next_chunk(self) -> bytes:
        """Return the next chunk, within the time limit and decompressed; b"" at the end."""
        limit = self.timeout
        if limit is None:
            return await self._next_decompressed()
        try:
            return bytes(await timeout_after(limit, self._next_decompressed()))
        except TaskTimeout:
            raise ReadTimeout(
                f"{self._response.method} {self._response.url}: no chunk within {limit:g} s", limit
            ) from None

    async def _next_decompressed(self) -> bytes:
        if not self.decompress_data:
            return await self._receive()
        if self._decoder is None:
            self._decoder = self._make_decoder()
        decoder = self._decoder
        if decoder.is_identity:
            return await self._receive()
        while True:
            if not decoder.needs_input:
                chunk = decoder.decode(b"", self.read_size)
                if chunk:
                    return chunk
            piece = await self._receive()
            if not piece:
                is_whole = self._raw_bytes and not self._response.is_truncated
                return decoder.finish() if is_whole else b""
            chunk = decoder.decode(piece, self.read_size)
            if chunk:
                return chunk

    def _make_decoder(self) -> ContentDecoder:
        from .content_decoder import ContentDecoder

        return ContentDecoder(
            self._response.content_codings(),
            max_size=self._response._get_option("max_decompressed", DEFAULT_MAX_DECOMPRESSED),
            max_ratio=self._response._get_option("max_ratio", None),
            strict=self._response.strict,
        )

    def _check_size(self) -> None:
        """Apply `max_body` to what was received."""
        limit = self._response._get_option("max_body", None)
        if limit is not None and self._raw_bytes > limit:
            error = ResponseTooLarge(f"the body has more than max_body={limit} bytes")
            error.status_code = self._response.status_code
            error.headers = self._response.headers
            raise error

    def _accept_truncation(self) -> bool:
        """Whether the end of the connection may end the body; if so, it is the end now."""
        if not self._response._get_option("allow_truncated", False):
            return False
        self._connection = None
        for response in (self._response, self._response_ref()):
            if response is not None:
                response.is_truncated = True
        return True

    async def _close_after(self, error: BaseException) -> None:
        """Close the body after an error of a read, and describe the read in the error."""
        if isinstance(error, AsksException):
            add_request_context(error, f"{self._response.method} {self._response.url}")
        if isinstance(error, ConnectivityError):
            error.response = self._response_ref() or self._response
            error.response.is_truncated = True
        if self._lease is not None:
            self._lease.record(error)
        await self.close()

    @hosted
    async def close(self) -> None:
        """Close the body, and its connection if the body is incomplete. May be called twice."""
        self._ended = True
        connection, self._connection = self._connection, None
        self._received = self._recorder = None
        try:
            if connection is not None and not self._response.is_complete:
                await connection.aclose()
        finally:
            lease, self._lease = self._lease, None
            if lease is not None:
                lease.release()
            on_close, self._on_close = self._on_close, None
            if on_close is not None:
                await on_close()

    async def __aenter__(self) -> StreamBody:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def _abandon(self) -> None:
        """Close the connection of a body that the program has dropped."""
        assert self._connection is not None
        self._connection.close_nowait()
        warnings.warn(
            f"the body of {self._response.method} {self._response.url} was neither read to "
            "its end nor closed; use `async with response.body`",
            ResourceWarning,
            stacklevel=2,
        )

    # -- reading in other forms

    async def read(self) -> bytes:
        """Read the rest of the body and return it as one bytes object."""
        return b"".join([chunk async for chunk in self])

    def chunks(self, size: int) -> ChunkedStream:
        """Iterate over chunks of exactly `size` bytes; the last one may be shorter.

        Raises:
            InvalidRequest: `size` is less than 1.

        Example:
            >>> async for chunk in response.body.chunks(4096):
            ...     print(len(chunk))
        """
        return ChunkedStream(self, size)

    def text(self) -> TextStream:
        """Iterate over the body as str. No character is split.

        Example:
            >>> async for text in response.body.text():
            ...     print(text)
        """
        response = self._response_ref() or self._response
        return TextStream(self, response.text_decoder(self.decompress_data))

    def lines(self) -> LineStream:
        """Iterate over the lines as str, without their line ends.

        Example:
            >>> async for line in response.body.lines():
            ...     print(line)
        """
        return LineStream(self.text())

    def metered(
        self,
        *,
        progress: ProgressCallback | None = None,
        low_speed: LowSpeed | None = None,
        max_rate: float | BandwidthLimit | None = None,
    ) -> MeteredBody:
        """Iterate over the chunks with progress, a lowest speed or a bandwidth limit.

        Args:
            progress: called with a `Progress` after each chunk; a coroutine function is awaited.
            low_speed: (bytes per second, seconds): a body slower than this is `TransferTooSlow`.
            max_rate: bytes per second, or a `BandwidthLimit` that several transfers share.

        Example:
            async for chunk in response.body.metered(low_speed=(1000, 30)):
                ...
        """
        from .._config.transfer import TransferMeter
        from .metered import MeteredBody

        length = self._response.headers.get("content-length")
        is_counted = length is not None and not (
            self.decompress_data and self._response.content_codings()
        )
        meter = TransferMeter(
            total=int(length or 0) if is_counted else None,
            progress=progress,
            low_speed=low_speed,
            max_rate=max_rate,
        )
        return MeteredBody(self, meter)

    async def save(self, path: str | os.PathLike[str], *, chunk_size: int = 1 << 20) -> int:
        """Write the body to a file while it arrives.

        The data is written to `<path>.part`, which is renamed when the body is complete. After an
        error or cancellation `<path>.part` is removed.

        Args:
            path: the file.
            chunk_size: size of the write buffer in bytes.

        Returns:
            The number of bytes written.

        Raises:
            OSError: the file cannot be written.
        """
        target = os.fspath(path)
        part = f"{target}.part"
        written = 0
        file = open(part, "wb", buffering=chunk_size)  # noqa: SIM115
        try:
            try:
                async for chunk in self:
                    written += file.write(chunk)
            finally:
                file.close()
            os.replace(part, target)
        except BaseException:
            os.unlink(part)
            raise
        return written
