"""What a session is asked to do, by name: one method per verb.

Rules:  everything goes through `_send`, compiled in `src_pyx/hotpath/request_template.pyx`; nothing is decided here. A
        verb hands on its coroutine: one more to step through at every wait would cost a tenth.
Not here: how a request is made (`sessions`), how many are run at once (`crawl.mapping`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .argument_types import Location, RequestArguments

__all__ = ["RequestMethods"]

# What a call gives: a coroutine of a response, or in `asks_fast.sync` the response itself.
Answer = TypeVar("Answer")
StreamAnswer = TypeVar("StreamAnswer")
EitherAnswer = TypeVar("EitherAnswer")


class RequestMethods(Generic[Answer, StreamAnswer, EitherAnswer]):
    """The methods of all sessions that make one request."""

    def _send(self, method: str, url: Location, options: dict[str, Any]) -> Answer:
        raise NotImplementedError

    @overload
    def request(
        self,
        method: str,
        url: Location = None,
        *,
        stream: Literal[True],
        **more: Unpack[RequestArguments],
    ) -> StreamAnswer: ...

    @overload
    def request(
        self,
        method: str,
        url: Location = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[RequestArguments],
    ) -> Answer: ...

    @overload
    def request(
        self, method: str, url: Location = None, *, stream: bool, **more: Unpack[RequestArguments]
    ) -> EitherAnswer: ...

    def request(self, method: str, url: Location = None, **options: Any) -> Any:
        """Make a request and give its answer.

        `method`: any token, upper-cased. `url`: absolute; without one, the session's base,
        endpoint and `path`. All other arguments by keyword, see the table of the documentation.
        With `stream=True` the answer is a `StreamResponse`, as soon as its head is there.
        Raises `AsksException`s; `InvalidRequest` (a ValueError) and TypeError before anything is
        sent. Cancelled at any point it leaves no connection, place or waiter behind.
        """
        return self._send(method, url, options)

    @overload
    def get(
        self, url: Location = None, *, stream: Literal[True], **more: Unpack[RequestArguments]
    ) -> StreamAnswer: ...

    @overload
    def get(
        self,
        url: Location = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[RequestArguments],
    ) -> Answer: ...

    @overload
    def get(
        self, url: Location = None, *, stream: bool, **more: Unpack[RequestArguments]
    ) -> EitherAnswer: ...

    def get(self, url: Location = None, **options: Any) -> Any:
        """GET; arguments as for `request`."""
        return self._send("GET", url, options)

    @overload
    def head(
        self, url: Location = None, *, stream: Literal[True], **more: Unpack[RequestArguments]
    ) -> StreamAnswer: ...

    @overload
    def head(
        self,
        url: Location = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[RequestArguments],
    ) -> Answer: ...

    @overload
    def head(
        self, url: Location = None, *, stream: bool, **more: Unpack[RequestArguments]
    ) -> EitherAnswer: ...

    def head(self, url: Location = None, **options: Any) -> Any:
        """HEAD; redirects are followed only if `follow_redirects=True`."""
        return self._send("HEAD", url, options)

    @overload
    def post(
        self, url: Location = None, *, stream: Literal[True], **more: Unpack[RequestArguments]
    ) -> StreamAnswer: ...

    @overload
    def post(
        self,
        url: Location = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[RequestArguments],
    ) -> Answer: ...

    @overload
    def post(
        self, url: Location = None, *, stream: bool, **more: Unpack[RequestArguments]
    ) -> EitherAnswer: ...

    def post(self, url: Location = None, **options: Any) -> Any:
        """POST; arguments as for `request`."""
        return self._send("POST", url, options)

    @overload
    def put(
        self, url: Location = None, *, stream: Literal[True], **more: Unpack[RequestArguments]
    ) -> StreamAnswer: ...

    @overload
    def put(
        self,
        url: Location = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[RequestArguments],
    ) -> Answer: ...

    @overload
    def put(
        self, url: Location = None, *, stream: bool, **more: Unpack[RequestArguments]
    ) -> EitherAnswer: ...

    def put(self, url: Location = None, **options: Any) -> Any:
        """PUT; arguments as for `request`."""
        return self._send("PUT", url, options)

    @overload
    def delete(
        self, url: Location = None, *, stream: Literal[True], **more: Unpack[RequestArguments]
    ) -> StreamAnswer: ...

    @overload
    def delete(
        self,
        url: Location = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[RequestArguments],
    ) -> Answer: ...

    @overload
    def delete(
        self, url: Location = None, *, stream: bool, **more: Unpack[RequestArguments]
    ) -> EitherAnswer: ...

    def delete(self, url: Location = None, **options: Any) -> Any:
        """DELETE; arguments as for `request`."""
        return self._send("DELETE", url, options)

    @overload
    def options(
        self, url: Location = None, *, stream: Literal[True], **more: Unpack[RequestArguments]
    ) -> StreamAnswer: ...

    @overload
    def options(
        self,
        url: Location = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[RequestArguments],
    ) -> Answer: ...

    @overload
    def options(
        self, url: Location = None, *, stream: bool, **more: Unpack[RequestArguments]
    ) -> EitherAnswer: ...

    def options(self, url: Location = None, **options: Any) -> Any:
        """OPTIONS; arguments as for `request`."""
        return self._send("OPTIONS", url, options)

    @overload
    def patch(
        self, url: Location = None, *, stream: Literal[True], **more: Unpack[RequestArguments]
    ) -> StreamAnswer: ...

    @overload
    def patch(
        self,
        url: Location = None,
        *,
        stream: Literal[False] = ...,
        **more: Unpack[RequestArguments],
    ) -> Answer: ...

    @overload
    def patch(
        self, url: Location = None, *, stream: bool, **more: Unpack[RequestArguments]
    ) -> EitherAnswer: ...

    def patch(self, url: Location = None, **options: Any) -> Any:
        """PATCH; arguments as for `request`."""
        return self._send("PATCH", url, options)
