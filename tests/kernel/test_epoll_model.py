"""Tasks that wait for sockets wake when they should and only then, whatever happens to the sockets.

Hypothesis writes programs that open, close (with a word to the kernel, without, or with a twin of
the socket living on), fill and drain a few sockets, while tasks wait for them by different kinds of
file object. Numbers are reused all the time. After each step a model says how far each task is.
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
TURNS = 7  # of the kernel, for everything that is ready to have its effect


class Plain:
    """A file object about which the kernel knows nothing."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def fileno(self) -> int:
        return self.fd


FILES: dict[str, Callable[[int], Any]] = {"curio": _Fd, "plain": Plain, "number": int}

slot = st.integers(0, SLOTS - 1)
waits = st.lists(
    st.tuples(slot, st.sampled_from(["read", "write"]), st.booleans()), min_size=1, max_size=4
)
steps = st.one_of(
    st.tuples(st.just("open"), slot, st.sampled_from(sorted(FILES))),
    st.tuples(st.just("close"), slot, st.sampled_from(["silent", "released", "twin"])),
    st.tuples(st.just("send"), slot),
    st.tuples(st.just("drain"), slot),
    st.tuples(st.just("hang up"), slot),
    st.tuples(st.just("haunt")),
    st.tuples(st.just("task"), waits),
    st.tuples(st.just("task"), waits),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
)


class Slot:
    """A place for one socket at a time: ours (near), its peer (far), how the kernel knows it."""

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
        self.ghosts: list[socket.socket] = []
        self.tasks: list[tuple[Any, list[Any], list[Any]]] = []  # task, its waits, those done

    async def wait(self, plan: list[Any], done: list[Any]) -> None:
        for number, event, by_other_name in plan:
            place = self.slots[number]
            assert place is not None
            file = place.make(place.near.fileno()) if by_other_name else place.file
            await (_read_wait(file) if event == "read" else _write_wait(file))
            done.append((number, event))

    def in_use(self) -> set[int]:
        return {number for _, plan, _ in self.tasks for number, _, _ in plan}

    async def perform(self, verb: str, *args: Any) -> None:
        place = self.slots[args[0]] if args and verb not in ("task", "cancel") else None
        if verb == "open" and place is None:
            self.slots[args[0]] = Slot(args[1])
        elif verb == "close" and place is not None and args[0] not in self.in_use():
            if args[1] == "released":
                await _io_release(place.file)
            elif args[1] == "twin" and place.far.fileno() >= 0:
                self.ghosts += [place.near.dup(), place.far.dup()]
            place.close()
            self.slots[args[0]] = None
        elif verb == "send" and place is not None and place.far.fileno() >= 0:
            place.far.send(b"x")
            place.readable = True
        elif verb == "drain" and place is not None and place.far.fileno() >= 0:
            if place.readable:
                place.near.recv(1000)
            place.readable = False
        elif verb == "hang up" and place is not None:
            place.far.close()
            place.readable = True
        elif verb == "haunt":
            for ghost in self.ghosts[1::2]:
                ghost.send(b"boo")
        elif verb == "task":
            numbers = {number for number, _, _ in args[0]}
            if not numbers & self.in_use() and all(self.slots[n] for n in numbers):
                done: list[Any] = []
                task = await curio.spawn(self.wait, args[0], done, daemon=True)
                self.tasks.append((task, args[0], done))
        elif verb == "cancel" and args[0] < len(self.tasks):
            await self.tasks.pop(args[0])[0].cancel()

    def check(self) -> None:
        """Each task has got as far as its sockets allow, and the ones at their end are done."""
        going_on = []
        for task, plan, done in self.tasks:
            stuck = next(
                (n for n, w in enumerate(plan) if w[1] == "read" and not self.readable(w[0])),
                len(plan),
            )
            assert len(done) >= stuck, (task, plan, done)
            assert (len(done) == len(plan)) == task.terminated, (task, plan, done)
            if not task.terminated:
                going_on.append((task, plan, done))
        self.tasks = going_on

    def readable(self, number: int) -> bool:
        place = self.slots[number]
        return place is not None and place.readable

    def close(self) -> None:
        for place in self.slots:
            if place is not None:
                place.close()
        for ghost in self.ghosts:
            ghost.close()


async def play(program: list[Any]) -> None:
    world = World()
    kernel = await _get_kernel()
    try:
        for step in program:
            passed = [(len(done), done, plan) for _, plan, done in world.tasks]
            await world.perform(*step)
            for _ in range(TURNS):
                await curio.sleep(0)
            for before, done, plan in passed:
                late = [w for w in plan[before : len(done)] if w[1] == "read"]
                assert all(world.readable(number) for number, _, _ in late), (step, plan, done)
            world.check()
            # Nothing is reported that nobody waits for: that would be a busy loop.
            noisy = select.poll()
            noisy.register(kernel._selector.fileno(), select.POLLIN)
            assert not noisy.poll(0), step
        for task, _, _ in world.tasks:
            await task.cancel()
    finally:
        world.close()


@pytest.mark.skipif(not HAS_EPOLL, reason="epoll is Linux's")
@settings(max_examples=100, deadline=None)
@given(program=st.lists(steps, max_size=25))
def test_epoll_against_a_model(program: list[Any]) -> None:
    """A task passes a wait when its socket is ready, not before; no event comes for nobody."""
    asks_fast.run(play, program)
