"""Encode fields and files as one multipart/form-data body (RFC 7578).

Facts:  Servers find the parts by the boundary alone, so it must be unpredictable. A name that could
        end its own quotes could forge a part. Escaping is that of browsers: `"`, CR and LF become
        `%22`, `%0D` and `%0A`; everything else is sent in the encoding of the form.
Invariants:
        Part headers are built in advance; contents are read while they are sent. The length is
        known in advance if the length of every part is. All control bytes are escaped.

Implemented elsewhere: opening and reading files (`body_file`), the Content-Length check (`body`).
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterable, Awaitable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from .._header_syntax import TOKEN_CHARACTERS, parse_parameters
from ..errors import BodyLengthMismatch, InvalidHeader, InvalidRequest, printable
from .body_file import AsyncBinaryFile, BinaryFile, DiskSource, source_of_file
from .body_source import (
    AsyncIterableSource,
    Chunk,
    IterableSource,
    MemorySource,
    Source,
    SourceReader,
    checked_encode,
    guess_media_type,
)

__all__ = ["MultipartData", "MultipartSource", "build_multipart_body"]

_RAW_BYTES_MIMETYPE = "application/octet-stream"
_FORM_DATA = "multipart/form-data"

_ESCAPES = {byte: b"%%%02X" % byte for byte in (*range(32), 0x22, 0x7F)}
_LEGAL_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")

PartContent: TypeAlias = (
    os.PathLike[str] | Chunk | BinaryFile | AsyncBinaryFile | Iterable[Chunk] | AsyncIterable[Chunk]
)
"""Where the bytes of a part come from."""


# Any, because every value that has a str() may be a field.
FormValues: TypeAlias = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""A form: values by name, or pairs if a name repeats."""


class MultipartData(NamedTuple):
    """One part of a form, with its media type, file name and further headers.

    Attributes:
        binary_source: a path, bytes, a binary file (synchronous or curio's), or an iterable or
            asynchronous iterable of bytes.
        mime_type: value of Content-Type, None to omit it.
        basename: file name, None to omit it: most servers then treat the part as a field.
        headers: further headers of the part.

    Example:
        >>> report = MultipartData(b"a,b", "text/csv", "report.csv")
        >>> await asks.post("https://example.com", multipart={"report": report})
    """

    binary_source: PartContent
    mime_type: str | None = _RAW_BYTES_MIMETYPE
    basename: str | None = None
    headers: Mapping[str, str] | None = None

    async def to_bytes(self) -> bytes:
        """Read the part into memory and return its bytes."""
        return await _read_all(_source_of(self.binary_source).open())


class MultipartSource(Source):
    """All parts of a form, one after another, as one body source.

    A `Path`, bytes or a binary file becomes a file part. A `MultipartData`, or a tuple `(name,
    content[, type[, headers]])`, describes its part. None is omitted. A str, a number or another
    single value becomes a field with its `str()`.

    Args:
        values: a dict, or a list of pairs if a name repeats.
        encoding: text encoding of names and text values.
        is_files: treat the values as `files=` does: a str that names an existing file is that
            file, and a file part without a name is named after its field.
        media_type: another multipart type, or a type with a boundary.

    Raises:
        TypeError: a name is not a str, or a collection is not a part.
        InvalidHeader: a media type or part header may not be sent.
        InvalidRequest: `encoding` cannot encode a text.
        OSError: a file cannot be opened.
    """

    __slots__ = ("_sources", "content_type", "is_in_memory")

    def __init__(
        self,
        values: FormValues,
        encoding: str = "utf-8",
        is_files: bool = False,
        media_type: str | None = None,
    ) -> None:
        if checked_encode('\r\n"-', encoding, "multipart") != b'\r\n"-':
            raise InvalidRequest(f"a multipart body cannot be encoded as {encoding!r}")
        self.content_type, boundary = _with_boundary(media_type or _FORM_DATA)
        dashes = b"--" + boundary.encode("ascii")
        sources: list[Source] = []
        head = dashes
        for name, value in _pairs(values):
            if value is None:
                continue
            part = _part(name, value, encoding, is_files)
            sources.append(MemorySource(head + b"\r\n" + _head(name, part, encoding) + b"\r\n"))
            sources.append(_source_of(part.binary_source))
            head = b"\r\n" + dashes
        sources.append(MemorySource(head + b"--\r\n"))
        self._sources = sources
        self.is_in_memory = all(isinstance(source, MemorySource) for source in sources)
        self.is_replayable = all(source.is_replayable for source in sources)
        lengths = [source.length for source in sources if source.length is not None]
        self.length = sum(lengths) if len(lengths) == len(sources) else None

    def open(self) -> SourceReader:
        return _MultipartReader(self._sources)

    def whole(self) -> bytes:
        """Return the body as one bytes object. Requires `is_in_memory`."""
        return b"".join(s.whole() for s in self._sources if isinstance(s, MemorySource))


class _MultipartReader(SourceReader):
    """Reads one source after another. A source of known length must have exactly that length."""

    __slots__ = ("_bytes_read", "_index", "_reader", "_sources")

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources
        self._index = 0
        self._bytes_read = 0  # of the current source
        self._reader = sources[0].open()

    async def read(self) -> Chunk:
        while True:
            data = await self._reader.read()
            if data:
                self._bytes_read += len(data)
                return data
            await self._reader.close()
            self._check_length()
            if self._index + 1 >= len(self._sources):
                return b""
            self._index += 1
            self._bytes_read = 0
            self._reader = self._sources[self._index].open()

    def _check_length(self) -> None:
        length = self._sources[self._index].length
        if length is not None and self._bytes_read != length:
            raise BodyLengthMismatch(
                f"a part of the form had {length} bytes when the request was made and "
                f"{self._bytes_read} when it was sent"
            )

    async def close(self) -> None:
        await self._reader.close()


def _with_boundary(media_type: str) -> tuple[str, str]:
    """Return the Content-Type with a boundary, and that boundary (RFC 2046 §5.1.1)."""
    if not media_type.lower().startswith("multipart/"):
        raise InvalidRequest(
            f"a multipart body cannot have the type {media_type!r}; omit Content-Type"
        )
    boundary = parse_parameters(media_type).get("boundary")
    if boundary is None:
        boundary = os.urandom(16).hex()
        return f"{media_type}; boundary={boundary}", boundary
    if not _LEGAL_BOUNDARY.fullmatch(boundary):
        raise InvalidRequest(f"{boundary!r} is not a multipart boundary (RFC 2046 §5.1.1)")
    return media_type, boundary


# -- one part


def _pairs(values: Any) -> list[tuple[str, Any]]:
    pairs = list(values.items() if hasattr(values, "items") else values)
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or isinstance(pair[0], bytes):
            raise TypeError(
                "a form must be a dict or a list of pairs (name, value), "
                f"not {printable(repr(pair), 80)}"
            )
    return [(str(name), value) for name, value in pairs]


def _part(name: str, value: Any, encoding: str, is_files: bool) -> MultipartData:
    if isinstance(value, MultipartData):
        return value
    if isinstance(value, tuple):
        return _part_from_tuple(name, value, encoding)
    if is_files and isinstance(value, str) and os.path.isfile(value):
        value = Path(value)
    part = _file_part(value)
    if part is not None:
        return part._replace(basename=name) if is_files and part.basename is None else part
    if not isinstance(value, str) and isinstance(
        value, Collection | Iterator | AsyncIterable | Awaitable
    ):
        raise TypeError(
            f"the part {name!r} cannot be made from {type(value).__name__}: give a str, a number, "
            "bytes, a Path, a binary file, MultipartData or (name, content[, type[, headers]])"
        )
    return MultipartData(checked_encode(str(value), encoding, "a form value"), None)


def _part_from_tuple(name: str, value: tuple[Any, ...], encoding: str) -> MultipartData:
    """Return the part for a tuple as requests, httpx and aiohttp accept it."""
    if not 2 <= len(value) <= 4 or not isinstance(value[0], str | None):
        raise TypeError(
            f"the part {name!r} must be (name, content[, type[, headers]]), "
            f"not a tuple of {len(value)} that starts with {type(value[0] if value else None)!r}"
        )
    basename, content = value[:2]
    if isinstance(content, str):
        content = checked_encode(content, encoding, f"the part {name!r}")
    if len(value) > 2:
        media_type = value[2]
    else:
        media_type = None if basename is None else guess_media_type(basename)
    return MultipartData(content, media_type, basename, value[3] if len(value) > 3 else None)


def _file_part(value: Any) -> MultipartData | None:
    """Return a part for a path, bytes or a binary file; None for another value."""
    if isinstance(value, os.PathLike):
        name = os.path.basename(os.fsdecode(value))
        return MultipartData(value, guess_media_type(name), name)
    if isinstance(value, bytes | bytearray | memoryview):
        return MultipartData(bytes(value))
    if hasattr(value, "read"):
        path = getattr(value, "name", None)
        if not isinstance(path, str):  # an int if the file was made from a descriptor
            return MultipartData(value)
        return MultipartData(value, guess_media_type(path), os.path.basename(path))
    return None


def _source_of(source: Any) -> Source:
    if isinstance(source, bytes | bytearray | memoryview):
        return MemorySource(source)
    if isinstance(source, os.PathLike):
        return DiskSource(source)
    if hasattr(source, "read"):
        return source_of_file(source)
    if isinstance(source, AsyncIterable):
        return AsyncIterableSource(source)
    if isinstance(source, Iterable) and not isinstance(source, str | Mapping):
        return IterableSource(source)
    raise TypeError(
        "the source of a part must be a path, bytes, a binary file or an iterable of bytes, "
        f"not {type(source).__name__}"
    )


def _head(name: str, part: MultipartData, encoding: str) -> bytes:
    lines = b'Content-Disposition: form-data; name="%b"' % _quoted(name, encoding)
    if part.basename is not None:
        lines += b'; filename="%b"' % _quoted(part.basename, encoding)
    lines += b"\r\n"
    fields: dict[str, str] = dict(part.headers or {})
    if len({field.lower() for field in fields}) < len(fields):
        raise InvalidHeader(f"the part {name!r} has the same header twice, in two spellings")
    if part.mime_type is not None and not any(f.lower() == "content-type" for f in fields):
        fields = {"Content-Type": part.mime_type, **fields}
    for field, value in fields.items():
        lines += _field(field, value)
    return lines


def _quoted(text: str, encoding: str) -> bytes:
    """Return the text escaped for a quoted parameter.

    Characters that `encoding` lacks become XML character references, as in browsers.
    """
    data = text.encode(encoding, "xmlcharrefreplace")
    if data.isalnum():
        return data
    return b"".join([_ESCAPES.get(byte) or bytes((byte,)) for byte in data])


def _field(name: str, value: str) -> bytes:
    if not name or not TOKEN_CHARACTERS.issuperset(name) or name.lower() == "content-disposition":
        raise InvalidHeader(f"{name!r} cannot be a header of a part")
    if not isinstance(value, str) or any((c < " " and c != "\t") or c == "\x7f" for c in value):
        raise InvalidHeader(f"the part header {name} contains characters that are not allowed")
    return f"{name}: {value}\r\n".encode()


async def _read_all(reader: SourceReader) -> bytes:
    body = bytearray()
    try:
        while chunk := await reader.read():
            body += chunk
    finally:
        await reader.close()
    return bytes(body)


async def build_multipart_body(values: FormValues, encoding: str, boundary_data: str) -> bytes:
    """Return the whole multipart body as bytes.

    Args:
        values: the form, as for `MultipartSource`.
        encoding: text encoding of names and text values.
        boundary_data: the boundary.
    """
    media_type = f'{_FORM_DATA}; boundary="{boundary_data}"'
    return await _read_all(MultipartSource(values, encoding, media_type=media_type).open())
