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
from collections.abc import Callable, Container
from functools import partial
from typing import TYPE_CHECKING, Any

import curio
from curio.errors import CancelledError, TaskTimeout
from curio.meta import _locals as here
from curio.traps import _cancel_task

from .._config.events import Teller, teller
from .._deadlines import timeout_after
from .._hotpath import Connection, Limits, OriginPool, Pool, Turn
from ..errors import (
    AsksException,
    ConnectTimeout,
    ServerClosedConnectionError,
    SessionClosed,
    TotalTimeout,
    name_request,
)
from .pool_monitor import Keeper

if TYPE_CHECKING:
    from .._config.options import RequestOptions
    from .._request.prepared_request import PreparedRequest
    from ..response_objects import BaseResponse
    from .connector import Connector

__all__ = ["Budget", "Transport"]


class _Ended(CancelledError):  # type: ignore[misc]
    """Stops a task that is connecting for a session that is closed meanwhile."""


class Budget:
    """What is left of a request's `timeout`; the time in line is not taken from it."""

    __slots__ = ("left", "total")

    def __init__(self, total: float | None, spent: float = 0.0) -> None:
        self.total = total
        self.left = None if total is None else total - spent

    async def spend(self, request: PreparedRequest, work: Any) -> Any:
        """Await `work` within what is left. Raises `TotalTimeout`."""
        if self.left is None:
            return await work
        began = time.monotonic()
        try:
            return await timeout_after(max(self.left, 0.0), work)
        except TaskTimeout:
            raise self.exceeded(request) from None
        finally:
            self.left -= time.monotonic() - began

    def charge(self, seconds: float) -> None:
        """Count time that passed on a virtual clock."""
        if self.left is not None:
            self.left -= seconds

    def exceeded(self, request: PreparedRequest) -> TotalTimeout:
        """The error for a request that took longer than `timeout`."""
        return TotalTimeout(
            f"{request.method} {request.url}: not done within timeout={self.total:g} s", self.total
        )


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
            ),
            buffer=options["buffer_size"],
        )
        self.pool.idle_seconds = options["idle_timeout"] or 0.0
        self.pool.most_exchanges = options["max_requests_per_connection"]
        self.pool.most_seconds = options["max_connection_age"]
        self._keeper = Keeper(self.pool)
        self._opening: set[Any] = set()  # tasks that are connecting

    def origin(self, request: PreparedRequest) -> OriginPool:
        """The connections that may serve a request."""
        url = request.url
        if request.route is None:
            request.route = self.connector.route_for(
                url.scheme, url.host, url.port, **request.options.connection
            )
            if request.proxy_credentials is not None:
                request.route = self.connector.route_with(request.route, request.proxy_credentials)
        return self.pool.origin(request.route, url.origin)

    async def answer_proxy(self, request: PreparedRequest, response: BaseResponse) -> bool:
        """Take in the 407 of a forward proxy; whether the request should be sent once more."""
        route = request.route
        if route is None or not route.forward or not request.can_replay:
            return False
        answer = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in response.headers.raw
        ]
        return await self.connector.answer_proxy(
            route,
            request.method,
            request.url.origin + request.url.target,
            request.proxy_fields,
            answer,
        )

    async def watch(self) -> bool:
        """See to it that the pool has a keeper; False if the kernel that runs is shutting down."""
        if self.pool.kick is not None and self.pool.kernel is here.kernel:
            return True
        return await self._keeper.start()

    async def open(
        self,
        origin: OriginPool,
        limit: float | None = 60.0,
        trace: Callable[[str, float], None] | None = None,
    ) -> tuple[Any, Any]:
        """A connected socket and its peer's address, for `Pool.furnish`.

        `limit` is in seconds. Raises `ConnectTimeout` and the errors of `Connector.connect`.
        """
        sock = None
        task = await curio.current_task()
        self._opening.add(task)
        try:
            try:
                sock = await timeout_after(limit, self.connector.connect(origin.route, trace=trace))
            except TaskTimeout:
                raise ConnectTimeout(
                    f"{origin.name}: no connection within connection_timeout={limit:g} s", limit
                ) from None
            except _Ended:
                pass  # the pool is closed
            if self.pool.closed or sock is None:
                raise SessionClosed("the session was closed while the request was connecting")
            await self.watch()
            return sock, _peer_of(sock)
        except BaseException:
            if sock is not None:
                sock.close()
            raise
        finally:
            self._opening.discard(task)
            if isinstance(task.cancel_pending, _Ended):
                task.cancel_pending = None  # came too late to be of use, and is not for the caller

    async def send(
        self,
        request: PreparedRequest,
        response: BaseResponse,
        budget: Budget,
        *,
        turn: Turn,
        stream: bool,
        fresh: bool = False,
        stops_at: Container[int] | None = None,
    ) -> Connection:
        """Send a request and read its answer into `response`; with `stream`, only the head of it.

        So too, if there is more of it, of an answer whose status is in `stops_at`. `fresh`: over a
        connection that served nobody before, and then it is not sent again.
        Returns the connection, which is the caller's only while `response` is not complete; `turn`
        has it before, for `abandon(response)`, whatever comes between.
        Raises `ConnectivityError`, `BadHttpResponse`. Cancelled, it leaves no connection behind.
        """
        sending = partial(self._send, request, response, budget, turn, stream, fresh, stops_at)
        if await self.watch():
            return await sending()
        return await self._keeper.attend(sending)

    async def _send(
        self,
        request: PreparedRequest,
        response: BaseResponse,
        budget: Budget,
        turn: Turn,
        stream: bool,
        fresh: bool,
        stops_at: Container[int] | None,
    ) -> Connection:
        options = request.options
        origin = self.origin(request)
        if origin.route.forward:
            request.proxy_fields = self.connector.proxy_headers(
                origin.route, request.method, request.url.origin + request.url.target
            )
        head = request.head()
        tell = teller(request)
        retries = options.retries if isinstance(options.retries, int) else 1
        while True:
            await self.watch()
            if tell is not None:
                tell.begin(response)
            turn.connection, turn.unused = None, False
            try:
                if not fresh:
                    turn.connection = self.pool.take(origin)
                if turn.connection is None:
                    turn.connection = await self.pool.turn(origin, options.pool_timeout, fresh)
                turn.unused = True
            except AsksException as error:
                name_request(error, f"{request.method} {request.url}")
                raise
            try:
                if tell is not None:
                    reused = turn.connection is not None
                    tell("turn", connection=turn.connection, reused=reused)
                used: Connection = await budget.spend(
                    request,
                    self._perform(turn, origin, head, request, response, stream, stops_at, tell),
                )
            except BaseException as error:
                self._leave(turn, origin, response)
                if tell is not None:
                    if response.sent_at:
                        tell("sent", at=response.sent_at)
                    tell("failed", error=error)
                if fresh or not retries or not _may_resend(request, error):
                    if isinstance(error, AsksException):
                        name_request(error, f"{request.method} {request.url}")
                    raise
                fresh = True
                if tell is not None:
                    tell("retry", pause=0.0)
                continue
            if tell is not None:
                tell.finish(response, stream)
            return used

    async def _perform(
        self,
        turn: Turn,
        origin: OriginPool,
        head: bytes,
        request: PreparedRequest,
        response: BaseResponse,
        stream: bool,
        stops_at: Container[int] | None,
        tell: Teller | None,
    ) -> Connection:
        options = request.options
        connection = turn.connection
        if connection is None:
            trace = None if tell is None else tell.trace
            opener = partial(self.open, limit=options.connection_timeout, trace=trace)
            turn.connection = connection = await self.pool.furnish(origin, opener, turn)
            turn.unused = True
        self._set_patience(connection, options)
        expect = 0.0
        if request.streamed_body is not None and "expect" in request.fields:
            expect = 1.0 if options.expect_continue in (True, False) else options.expect_continue
        exchange = connection.exchange(
            head,
            response,
            body=request.streamed_body,
            stream=stream,
            headless=request.method == "HEAD",
            max_body=-1 if options.max_body is None else options.max_body,
            expect_seconds=expect,
            last=request.says_close,
            stops_at=stops_at,
            strict=options.strict,
        )
        turn.unused = False
        await exchange
        return connection

    def _leave(self, turn: Turn, origin: OriginPool, response: BaseResponse) -> None:
        """Give back what a request that failed did not come to use, or to the end of."""
        if turn.connection is not None:
            turn.connection.abandon(None if turn.unused else response)
        elif turn.unused:
            self.pool.disclaim(origin)

    def _set_patience(self, connection: Connection, options: RequestOptions) -> None:
        connection.patience = options.read_timeout or 0.0
        connection.write_patience = options.write_timeout or 0.0
        shortest = min(options.read_timeout or 1.0, options.write_timeout or 1.0)
        if shortest < 1.0 and self.pool.kick is not None:
            self.pool.kick()

    async def warm_up(self, origin: OriginPool, number: int, limit: float | None) -> int:
        """Open connections ahead, as many as there are places; how many there are now.

        Raises what `open` raises, after those that could be opened are at rest.
        """
        number = min(number, self.pool.limit - self.pool.open)
        failures: list[AsksException] = []
        async with curio.TaskGroup() as tasks:
            for _ in range(number):
                await tasks.spawn(self._open_ahead, origin, limit, failures)
        if failures:
            raise failures[0]
        return origin.open

    async def _open_ahead(
        self, origin: OriginPool, limit: float | None, failures: list[AsksException]
    ) -> None:
        try:
            connection = await self.pool.turn(origin, fresh=True)
            if connection is None:
                connection = await self.pool.furnish(origin, partial(self.open, limit=limit))
            await connection.release()
        except AsksException as error:  # the others go on
            failures.append(error)

    def close(self) -> list[Any]:
        """Close all at once, waiting for nothing; returns the waiters to be woken."""
        refused = self.pool.close()
        if self.pool.kick is not None:
            self.pool.kick()
        return refused

    async def end(self) -> None:
        """Close all, wake who waits in line, stop who is connecting. Nothing here blocks."""
        for waiter in self.close():
            await waiter.wake
        for task in list(self._opening):
            if not task.cancelled:
                await _cancel_task(task, _Ended)
                task.cancelled = None  # it is not: it may go on, and be cancelled by others


def _may_resend(request: PreparedRequest, error: BaseException) -> bool:
    """Whether a failure is one of those after which the same request may go out once more."""
    return (
        isinstance(error, ServerClosedConnectionError)
        and error.stale
        and (request.is_idempotent or error.unsent)
        and request.can_replay
    )


def _peer_of(sock: Any) -> tuple[str, int] | str | None:
    try:
        peer = sock.getpeername()
    except (OSError, AttributeError):
        return None
    return peer if isinstance(peer, str) else peer[:2]
