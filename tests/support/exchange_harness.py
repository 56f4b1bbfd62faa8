"""Run the compiled exchange over a socket pair, without a kernel.

The exchange yields a trap where it waits, and the harness sends the next piece of the response
there. So each piece is exactly one receive, and no time passes. Pieces that are left at the end are
sent too before the pool is asked for the connection again, so `kept` does not depend on how the
response was split.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from asks_fast._hotpath import BaseHttpResponse, Connection, Limits, OriginPool, Pool

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"


class ExchangeIncomplete(Exception):
    """The exchange waits for more data, and the peer neither sends nor closes."""


@dataclass
class Answer:
    """The result of an exchange, compared by value."""

    status: int
    reason: str
    version: str
    fields: list[tuple[bytes, bytes]]
    body: bytes
    trailers: list[tuple[bytes, bytes]]
    interim: list[tuple[int, list[tuple[bytes, bytes]]]]
    kept: bool
    pieces: list[bytes] = field(default_factory=list, compare=False)


class ExchangeHarness:
    """A pool with one connection, which is a socket pair; `theirs` is the end of the server."""

    def __init__(
        self,
        *,
        limits: dict[str, Any] | None = None,
        buffer: int = 65536,
        beside: ExchangeHarness | None = None,
    ) -> None:
        """`beside` is a harness whose pool and origin this connection shares."""
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self.pool = (
            Pool(8, limits=Limits(**(limits or {})), buffer=buffer)
            if beside is None
            else beside.pool
        )
        self.origin: OriginPool = self.pool.origin("route", "http://h")
        assert run(self.pool.acquire(self.origin)) is None
        self.connection: Connection = self.pool.add_connection(self.origin, self.ours)

    def __enter__(self) -> ExchangeHarness:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.close()
        self.ours.close()
        self.theirs.close()

    def drive(self, coroutine: Any, pieces: list[bytes], closes: bool) -> Any:
        """Run to the end. At each wait the next piece is sent, then the connection is closed."""
        try:
            while True:
                trap = coroutine.send(None)
                assert trap[0] in ("trap_io", "trap_io_release"), trap
                if trap[0] == "trap_io_release":
                    continue
                if select.select([self.ours], [], [], 0)[0]:
                    continue  # the last piece is not received completely
                if pieces:
                    self.theirs.sendall(pieces.pop(0))
                elif closes and self.theirs.fileno() >= 0:
                    self.theirs.recv(1 << 20)  # unread bytes would turn the close into a reset
                    self.theirs.close()
                else:
                    coroutine.close()
                    raise ExchangeIncomplete
        except StopIteration as done:
            return done.value

    def read(
        self, pieces: Sequence[bytes], *, closes: bool = True, stream: bool = False, **options: Any
    ) -> Answer:
        """Return the response in `pieces`. Raises what the exchange raises."""
        left = list(pieces)
        response = BaseHttpResponse()
        exchange = self.connection.exchange(GET, response, stream=stream, **options)
        self.drive(exchange, left, closes)
        parts = []
        while stream and not response.is_complete:
            part = self.drive(self.connection.read_piece(), left, closes)
            if part:
                parts.append(part)
        body = b"".join(parts) if parts else response.body or b""
        for piece in left:
            if self.theirs.fileno() >= 0:
                try:
                    self.theirs.sendall(piece)
                except BrokenPipeError:
                    break
        kept = self.pool.get_idle(self.origin) is not None
        return Answer(
            response.status_code,
            response.reason_phrase,
            response.http_version,
            response.headers.raw,
            body,
            response.trailers.raw if response.trailers is not None else [],
            [(status, table.raw) for status, table in response.interim or ()],
            kept,
            parts,
        )


def run(coroutine: Any) -> Any:
    """Return the result of a coroutine that does not wait."""
    try:
        trap = coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise AssertionError(f"the coroutine waits: {trap!r}")


def read_response(pieces: Sequence[bytes] | bytes, **options: Any) -> Answer:
    """Return the response in `pieces`, read on a new connection.

    `options` are `limits`, `buffer` and those of `ExchangeHarness.read`.
    """
    whole = [pieces] if isinstance(pieces, bytes) else list(pieces)
    with ExchangeHarness(
        limits=options.pop("limits", None), buffer=options.pop("buffer", 65536)
    ) as wire:
        try:
            return wire.read(whole, **options)
        except BaseException:
            assert wire.pool.stats()["in_use"] == 0, "an error must release the connection"
            assert wire.pool.stats()["open"] == 0, "an error must free the slot"
            raise
