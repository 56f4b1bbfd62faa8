"""Runs one `async def` test in a fresh kernel and looks at what it left there.

Rules:  the test fails if a task that was not there before its body is there after it; a test
        that fails by itself is not checked further. In an event loop of another library the test
        is a hosted task, so that it may use curio as well.
Not here: descriptors (`leaks`), the choice of the kernel (`tests/conftest.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import curio
from curio.meta import instantiate_coroutine
from curio.traps import _get_kernel

AsyncTest = Callable[..., Coroutine[Any, Any, None]]


def stock_kernel() -> Any:
    """curio's own kernel."""
    return curio.Kernel()


def own_kernel() -> Any:
    """The compiled kernel of asks_fast."""
    from asks_fast.kernel import Kernel

    return Kernel()


class HostKernel:
    """Looks like a kernel: `run` runs a coroutine function in a loop of another library."""

    def __init__(self, run: Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]) -> None:
        self._run = run

    def __enter__(self) -> HostKernel:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def run(self, function: Any, *args: Any) -> Any:
        from asks_fast import _guest

        async def main() -> Any:
            return await _guest.call(instantiate_coroutine, (function, *args), {})

        return self._run(main)


def asyncio_kernel() -> Any:
    """A loop of asyncio."""
    return HostKernel(lambda main: asyncio.run(main()))


def uvloop_kernel() -> Any:
    """A loop of uvloop."""
    import uvloop

    return HostKernel(lambda main: uvloop.run(main()))


def trio_kernel() -> Any:
    """A run of trio."""
    import trio

    return HostKernel(partial(trio.run, strict_exception_groups=True))


def run_in(make_kernel: Callable[[], Any], test: AsyncTest, **arguments: Any) -> None:
    """Run `test(**arguments)` to its end; AssertionError if it leaves a task behind."""
    with make_kernel() as kernel:
        leftover = kernel.run(_watched, test, arguments)
    if leftover:
        raise AssertionError(f"tasks left behind: {', '.join(leftover)}")


async def _watched(test: AsyncTest, arguments: dict[str, Any]) -> list[str]:
    kernel = await _get_kernel()
    before = set(_tasks_of(kernel))
    await test(**arguments)
    for _ in range(40):
        leftover = [task for name, task in _tasks_of(kernel).items() if name not in before]
        if not leftover:
            break
        await curio.sleep(0.005)  # a cancelled task needs a turn of the kernel to end
    return [repr(task) for task in leftover]


def _tasks_of(kernel: Any) -> dict[Any, Any]:
    """The kernel's task table without the kernel's own helper."""
    tasks: dict[Any, Any] = getattr(kernel, "_tasks", None) or {}
    return {
        name: task
        for name, task in tasks.items()
        if getattr(getattr(task, "coro", None), "__name__", "") != "_kernel_task"
    }
