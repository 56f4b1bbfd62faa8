"""A table of routes: which response a request gets, and which requests were made.

    routes = Routes()
    routes.get("https://api.test/items/{id}", {"id": 1})
    routes.post("/login", 503, response(204))        # the first time 503, from then on 204
    with routes:
        ...                                          # no session opens a socket here

- If several routes match, the most specific one is used: fewer `*`, fewer `{names}`, a longer URL,
  a method instead of `*`, more query parameters; then the one that was added first.
- Delays pass on a virtual clock, and time limits apply to it.
- A request that no route matches is an error that lists the routes, unless `pass_through` applies.
- Redirects, cookies, auth and retries work as with a real server.

`server` serves the same table over sockets.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import AsksException, ReadTimeout, RequestTimeout
from .clock import VirtualClock
from .interception import BaseInterceptor, make_response, to_recorded_request
from .messages import MockResponse, RecordedRequest, ResponseLike, as_response, response

if TYPE_CHECKING:
    from .._client.middleware import CallNext
    from .._config.deadline import Deadline
    from .._request.prepared_request import PreparedRequest
    from ..response_objects import BaseResponse

__all__ = ["NoRoute", "Route", "Routes"]


class NoRoute(AsksException, LookupError):
    """A request was made that no route matches."""


class Route:
    """One entry of the table. `requests` are the requests that it has answered."""

    def __init__(
        self, method: str, url: str, responses: list[Any], params: Mapping[str, str] | None
    ) -> None:
        self.method = method.upper()
        self.url = url
        self.requests: list[RecordedRequest] = []
        self._responses = responses
        target, _, query = url.partition("?")
        self._params = parse_qsl(query, keep_blank_values=True)
        self._params += [(name, str(value)) for name, value in (params or {}).items()]
        self._matches_any_origin = target.startswith("/")
        if not self._matches_any_origin and not urlsplit(target).path:
            target += "/"
        self._pattern = _compile(target)
        self.specificity = (
            -target.count("*"),
            -target.count("{"),
            len(target),
            self.method != "*",
            len(self._params),
        )
        """If several routes match a request, the one with the greatest value is used."""

    def __repr__(self) -> str:
        return f"<Route {self.method} {self.url} {len(self.requests)} requests>"

    def match(self, request: RecordedRequest) -> dict[str, str] | None:
        """Return the values of the `{names}` if the request matches, else None."""
        if self.method not in ("*", request.method):
            return None
        target = request.path if self._matches_any_origin else request.url.partition("?")[0]
        found = self._pattern.fullmatch(target)
        if found is None:
            return None
        params = request.params if self._params else []
        if not all(pair in params for pair in self._params):
            return None
        return {name: unquote(value) for name, value in found.groupdict().items()}

    def next_response(self, request: RecordedRequest) -> Any:
        """Return the next response, repeating the last one, and record the request."""
        index = min(len(self.requests), len(self._responses) - 1)
        self.requests.append(request)
        return self._responses[index]


class Routes(BaseInterceptor):
    """A table of routes. As a context manager it responses the requests of all sessions.

    Args:
        pass_through: origins (`"http://localhost:8000"`) whose requests are really sent.

    Example:
        >>> routes = Routes()
        >>> routes.get("https://api.test/items", [1, 2, 3])
        <Route GET https://api.test/items 0 requests>
    """

    def __init__(self, *, pass_through: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.routes: list[Route] = []
        self.requests: list[RecordedRequest] = []
        self._pass_through = pass_through
        self._clock = VirtualClock()

    def add(
        self,
        method: str,
        url: str,
        *responses: ResponseLike,
        params: Mapping[str, str] | None = None,
        **single: Any,
    ) -> Route:
        """Add a route.

        Args:
            method: `"*"` matches any.
            url: a full URL, or a path for any origin. `{name}` matches one segment of the path,
                `*` anything. The query lists parameters that the request must have, among others.
            *responses: used one after the other, the last one repeatedly; each is a
                `MockResponse` or a short form.
            params: further query parameters that the request must have.
            **single: arguments of `response()`, instead of `responses`.

        Returns:
            The route, whose `requests` can be checked.

        Raises:
            TypeError: both or neither of `responses` and `single` are mock, or one is invalid.
        """
        if bool(responses) == bool(single):
            raise TypeError("a route needs responses, or the arguments of one response")
        values: list[Any] = list(responses) or [response(**single)]
        for one in values:
            if not callable(one) and not isinstance(one, BaseException):
                as_response(one)
        route = Route(method, url, values, params)
        self.routes.append(route)
        return route

    def get(self, url: str, *responses: ResponseLike, **options: Any) -> Route:
        """Add a route: `add("GET", …)`."""
        return self.add("GET", url, *responses, **options)

    def head(self, url: str, *responses: ResponseLike, **options: Any) -> Route:
        """Add a route: `add("HEAD", …)`."""
        return self.add("HEAD", url, *responses, **options)

    def post(self, url: str, *responses: ResponseLike, **options: Any) -> Route:
        """Add a route: `add("POST", …)`."""
        return self.add("POST", url, *responses, **options)

    def put(self, url: str, *responses: ResponseLike, **options: Any) -> Route:
        """Add a route: `add("PUT", …)`."""
        return self.add("PUT", url, *responses, **options)

    def patch(self, url: str, *responses: ResponseLike, **options: Any) -> Route:
        """Add a route: `add("PATCH", …)`."""
        return self.add("PATCH", url, *responses, **options)

    def delete(self, url: str, *responses: ResponseLike, **options: Any) -> Route:
        """Add a route: `add("DELETE", …)`."""
        return self.add("DELETE", url, *responses, **options)

    def any(self, url: str, *responses: ResponseLike, **options: Any) -> Route:
        """Add a route for every method."""
        return self.add("*", url, *responses, **options)

    @property
    def unused(self) -> list[Route]:
        """The routes that have answered no request."""
        return [route for route in self.routes if not route.requests]

    def choose(self, request: RecordedRequest) -> Any:
        """Return the next response for a request, in the form in which it was mock.

        Raises:
            NoRoute: no route matches.
        """
        self.requests.append(request)
        fitting = [(route, route.match(request)) for route in self.routes]
        found = [(route, match) for route, match in fitting if match is not None]
        if found:
            route, request.match = max(found, key=lambda one: one[0].specificity)
            return route.next_response(request)
        known = ", ".join(f"{route.method} {route.url}" for route in self.routes)
        raise NoRoute(
            f"no route for {request.method} {request.url}; the routes are: {known or 'none'}"
        )

    async def __call__(self, request: PreparedRequest, call_next: CallNext) -> BaseResponse:
        """Called by a session instead of a real exchange."""
        if request.url.origin in self._pass_through:
            return await call_next(request)
        deadline = request.deadline
        assert deadline is not None
        value = await deadline.run(request, self._next_value(request))
        if isinstance(value, BaseException) or (
            isinstance(value, type) and issubclass(value, BaseException)
        ):
            raise value
        mock = _require_no_fault(as_response(value))
        if mock.delay:
            await self._delay(request, mock.delay, deadline)
        return make_response(request, mock)

    async def _next_value(self, request: PreparedRequest) -> Any:
        """Return the response of the route, calling its function."""
        recorded = await to_recorded_request(request)
        value = self.choose(recorded)
        if callable(value) and not isinstance(value, type):
            value = value(recorded)
            if inspect.isawaitable(value):
                value = await value
        return value

    async def _delay(self, request: PreparedRequest, delay: float, deadline: Deadline) -> None:
        """Wait the delay of a response, or as much of it as the time limits allow."""
        read_timeout = request.options.read_timeout
        error: RequestTimeout | None = None
        if read_timeout is not None and read_timeout < delay:
            delay = read_timeout
            error = ReadTimeout(
                f"{request.method} {request.url}: no response within read_timeout={delay:g} s",
                delay,
            )
        if deadline.remaining is not None and deadline.remaining < delay:
            delay = max(0.0, deadline.remaining)
            error = deadline.exceeded(request)
        await self._clock.sleep(delay)
        deadline.charge(delay)
        if error is not None:
            raise error


def _require_no_fault(mock: MockResponse) -> MockResponse:
    if mock.fault is not None:
        raise TypeError(f"{mock.fault!r} needs real sockets: use serve(routes), not `with routes`")
    return mock


def _compile(target: str) -> re.Pattern[str]:
    """Return a pattern such as `/items/{id}/*` as a regular expression."""
    pieces = []
    for piece in re.split(r"(\{\w+\}|\*)", target):
        if piece == "*":
            pieces.append(".*")
        elif piece.startswith("{") and piece.endswith("}"):
            pieces.append(f"(?P<{piece[1:-1]}>[^/]+)")
        else:
            pieces.append(re.escape(piece))
    return re.compile("".join(pieces))
