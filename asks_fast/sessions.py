"""Sessions: defaults, connections and cookies shared by many requests.

`HSession` makes many requests to one host, `DSession` to many hosts, `Session` is the later
generation of asks that does either. They differ in how they are made and where a URL comes from.

Facts:  most requests of a program differ from the last in their path alone. A session keeps a plan
        of each kind of request (`_hotpath.Plan`) and sends by it what needs nothing else.
Rules:  a session can be made outside a running kernel and used in several, one after another, by
        any number of tasks. What is assigned or changed later counts from the next request on.
        A plan and the long way give the same bytes and the same answer.
Not here: redirects and challenges (`conversation`), connections (`transport`).
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from multidict import getversion

from . import _hotpath
from ._guest import hosted
from .conversation import Conversation, tracker_of
from .errors import InvalidURL
from .fields import Layers
from .options import (
    CONNECTOR_OPTIONS,
    POOL_OPTIONS,
    SESSION_DEFAULTS,
    RequestOptions,
    unexpected,
)
from .request import PreparedRequest, default_fields, prepare
from .response_objects import Response, StreamResponse
from .session_plans import PLANNED, SETTLED, is_plain, make_plan
from .session_settings import Settings
from .session_verbs import Verbs
from .transport.connect import Connector
from .transport.dispatch import Transport
from .transport.events import teller
from .urls import Url, join_path, parse_url

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .arguments import BaseSessionArguments, Location, PreparedArguments, SessionArguments
    from .cookie_utils import CookieTracker
    from .crawl.jobs import Result
    from .crawl.mapping import Map

__all__ = ["BaseSession", "DSession", "HSession", "Session"]

Self = TypeVar("Self", bound="BaseSession")

MOST_PLANS = 4096


class BaseSession(
    _hotpath.Planner,
    Settings,
    Verbs[
        Coroutine[Any, Any, Response],
        Coroutine[Any, Any, StreamResponse],
        Coroutine[Any, Any, Response | StreamResponse],
    ],
):
    """What all sessions have in common.

    Keyword arguments beyond those of the kind of session: any argument of a request as a default
    for all of them (`headers`, `params`, `auth`, `timeout`, `retries`, …); options of connections
    (`verify`, `cert`, `ssl_context`, `proxy`, `resolver`, …, see `Connector`); options of the pool
    (`connections_per_host`, `idle_timeout` in seconds, default 30, `max_requests_per_connection`,
    `max_connection_age`, …, see `options.POOL_OPTIONS`). Unknown ones are a TypeError.
    """

    def __init__(
        self,
        *,
        base: str | None,
        endpoint: str | None,
        encoding: str,
        persist_cookies: Any,
        connections: int,
        headers: Any = None,
        **options: Any,
    ) -> None:
        if isinstance(connections, bool) or not isinstance(connections, int) or connections < 1:
            raise ValueError(f"connections must be 1 or more, not {connections!r}")
        pool = {name: options.pop(name, value) for name, value in POOL_OPTIONS.items()}
        connector = {name: options.pop(name) for name in CONNECTOR_OPTIONS & options.keys()}
        if options.keys() - SESSION_DEFAULTS:
            raise unexpected(type(self).__name__, options.keys() - SESSION_DEFAULTS)
        settled = RequestOptions(options, type(self).__name__)  # what is wrong shows here
        super().__init__(base, endpoint, headers, encoding, options)
        self._ssl_context = connector.get("ssl_context")
        self._source_address = connector.get("source_address")
        self._layers_of = -1
        self._cookie_tracker = tracker_of(persist_cookies)
        self._connector = Connector(**connector)
        self._transport = Transport(self._connector, connections, pool)
        # What every request gets that says nothing else, those by a plan included.
        self._transport.pool.patience = settled.read_timeout or 0.0
        self._transport.pool.write_patience = settled.write_timeout or 0.0

    @property
    def cookie_tracker_obj(self) -> Any:
        """The cookie jar, None without `persist_cookies` (its name in asks of 2017)."""
        return self._cookie_tracker

    @property
    def connections(self) -> int:
        """The most connections open at any moment."""
        return self._transport.pool.limit

    # -- requests

    async def _request(
        self,
        method: str,
        url: Any,
        given: Any,
        tried: Any = None,
        fresh: bool = False,
        spent: float = 0.0,
        stopped: Any = None,
    ) -> Response:
        """The long way; after a plan's exchange with how it ended, or that it needs to go again.

        `tried`: its answer, or the error for the session's `retries` to see. `spent`: the seconds
        that this took of the request's `timeout`. `stopped`: the connection, if the answer is not
        complete.
        """
        options = RequestOptions({**self._defaults, **given} if self._defaults else given)
        target = self._locate(url, options)
        layers = self._fields()
        request = prepare(method, target, layers, options, self.encoding)
        if given.keys() <= PLANNED:
            self._learn(request, url, layers)
        return await self._converse(request, tried, fresh, spent, stopped)

    async def _converse(
        self,
        request: PreparedRequest,
        tried: Any = None,
        fresh: bool = False,
        spent: float = 0.0,
        stopped: Any = None,
    ) -> Response:
        tracker = self._cookie_tracker
        if request.options.persist_cookies is not None:
            tracker = tracker_of(request.options.persist_cookies)
        conversation = Conversation(
            self._transport,
            request,
            encoding=self.encoding,
            cookies=tracker,
            fresh=fresh,
            spent=spent,
            stopped=stopped,
        )
        return await conversation.run(tried)  # type: ignore[return-value]

    def prepare(
        self, method: str, url: Location = None, **options: Unpack[PreparedArguments]
    ) -> PreparedRequest:
        """The request that `request` would make, to be looked at, and sent by `send`.

        Cookies and credentials are added when it is sent. Raises what `request` raises before it
        sends anything.
        """
        given = RequestOptions({**self._defaults, **options} if self._defaults else options)
        target = self._locate(url, given)
        return prepare(method, target, self._fields().copy(), given, self.encoding)

    @hosted
    async def send(self, request: PreparedRequest) -> Response:
        """Send a prepared request, any number of times if its body can be replayed.

        As `request` in all else. One prepared with `stream=True` gives a `StreamResponse`.
        """
        return await self._converse(request.copy())

    def _fields(self) -> Layers:
        """The fields that every request of this session starts with; not to be changed."""
        version = getversion(self._headers)
        if self._layers is None or version != self._layers_of:
            self._layers = Layers(default_fields())
            self._layers.lay(self._headers)
            self._layers_of = version
        return self._layers

    def _locate(self, url: Any, options: RequestOptions) -> Url:
        """The URL of a request: the one given, or base, endpoint and path."""
        if url is not None and url != "":
            return parse_url(url, raw=options.raw_url)
        if self._base is None:
            raise InvalidURL(f"{type(self).__name__} was given no URL: pass one to the request")
        if self._front is None:
            self._front = join_path(self._base, self._endpoint, "")
        target = _hotpath.extend_target(self._front, options.path) if options.path else self._front
        if target is None:
            target = join_path(self._base, self._endpoint, options.path)
        return self._base.with_target(target)

    def _learn(self, request: PreparedRequest, url: Any, layers: Layers) -> None:
        """Keep a plan for requests like this one, if they need nothing that a plan can't do."""
        if (
            self._defaults.keys() - SETTLED
            or self._cookie_tracker is not None
            or self.encoding != "utf-8"
            or not is_plain(request, layers)
        ):
            return
        origin = self._transport.origin(request)
        if origin.route.forward or self._connector.rotates() or teller(request) is not None:
            return
        if url is None or url == "":
            if self._base is None or self._base.userinfo is not None:
                return
            key, target = (request.method, ""), join_path(self._base, self._endpoint, "")
        else:
            key, target = (request.method, request.url.origin), "/"
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        options = RequestOptions(self._defaults)
        plan = make_plan(self._transport, origin, request, target, layers, options)
        if plan is not None:
            self._plans[key] = plan

    # -- many requests

    def map(self, requests: Iterable[Any] | AsyncIterable[Any], **options: Any) -> Map:
        """Results of many requests, as they complete: `async for result in session.map(urls)`.

        `requests`: URLs (paths, for a session with a host), dicts of request arguments, or pairs
        `(key, one of these)`, endless ones too. `concurrency=` most under way, default all the
        connections; `ordered=`, `window=`, `retries=`, `politeness=` as in `crawl.map_requests`.
        A failure is a result. Left early, it cancels what is under way.
        """
        from .crawl.mapping import map_requests

        return map_requests(self, requests, **options)

    async def gather(
        self, requests: Iterable[Any] | AsyncIterable[Any], **options: Any
    ) -> list[Result]:
        """The results of a few requests, in the order asked; arguments as for `map`."""
        from .crawl.mapping import gather

        return await gather(self, requests, **options)

    # -- lifetime

    @hosted
    async def close(self) -> None:
        """Close all connections at once. Requests under way and in line get `SessionClosed`.

        Waits for nothing; safe to call again.
        """
        await self._transport.end()

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __del__(self) -> None:
        transport = getattr(self, "_transport", None)
        if transport is not None and not transport.pool.closed and transport.pool.open:
            transport.close()
            warnings.warn(
                f"{self!r} was never closed; use `async with`, or `await session.close()`",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    @hosted
    async def warm_up(self, number: int | None = None, url: str | None = None) -> int:
        """Open connections ahead of the first request, `number` or as many as may be.

        `url` names the origin for a session without a base. Returns how many there are.
        """
        options = RequestOptions(self._defaults)
        request = prepare("GET", self._locate(url, options), Layers(), options, self.encoding)
        wanted = self.connections if number is None else number
        return await self._transport.warm_up(
            self._transport.origin(request), wanted, options.connection_timeout
        )

    def pool_stats(self) -> dict[str, int]:
        """Connections at this moment (`open`, `lent`, `idle`, `opening`, `waiting`) and totals."""
        return dict(self._transport.pool.stats())

    def __repr__(self) -> str:
        pool = self._transport.pool
        where = f" {self._base.origin}" if self._base is not None else ""
        state = "closed" if pool.closed else f"{pool.open} of {pool.limit} connections open"
        return f"<{type(self).__name__}{where}, {state}>"


class HSession(BaseSession):
    """Many requests to one host.

    `host`: scheme and host, such as `http://example.org:8080`, perhaps with a path.
    `endpoint`: a path that every request starts with. `connections`: the most open at any
    moment, default 1.
    `persist_cookies`: True, or a `CookieTracker`. Further keyword arguments: see `BaseSession`.
    """

    def __init__(
        self,
        host: str,
        endpoint: str | None = None,
        encoding: str = "utf-8",
        persist_cookies: bool | CookieTracker | None = None,
        connections: int = 1,
        **options: Unpack[SessionArguments],
    ) -> None:
        if not host:
            raise InvalidURL("HSession needs a host, such as 'https://example.org'")
        super().__init__(
            base=host,
            endpoint=endpoint,
            encoding=encoding,
            persist_cookies=persist_cookies,
            connections=connections,
            **options,
        )

    @property
    def host(self) -> str:
        """The host, as a URL."""
        assert self._base is not None
        return self._base.origin + self._base.target.rstrip("/")

    @host.setter
    def host(self, host: str) -> None:
        self._set_base(host)


class DSession(BaseSession):
    """Many requests to many hosts: every request is given a full URL.

    `connections`: the most open at any moment, to all hosts together, default 20.
    `connections_per_host`: the most to one of them. Further keyword arguments: see `BaseSession`.
    """

    def __init__(
        self,
        encoding: str = "utf-8",
        persist_cookies: bool | CookieTracker | None = None,
        connections: int = 20,
        **options: Unpack[SessionArguments],
    ) -> None:
        super().__init__(
            base=None,
            endpoint=None,
            encoding=encoding,
            persist_cookies=persist_cookies,
            connections=connections,
            **options,
        )


class Session(BaseSession):
    """The session of later asks: with a base location, or with full URLs, or both."""

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
        super().__init__(
            base=base_location,
            endpoint=endpoint,
            encoding=encoding,
            persist_cookies=persist_cookies,
            connections=connections,
            headers=headers,
            ssl_context=ssl_context,
            **options,
        )

    @property
    def base_location(self) -> str:
        """The base of requests that are given a path only; empty for none."""
        return "" if self._base is None else self._base.origin + self._base.target.rstrip("/")

    @base_location.setter
    def base_location(self, base_location: str) -> None:
        self._set_base(base_location)
