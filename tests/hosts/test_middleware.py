"""Middleware in asyncio, trio and blocking code: it may await the functions of its host."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.hosts import ASYNCIO, run_trio
from support.script_steps import OK, expect, repeat, send
from support.scripted_server import MakePeer

from asks_fast import CallNext, HSession, PreparedRequest, Response, sync

ANSWERING = [repeat(expect(), send(OK))]


@pytest.mark.parametrize("run", [*ASYNCIO, run_trio], ids=lambda run: run.__name__)
@pytest.mark.parametrize("stream", [False, True])
def test_waits_of_the_host(peer: MakePeer, run: Any, stream: bool) -> None:
    """A middleware runs in the caller's task and awaits its event loop."""
    server = peer(ANSWERING)
    tasks: list[object] = []

    async def main() -> None:
        if run is run_trio:
            import trio

            sleep: Any = trio.sleep
            current: Any = trio.lowlevel.current_task
        else:
            sleep, current = asyncio.sleep, asyncio.current_task

        async def wait(request: PreparedRequest, call_next: CallNext) -> Any:
            tasks.append(current())
            await sleep(0.001)
            response = await call_next(request)
            await sleep(0.001)
            return response

        session = HSession(server.url, middleware=[wait])
        async with session, await session.get(stream=stream) as response:
            assert (await response.body.read() if stream else response.body) == b"ok"
        assert tasks == [current()]

    run(main)


@pytest.mark.usefixtures("kernel_of_thread")
def test_blocking(peer: MakePeer) -> None:
    """Blocking sessions and functions take the same middleware."""
    server = peer(*[ANSWERING] * 2)

    async def answer(request: PreparedRequest, call_next: CallNext) -> Any:
        if request.url.target == "/own":
            return Response(body=b"own")
        return await call_next(request)

    with sync.HSession(server.url, middleware=[answer]) as session:
        assert session.get(path="/own").content == b"own"
        assert session.get(path="/own", stream=True).body.read() == b"own"
        assert session.get(path="/").content == b"ok"
        results = session.gather(["/own", "/"])
    assert [result.unwrap().content for result in results] == [b"own", b"ok"]
    assert sync.get(server.url, middleware=[answer]).content == b"ok"
