"""Memory that one connection, one waiting request and one response take."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

import curio
import pytest
from support.servers import Server

from asks_fast import HSession

KIB = 1024
NUMBER = 100
PATH = "/asks/test/17"

pytestmark = pytest.mark.kernels("own")  # curio's kernel keeps more for each task and descriptor


@pytest.fixture(autouse=True)
def traced() -> Iterator[None]:
    """Trace allocations during the test. The server is another process."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


def allocated() -> int:
    """Bytes that are allocated, without garbage."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def fill(session: HSession, path: str, number: int) -> None:
    """Open so many connections, which are idle afterwards."""
    async with curio.TaskGroup() as tasks:
        for _ in range(number):
            await tasks.spawn(session.get, path)


@pytest.mark.parametrize("path", [PATH, "/chunked?n=2&size=20"])
async def test_idle_connection(app_server: Server, path: str) -> None:
    """An idle connection takes at most 2 KiB, with its socket and without a parser of httptools."""
    async with HSession(app_server.url, connections=NUMBER) as session:
        await session.warm_up(20)
        await fill(session, path, 20)  # allocates what is allocated once
        before = allocated()
        await session.warm_up()
        await fill(session, path, NUMBER)
        assert session.pool_stats()["idle"] == NUMBER
        assert (allocated() - before) / (NUMBER - 20) <= 2 * KIB


async def test_waiting_request(app_server: Server) -> None:
    """A request that waits for a connection takes at most 1 KiB beyond its task."""
    async with HSession(app_server.url, connections=1) as session:
        await session.get(PATH)
        stream = await session.get("/bytes/1000000", stream=True)  # holds the connection
        sizes = []
        for wait in (lambda: curio.sleep(1000), lambda: session.get(PATH)):
            before = allocated()
            tasks = [await curio.spawn(wait) for _ in range(3 * NUMBER)]
            await curio.sleep(0)
            await curio.sleep(0)
            sizes.append((allocated() - before) / len(tasks))
            if len(sizes) == 2:
                assert session.pool_stats()["waiting"] == len(tasks)
            for task in tasks:
                await task.cancel()
            del tasks, task
        await stream.body.close()
        assert sizes[1] - sizes[0] <= KIB, sizes


async def test_response_of_a_small_body(app_server: Server) -> None:
    """A response with a small body takes at most 1 KiB, with its head and its body."""
    async with HSession(app_server.url, connections=1) as session:
        responses = [await session.get(PATH) for _ in range(10)]
        before = allocated()
        responses += [await session.get(PATH) for _ in range(NUMBER)]
        assert (allocated() - before) / NUMBER <= KIB
        assert all(response.content for response in responses)
