"""Programs in event loops of other libraries: servers, how they run, cancellation at a chosen wait.

Rules:  waits are counted, so that no sleep decides where a cancellation comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import types
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from support.script_steps import OK, drip, expect, repeat, send, stall

Main = Callable[[], Coroutine[Any, Any, Any]]

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n4\r\ndefg\r\n0\r\nT: u\r\n\r\n"
)
ANSWERING = [repeat(expect(), send(OK))]
DRIPPING = [repeat(expect(), drip(CHUNKED, 7, 0.001))]
FEWEST_WAITS = 2  # of a request to a `DRIPPING` peer, unless several pieces arrive at once
IN_PIECES = [repeat(expect(), drip(CHUNKED, 30))]
SILENT = [repeat(expect(), stall())]

# How many requests end at random moments.
storms = pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])


def run_asyncio(main: Main) -> Any:
    """In a loop of asyncio."""
    return asyncio.run(main())


def run_debug(main: Main) -> Any:
    """In asyncio's debug mode."""
    return asyncio.run(main(), debug=True)


def run_eager(main: Main) -> Any:
    """With tasks that begin before `create_task` returns."""
    if sys.version_info < (3, 12):
        pytest.skip("eager tasks came with Python 3.12")

    async def eager() -> Any:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        return await main()

    return asyncio.run(eager())


def run_uvloop(main: Main) -> Any:
    """In a loop of uvloop."""
    uvloop = pytest.importorskip("uvloop")
    return uvloop.run(main())


def run_trio(main: Main) -> Any:
    """In trio."""
    trio = pytest.importorskip("trio")
    return trio.run(main)


def open_pipe_of_libuv() -> None:
    """Make what libuv keeps for the life of the process, and no test has left open."""
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.new_event_loop().close()


open_pipe_of_libuv()

ASYNCIO = [run_asyncio, run_debug, run_eager, run_uvloop]


@types.coroutine
def acting_at(place: int, coroutine: Coroutine[Any, Any, Any], act: Callable[[], Any]) -> Any:
    """Await `coroutine`; call `act` as it begins its wait number `place` (from 0)."""
    waits = 0
    step: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731
    while True:
        try:
            waited_for = step()
        except StopIteration as done:
            return done.value
        if waits == place:
            act()
        waits += 1
        try:
            answer = yield waited_for
        except BaseException as error:
            raised = error
            step = lambda: coroutine.throw(raised)  # noqa: B023, E731
        else:
            step = lambda: coroutine.send(answer)  # noqa: B023, E731
