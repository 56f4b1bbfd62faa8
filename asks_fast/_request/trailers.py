"""Trailer fields of a chunked request body (RFC 9110, section 6.5; RFC 9112, section 7.1.2).

A recipient may drop trailers or merge them into the header fields, so fields that say how a message
is framed, routed, authenticated or processed are rejected (RFC 9110, section 6.5.1).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias, cast

from .._hotpath import encode_headers
from ..errors import InvalidHeader, InvalidRequest, truncated_repr

__all__ = ["TrailerFields", "Trailers"]

Value: TypeAlias = "str | bytes | int"
Fields: TypeAlias = "Mapping[str, Value | Callable[[], Value | Awaitable[Value]]]"
TrailerFields: TypeAlias = "Fields | Callable[[], Fields | Awaitable[Fields]]"
"""What `trailers=` takes: fields, whose values may be functions, or a function of fields."""

_FORBIDDEN = frozenset(
    [
        "age", "authorization", "cache-control", "connection", "content-encoding",
        "content-length", "content-range", "content-type", "cookie", "date", "expect", "expires",
        "host", "if-match", "if-modified-since", "if-none-match", "if-range",
        "if-unmodified-since", "keep-alive", "location", "max-forwards", "pragma",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "range", "retry-after",
        "set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "vary", "via", "warning",
        "www-authenticate",
    ]
)  # fmt: skip


class Trailers:
    """The trailer fields of one request, which may be sent more than once.

    Args:
        given: the argument `trailers`.
        announced: the names in the `Trailer` field of the caller.

    Raises:
        InvalidHeader: a name or value contains illegal characters.
        InvalidRequest: a field may not be a trailer, or a function was given without names.
    """

    def __init__(self, given: object, announced: Iterable[str]) -> None:
        self._given = given
        names = list(announced)
        if isinstance(given, Mapping):
            given_names = [_text(name) for name in given]
            known = {name.lower() for name in names}
            names += [name for name in given_names if name.lower() not in known]
            encode_headers([(n, "" if callable(v) else v) for n, v in given.items()])
        elif not callable(given):
            raise InvalidRequest(
                f"trailers must be a mapping or a function, not {truncated_repr(str(given))}"
            )
        elif not names:
            raise InvalidRequest(
                "trailers= as a function needs the names of its fields: "
                "headers={'Trailer': 'X-Checksum'}, or give a mapping of names to functions"
            )
        self.names = names
        """The names for the `Trailer` field."""
        for name in names:
            if name.lower() in _FORBIDDEN:
                raise InvalidRequest(f"{name} may not be a trailer (RFC 9110 \u00a76.5.1)")
        self._known = {name.lower() for name in names}

    async def encode(self) -> bytes:
        """Return the field lines; called when the body was sent.

        Raises:
            InvalidHeader: a name or value contains illegal characters.
            InvalidRequest: a field was not announced.
        """
        fields: object = self._given
        if callable(fields):
            fields = await _result(fields)
        if not isinstance(fields, Mapping):
            raise InvalidRequest(
                f"the function of trailers= returned {truncated_repr(str(fields))}"
            )
        pairs = []
        for name, value in fields.items():
            if _text(name).lower() not in self._known:
                raise InvalidRequest(f"the trailer {name} is not in the field Trailer")
            pairs.append((name, await _result(value) if callable(value) else value))
        lines: bytes = encode_headers(pairs)
        return lines


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidHeader(f"the name of a trailer must be a str, not {name!r}")
    return name


async def _result(function: Callable[..., object]) -> object:
    found = function()
    return await cast("Awaitable[object]", found) if inspect.isawaitable(found) else found
