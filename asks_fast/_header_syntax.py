"""Syntax shared by header fields: tokens, quoted strings and `name=value` parameters.

The text may come from a peer. No function raises for any text, and each takes time linear in its
length. RFC 9110 §5.6 defines the grammar; reading is lenient as described at each function.
"""

from __future__ import annotations

__all__ = [
    "ALPHANUMERIC",
    "TOKEN_CHARACTERS",
    "find_any",
    "parse_parameter",
    "parse_parameters",
    "quote_string",
    "read_quoted_string",
]

ALPHANUMERIC = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

TOKEN_CHARACTERS = frozenset(ALPHANUMERIC + "!#$%&'*+-.^_`|~")
"""Characters of a token, such as a field name (RFC 9110 §5.6.2)."""


def parse_parameters(text: str, start: int = 0) -> dict[str, str]:
    """Parse the `; name=value` parameters from `start` on (RFC 9110 §5.6.6).

    Quoted values are unquoted. Of a repeated name the first value counts, as in browsers. Spaces
    around `=` and a missing end quote are accepted. Text that is not a parameter is skipped.

    Args:
        text: a field value, such as `text/html; charset=utf-8`.
        start: index where parsing starts; what precedes the first `;` is skipped.

    Returns:
        Values by name, names in lower case.
    """
    found: dict[str, str] = {}
    at = text.find(";", start)
    while 0 <= at < len(text):
        name, value, at = parse_parameter(text, at + 1, ";")
        if name and value is not None:
            found.setdefault(name, value)
    return found


def parse_parameter(text: str, at: int, delimiters: str) -> tuple[str, str | None, int]:
    """Parse one parameter that starts at index `at`.

    Returns:
        The name in lower case, the value (None without `=`), and the index of the delimiter that
        ends the parameter, or the length of the text.
    """
    end = find_any(text, at, delimiters + "=")
    name = text[at:end].strip().lower()
    if end == len(text) or text[end] != "=":
        return name, None, end
    at = end + 1
    while at < len(text) and text[at] in " \t":
        at += 1
    if at < len(text) and text[at] == '"':
        value, at = read_quoted_string(text, at)
        return name, value, find_any(text, at, delimiters)
    end = find_any(text, at, delimiters)
    return name, text[at:end].strip(), end


def read_quoted_string(text: str, at: int) -> tuple[str, int]:
    """Read the quoted string whose opening quote is at index `at` (RFC 9110 §5.6.4).

    A missing end quote is accepted. A backslash at the very end of the text stands for itself.

    Returns:
        The unquoted value and the index after the closing quote.
    """
    pieces = []
    begin = at = at + 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text):
            pieces.append(text[begin:at])
            begin = at = at + 1  # the next character stands for itself
        at += 1
    pieces.append(text[begin:at])
    return "".join(pieces), min(at + 1, len(text))


def quote_string(value: str) -> str:
    """Write the value as a quoted string; `read_quoted_string` reads it back unchanged."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def find_any(text: str, at: int, characters: str) -> int:
    """Return the index of the next of the characters, or the length of the text."""
    while at < len(text) and text[at] not in characters:
        at += 1
    return at
