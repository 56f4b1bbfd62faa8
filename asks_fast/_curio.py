"""The private curio API that this package uses, under plain names.

curio has a small public API and asks programs that need more to use its traps. No other module of
this package imports a private name of curio. If a new release of curio renames one of them, the
import of this package fails here, and this module is the only one to change.

From curio 1.6 (curio-compat included) this package needs:

- `curio.traps`: `_read_wait`, `_write_wait`, `_io_release`, `_future_wait`, `_get_kernel`,
  `_cancel_task`, `_clock`, `_set_timeout` and `_unset_timeout`. Without the first three there is no
  network I/O; without
  `_future_wait` no name resolution in threads; without `_cancel_task` no closing of a session that
  is in use; without `_unset_timeout` no time limits.
- The trap protocol: a coroutine that yields the tuple `("trap_io", file, event, state)` waits for a
  file. The compiled code yields such tuples itself, so their names and arguments must stay.
- `curio.meta.curio_running` and `instantiate_coroutine`: whether a kernel runs in this thread, and
  what `Kernel.run` makes of its arguments.
- `curio.meta._locals`: its attribute `kernel` is the kernel that runs in this thread. It must be
  cheap to read: the fast path reads it once per request.
- `curio.time._TimeoutAfter` with the attributes `_prior` and `_deadlines`: see `_deadlines`.
- `curio.io._Fd`: the compiled kernel knows from its class that a descriptor does not change.
- `curio.kernel.Kernel` with the methods `_make_kernel_runtime` and `_call_at_shutdown` and the
  attributes `_tasks`, `_selector`, `_activations`, `_taskcls`, `_max_select_timeout`, `_traps` and
  `_shutdown_funcs`: the compiled kernel replaces the first method and shares the others.
- `Kernel.run`, which lists the tasks to cancel in the local variable `tocancel`: see `_shutdown`.
- `curio.task.Task` with the attributes `_trap_result`, `_final_result`, `_final_exc` and
  `_run_coro` and the method `_task_runner`.
- `curio.task.TaskGroup` with the method `_task_done` and what it changes: `_running`, `_finished`,
  `_daemonic` and `_sema`, a semaphore with `_value` and `_waiting`. The compiled kernel does the
  same without running that coroutine.
- `curio.sched.SchedFIFO` and `SchedBarrier` with `_queue`, `_actual_len`, `_tasks`,
  `_kernel_suspend` and `_kernel_wake`: the compiled kernel adds and wakes waiting tasks directly.

tests/unit/test_curio.py checks each item against the installed curio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # curio has no types
    import logging
    from collections.abc import Callable, Coroutine
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

    class FileDescriptor:
        def __init__(self, fd: int) -> None: ...
        def fileno(self) -> int: ...

    class Activation: ...

    class CurioKernel:
        _taskcls: Any
        _selector: Any
        _tasks: dict[int, Any]

        def __init__(
            self,
            *,
            selector: Any = None,
            debug: object = None,
            activations: list[Any] | None = None,
            taskcls: Any = ...,
            max_select_timeout: float | None = None,
        ) -> None: ...
        def _make_kernel_runtime(self) -> Callable[[Any], Any]: ...
        def _call_at_shutdown(self, func: Callable[[], object]) -> None: ...
        def __enter__(self) -> Self: ...
        def __exit__(self, *exc: object) -> None: ...
        def run(self, corofunc: Any = None, *args: Any, shutdown: bool = False) -> Any: ...

    class TimeoutAfter:
        _prior: float | None
        _deadlines: list[float | None]

        def __init__(
            self, clock: float | None, ignore: bool = False, timeout_result: object = None
        ) -> None: ...
        async def __aenter__(self) -> Self: ...
        async def __aexit__(
            self,
            ty: type[BaseException] | None,
            val: BaseException | None,
            tb: TracebackType | None,
        ) -> bool | None: ...

    class _Locals:
        kernel: CurioKernel | None
        running: bool

    kernel_locals: _Locals
    kernel_log: logging.Logger

    def curio_running() -> bool: ...
    def instantiate_coroutine(
        corofunc: Any, *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, Any]: ...
    async def cancel_task(
        task: Any, exc: type[BaseException] = ..., val: object = None
    ) -> None: ...
    async def clock() -> float: ...
    async def future_wait(future: object, event: object = None) -> Any: ...
    async def get_kernel() -> CurioKernel: ...
    async def io_release(fileobj: object) -> None: ...
    async def read_wait(fileobj: object) -> None: ...
    async def set_timeout(clock: float | None) -> float | None: ...
    async def unset_timeout(previous: float | None) -> float: ...
    async def write_wait(fileobj: object) -> None: ...

else:
    from curio.io import _Fd as FileDescriptor
    from curio.kernel import Activation
    from curio.kernel import Kernel as CurioKernel
    from curio.kernel import log as kernel_log
    from curio.meta import _locals as kernel_locals
    from curio.meta import curio_running, instantiate_coroutine
    from curio.time import _TimeoutAfter as TimeoutAfter
    from curio.traps import _cancel_task as cancel_task
    from curio.traps import _clock as clock
    from curio.traps import _future_wait as future_wait
    from curio.traps import _get_kernel as get_kernel
    from curio.traps import _io_release as io_release
    from curio.traps import _read_wait as read_wait
    from curio.traps import _set_timeout as set_timeout
    from curio.traps import _unset_timeout as unset_timeout
    from curio.traps import _write_wait as write_wait

__all__ = [
    "Activation",
    "CurioKernel",
    "FileDescriptor",
    "TimeoutAfter",
    "cancel_task",
    "clock",
    "curio_running",
    "future_wait",
    "get_kernel",
    "instantiate_coroutine",
    "io_release",
    "kernel_locals",
    "kernel_log",
    "read_wait",
    "set_timeout",
    "unset_timeout",
    "write_wait",
]
