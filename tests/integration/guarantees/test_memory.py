"""Memory, descriptors and slots stay constant, however many requests fail."""

from __future__ import annotations

import gc
import os
import tracemalloc
from typing import Any

import curio
import pytest
from support.leaks import open_descriptors
from support.scripted_server import MakePeer

from asks_fast import HSession
from asks_fast.errors import AsksException

EXCHANGES = int(os.environ.get("ASKS_FAST_EXCHANGES", "3000"))

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: u\r\n\r\n"
ANSWERS: dict[str, tuple[bytes, bool]] = {  # what is said, and whether the server goes on
    "/good": (GOOD, True),
    "/chunked": (CHUNKED, True),
    "/interim": (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + GOOD, True),
    "/long": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000, True),
    "/surplus": (GOOD + b"more", True),
    "/nonsense": (b"HTTP/2 nonsense\r\n\r\n", False),
    "/short": (GOOD[:-2], False),
    "/silent": (b"", False),
}


def serve(connection: Any) -> None:
    """Serve requests until one asks for a connection that ends."""
    while True:
        target = connection.take_head().target
        connection.requests.clear()
        connection.received.clear()
        words, goes_on = ANSWERS[target]
        connection.put(words)
        if not goes_on:
            connection.sock.close()
            connection.take_more()


async def ask(session: HSession, number: int) -> int:
    """Send one request of the kind selected by its number; return the number of failures."""
    kinds = [*ANSWERS, "stream", "left", "cancelled"]
    kind = kinds[number % len(kinds)]
    try:
        if kind == "stream":
            response = await session.get(path="/chunked", stream=True)
            await response.body.read()
        elif kind == "left":
            response = await session.get(path="/long", stream=True)
            await response.body.close()
        elif kind == "cancelled":
            task = await curio.spawn(lambda: session.get(path="/good"))
            await task.cancel()
        else:
            await session.get(path=kind, retries=number % 2)
    except AsksException:
        return 1
    return 0


def held() -> int:
    """Bytes allocated and not freed, without those of the peer's threads and of the measurement."""
    others = ("*/support/*", "*/threading.py", "*/_weakrefset.py", tracemalloc.__file__)
    snapshot = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(False, pattern) for pattern in others]
    )
    return sum(trace.size for trace in snapshot.traces)


@pytest.mark.timeout(1800)
async def test_nothing_grows(peer: MakePeer) -> None:
    """After thousands of exchanges of all kinds, failing ones too, as much is held as after the
    first few hundred (ASKS_FAST_EXCHANGES says how many)."""
    server = peer([serve])
    failures = 0
    async with HSession(server.url, connections=4) as session:

        async def worker(first: int, last: int) -> None:
            nonlocal failures
            for number in range(first, last):
                failed = await ask(session, number)  # not in one: other tasks add meanwhile
                failures += failed

        async def batch(size: int) -> None:
            async with curio.TaskGroup() as group:
                for part in range(4):
                    await group.spawn(worker, part * size // 4, (part + 1) * size // 4)
            # The peer's threads may be late; what they still hold does not count.
            await server.until(lambda: sum(one.is_alive() for one in server._threads) <= 5)
            server.connections[:] = [c for c in server.connections if not c.finished]
            server._threads[:] = [thread for thread in server._threads if thread.is_alive()]
            gc.collect()

        await batch(600)
        tracemalloc.start()
        try:
            await batch(600)
            before, descriptors = held(), open_descriptors()
            await batch(EXCHANGES)
            grown = held() - before
        finally:
            tracemalloc.stop()
        assert grown < 100_000, f"{grown} bytes more"
        assert sum(open_descriptors().values()) <= sum(descriptors.values()) + 4
        assert failures > EXCHANGES // 5
        assert session.pool_stats()["in_use"] == session.pool_stats()["waiting"] == 0
