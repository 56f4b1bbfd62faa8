"""Text to percent-encoded text: targets, `params`, form bodies.

Facts:  a request line carries visible ASCII only (RFC 9112 §3), so whatever else a URL holds
        is percent-encoded here, as UTF-8 unless the caller names another encoding.
Rules:  a valid `%XX` is kept as it is and never encoded twice; a stray `%` becomes `%25`.
        Nothing is ever decoded. `[` and `]` stay as they are (servers know `filter[a]=1`).
        In the values of `params` and forms everything but letters, digits and `-._~` is
        encoded, a space as `+`: so `& = + % #` arrive as the data they are.
        All of it is linear in the length of the text.
Not here: what a URL is (`urls`), which host is legal (`url_host`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ..errors import InvalidRequest, InvalidURL, truncated_repr

__all__ = ["Params", "add_params", "encode_params", "form_encode", "quote_target"]

MAX_URL_LENGTH = 65536  # characters of a URL, and of the target made from it

Params: TypeAlias = "str | bytes | Mapping[Any, Any] | Iterable[tuple[Any, Any]]"

_ALNUM = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_UNRESERVED = _ALNUM + b"-._~"
# What may stand in path and query as it is (RFC 3986 §3.3, §3.4), "%" and "?" not counted.
TARGET_SAFE = _UNRESERVED + b"!$&'()*+,;=:@/[]"

# One string per byte value: itself where it is legal, else its escape.
_TARGET_TABLE = [chr(c) if c in TARGET_SAFE + b"?%" else f"%{c:02X}" for c in range(256)]
_FORM_TABLE = [chr(c) if c in _UNRESERVED else f"%{c:02X}" for c in range(256)]
_FORM_TABLE[0x20] = "+"

_PLAIN_TARGET = TARGET_SAFE + b"?"
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def has_control(text: str) -> bool:
    """Whether a C0 control character or DEL is in the text."""
    return _CONTROL.search(text) is not None


def has_stray_percent(text: str) -> bool:
    """Whether a `%` is not followed by two hexadecimal digits."""
    return _STRAY_PERCENT.search(text.encode("utf-8", "surrogateescape")) is not None


def _to_bytes(text: str, encoding: str) -> bytes:
    """The text in its encoding; what curio or the OS smuggled in as surrogates stays a byte."""
    try:
        return text.encode(encoding, "surrogateescape")
    except (UnicodeError, LookupError) as err:
        raise InvalidURL(f"{truncated_repr(text)} cannot be encoded as {encoding}: {err}") from err


def quote_target(text: str, encoding: str = "utf-8") -> str:
    """Path and query with every character that may not be sent percent-encoded.

    Valid escapes stay, a stray `%` becomes `%25`, `#` becomes `%23` (cut a fragment off before).
    Raises `InvalidURL` for control characters, which nobody means to send.
    """
    raw = _to_bytes(text, encoding)
    if not raw.translate(None, _PLAIN_TARGET):
        return text
    if has_control(text):
        raise InvalidURL(f"control character in {truncated_repr(text)}: a URL may not hold one")
    if b"%" in raw:
        raw = _STRAY_PERCENT.sub(b"%25", raw)
    return "".join([_TARGET_TABLE[c] for c in raw])


def _quote_form(item: Any, encoding: str) -> str:
    """One key or value, encoded so that it arrives as it was."""
    if isinstance(item, str):
        raw = _to_bytes(item, encoding)
    elif isinstance(item, (bytes, bytearray, memoryview)):
        raw = bytes(item)
    else:
        raw = _to_bytes(str(item), encoding)
    if not raw.translate(None, _UNRESERVED):
        return raw.decode("ascii")
    return "".join([_FORM_TABLE[c] for c in raw])


def _pairs(data: Any, what: str) -> Iterable[tuple[Any, Any]]:
    """The pairs of a mapping (repeated keys of a multidict included) or of an iterable."""
    if isinstance(data, Mapping):
        return data.items()
    if isinstance(data, (str, bytes, bytearray)) or not hasattr(data, "__iter__"):
        raise TypeError(f"{what} must be a dict or a list of pairs, not {type(data).__name__}")
    pairs = []
    for entry in data:
        if isinstance(entry, (str, bytes)) or not hasattr(entry, "__len__") or len(entry) != 2:
            raise InvalidRequest(
                f"{what}: each entry of a list must be a (key, value) pair, not {truncated_repr(repr(entry))}"
            )
        key, value = entry
        pairs.append((key, value))
    return pairs


def _urlencode(data: Any, encoding: str, what: str) -> str:
    parts: list[str] = []
    for key, value in _pairs(data, what):
        if value is None:
            continue
        name = _quote_form(key, encoding)
        if isinstance(value, (str, bytes, bytearray, memoryview, int, float)) or not hasattr(
            value, "__iter__"
        ):
            parts.append(f"{name}={_quote_form(value, encoding)}")
        else:
            parts += [f"{name}={_quote_form(v, encoding)}" for v in value if v is not None]
    return "&".join(parts)


def encode_params(params: Params | None, encoding: str = "utf-8") -> str:
    """The query text for `params`, without the `?`.

    A dict or a list of pairs: values are str, bytes, numbers or anything else with a `str()`;
    an iterable repeats its key, `None` is left out, `True` is sent as `True` (as asks and requests
    do). A str or bytes is taken as it is and only what may not be sent is percent-encoded.
    Raises `TypeError` for other types, `InvalidRequest` (a `ValueError`) for malformed pairs.
    """
    if not params:
        if params is None or isinstance(params, (str, bytes, Mapping, list, tuple)):
            return ""
        raise TypeError(f"params must be a dict, a list of pairs or a str, not {params!r}")
    if isinstance(params, str):
        return quote_target(params, encoding)
    if isinstance(params, (bytes, bytearray)):
        return quote_target(bytes(params).decode("utf-8", "surrogateescape"))
    return _urlencode(params, encoding, "params")


def add_params(target: str, params: Params | None, encoding: str = "utf-8") -> str:
    """The target with `params` (see `encode_params`) joined to its query by `&`, or begun by `?`.

    `target` must be ready for the wire, as `Url.target` is: it is not quoted again.
    """
    query = encode_params(params, encoding)
    if not query:
        return target
    if "?" not in target:
        joined = f"{target}?{query}"
    elif target.endswith(("?", "&")):
        joined = target + query
    else:
        joined = f"{target}&{query}"
    if len(joined) > MAX_URL_LENGTH:
        raise InvalidURL(
            f"the URL with its params is {len(joined)} characters long, "
            f"more than {MAX_URL_LENGTH}: send them in the body (data=)"
        )
    return joined


def form_encode(
    data: Mapping[Any, Any] | Iterable[tuple[Any, Any]], encoding: str = "utf-8"
) -> bytes:
    """The body of an `application/x-www-form-urlencoded` form; pairs as in `encode_params`.

    `0`, `False` and `""` are kept, `None` is left out, the order is kept.
    """
    return _urlencode(data, encoding, "data").encode("ascii")
