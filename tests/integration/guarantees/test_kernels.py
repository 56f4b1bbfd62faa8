"""One session in several kernels, threads and processes; kernels that end during requests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import curio
import pytest
from support.script_steps import OK, SERVING, expect, repeat, send, stall
from support.scripted_server import MakePeer

from asks_fast import HSession
from asks_fast.errors import WrongThread


def test_one_session_in_two_kernels(peer: MakePeer) -> None:
    """A session made at module level works in two `curio.run` calls in sequence."""
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
    """The end of a kernel cancels its requests; the session works in the next kernel."""
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
    """A session in use in one thread raises in another, with a remedy; threads may use it one after
    another.
    """
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
    """A child process opens its own connections and does not touch those of its parent."""
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
        if timeout != 0 and session.pool_stats()["in_use"] == 20:
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
    """Standard output and error of `PROGRAM` after `send(process)` interrupted it."""
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
    assert "'open': 0, 'in_use': 0, 'idle': 0, 'waiting': 0" in out, (out, noise)
    assert out.rstrip().endswith("[]"), (out, noise)
    return out, noise


def test_ctrl_c(peer: MakePeer) -> None:
    """Ctrl-C while fifty requests wait ends the program without a word on stderr, without a
    descriptor or place left. (curio's kernel is interrupted where it waits: a signal in the middle
    of its own Python code may end it with tasks that it does not cancel.)"""
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
