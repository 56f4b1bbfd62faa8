"""Ctrl-C between two lines of a time limit, where a slot is reserved and not in use yet.

Facts:  a request by a plan with `timeout` claims its place before curio's `timeout_after` runs what
        uses it. Python raises KeyboardInterrupt between two lines; a trace function can do so at
        one that it chooses, so no signal has to be in time.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

import curio
import pytest
from support.script_steps import OK, expect, repeat, send
from support.scripted_server import Peer

from asks_fast import HSession, _deadlines

TIME_LIMITS = {
    curio.timeout_after.__code__.co_filename,
    _deadlines.timeout_after.__code__.co_filename,
}


class Interrupter:
    """Raise KeyboardInterrupt at the n-th executed line of the files in TIME_LIMITS."""

    def __init__(self, place: int) -> None:
        self.left = place
        self.struck = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in TIME_LIMITS:
            return None
        if event == "line" and not self.struck:
            self.left -= 1
            if self.left < 0:
                self.struck = True
                raise KeyboardInterrupt
        return self


@types.coroutine
def interrupted(coroutine: Coroutine[Any, Any, Any], interrupter: Interrupter) -> Any:
    """Await `coroutine`, traced; its result, or None if it raised the interrupt."""
    step: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731
    while True:
        before = sys.gettrace()
        sys.settrace(interrupter)
        try:
            trap = step()
        except StopIteration as done:
            return done.value
        except KeyboardInterrupt:
            return None
        finally:
            sys.settrace(before)
        try:
            answer = yield trap
        except BaseException as error:
            raised = error
            step = lambda: coroutine.throw(raised)  # noqa: B023, E731
        else:
            step = lambda: coroutine.send(answer)  # noqa: B023, E731


async def interrupt(coroutine: Coroutine[Any, Any, Any], interrupter: Interrupter) -> Any:
    """Run in a task of its own, so that what curio loses by the interrupt ends with it."""
    return await interrupted(coroutine, interrupter)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_reserved_slot(peer: Callable[..., Peer]) -> None:
    """After an interrupt at any line the slot is free, and the next request uses it."""
    server = peer([repeat(expect(), send(OK))], backlog=1024)
    strikes = 0
    # One exchange to a connection: every request claims a place.
    async with HSession(server.url, connections=1, max_requests_per_connection=1) as session:
        await session.get(timeout=60)  # makes the plan
        while True:
            interrupter = Interrupter(strikes)
            task = await curio.spawn(interrupt, session.get(timeout=60), interrupter)
            response = await task.join()
            stats = session.pool_stats()
            assert stats["open"] == stats["in_use"] == stats["opening"] == 0, (strikes, stats)
            r = await curio.timeout_after(60, session.get)
            assert r.content == b"ok"
            if not interrupter.struck:
                break
            strikes += 1
        assert response.content == b"ok"
    assert strikes > 5
