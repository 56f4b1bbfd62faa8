"""The headers of a prepared request as a mapping that can be changed.

A view: it reads and changes `fields` and `hop_headers` of its request. Names are case-insensitive.
Framing fields follow from the body and are not part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Protocol

from ..errors import InvalidRequest
from .headers import HeadersBuilder

if TYPE_CHECKING:
    from ..urls import Url

__all__ = ["RequestHeaders"]

_FRAMING = frozenset(["content-length", "transfer-encoding"])


class _Request(Protocol):
    """The request that the headers belong to: a `PreparedRequest`."""

    fields: HeadersBuilder
    hop_headers: dict[str, str | bytes]
    proxy_credentials: str | None

    @property
    def url(self) -> Url: ...


class RequestHeaders(MutableMapping[str, str]):
    """The header fields of a request: `request.headers["X-Request-Id"] = "17"`.

    A value is a str; assign a list to send a field several times, or delete the name to send it
    not at all. Values are checked when the request is sent.
    """

    __slots__ = ("_request",)

    def __init__(self, request: _Request) -> None:
        self._request = request

    def _pairs(self) -> dict[str, tuple[str, list[str]]]:
        """The name as sent and the values of each field, by its name in lower case."""
        request = self._request
        found = {"host": ("Host", [request.url.authority])}
        given: dict[str, tuple[str, list[str]]] = {}
        for name, value in request.fields.items():
            given.setdefault(name.lower(), (name, []))[1].append(_text(value))
        found.update(given)
        found.update({n.lower(): (n, [_text(v)]) for n, v in request.hop_headers.items()})
        return found

    def __getitem__(self, name: str) -> str:
        return self._pairs()[name.lower()][1][-1]

    def getlist(self, name: str) -> list[str]:
        """Return all values of a field, in the order in which they are sent."""
        pair = self._pairs().get(name.lower())
        return [] if pair is None else pair[1]

    def __setitem__(self, name: str, value: object) -> None:
        """Replace all fields of this name.

        Raises:
            InvalidHeader: `Host` is not a host.
            InvalidRequest: the field follows from the body, or is for the proxy.
        """
        lower = name.lower()
        if lower in _FRAMING:
            raise InvalidRequest(f"{name} cannot be set: it follows from the body")
        if lower == "proxy-authorization":
            raise InvalidRequest(f"{name} cannot be set here: give the session proxy= with a user")
        fields = self._request.fields.copy()  # they may be shared with the session
        fields.update({name: value})
        self._request.fields = fields
        self._drop_hop_header(lower)

    def __delitem__(self, name: str) -> None:
        lower = name.lower()
        if lower not in self._request.fields and not self._drop_hop_header(lower):
            raise KeyError(name)
        self._drop_hop_header(lower)
        fields = self._request.fields.copy()
        fields.remove([lower])
        self._request.fields = fields

    def _drop_hop_header(self, lower: str) -> bool:
        found = [name for name in self._request.hop_headers if name.lower() == lower]
        for name in found:
            del self._request.hop_headers[name]
        return bool(found)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._pairs().values()])

    def __len__(self) -> int:
        return len(self._pairs())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._pairs()

    def __repr__(self) -> str:
        return f"<RequestHeaders {', '.join(self)}>"


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
