"""Streamed bodies, cancellation and threads with httpx and httpx2."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.script_steps import (
    OK,
    discard,
    expect,
    mark,
    send,
    stall,
)
from support.scripted_server import Peer
from support.servers import Server

pytestmark = pytest.mark.usefixtures("kernel_of_thread")

Call = Callable[..., Any]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"


@pytest.mark.kernels("asyncio", "trio")
async def test_a_response_is_streamed(
    transports: Any, httpx: Any, peer: Callable[..., Peer]
) -> None:
    """Chunks arrive before the server sends the next; a body that was read keeps its connection."""
    go_on = threading.Event()
    server = peer(
        [
            expect(),
            send(HEAD),
            lambda _: discard(go_on.wait(60)),
            send(b"defghi"),
            expect(),
            send(OK),
        ],
        [expect("GET", "/other"), send(OK)],
    )
    transport = transports.AsyncTransport()
    async with httpx.AsyncClient(transport=transport) as client:
        chunks = []
        async with client.stream("GET", server.url) as response:
            async for chunk in response.aiter_raw():
                if not chunks:
                    assert (await client.get(f"{server.url}/other")).text == "ok"
                    assert transport._session.pool_stats()["in_use"] == 1
                    go_on.set()
                chunks.append(chunk)
        assert chunks == [b"abc", b"defghi"]
        assert transport._session.pool_stats()["idle"] == 2


@pytest.mark.kernels("asyncio", "trio")
async def test_a_body_left_early_closes_its_connection(
    transports: Any, httpx: Any, peer: Callable[..., Peer]
) -> None:
    """Leaving `client.stream` before the end closes the connection and frees its slot."""
    server = peer(
        [expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), stall()],
    )
    transport = transports.AsyncTransport()
    async with httpx.AsyncClient(transport=transport) as client:
        async with client.stream("GET", server.url) as response:
            assert response.status_code == 200
        assert transport._session.pool_stats()["open"] == 0
    server.wait(lambda: server.open_connections == 0)


def test_cancellation_closes_the_connection(
    transports: Any, httpx: Any, peer: Callable[..., Peer]
) -> None:
    """A cancelled task leaves no connection open, in the head as in the body."""
    server = peer(
        [expect(), mark("head"), stall()],
        [expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), mark("body"), stall()],
    )

    async def main() -> None:
        transport = transports.AsyncTransport()
        async with httpx.AsyncClient(transport=transport) as client:
            for name in ("head", "body"):
                task = asyncio.create_task(client.get(server.url))
                await asyncio.to_thread(server.wait, lambda name=name: name in server._marks)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert transport._session.pool_stats()["open"] == 0

    asyncio.run(main())
    server.wait(lambda: server.open_connections == 0)


def test_sync_streaming(transports: Any, httpx: Any, app_server: Server) -> None:
    """A blocking client reads a long body piece by piece."""
    with (
        httpx.Client(transport=transports.Transport()) as client,
        client.stream("GET", f"{app_server.url}/bytes/300000") as response,
    ):
        sizes = [len(chunk) for chunk in response.iter_raw()]
    assert sum(sizes) == 300000
    assert len(sizes) > 1


def test_sync_left_early(transports: Any, httpx: Any, peer: Callable[..., Peer]) -> None:
    """A blocking client that leaves a body closes its connection."""
    server = peer([expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), stall()])
    with httpx.Client(transport=transports.Transport()) as client:
        with client.stream("GET", server.url) as response:
            assert next(response.iter_raw()) == b"abc"
        server.wait(lambda: server.open_connections == 0)


def test_threads_share_a_blocking_client(transports: Any, httpx: Any, app_server: Server) -> None:
    """Each thread gets connections of its own; those of threads that ended are closed."""
    statuses: list[int] = []
    transport = transports.Transport()
    with httpx.Client(transport=transport) as client:

        def get() -> None:
            statuses.append(client.get(f"{app_server.url}/get").status_code)

        for _ in range(3):
            threads = [threading.Thread(target=get) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        get()
        assert len(transport._owners) == 1
    assert statuses == [200] * 10
