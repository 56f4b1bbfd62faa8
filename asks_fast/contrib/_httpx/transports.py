"""Base classes of the transports: `AsyncTransportBase` over a session, `TransportBase` over
`asks_fast.sync`.

Rules:  redirects, authentication, cookies and decompression stay with httpx.
Implemented elsewhere: arguments (`arguments`), requests and responses (`messages`).
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from ... import sync
from ...sessions import DSession
from .arguments import session_arguments
from .library import Library, LimitsInfo, RequestInfo
from .messages import Messages

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from .arguments import Certificate, SocketOption, TransportArguments

__all__ = ["AsyncTransportBase", "TransportBase"]

Limits = TypeVar("Limits", bound=LimitsInfo)
AnyProxy = TypeVar("AnyProxy")  # a URL or proxy of the package
Request = TypeVar("Request", bound=RequestInfo)
Response = TypeVar("Response")


class _Transport(Generic[Limits, AnyProxy, Request, Response]):
    """The arguments of both transports, with the types of one package."""

    _library: ClassVar[Library]

    def __init__(
        self,
        verify: ssl.SSLContext | str | bool = True,
        cert: Certificate | None = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: Limits | None = None,
        proxy: str | AnyProxy | None = None,
        uds: str | None = None,
        local_address: str | None = None,
        retries: int = 0,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> None:
        if http2 or not http1:
            raise ValueError("asks_fast sends HTTP/1.1 only: leave http1=True and http2=False")
        library = self._library
        self._messages = Messages(library)
        self._make_session(
            session_arguments(
                library, verify, cert, trust_env, limits, proxy, uds, local_address, retries,
                socket_options,
            )
        )  # fmt: skip

    def _make_session(self, arguments: TransportArguments) -> None:
        """Make the session, or prepare to make it."""
        raise NotImplementedError


class AsyncTransportBase(_Transport[Limits, AnyProxy, Request, Response]):
    """The transport of an `AsyncClient`: one session."""

    def _make_session(self, arguments: TransportArguments) -> None:
        self._session = DSession(**arguments)

    def __repr__(self) -> str:
        return f"<AsyncTransport {self._session!r}>"

    async def handle_async_request(self, request: Request) -> Response:
        """Send one request; returns as soon as the head of its response has been received."""
        messages = self._messages
        url, arguments = messages.url(request), messages.arguments(request, aiter)
        with self._library.errors():
            response = await self._session.request(request.method, url, stream=True, **arguments)
        made: Response = messages.async_response(response)
        return made

    async def aclose(self) -> None:
        """Close all connections at once."""
        await self._session.close()


class _SessionOwner:
    """The session of one thread. Its connections are closed when the thread has ended."""

    def __init__(self, session: sync.DSession) -> None:
        self.session = session

    def __del__(self) -> None:
        self.session.session._transport.close()


class TransportBase(_Transport[Limits, AnyProxy, Request, Response]):
    """The transport of a `Client`: a session for each thread that uses it."""

    def _make_session(self, arguments: TransportArguments) -> None:
        self._arguments = arguments
        self._thread_data = threading.local()
        self._owners: weakref.WeakSet[_SessionOwner] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"<Transport with sessions of {len(self._owners)} threads>"

    def _session(self) -> sync.DSession:
        """The session of this thread, which ends with the thread."""
        owner: _SessionOwner | None = getattr(self._thread_data, "owner", None)
        if owner is None:
            owner = self._thread_data.owner = _SessionOwner(sync.DSession(**self._arguments))
            self._owners.add(owner)
        return owner.session

    def handle_request(self, request: Request) -> Response:
        """Send one request; returns as soon as the head of its response has been received."""
        messages = self._messages
        url, arguments = messages.url(request), messages.arguments(request, iter)
        with self._library.errors():
            response = self._session().request(request.method, url, stream=True, **arguments)
        made: Response = messages.response(response)
        return made

    def close(self) -> None:
        """Close the connections of all threads at once."""
        for owner in list(self._owners):
            owner.session.close()
