"""One request, no session to look after: `await get(url)` and its siblings.

Rules:  each makes a session of its own and closes it whatever happens; a streamed body keeps its
        connection until it is read or closed, and takes the session with it.
"""

from __future__ import annotations

from typing import Any

from .options import CONNECTOR_OPTIONS
from .response_objects import Response
from .sessions import DSession
from .stream_body import StreamBody

__all__ = ["delete", "get", "head", "options", "patch", "post", "put", "request"]

SESSION_OPTIONS = CONNECTOR_OPTIONS | {"persist_cookies"}


async def request(
    method: str, url: str | None = None, *, uri: str | None = None, **kwargs: Any
) -> Response:
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
            body.on_end = session.close
            streamed = True
        return response
    finally:
        if not streamed:
            await session.close()


async def get(url: str | None = None, **kwargs: Any) -> Response:
    """GET once."""
    return await request("GET", url, **kwargs)


async def head(url: str | None = None, **kwargs: Any) -> Response:
    """HEAD once."""
    return await request("HEAD", url, **kwargs)


async def post(url: str | None = None, **kwargs: Any) -> Response:
    """POST once."""
    return await request("POST", url, **kwargs)


async def put(url: str | None = None, **kwargs: Any) -> Response:
    """PUT once."""
    return await request("PUT", url, **kwargs)


async def delete(url: str | None = None, **kwargs: Any) -> Response:
    """DELETE once."""
    return await request("DELETE", url, **kwargs)


async def options(url: str | None = None, **kwargs: Any) -> Response:
    """OPTIONS once."""
    return await request("OPTIONS", url, **kwargs)


async def patch(url: str | None = None, **kwargs: Any) -> Response:
    """PATCH once."""
    return await request("PATCH", url, **kwargs)
