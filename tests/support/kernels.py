"""Run one `async def` test in a new kernel and check that it leaves no task.

A test that fails is not checked. Descriptors are checked by `leaks`; `tests/conftest.py` chooses
the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import curio

AsyncTest = Callable[..., Coroutine[Any, Any, None]]


def make_curio_kernel() -> Any:
    """Create curio's own kernel."""
    return curio.Kernel()


def make_compiled_kernel() -> Any:
    """Create the compiled kernel of asks_fast."""
    from asks_fast.kernel import Kernel

    return Kernel()


def run_in(make_kernel: Callable[[], Any], test: AsyncTest, **arguments: Any) -> None:
    """Run `test(**arguments)`. Raises `AssertionError` if a task remains."""
    with make_kernel() as kernel:
        remaining = kernel.run(_run_and_check, kernel, test, arguments)
    if remaining:
        raise AssertionError(f"tasks remain: {', '.join(remaining)}")


async def _run_and_check(kernel: Any, test: AsyncTest, arguments: dict[str, Any]) -> list[str]:
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
