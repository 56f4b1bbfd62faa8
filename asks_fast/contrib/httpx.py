"""Transports for httpx: `AsyncTransport` for `httpx.AsyncClient`, `Transport` for `httpx.Client`.

Rules:  redirects, authentication, cookies and decompression stay with httpx. Only header fields
        of httpx are sent. Errors of asks_fast become the errors that httpx documents.
Implemented elsewhere: all of it (`_httpx`); `httpx2` has the same transports for httpx2.
"""

from __future__ import annotations

from .._extras import missing_extra
from ._httpx.library import Library
from ._httpx.transports import AsyncTransportBase, TransportBase

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_extra("asks_fast.contrib.httpx", "httpx", "httpx")) from error

__all__ = ["AsyncTransport", "Transport"]

_LIBRARY = Library(httpx)


class AsyncTransport(
    AsyncTransportBase[httpx.Limits, httpx.URL | httpx.Proxy, httpx.Request, httpx.Response],
    httpx.AsyncBaseTransport,
):
    """Send the requests of an `httpx.AsyncClient` with asks_fast, in asyncio, trio and curio.

    The arguments mean what they mean for `httpx.AsyncHTTPTransport`. The same transport may be used
    by several clients.

    Args:
        verify: True, False or an `ssl.SSLContext`.
        cert: file of the client certificate, or (certificate, key), or with a password.
        trust_env: read SSL_CERT_FILE and SSL_CERT_DIR of the environment.
        http1: must be True.
        http2: must be False.
        limits: most connections, and seconds that an idle one is kept; None: 100 and 5, as in
            httpx. A number of idle connections other than 0 is not a limit of its own: idle ones
            only expire.
        proxy: URL or `httpx.Proxy`: http, https, socks5 or socks5h.
        uds: path of a Unix socket to connect to.
        local_address: IP address that connections come from.
        retries: number of further attempts to make a connection.
        socket_options: as for `socket.setsockopt`.

    Raises:
        ValueError: `http2` is on or `http1` is off.

    A request that is cancelled closes its connection.

    Example:
        async with httpx.AsyncClient(transport=AsyncTransport()) as client:
            response = await client.get("https://example.org")
    """

    _library = _LIBRARY


class Transport(
    TransportBase[httpx.Limits, httpx.URL | httpx.Proxy, httpx.Request, httpx.Response],
    httpx.BaseTransport,
):
    """Send the requests of an `httpx.Client` with `asks_fast.sync`.

    The arguments mean what they mean for `AsyncTransport`. Each thread has connections of its own,
    and `limits` hold for each thread. A thread with a running event loop gets RuntimeError.

    Example:
        with httpx.Client(transport=Transport()) as client:
            response = client.get("https://example.org")
    """

    _library = _LIBRARY
