"""The fields of a request: defaults, session and call laid over each other.

Rules:  a later layer replaces all fields of that name, whatever the case; `None` as a value takes
        the field away, automatic ones included; repeats within one layer are all sent, in order
        and spelling as given. A field that may occur only once is refused a second time, because
        two servers on the way might each use another one; several `Cookie` fields become one.
        Framing fields are set by what is sent, once.
Not here: legality of names and values, which is checked on the bytes (`_hotpath.encode_headers`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .._hotpath import encode_headers
from ..errors import InvalidHeader, truncated_repr

__all__ = ["Field", "HeadersBuilder", "field_name", "header_pairs"]

Field = tuple[str, str]

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


def header_pairs(headers: Any) -> Iterable[tuple[Any, Any]]:
    """The pairs in whatever a user gives as headers: a mapping, a multidict, a list of pairs."""
    if headers is None:
        return ()
    if isinstance(headers, Mapping):
        return headers.items()
    try:
        pairs = [(name, value) for name, value in headers]
    except (TypeError, ValueError):
        raise InvalidHeader(
            f"headers must be a mapping or an iterable of (name, value) pairs, "
            f"not {type(headers).__name__}"
        ) from None
    return pairs


def _only(name: str, values: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The values of a field that was given more than once in one layer."""
    if name in _SINGLE:
        spelt = " and ".join(sorted({repr(spelling) for spelling, _ in values}))
        raise InvalidHeader(
            f"{len(values)} values for {spelt}: this field may occur only once (RFC 9110 §5.3)"
        )
    if name == "cookie":
        texts = [v.decode("latin-1") if isinstance(v, bytes) else str(v) for _, v in values]
        return [(values[0][0], "; ".join(texts))]  # RFC 6265 §5.4: no more than one field
    return values


def _check_host(value: Any) -> None:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    if not _HOST.fullmatch(text.strip(" \t")):
        raise InvalidHeader(
            f"{truncated_repr(text)} is not a Host: it must be a host name and maybe a port"
        )


def field_name(name: Any) -> str:
    """The name of a field as text; raises `InvalidHeader` for what is none."""
    if isinstance(name, bytes):
        return name.decode("latin-1")
    if isinstance(name, str):
        return name
    raise InvalidHeader(f"a field name must be str or bytes, not {name!r}")


class HeadersBuilder:
    """Fields by lower-case name, in the order in which the names first came."""

    __slots__ = ("_encoded", "_fields")

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        self._fields: dict[str, list[tuple[str, Any]]] = {
            name.lower(): [(name, value)] for name, value in pairs
        }
        self._encoded: bytes | None = None

    def update(self, headers: Any) -> None:
        """Lay another set of headers over what is there."""
        self._encoded = None
        fresh: dict[str, list[tuple[str, Any]]] = {}
        for name, value in header_pairs(headers):
            text = field_name(name)
            if isinstance(value, (list, tuple)):
                fresh.setdefault(text.lower(), []).extend((text, one) for one in value)
            elif value is None:
                fresh[text.lower()] = []
            else:
                fresh.setdefault(text.lower(), []).append((text, value))
        for name, values in fresh.items():
            if len(values) > 1:
                fresh[name] = _only(name, values)
            if name == "host" and values:
                _check_host(values[0][1])
            if not self._fields.get(name, True):
                del self._fields[name]  # a header that was removed has no position
        self._fields.update(fresh)

    def set(self, name: str, value: Any) -> None:
        """Replace all fields of a name by one."""
        self._encoded = None
        if name.lower() == "host":
            _check_host(value)
        self._fields[name.lower()] = [(name, value)]

    def set_default(self, name: str, value: Any) -> None:
        """Set a field unless the name was mentioned, be it only to take it away."""
        self._encoded = None
        self._fields.setdefault(name.lower(), [(name, value)])

    def remove(self, names: Iterable[str]) -> None:
        """Take away every copy of some fields."""
        self._encoded = None
        for name in names:
            self._fields.pop(name.lower(), None)

    def is_mentioned(self, name: str) -> bool:
        """Whether a name was given, be it only to take it away."""
        return name.lower() in self._fields

    def names(self) -> frozenset[str]:
        """The names mentioned, in lower case."""
        return frozenset(self._fields)

    def get(self, name: str) -> Any:
        """The first value of a field, None without one."""
        found = self._fields.get(name.lower())
        return found[0][1] if found else None

    def __contains__(self, name: str) -> bool:
        return bool(self._fields.get(name.lower()))

    def items(self) -> list[tuple[str, Any]]:
        """All fields in sending order."""
        return [pair for pairs in self._fields.values() for pair in pairs]

    def encode_lines(self) -> bytes:
        """All fields as lines for the wire, made once; raises `InvalidHeader`."""
        if self._encoded is None:
            self._encoded = encode_headers(self.items())
        return self._encoded

    def copy(self) -> HeadersBuilder:
        """The same fields, to be changed on their own."""
        twin = HeadersBuilder()
        twin._fields = dict(self._fields)
        return twin
