"""Many requests at once, as sessions offer them: the types of `session.map` and `gather`.

The implementation is `asks_fast.crawl`, a layer above this one. `asks_fast/__init__` registers it
here, so that importing the package does not load it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from .._tracebacks import shorten
from ..errors import AsksException, truncated_repr

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..response_objects import Response

__all__ = ["BulkModule", "Result", "ResultStream", "bulk_module", "register"]


class Result:
    """What became of one request of a `map` or `gather`.

    `key`: the user's own key, or the request as given. `request`: as given. `response`: the
    session's response, or None. `error`: the exception that ended the last attempt, or None; a
    404 is a response, not an error. `attempts`: tries made by the map (0: never sent).
    `elapsed`: seconds from the first try to the end of the last, pauses between them included.
    """

    __slots__ = ("attempts", "elapsed", "error", "key", "request", "response")

    def __init__(
        self,
        key: Any,
        request: Any,
        response: Any,
        error: Exception | None,
        attempts: int,
        elapsed: float,
    ) -> None:
        self.key = key
        self.request = request
        self.response: Response | None = response
        self.error = error
        self.attempts = attempts
        self.elapsed = elapsed

    @property
    def ok(self) -> bool:
        """There is a response, and its status is below 400."""
        return self.response is not None and self.response.status_code < 400

    def unwrap(self) -> Response:
        """The response; raises the error instead where there is one."""
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

    async def __anext__(self) -> Result: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    async def aclose(self) -> None:
        """Cancel the requests under way and wait until they have ended. Safe to call again."""

    async def stop(self) -> None:
        """Take no more items from the input; requests under way still give their results."""

    @property
    def under_way(self) -> int:
        """The number of requests sent, or waiting for a connection, at this moment."""


class BulkModule(Protocol):
    """The module that runs bulk requests."""

    @property
    def check_arguments(self) -> Callable[[str, Mapping[str, Any]], None]: ...

    @property
    def map_requests(self) -> Callable[..., ResultStream]: ...

    @property
    def gather(self) -> Callable[..., Awaitable[list[Result]]]: ...


_load: Callable[[], BulkModule] | None = None


def register(load: Callable[[], BulkModule]) -> None:
    """Name the function that imports the implementation; it is called at the first use."""
    global _load
    _load = load


def bulk_module() -> BulkModule:
    """The implementation of bulk requests."""
    assert _load is not None
    return _load()
