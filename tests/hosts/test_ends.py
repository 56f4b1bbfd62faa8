"""What an event loop leaves behind when it ends: nothing, however it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from curio.traps import _kernel_trap
from support.script_steps import expect, repeat, send, stall
from support.scripted_server import MakePeer

from asks_fast import HSession
from asks_fast._guest import hosted
from asks_fast._kernel import Runtime

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ANSWERING = [repeat(expect(), send(OK))]
SILENT = [repeat(expect(), stall())]


async def begin(session: HSession) -> asyncio.Task[Any]:
    """A request that waits for its answer."""
    task = asyncio.create_task(session.get(path="/"))
    while not session.pool_stats()["in_use"]:
        await asyncio.sleep(0.001)
    return task


def test_requests_under_way(peer: MakePeer) -> None:
    """`asyncio.run` ends with requests under way: their connections are closed."""
    server = peer(SILENT)
    session = HSession(server.url)
    asyncio.run(begin(session))
    assert session.pool_stats()["open"] == 0
    asyncio.run(session.close())


def test_a_loop_closed_with_a_request_under_way(peer: MakePeer) -> None:
    """A loop that is closed without ending its tasks: what it held is freed with it."""
    server = peer(SILENT)
    session = HSession(server.url)
    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(begin(session))
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    del task, loop
    gc.collect()
    assert session.pool_stats()["in_use"] == 0
    asyncio.run(session.close())


def test_a_loop_that_ends_no_generators(peer: MakePeer) -> None:
    """`run_until_complete` and `close`, as old programs do it, with the session closed."""
    server = peer(ANSWERING)

    async def main() -> None:
        async with HSession(server.url) as session:
            await session.get(path="/")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    del loop
    gc.collect()


def test_loops_in_threads(peer: MakePeer) -> None:
    """A loop in each of several threads, at once."""
    server = peer(*[ANSWERING] * 8)
    done: list[int] = []

    async def main() -> None:
        async with HSession(server.url, connections=2) as session:
            answers = await asyncio.gather(*(session.get(path="/") for _ in range(50)))
            done.append(len(answers))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [50] * 4


def test_one_session_in_loop_after_loop(peer: MakePeer) -> None:
    """Its connections live on from one loop to the next."""
    server = peer(ANSWERING)
    session = HSession(server.url)
    for _ in range(3):
        assert asyncio.run(session.get(path="/")).content == b"ok"
    assert session.pool_stats()["created"] == 1
    asyncio.run(session.close())


def test_a_kernel_that_fails(peer: MakePeer) -> None:
    """If a trap fails, every request in the loop gets an error; the next has a fresh kernel."""
    server = peer(SILENT, ANSWERING)

    @hosted
    async def failing() -> None:
        await _kernel_trap("trap_that_is_none")

    async def main() -> None:
        async with HSession(server.url, connections=2) as session:
            task = await begin(session)
            with pytest.raises(KeyError):
                await failing()
            with pytest.raises(RuntimeError, match="kernel of this event loop failed"):
                await task
            assert session.pool_stats()["in_use"] == 0
            assert (await session.get(path="/")).content == b"ok"

    asyncio.run(main())


def test_kernels_are_freed(peer: MakePeer) -> None:
    """No kernel outlives its loop."""
    server = peer(*[ANSWERING] * 3)

    async def main() -> None:
        async with HSession(server.url) as session:
            await session.get(path="/")

    for _ in range(3):
        asyncio.run(main())
    gc.collect()
    assert not [o for o in gc.get_objects() if isinstance(o, Runtime) and o.host is not None]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child(peer: MakePeer) -> None:
    """A child that is forked inside a loop makes a loop of its own; the parent's goes on."""
    server = peer(ANSWERING, ANSWERING)

    async def main() -> None:
        async with HSession(server.url) as session:
            await session.get(path="/")
            child = os.fork()
            if not child:
                status = 1
                try:
                    asyncio._set_running_loop(None)
                    status = 0 if asyncio.run(session.get(path="/")).content == b"ok" else 2
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert (await session.get(path="/")).content == b"ok"
            assert session.pool_stats()["created"] == 1

    asyncio.run(main())


PROGRAM = """
import asyncio, os, signal, sys, threading
import asks_fast

async def main():
    async with asks_fast.HSession(sys.argv[1]) as session:
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGINT)
        await session.get(path="/")

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c(peer: MakePeer) -> None:
    """Ctrl-C ends a program that waits for a response, without a warning."""
    server = peer(SILENT)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", PROGRAM, server.url],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
