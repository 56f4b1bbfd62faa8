"""The error of `Response.json` for a body that is not JSON."""

from __future__ import annotations

from json import JSONDecodeError
from typing import Protocol

from ..errors import JsonDecodeError, ResponseInfo, truncated_repr

__all__ = ["not_json"]


class JsonResponse(ResponseInfo, Protocol):
    """The response whose body was parsed."""

    body: bytes

    @property
    def method(self) -> str: ...

    @property
    def content(self) -> bytes: ...


def not_json(
    response: JsonResponse, error: ValueError | RecursionError, missing: str | None
) -> JsonDecodeError:
    """Return the error for a body that a JSON library rejected.

    Args:
        response: the response.
        error: what the JSON library raised.
        missing: which library must be installed to decompress the body, if that is the cause.
    """
    media_type = response.headers.get("content-type") or "no content type"
    start = truncated_repr(response.content).removeprefix("b") if response.body else "nothing"
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    document, position = "", 0
    if isinstance(error, JSONDecodeError):
        reason, document, position = error.msg, error.doc, error.pos
    json_error = JsonDecodeError(
        f"{response.method} {response.url}: the body of this {response.status_code} response"
        f" ({truncated_repr(media_type)}) is not JSON, it begins with {start}: {missing or reason}",
        document if isinstance(document, str) else "",
        position,
    )
    json_error.response = response
    return json_error
