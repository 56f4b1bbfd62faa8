"""Mask values by their names in text: URLs, forms, JSON at any position, HTML and XML.

Each function takes a text and `is_secret(name)`, and returns the text with the values of secret
names replaced by `MASK`. Text without secrets is returned unchanged. No function raises, whatever
the text, and the time grows linearly with its length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

from .._sensitive import MASK

__all__ = ["mask_json", "mask_members", "mask_pairs", "mask_tags", "mask_urls"]

IsSecret = Callable[[str], bool]

# -- URLs and forms

_USERINFO = re.compile(r"""(^|[\s"'<>:=(,])//[^\s/?#"'<>]{1,1000}@""")
_PAIR_NAME = re.compile(r"""(?:^|[?&#;])([^=?&#;\s"'<>]{1,200})=""", re.MULTILINE)
_PAIR_VALUE = re.compile(r"""[^&#\s"'<>]*""")


def mask_urls(text: str, is_secret: IsSecret) -> str:
    """Remove userinfo from all URLs in a text; mask parameters of queries and fragments."""
    text = _USERINFO.sub(r"\1//", text)
    return _mask_values(text, _PAIR_NAME, lambda name: is_secret(unquote_plus(name)), _end_of_pair)


def _end_of_pair(text: str, start: int) -> int:
    found = _PAIR_VALUE.match(text, start)
    return found.end() if found else start


def mask_pairs(text: str, is_secret: IsSecret) -> str:
    """Mask a form: `a=1&token=x` becomes `a=1&token=***`."""
    pieces = []
    for piece in text.split("&"):
        name, equals, _ = piece.partition("=")
        masks = equals and is_secret(unquote_plus(name))
        pieces.append(f"{name}={MASK}" if masks else piece)
    return "&".join(pieces)


# -- JSON


def mask_json(text: str, is_secret: IsSecret) -> str:
    """Mask each JSON object or array in a text: alone, one per line, after a prefix, in a call."""
    pieces = []
    position = 0
    work_left = 16 * len(text) + 1000  # characters of failed attempts, then `mask_members` is used
    for found in re.finditer(r"[\[{]", text):
        start = found.start()
        if start < position:
            continue
        decoder = _Decoder()
        try:
            value, end = decoder.raw_decode(text, start)
            masked = _mask_member(value, is_secret)
            is_changed = masked != value or decoder.has_duplicates
            written = json.dumps(masked, ensure_ascii=False) if is_changed else text[start:end]
            pieces += [text[position:start], written]
            position = end
        except json.JSONDecodeError as error:
            work_left -= error.pos - start + 1
            if work_left < 0:
                break
        except (RecursionError, ValueError):  # nested too deeply; a number of too many digits
            break
    return "".join([*pieces, text[position:]])


class _Decoder(json.JSONDecoder):
    """Detects objects with duplicate names: `json` keeps only the last value."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=self._make)
        self.has_duplicates = False

    def _make(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        self.has_duplicates |= len(made) < len(pairs)
        return made


def _mask_member(value: Any, is_secret: IsSecret) -> Any:
    if isinstance(value, dict):
        named = value.get("name", value.get("key"))  # {"name": "password", "value": "x"}
        masks_value = isinstance(named, str) and is_secret(named)
        return {
            name: _hidden(inner)
            if is_secret(name)
            or (masks_value and name.lower() == "value")
            or (name.lower().endswith("tokens") and not isinstance(inner, int | float))
            else _mask_member(inner, is_secret)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_mask_member(inner, is_secret) for inner in value]
    if isinstance(value, str):
        if value[:1] in ("{", "["):  # JSON within JSON
            value = mask_members(mask_json(value, is_secret), is_secret)
        return mask_urls(value, is_secret)
    return value


def _hidden(value: Any) -> Any:
    """Mask a whole value, except null, true and false."""
    return value if value is None or isinstance(value, bool) else MASK


# -- members in text that is not valid JSON: truncated, escaped, JavaScript

_MEMBER_NAME = re.compile(
    r"""(?P<q>\\*["'])([^"'\\\s]{1,200})(?P=q)\s{0,99}:\s{0,99}(?=\\*["']|-?\d|[\[{])"""
    r"""|\b([\w-]{1,200})\s{0,99}:\s{0,99}(?=["'])"""
)
_MEMBER_VALUE = re.compile(
    r"""(?P<q>\\*["'])(?:.*?(?<!\\))?(?P=q)|(?P<open>\\*["'])|-?\d[\w.+-]*""", re.DOTALL
)


def mask_members(text: str, is_secret: IsSecret) -> str:
    """Mask values of secret names in text such as `{"password": "x", "items": [1, 2`."""
    return _mask_values(text, _MEMBER_NAME, is_secret, _end_of_member, f'"{MASK}"')


def _end_of_member(text: str, start: int) -> int:
    """Return the end of the value; the end of the text if it is never closed."""
    if text[start] in "{[":
        try:
            return json.JSONDecoder().raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            return len(text)
    found = _MEMBER_VALUE.match(text, start)
    return len(text) if found is None or found["open"] else found.end()


# -- HTML and XML

_TAG = re.compile(r"<(?:input|meta)\b[^<>]*>", re.IGNORECASE)
_TAG_NAME = re.compile(r"""\b(?:name|id|property)\s*=\s*["']?([^\s"'<>]+)""", re.IGNORECASE)
_TAG_VALUE = re.compile(
    r"""(\b(?:value|content)\s*=\s*)("[^"]*"|'[^']*'|[^\s"'<>]+)""", re.IGNORECASE
)
_ELEMENT = re.compile(r"<((?:[\w.-]{1,100}:)?([\w.-]{1,100}))(\s[^<>]*)?>([^<]+)(?=</)")
_ATTRIBUTE = re.compile(r"""(\s([\w:.-]{1,100})=)("[^"<>]*"|'[^'<>]*')""")


def mask_tags(text: str, is_secret: IsSecret, *, is_xml: bool) -> str:
    """Mask values of HTML inputs and, with `is_xml`, of elements and attributes."""

    def tag(found: re.Match[str]) -> str:
        if any(is_secret(name) for name in _TAG_NAME.findall(found[0])):
            return _TAG_VALUE.sub(rf'\1"{MASK}"', found[0])
        return found[0]

    def element(found: re.Match[str]) -> str:
        content = MASK if is_secret(found[2]) else found[4]
        return f"<{found[1]}{found[3] or ''}>{content}"

    def attribute(found: re.Match[str]) -> str:
        return f'{found[1]}"{MASK}"' if is_secret(found[2]) else found[0]

    text = _TAG.sub(tag, text)
    if is_xml:
        text = _ATTRIBUTE.sub(attribute, _ELEMENT.sub(element, text))
    return text


def _mask_values(
    text: str,
    name: re.Pattern[str],
    is_secret: IsSecret,
    end_of_value: Callable[[str, int], int],
    mask: str = MASK,
) -> str:
    """Replace the values that follow secret names; the name is the last group that matched."""
    pieces = []
    position = 0
    for found in name.finditer(text):
        if found.start() < position or not is_secret(found[found.lastindex or 0]):
            continue
        end = end_of_value(text, found.end())
        if end > found.end():
            pieces += [text[position : found.end()], mask]
            position = end
    return "".join([*pieces, text[position:]])
