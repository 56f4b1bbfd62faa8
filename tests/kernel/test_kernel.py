"""The compiled kernel behaves like curio's: tasks, results, errors, activations, threads."""

from __future__ import annotations

import contextvars
import gc
import inspect
import os
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from selectors import DefaultSelector, SelectSelector
from typing import Any

import curio
import curio.kernel
import pytest
from curio.kernel import Activation
from curio.task import ContextTask
from curio.traps import _future_wait, _get_kernel, _kernel_trap

import asks_fast
from asks_fast._kernel import TaskCore

Maker = Callable[..., asks_fast.Kernel]


@pytest.fixture(params=["epoll", "selector"])
def make(request: pytest.FixtureRequest) -> Maker:
    """Makes our kernel, with epoll and with a selector that the user passes."""

    def kernel(**options: Any) -> asks_fast.Kernel:
        if request.param == "selector":
            options.setdefault("selector", DefaultSelector())
        return asks_fast.Kernel(**options)

    return kernel


async def succeed(value: Any) -> Any:
    return value


async def fail() -> None:
    raise LookupError("no such thing")


def test_signatures_equal_those_of_curio() -> None:
    """Our `Kernel` and `run` take the arguments of curio's."""
    for ours, theirs in (
        (asks_fast.Kernel.__init__, curio.Kernel.__init__),
        (asks_fast.run, curio.run),
    ):
        mine, other = (dict(inspect.signature(f).parameters) for f in (ours, theirs))
        mine.pop("wait_for_tasks", None)
        assert list(mine) == list(other)
        assert [p.kind for p in mine.values()] == [p.kind for p in other.values()]
        assert [p.default for p in mine.values()] == [p.default for p in other.values()]


def test_run_returns_and_raises(make: Maker) -> None:
    """`run` returns or raises what the coroutine does, and the kernel can run another one."""
    with make() as kernel:
        assert kernel.run(succeed, 1) == 1
        assert kernel.run(succeed(2)) == 2
        with pytest.raises(LookupError, match="no such thing"):
            kernel.run(fail)
        assert kernel.run(succeed, 3) == 3
    with pytest.raises(RuntimeError, match="shut down"):
        kernel.run(succeed, 4)


def test_tasks_are_curio_tasks(make: Maker) -> None:
    """A task is a `curio.Task`, has its repr, and accepts attributes of the user."""

    async def main() -> None:
        task = await curio.spawn(succeed, 5)
        task.note = "mine"
        assert isinstance(task, curio.Task)
        assert repr(task) == f"Task(id={task.id}, name='succeed', state='READY')"
        assert task.cancel_func is None
        assert await task.join() == 5
        assert (task.note, task.state, task.terminated) == ("mine", "TERMINATED", True)
        me = await curio.current_task()
        assert task.parentid == me.id

    with make() as kernel:
        kernel.run(main)


def test_user_task_class(make: Maker) -> None:
    """The kernel uses `taskcls=`: its `__init__`, its `send`, and those of curio's ContextTask."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    class Counted(ContextTask):  # type: ignore[misc]
        def __init__(self, coro: Any, parent: Any = None) -> None:
            super().__init__(coro, parent)
            self.sends = 0

        def send(self, value: Any) -> Any:
            self.sends += 1
            return super().send(value)

    async def child() -> tuple[str, int]:
        seen = variable.get()
        variable.set("child's")
        await curio.sleep(0)
        return seen, (await curio.current_task()).sends

    async def main() -> None:
        variable.set("main's")
        task = await curio.spawn(child)
        assert type(task).__name__ == "Counted"
        assert isinstance(task, Counted)
        assert isinstance(task, TaskCore)
        assert await task.join() == ("main's", 3)
        assert variable.get() == "main's"

    with make(taskcls=Counted) as kernel:
        kernel.run(main)


def test_task_factory_uses_loop_of_curio() -> None:
    """A task factory that cannot get C fields works on curio's own loop."""

    async def main() -> bool:
        return isinstance(await curio.current_task(), TaskCore)

    with asks_fast.Kernel(taskcls=lambda coro, parent: curio.Task(coro, parent)) as kernel:
        assert kernel.run(main) is False


def test_ready_tasks_run_in_order(make: Maker) -> None:
    """Ready tasks run first in, first out, even if there are thousands."""
    seen: list[int] = []

    async def child(number: int) -> None:
        seen.append(number)
        await curio.sleep(0)
        seen.append(number)

    async def main() -> None:
        tasks = [await curio.spawn(child, number) for number in range(3000)]
        for task in tasks:
            await task.join()

    with make() as kernel:
        kernel.run(main)
    assert seen == [*range(3000), *range(3000)]


def test_task_is_queued_once(make: Maker) -> None:
    """A scheduler primitive that wakes a task twice ends the kernel with an error."""

    class Twice:
        def _kernel_wake(self, count: int) -> list[Any]:
            return [self.task, self.task]

        def _kernel_suspend(self, task: Any) -> Callable[[], None]:
            self.task = task
            return lambda: None

    twice = Twice()

    async def sleeper() -> None:
        await _kernel_trap("trap_sched_wait", twice, "TWICE")

    async def main() -> None:
        await curio.spawn(sleeper, daemon=True)
        await curio.sleep(0)
        await _kernel_trap("trap_sched_wake", twice, 1)

    kernel = make()
    with pytest.raises(AssertionError, match="in the ready queue already"):
        kernel.run(main)
    with pytest.raises(RuntimeError, match="crashed"):
        kernel.run(main)


def test_traps_can_be_replaced_and_added(make: Maker) -> None:
    """`Kernel._traps` maps names to callables, which a debugger can replace."""
    asked: list[Any] = []

    async def main() -> Any:
        kernel = await _get_kernel()
        clock = kernel._traps["trap_clock"]

        def counted_clock() -> None:
            asked.append("clock")
            clock()

        kernel._traps["trap_clock"] = counted_clock
        kernel._traps["trap_note"] = asked.append
        await _kernel_trap("trap_note", "mine")
        return await curio.clock()

    with make() as kernel:
        assert kernel.run(main) == pytest.approx(time.monotonic(), abs=60)
        assert set(kernel._traps) >= {"trap_io", "trap_sleep", "trap_spawn", "trap_note"}
        with pytest.raises(RuntimeError, match="needs a running task"):
            kernel._traps["trap_get_current"]()
    assert asked == ["mine", "clock"]


def test_unknown_trap_ends_the_kernel(make: Maker) -> None:
    """An unknown trap ends the kernel, as in curio."""

    async def main() -> None:
        await _kernel_trap("trap_unknown")

    kernel = make()
    with pytest.raises(KeyError, match="trap_unknown"):
        kernel.run(main)
    with pytest.raises(RuntimeError, match="crashed"):
        kernel.run(main)


def test_activations_get_the_calls_of_curio(make: Maker) -> None:
    """Activations get the same calls in the same order as on curio's kernel."""

    class Recorder(Activation):  # type: ignore[misc]
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def activate(self, kernel: Any) -> None:
            self.seen.append("activate")

        def record(self, call: str, task: Any, *more: Any) -> None:
            if not task.name.endswith("_kernel_task"):
                self.seen.append((call, task.name, task.state, task.cycles, *more))

        def created(self, task: Any) -> None:
            self.record("created", task)

        def running(self, task: Any) -> None:
            self.record("running", task)

        def suspended(self, task: Any, trap: Any) -> None:
            self.record("suspended", task, trap and trap[0])

        def terminated(self, task: Any) -> None:
            self.record("terminated", task)

    async def child() -> None:
        await curio.sleep(0)
        raise SystemError

    async def main() -> None:
        task = await curio.spawn(child)
        await task.wait()
        await curio.sleep(0.001)  # no other task is ready

    seen = []
    for kernel in (curio.Kernel(activations=[Recorder]), make(activations=[Recorder])):
        with kernel:
            kernel.run(main)
        seen.append(kernel._activations[0].seen)
    assert seen[0] == seen[1]
    assert len(seen[0]) > 12


def test_system_exit_leaves_the_kernel_usable(make: Maker) -> None:
    """A task that raises SystemExit stops the run; ready tasks stay ready."""
    seen: list[str] = []

    async def leave() -> None:
        raise SystemExit(3)

    async def other() -> None:
        seen.append("other")

    async def main() -> None:
        await curio.spawn(leave, daemon=True)
        await curio.spawn(other, daemon=True)
        await curio.sleep(100)

    with make() as kernel:
        with pytest.raises(SystemExit):
            kernel.run(main)
        kernel.run(curio.sleep, 0)
        assert seen == ["other"]
        assert kernel.run(succeed, 1) == 1


def test_interrupt_ends_a_wait(make: Maker) -> None:
    """Ctrl-C ends a wait of the kernel; the tasks are cancelled at shutdown."""
    seen: list[str] = []

    async def sleeper() -> None:
        try:
            await curio.sleep(100)
        except curio.CancelledError:
            seen.append("cancelled")
            raise

    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with make() as kernel:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                kernel.run(sleeper)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert seen == ["cancelled"]


def test_a_task_group_is_told_without_a_coroutine(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel does what `TaskGroup._task_done` does, while the group waits and before."""
    monkeypatch.setattr(curio.TaskGroup, "_task_done", None)

    async def sleep(value: int) -> int:
        await curio.sleep(0.001 * value)
        return value

    async def main() -> None:
        async with curio.TaskGroup() as group:
            daemon = await group.spawn(sleep, 0, daemon=True)
            await group.spawn(succeed, 1)
            await curio.sleep(0.001)
            assert daemon.terminated
            assert not group._daemonic
            await group.spawn(sleep, 2)
            await group.spawn(sleep, 3)
        assert group.results == [1, 2, 3]
        async with curio.TaskGroup() as failing:
            await failing.spawn(curio.sleep, 1000)
            crashed = await failing.spawn(fail)
        assert type(failing.exception) is type(crashed.exception) is LookupError

    make().run(main, shutdown=True)


def test_a_subclass_of_task_group_is_asked(make: Maker) -> None:
    """`_task_done` of a subclass is called, for each task that ends."""
    told = []

    class Group(curio.TaskGroup):  # type: ignore[misc]
        async def _task_done(self, task: curio.Task) -> None:
            told.append(task)
            await super()._task_done(task)

    async def main() -> None:
        async with Group() as group:
            tasks = [await group.spawn(succeed, number) for number in range(3)]
        assert told == tasks
        assert group.results == [0, 1, 2]

    make().run(main, shutdown=True)


def test_exception_of_a_task(make: Maker) -> None:
    """`exception` needs a task that has ended, and can be assigned, as in curio."""

    async def main() -> None:
        task = await curio.spawn(curio.sleep, 0)
        with pytest.raises(RuntimeError, match="Task not terminated"):
            _ = task.exception
        await task.join()
        assert task.exception is None
        error = task.exception = LookupError("later")
        assert task.exception is error
        with pytest.raises(LookupError):
            _ = task.result

    make().run(main, shutdown=True)


def test_threads_wake_tasks(make: Maker) -> None:
    """A future that a thread completes wakes its task, even if hundreds complete at once."""

    async def wait_for(future: Future[int]) -> int:
        await _future_wait(future)
        return future.result()

    async def main() -> int:
        futures: list[Future[int]] = [Future() for _ in range(500)]
        async with curio.TaskGroup() as group:
            for future in futures:
                await group.spawn(wait_for, future)
            await curio.sleep(0)

            def complete(own_futures: list[Future[int]]) -> None:
                for future in own_futures:
                    future.set_result(1)

            threads = [
                threading.Thread(target=complete, args=(futures[first::4],)) for first in range(4)
            ]
            for thread in threads:
                thread.start()
        for thread in threads:
            thread.join()
        return sum(group.results)

    with make() as kernel:
        assert kernel.run(main) == 500


def test_cancelled_future_wait(make: Maker) -> None:
    """Cancelling a task that waits for a future cancels the future."""

    async def main() -> Future[int]:
        future: Future[int] = Future()
        task = await curio.spawn(_future_wait, future)
        await curio.sleep(0)
        assert task.state == "FUTURE_WAIT"
        await task.cancel()
        return future

    with make() as kernel:
        assert kernel.run(main).cancelled()


def test_future_done_after_the_kernel_ended() -> None:
    """A future may complete after the kernel's shutdown."""
    future: Future[int] = Future()

    async def main() -> None:
        await curio.spawn(_future_wait, future, daemon=True)
        await curio.sleep(0)
        future.cancel = lambda: False  # type: ignore[method-assign]  # as if it were running

    asks_fast.run(main)
    future.set_result(1)


def test_task_group_gets_results_in_order(make: Maker) -> None:
    """A task group gets its members' results in the order in which they finish."""

    async def child(delay: float) -> float:
        await curio.sleep(delay)
        return delay

    async def main() -> list[float]:
        done = []
        async with curio.TaskGroup() as group:
            for delay in (0.03, 0.01, 0.02):
                await group.spawn(child, delay)
            async for task in group:
                done.append(task.result)
        return done

    with make() as kernel:
        assert kernel.run(main) == [0.01, 0.02, 0.03]


def test_removed_time_limit_does_not_wake() -> None:
    """A removed time limit does not wake the kernel."""

    class Recording(SelectSelector):
        def __init__(self) -> None:
            super().__init__()
            self.timeouts: list[float | None] = []

        def select(self, timeout: float | None = None) -> Any:
            self.timeouts.append(timeout)
            return super().select(timeout)

    async def main() -> None:
        for _ in range(100):
            async with curio.timeout_after(0.01):
                pass
        await curio.sleep(0.1)

    selector = Recording()
    asks_fast.run(main, selector=selector)
    assert len([t for t in selector.timeouts if t]) == 1


def test_monitor_sees_the_tasks() -> None:
    """curio's `ps` lists the tasks of our kernel with state and deadlines."""
    import io

    telnetlib = pytest.importorskip("curio.monitor", reason="curio.monitor needs telnetlib")
    out = io.StringIO()

    async def sleeper() -> None:
        async with curio.timeout_after(100):
            await curio.sleep(50)

    async def main() -> None:
        await curio.spawn(sleeper, daemon=True)
        await curio.sleep(0)
        telnetlib.ps(out=out)

    asks_fast.run(main)
    line = next(line for line in out.getvalue().splitlines() if "sleeper" in line)
    assert line.split()[1:3] == ["TIME_SLEEP", "1"]
    assert line.split()[3].startswith(("99", "100"))


def test_debuggers_run(make: Maker, caplog: pytest.LogCaptureFixture) -> None:
    """`debug=` accepts curio's debuggers."""
    from curio.debug import schedtrace, traptrace

    caplog.set_level("INFO")
    with make(debug=[schedtrace, traptrace]) as kernel:
        kernel.run(curio.sleep, 0)
    assert any("TRAP:('trap_sleep', 0)" in record.getMessage() for record in caplog.records)


def test_kernel_deleted_without_shutdown() -> None:
    """A kernel that is deleted without shutdown raises an error, as in curio."""
    kernel = asks_fast.Kernel()
    with pytest.raises(RuntimeError, match="not properly terminated"):
        kernel.__del__()
    kernel.run(shutdown=True)


def test_shutdown_frees_everything(make: Maker) -> None:
    """Shutdown closes the kernel's descriptors at once, and the kernel can be collected."""
    before = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None

    async def main() -> weakref.ref[Any]:
        near, far = socket.socketpair()
        async with curio.io.Socket(near) as sock, curio.io.Socket(far):
            await curio.ignore_after(0.01, sock.recv, 1)
        return weakref.ref(await curio.current_task())

    kernel = make()
    with kernel:
        task = kernel.run(main)
    if before is not None:
        assert sorted(os.listdir("/proc/self/fd")) == before
    gone = weakref.ref(kernel)
    del kernel
    gc.collect()
    assert gone() is None
    assert task() is None


def test_task_that_is_never_joined_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """curio's warning is logged for a task that is never joined, and for no other."""

    async def main() -> None:
        for joined in (True, False):
            task = await curio.spawn(succeed, 1)
            if joined:
                await task.join()
        daemon = await curio.spawn(succeed, 1, daemon=True)
        await curio.sleep(0)
        del task, daemon

    asks_fast.run(main)
    gc.collect()
    assert [r.getMessage() for r in caplog.records if "never joined" in r.getMessage()] == [
        f"Task(id={r.args[0].id}, name='succeed', state='TERMINATED') never joined"
        for r in caplog.records
        if "never joined" in r.getMessage()
    ]
    assert len([r for r in caplog.records if "never joined" in r.getMessage()]) == 1
