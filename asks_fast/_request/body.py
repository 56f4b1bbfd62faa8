"""What a request carries: one `Body` made from `data`, `json`, `files` or `multipart`.

Facts:  a body is sent once as a rule and again after a 307, a 308, a 401 or a stale connection.
        Small bodies are one bytes object; large ones are never in memory as a whole.
Rules:  everything that can be known to be wrong is found in `make_body`, before a byte is sent.
        No byte goes out beyond the length announced, and another length is an error, after which
        the connection is of no use. A second pass that gives less than the first already gave is
        an error too: it was a one-shot stream in disguise.
Not here: files (`body_files`), iterables (`body_sources`), multipart framing (`multipart`), chunk
        framing (hot path).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, ItemsView, Iterable, Mapping
from typing import Any

from ..errors import BodyLengthMismatch, InvalidHeader, InvalidRequest, UnreplayableBody
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

__all__ = ["Body", "BodyChunks", "make_body"]

FORM_TYPE = "application/x-www-form-urlencoded"
TEXT_TYPE = "text/plain"
JSON_TYPE = "application/json"

BUFFER_LIMIT = 1024 * 1024


class Body:
    """The body of one request, which may be sent more than once.

    `length` is in bytes, `None` when only the end will tell (the request is then chunked).
    `content_type` is the Content-Type to send unless the user gave one. `buffered` is the body
    as one bytes object if it is short enough to be in memory as such, else `None`.
    """

    __slots__ = ("_reader", "_sent", "_source", "_started", "buffered", "content_type", "length")

    def __init__(self, source: Source, content_type: str | None) -> None:
        self._source = source
        self._started = False
        self._sent = 0  # most bytes any pass has given out
        self._reader: BodyChunks | None = None
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
        """True while `chunks()` can start from the beginning."""
        return self._source.is_replayable or not self._started

    def set_length(self, length: int) -> None:
        """The user gave Content-Length: hold a body of unknown length to it.

        Raises `InvalidRequest` if the length is known to be another one.
        """
        if length < 0 or (self.length is not None and self.length != length):
            raise InvalidRequest(
                f"Content-Length {length} was given for a body of {self.length} bytes"
            )
        self.length = length

    def chunks(self) -> BodyChunks:
        """An asynchronous iterator over the pieces, from the first byte; no piece is empty.

        Raises `UnreplayableBody` when a one-shot stream has been read from already. While it
        runs: `BodyLengthMismatch` and whatever the user's file or iterable raises. Cancellation
        closes what was opened here.
        """
        if not self.is_replayable:
            raise UnreplayableBody(
                "the request must be sent again, but its body came from a one-shot stream that "
                "has been read from; give bytes, a path or a seekable file"
            )
        self._reader = BodyChunks(self, self._source.open())
        return self._reader

    async def close(self) -> None:
        """Close what a pass left unfinished still holds. Files of the user stay open."""
        if self._reader is not None:
            await self._reader.close()


class BodyChunks:
    """One pass over a `Body`: `async for piece in body.chunks()`."""

    __slots__ = ("_body", "_done", "_given", "_reader")

    def __init__(self, body: Body, reader: SourceReader) -> None:
        self._body = body
        self._reader = reader
        self._given = 0
        self._done = False

    def __aiter__(self) -> BodyChunks:
        return self

    async def __anext__(self) -> Chunk:
        if self._done:
            raise StopAsyncIteration
        self._body._started = True
        try:
            piece = await self._reader.read()
            self._count(piece)
        except BaseException:
            await self.close()
            raise
        if not piece:
            await self.close()
            raise StopAsyncIteration
        return piece

    def _count(self, piece: Chunk) -> None:
        body = self._body
        self._given += len(piece)
        if not piece and self._given < body._sent:
            raise UnreplayableBody(
                f"the body had to be sent again and ended after {self._given} bytes, while "
                f"{body._sent} were read from it the first time"
            )
        if body.length is not None and (
            self._given > body.length or (not piece and self._given < body.length)
        ):
            so_far = "at least " if piece else ""
            raise BodyLengthMismatch(
                f"Content-Length {body.length} was announced, but the body has "
                f"{so_far}{self._given} bytes"
            )
        body._sent = max(body._sent, self._given)

    async def close(self) -> None:
        """End this pass. A file we opened is closed; a generator runs its `finally`."""
        self._done = True
        await self._reader.close()


# -- from arguments to a body


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
    """The body for these arguments of a request, `None` if there is nothing to send.

    `data`: dict or pairs → form; str or bytes → as it is; path, open binary file, iterable or
    asynchronous iterable of bytes → streamed. `json`: anything that `json.dumps` takes, or
    `json_dumps` when given. `files`: `{name: file}`. `multipart`: `{name: value}`, see
    `multipart.MultipartSource`. `mimetype` overrides the type that follows from the argument.

    Raises `TypeError` when two of them are given or one is of a type that cannot be sent,
    `InvalidRequest` for text that `encoding` cannot write, `OSError` for a file that cannot be
    opened.
    """
    if not files:
        files = None  # asks took `files={}` for none
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
    from ..multipart import MultipartSource

    is_files = files is not None
    source = MultipartSource(files if is_files else multipart, encoding, is_files, mimetype)
    body = Body(source, source.content_type)
    if source.is_in_memory and source.length is not None and source.length <= BUFFER_LIMIT:
        body.buffered = source.whole()
    return body


def _check_type(mimetype: str) -> None:
    if not mimetype.isascii() or not mimetype.isprintable():
        raise InvalidHeader(f"mimetype {mimetype!r} has characters that no header may have")


def _json_body(
    value: Any, dumps: Callable[[Any], str | bytes] | None, mimetype: str | None
) -> Body:
    if dumps is None:
        from json import dumps as standard_dumps

        dumps = standard_dumps
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
    from ..urls import form_encode

    encoded = form_encode(list(data) if isinstance(data, ItemsView) else data, encoding)
    return Body(MemorySource(encoded), mimetype or FORM_TYPE)


def _stream_source(data: Any) -> tuple[Source, str]:
    """The source for `data` that is neither text, bytes nor a form, and the type to say."""
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
        return MemorySource(data), BYTES_TYPE  # arrays, mmap: whatever lends its memory
    except TypeError:
        pass
    if isinstance(data, Iterable):
        return IterableSource(data), BYTES_TYPE
    raise TypeError(
        "data must be a dict, a list of pairs, str, bytes, a path, an open binary file or an "
        f"iterable of bytes, not {type(data).__name__}"
    )
