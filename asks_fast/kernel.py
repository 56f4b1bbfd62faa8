"""curio's kernel with its run loop compiled.

`Kernel` and `run` have the signatures, options and behaviour of curio's own: change `curio.run` to
`asks_fast.run`, and nothing else. Everything of curio works on it untouched.

Facts:  a kernel's tasks are objects of a class made from the one asked for (`taskcls=`, default
        `curio.Task`) and from `TaskCore`, whose C fields hold what the loop needs.
Rules:  a subclass of `curio.Kernel` that replaces the selector and what `_make_kernel_runtime`
        builds. Whatever it can't compile runs on curio's own loop, never differently.
Not here: the loop (src_pyx/kernel/_kernel.pyx).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

import curio

from ._curio import CurioKernel, read_wait
from ._kernel import HAS_EPOLL, Epoll, Runtime, TaskCore

if TYPE_CHECKING:
    from selectors import BaseSelector

__all__ = ["Kernel", "run"]

__tracebackhide__ = True  # pytest leaves out frames of this module


class Task(TaskCore, curio.Task):  # type: ignore[misc]
    """A `curio.Task` whose fields live in C. Not instantiated directly: use `curio.spawn`."""

    __slots__ = ()
    __module__ = "curio.task"


@cache
def _compiled_task_class(taskcls: Any) -> type | None:
    """`taskcls` with C fields; None if it is no subclass of `curio.Task` that can take them."""
    if taskcls is curio.Task:
        return Task
    if not (isinstance(taskcls, type) and issubclass(taskcls, curio.Task)):
        return None
    if issubclass(taskcls, TaskCore):
        return taskcls
    try:
        return type(
            taskcls.__name__,
            (taskcls, TaskCore),
            {"__module__": taskcls.__module__, "__qualname__": taskcls.__qualname__},
        )
    except TypeError:  # its own __slots__, or a metaclass that objects
        return None


async def _kernel_task(runtime: Runtime) -> None:
    """The kernel's own task: hears from other threads that a future is done."""
    while True:
        await read_wait(runtime.bell_heard)
        runtime.deliver_wakes()


class Kernel(CurioKernel):  # type: ignore[misc]
    """A curio kernel, compiled. See `curio.Kernel`; the arguments are the same.

    Args:
        selector: an object of the `selectors` module to wait with. Default: epoll, called
            without Python in between, on Linux; `selectors.DefaultSelector` elsewhere.
        debug: debuggers of `curio.debug`, one or a list; `True` for `schedtrace`.
        activations: `curio.kernel.Activation` classes or instances.
        taskcls: class of the tasks. One that can't be given C fields (no subclass of
            `curio.Task`, or one with `__slots__` of its own) makes the kernel use curio's own loop.
        max_select_timeout: seconds that one wait for events may last, `None` for no limit.

    Use it as a context manager, or end it with `run(shutdown=True)`: that cancels the tasks still
    there and frees what the kernel holds.
    """

    def __init__(
        self,
        *,
        selector: BaseSelector | None = None,
        debug: Any = None,
        activations: list[Any] | None = None,
        taskcls: Callable[..., Any] = curio.Task,
        max_select_timeout: float | None = None if os.name != "nt" else 1.0,
    ) -> None:
        is_compiled = HAS_EPOLL and _compiled_task_class(taskcls) is not None
        super().__init__(
            selector=selector or (Epoll() if is_compiled else None),
            debug=debug,
            activations=activations,
            taskcls=taskcls,
            max_select_timeout=max_select_timeout,
        )

    def _make_kernel_runtime(self) -> Callable[[Any], Any]:
        task_class = _compiled_task_class(self._taskcls)
        if task_class is None:
            return super()._make_kernel_runtime()  # type: ignore[no-any-return]
        return Runtime(self, task_class, _kernel_task)


def run(
    corofunc: Any,
    *args: Any,
    wait_for_tasks: bool = False,
    with_monitor: bool = False,
    selector: BaseSelector | None = None,
    debug: Any = None,
    activations: list[Any] | None = None,
    **kernel_extra: Any,
) -> Any:
    """Run a coroutine function (or coroutine) in a kernel of its own, then shut the kernel down.

    As `curio.run`: tasks that are left when `corofunc` returns are cancelled.

    Args:
        corofunc: `async def` function, called with `args`; or a coroutine, then without `args`.
        wait_for_tasks: when `corofunc` has returned, wait for every task that is not a daemon,
            as `curio.run` did before curio 0.9. A task that crashes is logged and ends no other
            task. An exception of `corofunc`, and Ctrl-C, cancel what is left.
        with_monitor: start curio's monitor (telnet, port 48802) beside it; `CURIOMONITOR` in the
            environment does the same.
        selector: and the others: see `Kernel`.

    Returns what the coroutine returns, and raises what it raises.
    """
    kernel = Kernel(selector=selector, debug=debug, activations=activations, **kernel_extra)
    if with_monitor or "CURIOMONITOR" in os.environ:
        from curio.monitor import Monitor

        monitor = Monitor(kernel)
        kernel._call_at_shutdown(monitor.close)
        if iscoroutinefunction(monitor.start):  # curio 1.6; a plain method in curio-compat
            kernel.run(monitor.start)
        else:
            monitor.start()
    with kernel:
        result = kernel.run(corofunc, *args)
        if wait_for_tasks:
            kernel.run(_join_tasks, kernel)
        return result


async def _join_tasks(kernel: Kernel) -> None:
    """Wait until no task is left but the caller and the daemons."""
    this = await curio.current_task()
    while tasks := [task for task in kernel._tasks.values() if not (task.daemon or task is this)]:
        for task in tasks:
            with suppress(curio.TaskError):  # the kernel has logged it
                await task.join()
