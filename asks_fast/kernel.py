"""A compiled drop-in replacement for `curio.Kernel` and `curio.run`.

Signatures, options and behaviour are those of curio: replace `curio.run` by `asks_fast.run`. All
other parts of curio work unchanged.

Facts:  a kernel's tasks are objects of a class derived from `taskcls=` (default `curio.Task`) and
        from `SpawnedTask`, whose C fields hold what the loop needs.
Rules:  `Kernel` derives from `curio.Kernel`, and replaces the selector and the result of
        `_make_kernel_runtime`. A task class that cannot be compiled runs on curio's own loop.
Implemented elsewhere: the run loop (src_pyx/kernel/run_loop.pyx).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING

import curio

from ._curio import CurioKernel, read_wait
from ._kernel import HAS_EPOLL, Epoll, Runtime, SpawnedTask

if TYPE_CHECKING:
    from selectors import BaseSelector

    from ._annotations import AnyArgument, AnyFunction

__all__ = ["Kernel", "run"]

__tracebackhide__ = True  # pytest hides the frames of this module


class Task(SpawnedTask, curio.Task):  # type: ignore[misc]
    """A `curio.Task` with C fields. Made by `curio.spawn`, never directly."""

    __slots__ = ()
    __module__ = "curio.task"


@cache
def _compiled_task_class(taskcls: object) -> type | None:
    """Derive a class with C fields from `taskcls`; None if that is not possible."""
    if taskcls is curio.Task:
        return Task
    if not (isinstance(taskcls, type) and issubclass(taskcls, curio.Task)):
        return None
    if issubclass(taskcls, SpawnedTask):
        return taskcls
    try:
        return type(
            taskcls.__name__,
            (taskcls, SpawnedTask),
            {"__module__": taskcls.__module__, "__qualname__": taskcls.__qualname__},
        )
    except TypeError:  # it has __slots__, or a metaclass that refuses
        return None


async def _kernel_task(runtime: Runtime) -> None:
    """Run the kernel's own task, which handles wake-ups by other threads."""
    while True:
        await read_wait(runtime.wakeup_reader)
        runtime.process_wakeups()


class Kernel(CurioKernel):
    """A compiled `curio.Kernel` with the same arguments and methods.

    Use it as a context manager, or end it with `run(shutdown=True)`. Both cancel the remaining
    tasks and release the kernel's descriptors.

    Args:
        selector: an object of the `selectors` module to wait with. Default: epoll, called without
            Python code, on Linux; `selectors.DefaultSelector` on other systems.
        debug: a debugger of `curio.debug` or a list of them; `True` for `schedtrace`.
        activations: `curio.kernel.Activation` classes or instances.
        taskcls: class of the tasks. If it does not derive from `curio.Task`, or has `__slots__`,
            the kernel uses curio's own loop.
        max_select_timeout: seconds that one wait for events may last; `None`: no limit.

    Example:
        ```python
        with asks_fast.Kernel() as kernel:
            kernel.run(main)
        ```
    """

    def __init__(
        self,
        *,
        selector: BaseSelector | None = None,
        debug: object = None,
        activations: list[AnyArgument] | None = None,
        taskcls: AnyFunction[object] = curio.Task,
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

    def _make_kernel_runtime(self) -> Callable[[AnyArgument], AnyArgument]:
        task_class = _compiled_task_class(self._taskcls)
        if task_class is None:
            return super()._make_kernel_runtime()
        return Runtime(self, task_class, _kernel_task)


def run(
    corofunc: AnyArgument,
    *args: AnyArgument,
    wait_for_tasks: bool = False,
    with_monitor: bool = False,
    selector: BaseSelector | None = None,
    debug: object = None,
    activations: list[AnyArgument] | None = None,
    **kernel_extra: AnyArgument,
) -> AnyArgument:
    """Run a coroutine function or coroutine in a new kernel, then shut the kernel down.

    Like `curio.run`, it cancels the tasks that remain when `corofunc` returns.

    Args:
        corofunc: `async def` function, called with `args`; or a coroutine, then without `args`.
        wait_for_tasks: when `corofunc` has returned, wait for all tasks except daemons, as
            `curio.run` did before curio 0.9. A task that crashes is logged and does not end
            other tasks. An exception of `corofunc`, or Ctrl-C, cancels the remaining tasks.
        with_monitor: start curio's monitor (telnet, port 48802) too. The environment variable
            `CURIOMONITOR` does the same.
        selector: see `Kernel`, also for the arguments that follow.
        debug: see `Kernel`.
        activations: see `Kernel`.
        kernel_extra: other arguments of `Kernel`.

    Returns:
        What the coroutine returns.

    Raises:
        BaseException: what the coroutine raises.

    Example:
        ```python
        response = asks_fast.run(asks_fast.get, "https://example.org")
        ```
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
    """Wait until only the caller and daemons are left."""
    this = await curio.current_task()
    while tasks := [task for task in kernel._tasks.values() if not (task.daemon or task is this)]:
        for task in tasks:
            with suppress(curio.TaskError):  # the kernel has logged it
                await task.join()
