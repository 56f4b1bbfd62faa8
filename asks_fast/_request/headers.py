"""Build the headers of a request from those of the library, the session and the call.

Invariants:
        A later set replaces all fields of the same name, in any case. The value None removes the
        field, automatic ones included. Fields repeated within one set are all sent, in the given
        order and spelling. A second copy of a field that may occur only once is rejected, because
        two servers might each use a different one. Several `Cookie` fields become one. Framing
        fields follow from the body and are set once.

Implemented elsewhere: `_hotpath.encode_headers` checks the bytes of names and values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from .._hotpath import encode_headers
from ..errors import InvalidHeader, truncated_repr

__all__ = ["Field", "HeadersBuilder", "field_name", "header_pairs"]

Field = tuple[str, str]

# Any, because the type of the keys of a Mapping is invariant.
HeadersInput: TypeAlias = Mapping[Any, object] | Iterable[tuple[object, object]] | None
"""Headers as users give them; names and values are checked at run time."""


# Request fields whose value is not a list (RFC 9110, RFC 9112 §6, RFC 6454, RFC 6455).
_SINGLE = frozenset(
    [
        "access-control-request-method", "authorization", "content-length", "content-location",
        "content-range", "content-type", "date", "from", "host", "idempotency-key",
        "if-modified-since", "if-range", "if-unmodified-since", "max-forwards", "origin",
        "proxy-authorization", "range", "referer", "sec-websocket-key", "transfer-encoding",
        "user-agent",
    ]
)  # fmt: skip

# uri-host [ ":" port ] (RFC 9110 §7.2, RFC 3986 §3.2.2).
_HOST = re.compile(r"(\[[0-9A-Za-z:.]+\]|([A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:[0-9]*)?")


def header_pairs(headers: HeadersInput) -> Iterable[tuple[object, object]]:
    """Return the pairs of headers given as a mapping, a multidict or an iterable of pairs.

    Raises:
        InvalidHeader: the argument is something else.
    """
    if headers is None:
        return ()
    if isinstance(headers, Mapping):
        return headers.items()
    try:
        if isinstance(headers, (str, bytes)):
            raise TypeError  # two characters are no pair
        pairs = [(name, value) for name, value in headers]
    except (TypeError, ValueError):
        raise InvalidHeader(
            f"headers must be a mapping or an iterable of (name, value) pairs, "
            f"not {type(headers).__name__}"
        ) from None
    return pairs


def _merge_repeated(name: str, values: list[tuple[str, object]]) -> list[tuple[str, object]]:
    """Return the pairs to send for a field that one set contains more than once."""
    if name in _SINGLE:
        names = " and ".join(sorted({repr(spelling) for spelling, _ in values}))
        raise InvalidHeader(
            f"{len(values)} values for {names}: this field may occur only once (RFC 9110 §5.3)"
        )
    if name == "cookie":
        texts = [v.decode("latin-1") if isinstance(v, bytes) else str(v) for _, v in values]
        return [(values[0][0], "; ".join(texts))]  # RFC 6265 §5.4: at most one field
    return values


def _check_host(value: object) -> None:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    if not _HOST.fullmatch(text.strip(" \t")):
        raise InvalidHeader(
            f"{truncated_repr(text)} is not a Host: it must be a host name with an optional port"
        )


def field_name(name: object) -> str:
    """Return the name of a field as text.

    Raises:
        InvalidHeader: the name is not str or bytes.
    """
    if isinstance(name, bytes):
        return name.decode("latin-1")
    if isinstance(name, str):
        return name
    raise InvalidHeader(f"a field name must be str or bytes, not {name!r}")


class HeadersBuilder:
    """Collects fields by lower-case name, in the order in which the names were first set."""

    __slots__ = ("_encoded", "_fields")

    def __init__(self, pairs: Iterable[tuple[str, object]] = ()) -> None:
        self._fields: dict[str, list[tuple[str, object]]] = {
            name.lower(): [(name, value)] for name, value in pairs
        }
        self._encoded: bytes | None = None

    def update(self, headers: HeadersInput) -> None:
        """Apply another set of headers, which replaces fields of the same names.

        Raises:
            InvalidHeader: a field that may occur only once is repeated, or Host is invalid.
        """
        self._encoded = None
        added: dict[str, list[tuple[str, object]]] = {}
        for name, value in header_pairs(headers):
            text = field_name(name)
            if isinstance(value, (list, tuple)):
                added.setdefault(text.lower(), []).extend((text, one) for one in value)
            elif value is None:
                added[text.lower()] = []
            else:
                added.setdefault(text.lower(), []).append((text, value))
        for name, values in added.items():
            if len(values) > 1:
                added[name] = _merge_repeated(name, values)
            if name == "host" and values:
                _check_host(values[0][1])
            if not self._fields.get(name, True):
                del self._fields[name]  # a header that was removed has no position
        self._fields.update(added)

    def set(self, name: str, value: object) -> None:
        """Replace all fields of a name by one field."""
        self._encoded = None
        if name.lower() == "host":
            _check_host(value)
        self._fields[name.lower()] = [(name, value)]

    def set_default(self, name: str, value: object) -> None:
        """Set a field unless the name was set or removed before."""
        self._encoded = None
        self._fields.setdefault(name.lower(), [(name, value)])

    def remove(self, names: Iterable[str]) -> None:
        """Remove all fields of these names."""
        self._encoded = None
        for name in names:
            self._fields.pop(name.lower(), None)

    def is_mentioned(self, name: str) -> bool:
        """Tell whether a name was set, or removed with None."""
        return name.lower() in self._fields

    def names(self) -> frozenset[str]:
        """Return the names for which `is_mentioned` is true, in lower case."""
        return frozenset(self._fields)

    # Any: the value as the user gave it; it is checked when it is encoded.
    def get(self, name: str) -> Any:
        """Return the first value of a field, None if there is none."""
        found = self._fields.get(name.lower())
        return found[0][1] if found else None

    def __contains__(self, name: str) -> bool:
        return bool(self._fields.get(name.lower()))

    def items(self) -> list[tuple[str, object]]:
        """Return all fields in the order in which they are sent."""
        return [pair for pairs in self._fields.values() for pair in pairs]

    def encode_lines(self) -> bytes:
        """Return all fields as header lines. The result is cached.

        Raises:
            InvalidHeader: a name or value contains illegal characters.
        """
        if self._encoded is None:
            self._encoded = encode_headers(self.items())
        return self._encoded

    def copy(self) -> HeadersBuilder:
        """Return an independent copy."""
        copy = HeadersBuilder()
        copy._fields = dict(self._fields)
        return copy
