"""Run one `async def` test in a new kernel and check that it leaves no task.

A test that fails is not checked. In an event loop of another library the test is a hosted task, so
that it may use curio as well. Descriptors are checked by `leaks`; `tests/conftest.py` chooses the
kernel.
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


def make_curio_kernel() -> Any:
    """Create curio's own kernel."""
    return curio.Kernel()


def make_compiled_kernel() -> Any:
    """Create the compiled kernel of asks_fast."""
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
            return await _guest.call(instantiate())

        async def instantiate() -> Any:
            return await instantiate_coroutine(function, *args)

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
    """Run `test(**arguments)`. Raises `AssertionError` if a task remains."""
    with make_kernel() as kernel:
        remaining = kernel.run(_run_and_check, test, arguments)
    if remaining:
        raise AssertionError(f"tasks remain: {', '.join(remaining)}")


async def _run_and_check(test: AsyncTest, arguments: dict[str, Any]) -> list[str]:
    kernel = await _get_kernel()
    before = set(_tasks_of(kernel))
    await test(**arguments)
    for _ in range(40):
        remaining = [task for name, task in _tasks_of(kernel).items() if name not in before]
        if not remaining:
            break
        await curio.sleep(0.005)  # a cancelled task ends when the kernel runs it
    return [repr(task) for task in remaining]


def _tasks_of(kernel: Any) -> dict[Any, Any]:
    """Return the tasks of the kernel by id, without its own task."""
    tasks: dict[Any, Any] = getattr(kernel, "_tasks", None) or {}
    return {
        name: task
        for name, task in tasks.items()
        if getattr(getattr(task, "coro", None), "__name__", "") != "_kernel_task"
    }
