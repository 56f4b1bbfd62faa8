"""The connections of a session: its pool, its connector, and exchanges over them.

Facts:  the wait for a connection does not count towards `timeout`, as in asks: ten thousand
        requests over fifty connections must not fail because they waited.
Rules:  without a retry policy a request is resent only if the connection had served before, no
        byte of a response came, and the method is idempotent or no byte was sent (RFC 9110
        §9.2.2); then over a new connection. Our time limits raise our errors; a time-out or
        cancellation from outside passes through.
Implemented elsewhere: sending and receiving (`Pool.run`); redirects, challenges, cookies and retry
        policies (`request_flow`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import curio
from curio.errors import CancelledError, TaskTimeout

from .._config.events import get_emitter
from .._config.peer_certificate import with_tls
from .._curio import cancel_task, kernel_locals
from .._deadlines import timeout_after
from .._hotpath import Exchange, ExchangeOptions, Limits, OriginPool, Pool
from ..errors import AsksException, ConnectTimeout, SessionClosed
from .pool_monitor import PoolMonitor

if TYPE_CHECKING:
    from .._config.options import RequestOptions
    from .._request.prepared_request import PreparedRequest
    from ..response_objects import BaseResponse
    from .connector import Connector
    from .proxies import Proxy
    from .proxy_pool import ProxyLease

__all__ = ["Transport"]


class _SessionClosing(CancelledError):  # type: ignore[misc]
    """Stops a task that is connecting when its session is closed."""


class Transport:
    """The connections of one session."""

    def __init__(self, connector: Connector, limit: int, options: dict[str, Any]) -> None:
        self.connector = connector
        self.pool = Pool(
            limit,
            limit_per_origin=options["connections_per_host"],
            limits=Limits(
                head=options["max_header_size"],
                fields=options["max_headers"],
                interim=options["max_informational"],
            ),
            buffer=options["buffer_size"],
        )
        self.pool.idle_timeout = options["idle_timeout"] or 0.0
        self.pool.max_requests = options["max_requests_per_connection"]
        self.pool.max_age = options["max_connection_age"]
        self._monitor = PoolMonitor(self.pool)
        self._connecting: set[Any] = set()  # tasks that are connecting

    def origin(self, request: PreparedRequest) -> OriginPool:
        """The connections that may serve a request."""
        if request.route is None:
            self._set_route(request, request.options.connection)
        return self.pool.origin(request.route, request.url.origin)

    def _set_route(self, request: PreparedRequest, options: Mapping[str, Any]) -> None:
        url = request.url
        request.route = self.connector.route_for(url.scheme, url.host, url.port, **options)
        if request.proxy_credentials is not None:
            request.route = self.connector.with_proxy_credentials(
                request.route, request.proxy_credentials
            )

    def set_route(self, request: PreparedRequest, proxy: Proxy | None) -> None:
        """Set the route of a request, with this proxy."""
        self._set_route(request, {**request.options.connection, "proxy": proxy})

    async def lease_proxy(
        self, request: PreparedRequest, used: Collection[Proxy | None]
    ) -> ProxyLease | None:
        """Set the route of a request by a proxy of its pool; None if it has no pool.

        `used` are the proxies that it has been sent through. Raises `NoProxyAvailable`, and
        `PoolTimeout` after `pool_timeout`. Cancelled, it holds nothing.
        """
        several = self.connector.proxy_pool(**request.options.connection)
        if several is None:
            return None
        lease = await several.pool.acquire(
            request.url.host,
            key=several.key,
            exclude=used,
            timeout=request.options.pool_timeout,
        )
        try:
            self.set_route(request, lease.proxy)
        except BaseException:
            lease.release()
            raise
        return lease

    async def handle_proxy_challenge(
        self, request: PreparedRequest, response: BaseResponse
    ) -> bool:
        """Handle the 407 of a forward proxy; returns whether to send the request again."""
        route = request.route
        if route is None or not route.is_forward_proxy or not request.is_replayable:
            return False
        answer = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in response.headers.raw
        ]
        return await self.connector.handle_proxy_challenge(
            route,
            request.method,
            request.url.origin + request.url.target,
            request.proxy_fields,
            answer,
        )

    async def ensure_monitor(self) -> bool:
        """Start the pool monitor if there is none; False if the running kernel is shutting down."""
        if self.pool.wake_monitor is not None and self.pool.kernel is kernel_locals.kernel:
            return True
        return await self._monitor.start()

    async def open(
        self,
        origin: OriginPool,
        limit: float | None = 60.0,
        on_step: Callable[[str, float], None] | None = None,
        *,
        dns_limit: float | None = None,
    ) -> tuple[Any, Any]:
        """A connected socket and its peer's address, for `Pool.connect`.

        `limit` and `dns_limit`, for name resolution, are in seconds. Raises `ConnectTimeout` and
        the errors of `Connector.connect`.
        """
        sock = None
        task = await curio.current_task()
        self._connecting.add(task)
        try:
            try:
                sock = await timeout_after(
                    limit,
                    self.connector.connect(origin.route, on_step=on_step, dns_timeout=dns_limit),
                )
            except TaskTimeout:
                if limit is None:
                    raise  # `timeout` of the request expired
                raise ConnectTimeout(
                    f"{origin.name}: no connection within connection_timeout={limit:g} s", limit
                ) from None
            except _SessionClosing:
                pass  # the pool is closed
            if self.pool.closed or sock is None:
                raise SessionClosed("the session was closed while the request was connecting")
            await self.ensure_monitor()
            peer = _peer_of(sock)
            if origin.route.tls is not None:
                peer = with_tls(peer, sock)
            return sock, peer
        except BaseException:
            if sock is not None:
                sock.close()
            raise
        finally:
            self._connecting.discard(task)
            if isinstance(task.cancel_pending, _SessionClosing):
                task.cancel_pending = None  # it came too late, and is not for the caller

    def bound_open(self, options: RequestOptions) -> Callable[..., Any]:
        """Return `open` with the time limits of a request."""
        if options.dns_timeout is None:
            return partial(self.open, limit=options.connection_timeout)
        return partial(self.open, limit=options.connection_timeout, dns_limit=options.dns_timeout)

    def exchange_options(
        self,
        origin: OriginPool,
        request: PreparedRequest,
        options: RequestOptions,
        *,
        encoding: str,
        followup_statuses: Container[int],
        has_retry_policy: bool = False,
        stores_cookies: bool = False,
        max_redirects: int = 0,
        observe_response: Callable[[Any], object] | None = None,
        response_class: type[BaseResponse] | None = None,
    ) -> ExchangeOptions:
        """What the exchanges of requests like this one have in common."""
        expect = 0.0
        if request.stream is not None and "expect" in request.fields:
            expect = 1.0 if options.expect_continue in (True, False) else options.expect_continue
        uses_defaults = _RESPONSE_OPTIONS.isdisjoint(options.explicit)
        encoding = options.encoding or encoding
        is_slow_enough = min(options.read_timeout or 1.0, options.write_timeout or 1.0) >= 1.0
        is_default = (
            is_slow_enough
            and self.pool.read_timeout == (options.read_timeout or 0.0)
            and self.pool.write_timeout == (options.write_timeout or 0.0)
        )
        return ExchangeOptions(
            origin,
            connect_socket=self.bound_open(options),
            followup_statuses=followup_statuses,
            observe_response=observe_response,
            response_class=response_class,
            response_options=None if uses_defaults else options,
            encoding=None if encoding == "utf-8" else encoding,
            is_head_request=request.method == "HEAD",
            is_idempotent=request.is_idempotent,
            retry_stale=not isinstance(options.retries, int) or options.retries != 0,
            has_retry_policy=has_retry_policy,
            stores_cookies=stores_cookies,
            max_redirects=max_redirects,
            close_after=request.has_connection_close,
            stream=options.stream or options.callback is not None,
            strict=options.strict,
            keeps_framing=options.keep_framing,
            max_body=-1 if options.max_body is None else options.max_body,
            pool_timeout=options.pool_timeout or 0.0,
            read_timeout=-1.0 if is_default else options.read_timeout or 0.0,
            write_timeout=-1.0 if is_default else options.write_timeout or 0.0,
            expect_seconds=expect,
        )

    def make_exchange(
        self,
        request: PreparedRequest,
        response: BaseResponse,
        *,
        encoding: str,
        followup_statuses: Container[int],
    ) -> Exchange:
        """The exchange of a prepared request, which `send` sends."""
        origin = self.origin(request)
        if origin.route.is_forward_proxy:
            request.proxy_fields = self.connector.proxy_headers(
                origin.route, request.method, request.url.origin + request.url.target
            )
        options = self.exchange_options(
            origin,
            request,
            request.options,
            encoding=encoding,
            followup_statuses=followup_statuses,
        )
        exchange = Exchange(options, request.head(), response, request.stream)
        exchange.emitter = get_emitter(request)
        return exchange

    async def send(self, exchange: Exchange) -> None:
        """Send a request and receive its response, as `Pool.run` does, also during a shutdown."""
        if await self.ensure_monitor():
            await self.pool.run(exchange)
        else:
            await self._monitor.attend(partial(self.pool.run, exchange))

    async def warm_up(self, origin: OriginPool, number: int, options: RequestOptions) -> int:
        """Open connections in advance, as many as there are slots; returns how many are open.

        Raises what `open` raises, after the others were opened.
        """
        number = min(number, self.pool.limit - self.pool.open)
        failures: list[AsksException] = []
        async with curio.TaskGroup() as tasks:
            for _ in range(number):
                await tasks.spawn(self._prewarm, origin, self.bound_open(options), failures)
        if failures:
            raise failures[0]
        return origin.open

    async def _prewarm(
        self, origin: OriginPool, connect: Callable[..., Any], failures: list[AsksException]
    ) -> None:
        try:
            connection = await self.pool.acquire(origin, force_new_connection=True)
            if connection is None:
                connection = await self.pool.connect(origin, connect)
            await connection.release()
        except AsksException as error:  # the others go on
            failures.append(error)

    def close(self) -> list[Any]:
        """Close all connections without waiting; returns the waiters to be woken."""
        refused = self.pool.close()
        if self.pool.wake_monitor is not None:
            self.pool.wake_monitor()
        return refused

    async def aclose(self) -> None:
        """Close all connections, wake waiters, stop tasks that connect. Nothing here blocks."""
        for waiter in self.close():
            await waiter.wake
        for task in list(self._connecting):
            if not task.cancelled:
                await cancel_task(task, _SessionClosing)
                task.cancelled = None  # it is not: it may go on, and be cancelled by others


# Options that are read when the body of a response is.
_RESPONSE_OPTIONS = frozenset(
    {
        "decompress",
        "detect_encoding",
        "json_loads",
        "keep_framing",
        "max_body",
        "max_decompressed",
        "max_ratio",
    }
)


def _peer_of(sock: Any) -> tuple[str, int] | str | None:
    try:
        peer = sock.getpeername()
    except (OSError, AttributeError):
        return None
    return peer if isinstance(peer, str) else peer[:2]
