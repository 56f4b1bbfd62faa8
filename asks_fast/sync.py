"""Blocking requests, for programs without an event loop.

    from asks_fast import sync

    with sync.HSession("https://example.org", connections=10) as session:
        print(session.get(path="/").text)
        for result in session.map(f"/items/{n}" for n in range(1000)):
            print(result.key, result.response)

Sessions, functions and arguments are those of `asks_fast`. Each call returns what the coroutine of
the same name returns, and raises the same errors.

Facts:  each thread has its own kernel, which runs only during a call. Between two calls nothing
        happens: idle connections are not closed, and `map` makes no progress.
Rules:  a session belongs to one thread (`WrongThread`). In a thread with a running event loop a
        call raises RuntimeError.
Implemented elsewhere: the kernel of a thread (`_guest.blocking`), sessions (`sessions`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar, cast, overload

from . import base_funcs, response_objects, sessions
from ._client.methods import RequestMethods
from ._client.settings import check_assignment
from ._config.other_libraries import SESSION, add_hints
from ._guest.blocking import run
from .response_objects import Response

if TYPE_CHECKING:
    import ssl

    from multidict import CIMultiDict
    from typing_extensions import Self, Unpack

    from ._annotations import AnyArgument, AnyHeaderValue, Unchecked
    from ._client.argument_types import (
        BaseSessionArguments,
        Fields,
        Location,
        NoOther,
        OneShotArguments,
        PreparedArguments,
        RequestArguments,
        SessionArguments,
    )
    from ._client.bulk import BulkRequest, Result, ResultStream
    from ._client.download import Download
    from ._client.event_source import EventSource
    from ._config.transfer import BandwidthLimit, LowSpeed, ProgressCallback
    from ._request.prepared_request import PreparedRequest
    from ._response.server_sent_events import EventStream, ServerSentEvent
    from ._response.stream import StreamBody
    from .cookie_utils import CookieTracker

__all__ = [
    "DSession",
    "Events",
    "HSession",
    "Response",
    "Session",
    "StreamResponse",
    "delete",
    "get",
    "head",
    "options",
    "patch",
    "post",
    "put",
    "request",
]

Value = TypeVar("Value")
Given = TypeVar("Given")
Item = TypeVar("Item", bound="bytes | str")
AnySession = TypeVar("AnySession", bound="sessions.BaseSession")


class Chunks(Generic[Item]):
    """A blocking iterator over an asynchronous iterator of body chunks."""

    def __init__(self, source: Unchecked) -> None:
        self._source = source  # an async iterator whose `__anext__` returns a coroutine

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        try:
            return cast("Item", run(self._source.__anext__()))
        except StopAsyncIteration:
            raise StopIteration from None


class Body(Chunks[bytes]):
    """The body of a streamed response: `for chunk in response.body`."""

    def __init__(self, source: StreamBody) -> None:
        super().__init__(source)
        self._body = source

    def __call__(self, timeout: float | None = None) -> Body:
        """Set the time limit for each chunk.

        Args:
            timeout: seconds; None: no limit.

        Returns:
            This body, to iterate over.
        """
        self._body(timeout)
        return self

    def read(self) -> bytes:
        """Read the rest of the body.

        Returns:
            The rest, as one bytes object.
        """
        return run(self._body.read())

    def chunks(self, size: int) -> Chunks[bytes]:
        """Iterate over chunks of exactly `size` bytes, except the last one."""
        return Chunks(self._body.chunks(size))

    def text(self) -> Chunks[str]:
        """Iterate over the chunks, decoded to str."""
        return Chunks(self._body.text())

    def lines(self) -> Chunks[str]:
        """Iterate over the lines as str, without line ends."""
        return Chunks(self._body.lines())

    def metered(
        self,
        *,
        progress: ProgressCallback | None = None,
        low_speed: LowSpeed | None = None,
        max_rate: float | BandwidthLimit | None = None,
    ) -> Chunks[bytes]:
        """Iterate over the chunks with progress, a lowest speed or a bandwidth limit.

        Args:
            progress: a function that is called with a `Progress` after each chunk.
            low_speed: (bytes per second, seconds): a body slower than this is `TransferTooSlow`.
            max_rate: bytes per second, or a `BandwidthLimit` that several transfers share.

        Returns:
            An iterator over the chunks.
        """
        found = self._body.metered(progress=progress, low_speed=low_speed, max_rate=max_rate)
        return Chunks(found)

    def save(self, path: str | os.PathLike[str], *, chunk_size: int = 1 << 20) -> int:
        """Write the body to a file. See `StreamBody.save`.

        Args:
            path: the file to write.
            chunk_size: bytes to write at once.

        Returns:
            The number of bytes written.
        """
        return run(self._body.save(path, chunk_size=chunk_size))

    def close(self) -> None:
        """Close the body, and its connection if data is unread. May be called again."""
        run(self._body.close())

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class StreamResponse(response_objects.StreamResponse):
    """A response whose body the caller reads: `for chunk in response.body`."""

    __slots__ = ()

    body: Body  # type: ignore[assignment]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.body.close()

    def events(  # type: ignore[override]
        self, *, max_event_size: int | None = 1 << 20, check_content_type: bool = True
    ) -> Events:
        """Iterate over the server-sent events of the body: `for event in response.events()`.

        Args:
            max_event_size: the most bytes of one event, None for no limit.
            check_content_type: False accepts types other than `text/event-stream`.

        Returns:
            An iterator and context manager of `ServerSentEvent`.

        Raises:
            BadHttpResponse: the body is not an event stream.
        """
        found = self._asynchronous().events(
            max_event_size=max_event_size, check_content_type=check_content_type
        )
        return Events(found)

    def json_lines(  # type: ignore[override]
        self, *, max_line_size: int | None = 64 << 20
    ) -> Iterator[Unchecked]:
        """Iterate over a body with one JSON document per line (NDJSON, JSON Lines).

        Args:
            max_line_size: the most bytes of one line, None for no limit.

        Returns:
            An iterator over the documents.
        """
        return Chunks(self._asynchronous().json_lines(max_line_size=max_line_size))

    def _asynchronous(self) -> response_objects.StreamResponse:
        """Return a copy of this response with the asynchronous body."""
        copy = self._copy_without_body()
        copy.__class__ = response_objects.StreamResponse
        copy.body = self.body._body
        return copy


class Events:
    """Server-sent events: an iterator, and a context manager that closes the connection."""

    def __init__(self, source: EventSource | EventStream) -> None:
        self._source = source

    @property
    def last_event_id(self) -> str:
        """The ID of the last event, to continue after."""
        return self._source.last_event_id

    @property
    def retry(self) -> float | None:
        """Seconds to wait before a reconnection, None if nothing has set them."""
        return self._source.retry

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> ServerSentEvent:
        try:
            return run(self._source.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream and close its connection. May be called again."""
        run(self._source.aclose())


class Results:
    """The results of `map`: an iterator, and a context manager that closes it."""

    def __init__(self, stream: ResultStream) -> None:
        self._stream = stream

    def __iter__(self) -> Results:
        return self

    def __next__(self) -> Result:
        try:
            return run(self._stream.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the running requests and wait until they have ended."""
        run(self._stream.aclose())

    def stop(self) -> None:
        """Start no more requests. Those that run still give their results."""
        run(self._stream.stop())


def _blocking(response: Unchecked) -> Unchecked:
    if type(response) is response_objects.StreamResponse:
        body = response.body
        response.__class__ = StreamResponse
        response.body = Body(body)  # type: ignore[assignment]
    return response


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
        return _blocking(run(self.session._make(method, url, options)))  # type: ignore[no-any-return]

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
        return _blocking(run(self.session.send(request)))  # type: ignore[no-any-return]

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


class _OneShot(Protocol):
    """The type of a function that sends one request."""

    @overload
    def __call__(
        self,
        url: Location | NoOther = None,
        *,
        stream: Literal[True],
        **more: Unpack[OneShotArguments],
    ) -> StreamResponse: ...

    @overload
    def __call__(
        self,
        url: Location | NoOther = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[OneShotArguments],
    ) -> Response: ...

    @overload
    def __call__(
        self,
        url: Location | NoOther = None,
        *,
        stream: bool | NoOther | None,
        **more: Unpack[OneShotArguments],
    ) -> Response | StreamResponse: ...


def _one_shot(method: str) -> _OneShot:
    def function(url: Location = None, **options: AnyArgument) -> Response:
        response: Response = _blocking(run(base_funcs.request(method, url, **options)))
        return response

    function.__name__ = function.__qualname__ = method.lower()
    function.__doc__ = f"Send one {method} request. See `asks_fast.{method.lower()}`."
    return cast("_OneShot", function)


delete = _one_shot("DELETE")
get = _one_shot("GET")
head = _one_shot("HEAD")
options = _one_shot("OPTIONS")
patch = _one_shot("PATCH")
post = _one_shot("POST")
put = _one_shot("PUT")


def request(method: str, url: Location = None, **more: AnyArgument) -> Response:
    """Send one request. See `asks_fast.request`.

    Args:
        method: the HTTP method.
        url: the URL.
        more: as for `asks_fast.request`.

    Returns:
        The response.
    """
    return _blocking(run(base_funcs.request(method, url, **more)))  # type: ignore[no-any-return]
