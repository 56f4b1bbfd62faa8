"""Requests of httpx as requests of a session, and responses of a session as responses of httpx.

Facts:  httpx calls a transport once per request, also for redirects and answered challenges. It
        gives the final header fields and reads the body as it was sent.
Rules:  only header fields of httpx are sent, in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn, cast

from ..._config.timeouts import Timeouts
from ...urls import Url
from .bodies import AsyncBody, Body
from .library import Library, RequestInfo

if TYPE_CHECKING:
    from ... import sync
    from ..._client.argument_types import RequestArguments
    from ...response_objects import BaseResponse, StreamResponse

__all__ = ["Messages"]

SHORTEST_TIMEOUT = 1e-6  # seconds; httpx allows 0, which asks_fast rejects as ambiguous
DEFAULT_PORTS = {"http": 80, "https": 443}
FRAMING = (b"content-length", b"transfer-encoding")


class Messages:
    """Converts the requests and responses of one package.

    Args:
        library: the package.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        module = library.module
        self._async_body = type("AsyncBody", (AsyncBody, module.AsyncByteStream), {})
        self._body = type("Body", (Body, module.SyncByteStream), {})

    def url(self, request: RequestInfo) -> Url:
        """The URL as httpx encoded it, without userinfo: httpx authenticates.

        Raises:
            UnsupportedProtocol: the URL is not an http or https URL.
            LocalProtocolError: the URL has no host.
        """
        url, module = request.url, self._library.module
        port = url.port or DEFAULT_PORTS.get(url.scheme)
        if port is None:
            raise module.UnsupportedProtocol(
                f"{str(url)!r}: the URL must start with 'http://' or 'https://'"
            )
        if not url.host:
            raise module.LocalProtocolError(f"{str(url)!r}: the URL has no host")
        target = cast("bytes", request.extensions.get("target", url.raw_path))
        return Url(url.scheme, url.raw_host.decode("ascii"), port, target.decode("ascii"))

    def arguments(self, request: RequestInfo, iterate: Callable[[Any], object]) -> RequestArguments:
        """The arguments of the request of a session.

        Args:
            request: the request of httpx.
            iterate: makes the iterator over a body that is streamed.
        """
        body = self._body_of(request, iterate)
        headers: list[tuple[bytes, bytes | str | None]] = [
            (name, value.decode("latin-1") if name.lower() in FRAMING else value)
            for name, value in request.headers.raw
        ]
        if body is not None and "content-type" not in request.headers:
            headers.append((b"Content-Type", None))
        arguments: RequestArguments = {"headers": headers, "data": body}
        limits = cast("dict[str, float | None]", request.extensions.get("timeout") or {})
        arguments["timeout"] = _timeouts(*map(limits.get, ("pool", "connect", "read", "write")))
        if "sni_hostname" in request.extensions:
            name = cast("str | None", request.extensions["sni_hostname"])
            arguments["server_hostname"] = name
        return arguments

    def _body_of(self, request: RequestInfo, iterate: Callable[[Any], object]) -> object:
        stream = request.stream
        if not isinstance(stream, self._library.module.ByteStream):
            return iterate(stream)
        body = b"".join(cast("Iterator[bytes]", stream))
        # An auth class of httpx may have read a body whose headers promise the chunked coding.
        return iter([body]) if "transfer-encoding" in request.headers else body or None

    # Any: a response of the package.
    def async_response(self, response: StreamResponse) -> Any:
        """The response for an `AsyncClient`, whose stream reads the body."""
        trailers = self._library.module.Headers()
        return self._response(
            response, trailers, self._async_body(self._library, response, trailers)
        )

    def response(self, response: sync.StreamResponse) -> Any:
        """The response for a `Client`, whose stream reads the body."""
        trailers = self._library.module.Headers()
        return self._response(response, trailers, self._body(self._library, response, trailers))

    def _response(self, response: BaseResponse, trailers: object, stream: object) -> Any:
        return self._library.module.Response(
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


@lru_cache(maxsize=64)
def _timeouts(*limits: float | None) -> Timeouts:
    """The limits of the four phases, in the order in which `Timeouts` has them."""
    return Timeouts(*(None if limit is None else max(limit, SHORTEST_TIMEOUT) for limit in limits))


class NetworkStream:
    """The `network_stream` extension, which is not supported: every method raises."""

    def _unsupported(self, *_arguments: object, **_options: object) -> NoReturn:
        raise NotImplementedError(
            "the transports of asks_fast do not support the extension 'network_stream': use the "
            "transport of httpx for upgraded connections and CONNECT"
        )

    read = write = close = aclose = start_tls = get_extra_info = _unsupported


_NETWORK_STREAM = NetworkStream()
