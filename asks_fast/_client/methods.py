"""The methods of sessions: one per HTTP method.

Rules:  every request goes through `_send` (compiled, `src_pyx/hotpath/request_template.pyx`).
        A method returns the coroutine of `_send`: one more coroutine would cost a tenth.
Implemented elsewhere: how a request is made (`sessions`), how many run at once (`crawl.map`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .verbs import Either, ResponseTypes, Streamed, Whole, session_request, session_verb

if TYPE_CHECKING:
    from .argument_types import Location

__all__ = ["RequestMethods"]


class RequestMethods(ResponseTypes[Whole, Streamed, Either]):
    """The methods of all sessions that send one request.

    The type parameters are what they return: coroutines, or in `asks_fast.sync` responses.
    """

    def _send(self, method: str, url: Location, options: dict[str, object]) -> Whole:
        raise NotImplementedError

    @session_request
    def request(self, method: str, url: Location = None, **options: object) -> object:
        """Send a request.

        Args:
            method: an HTTP method; letters are converted to upper case.
            url: an absolute URL, or one relative to the base. Default: base and endpoint, and
                `path=`.
            options: the arguments of a request; the guide "Arguments" lists them.

        Returns:
            A `Response` with its body. With `stream=True`, a `StreamResponse` as soon as the head
            of the response has been received.

        Raises:
            AsksException: the request failed.
            InvalidRequest, InvalidURL, TypeError: an argument is invalid; nothing was sent.

        Cancellation closes the connection in use and frees its slot.

        Example:
            response = await session.request("PROPFIND", "/files", headers={"Depth": "1"})
        """
        return self._send(method, url, options)

    @session_verb
    def get(self, url: Location = None, **options: object) -> object:
        """Send a GET request; arguments as for `request`."""
        return self._send("GET", url, options)

    @session_verb
    def head(self, url: Location = None, **options: object) -> object:
        """Send a HEAD request; redirects are followed only with `follow_redirects=True`."""
        return self._send("HEAD", url, options)

    @session_verb
    def post(self, url: Location = None, **options: object) -> object:
        """Send a POST request; arguments as for `request`."""
        return self._send("POST", url, options)

    @session_verb
    def put(self, url: Location = None, **options: object) -> object:
        """Send a PUT request; arguments as for `request`."""
        return self._send("PUT", url, options)

    @session_verb
    def delete(self, url: Location = None, **options: object) -> object:
        """Send a DELETE request; arguments as for `request`."""
        return self._send("DELETE", url, options)

    @session_verb
    def options(self, url: Location = None, **options: object) -> object:
        """Send an OPTIONS request; arguments as for `request`."""
        return self._send("OPTIONS", url, options)

    @session_verb
    def patch(self, url: Location = None, **options: object) -> object:
        """Send a PATCH request; arguments as for `request`."""
        return self._send("PATCH", url, options)
