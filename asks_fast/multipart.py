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
from collections.abc import AsyncIterable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from .body_files import DiskSource, source_of_file
from .body_sources import (
    AsyncIterableSource,
    IterableSource,
    MemorySource,
    Piece,
    Reader,
    Source,
    checked_encode,
    media_type_of,
)
from .errors import BodyLengthMismatch, InvalidHeader, InvalidRequest

__all__ = ["MultipartData", "MultipartSource", "build_multipart_body"]

_RAW_BYTES_MIMETYPE = "application/octet-stream"
_FORM_DATA = "multipart/form-data"

_ESCAPES = {byte: b"%%%02X" % byte for byte in (*range(32), 0x22, 0x7F)}
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
    file becomes a file part, a `MultipartData` what it says, anything else a field with its
    `str()`. With `paths`, as for `files=`, a str that names an existing file is that file.

    Raises `TypeError` for names that are no str, `InvalidHeader` for a media type or part header
    that may not be sent, `InvalidRequest` for text that `encoding` cannot write, and what opening
    a file raises.
    """

    __slots__ = ("_pieces", "boundary", "is_in_memory")

    def __init__(
        self,
        values: Mapping[str, Any] | Iterable[tuple[str, Any]],
        encoding: str = "utf-8",
        paths: bool = False,
        boundary: str | None = None,
    ) -> None:
        if checked_encode('\r\n"-', encoding, "multipart") != b'\r\n"-':
            raise InvalidRequest(f"multipart bodies cannot be written in {encoding!r}")
        self.boundary = os.urandom(16).hex() if boundary is None else boundary
        dashes = b"--" + self.boundary.encode("ascii")
        pieces: list[Source] = []
        head = dashes
        for name, value in _pairs(values):
            part = _part(value, encoding, paths)
            pieces.append(MemorySource(head + b"\r\n" + _head(name, part, encoding) + b"\r\n"))
            pieces.append(_source_of(part.binary_source))
            head = b"\r\n" + dashes
        pieces.append(MemorySource(head + b"--\r\n"))
        self._pieces = pieces
        self.is_in_memory = all(isinstance(piece, MemorySource) for piece in pieces)
        self.replayable = all(piece.replayable for piece in pieces)
        lengths = [piece.length for piece in pieces if piece.length is not None]
        self.length = sum(lengths) if len(lengths) == len(pieces) else None

    def content_type(self, mimetype: str | None = None) -> str:
        """The Content-Type with the boundary; `mimetype` may name another multipart type."""
        if mimetype is not None and not mimetype.lower().startswith("multipart/"):
            raise InvalidRequest(f"a multipart body cannot have the type {mimetype!r}")
        return f"{mimetype or _FORM_DATA}; boundary={self.boundary}"

    def open(self) -> Reader:
        return _MultipartReader(self._pieces)

    def whole(self) -> bytes:
        """The body as one bytes object, if all of it `is_in_memory`."""
        return b"".join(p.whole() for p in self._pieces if isinstance(p, MemorySource))


class _MultipartReader(Reader):
    """Reads piece after piece; one of known length must be exactly as long as it said."""

    __slots__ = ("_at", "_given", "_pieces", "_reader")

    def __init__(self, pieces: list[Source]) -> None:
        self._pieces = pieces
        self._at = 0
        self._given = 0
        self._reader = pieces[0].open()

    async def read(self) -> Piece:
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


# -- one part


def _pairs(values: Any) -> list[tuple[str, Any]]:
    pairs = list(values.items() if hasattr(values, "items") else values)
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or isinstance(pair[0], bytes):
            raise TypeError(f"a form is a dict or list of pairs (name, value), not {pair!r:.80}")
    return [(str(name), value) for name, value in pairs]


def _part(value: Any, encoding: str, paths: bool) -> MultipartData:
    if isinstance(value, MultipartData):
        return value
    if paths and isinstance(value, str) and _is_file(value):
        value = Path(value)
    if isinstance(value, os.PathLike):
        name = os.path.basename(os.fsdecode(value))
        return MultipartData(value, media_type_of(name), name)
    if isinstance(value, bytes | bytearray | memoryview):
        return MultipartData(bytes(value))
    if hasattr(value, "read"):
        path = getattr(value, "name", None)
        if not isinstance(path, str):  # an int for a file made from a descriptor
            return MultipartData(value)
        return MultipartData(value, media_type_of(path), os.path.basename(path))
    return MultipartData(checked_encode(str(value), encoding, "a form value"), None)


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


async def _read_all(reader: Reader) -> bytes:
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
    return await _read_all(MultipartSource(values, encoding, boundary=boundary_data).open())
