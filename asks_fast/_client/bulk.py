"""Many requests at once, as sessions offer them: `session.map` and `gather`, and their types.

The implementation is `asks_fast.crawl`, a layer above this one. `asks_fast/__init__` registers it
here, so that importing the package does not load it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeAlias

from .._tracebacks import shorten
from ..errors import AsksException, truncated_repr

if TYPE_CHECKING:
    from typing_extensions import Self

    from .._annotations import AnyArgument, AnyFunction, AsyncCall
    from ..response_objects import Response

__all__ = [
    "BulkMethods",
    "BulkModule",
    "BulkRequest",
    "RequestArguments",
    "Result",
    "ResultStream",
    "bulk_module",
    "register",
]


RequestArguments: TypeAlias = Mapping[str, object]
"""Arguments of one request: `method`, `url` or `path`, `headers`, …, and optionally `key`."""

BulkRequest: TypeAlias = str | RequestArguments | tuple[object, str | RequestArguments]
"""A URL or path, arguments of a request, or a pair `(key, one of these)`."""


class Result:
    """The outcome of one request of a `map` or `gather`.

    Attributes:
        key: the user's own key, or the request as given.
        request: the request as given.
        response: the response of the session, or None.
        error: the exception that ended the last attempt, or None. A 404 is not an error.
        attempts: how often the map sent the request; 0: never.
        elapsed: seconds from the first attempt to the end of the last, pauses included.

    Example:
        async for result in session.map(urls):
            print(result.key, result.response.status_code if result.ok else result.error)
    """

    __slots__ = ("attempts", "elapsed", "error", "key", "request", "response")

    def __init__(
        self,
        key: AnyArgument,
        request: object,  # an invalid item of the input, too
        response: Response | None,
        error: Exception | None,
        attempts: int,
        elapsed: float,
    ) -> None:
        self.key = key
        self.request = request
        self.response = response
        self.error = error
        self.attempts = attempts
        self.elapsed = elapsed

    @property
    def ok(self) -> bool:
        """Whether there is a response with a status below 400."""
        return self.response is not None and self.response.status_code < 400

    def unwrap(self) -> Response:
        """Return the response, or raise the error."""
        error = self.error
        if error is not None:
            raise shorten(error) if isinstance(error, AsksException) else error
        assert self.response is not None
        return self.response

    def __repr__(self) -> str:
        what = repr(self.error) if self.error is not None else repr(self.response)
        return f"<Result {truncated_repr(str(self.key))} {what}, attempts={self.attempts}>"


class ResultStream(Protocol):
    """What `session.map` returns: an async iterator and async context manager of results."""

    def __aiter__(self) -> Self: ...

    def __anext__(self) -> AsyncCall[Result]: ...

    def __aenter__(self) -> AsyncCall[Self]: ...

    async def __aexit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    def aclose(self) -> AsyncCall[None]:
        """Cancel the requests under way and wait until they have ended. Safe to call again."""
        ...

    def stop(self) -> AsyncCall[None]:
        """Take no more items from the input; requests under way still give their results."""
        ...

    @property
    def under_way(self) -> int:
        """The number of requests sent, or waiting for a connection, at this moment."""
        ...

    @property
    def slow_hosts(self) -> dict[str, str]:
        """The hosts that politeness slows down, or has slowed down, and why."""
        ...

    def adaptive_limits(self, hosts: Iterable[str]) -> dict[str, str]:
        """Return the present adaptive limit of each of these hosts, as text.

        Args:
            hosts: names as in URLs, with the port unless it is the default.

        Returns:
            Texts such as `6 at once, 48.2/s`; nothing for a host without requests, and nothing at
            all unless the run has `Politeness(adaptive=True)`.
        """
        ...


class BulkModule(Protocol):
    """The module that runs bulk requests."""

    @property
    def check_arguments(self) -> Callable[[str, Mapping[str, object]], None]: ...

    @property
    def map_requests(self) -> AnyFunction[ResultStream]: ...

    @property
    def gather(self) -> AnyFunction[Awaitable[list[Result]]]: ...


_load: Callable[[], BulkModule] | None = None


def register(load: Callable[[], BulkModule]) -> None:
    """Name the function that imports the implementation; it is called at the first use."""
    global _load
    _load = load


def bulk_module() -> BulkModule:
    """The implementation of bulk requests."""
    assert _load is not None
    return _load()


class BulkMethods:
    """The methods of sessions that send many requests, several at a time."""

    def map(
        self,
        requests: Iterable[BulkRequest] | AsyncIterable[BulkRequest],
        **options: AnyArgument,
    ) -> ResultStream:
        """Send many requests, several at a time.

        Args:
            requests: URLs (or paths, for a session with a base), dicts of request arguments, or
                pairs `(key, one of these)`. May be endless, and an async iterable.
            options: `concurrency=`, the most requests under way, default one per connection;
                `ordered=`, `window=`, `retries=`, `politeness=` as in `crawl.map_requests`.

        Returns:
            An async iterator over the results, in the order in which they complete. An error is a
            result, too. Leaving its `async with` block cancels the requests under way.

        Raises:
            TypeError, ValueError: an argument is invalid.

        Example:
            async for result in session.map(urls):
                print(result.key, result.response.status_code if result.ok else result.error)
        """
        bulk = bulk_module()
        bulk.check_arguments("map", options)
        return bulk.map_requests(self, requests, **options)

    async def gather(
        self,
        requests: Iterable[BulkRequest] | AsyncIterable[BulkRequest],
        **options: AnyArgument,
    ) -> list[Result]:
        """Send a few requests, several at a time, and wait for all of them.

        Args:
            requests: as for `map`.
            options: as for `map`.

        Returns:
            The results, in the order of `requests`.
        """
        bulk = bulk_module()
        bulk.check_arguments("gather", options)
        return await bulk.gather(self, requests, **options)
