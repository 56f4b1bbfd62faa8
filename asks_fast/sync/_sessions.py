"""The blocking sessions.

Each holds the asynchronous session of the same name and runs its coroutines to their end. Settings
are read and assigned on the asynchronous session.

Rules:  `_send` calls `run` directly, because a Python frame between them would slow down each call.
Implemented elsewhere: what a session does (`sessions`), iterators over its results (`_streams`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, TypeVar, overload

from .. import sessions
from .._client.methods import RequestMethods
from .._client.settings import check_assignment
from .._config.other_libraries import SESSION, add_hints
from .._guest.blocking import run
from ..response_objects import Response
from ._streams import Events, Results, StreamResponse, blocking_response

if TYPE_CHECKING:
    import ssl

    from multidict import CIMultiDict
    from typing_extensions import Self, Unpack

    from .._annotations import AnyArgument, AnyHeaderValue, Unchecked
    from .._client.argument_types import (
        BaseSessionArguments,
        Fields,
        Location,
        PreparedArguments,
        RequestArguments,
        SessionArguments,
    )
    from .._client.bulk import BulkRequest, Result
    from .._client.download import Download
    from .._config.transfer import BandwidthLimit, LowSpeed, ProgressCallback
    from .._request.prepared_request import PreparedRequest
    from ..cookie_utils import CookieTracker

__all__ = ["DSession", "HSession", "Session"]

Value = TypeVar("Value")
Given = TypeVar("Given")
AnySession = TypeVar("AnySession", bound="sessions.BaseSession")


class _Setting(Generic[Value, Given]):
    """An attribute of the asynchronous session: it is read and assigned there."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, blocking: None, owner: type) -> Self: ...

    @overload
    def __get__(self, blocking: _BlockingSession[Unchecked], owner: type) -> Value: ...

    def __get__(self, blocking: _BlockingSession[Unchecked] | None, owner: type) -> Self | Value:
        if blocking is None:
            return self
        value: Value = getattr(blocking.session, self._name)
        return value

    def __set__(self, blocking: _BlockingSession[Unchecked], value: Given) -> None:
        setattr(blocking.session, self._name, value)


class _BlockingSession(
    RequestMethods[Response, StreamResponse, Response | StreamResponse], Generic[AnySession]
):
    """Methods of all blocking sessions. `session` is the asynchronous session that they use."""

    session: AnySession
    endpoint: _Setting[str, str | None] = _Setting()
    headers: _Setting[CIMultiDict[AnyHeaderValue], Fields] = _Setting()
    encoding: _Setting[str, str] = _Setting()
    ssl_context: _Setting[ssl.SSLContext | None, ssl.SSLContext | None] = _Setting()
    source_address: _Setting[str | tuple[str, int] | None, str | tuple[str, int] | None] = (
        _Setting()
    )

    if not TYPE_CHECKING:  # a type checker would accept every name

        def __setattr__(self, name: str, value: object) -> None:
            """Reject the assignment of an argument that the session has read already."""
            check_assignment(self, name)
            super().__setattr__(name, value)

    @property
    def connections(self) -> int:
        """The maximum number of open connections."""
        return self.session.connections

    @property
    def cookie_tracker_obj(self) -> CookieTracker | None:
        """The cookie jar; None without `persist_cookies`. Named as in asks."""
        return self.session.cookie_tracker_obj

    def _send(self, method: str, url: Location, options: dict[str, AnyArgument]) -> Response:
        return blocking_response(run(self.session._make(method, url, options)))  # type: ignore[no-any-return]

    def prepare(
        self, method: str, url: Location = None, **options: Unpack[PreparedArguments]
    ) -> PreparedRequest:
        """Build the request that `request` would send, without sending it.

        Args:
            method: the HTTP method.
            url: as for `request`.
            options: as for `request`.

        Returns:
            The request, for `send`.
        """
        return self.session.prepare(method, url, **options)

    def send(self, request: PreparedRequest) -> Response:
        """Send a request that `prepare` returned.

        Args:
            request: the prepared request.

        Returns:
            The response, as `request` returns it.
        """
        return blocking_response(run(self.session.send(request)))  # type: ignore[no-any-return]

    def map(self, requests: Iterable[BulkRequest], **options: AnyArgument) -> Results:
        """Send many requests, several at a time.

        Args:
            requests: the requests; see `map` of the `asks_fast` sessions.
            options: see there too.

        Returns:
            An iterator over the results, in the order in which they complete.

        Example:
            ```python
            for result in session.map(["/a", "/b"]):
                print(result.key, result.response)
            ```
        """
        return Results(self.session.map(requests, **options))

    def gather(self, requests: Iterable[BulkRequest], **options: AnyArgument) -> list[Result]:
        """Send a few requests, several at a time, and wait for all of them.

        Args:
            requests: the requests; see `map` of the `asks_fast` sessions.
            options: see there too.

        Returns:
            The results, in the order of `requests`.
        """
        return run(self.session.gather(requests, **options))

    def events(
        self,
        url: Location = None,
        *,
        method: str = "GET",
        last_event_id: str = "",
        reconnect: bool = True,
        reconnect_delay: float = 3.0,
        max_failures: int | None = 10,
        max_event_size: int | None = 1 << 20,
        **options: Unpack[RequestArguments],
    ) -> Events:
        """Iterate over the server-sent events of a URL, over a new connection whenever one ends.

        Args:
            url: as for `request`.
            method: "POST" sends the body again with each connection, which must be replayable.
            last_event_id: the ID to continue after.
            reconnect: False ends with the first connection.
            reconnect_delay: seconds to wait before a new connection, unless the server sets a time.
            max_failures: the most connections in a row that bring nothing, None for no limit.
            max_event_size: the most bytes of one event, None for no limit.
            **options: arguments of each request.

        Returns:
            An iterator and context manager of `ServerSentEvent`. Leave it by `with`, or call
            `close()`.

        Example:
            ```python
            with session.events("https://example.org/feed") as events:
                for event in events:
                    print(event.id, event.event, event.data)
            ```
        """
        return Events(
            self.session.events(
                url,
                method=method,
                last_event_id=last_event_id,
                reconnect=reconnect,
                reconnect_delay=reconnect_delay,
                max_failures=max_failures,
                max_event_size=max_event_size,
                **options,
            )
        )

    def download(
        self,
        url: Location,
        path: str | os.PathLike[str],
        /,
        *,
        resume: bool = True,
        progress: ProgressCallback | None = None,
        checksum: str | None = None,
        low_speed: LowSpeed | None = None,
        max_rate: float | BandwidthLimit | None = None,
        **options: Unpack[RequestArguments],
    ) -> Download:
        """Download a URL to a file, which appears under its name when it is complete.

        Args:
            url: as for `download` of the `asks_fast` sessions.
            path: the file to write; see there too.
            resume: whether to continue a partial file, and to keep one on failure.
            progress: a function that is called with a `Progress` after each chunk.
            checksum: algorithm and hexadecimal digest, such as `"sha256:9f86d0…"`.
            low_speed: (bytes per second, seconds) of the slowest connection.
            max_rate: bytes per second, or a `BandwidthLimit` that several downloads share.
            **options: arguments of each request.

        Returns:
            The path, the size and the figures of the download.

        Example:
            ```python
            done = session.download("https://example.org/big.iso", "big.iso")
            ```
        """
        return run(
            self.session.download(
                url,
                path,
                resume=resume,
                progress=progress,
                checksum=checksum,
                low_speed=low_speed,
                max_rate=max_rate,
                **options,  # pyright: ignore[reportArgumentType]  # it compares the key path with the parameter
            )
        )

    def warm_up(self, number: int | None = None, url: str | None = None) -> int:
        """Open connections before the first request.

        Args:
            number: how many connections to open; None: as many as the session allows.
            url: where to connect to; by default the session's base location.

        Returns:
            How many connections there are now.
        """
        return run(self.session.warm_up(number, url))

    def pool_stats(self) -> dict[str, int]:
        """Return the numbers of connections now, and totals."""
        return self.session.pool_stats()

    def close(self) -> None:
        """Close all connections at once. May be called again."""
        run(self.session.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<sync {self.session!r}>"


add_hints(_BlockingSession, SESSION)


class HSession(_BlockingSession[sessions.HSession]):
    """A blocking session for one host. See `asks_fast.HSession`."""

    host: _Setting[str, str] = _Setting()

    def __init__(
        self,
        host: str,
        endpoint: str | None = None,
        encoding: str = "utf-8",
        persist_cookies: bool | CookieTracker | None = None,
        connections: int = 1,
        **options: Unpack[SessionArguments],
    ) -> None:
        self.session = sessions.HSession(
            host, endpoint, encoding, persist_cookies, connections, **options
        )


class DSession(_BlockingSession[sessions.DSession]):
    """A blocking session for many hosts. See `asks_fast.DSession`."""

    def __init__(
        self,
        encoding: str = "utf-8",
        persist_cookies: bool | CookieTracker | None = None,
        connections: int = 20,
        **options: Unpack[SessionArguments],
    ) -> None:
        self.session = sessions.DSession(encoding, persist_cookies, connections, **options)


class Session(_BlockingSession[sessions.Session]):
    """A blocking session for one base location, full URLs, or both. See `asks_fast.Session`."""

    base_location: _Setting[str, str] = _Setting()

    def __init__(
        self,
        base_location: str = "",
        endpoint: str = "",
        headers: Fields = None,
        encoding: str = "utf-8",
        persist_cookies: bool | CookieTracker | None = None,
        ssl_context: ssl.SSLContext | None = None,
        connections: int = 1,
        **options: Unpack[BaseSessionArguments],
    ) -> None:
        self.session = sessions.Session(
            base_location,
            endpoint,
            headers,
            encoding,
            persist_cookies,
            ssl_context,
            connections,
            **options,
        )
