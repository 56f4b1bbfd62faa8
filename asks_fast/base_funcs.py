"""Functions that send one request without a session, such as `await asks_fast.get(url)`.

Rules:  each call makes a session and closes it. With `stream=True` the session is closed when the
        body has been read to its end or closed.
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
    """Send one request over a connection of its own.

    Args:
        method: an HTTP method; letters are converted to upper case.
        url: an absolute URL.
        uri: the same, as asks 2 and 3 named it.
        kwargs: the arguments of a request and of a session's connections; the guide "Arguments"
            lists them.

    Returns:
        A `Response`. With `stream=True`, a `StreamResponse`, whose connection is closed when its
        body has been read to its end or closed.

    Raises:
        AsksException: the request failed.
        InvalidRequest, InvalidURL, TypeError: an argument is invalid; nothing was sent.

    Cancellation closes the connection.

    Example:
        response = await asks_fast.request("GET", "https://example.org/", timeout=10)
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
