"""Cancel a coroutine at its n-th wait, for every n, to find what a cancellation leaves behind.

curio's kernel raises cancellation and time-outs only at traps that wait. The place is a number of
waits, not a time, so no sleep decides where the cancellation is raised.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine
from typing import Any

import curio

_WAITING = {"trap_io", "trap_sleep", "trap_future_wait", "trap_sched_wait"}


class Injected(curio.TaskCancelled):
    """The cancellation that `cancel_at` raises."""


@types.coroutine
def cancel_at(index: int, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Await `coroutine`, and raise `Injected` in it at its wait number `index` (from 0)."""
    waits = 0
    step: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731
    while True:
        try:
            trap = step()
        except StopIteration as done:
            return done.value
        if trap[0] in _WAITING:
            waits += 1
            if waits == index + 1:
                step = lambda: coroutine.throw(Injected("injected cancellation"))  # noqa: E731
                continue
        try:
            answer = yield trap
        except BaseException as error:
            raised = error
            step = lambda: coroutine.throw(raised)  # noqa: B023, E731
        else:
            step = lambda: coroutine.send(answer)  # noqa: B023, E731


async def cancel_at_each_await(
    make: Callable[[], Coroutine[Any, Any, Any]],
    after_each: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> tuple[int, Any]:
    """Run `make()`, cancelled at wait 0, 1, 2 … until it completes.

    Returns the number of cancellations and the result.
    """
    count = 0
    while True:
        try:
            result = await cancel_at(count, make())
        except Injected:
            count += 1
            if after_each is not None:
                await after_each()
        else:
            return count, result
