"""Calls of several threads at the same time: each runs in the kernel of its own thread.

A call looks for its kernel in steps, some of which run Python code. Python may switch to another
thread there. These tests make that switch at the worst moment, every time.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import curio
import pytest
import trio
from support.hosts import ANSWERING
from support.scripted_server import MakePeer

from asks_fast import HSession, sync
from asks_fast._curio import kernel_locals
from asks_fast._guest import trio_host


def run_before(function: Callable[[], Any], work: Callable[[], object]) -> Callable[[], Any]:
    """Return `function`, but its first call runs `work` in another thread before."""
    todo = [work]

    def called() -> Any:
        if todo:
            thread = threading.Thread(target=todo.pop())
            thread.start()
            thread.join()
        return function()

    return called


@pytest.mark.usefixtures("kernel_of_thread")
def test_blocking_calls(peer: MakePeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blocking call of another thread does not change the kernel of a call that begins."""
    server = peer(*[ANSWERING] * 2)
    found: list[int] = []

    def other() -> None:
        found.append(sync.get(server.url).status_code)

    monkeypatch.setattr(trio.lowlevel, "in_trio_run", run_before(trio.lowlevel.in_trio_run, other))
    found.append(sync.get(server.url).status_code)
    assert found == [200, 200]


@pytest.mark.usefixtures("kernel_of_thread")
def test_blocking_call_while_trio_is_imported(
    peer: MakePeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blocking call works while another thread has begun to import trio."""
    server = peer(ANSWERING)
    monkeypatch.setitem(sys.modules, "trio", SimpleNamespace())  # type: ignore[misc]
    assert sync.get(server.url).status_code == 200


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_calls_in_event_loops(
    peer: MakePeer, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """A call in the event loop of another thread does not change the loop of a call that begins."""
    server = peer(*[ANSWERING] * 2)
    found: list[bytes] = []
    monkeypatch.setattr(trio_host, "_trio_data", lambda: None)  # so that trio's function is called

    async def other() -> None:
        async with HSession(server.url) as session:
            found.append((await session.get(path="/")).content)

    async def main() -> None:
        async with HSession(server.url) as session:
            await session.get(path="/")  # the next call finds the host of this one
            check = "current_task" if library == "trio" else "in_trio_task"
            monkeypatch.setattr(
                trio_host, check, run_before(getattr(trio_host, check), lambda: run(other))
            )
            found.append((await session.get(path="/")).content)

    def run(function: Callable[[], Any]) -> None:
        trio.run(function) if library == "trio" else asyncio.run(function())

    run(main)
    assert found == [b"ok", b"ok"]


def test_data_of_an_ended_thread(peer: MakePeer) -> None:
    """Freeing the data of the thread that called last may run a call of another thread."""
    server = peer(*[ANSWERING] * 3)
    is_running, is_done = threading.Event(), threading.Event()

    async def get() -> bytes:
        async with HSession(server.url) as session:
            return (await session.get(path="/")).content

    async def get_and_wait() -> None:
        await get()
        is_running.set()
        await curio.run_in_thread(is_done.wait)

    class StartsThread:
        def __del__(self) -> None:
            other.start()
            is_running.wait()

    def work() -> None:
        kernel_locals.of_test = StartsThread()  # type: ignore[attr-defined]
        curio.run(get)

    other = threading.Thread(target=curio.run, args=(get_and_wait,))
    ended = threading.Thread(target=work)
    ended.start()
    ended.join()
    try:
        assert asyncio.run(get()) == b"ok"
    finally:
        is_done.set()
        gc.collect()
        other.join()
