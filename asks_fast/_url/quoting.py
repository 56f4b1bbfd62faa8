"""Percent-encode request targets, `params` and form bodies.

Facts:  A request line contains only visible ASCII (RFC 9112 §3). All other characters of a URL are
        percent-encoded, as UTF-8 unless the caller names another encoding.
Invariants:
        A valid `%XX` is kept and never encoded twice; another `%` becomes `%25`. Nothing is
        decoded. `[` and `]` are kept, since servers expect `filter[a]=1`. In the values of `params`
        and forms everything but letters, digits and `-._~` is encoded, a space as `+`, so that
        `& = + % #` arrive as data. Time is linear in the length of the text.

Implemented elsewhere: parsing of URLs (`urls`), hosts (`_url/host`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ..errors import InvalidRequest, InvalidURL, truncated_repr

__all__ = ["Params", "add_params", "encode_params", "form_encode", "quote_target"]

MAX_URL_LENGTH = 65536  # characters of a URL, and of the target made from it

# Any, because a name or value may be any object that has a str().
Params: TypeAlias = str | bytes | Mapping[Any, Any] | Iterable[tuple[Any, Any]]
"""Query parameters: a mapping, pairs, or an encoded query."""

_ALNUM = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_UNRESERVED = _ALNUM + b"-._~"
# Characters of path and query that are not encoded (RFC 3986 §3.3, §3.4), besides "%" and "?".
TARGET_SAFE = _UNRESERVED + b"!$&'()*+,;=:@/[]"

# One string per byte value: the character if it is legal, else its escape.
_TARGET_TABLE = [chr(c) if c in TARGET_SAFE + b"?%" else f"%{c:02X}" for c in range(256)]
_FORM_TABLE = [chr(c) if c in _UNRESERVED else f"%{c:02X}" for c in range(256)]
_FORM_TABLE[0x20] = "+"

_PLAIN_TARGET = TARGET_SAFE + b"?"
_INVALID_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def has_control(text: str) -> bool:
    """Tell whether the text contains a C0 control character or DEL."""
    return _CONTROL.search(text) is not None


def has_invalid_escape(text: str) -> bool:
    """Tell whether the text contains a `%` without two hexadecimal digits."""
    return _INVALID_ESCAPE.search(text.encode("utf-8", "surrogateescape")) is not None


def _to_bytes(text: str, encoding: str) -> bytes:
    """Encode the text; surrogate escapes of undecodable bytes become these bytes again."""
    try:
        return text.encode(encoding, "surrogateescape")
    except (UnicodeError, LookupError) as err:
        raise InvalidURL(f"{truncated_repr(text)} cannot be encoded as {encoding}: {err}") from err


def quote_target(text: str, encoding: str = "utf-8") -> str:
    """Percent-encode the characters of path and query that may not be sent.

    Valid escapes are kept, another `%` becomes `%25`, and `#` becomes `%23`.

    Args:
        text: path and query, without the fragment.
        encoding: text encoding of the escapes.

    Raises:
        InvalidURL: the text contains control characters or cannot be encoded.

    Example:
        >>> quote_target("/a b")
        '/a%20b'
    """
    raw = _to_bytes(text, encoding)
    if not raw.translate(None, _PLAIN_TARGET):
        return text
    if has_control(text):
        raise InvalidURL(f"{truncated_repr(text)}: a URL must not contain control characters")
    if b"%" in raw:
        raw = _INVALID_ESCAPE.sub(b"%25", raw)
    return "".join([_TARGET_TABLE[c] for c in raw])


def _quote_form(item: object, encoding: str) -> str:
    """Encode one key or value of a form."""
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
    """Return the pairs of a mapping (repeated keys of a multidict included) or of an iterable."""
    if isinstance(data, Mapping):
        return data.items()
    if isinstance(data, (str, bytes, bytearray)) or not hasattr(data, "__iter__"):
        raise TypeError(f"{what} must be a dict or a list of pairs, not {type(data).__name__}")
    pairs = []
    for entry in data:
        if isinstance(entry, (str, bytes)) or not hasattr(entry, "__len__") or len(entry) != 2:
            raise InvalidRequest(
                f"{what}: each entry of a list must be a (key, value) pair, "
                f"not {truncated_repr(repr(entry))}"
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
    """Return the query for `params`, without the `?`.

    Args:
        params: a dict or a list of pairs. Values are str, bytes, numbers or other objects with a
            `str()`. An iterable value repeats its key, None omits it, and True is sent as `True`,
            as in asks and requests. A str or bytes is a query in which only illegal characters are
            encoded.
        encoding: text encoding of the escapes.

    Raises:
        TypeError: `params` has another type.
        InvalidRequest: an entry of a list is not a pair.

    Example:
        >>> encode_params({"q": "a b", "page": [1, 2]})
        'q=a+b&page=1&page=2'
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
    """Append `params` to the query of a target.

    Args:
        target: an encoded target, such as `Url.target`. It is not encoded again.
        params: as in `encode_params`.
        encoding: text encoding of the escapes.

    Raises:
        InvalidURL: the result is longer than `MAX_URL_LENGTH`.
        TypeError, InvalidRequest: as in `encode_params`.
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
            f"the URL with its params has {len(joined)} characters, "
            f"more than {MAX_URL_LENGTH}: send them in the body (data=)"
        )
    return joined


def form_encode(
    data: Mapping[Any, Any] | Iterable[tuple[Any, Any]], encoding: str = "utf-8"
) -> bytes:
    """Return the body of an `application/x-www-form-urlencoded` form.

    Args:
        data: a dict or a list of pairs, as in `encode_params`. `0`, `False` and `""` are sent,
            None is omitted. The order is kept.
        encoding: text encoding of the escapes.

    Raises:
        TypeError, InvalidRequest: as in `encode_params`.
    """
    return _urlencode(data, encoding, "data").encode("ascii")
