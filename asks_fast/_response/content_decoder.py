"""A body's content codings taken off: `Content-Encoding` in, plain bytes out.

The same decoder serves whole bodies and streams. What it is given stays compressed until output
is asked for, so that a few kilobytes that would grow into gigabytes (a "bomb") cost nothing
until somebody wants them, and then stop at a limit.

Rules:  codings come off from the last named to the first; at most 5 may be named, counted over
        all header lines before anything is built. The first one that is unknown (or whose library
        is missing) stops the work there, and the body is given out still coded by it, as browsers
        and the common clients do. A body that ends early, or is corrupt, or goes on after its
        end (other than gzip, unless `strict`), is a `DecodingError`. Each layer's output counts
        against the limits, not only the last.
Not here: the codings themselves (decompressors.py), charsets (http_utils.py), transfer codings.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ..errors import DecodingError, ResponseTooLarge, truncated_repr
from . import compression_backends, decompressors

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ACCEPT_ENCODING",
    "DEFAULT_MAX_SIZE",
    "MAX_CODINGS",
    "RATIO_FLOOR",
    "ContentDecoder",
    "decode_body",
    "decode_truncated",
]

ACCEPT_ENCODING: str
"""What to send as `Accept-Encoding`: what this installation can decode. Found at first use."""

DEFAULT_MAX_SIZE = 1 << 30
"""Bytes that a decoded body may have unless said otherwise: 1 GiB."""

MAX_CODINGS = 5
"""More codings than this on one body are refused."""

RATIO_FLOOR = 1 << 20
"""A body of up to 1 MiB is never refused for its ratio: a blank page compresses very well."""

_STEP = 65536  # the least that a layer is asked for at once, in bytes


class ContentDecoder:
    """Decodes one body, fed and read in pieces of any size.

    Args:
        content_encoding: the field's value, or the values of several such fields in order.
        max_size: most bytes that may come out of any layer, `None` for no limit.
        max_ratio: most bytes that may come out per byte put in, `None` for no limit; looked at
            once more than `RATIO_FLOOR` bytes have come out.
        strict: refuse bytes after the last gzip member; otherwise up to 64 KiB are ignored.

    Raises:
        DecodingError: more than `MAX_CODINGS` codings are named.

    `undecoded` names the codings that stay on the body, in the order they were applied.
    After an error the decoder is of no further use.
    """

    __slots__ = (
        "_layers",
        "_max_output",
        "_max_ratio",
        "_max_size",
        "_needs_input",
        "_overflow",
        "_spare_at",
        "_wire",
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
        known = _known()
        self._layers: list[decompressors.Layer] = []  # the wire's own coding first
        while names and (names[-1] in known or names[-1] == "identity"):
            name = names.pop()
            if name != "identity":
                self._layers.append(decompressors.LAYERS[name](strict))
        self.undecoded = tuple(names)
        self._max_size = max_size
        self._max_ratio = max_ratio
        self._max_output: float = 0
        self._wire = 0
        self._overflow = b""  # output that was more than asked for, from `_spare_at` on
        self._spare_at = 0
        self._needs_input = True

    @property
    def is_identity(self) -> bool:
        """True if the body goes through unchanged: no coding, or none that can be taken off."""
        return not self._layers

    @property
    def needs_input(self) -> bool:
        """False if `decode(b"", n)` may give more. Feed a stream only when this is True."""
        return self._needs_input

    def decode(self, data: bytes | bytearray | memoryview, max_length: int = -1) -> bytes:
        """Put in some of the body, take out what has become readable.

        Args:
            data: the next bytes as they came; may be empty. Not referred to afterwards.
            max_length: most bytes to give back, -1 for all there are. What is left stays
                compressed; `decode(b"", n)` goes on with it until `needs_input` is True.

        Raises:
            DecodingError: the bytes are corrupt, or go on after the end of a coding.
            ResponseTooLarge: a limit was passed.
        """
        if type(data) is not bytes:
            data = bytes(data)  # the caller's buffer may be written over before we are done
        if data:
            self._feed(data)
        if max_length < 0:
            parts = [self._take_spare(-1)]
            while part := self._pull(16 * _STEP):
                parts.append(part)
            return b"".join(parts)
        if max_length == 0:
            return b""
        if self._spare_at >= len(self._overflow):
            part = self._pull(max(max_length, _STEP))
            if len(part) <= max_length:
                return part
            self._overflow, self._spare_at = part, 0
        return self._take_spare(max_length)

    def finish(self) -> bytes:
        """Say that the body is at its end; gives all output that was still to come.

        Raises:
            DecodingError: a coding is not at its end: the body was cut short.
            ResponseTooLarge: a limit was passed.
        """
        rest = self.decode(b"")
        for layer in self._layers:
            if not layer.is_complete():
                raise DecodingError(
                    f"the {layer.name} body was cut short: {layer.bytes_in} compressed bytes gave"
                    f" {layer.bytes_out} and no end"
                )
        return rest

    # -- inside

    def _feed(self, data: bytes) -> None:
        self._needs_input = False
        self._wire += len(data)
        if not self._layers:
            self._overflow = self._overflow[self._spare_at :] + data
            self._spare_at = 0
            return
        self._layers[0].feed(data)
        self._max_output = _max_output(self._wire, self._max_size, self._max_ratio)

    def _take_spare(self, length: int) -> bytes:
        start = self._spare_at
        if length < 0 or len(self._overflow) - start <= length:
            part = self._overflow[start:] if start else self._overflow
            self._overflow, self._spare_at = b"", 0
            if not self._layers:
                self._needs_input = True
            return part
        self._spare_at = start + length
        return self._overflow[start : self._spare_at]

    def _pull(self, limit: int) -> bytes:
        """Up to about `limit` bytes out of the last layer, `b""` if it needs more."""
        plain = self._read(len(self._layers) - 1, limit) if self._layers else b""
        if not plain:
            self._needs_input = True
        return plain

    def _read(self, index: int, limit: int) -> bytes:
        layer = self._layers[index]
        while True:
            # one byte more than allowed is enough to know that it is too much
            room = min(limit, self._max_output - layer.bytes_out + 1)
            plain = layer.read(int(room))
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
                f"the body grew beyond {self._max_size} bytes while being decompressed"
                f" ({self._wire} bytes so far on the wire)"
            )
        return ResponseTooLarge(
            f"the body grew beyond {self._max_ratio} times its compressed size"
            f" ({self._wire} bytes so far on the wire)"
        )


def decode_body(
    data: bytes,
    content_encoding: str | Sequence[str],
    *,
    max_size: int | None = DEFAULT_MAX_SIZE,
    max_ratio: float | None = None,
    strict: bool = False,
) -> bytes:
    """Decode a whole body; gives `data` itself when there is nothing to take off.

    Arguments and errors are those of `ContentDecoder`. The common cases (one coding, one member
    or frame) are a single call of the library.
    """
    if type(content_encoding) is str:
        one_shot = compression_backends.AT_ONCE.get(content_encoding)
        if one_shot is not None and data:
            ceiling = _max_output(len(data), max_size, max_ratio)
            plain = one_shot(data, int(min(ceiling + 1, _NO_LIMIT)))
            if plain is not None and len(plain) <= ceiling:
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


def _max_output(wire: int, max_size: int | None, max_ratio: float | None) -> float:
    """The most bytes that may have come out after `wire` bytes went in."""
    ceiling: float = _NO_LIMIT if max_size is None else max_size
    if max_ratio is not None:
        ceiling = min(ceiling, max(RATIO_FLOOR, wire * max_ratio))
    return ceiling


def _parse(content_encoding: str | Sequence[str]) -> list[str]:
    """The codings named, lower case, in the order they were applied (RFC 9110 §8.4)."""
    lines = [content_encoding] if isinstance(content_encoding, str) else content_encoding
    names = [name for line in lines for part in line.split(",") if (name := part.strip().lower())]
    if len(names) > MAX_CODINGS:
        raise DecodingError(
            f"{len(names)} content codings on one body, more than {MAX_CODINGS}:"
            f" {truncated_repr(', '.join(names))}"
        )
    return names


def missing_library(content_encoding: str | Sequence[str]) -> str | None:
    """What to install for a body that stays coded, None if there is nothing that would help."""
    names = _parse(content_encoding)
    known = _known()
    while names and (names[-1] in known or names[-1] == "identity"):
        names.pop()
    if not names or names[-1] not in decompressors.LAYERS:
        return None
    coding = names[-1]
    return (
        f"the body is coded with {coding}, and the library for it is not installed:"
        ' pip install "asks-fast[speed]"'
    )


@cache
def _known() -> frozenset[str]:
    return frozenset([*compression_backends.installed(), "x-gzip"])


def __getattr__(name: str) -> str:
    if name == "ACCEPT_ENCODING":
        value = ", ".join(compression_backends.installed())
        globals()["ACCEPT_ENCODING"] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
