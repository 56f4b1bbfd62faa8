"""One request without a session: `await get(url)` and the like.

Rules:  each call makes a session and closes it. A streamed body keeps its connection until it is
        read or closed, and then closes the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._client.verbs import request as typed_request
from ._client.verbs import verb
from ._config.options import CONNECTOR_OPTIONS
from ._response.stream import StreamBody
from ._tracebacks import shortened
from .sessions import DSession

if TYPE_CHECKING:
    from ._annotations import AnyArgument
    from ._client.argument_types import Location
    from .response_objects import Response, StreamResponse

__all__ = ["delete", "get", "head", "options", "patch", "post", "put", "request"]

__tracebackhide__ = True  # pytest leaves out frames of this module

SESSION_OPTIONS = CONNECTOR_OPTIONS | {"persist_cookies"}


@typed_request
@shortened
async def request(
    method: str, url: Location = None, *, uri: Location = None, **kwargs: AnyArgument
) -> Response | StreamResponse:
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


@verb
@shortened
async def get(url: Location = None, **kwargs: AnyArgument) -> Response | StreamResponse:
    """Send one GET request; arguments as for `request`."""
    return await request("GET", url, **kwargs)


@verb
@shortened
async def head(url: Location = None, **kwargs: AnyArgument) -> Response | StreamResponse:
    """Send one HEAD request; arguments as for `request`."""
    return await request("HEAD", url, **kwargs)


@verb
@shortened
async def post(url: Location = None, **kwargs: AnyArgument) -> Response | StreamResponse:
    """Send one POST request; arguments as for `request`."""
    return await request("POST", url, **kwargs)


@verb
@shortened
async def put(url: Location = None, **kwargs: AnyArgument) -> Response | StreamResponse:
    """Send one PUT request; arguments as for `request`."""
    return await request("PUT", url, **kwargs)


@verb
@shortened
async def delete(url: Location = None, **kwargs: AnyArgument) -> Response | StreamResponse:
    """Send one DELETE request; arguments as for `request`."""
    return await request("DELETE", url, **kwargs)


@verb
@shortened
async def options(url: Location = None, **kwargs: AnyArgument) -> Response | StreamResponse:
    """Send one OPTIONS request; arguments as for `request`."""
    return await request("OPTIONS", url, **kwargs)


@verb
@shortened
async def patch(url: Location = None, **kwargs: AnyArgument) -> Response | StreamResponse:
    """Send one PATCH request; arguments as for `request`."""
    return await request("PATCH", url, **kwargs)
