"""Cookies that the user gives: checked, and put into one field with the tracker's.

Rules:  a name or value that the jar would not take from a server is rejected before a byte is
        sent; every other one is sent as it is, "Cookie Monster" included. A cookie given with one
        request belongs to that request.
Not here: cookies that servers set (`cookie_parse`); they are skipped, never refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidHeader, truncated_repr
from .cookie import MAX_COOKIE, field_value, is_valid_text, octets

__all__ = ["check_pair", "cookie_header"]


def check_pair(name: str, value: str) -> None:
    """Raise `InvalidHeader` unless name and value, given by the user, can stand in a field."""
    if not isinstance(name, str) or not isinstance(value, str):
        raise InvalidHeader(
            f"a cookie is text: found {type(name).__name__} = {type(value).__name__}"
        )
    if not name or name != name.strip(" \t") or "=" in name or not is_valid_text(name):
        raise InvalidHeader(
            f"invalid cookie name {truncated_repr(name)}: it must not be empty, begin or end with a blank, "
            "or contain '=', ';', a control character or a lone surrogate"
        )
    if not is_valid_text(value):
        raise InvalidHeader(
            f"invalid value of cookie {truncated_repr(name)}: it must not contain ';', a control character "
            "or a lone surrogate; percent-encode it as the server expects"
        )
    if octets(name) + octets(value) > MAX_COOKIE:
        raise InvalidHeader(f"cookie {truncated_repr(name)} is longer than {MAX_COOKIE} octets")


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
    if from_tracker is not None:
        if isinstance(from_tracker, bytes):
            from_tracker = from_tracker.decode("utf-8", "surrogateescape")
        for part in map(str.strip, from_tracker.split(";")):
            if part and part.partition("=")[0] not in cookies:
                parts.append(part)
    return field_value("; ".join(parts)) if parts else None
