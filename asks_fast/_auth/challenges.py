"""Parse the challenges of WWW-Authenticate and Proxy-Authenticate (RFC 9110 §11).

Facts:  Challenges are separated by the same commas as their parameters, and several fields mean the
        same as one. Servers leave commas out, forget closing quotes, and quote what need not be.
        A field may be long and hostile.
Invariants:
        One pass from left to right; each character is examined a bounded number of times. No text
        raises: text that cannot be parsed is skipped. Escapes are removed when reading and written
        again when writing, so no value can end its own quotes.

Implemented elsewhere: which challenge is answered, and how (`_auth/digest_auth`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .._header_syntax import ALPHANUMERIC, TOKEN_CHARACTERS, find_any, read_quoted_string

__all__ = ["Challenge", "parse_challenges", "parse_parameter_list"]

_TOKEN68_CHARACTERS = frozenset(ALPHANUMERIC + "-._~+/")
_BLANKS = " \t\r\n"


@dataclass(slots=True)
class Challenge:
    """One challenge of a server.

    Attributes:
        scheme: in lower case, such as `basic`.
        params: parameters by name, names in lower case. Of a repeated parameter the first counts.
        token68: the token that some schemes have instead of parameters.
    """

    scheme: str
    params: dict[str, str] = field(default_factory=dict)
    token68: str | None = None


def parse_challenges(values: str | bytes | Iterable[str | bytes]) -> list[Challenge]:
    """Parse all challenges of one field or of several, in their order. Any text is accepted.

    Args:
        values: the value of one field, or those of several. Bytes are decoded as latin-1, so that
            a quoted value is the bytes that the server sent.

    Example:
        >>> parse_challenges('Basic realm="a", Bearer')
        [Challenge(scheme='basic', params={'realm': 'a'}, token68=None), Challenge(scheme='bearer', params={}, token68=None)]
    """  # noqa: E501 (output)
    challenges: list[Challenge] = []
    for value in (values,) if isinstance(values, str | bytes) else values:
        _parse(_text(value), challenges)
    return challenges


def parse_parameter_list(value: str | bytes) -> dict[str, str]:
    """Parse a field that is a list of parameters without a scheme, such as Authentication-Info."""
    challenges = [Challenge("")]
    _parse(_text(value), challenges)
    return challenges[0].params


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _parse(text: str, challenges: list[Challenge]) -> None:
    at = 0
    # Parameters in front of the first scheme of a field belong to no challenge.
    current = challenges[-1] if challenges and challenges[-1].scheme == "" else None
    while at < len(text):
        end = _skip(text, at, TOKEN_CHARACTERS)
        if end == at:
            at += 1  # a comma, a blank or an unexpected character
            continue
        word = text[at:end]
        at = _skip(text, end, _BLANKS)
        if text[at : at + 1] == "=":
            value, at = _parse_value(text, _skip(text, at + 1, _BLANKS))
            if current is not None:
                current.params.setdefault(word.lower(), value)
            continue
        current = Challenge(word.lower())
        challenges.append(current)
        if at > end:
            current.token68, at = _parse_token68(text, at)


def _skip(text: str, at: int, characters: frozenset[str] | str) -> int:
    """Return the index after the run of these characters that starts at `at`."""
    while at < len(text) and text[at] in characters:
        at += 1
    return at


def _parse_value(text: str, at: int) -> tuple[str, int]:
    """Return the value of a parameter, and the index after it."""
    if text[at : at + 1] == '"':
        return read_quoted_string(text, at)
    end = find_any(text, at, "," + _BLANKS)
    return text[at:end], end


def _parse_token68(text: str, at: int) -> tuple[str | None, int]:
    """Return the token68 at `at` and the index after it; None and `at` if parameters follow."""
    end = _skip(text, at, _TOKEN68_CHARACTERS)
    is_empty = end == at
    end = _skip(text, end, "=")
    after = _skip(text, end, _BLANKS)
    if is_empty or (after < len(text) and text[after] != ","):
        return None, at
    return text[at:end], after
