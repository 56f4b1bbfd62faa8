"""Transports for httpx: `AsyncTransport` for `httpx.AsyncClient`, `Transport` for `httpx.Client`.

Facts:  httpx calls a transport once per request, also for redirects and answered challenges. It
        gives the final header fields and reads the body as it was sent.
Rules:  redirects, authentication, cookies and decompression stay with httpx. Only header fields
        of httpx are sent. Errors of asks_fast become the errors that httpx documents.
Not here: sessions (`sessions`, `sync`), connections and proxies (`_transport`).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from .. import errors, sync
from .._client.retry import Attempt, Retry
from .._config.timeouts import Timeouts
from .._extras import missing_extra
from .._transport.proxies import Proxy
from ..response_objects import BaseResponse
from ..sessions import DSession
from ..urls import Url

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_extra("asks_fast.contrib.httpx", "httpx", "httpx")) from error

if TYPE_CHECKING:
    import ssl

    from ..response_objects import StreamResponse

    Certificate: TypeAlias = "str | tuple[str, str] | tuple[str, str, str]"
    SocketOption: TypeAlias = "tuple[int, int, int | bytes]"

__all__ = ["AsyncTransport", "Transport"]

DEFAULT_LIMITS = httpx.Limits(
    max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0
)  # as in httpx
UNLIMITED = 1_000_000  # connections; file descriptors run out earlier
SHORTEST_TIMEOUT = 1e-6  # seconds; httpx allows 0, which asks_fast rejects as ambiguous
DEFAULT_PORTS = {"http": 80, "https": 443}
FRAMING = (b"content-length", b"transfer-encoding")
REMOVE_DEFAULTS = dict.fromkeys(("User-Agent", "Accept", "Accept-Encoding", "Connection"))

# The first class that an error is an instance of decides.
ERRORS: list[tuple[type[errors.AsksException], type[httpx.TransportError]]] = [
    (errors.PoolTimeout, httpx.PoolTimeout),
    (errors.ConnectTimeout, httpx.ConnectTimeout),
    (errors.WriteTimeout, httpx.WriteTimeout),
    (errors.RequestTimeout, httpx.ReadTimeout),
    (errors.ProxyError, httpx.ProxyError),
    (errors.ConnectionFailed, httpx.ConnectError),
    (errors.BadHttpResponse, httpx.RemoteProtocolError),
    (errors.BodyLengthMismatch, httpx.LocalProtocolError),
    (errors.InvalidRequest, httpx.LocalProtocolError),
    (errors.SessionClosed, httpx.ReadError),
    (errors.ConnectivityError, httpx.NetworkError),
]


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """Raise the errors of asks_fast as those of httpx; others pass as they are."""
    try:
        yield
    except errors.AsksException as error:
        raise _httpx_error(error) from error


def _httpx_error(error: errors.AsksException) -> httpx.TransportError:
    if isinstance(error, errors.ServerClosedConnectionError):
        if error.is_unsent:
            return httpx.WriteError(str(error))
        if error.is_reset:
            return httpx.ReadError(str(error))
        return httpx.RemoteProtocolError(str(error))
    for ours, theirs in ERRORS:
        if isinstance(error, ours):
            return theirs(str(error))
    return httpx.TransportError(str(error))


# -- from the arguments of httpx to those of a session


def _session_arguments(
    verify: ssl.SSLContext | str | bool,
    cert: Certificate | None,
    trust_env: bool,
    http1: bool,
    http2: bool,
    limits: httpx.Limits,
    proxy: str | httpx.URL | httpx.Proxy | None,
    uds: str | None,
    local_address: str | None,
    retries: int,
    socket_options: Iterable[SocketOption] | None,
) -> dict[str, Any]:  # of `DSession`, which checks them
    if http2 or not http1:
        raise ValueError("asks_fast sends HTTP/1.1 only: leave http1=True and http2=False")
    # A connection that may not be kept serves one request.
    keeps_none = 0 in (limits.max_keepalive_connections, limits.keepalive_expiry)
    arguments: dict[str, Any] = {
        "ssl_context": httpx.create_ssl_context(verify, cert, trust_env),
        "connections": UNLIMITED if limits.max_connections is None else limits.max_connections,
        "idle_timeout": limits.keepalive_expiry or 0.0,
        "max_requests_per_connection": 1 if keeps_none else 0,
        "proxy": _as_proxy(proxy, trust_env),
        "unix_socket": uds,
        "source_address": local_address,
        "headers": REMOVE_DEFAULTS,
        "decompress": False,
        "follow_redirects": False,
        "retries": _connect_retries(retries),
    }
    if socket_options is not None:
        arguments["socket_options"] = list(socket_options)
    return arguments


def _as_proxy(proxy: str | httpx.URL | httpx.Proxy | None, trust_env: bool) -> Proxy | None:
    if proxy is None:
        return None
    if not isinstance(proxy, httpx.Proxy):
        proxy = httpx.Proxy(proxy)
    context = proxy.ssl_context
    if context is None and proxy.url.scheme == "https":
        context = httpx.create_ssl_context(trust_env=trust_env)
    ours = Proxy.from_url(str(proxy.url), headers=proxy.headers.multi_items(), ssl_context=context)
    if proxy.auth is None:
        return ours
    username, password = proxy.auth
    return replace(ours, username=username, password=password)


def _connect_retries(retries: int) -> int | Retry:
    """The policy that `retries` of httpx means: repeat what failed before a connection was made."""
    if retries == 0:
        return 0
    return Retry(attempts=retries, statuses=frozenset(), predicate=_failed_to_connect)


def _failed_to_connect(attempt: Attempt) -> bool:
    return isinstance(attempt.error, (errors.ConnectionFailed, errors.ConnectTimeout))


# -- from a request of httpx to the arguments of one


def _url(request: httpx.Request) -> Url:
    """The URL of a request as httpx encoded it, without userinfo: httpx authenticates."""
    url = request.url
    port = url.port or DEFAULT_PORTS.get(url.scheme)
    if port is None:
        raise httpx.UnsupportedProtocol(
            f"{str(url)!r}: the URL must start with 'http://' or 'https://'"
        )
    if not url.host:
        raise httpx.LocalProtocolError(f"{str(url)!r}: the URL has no host")
    target = request.extensions.get("target", url.raw_path)
    return Url(url.scheme, url.raw_host.decode("ascii"), port, target.decode("ascii"))


@lru_cache(maxsize=64)
def _timeouts(*limits: float | None) -> Timeouts:
    """The limits of the four phases, in the order in which `Timeouts` has them."""
    return Timeouts(*(None if limit is None else max(limit, SHORTEST_TIMEOUT) for limit in limits))


def _request_arguments(request: httpx.Request, body: object) -> dict[str, Any]:
    headers: list[tuple[bytes, bytes | str | None]] = [
        (name, value.decode("latin-1") if name.lower() in FRAMING else value)
        for name, value in request.headers.raw
    ]
    if body is not None and "content-type" not in request.headers:
        headers.append((b"Content-Type", None))
    arguments: dict[str, Any] = {"headers": headers, "data": body, "stream": True}
    limits: Mapping[str, float | None] = request.extensions.get("timeout") or {}
    arguments["timeout"] = _timeouts(*map(limits.get, ("pool", "connect", "read", "write")))
    server_hostname = request.extensions.get("sni_hostname")
    if server_hostname is not None:
        arguments["server_hostname"] = server_hostname
    return arguments


def _bytes_body(request: httpx.Request, stream: httpx.ByteStream) -> bytes | Iterator[bytes] | None:
    """The body that is in memory; an iterator if the headers promise the chunked coding."""
    body = b"".join(stream)
    if "transfer-encoding" in request.headers:
        return iter([body])
    return body or None


# -- from a response to one of httpx


class _NetworkStream:
    """The `network_stream` extension, which these transports do not have: every use raises."""

    def _unsupported(self, *_arguments: object, **_options: object) -> NoReturn:
        raise NotImplementedError(
            "the transports of asks_fast do not support the extension 'network_stream': use the "
            "transport of httpx for upgraded connections and CONNECT"
        )

    read = write = close = aclose = start_tls = get_extra_info = _unsupported


_NETWORK_STREAM = _NetworkStream()


def _as_httpx(
    response: BaseResponse,
    trailers: httpx.Headers,
    stream: httpx.AsyncByteStream | httpx.SyncByteStream,
) -> httpx.Response:
    return httpx.Response(
        response.status_code,
        headers=response.headers.raw,
        stream=stream,
        extensions={
            "http_version": b"HTTP/%b" % response.http_version.encode("ascii"),
            "reason_phrase": response.reason_phrase.encode("utf-8", "replace"),
            "network_stream": _NETWORK_STREAM,
            "trailers": trailers,
        },
    )


def _take_trailers(response: BaseResponse, trailers: httpx.Headers) -> None:
    if response.trailers:
        trailers.update(httpx.Headers(response.trailers.raw))


class _AsyncBody(httpx.AsyncByteStream):
    """The body of a response; at its end `trailers` are filled in."""

    def __init__(self, response: StreamResponse, trailers: httpx.Headers) -> None:
        self._response = response
        self._trailers = trailers

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._response.body.__anext__()
        except StopAsyncIteration:
            _take_trailers(self._response, self._trailers)
            raise
        except errors.AsksException as error:
            raise _httpx_error(error) from error

    async def aclose(self) -> None:
        await self._response.body.close()


class _Body(httpx.SyncByteStream):
    """The body of a response; at its end `trailers` are filled in."""

    def __init__(self, response: sync.StreamResponse, trailers: httpx.Headers) -> None:
        self._response = response
        self._trailers = trailers

    def __iter__(self) -> Iterator[bytes]:
        with _httpx_errors():
            yield from self._response.body
        _take_trailers(self._response, self._trailers)

    def close(self) -> None:
        self._response.body.close()


# -- the transports


class AsyncTransport(httpx.AsyncBaseTransport):
    """Send the requests of an `httpx.AsyncClient` with asks_fast, in asyncio, trio and curio.

    The arguments mean what they mean for `httpx.AsyncHTTPTransport`. The same transport may be used
    by several clients.

    Args:
        verify: True, False or an `ssl.SSLContext`.
        cert: file of the client certificate, or (certificate, key), or with a password.
        trust_env: read SSL_CERT_FILE and SSL_CERT_DIR of the environment.
        http1: must be True.
        http2: must be False.
        limits: most connections, and seconds that an idle one is kept. A number of idle connections
            other than 0 is not a limit of its own: idle ones only expire.
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

    def __init__(
        self,
        verify: ssl.SSLContext | str | bool = True,
        cert: Certificate | None = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: httpx.Limits = DEFAULT_LIMITS,
        proxy: str | httpx.URL | httpx.Proxy | None = None,
        uds: str | None = None,
        local_address: str | None = None,
        retries: int = 0,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> None:
        self._session = DSession(
            **_session_arguments(
                verify, cert, trust_env, http1, http2, limits,
                proxy, uds, local_address, retries, socket_options,
            )
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<AsyncTransport {self._session!r}>"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; returns as soon as the head of its response is there."""
        stream = request.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        body: object
        if isinstance(stream, httpx.ByteStream):
            body = _bytes_body(request, stream)
        else:
            body = stream.__aiter__()
        with _httpx_errors():
            response = await self._session.request(
                request.method, _url(request), **_request_arguments(request, body)
            )
        trailers = httpx.Headers()
        return _as_httpx(response, trailers, _AsyncBody(response, trailers))

    async def aclose(self) -> None:
        """Close all connections at once."""
        await self._session.close()


class _SessionOwner:
    """The session of one thread. Its connections are closed when the thread has ended."""

    def __init__(self, session: sync.DSession) -> None:
        self.session = session

    def __del__(self) -> None:
        self.session.session._transport.close()


class Transport(httpx.BaseTransport):
    """Send the requests of an `httpx.Client` with `asks_fast.sync`.

    The arguments mean what they mean for `AsyncTransport`. Each thread has connections of its own,
    and `limits` hold for each thread. A thread with a running event loop gets RuntimeError.

    Example:
        with httpx.Client(transport=Transport()) as client:
            response = client.get("https://example.org")
    """

    def __init__(
        self,
        verify: ssl.SSLContext | str | bool = True,
        cert: Certificate | None = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: httpx.Limits = DEFAULT_LIMITS,
        proxy: str | httpx.URL | httpx.Proxy | None = None,
        uds: str | None = None,
        local_address: str | None = None,
        retries: int = 0,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> None:
        self._arguments = _session_arguments(
            verify, cert, trust_env, http1, http2, limits,
            proxy, uds, local_address, retries, socket_options,
        )  # fmt: skip
        self._of_thread = threading.local()
        self._owners: weakref.WeakSet[_SessionOwner] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"<Transport with sessions of {len(self._owners)} threads>"

    def _session(self) -> sync.DSession:
        """The session of this thread, which ends with the thread."""
        owner: _SessionOwner | None = getattr(self._of_thread, "owner", None)
        if owner is None:
            owner = self._of_thread.owner = _SessionOwner(sync.DSession(**self._arguments))
            self._owners.add(owner)
        return owner.session

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; returns as soon as the head of its response is there."""
        stream = request.stream
        assert isinstance(stream, httpx.SyncByteStream)
        body: object
        if isinstance(stream, httpx.ByteStream):
            body = _bytes_body(request, stream)
        else:
            body = iter(stream)
        with _httpx_errors():
            response = self._session().request(
                request.method, _url(request), **_request_arguments(request, body)
            )
        assert isinstance(response, sync.StreamResponse)
        trailers = httpx.Headers()
        return _as_httpx(response, trailers, _Body(response, trailers))

    def close(self) -> None:
        """Close the connections of all threads at once."""
        for owner in list(self._owners):
            owner.session.close()
