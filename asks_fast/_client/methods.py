"""The methods of sessions: one per HTTP method, and many requests at once.

Rules:  every request goes through `_send` (compiled, `src_pyx/hotpath/request_template.pyx`).
        A method returns the coroutine of `_send`: one more coroutine would cost a tenth.
Implemented elsewhere: how a request is made (`sessions`), how many run at once (`crawl.map`).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from .bulk import bulk_module
from .verbs import session_request, session_verb

if TYPE_CHECKING:
    from ..response_objects import Response
    from .argument_types import Location
    from .bulk import Result, ResultStream

__all__ = ["RequestMethods"]


class RequestMethods:
    """The methods that all sessions have."""

    def _send(
        self, method: str, url: Location, options: dict[str, Any]
    ) -> Coroutine[Any, Any, Response]:
        raise NotImplementedError

    @session_request
    def request(self, method: str, url: Location = None, **options: Any) -> Any:
        """Send a request.

        Args:
            method: an HTTP method; letters are made upper case.
            url: an absolute URL, or one relative to the base; without it, base, endpoint and
                `path`.
            options: the arguments of a request, see the table of the documentation.

        Returns:
            A `Response` with its body; with `stream=True` a `StreamResponse`, once its head is
            there.

        Raises:
            AsksException: the request failed.
            InvalidRequest, TypeError: an argument is wrong; nothing was sent.

        Cancelled at any point, it leaves no connection, slot or waiter behind.
        """
        return self._send(method, url, options)

    @session_verb
    def get(self, url: Location = None, **options: Any) -> Any:
        """Send a GET request; arguments as for `request`."""
        return self._send("GET", url, options)

    @session_verb
    def head(self, url: Location = None, **options: Any) -> Any:
        """Send a HEAD request; redirects are followed only with `follow_redirects=True`."""
        return self._send("HEAD", url, options)

    @session_verb
    def post(self, url: Location = None, **options: Any) -> Any:
        """Send a POST request; arguments as for `request`."""
        return self._send("POST", url, options)

    @session_verb
    def put(self, url: Location = None, **options: Any) -> Any:
        """Send a PUT request; arguments as for `request`."""
        return self._send("PUT", url, options)

    @session_verb
    def delete(self, url: Location = None, **options: Any) -> Any:
        """Send a DELETE request; arguments as for `request`."""
        return self._send("DELETE", url, options)

    @session_verb
    def options(self, url: Location = None, **options: Any) -> Any:
        """Send an OPTIONS request; arguments as for `request`."""
        return self._send("OPTIONS", url, options)

    @session_verb
    def patch(self, url: Location = None, **options: Any) -> Any:
        """Send a PATCH request; arguments as for `request`."""
        return self._send("PATCH", url, options)

    # -- many requests

    def map(self, requests: Iterable[Any] | AsyncIterable[Any], **options: Any) -> ResultStream:
        """Results of many requests, as they complete: `async for result in session.map(urls)`.

        `requests`: URLs (paths, for a session with a host), dicts of request arguments, or pairs
        `(key, one of these)`, endless ones too. `concurrency=` most under way, default all the
        connections; `ordered=`, `window=`, `retries=`, `politeness=` as in `crawl.map_requests`.
        A failure is a result. Left early, it cancels what is under way.
        """
        bulk = bulk_module()
        bulk.check_arguments("map", options)
        return bulk.map_requests(self, requests, **options)

    async def gather(
        self, requests: Iterable[Any] | AsyncIterable[Any], **options: Any
    ) -> list[Result]:
        """The results of a few requests, in the order asked; arguments as for `map`."""
        bulk = bulk_module()
        bulk.check_arguments("gather", options)
        return await bulk.gather(self, requests, **options)
