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

from collections.abc import Callable, Container
from functools import partial
from typing import TYPE_CHECKING, Any

import curio
from curio.errors import CancelledError, TaskTimeout
from curio.meta import _locals as kernel_locals
from curio.traps import _cancel_task

from .._config.deadline import Deadline
from .._config.events import EventEmitter, get_emitter
from .._config.peer_certificate import certificate_of, with_certificate
from .._deadlines import timeout_after
from .._hotpath import Connection, Exchange, Limits, OriginPool, Pool
from ..errors import (
    AsksException,
    ConnectTimeout,
    ServerClosedConnectionError,
    SessionClosed,
    add_request_context,
)
from .pool_monitor import PoolMonitor

if TYPE_CHECKING:
    from .._config.options import RequestOptions
    from .._request.prepared_request import PreparedRequest
    from ..response_objects import BaseResponse
    from .connector import Connector

__all__ = ["Transport"]


class _SessionClosing(CancelledError):  # type: ignore[misc]
    """Stops a task that is connecting for a session that is closed meanwhile."""


class Transport:
    """The connections of one session, and the way to use them."""

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
        url = request.url
        if request.route is None:
            request.route = self.connector.route_for(
                url.scheme, url.host, url.port, **request.options.connection
            )
            if request.proxy_credentials is not None:
                request.route = self.connector.with_proxy_credentials(
                    request.route, request.proxy_credentials
                )
        return self.pool.origin(request.route, url.origin)

    async def handle_proxy_challenge(
        self, request: PreparedRequest, response: BaseResponse
    ) -> bool:
        """Take in the 407 of a forward proxy; whether the request should be sent once more."""
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
        """See to it that the pool has a keeper; False if the kernel that runs is shutting down."""
        if self.pool.wake_monitor is not None and self.pool.kernel is kernel_locals.kernel:
            return True
        return await self._monitor.start()

    async def open(
        self,
        origin: OriginPool,
        limit: float | None = 60.0,
        on_step: Callable[[str, float], None] | None = None,
    ) -> tuple[Any, Any]:
        """A connected socket and its peer's address, for `Pool.connect`.

        `limit` is in seconds. Raises `ConnectTimeout` and the errors of `Connector.connect`.
        """
        sock = None
        task = await curio.current_task()
        self._connecting.add(task)
        try:
            try:
                sock = await timeout_after(
                    limit, self.connector.connect(origin.route, on_step=on_step)
                )
            except TaskTimeout:
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
                peer = with_certificate(peer, certificate_of(sock))
            return sock, peer
        except BaseException:
            if sock is not None:
                sock.close()
            raise
        finally:
            self._connecting.discard(task)
            if isinstance(task.cancel_pending, _SessionClosing):
                task.cancel_pending = None  # came too late to be of use, and is not for the caller

    async def send(
        self,
        request: PreparedRequest,
        response: BaseResponse,
        deadline: Deadline,
        *,
        exchange: Exchange,
        stream: bool,
        force_new_connection: bool = False,
        followup_statuses: Container[int] | None = None,
    ) -> Connection:
        """Send a request and read its answer into `response`; with `stream`, only the head of it.

        So too, if there is more of it, of an answer whose status is in `followup_statuses`. `force_new_connection`: over a
        connection that served nobody before, and then it is not sent again.
        Returns the connection, which is the caller's only while `response` is not complete; `exchange`
        has it before, for `abandon(response)`, whatever comes between.
        Raises `ConnectivityError`, `BadHttpResponse`. Cancelled, it leaves no connection behind.
        """
        sending = partial(
            self._send,
            request,
            response,
            deadline,
            exchange,
            stream,
            force_new_connection,
            followup_statuses,
        )
        if await self.ensure_monitor():
            return await sending()
        return await self._monitor.attend(sending)

    async def _send(
        self,
        request: PreparedRequest,
        response: BaseResponse,
        deadline: Deadline,
        exchange: Exchange,
        stream: bool,
        force_new_connection: bool,
        followup_statuses: Container[int] | None,
    ) -> Connection:
        options = request.options
        origin = self.origin(request)
        if origin.route.is_forward_proxy:
            request.proxy_fields = self.connector.proxy_headers(
                origin.route, request.method, request.url.origin + request.url.target
            )
        head = request.head()
        emit = get_emitter(request)
        retries = options.retries if isinstance(options.retries, int) else 1
        while True:
            await self.ensure_monitor()
            if emit is not None:
                emit.begin(response)
            exchange.connection, exchange.owns_slot = None, False
            try:
                if not force_new_connection:
                    exchange.connection = self.pool.get_idle(origin)
                if exchange.connection is None:
                    exchange.connection = await self.pool.acquire(
                        origin, options.pool_timeout, force_new_connection
                    )
                exchange.owns_slot = True
            except AsksException as error:
                add_request_context(error, f"{request.method} {request.url}")
                raise
            try:
                if emit is not None:
                    reused = exchange.connection is not None
                    emit("connection_acquired", connection=exchange.connection, reused=reused)
                connection_used: Connection = await deadline.run(
                    request,
                    self._run_exchange(
                        exchange, origin, head, request, response, stream, followup_statuses, emit
                    ),
                )
            except BaseException as error:
                self._release(exchange, origin, response)
                if emit is not None:
                    if response.sent_at:
                        emit("sent", at=response.sent_at)
                    emit("failed", error=error)
                if force_new_connection or not retries or not _may_resend(request, error):
                    if isinstance(error, AsksException):
                        add_request_context(error, f"{request.method} {request.url}")
                    raise
                force_new_connection = True
                if emit is not None:
                    emit("retry", delay=0.0)
                continue
            if emit is not None:
                emit.finish(response, stream)
            return connection_used

    async def _run_exchange(
        self,
        exchange: Exchange,
        origin: OriginPool,
        head: bytes,
        request: PreparedRequest,
        response: BaseResponse,
        stream: bool,
        followup_statuses: Container[int] | None,
        emit: EventEmitter | None,
    ) -> Connection:
        options = request.options
        connection = exchange.connection
        if connection is None:
            on_step = None if emit is None else emit.on_step
            connect_socket = partial(self.open, limit=options.connection_timeout, on_step=on_step)
            exchange.connection = connection = await self.pool.connect(
                origin, connect_socket, exchange
            )
            exchange.owns_slot = True
        self._set_io_timeouts(connection, options)
        expect = 0.0
        if request.stream is not None and "expect" in request.fields:
            expect = 1.0 if options.expect_continue in (True, False) else options.expect_continue
        coro = connection.exchange(
            head,
            response,
            body=request.stream,
            stream=stream,
            is_head_request=request.method == "HEAD",
            max_body=-1 if options.max_body is None else options.max_body,
            expect_seconds=expect,
            close_after=request.has_connection_close,
            followup_statuses=followup_statuses,
            strict=options.strict,
        )
        exchange.owns_slot = False
        await coro
        return connection

    def _release(self, exchange: Exchange, origin: OriginPool, response: BaseResponse) -> None:
        """Give back what a request that failed did not come to use, or to the end of."""
        if exchange.connection is not None:
            exchange.connection.close_nowait(None if exchange.owns_slot else response)
        elif exchange.owns_slot:
            self.pool.cancel_reservation_nowait(origin)

    def _set_io_timeouts(self, connection: Connection, options: RequestOptions) -> None:
        connection.read_timeout = options.read_timeout or 0.0
        connection.write_timeout = options.write_timeout or 0.0
        shortest = min(options.read_timeout or 1.0, options.write_timeout or 1.0)
        if shortest < 1.0 and self.pool.wake_monitor is not None:
            self.pool.wake_monitor()

    async def warm_up(self, origin: OriginPool, number: int, limit: float | None) -> int:
        """Open connections ahead, as many as there are places; how many there are now.

        Raises what `open` raises, after those that could be opened are at rest.
        """
        number = min(number, self.pool.limit - self.pool.open)
        failures: list[AsksException] = []
        async with curio.TaskGroup() as tasks:
            for _ in range(number):
                await tasks.spawn(self._prewarm, origin, limit, failures)
        if failures:
            raise failures[0]
        return origin.open

    async def _prewarm(
        self, origin: OriginPool, limit: float | None, failures: list[AsksException]
    ) -> None:
        try:
            connection = await self.pool.acquire(origin, force_new_connection=True)
            if connection is None:
                connection = await self.pool.connect(origin, partial(self.open, limit=limit))
            await connection.release()
        except AsksException as error:  # the others go on
            failures.append(error)

    def close(self) -> list[Any]:
        """Close all at once, waiting for nothing; returns the waiters to be woken."""
        refused = self.pool.close()
        if self.pool.wake_monitor is not None:
            self.pool.wake_monitor()
        return refused

    async def aclose(self) -> None:
        """Close all, wake who waits in line, stop who is connecting. Nothing here blocks."""
        for waiter in self.close():
            await waiter.wake
        for task in list(self._connecting):
            if not task.cancelled:
                await _cancel_task(task, _SessionClosing)
                task.cancelled = None  # it is not: it may go on, and be cancelled by others


def _may_resend(request: PreparedRequest, error: BaseException) -> bool:
    """Whether a failure is one of those after which the same request may go out once more."""
    return (
        isinstance(error, ServerClosedConnectionError)
        and error.is_stale
        and (request.is_idempotent or error.is_unsent)
        and request.is_replayable
    )


def _peer_of(sock: Any) -> tuple[str, int] | str | None:
    try:
        peer = sock.getpeername()
    except (OSError, AttributeError):
        return None
    return peer if isinstance(peer, str) else peer[:2]
