"""Error messages state each fact once."""

from __future__ import annotations

import curio
import pytest
from support.script_steps import expect, send, stall
from support.scripted_server import MakePeer

from asks_fast import DSession, HSession
from asks_fast.errors import BadHttpResponse, ConnectionFailed, DecodingError, PoolTimeout


@pytest.mark.parametrize("timings", [False, True])
async def test_connection_failed_names_the_host_once(timings: bool) -> None:
    """The URL of the request, then the address that was tried and why it failed."""
    async with DSession() as session:
        with pytest.raises(ConnectionFailed) as caught:
            await session.get("http://127.0.0.1:1/x", timings=timings)
    assert str(caught.value).startswith("GET http://127.0.0.1:1/x: could not connect (127.0.0.1:1")
    assert str(caught.value).count("http://") == 1


async def test_pool_timeout_names_the_host_once(peer: MakePeer) -> None:
    """The URL of the request, then how long it waited and for what."""
    server = peer([expect(), stall()])
    async with HSession(server.url) as session:
        task = await curio.spawn(session.get)
        await server.saw_requests(1)
        with pytest.raises(PoolTimeout) as caught:
            await session.get(path="/x", pool_timeout=0.01)
        await task.cancel()
    assert str(caught.value).startswith(f"GET {server.url}/x: waited 0.01 s")
    assert str(caught.value).count(server.url) == 1


async def test_no_elapsed_time_if_none_passed(peer: MakePeer) -> None:
    """The text has no elapsed time of zero."""
    server = peer([expect(), send(b"HTTP/1.1 2000 OK\r\n\r\n")])
    async with HSession(server.url) as session:
        with pytest.raises(BadHttpResponse) as caught:
            await session.get()
    assert "0.000 s" not in str(caught.value)


async def test_offset_of_a_corrupt_byte(peer: MakePeer) -> None:
    """The text gives no exact offset, because a decoder notices a bad byte later."""
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\nnot gzip at all"
    )
    server = peer([expect(), send(answer[:-3])])
    async with HSession(server.url) as session:
        response = await session.get()
        with pytest.raises(DecodingError, match=r"corrupt within its first \d+ bytes"):
            _ = response.content
