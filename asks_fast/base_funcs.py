"""One request, no session to look after: `await get(url)` and its siblings.

Rules:  each makes a session of its own and closes it whatever happens; a streamed body keeps its
        connection until it is read or closed, and takes the session with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from ._config.options import CONNECTOR_OPTIONS
from ._response.stream import StreamBody
from ._tracebacks import shortened
from .sessions import DSession

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._client.argument_types import Location, OneShotArguments
    from .response_objects import Response, StreamResponse

__all__ = ["delete", "get", "head", "options", "patch", "post", "put", "request"]

__tracebackhide__ = True  # pytest leaves out frames of this module

SESSION_OPTIONS = CONNECTOR_OPTIONS | {"persist_cookies"}


@overload
async def request(
    method: str,
    url: Location = None,
    *,
    uri: Location = None,
    stream: Literal[True],
    **more: Unpack[OneShotArguments],
) -> StreamResponse: ...


@overload
async def request(
    method: str,
    url: Location = None,
    *,
    uri: Location = None,
    stream: Literal[False] = ...,
    **more: Unpack[OneShotArguments],
) -> Response: ...


@overload
async def request(
    method: str,
    url: Location = None,
    *,
    uri: Location = None,
    stream: bool,
    **more: Unpack[OneShotArguments],
) -> Response | StreamResponse: ...


@shortened
async def request(method: str, url: Location = None, *, uri: Location = None, **kwargs: Any) -> Any:
    """Make one request; arguments as for `Session.request`, and those of its connections.

    `uri` is what later asks called `url`.

    Raises as `Session.request` does. Closes its connection before it returns, unless `stream=True`:
    then when the body was read to its end or closed.
    """
    if (url is None) == (uri is None):
        raise TypeError("request() needs a url")
    url = uri if url is None else url
    own = {name: kwargs.pop(name) for name in SESSION_OPTIONS & kwargs.keys()}
    session = DSession(connections=1, **own)
    streamed = False
    try:
        response = await session.request(method, url, **kwargs)
        body = response.body
        if isinstance(body, StreamBody) and not response.is_complete:
            body._on_close = session.close
            streamed = True
        return response
    finally:
        if not streamed:
            await session.close()


@overload
async def get(
    url: Location = None, *, stream: Literal[True], **more: Unpack[OneShotArguments]
) -> StreamResponse: ...


@overload
async def get(
    url: Location = None, *, stream: Literal[False] = ..., **more: Unpack[OneShotArguments]
) -> Response: ...


@overload
async def get(
    url: Location = None, *, stream: bool, **more: Unpack[OneShotArguments]
) -> Response | StreamResponse: ...


@shortened
async def get(url: Location = None, **kwargs: Any) -> Any:
    """GET once."""
    return await request("GET", url, **kwargs)


@overload
async def head(
    url: Location = None, *, stream: Literal[True], **more: Unpack[OneShotArguments]
) -> StreamResponse: ...


@overload
async def head(
    url: Location = None, *, stream: Literal[False] = ..., **more: Unpack[OneShotArguments]
) -> Response: ...


@overload
async def head(
    url: Location = None, *, stream: bool, **more: Unpack[OneShotArguments]
) -> Response | StreamResponse: ...


@shortened
async def head(url: Location = None, **kwargs: Any) -> Any:
    """HEAD once."""
    return await request("HEAD", url, **kwargs)


@overload
async def post(
    url: Location = None, *, stream: Literal[True], **more: Unpack[OneShotArguments]
) -> StreamResponse: ...


@overload
async def post(
    url: Location = None, *, stream: Literal[False] = ..., **more: Unpack[OneShotArguments]
) -> Response: ...


@overload
async def post(
    url: Location = None, *, stream: bool, **more: Unpack[OneShotArguments]
) -> Response | StreamResponse: ...


@shortened
async def post(url: Location = None, **kwargs: Any) -> Any:
    """POST once."""
    return await request("POST", url, **kwargs)


@overload
async def put(
    url: Location = None, *, stream: Literal[True], **more: Unpack[OneShotArguments]
) -> StreamResponse: ...


@overload
async def put(
    url: Location = None, *, stream: Literal[False] = ..., **more: Unpack[OneShotArguments]
) -> Response: ...


@overload
async def put(
    url: Location = None, *, stream: bool, **more: Unpack[OneShotArguments]
) -> Response | StreamResponse: ...


@shortened
async def put(url: Location = None, **kwargs: Any) -> Any:
    """PUT once."""
    return await request("PUT", url, **kwargs)


@overload
async def delete(
    url: Location = None, *, stream: Literal[True], **more: Unpack[OneShotArguments]
) -> StreamResponse: ...


@overload
async def delete(
    url: Location = None, *, stream: Literal[False] = ..., **more: Unpack[OneShotArguments]
) -> Response: ...


@overload
async def delete(
    url: Location = None, *, stream: bool, **more: Unpack[OneShotArguments]
) -> Response | StreamResponse: ...


@shortened
async def delete(url: Location = None, **kwargs: Any) -> Any:
    """DELETE once."""
    return await request("DELETE", url, **kwargs)


@overload
async def options(
    url: Location = None, *, stream: Literal[True], **more: Unpack[OneShotArguments]
) -> StreamResponse: ...


@overload
async def options(
    url: Location = None, *, stream: Literal[False] = ..., **more: Unpack[OneShotArguments]
) -> Response: ...


@overload
async def options(
    url: Location = None, *, stream: bool, **more: Unpack[OneShotArguments]
) -> Response | StreamResponse: ...


@shortened
async def options(url: Location = None, **kwargs: Any) -> Any:
    """OPTIONS once."""
    return await request("OPTIONS", url, **kwargs)


@overload
async def patch(
    url: Location = None, *, stream: Literal[True], **more: Unpack[OneShotArguments]
) -> StreamResponse: ...


@overload
async def patch(
    url: Location = None, *, stream: Literal[False] = ..., **more: Unpack[OneShotArguments]
) -> Response: ...


@overload
async def patch(
    url: Location = None, *, stream: bool, **more: Unpack[OneShotArguments]
) -> Response | StreamResponse: ...


@shortened
async def patch(url: Location = None, **kwargs: Any) -> Any:
    """PATCH once."""
    return await request("PATCH", url, **kwargs)
