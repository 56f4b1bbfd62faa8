"""A request that is cancelled or times out at any await leaves nothing open (promise 4).

A counter decides where the blow falls: at the first wait, then the second, and so on until the
request gets through. After each blow the place is free, the peer saw its connection close, and the
session serves the next request over a new one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import curio
import pytest
from support.cancel_at_each_await import cancel_at_each_await
from support.leaks import assert_no_active_requests
from support.script_steps import (
    OK,
    drip,
    expect,
    expect_body,
    expect_head,
    mark,
    repeat,
    send,
    stall,
    stop_reading,
)
from support.scripted_server import MakePeer, Peer

from asks_fast import DSession, HSession
from asks_fast.errors import ConnectTimeout, PoolTimeout, ReadTimeout, TotalTimeout, WriteTimeout

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n4\r\ndefg\r\n0\r\nT: u\r\n\r\n"
)
ANSWERING = [repeat(expect(), drip(CHUNKED, 7, 0.001))]


async def sweep_requests(
    server: Peer, session: Any, make: Callable[[], Coroutine[Any, Any, Any]]
) -> tuple[int, Any]:
    """Cancel a request at each wait; afterwards nothing is under way and the next request works."""

    async def after_each() -> None:
        assert_no_active_requests(session)
        assert (await session.get(path="/next")).content == b"abcdefg"
        assert_no_active_requests(session)

    places, result = await cancel_at_each_await(make, after_each)
    assert_no_active_requests(session)
    await session.close()
    await server.all_closed()
    return places, result


async def test_a_plain_request(peer: MakePeer) -> None:
    """Resolving, connecting, waiting for the head, reading the body."""
    server = peer(ANSWERING)
    session = HSession(server.url.replace("127.0.0.1", "localhost"), connections=1)
    places, response = await sweep_requests(server, session, lambda: session.get(path="/x"))
    assert places > 3
    assert response.content == b"abcdefg"


async def test_on_a_fresh_connection_each_time(peer: MakePeer) -> None:
    """The same with a new connection for every request."""
    server = peer(ANSWERING)
    session = HSession(server.url, max_requests_per_connection=1)
    places, _ = await sweep_requests(server, session, lambda: session.get(path="/x"))
    assert places > 3


async def test_through_tls(tls_peer: MakePeer, client_context: Any) -> None:
    """The handshake, and every wait after it."""
    server = tls_peer(ANSWERING)
    session = HSession(
        server.url.replace("127.0.0.1", "localhost"),
        ssl_context=client_context,
        max_requests_per_connection=1,
    )
    places, response = await sweep_requests(server, session, lambda: session.get(path="/x"))
    assert places > 5
    assert response.content == b"abcdefg"


async def test_streaming(peer: MakePeer) -> None:
    """A streamed body, cancelled at each chunk."""
    server = peer(ANSWERING)
    session = HSession(server.url)

    async def stream() -> bytes:
        response = await session.get(path="/x", stream=True)
        async with response.body as body:
            return b"".join([chunk async for chunk in body])

    places, body = await sweep_requests(server, session, stream)
    assert places > 3
    assert body == b"abcdefg"


async def test_a_long_upload(peer: MakePeer) -> None:
    """A body of many chunks to a server that reads slowly."""
    server = peer(ANSWERING, receive_buffer=4096)
    session = HSession(server.url)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            await curio.sleep(0)
            yield b"x" * 100_000

    places, response = await sweep_requests(
        server, session, lambda: session.post(path="/x", data=pieces())
    )
    assert places > 40
    assert response.content == b"abcdefg"


async def test_redirects_and_a_pool_of_one(peer: MakePeer) -> None:
    """A redirect over a pool of one connection."""
    server = peer(
        [
            repeat(
                expect(),
                send(
                    lambda connection: (
                        b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 3\r\n\r\nbye"
                        if connection.requests[-1].target == "/x"
                        else CHUNKED
                    )
                ),
            )
        ]
    )
    session = HSession(server.url)
    places, response = await sweep_requests(server, session, lambda: session.get(path="/x"))
    assert places >= 2
    assert [earlier.status_code for earlier in response.history] == [302]


async def test_waiting_in_the_queue(peer: MakePeer) -> None:
    """A request cancelled in the queue leaves it; later ones are served."""
    server = peer([repeat(expect(), stall(), send(OK))])
    async with HSession(server.url) as session:
        first = await curio.spawn(session.get)
        await server.saw_requests(1)
        doomed = await curio.spawn(session.get)
        last = await curio.spawn(session.get)
        while session.pool_stats()["waiting"] < 2:
            await curio.sleep(0)
        await doomed.cancel()
        assert session.pool_stats()["waiting"] == 1
        server.release()
        assert (await first.join()).content == (await last.join()).content == b"ok"
        assert session.pool_stats()["created"] == 1


async def test_half_of_many_are_cancelled(peer: MakePeer) -> None:
    """Of two hundred tasks over ten connections half are cancelled; the others get responses."""
    server = peer([repeat(expect(), send(_echo))])
    async with HSession(server.url, connections=10) as session:
        got: list[int] = []

        async def ask(number: int) -> None:
            response = await session.get(path=f"/{number}")
            assert response.text == f"/{number}"
            got.append(number)

        tasks = [await curio.spawn(ask, number) for number in range(200)]
        for number, task in enumerate(tasks):
            if number % 2:
                await curio.sleep(0)
                await task.cancel(blocking=bool(number % 3))
        for task in tasks:
            await task.wait()
            task.joined = True
        assert set(range(0, 200, 2)) <= set(got)
        assert_no_active_requests(session)
        assert session.pool_stats()["open"] <= 10
        responses = []
        async with curio.TaskGroup() as group:
            for number in range(10):
                responses.append(await group.spawn(ask, 1000 + number))
        assert set(range(1000, 1010)) <= set(got)


def _echo(connection: Any) -> bytes:
    target = connection.requests[-1].target.encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target)


# -- time limits ---------------------------------------------------------------------------------


async def test_total_timeout_while_the_server_is_silent(peer: MakePeer) -> None:
    """`timeout` ends a wait for the head; the error has method, URL and limit."""
    server = peer([expect(), stall()], ANSWERING)
    async with HSession(server.url) as session:
        with pytest.raises(TotalTimeout, match=r"^GET http://127.0.0.1:\d+/x: .*timeout=0.05"):
            await session.get(path="/x", timeout=0.05)
        assert_no_active_requests(session)
        await server.until(lambda: server.connections[0].client_closed is not None)
        assert (await session.get(path="/x")).content == b"abcdefg"


async def test_total_timeout_in_the_body(peer: MakePeer) -> None:
    """`timeout` includes the body."""
    server = peer([expect(), send(CHUNKED[:-8]), stall()], ANSWERING)
    async with HSession(server.url) as session:
        with pytest.raises(TotalTimeout):
            await session.get(timeout=0.05)
        assert_no_active_requests(session)


async def test_total_timeout_of_a_drip(peer: MakePeer) -> None:
    """Occasional bytes of the server do not extend `timeout`."""
    server = peer([expect(), drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100, 1, 0.01)])
    async with HSession(server.url) as session:
        with pytest.raises(TotalTimeout):
            await session.get(timeout=0.1, read_timeout=10)
        assert_no_active_requests(session)


async def test_pool_timeout(peer: MakePeer) -> None:
    """`pool_timeout` ends the wait in the queue, which `timeout` does not include."""
    server = peer([repeat(expect(), stall(), send(OK))])
    async with HSession(server.url) as session:
        first = await curio.spawn(session.get)
        await server.saw_requests(1)
        with pytest.raises(
            PoolTimeout, match=r"^GET http://127.0.0.1:\d+/: .*waited 0.05 s for one of 1"
        ):
            await session.get(pool_timeout=0.05)
        patient = await curio.spawn(lambda: session.get(timeout=60))
        await curio.sleep(0.05)
        server.release()
        assert (await first.join()).status_code == (await patient.join()).status_code == 200


async def test_connection_timeout(peer: MakePeer) -> None:
    """`connection_timeout` ends a handshake without a response."""
    server = peer([stall()])
    session = DSession()
    url = server.url.replace("http:", "https:")
    with pytest.raises(ConnectTimeout, match=r"^GET https://.*connection_timeout=0.05"):
        await session.get(url + "/x", connection_timeout=0.05)
    assert_no_active_requests(session)
    await session.close()
    await server.all_closed()


@pytest.mark.parametrize("limit", [0.05, 1.1])
@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\n\r\nthis ends with the connection",
    ],
    ids=["nothing", "head", "body", "long body", "chunk", "end by close"],
)
async def test_read_timeout(peer: MakePeer, begun: bytes, limit: float) -> None:
    """`read_timeout` ends a silence below and above the monitor's interval; the result is never a
    complete response.
    """
    server = peer([expect(), send(begun), stall()], ANSWERING)
    async with HSession(server.url) as session:
        with pytest.raises(ReadTimeout, match=rf"^GET http://.*silent for {limit:g} s") as caught:
            await session.get(path="/x", read_timeout=limit)
        assert caught.value.limit == limit
        assert_no_active_requests(session)
        assert (await session.get(path="/x")).content == b"abcdefg"


async def test_read_timeout_of_a_stream(peer: MakePeer) -> None:
    """The same for a streamed body."""
    server = peer([expect(), send(b"HTTP/1.1 200 OK\r\n\r\nab"), stall()])
    async with HSession(server.url) as session:
        response = await session.get(stream=True, read_timeout=1.0)
        body = response.body
        assert await body.__anext__() == b"ab"
        with pytest.raises(ReadTimeout):
            await body.__anext__()
        assert_no_active_requests(session)


async def test_read_timeout_counts_silence_alone(peer: MakePeer) -> None:
    """A server that keeps sending is not limited by `read_timeout`."""
    server = peer([expect(), drip(CHUNKED, 8, 0.1)])
    async with HSession(server.url) as session:
        assert (await session.get(read_timeout=1.0)).content == b"abcdefg"


@pytest.mark.parametrize("limit", [0.05, 1.1])
async def test_write_timeout(peer: MakePeer, limit: float) -> None:
    """`write_timeout` ends an upload that the server does not read."""
    server = peer([expect_head(), stop_reading()], receive_buffer=4096)
    async with HSession(server.url) as session:
        with pytest.raises(WriteTimeout, match=rf"^POST http://.*took no bytes for {limit:g} s"):
            await session.post(path="/x", data=b"x" * 8_000_000, write_timeout=limit)
        assert_no_active_requests(session)
        server.release()


async def test_time_limits_from_outside(peer: MakePeer) -> None:
    """The caller's time limit raises the caller's error, whatever limits we use inside."""
    server = peer([expect(), stall()])
    async with HSession(server.url) as session:
        with pytest.raises(curio.TaskTimeout):
            await curio.timeout_after(0.05, lambda: session.get())
        with pytest.raises(curio.TaskTimeout):
            await curio.timeout_after(0.05, lambda: session.get(timeout=100, read_timeout=50))
        assert_no_active_requests(session)


async def test_expect_100_continue_cancelled(peer: MakePeer) -> None:
    """The wait for 100 Continue can be cancelled like any other."""
    server = peer([expect_head(), mark("head"), stall()])
    async with HSession(server.url) as session:
        task = await curio.spawn(
            lambda: session.post(data=b"x" * 10, expect_continue=60.0),
        )
        await server.reached("head")
        await task.cancel()
        assert_no_active_requests(session)


async def test_expect_100_continue(peer: MakePeer) -> None:
    """The body follows after 100 Continue or after a time; after a final response it is not sent,
    and the connection is closed.
    """
    server = peer(
        [
            expect_head(),
            send(b"HTTP/1.1 100 Continue\r\n\r\n"),
            expect_body(),
            send(OK),
            expect_head(),
            expect_body(),
            send(OK),
            expect_head(),
            send(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"),
        ],
        ANSWERING,
    )
    async with HSession(server.url) as session:
        first = await session.post(data=b"first", expect_continue=60.0)
        assert [status for status, _ in first.interim] == [100]
        assert (await session.post(data=b"second", expect_continue=0.01)).status_code == 200
        assert [request.body for request in server.requests] == [b"first", b"second"]
        assert (await session.post(data=b"third", expect_continue=60.0)).status_code == 413
        assert session.pool_stats()["open"] == 0
        assert bytes(server.connections[0].unread) == b""
