"""Build the Cookie field of a request from `cookies=` and the stored cookies.

A name or value that the jar would not accept from a server is rejected before a byte is sent. All
others are sent unchanged, spaces included. A cookie given with one request is not stored.

Implemented elsewhere: cookies that servers set (`cookie`); invalid ones are ignored without error.
"""

from __future__ import annotations

from collections.abc import Mapping

from .._hotpath import field_value, octets
from ..errors import InvalidHeader, truncated_repr
from .cookie import MAX_COOKIE, is_valid_text

__all__ = ["check_pair", "cookie_header"]


def check_pair(name: str, value: str) -> None:
    """Check a name and a value that the user gave.

    Raises:
        InvalidHeader: they cannot be sent in a Cookie field.
    """
    if not isinstance(name, str) or not isinstance(value, str):
        raise InvalidHeader(
            f"a cookie must be text: found {type(name).__name__} = {type(value).__name__}"
        )
    if not name or name != name.strip(" \t") or "=" in name or not is_valid_text(name):
        raise InvalidHeader(
            f"invalid cookie name {truncated_repr(name)}: it must not be empty, start or end with "
            "a blank, or contain '=', ';', a control character or a lone surrogate"
        )
    if not is_valid_text(value):
        raise InvalidHeader(
            f"invalid value of cookie {truncated_repr(name)}: it must not contain ';', a control "
            "character or a lone surrogate; percent-encode it as the server expects"
        )
    if 4 * (len(name) + len(value)) > MAX_COOKIE < octets(name) + octets(value):
        raise InvalidHeader(f"cookie {truncated_repr(name)} is longer than {MAX_COOKIE} octets")


def cookie_header(
    cookies: Mapping[str, str | float | None] | None, from_tracker: str | bytes | None = None
) -> str | bytes | None:
    """Return the value of the Cookie field for a request with `cookies=`.

    Args:
        cookies: values by name. They come first and replace other cookies of the same name.
            Numbers are sent as text; None removes the cookie.
        from_tracker: the stored cookies, or a Cookie field that the caller gave as a header.

    Returns:
        The value, None if there is no cookie.

    Raises:
        InvalidHeader: a name or value cannot be sent.
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
