"""Blocking requests, for programs without an event loop.

    from asks_fast import sync

    with sync.HSession("https://example.org", connections=10) as session:
        print(session.get(path="/").text)
        for result in session.map(f"/items/{n}" for n in range(1000)):
            print(result.key, result.response)

Sessions, functions and arguments are those of `asks_fast`; what is awaited there returns here.

Facts:  each thread has a kernel of its own, which runs while a call is under way. Between two calls
        nothing happens: idle connections are not closed, and `map` makes no progress.
Rules:  a session belongs to the thread that uses it (`WrongThread`). In a thread with a running
        event loop a call raises RuntimeError.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, cast, overload

from . import base_funcs, response_objects, sessions
from ._client.methods import RequestMethods
from ._guest.blocking import run
from .response_objects import Response

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._client.argument_types import (
        BaseSessionArguments,
        Location,
        OneShotArguments,
        PreparedArguments,
        SessionArguments,
    )
    from ._client.bulk import Result, ResultStream
    from ._request.prepared_request import PreparedRequest
    from ._response.stream import StreamBody
    from .cookie_utils import CookieTracker

__all__ = [
    "DSession",
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

Item = TypeVar("Item", bound="bytes | str")
AnySession = TypeVar("AnySession", bound="sessions.BaseSession")


class Chunks(Generic[Item]):
    """An asynchronous iterator of pieces of a body, read in plain code."""

    def __init__(self, source: Any) -> None:
        self._source = source

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
        """Set the limit for each chunk, in seconds; None for none."""
        self._body(timeout)
        return self

    def read(self) -> bytes:
        """All that is left, as one bytes object."""
        return run(self._body.read())

    def chunks(self, size: int) -> Chunks[bytes]:
        """Chunks of exactly `size` bytes, except the last."""
        return Chunks(self._body.chunks(size))

    def text(self) -> Chunks[str]:
        """The chunks as str."""
        return Chunks(self._body.text())

    def lines(self) -> Chunks[str]:
        """The lines as str, without their ends."""
        return Chunks(self._body.lines())

    def save(self, path: str | os.PathLike[str], *, chunk_size: int = 1 << 20) -> int:
        """Write the body to a file; returns the number of bytes. See `StreamBody.save`."""
        return run(self._body.save(path, chunk_size=chunk_size))

    def close(self) -> None:
        """Leave the body; what was not read is lost and the connection with it. Safe to repeat."""
        run(self._body.close())

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class StreamResponse(response_objects.StreamResponse):
    """A response whose body is read by the caller: `for chunk in response.body`."""

    __slots__ = ()

    body: Body  # type: ignore[assignment]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.body.close()


class Results:
    """The results of many requests: an iterator, and a context manager that closes it."""

    def __init__(self, mapped: ResultStream) -> None:
        self._mapped = mapped

    def __iter__(self) -> Results:
        return self

    def __next__(self) -> Result:
        try:
            return run(self._mapped.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what is under way and wait until it is gone."""
        run(self._mapped.aclose())

    def stop(self) -> None:
        """Take nothing more from the input; what is under way still gives its results."""
        run(self._mapped.stop())


def _blocking(response: Any) -> Any:
    if type(response) is response_objects.StreamResponse:
        body = response.body
        response.__class__ = StreamResponse
        response.body = Body(body)  # type: ignore[assignment]
    return response


class _BlockingSession(
    RequestMethods[Response, StreamResponse, Response | StreamResponse], Generic[AnySession]
):
    """What the blocking sessions have in common. `session` is the asynchronous one beneath."""

    session: AnySession

    def _send(self, method: str, url: Location, options: dict[str, Any]) -> Response:
        return _blocking(run(self.session._make(method, url, options)))  # type: ignore[no-any-return]

    def prepare(
        self, method: str, url: Location = None, **options: Unpack[PreparedArguments]
    ) -> PreparedRequest:
        """The request that `request` would make, to be looked at, and sent by `send`."""
        return self.session.prepare(method, url, **options)

    def send(self, request: PreparedRequest) -> Response:
        """Send a prepared request."""
        return _blocking(run(self.session.send(request)))  # type: ignore[no-any-return]

    def map(self, requests: Iterable[Any], **options: Any) -> Results:
        """Results of many requests, as they complete; arguments as for `asks_fast` sessions."""
        return Results(self.session.map(requests, **options))

    def gather(self, requests: Iterable[Any], **options: Any) -> list[Result]:
        """The results of a few requests, in the order asked."""
        return run(self.session.gather(requests, **options))

    def warm_up(self, number: int | None = None, url: str | None = None) -> int:
        """Open connections ahead of the first request; returns how many there are."""
        return run(self.session.warm_up(number, url))

    def pool_stats(self) -> dict[str, int]:
        """Connections at this moment, and totals."""
        return self.session.pool_stats()

    def close(self) -> None:
        """Close all connections at once. Safe to call again."""
        run(self.session.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<sync {self.session!r}>"


class HSession(_BlockingSession[sessions.HSession]):
    """Many requests to one host. See `asks_fast.HSession`."""

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
    """Many requests to many hosts. See `asks_fast.DSession`."""

    def __init__(
        self,
        encoding: str = "utf-8",
        persist_cookies: bool | CookieTracker | None = None,
        connections: int = 20,
        **options: Unpack[SessionArguments],
    ) -> None:
        self.session = sessions.DSession(encoding, persist_cookies, connections, **options)


class Session(_BlockingSession[sessions.Session]):
    """With a base location, or with full URLs, or both. See `asks_fast.Session`."""

    def __init__(
        self,
        base_location: str = "",
        endpoint: str = "",
        headers: Any = None,
        encoding: str = "utf-8",
        persist_cookies: bool | CookieTracker | None = None,
        ssl_context: Any = None,
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
    """A function that makes one request."""

    @overload
    def __call__(
        self, url: Location = None, *, stream: Literal[True], **more: Unpack[OneShotArguments]
    ) -> StreamResponse: ...

    @overload
    def __call__(
        self,
        url: Location = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[OneShotArguments],
    ) -> Response: ...

    @overload
    def __call__(
        self, url: Location = None, *, stream: bool, **more: Unpack[OneShotArguments]
    ) -> Response | StreamResponse: ...


def _one_shot(method: str) -> _OneShot:
    def function(url: Location = None, **options: Any) -> Any:
        return _blocking(run(base_funcs.request(method, url, **options)))

    function.__name__ = function.__qualname__ = method.lower()
    function.__doc__ = f"{method} once. See `asks_fast.{method.lower()}`."
    return cast("_OneShot", function)


delete = _one_shot("DELETE")
get = _one_shot("GET")
head = _one_shot("HEAD")
options = _one_shot("OPTIONS")
patch = _one_shot("PATCH")
post = _one_shot("POST")
put = _one_shot("PUT")


def request(method: str, url: Location = None, **more: Any) -> Response:
    """Make one request. See `asks_fast.request`."""
    return _blocking(run(base_funcs.request(method, url, **more)))  # type: ignore[no-any-return]
