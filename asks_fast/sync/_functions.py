"""Functions that send one request without a session, as blocking calls.

Implemented elsewhere: the coroutines that they run (`base_funcs`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

from .. import base_funcs
from .._client.verbs import Request, Verb
from .._guest.blocking import run
from ..response_objects import Response
from ._streams import StreamResponse, blocking_response

if TYPE_CHECKING:
    from .._annotations import AnyArgument, AnyFunction
    from .._client.argument_types import Location

__all__ = ["delete", "get", "head", "options", "patch", "post", "put", "request"]

BlockingVerb: TypeAlias = "Verb[Response, StreamResponse, Response | StreamResponse]"
BlockingRequest: TypeAlias = "Request[Response, StreamResponse, Response | StreamResponse]"


def _as_request(function: AnyFunction[object]) -> BlockingRequest:
    return cast("BlockingRequest", function)


@_as_request
def request(method: str, url: Location = None, **more: AnyArgument) -> object:
    """Send one request. See `asks_fast.request`.

    Args:
        method: the HTTP method.
        url: the URL.
        more: as for `asks_fast.request`.

    Returns:
        The response.
    """
    return blocking_response(run(base_funcs.request(method, url, **more)))


def _verb(method: str) -> BlockingVerb:
    def function(url: Location = None, **more: AnyArgument) -> object:
        return blocking_response(run(base_funcs.request(method, url, **more)))

    function.__name__ = function.__qualname__ = method.lower()
    function.__doc__ = f"Send one {method} request. See `asks_fast.{method.lower()}`."
    return cast("BlockingVerb", function)


delete = _verb("DELETE")
get = _verb("GET")
head = _verb("HEAD")
options = _verb("OPTIONS")
patch = _verb("PATCH")
post = _verb("POST")
put = _verb("PUT")
