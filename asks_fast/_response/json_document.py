"""Parse a body as JSON: `Response.json`.

Facts:  JSON is UTF-8, UTF-16 or UTF-32, which its first bytes tell (RFC 8259 §8.1).
Rules:  the result and the errors are those of `json.loads`.
Implemented elsewhere: the error of the caller (`json_error`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from .._annotations import Json
from .charset import decode

__all__ = ["parse_json", "to_utf8"]

_scan: Callable[[str, int], tuple[Json, int]]
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # the scanner in C


def to_utf8(source: bytes | str) -> bytes | str:
    """Return a JSON document as text or as UTF-8 without a byte order mark.

    Other libraries than `json` accept nothing else.
    """
    if isinstance(source, bytes) and (source[:1] in (b"\xef", b"\xfe", b"\xff") or 0 in source[:2]):
        return decode(source, json.detect_encoding(source))
    return source


def parse_json(source: bytes | str) -> Json:
    """Parse a JSON document.

    An object or array in UTF-8 without surrounding white space costs half as much as with
    `json.loads`.
    """
    if not isinstance(source, str):
        source = _utf8_text(source)
    if isinstance(source, str) and source[:1] in ("{", "["):
        try:
            found, end = _scan(source, 0)
        except StopIteration:
            found, end = None, -1  # `loads` raises the right error
        if end == len(source):
            return found
    return json.loads(source)


def _utf8_text(source: bytes) -> bytes | str:
    """Decode an object or array in UTF-8; return anything else as it is, for `json.loads`."""
    if source[:1] in (b"{", b"[") and source[1:2] not in (b"", b"\0"):
        with suppress(UnicodeDecodeError):  # `loads` accepts surrogates
            return source.decode()
    return source
