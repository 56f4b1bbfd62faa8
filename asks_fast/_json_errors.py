"""The error of `Response.json` for a body that is not JSON.

Not here: the other exceptions (`errors`). This one needs the standard library's `json`, which is
not imported before it is used.
"""

from __future__ import annotations

from json import JSONDecodeError
from typing import TYPE_CHECKING

from .errors import AsksException, truncated_repr

if TYPE_CHECKING:
    from .response_objects import Response

__all__ = ["JsonDecodeError", "not_json"]


class JsonDecodeError(AsksException, JSONDecodeError):
    """The body of a response is not JSON.

    `msg`, `doc`, `pos`, `lineno` and `colno` are those of `json.JSONDecodeError`. `response` is the
    response, None after pickling.
    """

    response: Response | None = None


def not_json(
    response: Response, error: ValueError | RecursionError, missing: str | None
) -> JsonDecodeError:
    """The error for a body that a JSON library refused with `error`.

    `missing` says which library would decompress it, where that is why.
    """
    kind = response.headers.get("content-type") or "no content type"
    begin = truncated_repr(response.content).removeprefix("b") if response.body else "nothing"
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    document, position = "", 0
    if isinstance(error, JSONDecodeError):
        reason, document, position = error.msg, error.doc, error.pos
    refused = JsonDecodeError(
        f"{response.method} {response.url}: the body of this {response.status_code} response"
        f" ({truncated_repr(kind)}) is not JSON, it begins with {begin}: {missing or reason}",
        document if isinstance(document, str) else "",
        position,
    )
    refused.response = response
    return refused
