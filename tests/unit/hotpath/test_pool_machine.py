"""The pool against a model: its rules hold for any sequence of operations.

Tasks are coroutines driven by hand, so that the machine decides who runs: a task in line is woken
only by the pool, and runs on only when the machine says so.
"""

from __future__ import annotations

import socket
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from support.exchange_harness import run

from asks_fast._hotpath import Connection, Pool

ORIGINS = ("a", "b", "c")


class Task:
    """A task that asked for a connection: waiting, ready to continue, or done."""

    def __init__(self, name: str, coroutine: Any) -> None:
        self.name = name
        self.coroutine = coroutine
        self.waiter: Any = None
        self.cancel: Any = None  # what the kernel would call to take it out of line
        self.ready = False
        self.arrival = 0  # its number among those who ever waited in line


class PoolMachine(RuleBasedStateMachine):
    """Random acquisitions, releases, errors, cancellations and a close."""

    connections_in_use: Bundle[Connection] = Bundle("connections_in_use")
    promised: Bundle[str] = Bundle("promised")

    @initialize(limit=st.integers(1, 3), limit_per_origin=st.integers(0, 2))
    def start(self, limit: int, limit_per_origin: int) -> None:
        self.limit, self.share = limit, limit_per_origin
        self.pool = Pool(limit, limit_per_origin=limit_per_origin)
        self.origins = {name: self.pool.origin(name, f"http://{name}") for name in ORIGINS}
        self.users: dict[Connection, str] = {}  # by the name of the task that uses it
        self.places: list[str] = []  # promised, not yet a connection
        self.line: list[Task] = []
        self.arrivals = 0
        self.ends: list[socket.socket] = []
        self.pool.wake_monitor = lambda: None

    # -- the part of the kernel

    def step(self, task: Task) -> None:
        """Run a task until it waits in the queue or is done."""
        try:
            while True:
                trap = task.coroutine.send(None)
                if trap[0] == "trap_sched_wait":
                    task.waiter = trap[1]
                    task.cancel = task.waiter._kernel_suspend(task)
                    task.ready = False
                    self.arrivals += 1
                    task.arrival = self.arrivals
                    self.line.append(task)
                    return
                self.obey(trap)
        except StopIteration as done:
            self.settle_with(task, done.value)

    def obey(self, trap: Any) -> None:
        assert trap[0] == "trap_sched_wake", trap
        for task in trap[1]._kernel_wake(trap[2]):
            assert not task.ready, "woken twice"
            task.ready = True

    def drive(self, coroutine: Any) -> Any:
        try:
            while True:
                self.obey(coroutine.send(None))
        except StopIteration as done:
            return done.value

    def settle_with(self, task: Task, connection: Connection | None) -> None:
        if connection is None:
            self.places.append(task.name)
        else:
            assert connection not in self.users, "in use by two tasks at once"
            self.users[connection] = task.name

    # -- what may happen

    @rule(name=st.sampled_from(ORIGINS), fresh=st.booleans())
    def ask(self, name: str, fresh: bool) -> None:
        self.step(Task(name, self.pool.acquire(self.origins[name], None, fresh)))

    @rule(data=st.data())
    def open(self, data: Any) -> None:
        if not self.places:
            return
        name = self.places.pop(data.draw(st.integers(0, len(self.places) - 1)))
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.ends.append(theirs)
        connection = self.pool.add_connection(self.origins[name], ours)
        self.users[connection] = name

    @rule(data=st.data())
    def fail_to_open(self, data: Any) -> None:
        if self.places:
            name = self.places.pop(data.draw(st.integers(0, len(self.places) - 1)))
            self.drive(self.pool.cancel_reservation(self.origins[name]))

    def some_held(self, data: Any) -> Connection | None:
        if not self.users:
            return None
        connection = data.draw(st.sampled_from(list(self.users)))
        del self.users[connection]
        return connection

    @rule(data=st.data())
    def give_back(self, data: Any) -> None:
        connection = self.some_held(data)
        if connection is not None:
            self.drive(connection.release())

    @rule(data=st.data())
    def fail(self, data: Any) -> None:
        connection = self.some_held(data)
        if connection is not None:
            self.drive(connection.aclose())
            assert connection.state == 2

    @rule(data=st.data())
    def drop(self, data: Any) -> None:
        connection = self.some_held(data)
        if connection is not None:
            connection.close_nowait()
            self.drive(self.pool.wake_pending())

    @rule(data=st.data())
    def run_one(self, data: Any) -> None:
        ready = [task for task in self.line if task.ready]
        if ready:
            task = data.draw(st.sampled_from(ready))
            self.line.remove(task)
            self.step(task)

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        """Cancel a waiting task as the kernel does: it leaves the queue, then it runs."""
        if not self.line:
            return
        task = data.draw(st.sampled_from(self.line))
        self.line.remove(task)
        if not task.ready:
            task.cancel()
        step = lambda: task.coroutine.throw(KeyboardInterrupt())  # noqa: E731
        try:
            while True:
                self.obey(step())
                step = lambda: task.coroutine.send(None)  # noqa: E731
        except (KeyboardInterrupt, StopIteration):
            pass

    @rule()
    def rounds(self) -> None:
        self.pool.check_deadlines()
        self.drive(self.pool.wake_pending())

    # -- what always holds

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "pool"):
            return
        stats = self.pool.stats()
        served = [task for task in self.line if task.ready]
        waiting = [task for task in self.line if not task.ready]
        assert stats["open"] <= self.limit
        assert stats["waiting"] == len(waiting)
        assert stats["in_use"] + stats["opening"] == len(self.users) + len(self.places) + len(
            served
        )
        assert stats["open"] == stats["in_use"] + stats["idle"] + stats["opening"]
        for origin in self.origins.values():
            if self.share:
                assert origin.open <= self.share
        assert sum(origin.open for origin in self.origins.values()) == stats["open"]
        # No task waits while a slot is free or an idle connection holds one.
        can_open = stats["open"] < self.limit or stats["idle"] > 0
        for task in waiting:
            full = bool(self.share) and self.origins[task.name].open >= self.share
            assert full or not can_open, f"{task.name} waits in vain: {self.pool!r}"

    @invariant()
    def first_come_first_served(self) -> None:
        """Waiters of one origin are served in order of arrival."""
        for name in ORIGINS if hasattr(self, "pool") else ():
            order = [task.ready for task in self.line if task.name == name]
            assert order == sorted(order, reverse=True), "a later one was served before"

    @invariant()
    def overtaking_is_bounded(self) -> None:
        """A waiter is overtaken by at most eight arrivals per connection."""
        if not hasattr(self, "pool") or self.share:
            return
        waiting = [task.arrival for task in self.line if not task.ready]
        served = [task.arrival for task in self.line if task.ready]
        if waiting and served:
            assert max(served) <= min(waiting) + 8 * self.limit

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        refused = self.pool.close()
        for waiter in refused:
            self.obey(run_trap(waiter.wake))
        for task in self.line:
            task.coroutine.close()
        for connection in list(self.users):
            connection.close_nowait()
        for name in self.places:
            self.drive(self.pool.cancel_reservation(self.origins[name]))
        stats = self.pool.stats()
        assert (stats["open"], stats["waiting"]) == (0, 0), stats
        for end in self.ends:
            end.close()


def run_trap(awaitable: Any) -> Any:
    """The trap that an awaitable yields to the kernel."""
    return next(iter(awaitable.__await__()))


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


def test_stepping_by_hand() -> None:
    """Stepping a task by hand works: an acquisition without contention does not wait."""
    pool = Pool(1)
    assert run(pool.acquire(pool.origin("a", "http://a"))) is None
