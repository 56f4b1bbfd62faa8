"""Servers that begin their response while they read the request, to which all of it is sent."""

from __future__ import annotations

from typing import Any

import curio
import pytest
from support.script_steps import expect_head, repeat, send, stall
from support.scripted_server import MakePeer, PeerConnection

from asks_fast import HSession

BIG = b"x" * 8_000_000


def send_back(connection: PeerConnection) -> None:
    """Send each piece of a body back as it comes: the response begins before the request ends."""
    request = connection.take_head()
    rest = int(request.header("content-length") or -1)
    connection.put(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.peer._marks.append("begun")
    while rest:
        if rest > 0:
            piece = connection.take(min(rest, 100_000))
            rest -= len(piece)
        else:
            piece = connection.take(int(connection.take_until(b"\r\n"), 16))
            connection.take(2)
            rest = -1 if piece else 0
        connection.put(b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b"")
    connection.put(b"0\r\n\r\n")


@pytest.mark.parametrize("kind", ["bytes", "sized pieces", "pieces"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("more", [{}, {"timings": True, "timeout": 30}])
async def test_response_during_the_request(
    peer: MakePeer, kind: str, stream: bool, more: dict[str, Any]
) -> None:
    """A server may read a request to its end while it sends its response."""
    server = peer([repeat(send_back)], receive_buffer=8192)

    async def pieces() -> Any:
        for start in range(0, len(BIG), 100_000):
            yield BIG[start : start + 100_000]
            await server.reached("begun")

    given = {"bytes": BIG, "sized pieces": pieces(), "pieces": pieces()}[kind]
    headers = {"Content-Length": str(len(BIG))} if kind == "sized pieces" else {}
    async with HSession(server.url) as session:
        for data in (given, b"again"):
            response = await session.post(
                path="/", data=data, headers=headers, stream=stream, **more
            )
            assert response.status_code == 200
            found = await response.body.read() if stream else response.content
            assert found == (BIG if data is given else b"again")
            headers = {}
        assert session.pool_stats()["created"] == 1


async def test_long_response_during_the_request(peer: MakePeer) -> None:
    """Sending ends when much of a stream has come, which must be held in memory meanwhile."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 80000000\r\n\r\n"
    flood = [send(head), *[send(BIG)] * 10]
    server = peer([expect_head(), *flood, stall()])
    produced = 0

    async def pieces() -> Any:
        nonlocal produced
        for _ in range(100_000):
            produced += 1
            yield b"piece"
            await curio.sleep(0.001)

    async with HSession(server.url) as session:
        response = await session.post(path="/", data=pieces(), stream=True)
        assert produced < 10_000
        assert len(await response.body.read()) == 80_000_000
        assert session.pool_stats()["open"] == 0
