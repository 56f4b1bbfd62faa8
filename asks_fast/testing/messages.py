"""A request as it was seen, an answer as it will be given: plain data, no sockets.

Rules:  an answer can be written short: a status (`404`), a text, bytes, anything that is JSON
        (dict or list), a fault, an exception to be raised, or a function of the request that
        gives one of these.
Not here: which answer belongs to which request (routes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._hotpath import Headers
from .faults import Fault

__all__ = ["Answer", "AnswerLike", "SeenRequest", "answer", "as_answer"]

GivenHeaders = Mapping[str, str] | Iterable[tuple[str, str]] | None


@dataclass
class SeenRequest:
    """A request that was made.

    `headers` is a mapping as responses have it: case-insensitive, repeats joined by `", "`, with
    `getlist` and `raw`. `match` holds what the route's `{names}` stood for.
    """

    method: str
    url: str
    headers: Headers = field(default_factory=lambda: Headers.from_pairs(()))
    body: bytes = b""
    match: dict[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """The value of a field, repeats joined by `", "`; None without one."""
        found = self.headers.getlist(name)
        return ", ".join(found) if found else None

    @property
    def path(self) -> str:
        """The path as sent, without query."""
        from urllib.parse import urlsplit

        return urlsplit(self.url).path or "/"

    @property
    def params(self) -> list[tuple[str, str]]:
        """The decoded pairs of the query, in order."""
        from urllib.parse import parse_qsl, urlsplit

        return parse_qsl(urlsplit(self.url).query, keep_blank_values=True)

    @property
    def form(self) -> list[tuple[str, str]]:
        """The decoded pairs of a form body, in order."""
        from urllib.parse import parse_qsl

        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def json(self) -> Any:
        """The body read as JSON."""
        import json

        return json.loads(self.body)


@dataclass
class Answer:
    """One answer, ready to be given. `answer()` makes it from friendlier arguments."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    reason: str | None = None
    delay: float = 0.0
    fault: Fault | None = None

    @property
    def phrase(self) -> str:
        """The reason given, else the usual words for the status."""
        if self.reason is not None:
            return self.reason
        from http import HTTPStatus

        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""

    def fields(self) -> list[tuple[str, str]]:
        """The headers, Content-Length added where an answer needs one and names none."""
        names = {name.lower() for name, _ in self.headers}
        if self.status < 200 or self.status in (204, 304):
            return self.headers
        if names & {"content-length", "transfer-encoding"}:
            return self.headers
        return [*self.headers, ("Content-Length", str(len(self.body)))]


Plain = int | str | bytes | dict[str, Any] | list[Any]
AnswerLike = (
    Answer | Fault | BaseException | type[BaseException] | Plain | Callable[[SeenRequest], Any]
)

_NOTHING: Any = object()


def answer(
    status: int = 200,
    *,
    json: Any = _NOTHING,
    text: str | None = None,
    body: bytes | None = None,
    headers: GivenHeaders = None,
    reason: str | None = None,
    delay: float = 0.0,
    fault: Fault | None = None,
) -> Answer:
    """Make an answer.

    Args:
        json, text, body: what the body is, at most one; sets Content-Type unless `headers` does.
        headers: a mapping, or pairs where a name is to be sent twice.
        delay: seconds to wait before it is given.
        fault: what goes wrong; needs real sockets (`serve`).

    Raises:
        TypeError: more than one body.
    """
    if (json is not _NOTHING) + (text is not None) + (body is not None) > 1:
        raise TypeError("json, text and body exclude each other")
    kind = None
    if json is not _NOTHING:
        import json as library

        body, kind = library.dumps(json).encode(), "application/json"
    elif text is not None:
        body, kind = text.encode(), "text/plain; charset=utf-8"
    given: Any = headers.items() if isinstance(headers, Mapping) else headers or ()
    pairs: list[tuple[str, str]] = list(given)
    if kind and not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.insert(0, ("Content-Type", kind))
    return Answer(status, pairs, body or b"", reason, delay, fault)


def as_answer(value: Any) -> Answer:
    """The answer that a short form stands for.

    Raises:
        TypeError: it stands for none.
    """
    if isinstance(value, Answer):
        return value
    if isinstance(value, Fault):
        return Answer(fault=value)
    if isinstance(value, int) and not isinstance(value, bool):
        return answer(value)
    if isinstance(value, str):
        return answer(text=value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return answer(body=bytes(value))
    if isinstance(value, (dict, list)):
        return answer(json=value)
    raise TypeError(f"not an answer: {value!r}")
