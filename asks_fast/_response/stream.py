"""The body of a streamed response, read in chunks while it arrives.

A program that reads slowly slows down the server: nothing is read in advance.

Invariants:
        After the last chunk the connection returns to the pool. If reading stops earlier, for any
        reason, the connection is closed and its slot is free at once. A body that ends early
        raises, also if only its compressed content does. Only one task may read at a time.

Implemented elsewhere: HTTP parsing (`src_pyx/hotpath`), decompression (`content_decoder`).
"""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from curio.errors import TaskTimeout

from .. import _guest
from .._annotations import AsyncCall
from .._curio import curio_running
from .._deadlines import timeout_after
from .._guest import hosted
from .._tracebacks import shorten
from ..errors import (
    AsksException,
    ConnectivityError,
    InvalidRequest,
    ReadTimeout,
    ResponseInfo,
    ResponseTooLarge,
    ServerClosedConnectionError,
    StreamConsumed,
    add_request_context,
)

if TYPE_CHECKING:
    from .._config.transfer import BandwidthLimit, LowSpeed, ProgressCallback
    from .._hotpath import Connection
    from .charset import TextDecoder
    from .content_decoder import ContentDecoder
    from .metered import MeteredBody

__all__ = ["StreamBody"]

__tracebackhide__ = True  # pytest leaves out frames of this module

DEFAULT_READ_SIZE = 65536
DEFAULT_MAX_DECOMPRESSED = 1 << 30


class StreamedResponse(ResponseInfo, Protocol):
    """The response of a `StreamBody`: a `StreamResponse`."""

    strict: bool
    is_truncated: bool

    @property
    def method(self) -> str: ...

    @property
    def encoding(self) -> str: ...

    @property
    def is_complete(self) -> bool: ...

    def content_codings(self) -> list[str]: ...

    # Any: the type of the result depends on the option.
    def _get_option(self, name: str, default: Any) -> Any: ...

    def text_decoder(self, decompressed: bool = True) -> TextDecoder: ...

    # Any: a copy of the response's own class, which compiled code fills in.
    def _copy_without_body(self) -> Any: ...

    def _update_from(self, other: Any) -> None: ...


class Lease(Protocol):
    """The use of a proxy: a `ProxyLease`."""

    def record(self, outcome: int | BaseException) -> None: ...

    def release(self) -> None: ...


class StreamBody:
    """The body of a streamed response: an asynchronous iterator over chunks of bytes.

    `async with body` closes it at the end. Cancellation of a read closes the connection.

    Attributes:
        decompress_data: whether chunks are decompressed.
        read_size: maximum size of a decompressed chunk in bytes.
        timeout: limit for each chunk in seconds, None for none; also set by `body(timeout=5)`.

    Example:
        >>> response = await asks.get("https://example.com", stream=True)
        >>> async with response.body:
        ...     async for chunk in response.body:
        ...         print(len(chunk))
    """

    def __init__(
        self,
        response: StreamedResponse,
        connection: Connection | None,
        initial: bytes = b"",
        *,
        decompress_data: bool = True,
    ) -> None:
        self._response_ref = weakref.ref(response)
        self._response = response._copy_without_body()
        if connection is not None:
            connection.redirect_to(self._response)
        self._connection = connection
        self._initial = initial
        self._raw_bytes = 0
        self._decoder: ContentDecoder | None = None
        self._has_coding: bool | None = None  # None: not looked at yet
        self._ended = False
        self._reading = False
        self.decompress_data = decompress_data
        self.read_size = DEFAULT_READ_SIZE
        self.timeout: float | None = None
        self._on_close: Callable[[], Awaitable[object]] | None = None
        self._lease: Lease | None = None  # on the proxy of a pool, until the body is closed

    def __repr__(self) -> str:
        state = "ended" if self._ended else "open"
        return f"<StreamBody {state}, {self._raw_bytes} bytes read>"

    def __call__(self, timeout: float | None = None) -> StreamBody:
        """Set the limit for each chunk in seconds, None for none, and return the body."""
        self.timeout = timeout
        return self

    def __aiter__(self) -> StreamBody:
        return self

    def __anext__(self) -> AsyncCall[bytes]:
        """Return the next chunk, which is never empty.

        Raises:
            ReadTimeout: the chunk did not arrive within `timeout`.
            ResponseTooLarge: the body exceeds `max_body`, `max_decompressed` or `max_ratio`.
            DecodingError: the body cannot be decompressed.
            StreamConsumed: another task is reading.
            ServerClosedConnectionError: the body is incomplete.
        """
        if curio_running():
            return self._read_chunk()
        return _guest.call(self._read_chunk())

    async def _read_chunk(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        if self._reading:
            raise StreamConsumed("another task is reading this body")
        self._reading = True
        try:
            if self.timeout is not None:
                chunk = await self._next_within(self.timeout)
            elif self._connection is None and self._is_plain():
                chunk = self._take_initial()
            else:
                chunk = await self._next()
        except BaseException as error:
            if isinstance(error, AsksException):
                add_request_context(error, f"{self._response.method} {self._response.url}")
            if isinstance(error, ConnectivityError):
                error.response = self._response_ref() or self._response
                error.response.is_truncated = True
            if self._lease is not None:
                self._lease.record(error)
            await self.close()
            if isinstance(error, AsksException):
                raise shorten(error)  # noqa: B904 (it is the same error)
            raise
        finally:
            self._reading = False
        if not chunk:
            if self._connection is None and self._on_close is None and self._lease is None:
                self._ended = True
            else:
                await self.close()
            raise StopAsyncIteration
        return chunk

    async def _next_within(self, limit: float) -> bytes:
        try:
            return bytes(await timeout_after(limit, self._next()))
        except TaskTimeout:
            raise ReadTimeout(
                f"{self._response.method} {self._response.url}: no chunk within {limit:g} s", limit
            ) from None

    async def _next(self) -> bytes:
        if self._is_plain():
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

    def _is_plain(self) -> bool:
        """Whether chunks are returned as received: not to be decompressed, or without a coding."""
        if not self.decompress_data:
            return True
        if self._has_coding is None:
            self._has_coding = bool(self._response.headers.get("content-encoding"))
        return not self._has_coding

    def _make_decoder(self) -> ContentDecoder:
        from .content_decoder import ContentDecoder

        return ContentDecoder(
            self._response.content_codings(),
            max_size=self._response._get_option("max_decompressed", DEFAULT_MAX_DECOMPRESSED),
            max_ratio=self._response._get_option("max_ratio", None),
            strict=self._response.strict,
        )

    async def _receive(self) -> bytes:
        """Return the next bytes of the body as received, b"" at the end."""
        if self._initial or self._connection is None:
            return self._take_initial()
        piece = await self._read_piece(self._connection)
        if self._response.is_complete:
            self._connection = None  # the pool may already have assigned it to another request
            response = self._response_ref()
            if response is not None:
                response._update_from(self._response)
        return self._count(piece)

    def _take_initial(self) -> bytes:
        """Return what came with the head, once."""
        piece, self._initial = self._initial, b""
        return self._count(piece) if piece else b""

    def _count(self, piece: bytes) -> bytes:
        """Return a piece of the body, after applying `max_body`."""
        self._raw_bytes += len(piece)
        limit = self._response._get_option("max_body", None)
        if limit is not None and self._raw_bytes > limit:
            error = ResponseTooLarge(f"the body has more than max_body={limit} bytes")
            error.status_code = self._response.status_code
            error.headers = self._response.headers
            raise error
        return piece

    async def _read_piece(self, connection: Connection) -> bytes:
        """The next bytes of the connection; b"" at the end that `allow_truncated` accepts."""
        try:
            return await connection.read_piece()
        except (ServerClosedConnectionError, ReadTimeout):
            if not self._response._get_option("allow_truncated", False):
                raise
        self._connection = None
        for response in (self._response, self._response_ref()):
            if response is not None:
                response.is_truncated = True
        return b""

    @hosted
    async def close(self) -> None:
        """Close the body, and its connection if the body is incomplete. May be called twice."""
        self._ended = True
        connection, self._connection = self._connection, None
        self._initial = b""
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

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None and not self._response.is_complete:
            connection.close_nowait()
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
        return TextStream(self)

    def lines(self) -> LineStream:
        """Iterate over the lines as str, without their line ends.

        Example:
            >>> async for line in response.body.lines():
            ...     print(line)
        """
        return LineStream(self)

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


class ChunkedStream:
    """Iterates over a body in chunks of one size."""

    def __init__(self, body: StreamBody, size: int) -> None:
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

    def __init__(self, body: StreamBody) -> None:
        self._decoder = (body._response_ref() or body._response).text_decoder(body.decompress_data)
        self._body = body
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
    """Iterates over the lines of a body, without their ends `\\n`, `\\r\\n` or `\\r`."""

    def __init__(self, body: StreamBody) -> None:
        self._text = TextStream(body)
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
