"""Transports for httpx2: `AsyncTransport` for `httpx2.AsyncClient`, `Transport` for its `Client`.

All is as in `httpx`, with the classes and errors of httpx2.
"""

from __future__ import annotations

from .._extras import missing_extra
from ._httpx.library import Library
from ._httpx.transports import AsyncTransportBase, TransportBase

try:
    import httpx2
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        missing_extra("asks_fast.contrib.httpx2", "httpx2", "httpx2")
    ) from error

__all__ = ["AsyncTransport", "Transport"]

_LIBRARY = Library(httpx2)


class AsyncTransport(
    AsyncTransportBase[httpx2.Limits, httpx2.URL | httpx2.Proxy, httpx2.Request, httpx2.Response],
    httpx2.AsyncBaseTransport,
):
    """Send the requests of an `httpx2.AsyncClient` with asks_fast, in asyncio, trio and curio.

    The arguments mean what they mean for `httpx2.AsyncHTTPTransport`, with the differences that
    `asks_fast.contrib.httpx.AsyncTransport` lists.

    Example:
        async with httpx2.AsyncClient(transport=AsyncTransport()) as client:
            response = await client.get("https://example.org")
    """

    _library = _LIBRARY


class Transport(
    TransportBase[httpx2.Limits, httpx2.URL | httpx2.Proxy, httpx2.Request, httpx2.Response],
    httpx2.BaseTransport,
):
    """Send the requests of an `httpx2.Client` with `asks_fast.sync`.

    As `asks_fast.contrib.httpx.Transport`: each thread has connections of its own.

    Example:
        with httpx2.Client(transport=Transport()) as client:
            response = client.get("https://example.org")
    """

    _library = _LIBRARY
