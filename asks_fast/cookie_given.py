"""Cookies that the user gives: checked, and put into one field with the tracker's.

Rules:  what cannot stand in a Cookie field is refused before a byte is sent (RFC 6265 §4.1.1, a
        little wider, as sites are). A cookie given with one request belongs to that request.
Not here: cookies that servers set (`cookie_parse`); they are skipped, never refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .cookie_parse import MAX_COOKIE
from .errors import InvalidHeader, clip

__all__ = ["check_pair", "cookie_header"]

_BAD_IN_NAME = frozenset('=;, \t"\\')


def check_pair(name: str, value: str) -> None:
    """Raise `InvalidHeader` unless name and value, given by the user, can stand in a field."""
    if not isinstance(name, str) or not isinstance(value, str):
        raise InvalidHeader(
            f"a cookie is text: found {type(name).__name__} = {type(value).__name__}"
        )
    if not name or any(c <= " " or c >= "\x7f" or c in _BAD_IN_NAME for c in name):
        raise InvalidHeader(f"{clip(name)} is no cookie name: no blanks, quotes, '=', ';' or ','")
    if any(c < " " or c >= "\x7f" or c == ";" for c in value):
        raise InvalidHeader(
            f"the value of cookie {clip(name)} holds ';', a control or non-ASCII character: "
            "percent-encode it as the server expects"
        )
    if len(name) + len(value) > MAX_COOKIE:
        raise InvalidHeader(f"cookie {clip(name)} is longer than {MAX_COOKIE} octets")


def cookie_header(
    cookies: Mapping[str, Any] | None, from_tracker: str | bytes | None = None
) -> str | bytes | None:
    """The Cookie field for a request with `cookies=`: they go in front of other cookies.

    `from_tracker` has those of the tracker, or of a `Cookie` field given by hand. A cookie given
    with the request takes the place of another one of the same name. Values that
    are numbers are sent as text, None leaves the cookie out of both. Raises `InvalidHeader`.
    """
    if not cookies:
        return from_tracker
    parts = []
    for name, value in cookies.items():
        text = str(value) if isinstance(value, (int, float)) else value
        check_pair(name, "" if text is None else text)
        if text is not None:
            parts.append(f"{name}={text}")
    if from_tracker is None:
        return "; ".join(parts) or None
    if isinstance(from_tracker, bytes):
        kept = from_tracker.decode("utf-8", "surrogateescape")
    else:
        kept = from_tracker
    for part in map(str.strip, kept.split(";")):
        if part and part.partition("=")[0] not in cookies:
            parts.append(part)
    text = "; ".join(parts)
    if isinstance(from_tracker, bytes):
        return text.encode("utf-8", "surrogateescape") or None
    return text or None
