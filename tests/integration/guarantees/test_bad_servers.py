"""Servers that close, reset, speak out of turn or answer early (promises 1, 2, 3 and 6)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any

import curio
import pytest
from support.faults import CutAfter, FaultProxy, Garbage, HalfCloseAfter, ResetAfter, plan
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
    tls_close,
)
from support.scripted_server import MakePeer

from asks_fast import DSession, HSession
from asks_fast.errors import BadHttpResponse, ServerClosedConnectionError

MakeProxy = Callable[..., FaultProxy]


def echo(connection: Any) -> bytes:
    """An answer that names what was asked."""
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
    """An answer cut off after any of its bytes is an error; the place is free, and the next
    request works."""
    answer = ANSWERS[kind]
    server = peer([repeat(expect(), send(answer))])
    places = [*range(0, len(answer), 3), len(answer) - 1]
    proxy = fault_proxy(
        server, *(p for at in places for p in (plan(down=[fault(at)]), plan())), plan()
    )
    async with HSession(proxy.url, max_requests_per_connection=1) as session:
        for at in places:
            with pytest.raises(ServerClosedConnectionError, match=r"^GET http://127.0.0.1:\d+/x: "):
                await session.get(path="/x", retries=0)
            assert session.pool_stats()["open"] == 0, at
            assert (await session.get(path="/x")).content == b"0123456789"


async def test_garbage_at_every_byte(peer: MakePeer, fault_proxy: MakeProxy) -> None:
    """Garbage anywhere in an answer gives an error, or stays what it is: bytes of the body."""
    answer = ANSWERS["chunked"]
    server = peer([repeat(expect(), send(answer))])
    places = range(0, len(answer), 2)
    proxy = fault_proxy(server, *(plan(down=[Garbage(at)]) for at in places))
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


async def test_closed_before_an_answer(peer: MakePeer) -> None:
    """A server that closes a fresh connection without a word is an error, and not asked again."""
    server = peer([expect(), close()])
    async with HSession(server.url) as session:
        with pytest.raises(ServerClosedConnectionError, match=r"^GET .* before it answered( \[|$)"):
            await session.get(path="/x")
        with pytest.raises(ServerClosedConnectionError):
            await session.post(path="/x", data=b"x")
    assert len(server.requests) == 2


async def test_other_connections_go_on(peer: MakePeer) -> None:
    """A reset of one connection touches no other."""
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
    """Serves one request, then reads the next one's head and closes."""
    return [expect(), send(echo), expect_head(), *([send(sends)] if sends else []), close()]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"])
async def test_stale_idempotent(peer: MakePeer, method: str) -> None:
    """A request that can be repeated goes out once more, over a fresh connection, exactly once."""
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
    """Several stale connections are not tried in turn: one retry, over a fresh one."""
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
    """What may have been done already is never sent again."""
    server = peer(stale(), ECHOING)
    async with HSession(server.url) as session:
        await session.get(path="/1")
        with pytest.raises(ServerClosedConnectionError, match=f"^{method} "):
            await session.request(method, path="/2", data=b"x")
        assert [r.target for r in server.requests] == ["/1", "/2"]


async def test_stale_after_a_first_byte(peer: MakePeer) -> None:
    """Once a byte of the answer came, nothing is sent again."""
    server = peer(stale(b"H"), ECHOING)
    async with HSession(server.url) as session:
        await session.get(path="/1")
        with pytest.raises(ServerClosedConnectionError, match="in the middle of the head: b'H'"):
            await session.get(path="/2")
        assert [r.target for r in server.requests] == ["/1", "/2"]


async def test_stale_with_a_body_that_is_gone(peer: MakePeer) -> None:
    """A body that can't be given again is never sent twice."""
    server = peer([expect(), send(echo), expect(), close()], ECHOING)

    def pieces() -> Iterable[bytes]:
        yield b"once"

    async with HSession(server.url) as session:
        await session.get(path="/1")
        with pytest.raises(ServerClosedConnectionError):
            await session.put(path="/2", data=pieces())
        assert [r.target for r in server.requests] == ["/1", "/2"]


async def test_no_retries_if_not_wanted(peer: MakePeer) -> None:
    """`retries=0` leaves even the safe one out."""
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
    """A server that gives up an idle connection with a 408 just as a request goes out has not seen
    it: as on a connection closed without a word, it goes once more (RFC 9110 §15.5.9)."""
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
async def test_408_that_is_the_answer(peer: MakePeer, method: str, options: dict[str, Any]) -> None:
    """What may not go twice gets the 408, and so does a request over a fresh connection."""
    server = peer([expect(), send(echo), expect(), send(LATE), close()], [expect(), send(LATE)])
    async with HSession(server.url) as session:
        await session.get(path="/1")
        assert (await session.request(method, path="/2", **options)).status_code == 408
        assert (await session.get(path="/3")).status_code == 408
    assert [r.target for r in server.requests] == ["/1", "/2", "/3"]


async def test_closed_after_every_few_requests(peer: MakePeer) -> None:
    """A server that closes after seven requests, unannounced, fails none of a hundred."""
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
    """What is announced closed is not used again, even if it stays open; what was closed without
    a word is replaced without a failure."""
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


# -- bytes that nobody asked for -----------------------------------------------------------------


UNASKED = [
    b"\r\n",
    b"garbage",
    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("words", UNASKED)
@pytest.mark.parametrize("pause", [0.0, 0.06])
async def test_bytes_on_an_idle_connection(peer: MakePeer, words: bytes, pause: float) -> None:
    """What a server says on an idle connection is never an answer: it is closed unread."""
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
async def test_bytes_behind_an_answer(peer: MakePeer, words: bytes) -> None:
    """Bytes in the same packet as the answer, with others waiting for the connection: they get
    another one."""
    server = peer([expect(), send(lambda connection: echo(connection) + words), stall()], ECHOING)
    async with HSession(server.url) as session:

        async def ask(number: int) -> None:
            assert (await session.get(path=f"/{number}")).text == f"/{number}"

        async with curio.TaskGroup() as group:
            for number in range(20):
                await group.spawn(ask, number)
        assert session.pool_stats()["created"] == 2


async def test_a_server_that_speaks_first(peer: MakePeer) -> None:
    """A greeting before any request is no answer that we would hand out as one to HTTP."""
    server = peer([send(b"220 mail.test ESMTP\r\n"), expect()])
    async with HSession(server.url) as session:
        with pytest.raises(BadHttpResponse, match=r"not an HTTP/1\.x response: b'220 mail\.test"):
            await session.get()
        assert session.pool_stats()["open"] == 0


async def test_answers_belong_to_their_questions(peer: MakePeer) -> None:
    """Five hundred requests over five connections, streamed and whole, each get their own echo."""
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


async def test_tls_end_without_goodbye(tls_peer: MakePeer, client_context: Any) -> None:
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
    """Whatever a server does, the next request works."""
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
async def test_early_answer(peer: MakePeer, ending: str, streamed: bool) -> None:
    """An answer that comes while the body is still going out wins, and the connection, on which
    half a request stands, is not used again."""
    endings = {"open": [stall()], "closed": [close()], "reset": [read(1), reset()]}
    script = [expect_head(), read(1000), send(TOO_LARGE), *endings.get(ending, [half_close()])]
    server = peer(script, ECHOING, receive_buffer=8192)

    async def pieces() -> Any:
        for start in range(0, len(BIG), 100_000):
            yield BIG[start : start + 100_000]

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


async def test_many_origins(peer: MakePeer) -> None:
    """With fewer places than origins connections are closed for others, and no answer is mixed."""
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
