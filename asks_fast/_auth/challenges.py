"""What a server asks for in WWW-Authenticate: challenges, read and quoted (RFC 9110 §11).

Facts:  several challenges share one field, separated by the same commas as their parameters, and
        several fields mean the same as one. Servers leave commas out, forget closing quotes, and
        quote what need not be. A field can be long and written by an enemy.
Rules:  one pass from left to right, each character looked at a bounded number of times; no text
        raises, what makes no sense is skipped. Escapes are undone when reading and made again
        when writing, so no value can leave its quotes.
Not here: what to answer (`auth`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Challenge", "parse_challenges", "parse_parameters", "quoted"]

_ALNUM = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TOKEN = frozenset(_ALNUM + "!#$%&'*+-.^_`|~")
_TOKEN68 = frozenset(_ALNUM + "-._~+/")
_SPACE = frozenset(" \t\r\n")


@dataclass(slots=True)
class Challenge:
    """One challenge: its scheme in lower case, and parameters by name in lower case or a token68.

    Of a parameter given twice the first counts.
    """

    scheme: str
    params: dict[str, str] = field(default_factory=dict)
    token68: str | None = None


def parse_challenges(values: str | bytes | Iterable[str | bytes]) -> list[Challenge]:
    """All challenges of all fields, in the order given. Any text is accepted.

    `values` is the value of one field or those of several; bytes are taken as latin-1, so that
    what is quoted back is what was sent.
    """
    challenges: list[Challenge] = []
    for value in (values,) if isinstance(values, str | bytes) else values:
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        _parse(text, challenges)
    return challenges


def parse_parameters(value: str | bytes) -> dict[str, str]:
    """The parameters of a field that has no scheme, such as Authentication-Info."""
    challenges = [Challenge("")]
    _parse(value.decode("latin-1") if isinstance(value, bytes) else value, challenges)
    return challenges[0].params


def quoted(value: str) -> str:
    """The value as a quoted-string (RFC 9110 §5.6.4)."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _parse(text: str, challenges: list[Challenge]) -> None:
    at = 0
    # A new field starts a new challenge: without a scheme of its own its parameters are lost.
    current = challenges[-1] if challenges and challenges[-1].scheme == "" else None
    while at < len(text):
        end = _span(text, at, _TOKEN)
        if end == at:
            at += 1  # a comma, a space, or rubbish
            continue
        word = text[at:end]
        at = _span(text, end, _SPACE)
        if text[at : at + 1] == "=":
            value, at = _value(text, _span(text, at + 1, _SPACE))
            if current is not None:
                current.params.setdefault(word.lower(), value)
            continue
        current = Challenge(word.lower())
        challenges.append(current)
        if at > end:
            current.token68, at = _token68(text, at)


def _span(text: str, at: int, allowed: frozenset[str]) -> int:
    while at < len(text) and text[at] in allowed:
        at += 1
    return at


def _value(text: str, at: int) -> tuple[str, int]:
    if text[at : at + 1] != '"':
        end = at
        while end < len(text) and text[end] != "," and text[end] not in _SPACE:
            end += 1
        return text[at:end], end
    pieces = []
    at += 1
    while at < len(text):
        char = text[at]
        at += 1
        if char == '"':
            break
        if char == "\\" and at < len(text):
            char = text[at]
            at += 1
        pieces.append(char)
    return "".join(pieces), at


def _token68(text: str, at: int) -> tuple[str | None, int]:
    """The token68 here and its end, or nothing and where we were: then parameters follow."""
    run = _span(text, at, _TOKEN68)
    end = run
    while text[end : end + 1] == "=":
        end += 1
    after = _span(text, end, _SPACE)
    if run == at or (after < len(text) and text[after] != ","):
        return None, at
    return text[at:end], after
