"""A program whose n-th allocation fails, for every n: `python no_memory.py URL`, for test_faults.

`_testcapi.set_nomemory` makes allocations of Python's three domains fail: those of the interpreter,
of the compiled code and of httptools, but not malloc in OpenSSL. From 3.12 on CPython crashes if
the allocation of a function object (a lambda, a generator expression) fails; there only code paths
without such allocations are tested.

Memory fails only while the request runs, not while curio runs. One allocation fails, then memory is
available again for the clean-up. After each failure the request has ended, no slot is in use, only
idle connections are open, and the next request succeeds.
"""

from __future__ import annotations

import _testcapi
import gc
import os
import sys
import types
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import curio

from asks_fast import HSession
from asks_fast.errors import AsksException

STEPS = 12  # of one request, from wait to wait, that are tried: a long body has many alike
INTERPRETERS = (TypeError, SystemError)  # what CPython now and then makes of a MemoryError
MAKES_FUNCTIONS = {"general path", "upload", "connect"}
SAFE = 60  # failures in a row without an effect: the step made no more allocations


@types.coroutine
def starved(coroutine: Coroutine[Any, Any, Any], step: int, allocation: int) -> Any:
    """Await `coroutine`; in its step number `step` (from 0) one allocation fails. Returns whether
    there was such a step; raises what the coroutine raises.
    """
    send, throw, steps = coroutine.send, coroutine.throw, 0
    raised: BaseException | None = None
    answer: Any = None
    starve, feed = _testcapi.set_nomemory, _testcapi.remove_mem_hooks
    try:
        while True:
            if steps == step:
                starve(allocation, allocation + 1)
            try:
                trap = send(answer) if raised is None else throw(raised)
            except StopIteration:
                return steps >= step
            finally:
                feed()
            steps += 1
            raised = None
            try:
                answer = yield trap
            except BaseException as error:
                raised = error
    finally:
        feed()
        coroutine.close()


class Trial:
    """One session of one connection, and the outcomes of its requests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.session: Any = None

    async def fail_once(
        self, kind: str, make: Callable[[], Any], step: int, allocation: int
    ) -> str:
        """Send one request with one failing allocation; return its outcome."""

        async def request() -> Any:
            return await starved(make(), step, allocation)

        task = await curio.spawn(request)
        await task.wait()
        task.joined = True
        error = task.exception
        if error is None:
            return "answered" if task.result else "no such step"
        del task
        if kind == "stream":
            error.__traceback__ = None  # it holds the body that the program itself had then
        if not isinstance(error, (MemoryError, AsksException, *INTERPRETERS)):
            self.wrong.append(f"{kind} step {step} allocation {allocation}: {error!r}")
        return type(error).__name__

    async def check(self, what: str) -> None:
        stats = self.session.pool_stats()
        if stats["in_use"] or stats["waiting"] or stats["opening"] or stats["open"] > 1:
            self.wrong.append(f"{what}: {stats}")
            self.session = HSession(self.url, connections=1)
            return
        response = await curio.timeout_after(60, self.session.get)
        if response.content != b"*" * 10:
            self.wrong.append(f"{what}: the next request was answered {response.content!r}")

    async def cancel_at_each_await(self, kind: str, make: Callable[[], Any], fresh: bool) -> None:
        for step in range(STEPS):
            allocation = printable = 0
            while printable < SAFE:
                if fresh:
                    await self.session.close()
                    self.session = HSession(self.url, connections=1)
                outcome = await self.fail_once(kind, make, step, allocation)
                await self.check(f"{kind} step {step} allocation {allocation}: {outcome}")
                if outcome == "no such step":
                    return
                self.outcomes[outcome] += 1
                printable = printable + 1 if outcome == "answered" else 0
                allocation += 1


async def streamed(session: Any) -> None:
    response = await session.get(path="/long", stream=True)
    async with response.body as body:
        async for _ in body:
            pass


async def main(url: str) -> None:
    trial = Trial(url)
    trial.session = HSession(url, connections=1)
    await trial.check("at first")
    ways: dict[str, Callable[[], Any]] = {
        "fast path": lambda: trial.session.get(),
        "general path": lambda: trial.session.get(path="/", headers={"A": "b"}, timeout=60),
        "upload": lambda: trial.session.post(path="/", data=b"x" * 100_000),
        "long": lambda: trial.session.get(path="/long"),
        "chunked": lambda: trial.session.get(path="/chunked"),
        "stream": lambda: streamed(trial.session),
    }
    ways["connect"] = ways["fast path"]
    if sys.version_info >= (3, 12):
        ways = {kind: make for kind, make in ways.items() if kind not in MAKES_FUNCTIONS}
        for make in ways.values():
            await make()  # makes its template, and with it function objects
    before = len(os.listdir("/proc/self/fd"))
    for kind, make in ways.items():
        await trial.cancel_at_each_await(kind, make, fresh=kind == "connect")
    gc.collect()
    after = len(os.listdir("/proc/self/fd"))
    await trial.session.close()
    for one in trial.wrong[:40]:
        print("WRONG", one)
    if after > before:
        print(f"WRONG: {before} descriptors before, {after} after")
    print("fine" if not trial.wrong and after <= before else "bad", dict(trial.outcomes))


if __name__ == "__main__":
    warnings.simplefilter("ignore", ResourceWarning)
    curio.run(main, sys.argv[1])
