"""Functions that send one request without a session, as blocking calls.

Implemented elsewhere: the coroutines that they run (`base_funcs`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, cast, overload

from .. import base_funcs
from .._guest.blocking import run
from ..response_objects import Response
from ._streams import StreamResponse, blocking_response

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._annotations import AnyArgument
    from .._client.argument_types import Location, NoOther, OneShotArguments

__all__ = ["delete", "get", "head", "options", "patch", "post", "put", "request"]


class _OneShot(Protocol):
    """The type of a function that sends one request."""

    @overload
    def __call__(
        self,
        url: Location | NoOther = None,
        *,
        stream: Literal[True],
        **more: Unpack[OneShotArguments],
    ) -> StreamResponse: ...

    @overload
    def __call__(
        self,
        url: Location | NoOther = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[OneShotArguments],
    ) -> Response: ...

    @overload
    def __call__(
        self,
        url: Location | NoOther = None,
        *,
        stream: bool | NoOther | None,
        **more: Unpack[OneShotArguments],
    ) -> Response | StreamResponse: ...


def _one_shot(method: str) -> _OneShot:
    def function(url: Location = None, **options: AnyArgument) -> Response:
        response: Response = blocking_response(run(base_funcs.request(method, url, **options)))
        return response

    function.__name__ = function.__qualname__ = method.lower()
    function.__doc__ = f"Send one {method} request. See `asks_fast.{method.lower()}`."
    return cast("_OneShot", function)


delete = _one_shot("DELETE")
get = _one_shot("GET")
head = _one_shot("HEAD")
options = _one_shot("OPTIONS")
patch = _one_shot("PATCH")
post = _one_shot("POST")
put = _one_shot("PUT")


def request(method: str, url: Location = None, **more: AnyArgument) -> Response:
    """Send one request. See `asks_fast.request`.

    Args:
        method: the HTTP method.
        url: the URL.
        more: as for `asks_fast.request`.

    Returns:
        The response.
    """
    return blocking_response(run(base_funcs.request(method, url, **more)))  # type: ignore[no-any-return]
