"""How the functions that make a request look to a type checker: one protocol for all of them.

Facts:  the type of the response depends on `stream`, so each function has three overloads. They are
        written once for the methods of sessions and once for the functions without a session,
        which take the options of connections too. Blocking calls have the same, with other results.
Rules:  `session_verb`, `session_request`, `verb` and `request` change nothing at run time.
Implemented elsewhere: the arguments (`argument_types`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeAlias, TypeVar, cast, overload

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._annotations import AnyFunction, AsyncCall
    from ..response_objects import Response, StreamResponse
    from .argument_types import Location, NoOther, OneShotArguments, RequestArguments

__all__ = [
    "Request",
    "ResponseTypes",
    "Verb",
    "request",
    "session_request",
    "session_verb",
    "verb",
]

# What a method of a session returns: without `stream`, with `stream=True`, with a bool.
Whole = TypeVar("Whole")
Streamed = TypeVar("Streamed")
Either = TypeVar("Either")
Whole_co = TypeVar("Whole_co", covariant=True)
Streamed_co = TypeVar("Streamed_co", covariant=True)
Either_co = TypeVar("Either_co", covariant=True)


class ResponseTypes(Generic[Whole, Streamed, Either]):
    """A session whose methods return these types."""


class SessionVerb(Protocol[Whole_co, Streamed_co, Either_co]):
    """`session.get` and the other methods of sessions that are named after an HTTP method."""

    @overload
    def __call__(
        self,
        url: Location | NoOther = None,
        *,
        stream: Literal[True],
        **more: Unpack[RequestArguments],
    ) -> Streamed_co: ...
    @overload
    def __call__(
        self,
        url: Location | NoOther = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[RequestArguments],
    ) -> Whole_co: ...
    @overload
    def __call__(
        self,
        url: Location | NoOther = None,
        *,
        stream: bool | NoOther | None,
        **more: Unpack[RequestArguments],
    ) -> Either_co: ...


class SessionRequest(Protocol[Whole_co, Streamed_co, Either_co]):
    """`session.request`."""

    @overload
    def __call__(
        self,
        method: str | NoOther,
        url: Location | NoOther = None,
        *,
        stream: Literal[True],
        **more: Unpack[RequestArguments],
    ) -> Streamed_co: ...
    @overload
    def __call__(
        self,
        method: str | NoOther,
        url: Location | NoOther = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[RequestArguments],
    ) -> Whole_co: ...
    @overload
    def __call__(
        self,
        method: str | NoOther,
        url: Location | NoOther = None,
        *,
        stream: bool | NoOther | None,
        **more: Unpack[RequestArguments],
    ) -> Either_co: ...


class Verb(Protocol[Whole_co, Streamed_co, Either_co]):
    """`asks_fast.get` and the other functions that are named after an HTTP method."""

    @overload
    def __call__(
        self,
        url: Location | NoOther = None,
        *,
        stream: Literal[True],
        **more: Unpack[OneShotArguments],
    ) -> Streamed_co: ...
    @overload
    def __call__(
        self,
        url: Location | NoOther = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[OneShotArguments],
    ) -> Whole_co: ...
    @overload
    def __call__(
        self,
        url: Location | NoOther = None,
        *,
        stream: bool | NoOther | None,
        **more: Unpack[OneShotArguments],
    ) -> Either_co: ...


class Request(Protocol[Whole_co, Streamed_co, Either_co]):
    """`asks_fast.request`."""

    @overload
    def __call__(
        self,
        method: str | NoOther,
        url: Location | NoOther = None,
        *,
        uri: Location | NoOther = None,
        stream: Literal[True],
        **more: Unpack[OneShotArguments],
    ) -> Streamed_co: ...
    @overload
    def __call__(
        self,
        method: str | NoOther,
        url: Location | NoOther = None,
        *,
        uri: Location | NoOther = None,
        stream: Literal[False] = ...,
        **more: Unpack[OneShotArguments],
    ) -> Whole_co: ...
    @overload
    def __call__(
        self,
        method: str | NoOther,
        url: Location | NoOther = None,
        *,
        uri: Location | NoOther = None,
        stream: bool | NoOther | None,
        **more: Unpack[OneShotArguments],
    ) -> Either_co: ...


class _SessionVerbMethod(Protocol):
    def __get__(
        self, session: ResponseTypes[Whole, Streamed, Either] | None, owner: type | None = None
    ) -> SessionVerb[Whole, Streamed, Either]: ...


class _SessionRequestMethod(Protocol):
    def __get__(
        self, session: ResponseTypes[Whole, Streamed, Either] | None, owner: type | None = None
    ) -> SessionRequest[Whole, Streamed, Either]: ...


def session_verb(method: AnyFunction[object]) -> _SessionVerbMethod:
    """Give a method the type of `session.get`."""
    return cast("_SessionVerbMethod", method)


def session_request(method: AnyFunction[object]) -> _SessionRequestMethod:
    """Give a method the type of `session.request`."""
    return cast("_SessionRequestMethod", method)


AsyncVerb: TypeAlias = (
    "Verb[AsyncCall[Response], AsyncCall[StreamResponse], AsyncCall[Response | StreamResponse]]"
)
AsyncRequest: TypeAlias = (
    "Request[AsyncCall[Response], AsyncCall[StreamResponse], AsyncCall[Response | StreamResponse]]"
)


def verb(function: AnyFunction[object]) -> AsyncVerb:
    """Give a function the type of `asks_fast.get`."""
    return cast("AsyncVerb", function)


def request(function: AnyFunction[object]) -> AsyncRequest:
    """Give a function the type of `asks_fast.request`."""
    return cast("AsyncRequest", function)
