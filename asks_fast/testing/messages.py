"""Requests and responses of tests as plain data.

A response can be given in a short form: a status (`404`), a text, bytes, JSON (a dict or list), a
fault, an exception to raise, or a function of the request that returns one of these.

The selection of a response for a request is implemented in `routes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._hotpath import Headers
from .faults import Fault

__all__ = ["MockResponse", "RecordedRequest", "ResponseLike", "as_response", "response"]

GivenHeaders = Mapping[str, str] | Iterable[tuple[str, str]] | None


@dataclass
class RecordedRequest:
    """A request that a program sent.

    Attributes:
        method: upper case.
        url: without fragment.
        headers: a case-insensitive mapping, as that of a response.
        body: the whole body.
        match: the values of the `{names}` of the route.
    """

    method: str
    url: str
    headers: Headers = field(default_factory=lambda: Headers.from_pairs(()))
    body: bytes = b""
    match: dict[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """Return the value of a field, repeated ones joined by `", "`, or None."""
        found = self.headers.getlist(name)
        return ", ".join(found) if found else None

    @property
    def path(self) -> str:
        """The path as it was sent, without query."""
        from urllib.parse import urlsplit

        return urlsplit(self.url).path or "/"

    @property
    def params(self) -> list[tuple[str, str]]:
        """The decoded parameters of the query, in order."""
        from urllib.parse import parse_qsl, urlsplit

        return parse_qsl(urlsplit(self.url).query, keep_blank_values=True)

    @property
    def form(self) -> list[tuple[str, str]]:
        """The decoded parameters of a form body, in order."""
        from urllib.parse import parse_qsl

        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def json(self) -> Any:
        """Return the body parsed as JSON."""
        import json

        return json.loads(self.body)


@dataclass
class MockResponse:
    """A response that a test defines. `response()` creates it from simpler arguments."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    reason: str | None = None
    delay: float = 0.0
    fault: Fault | None = None

    @property
    def phrase(self) -> str:
        """`reason`, else the standard phrase of the status."""
        if self.reason is not None:
            return self.reason
        from http import HTTPStatus

        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""

    def fields(self) -> list[tuple[str, str]]:
        """Return the headers, with Content-Length if it is needed and missing."""
        names = {name.lower() for name, _ in self.headers}
        if self.status < 200 or self.status in (204, 304):
            return self.headers
        if names & {"content-length", "transfer-encoding"}:
            return self.headers
        return [*self.headers, ("Content-Length", str(len(self.body)))]


Plain = int | str | bytes | dict[str, Any] | list[Any]
ResponseLike = (
    MockResponse
    | Fault
    | BaseException
    | type[BaseException]
    | Plain
    | Callable[[RecordedRequest], Any]
)

_UNSET: Any = object()


def response(
    status: int = 200,
    *,
    json: Any = _UNSET,
    text: str | None = None,
    body: bytes | None = None,
    headers: GivenHeaders = None,
    reason: str | None = None,
    delay: float = 0.0,
    fault: Fault | None = None,
) -> MockResponse:
    """Create a response.

    Args:
        status: the status code.
        json: the body as JSON; sets Content-Type unless `headers` does.
        text: the body as text; sets Content-Type unless `headers` does.
        body: the body as bytes.
        headers: a mapping, or pairs if a name is sent twice.
        reason: the reason phrase; default: the standard one.
        delay: seconds before it is sent.
        fault: a fault to inject; needs real sockets (`serve`).

    Raises:
        TypeError: more than one of `json`, `text` and `body` is given.

    Example:
        >>> routes.post("/items", response(201, json={"id": 9}))
    """
    if (json is not _UNSET) + (text is not None) + (body is not None) > 1:
        raise TypeError("json, text and body exclude each other")
    kind = None
    if json is not _UNSET:
        import json as json_module

        body, kind = json_module.dumps(json).encode(), "application/json"
    elif text is not None:
        body, kind = text.encode(), "text/plain; charset=utf-8"
    items: Any = headers.items() if isinstance(headers, Mapping) else headers or ()
    pairs: list[tuple[str, str]] = list(items)
    if kind and not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.insert(0, ("Content-Type", kind))
    return MockResponse(status, pairs, body or b"", reason, delay, fault)


def as_response(value: Any) -> MockResponse:
    """Return the response for a short form.

    Raises:
        TypeError: the value is not a short form of a response.
    """
    if isinstance(value, MockResponse):
        return value
    if isinstance(value, Fault):
        return MockResponse(fault=value)
    if isinstance(value, int) and not isinstance(value, bool):
        return response(value)
    if isinstance(value, str):
        return response(text=value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return response(body=bytes(value))
    if isinstance(value, (dict, list)):
        return response(json=value)
    raise TypeError(f"not a response: {value!r}")
