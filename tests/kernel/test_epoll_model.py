"""Tasks that wait for sockets wake exactly when they should, compared with a model.

Hypothesis writes programs that open, close, fill and drain a few sockets, while tasks wait for them
through different kinds of file object. A socket is closed with a release, without one, or while a
duplicate stays open. Descriptors are reused often. After each step a model says how far each task
is.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

import curio
import pytest
from curio.io import _Fd
from curio.traps import _get_kernel, _io_release, _read_wait, _write_wait
from hypothesis import given, settings
from hypothesis import strategies as st

import asks_fast
from asks_fast._kernel import HAS_EPOLL

SLOTS = 3
ITERATIONS = 7  # of the kernel, enough for each ready task to run


class Plain:
    """A file object of a class without `has_stable_fd`."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def fileno(self) -> int:
        return self.fd


FILES: dict[str, Callable[[int], Any]] = {"curio": _Fd, "plain": Plain, "number": int}

slot_number = st.integers(0, SLOTS - 1)
wait_lists = st.lists(
    st.tuples(slot_number, st.sampled_from(["read", "write"]), st.booleans()),
    min_size=1,
    max_size=4,
)
steps = st.one_of(
    st.tuples(st.just("open"), slot_number, st.sampled_from(sorted(FILES))),
    st.tuples(st.just("close"), slot_number, st.sampled_from(["silent", "released", "duplicated"])),
    st.tuples(st.just("send"), slot_number),
    st.tuples(st.just("drain"), slot_number),
    st.tuples(st.just("hang up"), slot_number),
    st.tuples(st.just("send to duplicates")),
    st.tuples(st.just("task"), wait_lists),
    st.tuples(st.just("task"), wait_lists),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
)


class Slot:
    """One socket pair (near is ours, far is the peer's) and our file object for it."""

    def __init__(self, kind: str) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.make = FILES[kind]
        self.file = self.make(self.near.fileno())
        self.readable = False

    def close(self) -> None:
        self.near.close()
        self.far.close()


class World:
    """Sockets, tasks, and what the model expects of them."""

    def __init__(self) -> None:
        self.slots: list[Slot | None] = [None] * SLOTS
        self.duplicates: list[socket.socket] = []
        self.tasks: list[tuple[Any, list[Any], list[Any]]] = []  # task, its waits, those done

    async def wait(self, waits: list[Any], done: list[Any]) -> None:
        for number, event, by_new_object in waits:
            slot = self.slots[number]
            assert slot is not None
            file = slot.make(slot.near.fileno()) if by_new_object else slot.file
            await (_read_wait(file) if event == "read" else _write_wait(file))
            done.append((number, event))

    def in_use(self) -> set[int]:
        return {number for _, waits, _ in self.tasks for number, _, _ in waits}

    async def perform(self, verb: str, *args: Any) -> None:
        slot = self.slots[args[0]] if args and verb not in ("task", "cancel") else None
        if verb == "open" and slot is None:
            self.slots[args[0]] = Slot(args[1])
        elif verb == "close" and slot is not None and args[0] not in self.in_use():
            if args[1] == "released":
                await _io_release(slot.file)
            elif args[1] == "duplicated" and slot.far.fileno() >= 0:
                self.duplicates += [slot.near.dup(), slot.far.dup()]
            slot.close()
            self.slots[args[0]] = None
        elif verb == "send" and slot is not None and slot.far.fileno() >= 0:
            slot.far.send(b"x")
            slot.readable = True
        elif verb == "drain" and slot is not None and slot.far.fileno() >= 0:
            if slot.readable:
                slot.near.recv(1000)
            slot.readable = False
        elif verb == "hang up" and slot is not None:
            slot.far.close()
            slot.readable = True
        elif verb == "send to duplicates":
            for duplicate in self.duplicates[1::2]:
                duplicate.send(b"y")
        elif verb == "task":
            numbers = {number for number, _, _ in args[0]}
            if not numbers & self.in_use() and all(self.slots[n] for n in numbers):
                done: list[Any] = []
                task = await curio.spawn(self.wait, args[0], done, daemon=True)
                self.tasks.append((task, args[0], done))
        elif verb == "cancel" and args[0] < len(self.tasks):
            await self.tasks.pop(args[0])[0].cancel()

    def check(self) -> None:
        """Check that each task has got as far as its sockets allow, and has ended if it could."""
        running = []
        for task, waits, done in self.tasks:
            stuck = next(
                (n for n, w in enumerate(waits) if w[1] == "read" and not self.readable(w[0])),
                len(waits),
            )
            assert len(done) >= stuck, (task, waits, done)
            assert (len(done) == len(waits)) == task.terminated, (task, waits, done)
            if not task.terminated:
                running.append((task, waits, done))
        self.tasks = running

    def readable(self, number: int) -> bool:
        slot = self.slots[number]
        return slot is not None and slot.readable

    def close(self) -> None:
        for slot in self.slots:
            if slot is not None:
                slot.close()
        for duplicate in self.duplicates:
            duplicate.close()


async def play(program: list[Any]) -> None:
    world = World()
    kernel = await _get_kernel()
    try:
        for step in program:
            passed = [(len(done), done, waits) for _, waits, done in world.tasks]
            await world.perform(*step)
            for _ in range(ITERATIONS):
                await curio.sleep(0)
            for before, done, waits in passed:
                late = [w for w in waits[before : len(done)] if w[1] == "read"]
                assert all(world.readable(number) for number, _, _ in late), (step, waits, done)
            world.check()
            # An event that no task waits for would be a busy loop.
            poll = select.poll()
            poll.register(kernel._selector.fileno(), select.POLLIN)
            assert not poll.poll(0), step
        for task, _, _ in world.tasks:
            await task.cancel()
    finally:
        world.close()


@pytest.mark.skipif(not HAS_EPOLL, reason="needs epoll")
@settings(max_examples=100, deadline=None)
@given(program=st.lists(steps, max_size=25))
def test_epoll_against_a_model(program: list[Any]) -> None:
    """A task passes a wait exactly when its socket is ready, and no unwanted event stays."""
    asks_fast.run(play, program)
