"""multipart/form-data: fields and files as one body (RFC 7578).

Facts:  servers find the parts by the boundary alone, so it must be one that nobody can guess, and
        a name that could end its own quotes could forge a part. Browsers settled the escaping:
        `"` `CR` `LF` become `%22` `%0D` `%0A`, everything else is sent in the form's encoding.
Rules:  heads are built beforehand, contents are read from where they are while they are sent.
        The length is known ahead when that of every part is. All control bytes are escaped.
Not here: opening and reading (`body_files`), the Content-Length check (`body`).
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterable, Awaitable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ._request.body_file import DiskSource, source_of_file
from ._request.body_source import (
    AsyncIterableSource,
    Chunk,
    IterableSource,
    MemorySource,
    Source,
    SourceReader,
    checked_encode,
    guess_media_type,
)
from .errors import BodyLengthMismatch, InvalidHeader, InvalidRequest

__all__ = ["MultipartData", "MultipartSource", "build_multipart_body"]

_RAW_BYTES_MIMETYPE = "application/octet-stream"
_FORM_DATA = "multipart/form-data"

_ESCAPES = {byte: b"%%%02X" % byte for byte in (*range(32), 0x22, 0x7F)}
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]*)"|([^;\s]*))', re.IGNORECASE)
_LEGAL_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class MultipartData(NamedTuple):
    """One part with its media type, file name and further header fields given by hand.

    `binary_source`: a path, bytes, a binary file (synchronous or curio's), or an iterable or
    asynchronous iterable of bytes. `mime_type=None` leaves Content-Type out, `basename=None` the
    file name, which makes most servers see a field instead of a file.
    """

    binary_source: Path | bytes | BinaryIO | Any
    mime_type: str | None = _RAW_BYTES_MIMETYPE
    basename: str | None = None
    headers: Mapping[str, str] | None = None

    async def to_bytes(self) -> bytes:
        """All bytes of the part; it is read into memory."""
        return await _read_all(_source_of(self.binary_source).open())


class MultipartSource(Source):
    """All parts, one after another, as one source.

    `values` is a dict or a list of pairs (for a name that repeats). A `Path`, bytes or a binary
    file becomes a file part, a `MultipartData` or a tuple `(name, content[, type[, headers]])`
    what it says, None nothing, and a str, number or other single value a field with its `str()`.
    With `is_files`, as for `files=`, a str that names an existing file is that file, and a file
    part without a name is named after its field. `media_type` names another multipart type, or a
    boundary.

    Raises `TypeError` for names that are no str and for collections that are no part,
    `InvalidHeader` for a media type or part header that may not be sent, `InvalidRequest` for
    text that `encoding` cannot write, and what opening a file raises.
    """

    __slots__ = ("_pieces", "content_type", "is_in_memory")

    def __init__(
        self,
        values: Mapping[str, Any] | Iterable[tuple[str, Any]],
        encoding: str = "utf-8",
        is_files: bool = False,
        media_type: str | None = None,
    ) -> None:
        if checked_encode('\r\n"-', encoding, "multipart") != b'\r\n"-':
            raise InvalidRequest(f"multipart bodies cannot be written in {encoding!r}")
        self.content_type, boundary = _with_boundary(media_type or _FORM_DATA)
        dashes = b"--" + boundary.encode("ascii")
        pieces: list[Source] = []
        head = dashes
        for name, value in _pairs(values):
            if value is None:
                continue
            part = _part(name, value, encoding, is_files)
            pieces.append(MemorySource(head + b"\r\n" + _head(name, part, encoding) + b"\r\n"))
            pieces.append(_source_of(part.binary_source))
            head = b"\r\n" + dashes
        pieces.append(MemorySource(head + b"--\r\n"))
        self._pieces = pieces
        self.is_in_memory = all(isinstance(piece, MemorySource) for piece in pieces)
        self.is_replayable = all(piece.is_replayable for piece in pieces)
        lengths = [piece.length for piece in pieces if piece.length is not None]
        self.length = sum(lengths) if len(lengths) == len(pieces) else None

    def open(self) -> SourceReader:
        return _MultipartReader(self._pieces)

    def whole(self) -> bytes:
        """The body as one bytes object, if all of it `is_in_memory`."""
        return b"".join(p.whole() for p in self._pieces if isinstance(p, MemorySource))


class _MultipartReader(SourceReader):
    """Reads piece after piece; one of known length must be exactly as long as it said."""

    __slots__ = ("_at", "_given", "_pieces", "_reader")

    def __init__(self, pieces: list[Source]) -> None:
        self._pieces = pieces
        self._at = 0
        self._given = 0
        self._reader = pieces[0].open()

    async def read(self) -> Chunk:
        while True:
            data = await self._reader.read()
            if data:
                self._given += len(data)
                return data
            await self._reader.close()
            self._check_length()
            self._at += 1
            if self._at >= len(self._pieces):
                self._at -= 1
                return b""
            self._given = 0
            self._reader = self._pieces[self._at].open()

    def _check_length(self) -> None:
        length = self._pieces[self._at].length
        if length is not None and self._given != length:
            raise BodyLengthMismatch(
                f"a part of the form had {length} bytes when the request was made and "
                f"{self._given} when it was sent"
            )

    async def close(self) -> None:
        await self._reader.close()


def _with_boundary(media_type: str) -> tuple[str, str]:
    """The Content-Type with a boundary, and that boundary (RFC 2046 §5.1.1)."""
    if not media_type.lower().startswith("multipart/"):
        raise InvalidRequest(
            f"a multipart body cannot have the type {media_type!r}; leave Content-Type out"
        )
    found = _BOUNDARY.search(media_type)
    if found is None:
        boundary = os.urandom(16).hex()
        return f"{media_type}; boundary={boundary}", boundary
    boundary = found[2] if found[1] is None else found[1]
    if not _LEGAL_BOUNDARY.fullmatch(boundary):
        raise InvalidRequest(f"{boundary!r} is not a multipart boundary (RFC 2046 §5.1.1)")
    return media_type, boundary


# -- one part


def _pairs(values: Any) -> list[tuple[str, Any]]:
    pairs = list(values.items() if hasattr(values, "items") else values)
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or isinstance(pair[0], bytes):
            raise TypeError(f"a form is a dict or list of pairs (name, value), not {pair!r:.80}")
    return [(str(name), value) for name, value in pairs]


def _part(name: str, value: Any, encoding: str, is_files: bool) -> MultipartData:
    if isinstance(value, MultipartData):
        return value
    if isinstance(value, tuple):
        return _part_of_tuple(name, value, encoding)
    if is_files and isinstance(value, str) and _is_file(value):
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


def _part_of_tuple(name: str, value: tuple[Any, ...], encoding: str) -> MultipartData:
    """The part that requests, httpx and aiohttp write as a tuple."""
    if not 2 <= len(value) <= 4 or not isinstance(value[0], str | None):
        raise TypeError(
            f"the part {name!r} must be (name, content[, type[, headers]]), "
            f"not a tuple of {len(value)} that begins with {type(value[0] if value else None)!r}"
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
    """A part for a path, bytes or a binary file; None for another value."""
    if isinstance(value, os.PathLike):
        name = os.path.basename(os.fsdecode(value))
        return MultipartData(value, guess_media_type(name), name)
    if isinstance(value, bytes | bytearray | memoryview):
        return MultipartData(bytes(value))
    if hasattr(value, "read"):
        path = getattr(value, "name", None)
        if not isinstance(path, str):  # an int for a file made from a descriptor
            return MultipartData(value)
        return MultipartData(value, guess_media_type(path), os.path.basename(path))
    return None


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # a NUL inside
        return False


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
        raise InvalidHeader(f"the part {name!r} has a header twice, in two spellings")
    if part.mime_type is not None and not any(f.lower() == "content-type" for f in fields):
        fields = {"Content-Type": part.mime_type, **fields}
    for field, value in fields.items():
        lines += _field(field, value)
    return lines


def _quoted(text: str, encoding: str) -> bytes:
    """The text as it may stand between quotes; what `encoding` lacks goes as browsers do it."""
    data = text.encode(encoding, "xmlcharrefreplace")
    if data.isalnum():
        return data
    return b"".join([_ESCAPES.get(byte) or bytes((byte,)) for byte in data])


def _field(name: str, value: str) -> bytes:
    if not name or not _TOKEN.issuperset(name) or name.lower() == "content-disposition":
        raise InvalidHeader(f"{name!r} cannot be a header of a part")
    if not isinstance(value, str) or any((c < " " and c != "\t") or c == "\x7f" for c in value):
        raise InvalidHeader(f"the part header {name} has characters that no header may have")
    return f"{name}: {value}\r\n".encode()


async def _read_all(reader: SourceReader) -> bytes:
    whole = bytearray()
    try:
        while piece := await reader.read():
            whole += piece
    finally:
        await reader.close()
    return bytes(whole)


async def build_multipart_body(
    values: Mapping[str, Any], encoding: str, boundary_data: str
) -> bytes:
    """The whole multipart body in memory, under a boundary of the caller's choice."""
    media_type = f'{_FORM_DATA}; boundary="{boundary_data}"'
    return await _read_all(MultipartSource(values, encoding, media_type=media_type).open())
