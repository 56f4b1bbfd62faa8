"""Sessions: defaults, connections and cookies shared by many requests.

`HSession` makes many requests to one host, `DSession` to many hosts, `Session` is the later
generation of asks that does either. They differ in how they are made and where a URL comes from.

Facts:  most requests of a program differ only in their path. A session keeps a template for each
        kind of request (`_hotpath.RequestTemplate`), from which the next one is made.
Rules:  a session can be made outside a running kernel and used in several, one after another, by
        any number of tasks. What is assigned or changed later counts from the next request on.
        A template and the general path send the same bytes and give the same response.
Implemented elsewhere: redirects and challenges (`request_flow`), connections (`transport`).
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from multidict import getversion

from . import _hotpath
from ._client.bulk import bulk_module
from ._client.credentials import bound_fields, defaults_off_origin
from ._client.default_headers import default_headers
from ._client.methods import RequestMethods
from ._client.request_flow import RequestFlow, tracker_of
from ._client.settings import SessionSettings
from ._client.template_builder import is_templatable, make_template, next_exchange
from ._client.transfers import Transfers
from ._config import interceptor
from ._config.options import (
    CONNECTION_OPTIONS,
    CONNECTOR_OPTIONS,
    POOL_OPTIONS,
    SESSION_DEFAULTS,
    RequestOptions,
    unexpected_argument,
)
from ._guest import hosted
from ._hotpath import Exchange
from ._request.headers import HeadersBuilder
from ._request.prepared_request import PreparedRequest, prepare
from ._tracebacks import shortened
from ._transport.connector import Connector
from ._transport.transport import Transport
from .errors import InvalidURL, truncated_repr
from .response_objects import Response, StreamResponse
from .urls import Url, is_relative, join_path, parse_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Unpack

    from ._client.argument_types import (
        BaseSessionArguments,
        Location,
        PreparedArguments,
        SessionArguments,
    )
    from ._client.bulk import Result, ResultStream
    from .cookie_utils import CookieTracker

__all__ = ["BaseSession", "DSession", "HSession", "Session", "bare_session"]

__tracebackhide__ = True  # pytest leaves out frames of this module

Self = TypeVar("Self", bound="BaseSession")

MAX_TEMPLATES = 4096


class BaseSession(
    _hotpath.TemplateCache,
    SessionSettings,
    RequestMethods[
        Coroutine[Any, Any, Response],
        Coroutine[Any, Any, StreamResponse],
        Coroutine[Any, Any, Response | StreamResponse],
    ],
    Transfers,
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
            raise unexpected_argument(type(self).__name__, options.keys() - SESSION_DEFAULTS)
        options_given = RequestOptions(options, type(self).__name__)  # checks them
        super().__init__(base, endpoint, headers, encoding, options)
        self._ssl_context = connector.get("ssl_context")
        self._source_address = connector.get("source_address")
        self._header_defaults_version = -1
        self._cookie_tracker = tracker_of(persist_cookies)
        self._connector = Connector(**connector)
        self._transport = Transport(self._connector, connections, pool)
        # The defaults of every request.
        self._transport.pool.read_timeout = options_given.read_timeout or 0.0
        self._transport.pool.write_timeout = options_given.write_timeout or 0.0

    @property
    def cookie_tracker_obj(self) -> Any:
        """The cookie jar, None without `persist_cookies` (its name in asks of 2017)."""
        return self._cookie_tracker

    @property
    def connections(self) -> int:
        """The most connections open at any moment."""
        return self._transport.pool.limit

    # -- requests

    async def _send_general(
        self, method: str, url: Any, given: Any, exchange: Exchange | None = None
    ) -> Response:
        """Prepare a request in full, and do all that it leads to.

        `exchange` is the first one if it was made from a template: it failed in a way that a
        retry policy handles, or its response leads to another request.
        """
        request, builder, defaults = self._prepare(method, url, given)
        if exchange is None and interceptor.current is None:
            self._cache_template(method, request, url, given, builder, defaults)
        if exchange is not None and exchange.history:
            url = parse_url(exchange.response.url)  # redirects were followed already
            request = request.for_redirect("GET", url, None, frozenset())
        return await self._run_flow(request, exchange)

    async def _run_flow(
        self, request: PreparedRequest, exchange: Exchange | None = None
    ) -> Response:
        tracker = self._cookie_tracker
        if request.options.persist_cookies is not None:
            tracker = tracker_of(request.options.persist_cookies)
        flow = RequestFlow(
            self._transport, request, encoding=self.encoding, cookies=tracker, exchange=exchange
        )
        return await flow.run()  # type: ignore[return-value]

    _next_exchange = staticmethod(next_exchange)

    def _store_cookies(self, response: Response) -> None:
        """Give the cookies of a response to the jar."""
        values = [value for name, value in response.headers.raw if name.lower() == b"set-cookie"]
        self._cookie_tracker.store(parse_url(response.url), values)

    def prepare(
        self, method: str, url: Location = None, **options: Unpack[PreparedArguments]
    ) -> PreparedRequest:
        """Prepare the request that `request` would send; `send` sends it.

        Cookies and credentials are added when it is sent. Raises what `request` raises before it
        sends anything.
        """
        return self._prepare(method, url, options, "prepare")[0].copy()

    def _prepare(
        self, method: str, url: Any, given: Mapping[str, Any], function: str = "request"
    ) -> tuple[PreparedRequest, HeadersBuilder, dict[str, Any]]:
        """The request; the fields and the options of it that come from the session."""
        defaults = self._defaults
        merged = {**defaults, **given} if defaults else given
        options = RequestOptions(merged, function)
        target = self._resolve_url(url, options)
        builder = self._default_headers()
        if self._base is not None and not target.same_origin(self._base):
            defaults = defaults_off_origin(self._defaults, options, self._base, target)
            options = RequestOptions({**defaults, **given})
            builder = builder.copy()
            builder.remove(bound_fields(builder, options))
        return prepare(method, target, builder, options, self.encoding), builder, defaults

    @hosted
    @shortened
    async def send(self, request: PreparedRequest) -> Response:
        """Send a prepared request; again and again, if its body can be replayed.

        All else is as in `request`. One prepared with `stream=True` gives a `StreamResponse`.
        """
        return await self._run_flow(request.copy())

    def _default_headers(self) -> HeadersBuilder:
        """The header fields that every request of this session starts with; do not change them."""
        version = getversion(self._headers)
        if self._header_defaults is None or version != self._header_defaults_version:
            self._header_defaults = HeadersBuilder(default_headers())
            self._header_defaults.update(self._headers)
            self._header_defaults_version = version
        return self._header_defaults

    def _resolve_url(self, url: Any, options: RequestOptions) -> Url:
        """The URL of a request: the one given, or base, endpoint and path."""
        if not self._is_below_base(url):
            return parse_url(url, raw=options.raw_url)
        if self._base is None:
            raise InvalidURL(f"{type(self).__name__} was given no URL: pass one to the request")
        if url and options.path:
            raise InvalidURL(
                f"{truncated_repr(url)} and path={truncated_repr(options.path)} exclude each other"
            )
        path = url or options.path
        if self._base_target is None:
            self._base_target = join_path(self._base, self._endpoint, "")
        target = _hotpath.append_path(self._base_target, path) if path else self._base_target
        if target is None:
            target = join_path(self._base, self._endpoint, path)
        return self._base.with_target(target)

    def _is_below_base(self, url: Any) -> bool:
        """Whether a request is for base and endpoint: without URL, or with a relative one."""
        return url is None or url == "" or (self._base is not None and is_relative(url))

    def _cache_template(
        self,
        method: str,
        request: PreparedRequest,
        url: Any,
        given: dict[str, Any],
        builder: HeadersBuilder,
        defaults: dict[str, Any],
    ) -> None:
        """Keep a template for requests like this one, if it can have one.

        `builder` and `defaults` are what the request got from the session.
        """
        constants = _hotpath.split_options(given)
        if constants.keys() & CONNECTION_OPTIONS or self._connector.has_proxy_rotation():
            return
        if self._is_below_base(url):
            if self._base is None or self._base.userinfo is not None:
                return
            origin, target = "", join_path(self._base, self._endpoint, "")
        else:
            origin, target = request.url.origin, "/"
        key = _hotpath.template_key(method, origin, given)
        self._transport.origin(request)  # sets the route
        options = RequestOptions({**defaults, **constants})
        if key is None or not is_templatable(request, builder, options):
            return
        if len(self._templates) >= MAX_TEMPLATES:
            self._templates.clear()
        self._templates[key] = make_template(
            self._transport,
            request,
            target,
            builder,
            options,
            encoding=self.encoding,
            cookie_jar=self._cookie_tracker,
        )

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

    # -- lifetime

    @hosted
    async def close(self) -> None:
        """Close all connections at once. Requests under way and waiting ones raise `SessionClosed`.

        Does not wait; safe to call again.
        """
        await self._transport.aclose()

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
        """Open connections before the first request, `number` or as many as allowed.

        `url` names the origin for a session without a base. Returns how many there are.
        """
        options = RequestOptions(self._defaults)
        request = prepare(
            "GET", self._resolve_url(url, options), HeadersBuilder(), options, self.encoding
        )
        wanted = self.connections if number is None else number
        return await self._transport.warm_up(self._transport.origin(request), wanted, options)

    def pool_stats(self) -> dict[str, int]:
        """Connections now (`open`, `in_use`, `idle`, `opening`, `waiting`) and totals."""
        return dict(self._transport.pool.stats())

    def __repr__(self) -> str:
        pool = self._transport.pool
        where = f" {self._base.origin}" if self._base is not None else ""
        state = "closed" if pool.closed else f"{pool.open} of {pool.limit} connections open"
        return f"<{type(self).__name__}{where}, {state}>"


class HSession(BaseSession):
    """Many requests to one host.

    `host`: scheme and host, such as `http://example.org:8080`, with or without a path.
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


def bare_session(session: BaseSession, connections: int) -> DSession:
    """A session that reaches servers as `session` does: same names, proxies and TLS settings.

    It has none of its fields, credentials, cookies, limits and connections. The caller closes it.
    """
    defaults = session._defaults
    given: Any = {name: defaults[name] for name in CONNECTION_OPTIONS & defaults.keys()}
    bare = DSession(connections=connections)
    bare._defaults = given
    bare._connector = session._connector
    bare._transport = Transport(session._connector, connections, POOL_OPTIONS)
    return bare
