"""The end of an event loop, in every way that it can end, frees what its kernel holds."""

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
from support.hosts import ANSWERING, SILENT
from support.scripted_server import MakePeer

from asks_fast import HSession
from asks_fast._guest import hosted
from asks_fast._kernel import Runtime


async def start(session: HSession) -> asyncio.Task[Any]:
    """Start a request that waits for its response."""
    task = asyncio.create_task(session.get(path="/"))
    while not session.pool_stats()["in_use"]:
        await asyncio.sleep(0.001)
    return task


def test_loop_ends_during_requests(peer: MakePeer) -> None:
    """If `asyncio.run` ends while requests run, their connections are closed."""
    server = peer(SILENT)
    session = HSession(server.url)
    asyncio.run(start(session))
    assert session.pool_stats()["open"] == 0
    asyncio.run(session.close())


def test_loop_closed_during_request(peer: MakePeer) -> None:
    """A loop that is closed with running tasks frees what they hold."""
    server = peer(SILENT)
    session = HSession(server.url)
    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(start(session))
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    del task, loop
    gc.collect()
    assert session.pool_stats()["in_use"] == 0
    asyncio.run(session.close())


def test_loop_closed_without_shutdown_asyncgens(peer: MakePeer) -> None:
    """A loop that is closed without `shutdown_asyncgens` ends its kernel."""
    server = peer(ANSWERING)

    async def main() -> None:
        async with HSession(server.url) as session:
            await session.get(path="/")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    del loop
    gc.collect()


def test_forgotten_session(peer: MakePeer) -> None:
    """The warning about a session that was not closed says how many connections it had."""
    server = peer(ANSWERING)

    async def main() -> None:
        session = HSession(server.url, connections=4)
        await session.get(path="/")
        with pytest.warns(ResourceWarning, match="1 of 4 connections open> was never closed"):
            del session

    asyncio.run(main())


def test_loops_in_threads(peer: MakePeer) -> None:
    """Loops in several threads can run at the same time."""
    server = peer(*[ANSWERING] * 8)
    done: list[int] = []

    async def main() -> None:
        async with HSession(server.url, connections=2) as session:
            responses = await asyncio.gather(*(session.get(path="/") for _ in range(50)))
            done.append(len(responses))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [50] * 4


def test_session_in_several_loops(peer: MakePeer) -> None:
    """A session keeps its connections from one loop to the next."""
    server = peer(ANSWERING)
    session = HSession(server.url)
    for _ in range(3):
        assert asyncio.run(session.get(path="/")).content == b"ok"
    assert session.pool_stats()["created"] == 1
    asyncio.run(session.close())


def test_failed_kernel(peer: MakePeer) -> None:
    """If a trap fails, every request in the loop gets an error; the next one has a new kernel."""
    server = peer(SILENT, ANSWERING)

    @hosted
    async def failing() -> None:
        await _kernel_trap("trap_unknown")

    async def main() -> None:
        async with HSession(server.url, connections=2) as session:
            task = await start(session)
            with pytest.raises(KeyError):
                await failing()
            with pytest.raises(RuntimeError, match="kernel of this event loop failed"):
                await task
            assert session.pool_stats()["in_use"] == 0
            assert (await session.get(path="/")).content == b"ok"

    asyncio.run(main())


def test_kernels_are_freed(peer: MakePeer) -> None:
    """No kernel exists longer than its loop."""
    server = peer(*[ANSWERING] * 3)

    async def main() -> None:
        async with HSession(server.url) as session:
            await session.get(path="/")

    for _ in range(3):
        asyncio.run(main())
    gc.collect()
    assert not [o for o in gc.get_objects() if isinstance(o, Runtime) and o.host is not None]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_forked_child(peer: MakePeer) -> None:
    """A child that is forked in a loop can run a new loop; the parent's loop goes on."""
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
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 60  # a busy machine is not a failure
    async with asks_fast.HSession(sys.argv[1]) as session:
        loop.call_later(0.1, os.kill, os.getpid(), signal.SIGINT)
        await session.get(path="/")

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c(peer: MakePeer) -> None:
    """Ctrl-C ends a program that waits for a response, without warnings."""
    server = peer(SILENT)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", PROGRAM, server.url],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


WITHOUT_TRIO = """
import asyncio, sys
sys.modules["trio"] = None  # what a test of a program does to block an import
import asks_fast
print(asyncio.run(asks_fast.get(sys.argv[1])).status_code)
"""


def test_blocked_trio(peer: MakePeer) -> None:
    """Requests work in a program that has blocked the import of trio."""
    server = peer(ANSWERING)
    command = [sys.executable, "-c", WITHOUT_TRIO, server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("200\n", "")
