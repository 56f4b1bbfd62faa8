"""Programs run in the same order and at the same times as on curio's kernel.

Hypothesis writes small programs: tasks that sleep, wait for events and each other, spawn, cancel
and time out, also with cancellation disabled. Each runs on both kernels in virtual time, and their
logs must be equal.
"""

from __future__ import annotations

from typing import Any

import curio
import pytest
from curio.traps import _get_kernel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asks_fast

from .virtual import VirtualTime, run_in_virtual_time

EVENTS = 3
Program = list[tuple[Any, ...]]
Log = list[tuple[Any, ...]]

instant = st.sampled_from([0, 0.5, 1, 1.5, 2, 3])
policy = st.sampled_from([all, any])
which = st.integers(0, EVENTS - 1)
simple = st.one_of(
    st.tuples(st.just("sleep"), instant),
    st.tuples(st.just("set"), which),
    st.tuples(st.just("clear"), which),
    st.tuples(st.just("wait"), which),
    st.tuples(st.just("put"), st.integers(0, 9)),
    st.tuples(st.just("get")),
    st.tuples(st.just("lock"), instant),
    st.tuples(st.just("join")),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("cancel soon")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("clock")),
)


def nested(programs: st.SearchStrategy[Program]) -> st.SearchStrategy[Program]:
    return st.lists(
        st.one_of(
            simple,
            st.tuples(st.just("spawn"), programs),
            st.tuples(
                st.just("group"), st.lists(programs, max_size=3), st.sampled_from([all, any])
            ),
            st.tuples(st.just("timeout"), instant, programs),
            st.tuples(st.just("ignore"), instant, programs),
            st.tuples(st.just("shield"), programs),
        ),
        max_size=6,
    )


programs = st.recursive(st.lists(simple, max_size=5), nested, max_leaves=25)


class World:
    """The objects that the tasks of one run share, and their log."""

    def __init__(self, selector: VirtualTime) -> None:
        self.selector = selector
        self.events = [curio.Event() for _ in range(EVENTS)]
        self.queue = curio.Queue()
        self.lock = curio.Lock()
        self.children: list[Any] = []
        self.log: Log = []

    def record(self, name: str, *details: Any) -> None:
        self.log.append((self.selector.now, name, *details))

    async def play(self, name: str, program: Program) -> str:
        for number, (verb, *args) in enumerate(program):
            self.record(name, number, verb)
            try:
                await self.do(f"{name}.{number}", verb, args)
            except BaseException as error:
                self.record(name, number, verb, type(error).__name__)
                raise
        return name

    async def do(self, name: str, verb: str, args: list[Any]) -> None:
        if verb == "sleep":
            self.record(name, "woke at", await curio.sleep(args[0]))
        elif verb == "set":
            await self.events[args[0]].set()
        elif verb == "clear":
            self.events[args[0]].clear()
        elif verb == "wait":
            async with curio.ignore_after(5):
                await self.events[args[0]].wait()
        elif verb == "put":
            await self.queue.put(args[0])
        elif verb == "get":
            self.record(name, "got", await curio.ignore_after(4, self.queue.get))
        elif verb == "lock":
            async with self.lock:
                await curio.sleep(args[0])
        elif verb == "clock":
            self.record(name, "clock", await curio.clock())
        elif verb == "fail":
            raise LookupError(name)
        elif verb == "spawn":
            self.children.append(await curio.spawn(self.play, name, args[0]))
        elif verb in ("join", "cancel", "cancel soon") and self.children:
            child = self.children.pop()
            if verb == "join":
                try:
                    self.record(name, "joined", await child.join())
                except curio.TaskError as error:
                    self.record(name, "failed", type(error.__cause__).__name__)
            else:
                await child.cancel(blocking=verb == "cancel")
        elif verb == "group":
            async with curio.TaskGroup(wait=args[1]) as group:
                for number, program in enumerate(args[0]):
                    await group.spawn(self.play, f"{name}.{number}", program)
            self.record(name, "group", [type(e).__name__ for e in group.exceptions])
        elif verb == "timeout":
            try:
                async with curio.timeout_after(args[0]):
                    await self.play(name, args[1])
            except curio.TaskTimeout:
                self.record(name, "timed out")
        elif verb == "ignore":
            async with curio.ignore_after(args[0]) as block:
                await self.play(name, args[1])
            self.record(name, "ignored", block.expired)
        elif verb == "shield":
            async with curio.disable_cancellation():
                await self.play(name, args[0])


first_task = 0


async def perform(selector: VirtualTime, program: Program) -> Log:
    global first_task
    world = World(selector)
    first_task = (await curio.current_task()).id
    root = await curio.spawn(world.play, "root", program)
    await curio.ignore_after(100, root.wait)
    world.record("end", root.terminated)
    await cancel_all(await curio.current_task())
    return world.log


async def cancel_all(me: Any) -> None:
    """End every remaining task, also those that wait for each other and disable cancellation."""
    kernel = await _get_kernel()
    while others := [t for t in kernel._tasks.values() if t is not me and not t.daemon]:
        for task in others:
            task.allow_cancel, task.cancelled, task.cancel_pending = True, None, None
            await task.cancel(blocking=False)
        await curio.sleep(1)


@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(program=programs)
def test_same_log(monkeypatch: pytest.MonkeyPatch, caplog: Any, program: Program) -> None:
    """Tasks run in the same order, at the same times, and equally many crash."""
    # curio keeps waiting tasks in sets, whose order depends on addresses: order them by age.
    monkeypatch.setattr(curio.Task, "__hash__", lambda task: task.id - first_task, raising=False)
    outcomes = []
    for run in (curio.run, asks_fast.run):
        caplog.clear()
        log = run_in_virtual_time(monkeypatch, run, perform, program)
        outcomes.append((log, sum(r.name == "curio.kernel" for r in caplog.records)))
    on_curio, on_ours = outcomes
    assert on_ours == on_curio
