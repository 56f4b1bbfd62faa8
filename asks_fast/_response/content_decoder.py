"""Remove the content codings of a body as `Content-Encoding` names them.

The same decoder serves whole bodies and streams. Input stays compressed until output is requested,
so a few kilobytes that decompress to gigabytes (a decompression bomb) cost nothing before, and then
stop at a limit.

Invariants:
        Codings are removed from the last named to the first. At most 5 may be named, counted over
        all fields before anything is created. At the first coding that is unknown, or whose library
        is missing, decoding stops and the body is returned with that coding, as in browsers. A body
        that ends early, is corrupt, or continues after its end (except gzip, unless `strict`)
        raises `DecodingError`. The output of every layer counts against the limits.

Implemented elsewhere: the codings (`decompressors`), charsets (`charset`), chunked transfer coding
(`src_pyx/hotpath`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from .._extras import missing_extra
from ..errors import DecodingError, ResponseTooLarge, truncated_repr
from . import compression_backends, decompressors
from .charset import TextDecoder

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

__all__ = [
    "ACCEPT_ENCODING",
    "DEFAULT_MAX_SIZE",
    "MAX_CODINGS",
    "RATIO_FLOOR",
    "ContentDecoder",
    "decode_body",
    "decode_truncated",
    "decompress",
    "decompress_one",
    "missing_library",
    "parse_content_encoding",
]

ACCEPT_ENCODING: str
"""Value of `Accept-Encoding`: the codings that this installation can decode."""

DEFAULT_MAX_SIZE = 1 << 30
"""Default limit of a decoded body in bytes: 1 GiB."""

MAX_CODINGS = 5
"""Maximum number of codings of one body."""

RATIO_FLOOR = 1 << 20
"""A body of up to 1 MiB is never rejected for its ratio: an empty page compresses very well."""

_STEP = 65536  # minimum number of bytes requested from a layer at once


class ContentDecoder:
    """Decodes one body, which is fed and read in pieces of any size.

    After an error the decoder cannot be used any more.

    Args:
        content_encoding: the value of the field, or the values of several such fields in order.
        max_size: limit in bytes for the output of each layer, None for none.
        max_ratio: limit of output bytes per input byte, None for none; checked after more than
            `RATIO_FLOOR` bytes of output.
        strict: reject bytes after the last gzip member; otherwise up to 64 KiB are ignored.

    Raises:
        DecodingError: more than `MAX_CODINGS` codings are named.

    Attributes:
        undecoded: the codings that are not removed, in the order in which they were applied.
    """

    __slots__ = (
        "_bytes_in",
        "_layers",
        "_max_output",
        "_max_ratio",
        "_max_size",
        "_needs_input",
        "_overflow",
        "_overflow_start",
        "undecoded",
    )

    def __init__(
        self,
        content_encoding: str | Sequence[str],
        *,
        max_size: int | None = DEFAULT_MAX_SIZE,
        max_ratio: float | None = None,
        strict: bool = False,
    ) -> None:
        names = _parse(content_encoding)
        supported = _supported()
        self._layers: list[decompressors.Layer] = []  # the coding applied last comes first
        while names and (names[-1] in supported or names[-1] == "identity"):
            name = names.pop()
            if name != "identity":
                self._layers.append(decompressors.LAYERS[name](strict))
        self.undecoded = tuple(names)
        self._max_size = max_size
        self._max_ratio = max_ratio
        self._max_output: float = 0
        self._bytes_in = 0
        self._overflow = b""  # output beyond what was requested, from `_overflow_start` on
        self._overflow_start = 0
        self._needs_input = True

    @property
    def is_identity(self) -> bool:
        """Whether the body is returned unchanged: it has no coding, or none that can be removed."""
        return not self._layers

    @property
    def needs_input(self) -> bool:
        """False if `decode(b"", n)` may return more. Feed a stream only if this is True."""
        return self._needs_input

    def decode(self, data: bytes | bytearray | memoryview, max_length: int = -1) -> bytes:
        """Feed bytes of the body and return decoded ones.

        Args:
            data: the next bytes of the body; may be empty. No reference to it is kept.
            max_length: maximum number of bytes to return, -1 for all. The rest stays compressed;
                `decode(b"", n)` continues with it until `needs_input` is True.

        Raises:
            DecodingError: the bytes are corrupt, or continue after the end of a coding.
            ResponseTooLarge: a limit was exceeded.
        """
        if type(data) is not bytes:
            data = bytes(data)  # the caller may overwrite its buffer before all of it is decoded
        if data:
            self._feed(data)
        if max_length < 0:
            parts = [self._take_overflow(-1)]
            while part := self._decode_step(16 * _STEP):
                parts.append(part)
            return b"".join(parts)
        if max_length == 0:
            return b""
        if self._overflow_start >= len(self._overflow):
            part = self._decode_step(max(max_length, _STEP))
            if len(part) <= max_length:
                return part
            self._overflow, self._overflow_start = part, 0
        return self._take_overflow(max_length)

    def finish(self) -> bytes:
        """Signal the end of the body and return the remaining output.

        Raises:
            DecodingError: a coding is incomplete: the body was truncated.
            ResponseTooLarge: a limit was exceeded.
        """
        rest = self.decode(b"")
        for layer in self._layers:
            if not layer.is_complete():
                raise DecodingError(
                    f"the {layer.name} body was cut short: {layer.bytes_in} compressed bytes gave"
                    f" {layer.bytes_out} bytes without an end"
                )
        return rest

    def _feed(self, data: bytes) -> None:
        self._needs_input = False
        self._bytes_in += len(data)
        if not self._layers:
            self._overflow = self._overflow[self._overflow_start :] + data
            self._overflow_start = 0
            return
        self._layers[0].feed(data)
        self._max_output = _max_output(self._bytes_in, self._max_size, self._max_ratio)

    def _take_overflow(self, length: int) -> bytes:
        start = self._overflow_start
        if length < 0 or len(self._overflow) - start <= length:
            part = self._overflow[start:] if start else self._overflow
            self._overflow, self._overflow_start = b"", 0
            if not self._layers:
                self._needs_input = True
            return part
        self._overflow_start = start + length
        return self._overflow[start : self._overflow_start]

    def _decode_step(self, limit: int) -> bytes:
        """Return about `limit` bytes of the last layer, `b""` if it needs more input."""
        plain = self._read(len(self._layers) - 1, limit) if self._layers else b""
        if not plain:
            self._needs_input = True
        return plain

    def _read(self, index: int, limit: int) -> bytes:
        layer = self._layers[index]
        while True:
            # One byte beyond the limit is enough to detect that it is exceeded.
            size = min(limit, self._max_output - layer.bytes_out + 1)
            plain = layer.read(int(size))
            if plain:
                if layer.bytes_out > self._max_output:
                    raise self._too_large()
                return plain
            more = self._read(index - 1, _STEP) if index else b""
            if not more:
                return b""
            layer.feed(more)

    def _too_large(self) -> ResponseTooLarge:
        if self._max_size is not None and self._max_output >= self._max_size:
            return ResponseTooLarge(
                f"the body exceeds {self._max_size} bytes after decompression"
                f" ({self._bytes_in} compressed bytes so far)"
            )
        return ResponseTooLarge(
            f"the body exceeds {self._max_ratio} times its compressed size"
            f" ({self._bytes_in} compressed bytes so far)"
        )


def decode_body(
    data: bytes,
    content_encoding: str | Sequence[str],
    *,
    max_size: int | None = DEFAULT_MAX_SIZE,
    max_ratio: float | None = None,
    strict: bool = False,
) -> bytes:
    """Decode a whole body. Returns `data` itself if there is no coding to remove.

    Arguments and errors are those of `ContentDecoder`. A body with one coding and one member or
    frame takes a single call of the library.
    """
    if type(content_encoding) is str:
        one_shot = compression_backends.ONE_SHOT.get(content_encoding)
        if one_shot is not None and data:
            limit = _max_output(len(data), max_size, max_ratio)
            plain = one_shot(data, int(min(limit + 1, _NO_LIMIT)))
            if plain is not None and len(plain) <= limit:
                return plain
    decoder = ContentDecoder(
        content_encoding, max_size=max_size, max_ratio=max_ratio, strict=strict
    )
    if decoder.is_identity or not data:
        return data
    plain = decoder.decode(data)
    rest = decoder.finish()
    return plain + rest if rest else plain


def decode_truncated(
    data: bytes,
    content_encoding: str | Sequence[str],
    *,
    max_size: int | None = DEFAULT_MAX_SIZE,
    max_ratio: float | None = None,
    strict: bool = False,
) -> bytes:
    """Decode as much as there is of a body that broke off; arguments as for `decode_body`."""
    decoder = ContentDecoder(
        content_encoding, max_size=max_size, max_ratio=max_ratio, strict=strict
    )
    return data if decoder.is_identity or not data else decoder.decode(data)


_NO_LIMIT = (1 << 62) - 1


def _max_output(bytes_in: int, max_size: int | None, max_ratio: float | None) -> float:
    """Return the limit of the output after `bytes_in` bytes of input."""
    limit: float = _NO_LIMIT if max_size is None else max_size
    if max_ratio is not None:
        limit = min(limit, max(RATIO_FLOOR, bytes_in * max_ratio))
    return limit


def _parse(content_encoding: str | Sequence[str]) -> list[str]:
    """Return the codings in lower case, in the order in which they were applied (RFC 9110 §8.4)."""
    lines = [content_encoding] if isinstance(content_encoding, str) else content_encoding
    names = [name for line in lines for part in line.split(",") if (name := part.strip().lower())]
    if len(names) > MAX_CODINGS:
        raise DecodingError(
            f"the body has {len(names)} content codings, more than {MAX_CODINGS}:"
            f" {truncated_repr(', '.join(names))}"
        )
    return names


def missing_library(content_encoding: str | Sequence[str]) -> str | None:
    """Return which library must be installed to decode a body, None if none would help."""
    supported = _supported()
    if type(content_encoding) is str and content_encoding in supported:
        return None
    names = _parse(content_encoding)
    while names and (names[-1] in supported or names[-1] == "identity"):
        names.pop()
    if not names or names[-1] not in decompressors.LAYERS:
        return None
    coding = names[-1]
    package = "brotli" if coding == "br" else "zstandard"
    return f"the body is coded with {coding}: " + missing_extra("decoding it", package, "speed")


# -- the generators of asks' http_utils


def parse_content_encoding(content_encoding: str) -> list[str]:
    """Return the codings that a Content-Encoding names, in their order."""
    return [coding.strip() for coding in content_encoding.split(",")]


def decompress(
    compressions: Iterable[str], encoding: str | None = None
) -> Generator[bytes | str, bytes, None]:
    """Return a started generator: `send` compressed bytes, receive decompressed ones.

    Args:
        compressions: names of the codings, in the order in which they were applied.
        encoding: text encoding; with it the generator yields str.

    Raises:
        DecodingError: the bytes are corrupt, or more than `MAX_CODINGS` codings are named.
        ResponseTooLarge: more than `DEFAULT_MAX_SIZE` bytes came out.

    Example:
        >>> generator = decompress(["gzip"])
        >>> plain = generator.send(compressed)
    """
    generator = _decompress(list(compressions), encoding)
    next(generator)
    return generator


def decompress_one(compression: str) -> Generator[bytes | str, bytes, None]:
    """Return `decompress` for a single coding."""
    return decompress([compression])


def _decompress(
    compressions: list[str], encoding: str | None
) -> Generator[bytes | str, bytes, None]:
    decoder = ContentDecoder(compressions)
    to_text = TextDecoder(encoding) if encoding else None
    plain: bytes | str = b""
    while True:
        data = yield plain
        plain = decoder.decode(data)
        if to_text is not None:
            plain = to_text.decode(plain)


@cache
def _supported() -> frozenset[str]:
    return frozenset([*compression_backends.installed(), "x-gzip"])


def __getattr__(name: str) -> str:
    if name == "ACCEPT_ENCODING":
        value = ", ".join(compression_backends.installed())
        globals()["ACCEPT_ENCODING"] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
