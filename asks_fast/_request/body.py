"""The body of a request, made from `data`, `json`, `files` or `multipart`.

Facts:  A body is usually sent once, and again after a 307, a 308, a 401 or on a stale connection.
        Small bodies are one bytes object; large ones are never in memory as a whole.
Invariants:
        `make_body` detects all errors that can be detected before a byte is sent. No byte is sent
        beyond the announced length. Another length is an error, after which the connection cannot
        be reused. A second pass that yields less than the first is an error too: the body was a
        one-shot stream.

Implemented elsewhere: files (`body_file`), iterables (`body_source`), multipart framing
(`multipart`), chunked framing (`src_pyx/hotpath`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, ItemsView, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import BodyLengthMismatch, InvalidHeader, InvalidRequest, UnreplayableBody
from ..urls import form_encode
from .body_file import DiskSource, source_of_file
from .body_source import (
    BYTES_TYPE,
    AsyncIterableSource,
    Chunk,
    IterableSource,
    MemorySource,
    Source,
    SourceReader,
    checked_encode,
    guess_media_type,
)
from .json_body import encode_json
from .multipart import MultipartSource

if TYPE_CHECKING:
    from .trailers import Trailers

__all__ = ["Body", "BodyChunks", "make_body"]

FORM_TYPE = "application/x-www-form-urlencoded"
TEXT_TYPE = "text/plain"
JSON_TYPE = "application/json"

BUFFER_LIMIT = 1024 * 1024
"""Bodies up to this size in bytes become one bytes object."""


class Body:
    """The body of one request, which may be sent more than once.

    Attributes:
        length: in bytes; None if it is unknown in advance, and the request is then chunked.
        content_type: Content-Type to send unless the user gave one.
        buffered: the body as one bytes object; None if it is too large or not in memory.
        trailers: the fields that follow a chunked body; None without any.
    """

    __slots__ = (
        "_reader",
        "_sent",
        "_source",
        "_started",
        "buffered",
        "content_type",
        "length",
        "trailers",
    )

    def __init__(self, source: Source, content_type: str | None) -> None:
        self._source = source
        self._started = False
        self._sent = 0  # maximum number of bytes that a pass has returned
        self._reader: BodyChunks | None = None
        self.trailers: Trailers | None = None
        self.content_type = content_type
        self.length = source.length
        self.buffered: bytes | None = None
        if (source.length or 0) <= BUFFER_LIMIT and isinstance(source, MemorySource):
            self.buffered = source.whole()

    def __repr__(self) -> str:
        size = "unknown length" if self.length is None else f"{self.length} bytes"
        return f"<Body {self.content_type or 'without type'}, {size}>"

    @property
    def source(self) -> Source:
        """Where the bytes come from."""
        return self._source

    @property
    def is_replayable(self) -> bool:
        """Whether `chunks()` can start from the beginning."""
        return self._source.is_replayable or not self._started

    def set_trailers(self, trailers: Trailers) -> None:
        """Send these fields after the body, which is chunked from now on."""
        self.trailers = trailers
        self.length = self.buffered = None

    def set_length(self, length: int) -> None:
        """Set the length that the user gave as Content-Length.

        Raises:
            InvalidRequest: the body is known to have another length.
        """
        if length < 0 or (self.length is not None and self.length != length):
            raise InvalidRequest(
                f"Content-Length {length} was given for a body of {self.length} bytes"
            )
        self.length = self._source.length = length  # the source reports progress

    def chunks(self) -> BodyChunks:
        """Return an asynchronous iterator over the chunks from the first byte. No chunk is empty.

        The iterator raises `BodyLengthMismatch`, and what the user's file or iterable raises.
        Cancellation closes what the iterator opened.

        Raises:
            UnreplayableBody: the body is a one-shot stream that was already read.
        """
        if not self.is_replayable:
            raise UnreplayableBody(
                "the request must be sent again, but its body came from a one-shot stream that "
                "has been read from; give bytes, a path or a seekable file"
            )
        self._reader = BodyChunks(self, self._source.open())
        return self._reader

    async def close(self) -> None:
        """Close what an unfinished pass opened. Files of the user stay open."""
        if self._reader is not None:
            await self._reader.close()


class BodyChunks:
    """One pass over a `Body`: `async for chunk in body.chunks()`."""

    __slots__ = ("_body", "_bytes_read", "_done", "_reader")

    def __init__(self, body: Body, reader: SourceReader) -> None:
        self._body = body
        self._reader = reader
        self._bytes_read = 0
        self._done = False

    def __aiter__(self) -> BodyChunks:
        return self

    async def __anext__(self) -> Chunk:
        if self._done:
            raise StopAsyncIteration
        self._body._started = True
        try:
            chunk = await self._reader.read()
            self._count(chunk)
        except BaseException:
            await self.close()
            raise
        if not chunk:
            await self.close()
            raise StopAsyncIteration
        return chunk

    def _count(self, chunk: Chunk) -> None:
        """Compare the number of bytes with the announced length and with the first pass."""
        body = self._body
        self._bytes_read += len(chunk)
        if not chunk and self._bytes_read < body._sent:
            raise UnreplayableBody(
                f"the body had to be sent again and ended after {self._bytes_read} bytes, while "
                f"{body._sent} were read from it the first time"
            )
        if body.length is not None and (
            self._bytes_read > body.length or (not chunk and self._bytes_read < body.length)
        ):
            at_least = "at least " if chunk else ""
            raise BodyLengthMismatch(
                f"Content-Length {body.length} was announced, but the body has "
                f"{at_least}{self._bytes_read} bytes"
            )
        body._sent = max(body._sent, self._bytes_read)

    async def close(self) -> None:
        """End this pass. Files opened by it are closed; a generator runs its `finally`."""
        self._done = True
        await self._reader.close()


# -- from arguments to a body

# Any, in all functions below: the arguments of users are checked here at run time.


def make_body(
    data: Any = None,
    json: Any = None,
    files: Any = None,
    multipart: Any = None,
    encoding: str = "utf-8",
    mimetype: str | None = None,
    *,
    json_dumps: Callable[[Any], str | bytes] | None = None,
) -> Body | None:
    """Return the body for these arguments of a request, None if there is nothing to send.

    Args:
        data: a dict or pairs for a form; str or bytes, sent unchanged; a path, an open binary file,
            an iterable or asynchronous iterable of bytes, which are streamed.
        json: an object that `json_dumps` can serialize.
        files: files by name.
        multipart: values by name, see `MultipartSource`.
        encoding: text encoding of forms and of a str.
        mimetype: media type instead of the one that follows from the argument.
        json_dumps: serializer, by default `json.dumps`.

    Raises:
        TypeError: two of the arguments are given, or one has a type that cannot be sent.
        InvalidRequest: `encoding` cannot encode a text.
        OSError: a file cannot be opened.
    """
    if not files:
        files = None  # asks accepts `files={}` as no files
    given = [
        name
        for name, value in (
            ("data", data),
            ("json", json),
            ("files", files),
            ("multipart", multipart),
        )
        if value is not None
    ]
    if not given:
        return None
    if len(given) > 1:
        raise TypeError(f"{' and '.join(given)} exclude each other: a request has one body")
    if mimetype is not None:
        _check_type(mimetype)
    if data is not None:
        return _data_body(data, encoding, mimetype)
    if json is not None:
        return _json_body(json, json_dumps, mimetype)
    is_files = files is not None
    source = MultipartSource(files if is_files else multipart, encoding, is_files, mimetype)
    body = Body(source, source.content_type)
    if source.is_in_memory and source.length is not None and source.length <= BUFFER_LIMIT:
        body.buffered = source.whole()
    return body


def _check_type(mimetype: str) -> None:
    if not mimetype.isascii() or not mimetype.isprintable():
        raise InvalidHeader(
            f"mimetype {mimetype!r} contains characters that are not allowed in a header"
        )


def _json_body(
    value: Any, dumps: Callable[[Any], str | bytes] | None, mimetype: str | None
) -> Body:
    if dumps is None:
        data = encode_json(value)
    else:
        text = dumps(value)
        data = text.encode("utf-8") if isinstance(text, str) else text
    return Body(MemorySource(data), mimetype or JSON_TYPE)


def _data_body(data: Any, encoding: str, mimetype: str | None) -> Body | None:
    if isinstance(data, str):
        data = checked_encode(data, encoding, "data")
    if isinstance(data, bytes | bytearray | memoryview):
        if not data and mimetype is None:
            return None
        return Body(MemorySource(bytes(data)), mimetype or TEXT_TYPE)
    if _is_form(data):
        return _form_body(data, encoding, mimetype)
    source, guessed = _stream_source(data)
    return Body(source, mimetype or guessed)


def _is_form(data: Any) -> bool:
    if type(data) is dict or isinstance(data, Mapping | ItemsView):
        return True
    if isinstance(data, list | tuple):
        return not data or not all(isinstance(x, bytes | bytearray | memoryview) for x in data)
    return hasattr(data, "items")


def _form_body(data: Any, encoding: str, mimetype: str | None) -> Body | None:
    if not data and mimetype is None:
        return None
    encoded = form_encode(list(data) if isinstance(data, ItemsView) else data, encoding)
    return Body(MemorySource(encoded), mimetype or FORM_TYPE)


def _stream_source(data: Any) -> tuple[Source, str]:
    """Return the source and media type for `data` that is not text, bytes or a form."""
    if isinstance(data, os.PathLike):
        source = DiskSource(data)
        return source, guess_media_type(source.path)
    if hasattr(data, "read"):
        return source_of_file(data), guess_media_type(getattr(data, "name", None))
    if isinstance(data, list | tuple):
        return IterableSource(data, sum(memoryview(x).nbytes for x in data)), BYTES_TYPE
    if isinstance(data, AsyncIterable):
        return AsyncIterableSource(data), BYTES_TYPE
    try:
        return MemorySource(data), BYTES_TYPE  # arrays, mmap: objects with the buffer protocol
    except TypeError:
        pass
    if isinstance(data, Iterable):
        return IterableSource(data), BYTES_TYPE
    raise TypeError(
        "data must be a dict, a list of pairs, str, bytes, a path, an open binary file or an "
        f"iterable of bytes, not {type(data).__name__}"
    )
