"""The fields of a request: defaults, session and call laid over each other.

Rules:  a later layer replaces all fields of that name, whatever the case; `None` as a value takes
        the field away, automatic ones included; repeats within one layer are all sent, in order
        and spelling as given. Framing fields are set by what is sent, once.
Not here: legality of names and values, which is checked on the bytes (`_hotpath.render_fields`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._hotpath import render_fields
from .errors import InvalidHeader

__all__ = ["Field", "Layers", "pairs_of"]

Field = tuple[str, str]


def pairs_of(headers: Any) -> Iterable[tuple[Any, Any]]:
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


def _text(name: Any) -> str:
    if isinstance(name, bytes):
        return name.decode("latin-1")
    if isinstance(name, str):
        return name
    raise InvalidHeader(f"a field name must be str or bytes, not {name!r}")


class Layers:
    """Fields by lower-case name, in the order in which the names first came."""

    __slots__ = ("_fields", "_rendered")

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        self._fields: dict[str, list[tuple[str, Any]]] = {
            name.lower(): [(name, value)] for name, value in pairs
        }
        self._rendered: bytes | None = None

    def lay(self, headers: Any) -> None:
        """Lay another set of headers over what is there."""
        self._rendered = None
        fresh: dict[str, list[tuple[str, Any]]] = {}
        for name, value in pairs_of(headers):
            text = _text(name)
            if isinstance(value, (list, tuple)):
                fresh.setdefault(text.lower(), []).extend((text, one) for one in value)
            elif value is None:
                fresh[text.lower()] = []
            else:
                fresh.setdefault(text.lower(), []).append((text, value))
        self._fields.update(fresh)

    def set(self, name: str, value: Any) -> None:
        """Replace all fields of a name by one."""
        self._rendered = None
        self._fields[name.lower()] = [(name, value)]

    def set_default(self, name: str, value: Any) -> None:
        """Set a field unless the name was mentioned, be it only to take it away."""
        self._rendered = None
        self._fields.setdefault(name.lower(), [(name, value)])

    def drop(self, names: Iterable[str]) -> None:
        """Take away every copy of some fields."""
        self._rendered = None
        for name in names:
            self._fields.pop(name.lower(), None)

    def mentions(self, name: str) -> bool:
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

    def pairs(self) -> list[tuple[str, Any]]:
        """All fields in sending order."""
        return [pair for pairs in self._fields.values() for pair in pairs]

    def rendered(self) -> bytes:
        """All fields as lines for the wire, made once; raises `InvalidHeader`."""
        if self._rendered is None:
            self._rendered = render_fields(self.pairs())
        return self._rendered

    def copy(self) -> Layers:
        """The same fields, to be changed on their own."""
        twin = Layers()
        twin._fields = dict(self._fields)
        return twin
