"""curio's kernel with a compiled run loop.

`Kernel` and `run` have the signatures, options and behaviour of curio's own. Replace `curio.run` by
`asks_fast.run`; everything else of curio works unchanged.

The tasks of a kernel are instances of a class that derives from the requested one (`taskcls=`,
default `curio.Task`) and from `TaskCore`, whose C fields the loop uses. `Kernel` is a subclass of
`curio.Kernel` that replaces the selector and `_make_kernel_runtime`. If it cannot compile a task
class, curio's own loop runs.

The loop is implemented in src_pyx/kernel/_kernel.pyx.
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
    """A `curio.Task` with C fields. Created by `curio.spawn`."""

    __slots__ = ()
    __module__ = "curio.task"


@cache
def _compiled_task_class(taskcls: Any) -> type | None:
    """Return `taskcls` with C fields; None if that is impossible or it is not a `curio.Task`."""
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
    except TypeError:  # its own __slots__, or an incompatible metaclass
        return None


async def _kernel_task(runtime: Runtime) -> None:
    """The kernel's own task: receives wake-ups from other threads."""
    while True:
        await read_wait(runtime.bell_heard)
        runtime.deliver_wakes()


class Kernel(CurioKernel):  # type: ignore[misc]
    """A compiled curio kernel, with the arguments of `curio.Kernel`.

    Use it as a context manager, or end it with `run(shutdown=True)`. That cancels all remaining
    tasks and closes the resources of the kernel.

    Args:
        selector: a selector of the `selectors` module. Default: epoll, called directly from C, on
            Linux; `selectors.DefaultSelector` elsewhere.
        debug: debuggers of `curio.debug`, one or a list; `True` for `schedtrace`.
        activations: `curio.kernel.Activation` classes or instances.
        taskcls: the class of the tasks. If it is not a subclass of `curio.Task`, or has
            `__slots__`, the kernel uses curio's own loop.
        max_select_timeout: seconds that one wait for events may last, `None` for no limit.

    Example:
        >>> with Kernel() as kernel:
        ...     kernel.run(main)
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
    """Run a coroutine function, or a coroutine, in a new kernel, then shut the kernel down.

    As with `curio.run`, tasks that remain when `corofunc` returns are cancelled.

    Args:
        corofunc: an `async def` function, called with `args`; or a coroutine, without `args`.
        *args: the arguments of `corofunc`.
        wait_for_tasks: when `corofunc` has returned, wait for every task that is not a daemon,
            as `curio.run` did before curio 0.9. A task that crashes is logged and does not end the
            others. An exception of `corofunc`, and Ctrl-C, cancel all remaining tasks.
        with_monitor: start curio's monitor (telnet, port 48802) too; `CURIOMONITOR` in the
            environment does the same.
        selector: see `Kernel`.
        debug: see `Kernel`.
        activations: see `Kernel`.
        **kernel_extra: further arguments of `Kernel`.

    Returns:
        The result of the coroutine. Its exceptions propagate.

    Example:
        >>> asks_fast.run(main)
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
    """Wait until only the calling task and daemons remain."""
    this = await curio.current_task()
    while tasks := [task for task in kernel._tasks.values() if not (task.daemon or task is this)]:
        for task in tasks:
            with suppress(curio.TaskError):  # the kernel has logged it
                await task.join()
