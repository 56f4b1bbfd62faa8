"""Streamed bodies: `stream=True` and `callback=`.

After a complete read the connection is reused. A stream that is left early closes its connection
and frees its slot at once. The server waits while the client does not read.
"""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import curio
import pytest
from support.script_steps import SERVING, close, drip, expect, mark, repeat, send, stall
from support.scripted_server import MakePeer
from support.servers import Server

import asks_fast
from asks_fast import HSession, StreamResponse
from asks_fast.cli.demo_app import pattern
from asks_fast.errors import (
    AsksException,
    ReadTimeout,
    RequestTimeout,
    ServerClosedConnectionError,
    StreamConsumed,
)

LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000


async def collect(body: Any, into: list[bytes]) -> None:
    async for chunk in body:
        into.append(chunk)


async def test_read_to_its_end(app_server: Server) -> None:
    """The whole body arrives, and the connection is reused."""
    async with HSession(app_server.url) as session:
        for path, size in (("/bytes/1000000", 1000000), ("/chunked?n=50&size=999", 49950)):
            response = await session.get(path=path, stream=True)
            assert isinstance(response, StreamResponse)
            assert repr(response) == "<StreamResponse 200 OK>"
            pieces = [piece async for piece in response.body]
            assert all(pieces)
            data = b"".join(pieces)
            assert len(data) == size
            if "bytes" in path:
                assert data == pattern(size)
        assert session.pool_stats()["in_use"] == 0
        assert (await session.get(path="/get")).reused
        assert session.pool_stats()["open"] == 1


@pytest.mark.parametrize("how", ["context", "response context", "close", "dropped"])
async def test_stream_not_read_to_its_end(how: str, peer: MakePeer) -> None:
    """Leaving a stream early closes its connection, and the next waiting request is served."""
    server = peer([expect(), send(LONG), stall()], SERVING)
    async with HSession(server.url) as session:
        response: Any = await session.get(stream=True)
        if how == "context":
            async with response.body:
                async for _ in response.body:
                    break
        elif how == "response context":
            async with response:
                pass
        elif how == "close":
            await response.body.close()
            await response.body.close()
        else:
            with pytest.warns(ResourceWarning, match="neither read"):
                del response
        assert (await session.get(timeout=60)).text == "ok"
        await server.until(lambda: server.connections[0].client_closed is not None)
        assert session.pool_stats()["open"] == 1


async def test_unread_complete_stream(app_server: Server) -> None:
    """Closing an unread stream whose body came with its head keeps the connection."""
    async with HSession(app_server.url) as session:
        response = await session.get(path="/get", stream=True)
        async with response.body:
            pass
        assert (await session.get(path="/get", timeout=60)).status_code == 200
        empty = await session.get(path="/status/204", stream=True)
        assert await empty.body.read() == b""
        assert session.pool_stats()["in_use"] == 0


async def test_timeout_per_chunk(peer: MakePeer) -> None:
    """`body(timeout=)` applies to each chunk; its error names the phase."""
    slow = drip(b"x" * 12, 1, 0.1)  # longer in all than the limit
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n"
    server = peer([expect(), send(head), slow, stall()])
    async with HSession(server.url) as session:
        response: Any = await session.get(stream=True)
        got: list[bytes] = []
        with pytest.raises(ReadTimeout) as caught:
            await collect(response.body(timeout=1.0), got)
        assert b"".join(got) == b"x" * 12
        assert isinstance(caught.value, RequestTimeout)
        assert session.pool_stats()["open"] == 0


async def test_read_timeout(peer: MakePeer) -> None:
    """`read_timeout` applies to a stream as to a whole body."""
    server = peer([expect(), send(LONG), stall()])
    async with HSession(server.url) as session:
        response: Any = await session.get(stream=True, read_timeout=1.0)
        with pytest.raises(ReadTimeout):
            await response.body.read()
        assert session.pool_stats()["open"] == 0


async def test_connection_closed_during_stream(peer: MakePeer) -> None:
    """A stream that ends early raises after it has yielded what arrived."""
    server = peer([expect(), send(LONG), close()])
    async with HSession(server.url) as session:
        response: Any = await session.get(stream=True)
        got: list[bytes] = []
        with pytest.raises(ServerClosedConnectionError):
            await collect(response.body, got)
        assert len(b"".join(got)) == 1000


async def test_cancelled(peer: MakePeer) -> None:
    """A cancelled reader leaves no connection and no slot in use."""
    server = peer([expect(), send(LONG), mark("sent"), stall()], SERVING)
    async with HSession(server.url) as session:
        response: Any = await session.get(stream=True)
        task = await curio.spawn(response.body.read)
        await server.reached("sent")
        await curio.sleep(0.01)
        await task.cancel()
        assert session.pool_stats()["open"] == 0
        assert (await session.get(timeout=60)).text == "ok"


async def test_two_tasks_read_one_stream(peer: MakePeer) -> None:
    """Only one task can read a body; another one, or a later one, gets an error."""
    server = peer([expect(), send(LONG[:-1000]), stall()])
    async with HSession(server.url) as session:
        response: Any = await session.get(stream=True)
        task = await curio.spawn(response.body.read)
        await curio.sleep(0.02)
        with pytest.raises(StreamConsumed):
            await response.body.read()
        await task.cancel()
        assert await response.body.read() == b""
        with pytest.raises(StreamConsumed):
            response.content  # noqa: B018


async def test_back_pressure(peer: MakePeer) -> None:
    """A server cannot send more while the client does not read."""
    size = 64 << 20
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
    server = peer([expect(), send(head), send(lambda _: bytes(size)), mark("all"), stall()])
    async with HSession(server.url) as session:
        response: Any = await session.get(stream=True)
        await curio.sleep(0.3)
        assert server._marks == []
        total = 0
        async for chunk in response.body:
            total += len(chunk)
            assert len(chunk) <= 1 << 20
        assert total == size
        await server.reached("all")


async def test_text_and_lines(peer: MakePeer, app_server: Server) -> None:
    """Text chunks split no character; lines have no line ends."""
    text = "Grüße\nzweite €\r\ndritte\rvierte 𝄞"
    data = text.encode()
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
    )
    server = peer([repeat(expect(), send(head % len(data)), drip(data, 1, 0.001))])
    async with HSession(server.url) as session:
        response: Any = await session.get(stream=True)
        assert "".join([piece async for piece in response.body.text()]) == text
        response = await session.get(stream=True)
        lines = [line async for line in response.body.lines()]
        assert lines == ["Grüße", "zweite €", "dritte", "vierte 𝄞"]
    response = await asks_fast.get(f"{app_server.url}/stream/20", stream=True)
    assert [line async for line in response.body.lines()] == [
        f'{{"id": {number}}}' for number in range(20)
    ]


async def test_save(app_server: Server, peer: MakePeer, tmp_path: Path) -> None:
    """`save` writes the body; the file gets its name when it is complete."""
    target = tmp_path / "file.bin"
    response: Any = await asks_fast.get(f"{app_server.url}/bytes/3000000", stream=True)
    assert await response.body.save(target) == 3000000
    assert target.read_bytes() == pattern(3000000)
    server = peer([expect(), send(LONG), close()])
    response = await asks_fast.get(server.url, stream=True)
    with pytest.raises(ServerClosedConnectionError):
        await response.body.save(tmp_path / "cut.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


async def test_read_size_and_raw(app_server: Server) -> None:
    """`read_size` limits a decompressed chunk; `decompress_data = False` yields received bytes."""
    url = f"{app_server.url}/gzip"
    whole = await asks_fast.get(url)
    response: Any = await asks_fast.get(url, stream=True)
    response.body.read_size = 100
    pieces = [piece async for piece in response.body]
    assert max(map(len, pieces)) <= 100
    assert b"".join(pieces) == whole.content
    response = await asks_fast.get(url, stream=True)
    response.body.decompress_data = False
    assert await response.body.read() == whole.raw


@pytest.mark.parametrize("path", ["/get", "/bytes/1000000", "/gzip"])
async def test_body_outlives_its_response(path: str, app_server: Server) -> None:
    """A body can be read after its response was dropped, and ends once for all."""
    async with HSession(app_server.url) as session:
        whole = await session.get(path)
        body: Any = (await session.get(path, stream=True)).body
        gc.collect()
        assert repr(body) == "<StreamBody open, 0 bytes read>"
        assert await body.read() == whole.content
        assert repr(body) == f"<StreamBody ended, {len(whole.body)} bytes read>"
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await body.__anext__()
        assert session.pool_stats()["idle"] == 1


async def test_attributes_of_a_body(app_server: Server) -> None:
    """A program can add attributes to a body, and refer to it weakly."""
    response: Any = await asks_fast.get(f"{app_server.url}/get", stream=True)
    response.body.own = 1
    reference = weakref.ref(response.body)
    assert reference().own == 1
    await response.body.close()
    del response
    assert reference() is None


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_callback(kind: str, app_server: Server) -> None:
    """A callback is called with each decoded chunk; the body is not stored."""
    got: list[bytes] = []

    def plain(chunk: bytes) -> None:
        got.append(chunk)

    async def awaited(chunk: bytes) -> None:
        await curio.sleep(0)
        got.append(chunk)

    async with HSession(app_server.url) as session:
        for path in ("/bytes/200000", "/gzip", "/redirect/1"):
            got.clear()
            callback: Any = plain if kind == "sync" else awaited
            response = await session.get(path=path, callback=callback)
            assert response.status_code == 200
            assert b"".join(got) == (await session.get(path=path)).content
        assert session.pool_stats()["in_use"] == 0
        assert session.pool_stats()["open"] == 1


async def test_callback_that_raises(peer: MakePeer) -> None:
    """Its error reaches the caller; the connection is closed."""
    server = peer([expect(), send(LONG), stall()])

    def fail(chunk: bytes) -> None:
        raise ZeroDivisionError

    async with HSession(server.url) as session:
        with pytest.raises(ZeroDivisionError):
            await session.get(callback=fail)
        assert session.pool_stats()["open"] == 0


async def test_one_shot_streams(peer: MakePeer) -> None:
    """A one-shot stream keeps its connection until it is read or closed."""
    server = peer([expect(), send(LONG), send(b"x" * 999000), stall()], [expect(), send(LONG)])
    response: Any = await asks_fast.get(server.url, stream=True)
    assert server.open_connections == 1
    assert len(await response.body.read()) == 1000000
    await server.all_closed()
    response = await asks_fast.get(server.url, stream=True)
    await response.body.close()
    await server.all_closed()


async def test_stream_after_redirects_and_errors(app_server: Server) -> None:
    """A stream follows redirects like any other request, and any status has a body."""
    async with HSession(app_server.url) as session:
        response: Any = await session.get(path="/redirect/2", stream=True)
        assert [old.status_code for old in response.history] == [302, 302]
        assert b'"path": "/get"' in await response.body.read()
        missing: Any = await session.get(path="/no/such", stream=True)
        with pytest.raises(AsksException):
            missing.raise_for_status()
        assert await missing.body.read() == b"no such page; / lists all pages"
        assert session.pool_stats()["open"] == 1


async def test_user_encoding(peer: MakePeer) -> None:
    """An `encoding` set on a streamed response is that of its text."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\n\r\n"
    )
    server = peer([expect(), send(head + b"\x81"), stall()])
    response: Any = await asks_fast.get(server.url, stream=True)
    response.encoding = "cp437"
    assert [text async for text in response.body.text()] == ["ü"]
