"""Sessions closed, dropped, shared, forked, and kernels that end: nobody hangs, nothing is left."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import curio
import pytest
from support.peer import Peer
from support.steps import OK, deaf, expect, expect_head, repeat, send, stall, tls_close

from asks_fast import DSession, HSession
from asks_fast.errors import (
    ConnectivityError,
    ServerClosedConnectionError,
    SessionClosed,
    StreamConsumed,
    WrongThread,
)

MakePeer = Callable[..., Peer]
SERVING = [repeat(expect(), send(OK))]


async def outcome_of(task: Any) -> BaseException | None:
    """What a task ended with; one that does not end fails the test, long before its time limits."""
    await curio.timeout_after(60, task.wait)
    task.joined = True
    error: BaseException | None = task.exception
    return error


async def closed_while(session: Any, request: Any, ready: Any) -> BaseException | None:
    """The error of a request during which the session is closed; nothing may be left of it."""
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
    """A request that waits for its answer gets `SessionClosed`, with method and URL; half an
    answer is never taken for a whole one, and nothing is sent again."""
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
    """The same behind TLS."""
    server = tls_peer([expect(), send(b"HTTP/1.1 200 OK\r\n\r\nabc"), stall()])
    session = HSession(server.url.replace("127.0.0.1", "localhost"), ssl_context=client_context)
    error = await closed_while(session, session.get, lambda: server.saw_requests(1))
    assert isinstance(error, SessionClosed)


async def test_close_while_uploading(peer: MakePeer) -> None:
    """An upload that the server does not take ends."""
    server = peer([expect_head(), deaf()], receive_buffer=4096)
    session = HSession(server.url)
    error = await closed_while(
        session, lambda: session.post(data=b"x" * 8_000_000), lambda: server.saw_requests(1)
    )
    assert isinstance(error, SessionClosed)
    server.release()


async def test_close_while_the_body_is_awaited(peer: MakePeer) -> None:
    """A request whose body comes from a slow source ends once the source says its next piece."""
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


async def test_close_while_in_line(peer: MakePeer) -> None:
    """Whoever waits in line gets `SessionClosed`, all of them."""
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
    """A connect that gets no answer ends at once: a full backlog, and a handshake."""
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
    """A lookup that hangs ends at once."""

    async def resolver(host: str) -> list[str]:
        await curio.sleep(1000)
        return []

    session = HSession("http://slow.test", resolver=resolver)

    async def ready() -> None:
        await curio.sleep(0.02)

    error = await closed_while(session, session.get, ready)
    assert isinstance(error, SessionClosed)


async def test_a_task_goes_on_after_the_close() -> None:
    """A task whose connect was ended can catch the error, wait, and be cancelled as ever."""

    async def resolver(host: str) -> list[str]:
        await curio.sleep(1000)
        return []

    session = HSession("http://slow.test", resolver=resolver)
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
    """A cancellation in the same moment as the close is not lost."""

    async def resolver(host: str) -> list[str]:
        await curio.sleep(1000)
        return []

    session = HSession("http://slow.test", resolver=resolver)
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
    """A stream that nobody reads just now is closed with the session, and says so when read."""
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
    """Closing again does nothing; requests after it are refused."""
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
    """Several tasks may close one session, also from within it."""
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
    """The second reader is refused; the first goes on."""
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
    """A task that waits for a chunk is told when another one closes the body."""
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
    """A stream that is dropped unread closes its connection at once, without the collector, frees
    its place and wakes who waits; as long as its response or body is held it stays."""
    unread = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"
    server = peer([expect(), send(unread), stall()], SERVING)
    gc.disable()
    try:
        async with HSession(server.url) as session:
            response = await session.get(stream=True)
            body = response.body
            waiter = await curio.spawn(session.get)
            await curio.sleep(0)
            assert session.pool_stats()["waiting"] == 1
            if keep == "response":
                del body
            elif keep == "body":
                del response
            if keep != "nothing":
                await curio.sleep(0.02)
                assert session.pool_stats()["lent"] == 1
            with pytest.warns(ResourceWarning, match="neither read to its end nor closed"):
                response = body = None  # the last to hold it
            assert (await curio.timeout_after(60, waiter.join)).content == b"ok"
            await server.until(lambda: server.connections[0].client_closed is not None)
    finally:
        gc.enable()


async def test_an_iterator_left_half_way(peer: MakePeer) -> None:
    """Leaving `async with` on the body early closes the connection and frees the place."""
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


# -- kernels and threads -------------------------------------------------------------------------


def test_one_session_in_two_kernels(peer: MakePeer) -> None:
    """A session made at module level works in one `curio.run` after the other."""
    server = peer(SERVING)
    session = HSession(server.url, connections=3)

    async def use() -> list[bytes]:
        tasks = [await curio.spawn(session.get) for _ in range(10)]
        return [(await task.join()).content for task in tasks]

    for _ in range(3):
        assert curio.run(use) == [b"ok"] * 10
    assert len(server.connections) <= 3
    curio.run(session.close)


def test_a_kernel_that_ends_with_requests_under_way(peer: MakePeer) -> None:
    """The end of a kernel cancels its requests; the session serves the next kernel."""
    server = peer([expect(), stall()], SERVING)
    session = HSession(server.url)

    async def leave() -> None:
        for _ in range(5):
            await curio.spawn(session.get, daemon=True)
        await server.saw_requests(1)

    async def use() -> bytes:
        content: bytes = (await session.get()).content
        await session.close()
        return content

    curio.run(leave)
    stats = session.pool_stats()
    assert (stats["open"], stats["waiting"]) == (0, 0)
    assert curio.run(use) == b"ok"


def test_a_second_thread(peer: MakePeer) -> None:
    """A session at work in one thread refuses another, with an error that says what to do; used
    one after the other, threads are welcome."""
    server = peer([repeat(expect(), send(OK), stall(), expect(), send(OK))])
    session = HSession(server.url, connections=5)
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            curio.run(session.get)
        except BaseException as error:
            errors.append(error)

    async def use() -> None:
        await session.get()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        while thread.is_alive():
            await curio.sleep(0.005)
        thread.join()

    curio.run(use)
    assert [type(error) for error in errors] == [WrongThread]
    assert "a session for each thread" in str(errors[0])
    server.release()
    errors.clear()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert errors == []
    curio.run(session.close)


def test_a_forked_child(peer: MakePeer) -> None:
    """A child process opens its own connections and never touches those of its parent, idle,
    lent or waited for; the parent notices nothing."""
    server = peer(
        [expect(), send(OK), expect(), send(OK)],
        [expect(), stall(), send(OK)],
        SERVING,
    )
    session = HSession(server.url, connections=2)

    async def in_child() -> bytes:
        results = []
        async with curio.TaskGroup(wait=all) as group:
            for _ in range(3):
                await group.spawn(session.get)
            async for task in group:
                results.append(task.result.content)
        await session.close()
        return b" ".join(results)

    async def use() -> None:
        await session.get()
        busy = await curio.spawn(session.get)
        other = await curio.spawn(session.get)
        await server.saw_requests(3)
        assert (await other.join() if other.terminated else None) is None or True
        child = await curio.run_in_thread(_run_in_child, in_child)
        assert child == b"ok ok ok"
        server.release()
        assert (await busy.join()).content == b"ok"
        assert (await other.join()).content == b"ok"
        await session.close()

    curio.run(use)
    assert session.pool_stats()["open"] == 0


def _run_in_child(function: Any) -> bytes:
    ours, theirs = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.write(theirs, curio.Kernel().run(function) or b"nothing")
        except BaseException as error:
            os.write(theirs, repr(error).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(process, 0)
    said = os.read(ours, 1000)
    os.close(ours)
    return said


PROGRAM = """
import curio, gc, os, selectors, signal, sys
from asks_fast import HSession, kernel

session = HSession(sys.argv[1], connections=20)

async def main():
    async with curio.TaskGroup() as group:
        for n in range(50):
            await group.spawn(session.get)
        print("ready", flush=True)

class Interrupted(selectors.DefaultSelector):
    def select(self, timeout=None):
        if timeout != 0 and session.pool_stats()["lent"] == 20:
            signal.raise_signal(signal.SIGINT)
        return super().select(timeout)

try:
    if sys.argv[2] == "stock":
        curio.run(main, selector=Interrupted())
    else:
        kernel.run(main)
except KeyboardInterrupt:
    interrupted = True  # whose traceback holds what the interrupted lines had in hand
if interrupted:
    gc.collect()
    left = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
            if os.path.lexists(f"/proc/self/fd/{fd}")]
    print("interrupted", session.pool_stats(), [x for x in left if "socket" in x], flush=True)
"""


def interrupted_program(url: str, kernel: str, send: Callable[[Any], None]) -> tuple[str, str]:
    """What `PROGRAM` says and complains of after `send(process)` saw to its interruption."""
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", PROGRAM, url, kernel],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            send(process)
            out, noise = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 0, noise
    assert out.startswith("interrupted"), (out, noise)
    assert "'open': 0, 'lent': 0, 'idle': 0, 'waiting': 0" in out, (out, noise)
    assert out.rstrip().endswith("[]"), (out, noise)
    return out, noise


def test_ctrl_c(peer: MakePeer) -> None:
    """Ctrl-C while fifty requests wait ends the program without a word on stderr, without a
    descriptor or place left. (curio's kernel is interrupted where it waits: a signal in the middle
    of its own Python code may end it with tasks that nobody cancels, whatever they do.)"""
    server = peer([expect(), stall()])
    _, noise = interrupted_program(server.url, "stock", lambda process: None)
    assert noise == ""


@pytest.mark.parametrize("requests", [1, 3, 8, 13, 19, 20])
def test_ctrl_c_at_any_moment(peer: MakePeer, requests: int) -> None:
    """In asks_fast's kernel a signal may come at any moment: connecting, sending, in line; if it
    hits a task curio logs that, and nothing is left all the same."""
    pytest.importorskip("asks_fast.kernel", reason="asks_fast.kernel is not built")
    server = peer([expect(), stall()])

    def interrupt(process: Any) -> None:
        server.wait(lambda: len(server.requests) >= requests)
        process.send_signal(signal.SIGINT)

    interrupted_program(server.url, "own", interrupt)


# -- what must never be taken for an answer ------------------------------------------------------


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
        [expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), half()],
        SERVING,
    )
    async with HSession(server.url) as session:
        for _ in range(2):
            with pytest.raises((ConnectivityError, Exception)):
                await session.get()
            assert session.pool_stats()["open"] == 0
        assert (await session.get()).content == b"ok"


def half() -> Any:
    return lambda connection: connection.sock.shutdown(socket.SHUT_WR)
