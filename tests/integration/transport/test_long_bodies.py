"""Long bodies over real TCP: the low watermark delays wake-ups, and no task hangs because of it."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import curio
import pytest
from support.exchange_harness import run
from support.script_steps import close, drip, expect, mark, send, tls_close

from asks_fast import HSession
from asks_fast._hotpath import BaseHttpResponse, Connection, Pool
from asks_fast.errors import ReadTimeout, ServerClosedConnectionError

REQUEST = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
SIZE = 3_000_000
BODY = (bytes(range(251)) * (SIZE // 251 + 1))[:SIZE]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
TIMEOUT = 20.0


def unread(fd: int) -> int:
    """Bytes in the system's receive buffer of this socket."""
    return int(struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0])


def low_watermark(fd: int) -> int:
    """The low watermark of the socket."""
    with socket.socket(fileno=os.dup(fd)) as again:
        return again.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)


async def until(condition: Callable[[], bool]) -> None:
    """Yield to other tasks until the condition holds; fail if it never does."""
    async with curio.timeout_after(TIMEOUT):
        while not condition():
            await curio.sleep(0.001)


@contextmanager
def connection_in_use(read_timeout: float) -> Iterator[tuple[Pool, Connection, socket.socket]]:
    """A connection in use over loopback, and the server's end of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    ours.setblocking(False)
    pool = Pool(1)
    pool.read_timeout = read_timeout
    origin = pool.origin("a", "http://a")
    with ours, theirs:
        theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert run(pool.acquire(origin)) is None
        yield pool, pool.add_connection(origin, ours), theirs
        pool.close()


linux_only = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="the low watermark is set on Linux only"
)


@linux_only
async def test_bytes_below_the_low_watermark_are_read() -> None:
    """Data that arrived without a wake-up counts as activity of the peer."""
    with connection_in_use(1e-9) as (pool, connection, theirs):
        theirs.sendall(HEAD % SIZE)
        response = BaseHttpResponse()
        task = await curio.spawn(connection.exchange, REQUEST, response)
        await until(lambda: low_watermark(connection.fd) > 1000)
        for sent in (100, 200, 300):
            theirs.sendall(BODY[sent - 100 : sent])
            await until(lambda sent=sent: unread(connection.fd) == sent)  # type: ignore[misc]
            pool.check_deadlines()
        connection.read_timeout = 0.0
        await curio.run_in_thread(theirs.sendall, BODY[300:])
        await task.join()
        assert response.body == BODY
        assert low_watermark(connection.fd) == 1


@linux_only
async def test_no_task_hangs_at_the_low_watermark() -> None:
    """If no more bytes arrive between two checks, the task is woken; then silence counts."""
    with connection_in_use(1e-9) as (pool, connection, theirs):
        theirs.sendall(HEAD % SIZE)
        task = await curio.spawn(connection.exchange, REQUEST, BaseHttpResponse())
        await until(lambda: low_watermark(connection.fd) > 1000)
        theirs.sendall(BODY[:100])
        await until(lambda: unread(connection.fd) == 100)
        pool.check_deadlines()
        assert unread(connection.fd) == 100
        connection.read_timeout = 1000.0
        pool.check_deadlines()
        await until(lambda: unread(connection.fd) == 0 and low_watermark(connection.fd) > 1000)
        connection.read_timeout = 1e-9
        pool.check_deadlines()
        with pytest.raises(curio.TaskError) as caught:
            await task.join()
        assert isinstance(caught.value.__cause__, ReadTimeout)
        assert pool.stats()["open"] == 0


@pytest.mark.parametrize("size", [70_000, 600_000, SIZE])
async def test_body_after_body(peer: Callable[..., Any], size: int) -> None:
    """A connection that received a long body serves the next request, long or short."""
    long, short = send(HEAD % size + BODY[:size]), send(HEAD % 2 + b"ok")
    server = peer([expect(), long, expect(), short, expect(), long, expect(), short])
    async with HSession(server.url) as session:
        for wanted in (BODY[:size], b"ok") * 2:
            assert (await session.get(path="/")).content == wanted
    assert len({request.connection for request in server.requests}) == 1


@pytest.mark.parametrize("sent", [60_000, 70_000, 2_999_999])
async def test_end_below_the_low_watermark(peer: Callable[..., Any], sent: int) -> None:
    """The end of input wakes the task whatever the watermark is."""
    server = peer([expect(), send(HEAD % SIZE + BODY[:sent]), close()])
    async with HSession(server.url) as session:
        with pytest.raises(ServerClosedConnectionError, match=f"after {sent} of {SIZE} bytes"):
            await session.get(path="/")


async def test_cancelled_at_the_low_watermark(peer: Callable[..., Any]) -> None:
    """A task that waits for many bytes can be cancelled; its connection is closed."""
    server = peer([expect(), send(HEAD % SIZE + BODY[:70_000])])
    async with HSession(server.url) as session:
        task = await curio.spawn(session.get)
        await server.saw_requests()
        await task.cancel()
        assert session.pool_stats()["open"] == 0
    await server.all_closed()


@pytest.mark.parametrize("rest", [1, 16_384, 40_000])
async def test_tls_in_single_records(
    tls_peer: Callable[..., Any], client_context: Any, rest: int
) -> None:
    """Over TLS the rest of a body may be buffered by OpenSSL: it must not be waited for."""
    size = 150_000
    step = drip(BODY[size - rest : size], 1000)
    server = tls_peer([expect(), send(HEAD % size + BODY[: size - rest]), step] * 2)
    async with HSession(server.url, ssl_context=client_context) as session:
        for _ in range(2):
            assert (await session.get(path="/")).content == BODY[:size]


@pytest.mark.parametrize("buffer_size", [4096, 16_384, 20_000])
async def test_tls_records_longer_than_the_buffer(
    tls_peer: Callable[..., Any], client_context: Any, buffer_size: int
) -> None:
    """What one read leaves of a record is read without a wait: the socket has no more data."""
    server = tls_peer([expect(), send(HEAD % 45_000 + BODY[:45_000])] * 3)
    async with HSession(
        server.url, ssl_context=client_context, buffer_size=buffer_size, timeout=TIMEOUT
    ) as session:
        assert (await session.get(path="/")).content == BODY[:45_000]
        async with await session.get(path="/", stream=True) as response:
            received = b"".join([bytes(chunk) async for chunk in response.body])
        assert received == BODY[:45_000]
        assert (await session.get(path="/")).content == BODY[:45_000]
    assert len({request.connection for request in server.requests}) == 1


def chunked(data: bytes, size: int) -> bytes:
    """A response with this body in chunks of `size` bytes."""
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


STREAMED = BODY[:60_000]  # fits into the buffers of the system
FRAMINGS = {
    "length": HEAD % len(STREAMED) + STREAMED,
    "chunked": chunked(STREAMED, 7000),
    "until the end": b"HTTP/1.1 200 OK\r\n\r\n" + STREAMED,
}


async def collect(response: Any, pieces: list[bytes]) -> None:
    """Append the pieces of a body, also of one that ends too early."""
    async with response:
        async for piece in response.body:
            pieces.append(bytes(piece))


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("is_tls", [False, True])
async def test_a_fast_stream_has_long_pieces(
    peer: Callable[..., Any], server_context: Any, client_context: Any, framing: str, is_tls: bool
) -> None:
    """A stream that fills the buffer is read in pieces of up to four times its size."""
    server = peer(
        [expect(), send(FRAMINGS[framing]), mark("sent"), tls_close() if is_tls else close()],
        tls=server_context if is_tls else None,
    )
    pieces: list[bytes] = []
    async with HSession(server.url, ssl_context=client_context, buffer_size=4096) as session:
        response = await session.get(path="/", stream=True)
        await server.reached("sent")
        await collect(response, pieces)
    assert b"".join(pieces) == STREAMED
    assert 3 * 4096 < max(map(len, pieces)) <= 4 * 4096


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_fast_stream_that_is_cut(peer: Callable[..., Any], framing: str) -> None:
    """A stream in long pieces that ends early is an error, after the bytes that came."""
    server = peer([expect(), send(FRAMINGS[framing][:50_000]), close()])
    pieces: list[bytes] = []
    async with HSession(server.url, buffer_size=4096) as session:
        response = await session.get(path="/", stream=True)
        with pytest.raises(ServerClosedConnectionError, match="of the body"):
            await collect(response, pieces)
        assert session.pool_stats()["open"] == 0
    received = b"".join(pieces)
    assert len(received) > 40_000
    assert STREAMED.startswith(received)
