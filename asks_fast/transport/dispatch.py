"""One exchange with one origin: a place in the pool, a connection, the time limits, the safe retry.

Facts:  the time in line does not count towards `timeout`, as in asks: ten thousand requests over
        fifty connections must not fail for waiting their turn.
Rules:  a request goes out a second time without the user's asking only if the connection had served
        before, not one byte of an answer came, and the method is idempotent or not one byte went
        out (RFC 9110 §9.2.2); then over a fresh connection. Time-outs of ours become our errors,
        a time-out or cancellation from outside passes through.
Not here: redirects, challenges, cookies, retries that a user asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import curio
from curio.errors import TaskTimeout

from .._hotpath import Connection, Limits, OriginPool, Pool
from ..errors import ConnectTimeout, ServerClosedConnectionError, SessionClosed, TotalTimeout
from .keeper import Keeper

if TYPE_CHECKING:
    from ..options import RequestOptions
    from ..request import PreparedRequest
    from ..response_objects import BaseResponse
    from .connect import Connector

__all__ = ["Budget", "Transport"]


class Budget:
    """What is left of a request's `timeout`; the time in line is not taken from it."""

    __slots__ = ("left", "total")

    def __init__(self, total: float | None) -> None:
        self.total = total
        self.left = total

    async def spend(self, request: PreparedRequest, work: Any) -> Any:
        """Await `work` within what is left. Raises `TotalTimeout`."""
        if self.left is None:
            return await work
        began = time.monotonic()
        try:
            return await curio.timeout_after(max(self.left, 0.0), work)
        except TaskTimeout:
            raise TotalTimeout(
                f"{request.method} {request.url}: not done within timeout={self.total:g} s",
                self.total,
            ) from None
        finally:
            self.left -= time.monotonic() - began


class Transport:
    """The connections of one session, and the way to use them."""

    def __init__(self, connector: Connector, limit: int, options: dict[str, Any]) -> None:
        self.connector = connector
        self.pool = Pool(
            limit,
            share=options["connections_per_host"],
            limits=Limits(
                head=options["max_head"],
                fields=options["max_fields"],
                interim=options["max_interim"],
                strict=options["strict"],
            ),
            buffer=options["buffer_size"],
        )
        self.pool.idle_seconds = options["idle_timeout"] or 0.0
        self.pool.most_exchanges = options["max_requests_per_connection"]
        self.pool.most_seconds = options["max_connection_age"]
        self._keeper = Keeper(self.pool)

    def origin(self, request: PreparedRequest) -> OriginPool:
        """The connections that may serve a request."""
        url = request.url
        route = self.connector.route_for(
            url.scheme, url.host, url.port, **request.options.connection
        )
        return self.pool.origin(route, url.origin)

    async def watch(self) -> None:
        """See to it that the pool has a keeper."""
        if self.pool.kick is None:
            await self._keeper.start()

    async def open(
        self,
        origin: OriginPool,
        limit: float | None = 60.0,
        trace: Callable[[str, float], None] | None = None,
    ) -> Connection:
        """Use a place in the pool for a new connection; gives the place back if that fails.

        `limit` is in seconds. Raises `ConnectTimeout` and the errors of `Connector.connect`.
        """
        sock = None
        try:
            try:
                sock = await curio.timeout_after(
                    limit, self.connector.connect(origin.route, trace=trace)
                )
            except TaskTimeout:
                raise ConnectTimeout(
                    f"{origin.name}: no connection within connection_timeout={limit:g} s", limit
                ) from None
            if self.pool.closed:
                raise SessionClosed("the session was closed while the request was connecting")
            await self.watch()
            return self.pool.adopt(origin, sock, _peer_of(sock))
        except BaseException:
            if sock is not None:
                sock.close()
            await self.pool.forfeit(origin)
            raise

    async def send(
        self, request: PreparedRequest, response: BaseResponse, budget: Budget, *, stream: bool
    ) -> BaseResponse:
        """Send a request and read its answer into `response`; with `stream`, only the head of it.

        Raises `ConnectivityError`, `BadHttpResponse`. Cancelled, it leaves no connection behind.
        """
        options = request.options
        origin = self.origin(request)
        forward = origin.route.proxy_headers if origin.route.forward else None
        head = request.head(forward_fields=forward)
        retries = options.retries if isinstance(options.retries, int) else 1
        fresh = False
        while True:
            if self.pool.kick is None:
                await self.watch()
            connection = None if fresh else self.pool.take(origin)
            if connection is None:
                connection = await self.pool.turn(origin, options.pool_timeout, fresh)
            try:
                return await budget.spend(
                    request, self._perform(connection, origin, head, request, response, stream)
                )
            except ServerClosedConnectionError as error:
                may = request.is_idempotent or error.unsent
                if fresh or not retries or not (error.stale and may and request.can_replay):
                    raise
                fresh = True

    async def _perform(
        self,
        connection: Connection | None,
        origin: OriginPool,
        head: bytes,
        request: PreparedRequest,
        response: BaseResponse,
        stream: bool,
    ) -> BaseResponse:
        options = request.options
        if connection is None:
            connection = await self.open(origin, options.connection_timeout)
        self._set_patience(connection, options)
        expect = 0.0
        if request.streamed_body is not None and "expect" in request.fields:
            expect = 1.0 if options.expect_continue in (True, False) else options.expect_continue
        answer: BaseResponse = await connection.exchange(
            head,
            response,
            body=request.streamed_body,
            stream=stream,
            headless=request.method == "HEAD",
            max_body=-1 if options.max_body is None else options.max_body,
            expect_seconds=expect,
        )
        if stream:
            response.attach(connection)
        return answer

    def _set_patience(self, connection: Connection, options: RequestOptions) -> None:
        connection.patience = options.read_timeout or 0.0
        connection.write_patience = options.write_timeout or 0.0
        shortest = min(options.read_timeout or 1.0, options.write_timeout or 1.0)
        if shortest < 1.0 and self.pool.kick is not None:
            self.pool.kick()

    def close(self) -> list[Any]:
        """Close all at once, waiting for nothing; returns the waiters to be woken."""
        refused = self.pool.close()
        if self.pool.kick is not None:
            self.pool.kick()
        return refused


def _peer_of(sock: Any) -> tuple[str, int] | str | None:
    try:
        peer = sock.getpeername()
    except (OSError, AttributeError):
        return None
    return peer if isinstance(peer, str) else peer[:2]
