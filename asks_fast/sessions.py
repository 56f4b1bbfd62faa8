"""Sessions: defaults, connections and cookies shared by many requests.

`HSession` makes many requests to one host, `DSession` to many hosts. `Session` comes from later
versions of asks and does either. They differ only in their arguments and in how URLs are resolved.

Facts:  most requests of a program differ only in their path. A session keeps a template for each
        kind of request (`_hotpath.RequestTemplate`), from which the next one is made.
Rules:  a session can be made outside a running kernel and used in several, one after another, by
        any number of tasks. Assigned values apply from the next request on. A request from a
        template has the same bytes and the same response as one made without it.
Implemented elsewhere: from arguments to a request (`_client.request_preparation`), redirects and
challenges (`_client.request_flow`), connections (`_transport.transport`).
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from . import _hotpath
from ._annotations import AsyncCall
from ._client.bulk import BulkMethods
from ._client.methods import RequestMethods
from ._client.request_credentials import tracker_of
from ._client.request_flow import RequestFlow
from ._client.request_preparation import RequestPreparation
from ._client.template_builder import is_templatable, make_template, next_exchange
from ._client.transfers import Transfers
from ._config import interceptor
from ._config.argument_checks import check_arguments
from ._config.options import (
    CONNECTION_OPTIONS,
    CONNECTOR_OPTIONS,
    POOL_OPTIONS,
    SESSION_DEFAULTS,
    RequestOptions,
    read_iterators,
    unexpected_argument,
)
from ._config.other_libraries import SESSION, add_hints
from ._guest import hosted
from ._hotpath import Exchange
from ._request.headers import HeadersBuilder
from ._request.prepared_request import PreparedRequest, prepare
from ._tracebacks import shortened
from ._transport.connector import Connector
from ._transport.transport import Transport
from .errors import InvalidURL
from .response_objects import Response, StreamResponse
from .urls import join_path, parse_url

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Unpack

    from ._annotations import AnyArgument
    from ._cache.cache import Cache
    from ._client.argument_types import BaseSessionArguments, Fields, Location, SessionArguments
    from .cookie_utils import CookieTracker

__all__ = ["BaseSession", "DSession", "HSession", "Session", "bare_session"]

__tracebackhide__ = True  # pytest leaves out frames of this module

Self = TypeVar("Self", bound="BaseSession")

_parse_response_url = lru_cache(256)(parse_url)


class BaseSession(
    _hotpath.TemplateCache,
    RequestPreparation,
    RequestMethods[
        AsyncCall[Response], AsyncCall[StreamResponse], AsyncCall[Response | StreamResponse]
    ],
    BulkMethods,
    Transfers,
):
    """The base class of all sessions.

    All sessions take these keyword arguments:

    - arguments of a request (`headers`, `params`, `auth`, `timeout`, `retries`, …), as defaults for
      all requests of the session;
    - options of connections: `verify`, `cert`, `ssl_context`, `proxy`, `resolver`, …;
    - options of the pool: `connections_per_host`, `idle_timeout`, `max_requests_per_connection`, ….

    The guide "Arguments" has the whole list, with types, units and defaults.
    """

    def __init__(
        self,
        *,
        base: str | None,
        endpoint: str | None,
        encoding: str,
        persist_cookies: bool | CookieTracker | None,
        connections: int,
        headers: Fields = None,
        cache: bool | Cache | None = None,
        **options: AnyArgument,
    ) -> None:
        if isinstance(connections, bool) or not isinstance(connections, int) or connections < 1:
            raise ValueError(f"connections must be 1 or more, not {connections!r}")
        read_iterators(options)
        pool = {name: options.pop(name, value) for name, value in POOL_OPTIONS.items()}
        connector = {name: options.pop(name) for name in CONNECTOR_OPTIONS & options.keys()}
        if options.keys() - SESSION_DEFAULTS:
            raise unexpected_argument(type(self).__name__, options.keys() - SESSION_DEFAULTS)
        check_arguments({**pool, **connector, "cache": cache, "persist_cookies": persist_cookies})
        options_given = RequestOptions(options, type(self).__name__)  # checks them
        super().__init__(base, endpoint, headers, encoding, options)
        self._ssl_context = connector.get("ssl_context")
        self._source_address = connector.get("source_address")
        self._cookie_tracker = tracker_of(persist_cookies)
        self._connector = Connector(**connector)
        self._transport = Transport(self._connector, connections, pool)
        self._cache = _open_cache(cache) if cache else None
        # The defaults of every request.
        self._transport.pool.read_timeout = options_given.read_timeout or 0.0
        self._transport.pool.write_timeout = options_given.write_timeout or 0.0

    @property
    def cookie_tracker_obj(self) -> CookieTracker | None:
        """The cookie jar; None without `persist_cookies`. Named as in asks."""
        return self._cookie_tracker

    @property
    def connections(self) -> int:
        """The maximum number of open connections."""
        return self._transport.pool.limit

    # -- requests

    async def _send_general(
        self,
        method: str,
        url: Location,
        given: dict[str, AnyArgument],
        exchange: Exchange | None = None,
    ) -> Response:
        """Send a request without a template, or continue one that was sent from a template.

        `exchange` is the first exchange if it was made from a template: it failed in a way that a
        retry policy handles, or its response leads to another request.
        """
        request, builder, defaults = self._prepare(method, url, given)
        if exchange is None and interceptor.current is None and self._cache is None:
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
            self._transport,
            request,
            encoding=self.encoding,
            cookies=tracker,
            exchange=exchange,
            cache=self._cache,
        )
        return await flow.run()  # type: ignore[return-value]

    _next_exchange = staticmethod(next_exchange)

    def _store_cookies(self, response: Response) -> None:
        """Store the cookies of a response in the jar."""
        assert self._cookie_tracker is not None
        self._cookie_tracker.store(
            _parse_response_url(response.url), response.headers._raw_values("set-cookie")
        )

    @hosted
    @shortened
    async def send(self, request: PreparedRequest) -> Response:
        """Send a prepared request. It can be sent several times if its body can be replayed.

        Args:
            request: a request that `prepare` returned.

        Returns:
            The response, as `request` returns it; a `StreamResponse` if the request was prepared
            with `stream=True`.

        Raises:
            AsksException: as `request` does.
        """
        return await self._run_flow(request.copy())

    def _cache_template(
        self,
        method: str,
        request: PreparedRequest,
        url: Location,
        given: dict[str, AnyArgument],
        builder: HeadersBuilder,
        defaults: dict[str, AnyArgument],
    ) -> None:
        """Store a template for requests of this kind, unless it needs the general path.

        `builder` and `defaults` are the header fields and options that come from the session.
        """
        constants = _hotpath.split_options(given)
        if constants.keys() & CONNECTION_OPTIONS or self._connector.proxy_pool() is not None:
            return
        if self._relative_part(url) is not None:
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
        template = make_template(
            self._transport,
            request,
            target,
            builder,
            options,
            encoding=self.encoding,
            cookie_jar=self._cookie_tracker,
        )
        self._set_template(key, template)

    # -- lifetime

    @hosted
    async def close(self) -> None:
        """Close all connections immediately. May be called again.

        Requests under way and waiting ones raise `SessionClosed`.
        """
        await self._transport.aclose()
        if self._cache is not None:
            cache, self._cache = self._cache, None
            cache.detach()

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __del__(self) -> None:
        transport = getattr(self, "_transport", None)
        if transport is not None and not transport.pool.closed and transport.pool.open:
            description = repr(self)  # it says how many connections are open
            transport.close()
            warnings.warn(
                f"{description} was never closed; use `async with`, or `await session.close()`",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    @hosted
    async def warm_up(self, number: int | None = None, url: str | None = None) -> int:
        """Open connections before the first request.

        Args:
            number: how many; None: as many as the session allows.
            url: the origin to connect to; needed for a session without a base.

        Returns:
            The number of open connections to that origin.

        Raises:
            ConnectivityError: a connection could not be opened.
        """
        options = RequestOptions(self._defaults)
        request = prepare(
            "GET", self._resolve_url(url, options), HeadersBuilder(), options, self.encoding
        )
        wanted = self.connections if number is None else number
        return await self._transport.warm_up(self._transport.origin(request), wanted, options)

    def pool_stats(self) -> dict[str, int]:
        """Return the numbers of connections now, and totals.

        Returns:
            `open`, `in_use`, `idle`, `opening` and `waiting` (requests) now; `created`, `reused`
            and `evicted` so far; and `limit`.
        """
        return dict(self._transport.pool.stats())

    def __repr__(self) -> str:
        pool = self._transport.pool
        where = f" {self._base.origin}" if self._base is not None else ""
        state = "closed" if pool.closed else f"{pool.open} of {pool.limit} connections open"
        return f"<{type(self).__name__}{where}, {state}>"


add_hints(BaseSession, SESSION)


def _open_cache(cache: bool | Cache) -> Cache:
    from ._cache.cache import as_cache

    found = as_cache(cache)
    found.attach()
    return found


class HSession(BaseSession):
    """A session for many requests to one host.

    Args:
        host: scheme and host, with or without a port and a path.
        endpoint: a path that the path of every request is appended to.
        encoding: the encoding of text sent, and of received text without a charset.
        persist_cookies: True for a cookie jar, or a `CookieTracker`.
        connections: the maximum number of open connections.
        options: see `BaseSession`.

    Raises:
        InvalidURL: `host` is not an HTTP URL.
        InvalidRequest, TypeError, ValueError: another argument is invalid.

    Example:
        async with asks_fast.HSession("https://example.org", connections=10) as session:
            response = await session.get(path="/items", params={"page": 2})
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
        """The base of all requests, as a URL."""
        assert self._base is not None
        return self._base.origin + self._base.target.rstrip("/")

    @host.setter
    def host(self, host: str) -> None:
        self._set_base(host)


class DSession(BaseSession):
    """A session for requests to many hosts. Each request has a full URL.

    Args:
        encoding: the encoding of text sent, and of received text without a charset.
        persist_cookies: True for a cookie jar, or a `CookieTracker`.
        connections: the maximum number of open connections, to all hosts together.
        options: see `BaseSession`; `connections_per_host` limits those to one host.

    Raises:
        InvalidRequest, TypeError, ValueError: an argument is invalid.

    Example:
        async with asks_fast.DSession(connections=100) as session:
            results = await session.gather(["https://example.org/", "https://example.com/"])
    """

    def __init__(
        self,
        encoding: str = "utf-8",
        persist_cookies: bool | CookieTracker | None = None,
        connections: int = 20,
        **options: Unpack[SessionArguments],
    ) -> None:
        if isinstance(encoding, str) and "://" in encoding:
            raise InvalidURL(
                "DSession has no base: for a URL use HSession(host) or Session(base_location)"
            )
        super().__init__(
            base=None,
            endpoint=None,
            encoding=encoding,
            persist_cookies=persist_cookies,
            connections=connections,
            **options,
        )


class Session(BaseSession):
    """The session class of asks 2 and 3: with a base location, with full URLs, or both.

    Args:
        base_location: scheme and host, with or without a path; empty: each request has a full URL.
        endpoint: a path that the path of every request is appended to.
        headers: header fields of every request.
        encoding: the encoding of text sent, and of received text without a charset.
        persist_cookies: True for a cookie jar, or a `CookieTracker`.
        ssl_context: an `ssl.SSLContext` for all connections.
        connections: the maximum number of open connections.
        options: see `BaseSession`.

    Raises:
        InvalidURL: `base_location` is not an HTTP URL.
        InvalidRequest, TypeError, ValueError: another argument is invalid.
    """

    def __init__(
        self,
        base_location: str = "",
        endpoint: str = "",
        headers: Fields = None,
        encoding: str = "utf-8",
        persist_cookies: bool | CookieTracker | None = None,
        ssl_context: ssl.SSLContext | None = None,
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
        """The base of requests with a relative URL; empty for none."""
        return "" if self._base is None else self._base.origin + self._base.target.rstrip("/")

    @base_location.setter
    def base_location(self, base_location: str) -> None:
        self._set_base(base_location)


def bare_session(session: BaseSession, connections: int) -> DSession:
    """Return a session with the DNS, proxy and TLS settings of `session` and nothing else of it.

    It has no header fields, credentials, cookies or limits. The caller closes it.
    """
    defaults = session._defaults
    given: dict[str, AnyArgument] = {
        name: defaults[name] for name in CONNECTION_OPTIONS & defaults.keys()
    }
    bare = DSession(connections=connections)
    bare._defaults = given
    bare._connector = session._connector
    bare._transport = Transport(session._connector, connections, POOL_OPTIONS)
    return bare
