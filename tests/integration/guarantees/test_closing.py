"""Closed sessions, shared bodies, dropped responses: no task hangs, and nothing is left."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator
from typing import Any

import curio
import pytest
from support.script_steps import OK, SERVING, expect, expect_head, send, stall, stop_reading
from support.scripted_server import MakePeer

from asks_fast import DSession, HSession
from asks_fast.errors import SessionClosed, StreamConsumed


def session_that_never_resolves() -> HSession:
    """A session whose resolver does not return during a test."""

    async def resolver(host: str) -> list[str]:
        await curio.sleep(1000)
        return []

    return HSession("http://slow.test", resolver=resolver)


async def outcome_of(task: Any) -> BaseException | None:
    """The outcome of a task; one that does not end fails the test before its time limits."""
    await curio.timeout_after(60, task.wait)
    task.joined = True
    error: BaseException | None = task.exception
    return error


async def closed_while(session: Any, request: Any, ready: Any) -> BaseException | None:
    """The error of a request during which the session is closed; nothing may be left open."""
    task = await curio.spawn(request)
    await ready()
    await session.close()
    error = await outcome_of(task)
    stats = session.pool_stats()
    assert (stats["open"], stats["waiting"]) == (0, 0), stats
    return error


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nConte",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\n\r\nwhat ends with the connection",
    ],
    ids=["nothing", "head", "body", "long body", "chunk", "end by close"],
)
@pytest.mark.parametrize("reused", [False, True])
async def test_close_while_reading(peer: MakePeer, begun: bytes, reused: bool) -> None:
    """A request waiting for its response gets `SessionClosed`, with method and URL; nothing is sent
    again.
    """
    warm = [expect(), send(OK)] if reused else []
    server = peer([*warm, expect(), send(begun), stall()])
    session = HSession(server.url)
    if reused:
        await session.get()

    async def ready() -> None:
        await server.saw_requests(1 + reused)
        await curio.sleep(0.02)

    error = await closed_while(session, lambda: session.get(path="/x"), ready)
    assert isinstance(error, SessionClosed)
    assert str(error).startswith(f"GET {server.url}/x: the session was closed"), str(error)
    await server.all_closed()
    assert len(server.requests) == 1 + reused


async def test_close_while_reading_tls(tls_peer: MakePeer, client_context: Any) -> None:
    """The same through TLS."""
    server = tls_peer([expect(), send(b"HTTP/1.1 200 OK\r\n\r\nabc"), stall()])
    session = HSession(server.url.replace("127.0.0.1", "localhost"), ssl_context=client_context)
    error = await closed_while(session, session.get, lambda: server.saw_requests(1))
    assert isinstance(error, SessionClosed)


async def test_close_while_uploading(peer: MakePeer) -> None:
    """An upload that the server does not read ends."""
    server = peer([expect_head(), stop_reading()], receive_buffer=4096)
    session = HSession(server.url)
    error = await closed_while(
        session, lambda: session.post(data=b"x" * 8_000_000), lambda: server.saw_requests(1)
    )
    assert isinstance(error, SessionClosed)
    server.release()


async def test_close_while_the_body_is_awaited(peer: MakePeer) -> None:
    """A request whose body comes from a slow source ends when the source yields its next chunk."""
    server = peer([expect_head(), stall()])
    session = HSession(server.url)
    gate = curio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await gate.wait()
        yield b"second"

    task = await curio.spawn(lambda: session.post(data=pieces()))
    await server.saw_requests(1)
    await session.close()
    await gate.set()
    assert isinstance(await outcome_of(task), SessionClosed)
    await server.all_closed()


async def test_close_while_waiting(peer: MakePeer) -> None:
    """All waiting requests get `SessionClosed`."""
    server = peer([expect(), stall()])
    session = HSession(server.url)
    tasks = [await curio.spawn(session.get) for _ in range(50)]
    await server.saw_requests(1)
    await session.close()
    for task in tasks:
        error = await outcome_of(task)
        assert isinstance(error, SessionClosed)
        assert str(error).startswith(f"GET {server.url}/"), str(error)
    assert session.pool_stats()["waiting"] == 0


async def test_close_while_connecting(peer: MakePeer) -> None:
    """Connecting ends at once: with a full backlog, and during a handshake."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
        fillers.append(filler)
    server = peer([stall()])
    try:
        for url in (
            f"http://127.0.0.1:{full.getsockname()[1]}/x",
            server.url.replace("http:", "https:") + "/x",
        ):
            session = DSession()

            async def ready(session: Any = session) -> None:
                while session.pool_stats()["opening"] == 0:
                    await curio.sleep(0.001)
                await curio.sleep(0.02)

            error = await closed_while(session, lambda s=session, u=url: s.get(u), ready)
            assert isinstance(error, SessionClosed), error
            assert str(error).startswith(f"GET {url}: the session was closed"), str(error)
    finally:
        for filler in fillers:
            filler.close()
        full.close()


async def test_close_while_resolving() -> None:
    """A resolution that hangs ends at once."""
    session = session_that_never_resolves()

    async def ready() -> None:
        await curio.sleep(0.02)

    error = await closed_while(session, session.get, ready)
    assert isinstance(error, SessionClosed)


async def test_a_task_goes_on_after_the_close() -> None:
    """A task whose connecting was ended can catch the error, wait, and be cancelled."""
    session = session_that_never_resolves()
    seen: list[str] = []

    async def stubborn() -> None:
        try:
            await curio.timeout_after(500, session.get)
        except SessionClosed:
            seen.append("closed")
        await curio.sleep(0.01)
        seen.append("slept")
        try:
            await curio.sleep(1000)
        except curio.TaskCancelled:
            seen.append("cancelled")
            raise

    task = await curio.spawn(stubborn)
    await curio.sleep(0.02)
    await session.close()
    await curio.sleep(0.05)
    await task.cancel()
    assert seen == ["closed", "slept", "cancelled"]


async def test_close_and_cancel_at_once() -> None:
    """A cancellation at the same moment as the close is not lost."""
    session = session_that_never_resolves()
    seen: list[str] = []

    async def stubborn() -> None:
        try:
            await session.get()
        except SessionClosed:
            seen.append("closed")
        await curio.sleep(1000)
        seen.append("never")

    task = await curio.spawn(stubborn)
    await curio.sleep(0.02)
    await session.close()
    await curio.timeout_after(60, task.cancel)
    assert seen in ([], ["closed"])


async def test_close_with_open_streams(peer: MakePeer) -> None:
    """A stream that is not being read is closed with the session, and raises when it is read."""
    server = peer([expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), stall()])
    session = HSession(server.url)
    response = await session.get(stream=True)
    assert await response.body.__anext__() == b"ab"
    await session.close()
    await server.all_closed()
    with pytest.raises(SessionClosed):
        await response.body.__anext__()
    await response.body.close()


async def test_close_while_a_stream_is_read(peer: MakePeer) -> None:
    """A task that waits for the next chunk gets `SessionClosed`."""
    server = peer([expect(), send(b"HTTP/1.1 200 OK\r\n\r\nab"), stall()])
    session = HSession(server.url)
    response = await session.get(stream=True)

    async def ready() -> None:
        await curio.sleep(0.02)

    error = await closed_while(session, response.body.read, ready)
    assert isinstance(error, SessionClosed)


async def test_close_is_final_and_repeatable(peer: MakePeer) -> None:
    """Closing again has no effect; later requests raise."""
    server = peer(SERVING)
    session = HSession(server.url)
    await session.get()
    for _ in range(3):
        await session.close()
        with pytest.raises(SessionClosed, match=r"^GET http://127.0.0.1:\d+/x"):
            await session.get(path="/x")
        with pytest.raises(SessionClosed):
            await session.post(data=b"x")
    await server.all_closed()
    assert len(server.requests) == 1
    assert "closed" in repr(session)


async def test_many_close_at_once(peer: MakePeer) -> None:
    """Several tasks may close one session, also tasks that use it."""
    server = peer([expect(), stall()])
    session = HSession(server.url)
    task = await curio.spawn(session.get)
    await server.saw_requests(1)
    async with curio.TaskGroup() as group:
        for _ in range(5):
            await group.spawn(session.close)
    assert isinstance(await outcome_of(task), SessionClosed)


# -- two tasks and one body ----------------------------------------------------------------------


async def test_two_tasks_read_one_body(peer: MakePeer) -> None:
    """A second reader raises; the first one continues."""
    server = peer(
        [expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"), stall(), send(b"cd")]
    )
    async with HSession(server.url) as session:
        response = await session.get(stream=True)
        reader = await curio.spawn(response.body.read)
        await curio.sleep(0.02)
        with pytest.raises(StreamConsumed):
            await response.body.__anext__()
        server.release()
        assert await reader.join() == b"abcd"
        assert session.pool_stats()["idle"] == 1


async def test_a_body_closed_under_its_reader(peer: MakePeer) -> None:
    """A task that waits for a chunk gets an error when another task closes the body."""
    server = peer([expect(), send(b"HTTP/1.1 200 OK\r\n\r\nab"), stall()], SERVING)
    async with HSession(server.url) as session:
        response = await session.get(stream=True)
        reader = await curio.spawn(response.body.read)
        await curio.sleep(0.02)
        await response.body.close()
        assert isinstance(await outcome_of(reader), StreamConsumed)
        assert session.pool_stats()["open"] == 0
        assert (await session.get()).content == b"ok"


# -- responses that are dropped ------------------------------------------------------------------


@pytest.mark.parametrize("keep", ["nothing", "response", "body"])
async def test_a_dropped_stream(peer: MakePeer, keep: str) -> None:
    """A stream that is dropped unread closes its connection and frees its slot without the garbage
    collector.
    """
    unread = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"
    server = peer([expect(), send(unread), stall()], SERVING)
    gc.disable()
    try:
        async with HSession(server.url) as session:
            response = await session.get(stream=True)
            body = response.body
            waiter = await curio.spawn(session.get)
            await server.until(lambda: session.pool_stats()["waiting"] == 1)
            if keep == "response":
                del body
            elif keep == "body":
                del response
            if keep != "nothing":
                await curio.sleep(0.02)
                assert session.pool_stats()["in_use"] == 1
            with pytest.warns(ResourceWarning, match="neither read to its end nor closed"):
                response = body = None  # the last to hold it
            assert (await curio.timeout_after(60, waiter.join)).content == b"ok"
            await server.until(lambda: server.connections[0].client_closed is not None)
    finally:
        gc.enable()


async def test_an_iterator_left_half_way(peer: MakePeer) -> None:
    """Leaving `async with` on the body early closes the connection and frees the slot."""
    server = peer(
        [expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), stall()], SERVING
    )
    async with HSession(server.url) as session:
        response = await session.get(stream=True)
        async with response.body as body:
            async for _ in body:
                break
        assert session.pool_stats()["open"] == 0
        assert (await session.get()).content == b"ok"
        with pytest.raises(StopAsyncIteration):
            await response.body.__anext__()
