"""A pool whose connections are socket pairs: tests of its decisions without a network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import curio

from asks_fast._hotpath import BaseHttpResponse, Connection, OriginPool, Pool

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

HEAD = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"


class PoolHarness:
    """A pool whose connections are socket pairs; `theirs` maps descriptors to the other ends."""

    def __init__(self, limit: int, **options: Any) -> None:
        self.pool = Pool(limit, **options)
        self.theirs: dict[int, socket.socket] = {}
        self.ends: list[socket.socket] = []

    def origin(self, name: str = "a") -> OriginPool:
        return self.pool.origin(name, f"http://{name}")

    def add_connection(self, origin: OriginPool) -> Connection:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.theirs[ours.fileno()] = theirs
        self.ends.append(theirs)
        return self.pool.add_connection(origin, ours)

    async def get(self, origin: OriginPool, **options: Any) -> Connection:
        """Acquire a connection, and create it if the pool has none."""
        connection = await self.pool.acquire(origin, **options)
        return self.add_connection(origin) if connection is None else connection

    async def serve(self, connection: Connection, answer: bytes = ANSWER) -> BaseHttpResponse:
        """Run one whole exchange on an acquired connection."""
        self.theirs[connection.fd].send(answer)
        return await connection.exchange(HEAD, BaseHttpResponse())

    async def acquire_and_serve(self, origin: OriginPool, log: list[Any], name: Any) -> None:
        connection = await self.get(origin)
        log.append(name)
        await self.serve(connection)

    def close(self) -> None:
        self.pool.close()
        self.close_ends()

    def close_ends(self) -> None:
        for theirs in self.ends:
            theirs.close()


@contextmanager
def pool_harness(limit: int, **options: Any) -> Iterator[PoolHarness]:
    harness = PoolHarness(limit, **options)
    try:
        yield harness
    finally:
        harness.close()


def counts(pool: Pool) -> tuple[int, int, int, int]:
    stats = pool.stats()
    return stats["open"], stats["in_use"], stats["idle"], stats["waiting"]


async def run_other_tasks(number: int = 3) -> None:
    """Let every other task run until it waits."""
    for _ in range(number):
        await curio.sleep(0)
