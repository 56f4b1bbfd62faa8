"""The private curio API that `asks_fast._curio` lists exists and works in the installed curio."""

from __future__ import annotations

import ast
import inspect
import re
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path

import curio
import curio.kernel
import curio.sched
import curio.task
import curio.traps
import pytest

import asks_fast
from asks_fast import _curio

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sorted((ROOT / "asks_fast").rglob("*.py"))
CYTHON = sorted((ROOT / "src_pyx").rglob("*.p[yx][xdi]"))


@pytest.mark.parametrize(
    ("name", "trap"),
    [
        ("read_wait", "_read_wait"),
        ("write_wait", "_write_wait"),
        ("io_release", "_io_release"),
        ("future_wait", "_future_wait"),
        ("get_kernel", "_get_kernel"),
        ("cancel_task", "_cancel_task"),
        ("clock", "_clock"),
        ("set_timeout", "_set_timeout"),
        ("unset_timeout", "_unset_timeout"),
    ],
)
def test_trap_is_curios(name: str, trap: str) -> None:
    """Each trap is the coroutine function of curio, under its name without the underscore."""
    function = getattr(_curio, name)
    assert function is getattr(curio.traps, trap)
    assert inspect.iscoroutinefunction(function)


def test_meta_functions() -> None:
    """Whether a kernel runs, and what `Kernel.run` makes of a function."""

    async def double(number: int) -> int:
        return 2 * number

    assert _curio.curio_running() is False
    assert curio.run(_curio.instantiate_coroutine(double, 2)) == 4


@pytest.mark.parametrize(
    ("trap", "request_sent"),
    [
        (_curio.read_wait, ("trap_io", "file", 1, "READ_WAIT")),
        (_curio.write_wait, ("trap_io", "file", 2, "WRITE_WAIT")),
        (_curio.io_release, ("trap_io_release", "file")),
    ],
    ids=["read", "write", "release"],
)
def test_trap_protocol(
    trap: Callable[[str], Coroutine[object, object, object]], request_sent: tuple[object, ...]
) -> None:
    """The compiled code yields these tuples itself, so a trap of curio must yield the same."""
    coroutine = trap("file")
    assert coroutine.send(None) == request_sent
    coroutine.close()


@pytest.fixture(params=[curio.run, asks_fast.run], ids=["curio", "asks_fast"])
def run(request: pytest.FixtureRequest) -> object:
    return request.param


def test_read_and_write_wait(run: object) -> None:
    """The waits end when the file is ready; a released file is no longer known to the kernel."""
    near, far = socket.socketpair()

    async def main() -> bytes:
        await _curio.write_wait(far)
        far.send(b"x")
        await _curio.read_wait(near)
        await _curio.io_release(near)
        await _curio.io_release(far)
        return near.recv(1)

    with near, far:
        assert run(main) == b"x"  # type: ignore[operator]


def test_future_wait(run: object) -> None:
    """A task that waits for a finished future of another thread goes on at once."""
    future: Future[int] = Future()
    future.set_result(1)

    async def main() -> int:
        await _curio.future_wait(future)
        return future.result()

    assert run(main) == 1  # type: ignore[operator]


def test_kernel_of_this_thread(run: object) -> None:
    """`kernel_locals.kernel` is the kernel that `get_kernel` returns, and None outside one."""

    async def main() -> bool:
        kernel = await _curio.get_kernel()
        return kernel is _curio.kernel_locals.kernel and isinstance(kernel, _curio.CurioKernel)

    assert run(main)  # type: ignore[operator]
    assert _curio.kernel_locals.kernel is None


def test_cancel_task(run: object) -> None:
    """A task is cancelled with the exception class that the trap names."""

    class Stopped(curio.CancelledError):
        pass

    async def main() -> object:
        task = await curio.spawn(curio.sleep, 60)
        await curio.sleep(0)
        await _curio.cancel_task(task, Stopped)
        await task.wait()
        return task.exception

    assert isinstance(run(main), Stopped)  # type: ignore[operator]


def test_timeout_after(run: object) -> None:
    """`_deadlines` needs the two private attributes, and `unset_timeout` restores a time limit."""

    async def main() -> bool:
        async with _curio.TimeoutAfter(60) as limit:
            task = await curio.current_task()
            has_both = limit._prior is None and limit._deadlines is task._deadlines
            return has_both and len(limit._deadlines) == 1

    assert run(main)  # type: ignore[operator]


def test_file_descriptor() -> None:
    """`_Fd` holds a number and gives it back by `fileno()`."""
    assert _curio.FileDescriptor(7).fileno() == 7


def test_kernel_attributes() -> None:
    """The compiled kernel and `map` need these attributes of `curio.Kernel`."""
    with curio.Kernel() as kernel:
        for name in (
            *("_tasks", "_selector", "_activations", "_taskcls", "_max_select_timeout"),
            *("_shutdown_funcs", "_call_at_shutdown", "_make_kernel_runtime"),
        ):
            assert hasattr(kernel, name), name
        kernel.run(curio.sleep, 0)
        assert "trap_io" in kernel._traps
    assert "tocancel" in _curio.CurioKernel.run.__code__.co_varnames + (
        _curio.CurioKernel.run.__code__.co_cellvars
    )


def test_task_attributes() -> None:
    """The compiled task replaces these attributes of `curio.Task`."""

    async def main() -> None:
        task = await curio.current_task()
        for name in ("_trap_result", "_final_result", "_final_exc", "_run_coro", "_task_runner"):
            assert hasattr(task, name), name

    curio.run(main)


def test_task_group() -> None:
    """The compiled kernel does what `TaskGroup._task_done` does with these attributes."""

    async def main() -> None:
        group = curio.TaskGroup()
        assert (group._running, group._daemonic, len(group._finished)) == (set(), set(), 0)
        assert (group._sema._value, len(group._sema._waiting)) == (0, 0)
        assert type(group._sema._waiting) is curio.sched.SchedFIFO
        task = await group.spawn(curio.sleep, 0)
        assert group._running == {task}
        await group._task_done(task)
        assert (group._running, list(group._finished), group._sema._value) == (set(), [task], 1)
        await task.cancel()
        group._task_discard(task)

    curio.run(main)


def test_scheduler_attributes() -> None:
    """The compiled kernel adds tasks to the queues of curio's schedulers directly."""
    queue = curio.sched.SchedFIFO()
    assert len(queue._queue) == queue._actual_len == 0
    assert curio.sched.SchedBarrier()._tasks == set()
    for kind in (curio.sched.SchedFIFO, curio.sched.SchedBarrier):
        assert callable(kind._kernel_suspend)
        assert callable(kind._kernel_wake)


def test_activation_and_log() -> None:
    """Crashed tasks are logged to curio's logger; activations have its three methods."""
    assert _curio.kernel_log.name == "curio.kernel"
    assert {"activate", "created", "running"} <= set(dir(_curio.Activation))


def test_every_name_is_tested() -> None:
    """Each name that the module exports appears in a test above."""
    text = Path(__file__).read_text()
    for name in _curio.__all__:
        assert f"_curio.{name}" in text or f'("{name}", "_' in text, name


def is_private(module: str, name: str) -> bool:
    return module.split(".")[0] == "curio" and (
        (name.startswith("_") and not name.endswith("__"))
        or module in {"curio.kernel", "curio.meta", "curio.traps"}
    )


def private_imports(source: str) -> list[str]:
    """The private names of curio that a Python module imports or reads as `curio.x._y`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            found += [
                f"{node.module}.{alias.name}"
                for alias in node.names
                if is_private(node.module or "", alias.name)
            ]
        elif isinstance(node, ast.Attribute):
            module, _, name = ast.unparse(node).rpartition(".")
            if is_private(module, name):
                found.append(f"{module}.{name}")
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if is_private(alias.name, "")]
    return found


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_private_imports_are_in_one_module(path: Path) -> None:
    """No other Python module imports a private name of curio."""
    found = private_imports(path.read_text())
    assert found if path.name == "_curio.py" else not found


@pytest.mark.parametrize("path", CYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_compiled_code_imports_no_private_name(path: Path) -> None:
    """The compiled code imports private names of curio from `asks_fast._curio` only."""
    lines = re.findall(r"^\s*from (curio[\w.]*) import (.*)$", path.read_text(), re.MULTILINE)
    names = [(module, name.split()[0]) for module, rest in lines for name in rest.split(",")]
    assert not [pair for pair in names if is_private(*pair)]
