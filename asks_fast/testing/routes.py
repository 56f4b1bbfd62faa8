"""A table of routes: which answer a request gets, and what was asked.

    routes = Routes()
    routes.get("https://api.test/items/{id}", {"id": 1})
    routes.post("/login", 503, answer(204))          # first 503, from then on 204
    with routes:
        ...                                          # no session opens a socket in here

Rules:  of the routes that fit, the most specific answers: fewer `*`, fewer `{names}`, a longer URL,
        a method instead of `*`, more pairs of the query; of equal ones the first that was added.
        Delays pass on a virtual clock, and time limits apply to it. A request that fits none is an
        error that lists the routes, never a socket (unless `pass_through`). Redirects, cookies,
        auth and retries are the session's, as with a real server.
Not here: the server that serves the same table over sockets (server.py).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import AsksException, ReadTimeout, RequestTimeout
from .clock import VirtualClock
from .interception import Forward, Intercepting, fill, seen
from .messages import Answer, AnswerLike, SeenRequest, answer, as_answer

if TYPE_CHECKING:
    from .._config.deadline import Deadline
    from .._request.prepared_request import PreparedRequest

__all__ = ["NoRoute", "Route", "Routes"]


class NoRoute(AsksException, LookupError):
    """A request was made that no route answers."""


class Route:
    """One line of the table. `requests` are those that it has answered."""

    def __init__(
        self, method: str, url: str, answers: list[Any], params: Mapping[str, str] | None
    ) -> None:
        self.method = method.upper()
        self.url = url
        self.requests: list[SeenRequest] = []
        self._answers = answers
        place, _, query = url.partition("?")
        self._params = parse_qsl(query, keep_blank_values=True)
        self._params += [(name, str(value)) for name, value in (params or {}).items()]
        self._of_any_origin = place.startswith("/")
        if not self._of_any_origin and not urlsplit(place).path:
            place += "/"
        self._pattern = _compiled(place)
        self.specificity = (
            -place.count("*"),
            -place.count("{"),
            len(place),
            self.method != "*",
            len(self._params),
        )
        """Of several routes that fit a request, the one with the greatest value answers."""

    def __repr__(self) -> str:
        return f"<Route {self.method} {self.url} answered {len(self.requests)}>"

    def fits(self, request: SeenRequest) -> dict[str, str] | None:
        """What the `{names}` stand for if this route is the request's, else None."""
        if self.method not in ("*", request.method):
            return None
        place = request.path if self._of_any_origin else request.url.partition("?")[0]
        found = self._pattern.fullmatch(place)
        if found is None:
            return None
        asked = request.params if self._params else []
        if not all(pair in asked for pair in self._params):
            return None
        return {name: unquote(value) for name, value in found.groupdict().items()}

    def next_answer(self, request: SeenRequest) -> Any:
        """The answer in turn, the last one again and again; notes the request."""
        turn = min(len(self.requests), len(self._answers) - 1)
        self.requests.append(request)
        return self._answers[turn]


class Routes(Intercepting):
    """The table. As a context manager it answers every session's requests itself.

    Args:
        pass_through: origins (`"http://localhost:8000"`) whose requests go to the wire.
    """

    def __init__(self, *, pass_through: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.routes: list[Route] = []
        self.requests: list[SeenRequest] = []
        self._pass_through = pass_through
        self._clock = VirtualClock()

    def add(
        self,
        method: str,
        url: str,
        *answers: AnswerLike,
        params: Mapping[str, str] | None = None,
        **single: Any,
    ) -> Route:
        """Add a route.

        Args:
            method: `"*"` for any.
            url: a full URL, or a path for any origin. `{name}` stands for one part of the path,
                `*` for anything. A query names pairs that must be there, among others.
            answers: given in turn, the last one for ever; see `answer` and messages.py.
            params: pairs of the query that must be there.
            single: arguments of `answer`, in place of `answers`.

        Raises:
            TypeError: both or neither kind of answer, or one that is none.
        """
        if bool(answers) == bool(single):
            raise TypeError("give a route answers, or the arguments of one answer")
        given: list[Any] = list(answers) or [answer(**single)]
        for one in given:
            if not callable(one) and not isinstance(one, BaseException):
                as_answer(one)
        route = Route(method, url, given, params)
        self.routes.append(route)
        return route

    def get(self, url: str, *answers: AnswerLike, **options: Any) -> Route:
        """`add("GET", …)`; the other methods likewise."""
        return self.add("GET", url, *answers, **options)

    def head(self, url: str, *answers: AnswerLike, **options: Any) -> Route:
        """`add("HEAD", …)`."""
        return self.add("HEAD", url, *answers, **options)

    def post(self, url: str, *answers: AnswerLike, **options: Any) -> Route:
        """`add("POST", …)`."""
        return self.add("POST", url, *answers, **options)

    def put(self, url: str, *answers: AnswerLike, **options: Any) -> Route:
        """`add("PUT", …)`."""
        return self.add("PUT", url, *answers, **options)

    def patch(self, url: str, *answers: AnswerLike, **options: Any) -> Route:
        """`add("PATCH", …)`."""
        return self.add("PATCH", url, *answers, **options)

    def delete(self, url: str, *answers: AnswerLike, **options: Any) -> Route:
        """`add("DELETE", …)`."""
        return self.add("DELETE", url, *answers, **options)

    def any(self, url: str, *answers: AnswerLike, **options: Any) -> Route:
        """A route for every method."""
        return self.add("*", url, *answers, **options)

    @property
    def unused(self) -> list[Route]:
        """The routes that have answered nothing."""
        return [route for route in self.routes if not route.requests]

    def choose(self, request: SeenRequest) -> Any:
        """The next answer for a request, in whatever form it was given.

        Raises:
            NoRoute: no route fits.
        """
        self.requests.append(request)
        fitting = [(route, route.fits(request)) for route in self.routes]
        found = [(route, match) for route, match in fitting if match is not None]
        if found:
            route, request.match = max(found, key=lambda one: one[0].specificity)
            return route.next_answer(request)
        known = ", ".join(f"{route.method} {route.url}" for route in self.routes)
        raise NoRoute(f"no route for {request.method} {request.url}; there are: {known or 'none'}")

    async def exchange(self, request: Any, response: Any, forward: Forward, deadline: Any) -> None:
        """What a session calls in place of a real exchange."""
        if request.url.origin in self._pass_through:
            await forward()
            return
        value = await deadline.run(request, self._next_value(request))
        if isinstance(value, BaseException) or (
            isinstance(value, type) and issubclass(value, BaseException)
        ):
            raise value
        given = _without_fault(as_answer(value))
        if given.delay:
            await self._delay(request, given.delay, deadline)
        fill(request, response, given)

    async def _next_value(self, request: PreparedRequest) -> Any:
        """What the route of a request gives, its function called."""
        what = await seen(request)
        value = self.choose(what)
        if callable(value) and not isinstance(value, type):
            value = value(what)
            if inspect.isawaitable(value):
                value = await value
        return value

    async def _delay(self, request: PreparedRequest, delay: float, deadline: Deadline) -> None:
        """Let the delay of an answer pass, or as much of it as the request's limits allow."""
        silence = request.options.read_timeout
        error: RequestTimeout | None = None
        if silence is not None and silence < delay:
            delay = silence
            error = ReadTimeout(
                f"{request.method} {request.url}: no answer within read_timeout={silence:g} s",
                silence,
            )
        if deadline.remaining is not None and deadline.remaining < delay:
            delay = max(0.0, deadline.remaining)
            error = deadline.exceeded(request)
        await self._clock.sleep(delay)
        deadline.charge(delay)
        if error is not None:
            raise error


def _without_fault(given: Answer) -> Answer:
    if given.fault is not None:
        raise TypeError(f"{given.fault!r} needs real sockets: serve(routes), not `with routes`")
    return given


def _compiled(place: str) -> re.Pattern[str]:
    """`/items/{id}/*` as a regular expression."""
    pieces = []
    for piece in re.split(r"(\{\w+\}|\*)", place):
        if piece == "*":
            pieces.append(".*")
        elif piece.startswith("{") and piece.endswith("}"):
            pieces.append(f"(?P<{piece[1:-1]}>[^/]+)")
        else:
            pieces.append(re.escape(piece))
    return re.compile("".join(pieces))
