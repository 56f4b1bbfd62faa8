"""`timeout` of a second or more on a kept connection, which the pool monitor enforces.

The same promise as with a timer (test_cancellation.py): the error names request and limit, the
place is free, the connection is closed, the session goes on.
"""

from __future__ import annotations

import time
from typing import Any

import curio
import pytest
from support.leaks import assert_no_active_requests
from support.script_steps import OK, drip, expect, expect_head, repeat, send, stall
from support.scripted_server import MakePeer

import asks_fast
from asks_fast import HSession
from asks_fast.errors import ReadTimeout, TotalTimeout

LIMIT = 1.0  # seconds: the least that is left to the keeper
ANSWERING = [repeat(expect(), send(OK))]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"
CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([stall()], id="before the head"),
        pytest.param([send(HEAD[:20]), stall()], id="in the head"),
        pytest.param([send(HEAD + b"x" * 1000), stall()], id="in the body"),
        pytest.param([send(HEAD + b"x" * 290_000), stall()], id="near the end of a long one"),
        pytest.param([send(CHUNK), stall()], id="in a chunk"),
        pytest.param([send(b"HTTP/1.1 200 OK\r\n\r\nabc"), stall()], id="before the server closes"),
        pytest.param([drip(HEAD + b"x" * 5000, 1, 0.01)], id="byte by byte"),
    ],
)
async def test_ends_the_request(peer: MakePeer, steps: list[Any]) -> None:
    """The request ends wherever the server stops, and also if it sends without end."""
    server = peer([expect(), send(OK), expect(), *steps], ANSWERING)
    async with HSession(server.url, connections=1) as session:
        await session.get(path="/first")
        began = time.monotonic()
        with pytest.raises(
            TotalTimeout, match=r"^GET http://127.0.0.1:\d+/x: not done within timeout=1 s"
        ) as caught:
            await session.get(path="/x", timeout=LIMIT)
        assert time.monotonic() - began >= LIMIT
        assert caught.value.limit == LIMIT
        assert_no_active_requests(session)
        await server.until(lambda: server.connections[0].client_closed is not None)
        assert (await session.get(path="/x")).status_code == 200


async def test_ends_the_opening_of_a_connection(peer: MakePeer) -> None:
    """Without a limit of its own, the opening of a connection ends with the request."""
    proxy = peer([expect_head(), stall()])
    async with HSession("https://server.test", connection_timeout=None) as session:
        with pytest.raises(TotalTimeout, match=r"not done within timeout=0\.05 s"):
            await session.get(proxy=proxy.url, timeout=0.05)
        assert_no_active_requests(session)


async def test_timeout_of_a_session(peer: MakePeer) -> None:
    """A session's `timeout` applies to each of its requests."""
    server = peer([expect(), send(OK), expect(), stall()], ANSWERING)
    async with HSession(server.url, connections=1, timeout=LIMIT) as session:
        await session.get(path="/first")
        with pytest.raises(TotalTimeout, match=r"^GET http://127.0.0.1:\d+/x: .*timeout=1 s"):
            await session.get(path="/x")
        assert_no_active_requests(session)


async def test_applies_to_one_request(peer: MakePeer) -> None:
    """The limit does not apply to the next request on the same connection."""
    server = peer([expect(), send(OK), expect(), send(OK), expect(), stall(), send(OK)])
    async with HSession(server.url, connections=1) as session:
        await session.get(path="/first")
        await session.get(path="/second", timeout=LIMIT)
        third = await curio.spawn(session.get(path="/third"))
        await server.saw_requests(3)
        await curio.sleep(LIMIT + 0.3)  # the second's time and a round of the keeper
        server.release()
        assert (await third.join()).status_code == 200
        assert len(server.connections) == 1


async def test_shorter_limit_of_the_program(peer: MakePeer) -> None:
    """A shorter time limit of the program raises the program's error, not `TotalTimeout`."""
    server = peer([expect(), send(OK), expect(), stall()], ANSWERING)
    async with HSession(server.url, connections=1) as session:
        await session.get(path="/first")
        with pytest.raises(curio.TaskTimeout):
            await curio.timeout_after(0.05, session.get(path="/x", timeout=60))
        assert_no_active_requests(session)
        assert (await session.get(path="/x")).status_code == 200


async def test_with_a_read_timeout(peer: MakePeer) -> None:
    """`read_timeout` of the session applies as well."""
    server = peer([expect(), send(OK), expect(), stall()], ANSWERING)
    async with HSession(server.url, connections=1, read_timeout=0.2, timeout=60) as session:
        await session.get(path="/first")
        with pytest.raises(ReadTimeout, match=r"silent for 0.2 s"):
            await session.get(path="/x")
        assert_no_active_requests(session)


@pytest.mark.parametrize("kernel_class", [curio.Kernel, asks_fast.Kernel])
def test_monitor_of_an_ended_kernel(peer: MakePeer, kernel_class: Any) -> None:
    """The pool monitor belongs to the kernel of the first use; another kernel starts its own."""
    server = peer([expect(), send(OK), expect(), send(OK), expect(), stall()], ANSWERING, ANSWERING)
    session = HSession(server.url, connections=1, retries=0)

    async def silent(**limit: float) -> str:
        with pytest.raises(asks_fast.RequestTimeout) as caught:
            await session.get(path="/x", **limit)
        return type(caught.value).__name__

    async def elsewhere() -> None:
        await session.get(path="/second")
        assert await silent(timeout=LIMIT) == "TotalTimeout"
        assert (await session.get(path="/third")).status_code == 200

    with kernel_class() as first:
        first.run(lambda: session.get(path="/first"))
        with kernel_class() as second:
            second.run(elsewhere)
        first.run(lambda: session.get(path="/fourth"))
        first.run(session.close)
