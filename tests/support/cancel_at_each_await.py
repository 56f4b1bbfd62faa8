"""Cancel a coroutine at its n-th wait, for every n: which one leaves something behind?

Facts:  curio's kernel raises cancellation and time-outs out of traps that wait, and no others.
Rules:  counts waits, so that no sleep decides where the blow falls.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine
from typing import Any

import curio

_WAITING = {"trap_io", "trap_sleep", "trap_future_wait", "trap_sched_wait"}


class Blow(curio.TaskCancelled):
    """The cancellation that the sweep itself raised."""


@types.coroutine
def cancelled_at(place: int, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Await `coroutine`, but raise `Blow` in it at its wait number `place` (from 0)."""
    waits = 0
    step: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731
    while True:
        try:
            trap = step()
        except StopIteration as done:
            return done.value
        if trap[0] in _WAITING:
            waits += 1
            if waits == place + 1:
                step = lambda: coroutine.throw(Blow("blow"))  # noqa: E731
                continue
        try:
            answer = yield trap
        except BaseException as error:
            raised = error
            step = lambda: coroutine.throw(raised)  # noqa: B023, E731
        else:
            step = lambda: coroutine.send(answer)  # noqa: B023, E731


async def sweep(
    make: Callable[[], Coroutine[Any, Any, Any]],
    after_each: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> tuple[int, Any]:
    """Run `make()` cancelled at wait 0, 1, 2 … until it gets through; the count and its result."""
    place = 0
    while True:
        try:
            result = await cancelled_at(place, make())
        except Blow:
            place += 1
            if after_each is not None:
                await after_each()
        else:
            return place, result
