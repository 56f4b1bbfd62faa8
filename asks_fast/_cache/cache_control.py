"""Parse `Cache-Control` (RFC 9111, section 5.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["Directives", "parse_cache_control", "seconds"]

Directives = Mapping[str, "str | None"]

MAX_SECONDS = 2**31  # RFC 9111, section 1.2.2: what larger numbers count as
_DIRECTIVE = re.compile(r'\s*([^\s,;="]+)(?:=("(?:[^"\\]|\\.)*"|[^,]*))?[^,]*(?:,|$)')


def parse_cache_control(values: Iterable[str]) -> dict[str, str | None]:
    """Return the directives of the fields: names in lower case, values without quotes.

    The first of repeated directives counts (RFC 9111, section 4.2.1).

    Example:
        >>> parse_cache_control(['private, Max-Age=60', 'no-cache="Set-Cookie"'])
        {'private': None, 'max-age': '60', 'no-cache': 'Set-Cookie'}
    """
    found: dict[str, str | None] = {}
    for text in values:
        for name, value in _DIRECTIVE.findall(text[:4096]):
            value = value.rstrip()
            if value[:1] == '"':
                value = re.sub(r"\\(.)", r"\1", value[1:-1])
            found.setdefault(name.lower(), value or None)
    return found


def seconds(directives: Directives, name: str) -> int | None:
    """Return the number of seconds of a directive; None without one, 0 if it is invalid.

    0, because a lifetime that cannot be read must count as over (RFC 9111, section 4.2.1).
    """
    if name not in directives:
        return None
    return parse_seconds(directives[name]) or 0


def parse_seconds(text: str | None) -> int | None:
    """Return the number of seconds in a text, at most `MAX_SECONDS`; None if it is not one."""
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    return MAX_SECONDS if len(text) > 10 else min(int(text), MAX_SECONDS)
