"""Servers that close, reset, send unsolicited bytes or respond early (promises 1, 2, 3 and 6)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any

import curio
import pytest
from support.faults import (
    CutAfter,
    FaultProxy,
    Garbage,
    HalfCloseAfter,
    ResetAfter,
    connection_faults,
)
from support.script_steps import (
    OK,
    close,
    expect,
    expect_head,
    half_close,
    mark,
    read,
    repeat,
    reset,
    send,
    stall,
    stop_reading,
    tls_close,
)
from support.scripted_server import MakePeer

from asks_fast import DSession, HSession
from asks_fast.errors import BadHttpResponse, ServerClosedConnectionError

MakeProxy = Callable[..., FaultProxy]


def echo(connection: Any) -> bytes:
    """A response that contains the target of the request."""
    target = connection.requests[-1].target.encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target)


ECHOING = [repeat(expect(), send(echo))]
ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-Y: z\r\n\r\n0123456789",
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"4\r\n0123\r\n6;e\r\n456789\r\n0\r\n\r\n"
    ),
}


# -- the wire breaks -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["length", "chunked"])
@pytest.mark.parametrize("fault", [CutAfter, ResetAfter, HalfCloseAfter])
async def test_cut_at_every_byte(
    peer: MakePeer, fault_proxy: MakeProxy, kind: str, fault: Any
) -> None:
    """A response truncated after any byte is an error; its slot is free, and the next request
    works.
    """
    answer = ANSWERS[kind]
    server = peer([repeat(expect(), send(answer))])
    places = [*range(0, len(answer), 3), len(answer) - 1]
    proxy = fault_proxy(
        server,
        *(p for at in places for p in (connection_faults(down=[fault(at)]), connection_faults())),
        connection_faults(),
    )
    async with HSession(proxy.url, max_requests_per_connection=1) as session:
        for at in places:
            with pytest.raises(ServerClosedConnectionError, match=r"^GET http://127.0.0.1:\d+/x: "):
                await session.get(path="/x", retries=0)
            assert session.pool_stats()["open"] == 0, at
            assert (await session.get(path="/x")).content == b"0123456789"


async def test_garbage_at_every_byte(peer: MakePeer, fault_proxy: MakeProxy) -> None:
    """Garbage anywhere in a response is an error or part of the body."""
    answer = ANSWERS["chunked"]
    server = peer([repeat(expect(), send(answer))])
    places = range(0, len(answer), 2)
    proxy = fault_proxy(server, *(connection_faults(down=[Garbage(at)]) for at in places))
    async with HSession(proxy.url, max_requests_per_connection=1) as session:
        for _ in places:
            try:
                response = await session.get(path="/x", retries=0)
            except (BadHttpResponse, ServerClosedConnectionError):
                pass
            else:
                assert response.status_code == 200
            stats = session.pool_stats()
            assert (stats["in_use"], stats["opening"], stats["waiting"]) == (0, 0, 0)


async def test_closed_before_a_response(peer: MakePeer) -> None:
    """A new connection closed without a response is an error, and the request is not repeated."""
    server = peer([expect(), close()])
    async with HSession(server.url) as session:
        with pytest.raises(ServerClosedConnectionError, match=r"^GET .* before it answered( \[|$)"):
            await session.get(path="/x")
        with pytest.raises(ServerClosedConnectionError):
            await session.post(path="/x", data=b"x")
    assert len(server.requests) == 2


async def test_other_connections_go_on(peer: MakePeer) -> None:
    """A reset of one connection does not affect the others."""
    server = peer([expect(), send(OK[:-1]), mark("half"), stall(), reset()], ECHOING)
    async with HSession(server.url, connections=2) as session:
        doomed = await curio.spawn(session.get)
        await server.reached("half")
        assert (await session.get(path="/other")).text == "/other"
        server.release()
        with pytest.raises(curio.TaskError) as caught:
            await doomed.join()
        assert isinstance(caught.value.__cause__, ServerClosedConnectionError)
        assert (await session.get(path="/again")).text == "/again"


# -- kept connections that are kept no longer ----------------------------------------------------


def stale(sends: bytes = b"") -> list[Any]:
    """Serve one request, then read the next head and close."""
    return [expect(), send(echo), expect_head(), *([send(sends)] if sends else []), close()]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"])
async def test_stale_idempotent(peer: MakePeer, method: str) -> None:
    """An idempotent request on a stale connection is sent once more, over a new connection."""
    server = peer(stale(), ECHOING)
    async with HSession(server.url) as session:
        await session.get(path="/1")
        response = await session.request(method, path="/2")
        assert response.status_code == 200
        assert not response.reused
        assert [(r.method, r.target, r.connection) for r in server.requests] == [
            ("GET", "/1", 0),
            (method, "/2", 0),
            (method, "/2", 1),
        ]


async def test_stale_only_once(peer: MakePeer) -> None:
    """After a stale connection the request uses a new connection, not another idle one."""
    warm = [expect(), send(echo), stall(), expect_head(), close()]
    server = peer(warm, warm, warm, [expect(), close()], ECHOING)
    async with HSession(server.url, connections=3) as session:
        tasks = [await curio.spawn(lambda: session.get(path="/w")) for _ in range(3)]
        for task in tasks:
            await task.join()
        assert session.pool_stats()["idle"] == 3
        server.release()
        with pytest.raises(ServerClosedConnectionError):
            await session.get(path="/x")
        seen = [(r.target, r.connection) for r in server.requests if r.target == "/x"]
        assert len(seen) == 2
        assert seen[1] == ("/x", 3)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_stale_not_idempotent(peer: MakePeer, method: str) -> None:
    """A request that is not idempotent is not sent again."""
    server = peer(stale(), ECHOING)
    async with HSession(server.url) as session:
        await session.get(path="/1")
        with pytest.raises(ServerClosedConnectionError, match=f"^{method} "):
            await session.request(method, path="/2", data=b"x")
        assert [r.target for r in server.requests] == ["/1", "/2"]


async def test_stale_after_a_first_byte(peer: MakePeer) -> None:
    """After the first byte of a response nothing is sent again."""
    server = peer(stale(b"H"), ECHOING)
    async with HSession(server.url) as session:
        await session.get(path="/1")
        with pytest.raises(ServerClosedConnectionError, match="in the middle of the head: b'H'"):
            await session.get(path="/2")
        assert [r.target for r in server.requests] == ["/1", "/2"]


async def test_stale_with_a_one_shot_body(peer: MakePeer) -> None:
    """A body that cannot be replayed is never sent twice."""
    server = peer([expect(), send(echo), expect(), close()], ECHOING)

    def pieces() -> Iterable[bytes]:
        yield b"once"

    async with HSession(server.url) as session:
        await session.get(path="/1")
        with pytest.raises(ServerClosedConnectionError):
            await session.put(path="/2", data=pieces())
        assert [r.target for r in server.requests] == ["/1", "/2"]


async def test_no_retries_if_not_wanted(peer: MakePeer) -> None:
    """`retries=0` also disables the resend on a stale connection."""
    server = peer(stale(), ECHOING)
    async with HSession(server.url) as session:
        await session.get(path="/1")
        with pytest.raises(ServerClosedConnectionError):
            await session.get(path="/2", retries=0)


LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("options", [{}, {"timeout": 60}, {"stream": True}], ids=str)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
async def test_408_that_crossed_the_request(
    peer: MakePeer, method: str, options: dict[str, Any]
) -> None:
    """A 408 sent on an idle connection that crosses the request counts as a stale connection."""
    server = peer([expect(), send(echo), expect(), send(LATE), close()], ECHOING)
    async with HSession(server.url) as session:
        await session.get(path="/1")
        response: Any = await session.request(method, path="/2", **options)
        assert response.status_code == 200
        if "stream" in options:
            await response.body.close()
        assert [(r.target, r.connection) for r in server.requests] == [
            ("/1", 0),
            ("/2", 0),
            ("/2", 1),
        ]


@pytest.mark.parametrize(
    ("method", "options"), [("GET", {"retries": 0}), ("POST", {}), ("PATCH", {"data": b"x"})]
)
async def test_408_as_the_response(peer: MakePeer, method: str, options: dict[str, Any]) -> None:
    """A request that must not be sent twice gets the 408, and so does one on a new connection."""
    server = peer([expect(), send(echo), expect(), send(LATE), close()], [expect(), send(LATE)])
    async with HSession(server.url) as session:
        await session.get(path="/1")
        assert (await session.request(method, path="/2", **options)).status_code == 408
        assert (await session.get(path="/3")).status_code == 408
    assert [r.target for r in server.requests] == ["/1", "/2", "/3"]


async def test_closed_after_every_few_requests(peer: MakePeer) -> None:
    """A server that closes after every seven requests, unannounced, fails none of a hundred."""
    server = peer([repeat(expect(), send(echo), times=7), close()])
    async with HSession(server.url, connections=5) as session:

        async def ask(number: int) -> None:
            assert (await session.get(path=f"/{number}")).text == f"/{number}"

        async with curio.TaskGroup() as group:
            for number in range(100):
                await group.spawn(ask, number)
        assert session.pool_stats()["in_use"] == 0
    assert len(server.connections) <= 40


@pytest.mark.parametrize("field", [b"Connection: close\r\n", b""])
async def test_announced_and_unannounced_close(peer: MakePeer, field: bytes) -> None:
    """A connection with an announced close is not reused; one closed unannounced is replaced
    without a failure.
    """
    answer = b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\nok" % field
    script = [expect(), send(answer), *([] if field else [close()])]
    server = peer(script)
    async with HSession(server.url) as session:
        for _ in range(5):
            assert (await session.get()).content == b"ok"
            await server.until(
                lambda: all(c.finished or c.client_closed for c in server.connections)
            )
    assert len(server.connections) == 5
    assert len(server.requests) == 5


# -- bytes without a request ---------------------------------------------------------------------


UNASKED = [
    b"\r\n",
    b"garbage",
    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("words", UNASKED)
@pytest.mark.parametrize("pause", [0.0, 0.06])
async def test_bytes_on_an_idle_connection(peer: MakePeer, words: bytes, pause: float) -> None:
    """Bytes on an idle connection are never a response: it is closed unread."""
    server = peer([expect(), send(echo), stall(), send(words), mark("said")], ECHOING)
    async with HSession(server.url) as session:
        assert (await session.get(path="/1")).text == "/1"
        await curio.sleep(pause)
        server.release()
        await server.reached("said")
        for number in range(2, 5):
            assert (await session.get(path=f"/{number}")).text == f"/{number}"
        assert [r.connection for r in server.requests] == [0, 1, 1, 1]


@pytest.mark.parametrize("words", UNASKED)
async def test_bytes_after_a_response(peer: MakePeer, words: bytes) -> None:
    """If bytes follow a response in the same packet, waiting requests get another connection."""
    server = peer([expect(), send(lambda connection: echo(connection) + words), stall()], ECHOING)
    async with HSession(server.url) as session:

        async def ask(number: int) -> None:
            assert (await session.get(path=f"/{number}")).text == f"/{number}"

        async with curio.TaskGroup() as group:
            for number in range(20):
                await group.spawn(ask, number)
        assert session.pool_stats()["created"] == 2


async def test_greeting_before_the_request(peer: MakePeer) -> None:
    """Bytes sent before any request are not a response."""
    server = peer([send(b"220 mail.test ESMTP\r\n"), expect()])
    async with HSession(server.url) as session:
        with pytest.raises(BadHttpResponse, match=r"not an HTTP/1\.x response: b'220 mail\.test"):
            await session.get()
        assert session.pool_stats()["open"] == 0


async def test_responses_belong_to_their_requests(peer: MakePeer) -> None:
    """Five hundred requests over five connections each get their own response, streamed or not."""
    server = peer(ECHOING)
    async with HSession(server.url, connections=5) as session:

        async def ask(number: int) -> None:
            if number % 3:
                assert (await session.get(path=f"/{number}")).text == f"/{number}"
            else:
                response = await session.get(path=f"/{number}", stream=True)
                assert await response.body.read() == f"/{number}".encode()

        async with curio.TaskGroup() as group:
            for number in range(500):
                await group.spawn(ask, number)
        assert session.pool_stats()["created"] <= 5


async def test_tls_end_without_close_notify(tls_peer: MakePeer, client_context: Any) -> None:
    """A body that ends with the connection must end by close_notify; a framed one need not."""
    endless = b"HTTP/1.1 200 OK\r\n\r\nabc"

    def hang_up(connection: Any) -> None:
        connection.sock.shutdown(socket.SHUT_RDWR)

    server = tls_peer(
        [expect(), send(endless), tls_close()],
        [expect(), send(endless), hang_up],
        [expect(), send(OK), hang_up],
    )
    url = server.url.replace("127.0.0.1", "localhost")
    async with HSession(url, ssl_context=client_context) as session:
        assert (await session.get()).content == b"abc"
        with pytest.raises(ServerClosedConnectionError, match="after 3 bytes of the body"):
            await session.get(retries=0)
        assert (await session.get()).content == b"ok"


async def test_use_after_an_error(peer: MakePeer) -> None:
    """After any error the next request works."""
    server = peer(
        [expect(), send(b"\xff\xfe garbage")],
        [expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), half_close()],
        ECHOING,
    )
    async with HSession(server.url) as session:
        for _ in range(2):
            with pytest.raises((BadHttpResponse, ServerClosedConnectionError)):
                await session.get()
            assert session.pool_stats()["open"] == 0
        assert (await session.get(path="/z")).text == "/z"


# -- answers before the request is out -----------------------------------------------------------


BIG = b"x" * 8_000_000
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge"


@pytest.mark.parametrize("ending", ["open", "closed", "reset", "half"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_early_response(peer: MakePeer, ending: str, streamed: bool) -> None:
    """A response received during the upload is returned, and the connection is not reused."""
    endings = {
        "open": [stop_reading()],
        "half": [half_close(), stop_reading()],
        "closed": [close()],
        "reset": [read(1), reset()],
    }
    script = [expect_head(), read(1000), send(TOO_LARGE), mark("responded"), *endings[ending]]
    server = peer(script, ECHOING, receive_buffer=8192)

    async def pieces() -> Any:
        for start in range(0, len(BIG), 100_000):
            yield BIG[start : start + 100_000]
            await server.reached("responded")

    async with HSession(server.url) as session:
        try:
            response = await session.post(path="/x", data=pieces() if streamed else BIG)
        except ServerClosedConnectionError:
            assert ending in ("reset", "closed")  # the reset may destroy the answer on its way
        else:
            assert (response.status_code, response.content) == (413, b"large")
        assert session.pool_stats()["open"] == 0
        assert (await session.get(path="/y")).text == "/y"
        server.release()
        assert server.requests[-1].connection == 1


async def test_early_response_to_slow_upload(peer: MakePeer) -> None:
    """An upload ends at its next piece after the response, although the socket takes all."""
    server = peer([expect_head(), read(5), send(TOO_LARGE), mark("responded"), stall()])
    produced = 0

    async def pieces() -> Any:
        nonlocal produced
        for _ in range(1000):
            produced += 1
            yield b"piece"
            await server.reached("responded")

    async with HSession(server.url) as session:
        response = await session.post(path="/x", data=pieces())
        assert (response.status_code, response.content) == (413, b"large")
        assert session.pool_stats()["open"] == 0
    assert produced < 100


async def test_many_origins(peer: MakePeer) -> None:
    """With fewer slots than origins connections are closed for others; no response is mixed up."""
    servers = [peer(ECHOING) for _ in range(6)]
    async with DSession(connections=2) as session:

        async def ask(number: int) -> None:
            url = f"{servers[number % 6].url}/{number}"
            assert (await session.get(url)).text == f"/{number}"

        async with curio.TaskGroup() as group:
            for number in range(120):
                await group.spawn(ask, number)
        assert session.pool_stats()["open"] <= 2
        assert session.pool_stats()["evicted"] + session.pool_stats()["created"] > 6
