"""The lifetime of the connections of a session, and the figures of its pool.

Tests use real sockets, and wait for what the server observes instead of sleeping. The decisions of
the pool are tested in tests/unit/hotpath, `close()` in
tests/integration/guarantees/test_closing.py.
"""

from __future__ import annotations

import time
import types
from typing import Any

import curio
import pytest
from support.script_steps import FOREVER, OK, SERVING, expect, repeat, send, stall
from support.scripted_server import MakePeer, Peer

from asks_fast import DSession, HSession
from asks_fast.errors import ConnectionFailed


def served(server: Peer) -> list[int]:
    """The number of requests over each connection."""
    return [len(connection.requests) for connection in server.connections]


def test_default_idle_timeout() -> None:
    """An idle connection is kept for 30 s; with None, for as long as the server keeps it."""
    assert HSession("http://a")._transport.pool.idle_timeout == 30.0
    assert HSession("http://a", idle_timeout=None)._transport.pool.idle_timeout == 0.0


async def test_unused_session_closes_expired_connections(peer: MakePeer) -> None:
    """Expired idle connections are closed without another request."""
    servers = [peer(SERVING) for _ in range(3)]
    async with DSession(idle_timeout=0.05) as session:
        for server in servers:
            await session.get(server.url)
        for server in servers:
            await server.all_closed()
        assert session.pool_stats()["open"] == 0
        assert (await session.get(servers[0].url)).text == "ok"


async def test_keep_alive_timeout_of_the_server(peer: MakePeer) -> None:
    """`Keep-Alive: timeout=1` closes an idle connection that we would have kept."""
    answer = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok"
    server = peer([repeat(expect(), send(answer))])
    async with HSession(server.url, idle_timeout=None) as session:
        await session.get()
        await server.all_closed()
        assert session.pool_stats()["open"] == 0


@pytest.mark.parametrize("is_fast_path", [True, False])
async def test_max_requests_per_connection(is_fast_path: bool, peer: MakePeer) -> None:
    """`max_requests_per_connection` closes a connection after so many."""
    server = peer(SERVING)
    async with HSession(server.url, max_requests_per_connection=2) as session:
        for number in range(5):
            await session.get(path=f"/{number}", **({} if is_fast_path else {"params": {"a": "1"}}))
    assert served(server) == [2, 2, 1]


async def test_max_connection_age(peer: MakePeer) -> None:
    """`max_connection_age` prevents the reuse of older connections, and closes idle ones."""
    server = peer(SERVING)
    async with HSession(server.url, max_connection_age=1e-6, idle_timeout=None) as session:
        for _ in range(3):
            await session.get()
        await server.all_closed()
        assert session.pool_stats()["open"] == 0
    assert served(server) == [1, 1, 1]


@pytest.mark.parametrize("is_fast_path", [True, False])
@pytest.mark.parametrize(
    ("options", "hint", "seconds"),
    [
        ({"idle_timeout": 0.02}, b"", 0.03),
        ({"max_connection_age": 0.02, "idle_timeout": None}, b"", 0.03),
        ({"idle_timeout": None}, b"Keep-Alive: timeout=1\r\n", 1.01),
    ],
    ids=["idle_timeout", "max_connection_age", "keep-alive hint"],
)
async def test_limits_are_checked_when_a_connection_is_acquired(
    options: dict[str, Any], hint: bytes, seconds: float, is_fast_path: bool, peer: MakePeer
) -> None:
    """An expired connection is not reused, even if the pool monitor has not run."""
    answer = b"HTTP/1.1 200 OK\r\n" + hint + b"Content-Length: 2\r\n\r\nok"
    server = peer([repeat(expect(), send(answer))])
    more = {} if is_fast_path else {"timings": True}
    async with HSession(server.url, **options) as session:
        await session.get(path="/1", **more)
        await session.get(path="/2", **more)
        time.sleep(seconds)
        await session.get(path="/3", **more)
        assert session.pool_stats()["created"] == len(server.connections) >= 2
    assert served(server)[-1] == 1


async def test_connections_per_host_does_not_block_other_hosts(peer: MakePeer) -> None:
    """With `connections_per_host` a slow host does not block requests to others."""
    slow, quick = peer([expect(), stall(), send(OK), FOREVER]), peer(SERVING)
    async with DSession(connections=4, connections_per_host=2) as session:
        async with curio.TaskGroup() as tasks:
            for _ in range(5):
                await tasks.spawn(session.get, slow.url)
            await slow.saw_requests(2)
            for _ in range(3):
                assert (await session.get(quick.url)).text == "ok"
            stats = session.pool_stats()
            assert (stats["in_use"], stats["waiting"]) == (2, 3)
            slow.release()
        assert [response.text for response in tasks.results] == ["ok"] * 5
    assert len(slow.connections) == 2
    assert len(quick.connections) == 1


async def test_warm_up(peer: MakePeer) -> None:
    """As many idle connections as slots are opened; `url` is needed without a base."""
    server = peer(SERVING)
    async with HSession(server.url, connections=3) as session:
        assert await session.warm_up(2) == 2
        assert await session.warm_up() == 3
        assert await session.warm_up(10) == 3
        stats = session.pool_stats()
        assert (stats["open"], stats["idle"], stats["created"]) == (3, 3, 3)
        response = await session.get(timings=True)
        assert response.timings.connect is None
    async with DSession(connections=5) as session:
        assert await session.warm_up(2, server.url) == 2
    await server.all_closed()


async def test_warm_up_of_an_unreachable_server() -> None:
    """It raises as a request would, and leaves no slot taken."""
    async with HSession("http://127.0.0.1:1", connections=3) as session:
        with pytest.raises(ConnectionFailed):
            await session.warm_up()
        assert session.pool_stats()["open"] == 0


async def test_pool_stats(peer: MakePeer) -> None:
    """`pool_stats` at each stage: in use, waiting, idle, and the totals."""
    server = peer([expect(), stall(), send(OK), FOREVER])
    other = peer(SERVING)
    async with DSession(connections=1) as session:
        assert set(session.pool_stats().values()) == {0, 1}  # the limit is 1
        async with curio.TaskGroup() as tasks:
            await tasks.spawn(session.get, server.url)
            await server.saw_requests()
            await tasks.spawn(session.get, server.url)
            await server.until(lambda: session.pool_stats()["waiting"] == 1)
            busy = {"open": 1, "in_use": 1, "idle": 0, "waiting": 1, "opening": 0, "limit": 1}
            assert session.pool_stats() == {**busy, "created": 1, "reused": 0, "evicted": 0}
            server.release()
        rest = {"open": 1, "in_use": 0, "idle": 1, "waiting": 0, "opening": 0, "limit": 1}
        assert session.pool_stats() == {**rest, "created": 1, "reused": 1, "evicted": 0}
        await session.get(other.url)
        assert session.pool_stats() == {**rest, "created": 2, "reused": 1, "evicted": 1}
        await server.all_closed()
    assert session.pool_stats()["open"] == 0


@types.coroutine
def traps_of(coroutine: Any, seen: list[str]) -> Any:
    """Await `coroutine`, and record its traps."""
    answer: Any = None
    while True:
        try:
            trap = coroutine.send(answer)
        except StopIteration as done:
            return done.value
        seen.append(trap[0])
        answer = yield trap


@pytest.mark.parametrize("limit", [0.9, 20.0])
@pytest.mark.parametrize(
    "options", [{}, {"max_redirects": 5}, {"sensitive_headers": []}], ids=["plain", "kept", "full"]
)
async def test_no_timer_on_a_reused_connection(
    options: dict[str, Any], limit: float, peer: MakePeer
) -> None:
    """A request over a reused connection sets no timer: the pool monitor checks its limit."""
    server = peer(SERVING)
    async with HSession(server.url) as session:
        await session.get()
        seen: list[str] = []
        for _ in range(3):
            await traps_of(session.get(**options), seen)
        await traps_of(session.get(**options, timeout=limit), seen)
        assert "trap_io" in seen
        assert not {"trap_set_timeout", "trap_sleep", "trap_spawn"} & set(seen)
