"""The pool alone: does it cost more when more wait, and what does an idle connection take?

Facts:  waiting and waking are traps of curio; here a few lines play the kernel, so that only the
        pool's own work is in the figure.
Rules:  flat is the pass mark: a hand-over with ten thousand in line costs at most twice that with
        ten, and taking an idle connection does not depend on how many there are.
Not here: the kernel's own cost of a crowd (bench.compare, workload `example`).
"""

from __future__ import annotations

import gc
import socket
import sys
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from asks_fast._hotpath import Connection, OriginPool, Pool
from asks_fast.response_objects import Response

Task = Coroutine[Any, Any, Any]
IDLE_LIMIT = 4096  # bytes of an idle connection beyond its socket


def step(task: Task) -> None:
    """Run a task to its next wait and do what its trap asks; whoever is woken runs at once."""
    answer: Any = None
    while True:
        try:
            trap, thing, *rest = task.send(answer)
        except StopIteration:
            return
        if trap == "trap_sched_wait":
            thing._kernel_suspend(task)
            return
        assert trap == "trap_sched_wake", trap
        for woken in thing._kernel_wake(rest[0]):
            step(woken)
        answer = None


def line_of(waiters: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """A pool with so many in line: a function that hands one place on, and one to end it.

    One hand-over: somebody joins the end of the line, the place is returned, the first in line
    gets it. The line stays as long as it was.
    """
    pool = Pool(1)
    origin = pool.origin("route", "http://localhost:8000")

    async def stand() -> None:
        assert await pool.acquire(origin) is None

    async def leave() -> None:
        await pool.cancel_reservation(origin)

    def hand_over() -> None:
        step(stand())
        step(leave())

    for _ in range(waiters + 1):  # the first one gets the place at once
        step(stand())

    def empty() -> None:
        for _ in range(waiters + 1):
            step(leave())

    return hand_over, empty


@pytest.mark.benchmark(group="pool: one hand-over with so many in line")
@pytest.mark.parametrize("waiters", [10, 1_000, 10_000])
def bench_line(benchmark: Any, waiters: int) -> None:
    """Ten in line or ten thousand: is the cost of a hand-over the same?"""
    hand_over, empty = line_of(waiters)
    benchmark(hand_over)
    empty()


def seconds_each(call: Callable[[], None], count: int = 500) -> float:
    """CPU time of one call: what other programs take of the machine does not count."""
    start = time.thread_time()
    for _ in range(count):
        call()
    return (time.thread_time() - start) / count


def bench_line_is_flat(benchmark: Any) -> None:
    """A hand-over with 10,000 in line costs at most twice that with 10.

    Run as a test it only rules out a search through the line, which would cost far more than that:
    with caches that others use too, the long line may take thrice the time without anyone at fault.
    """
    short, end_short = line_of(10)
    long, end_long = line_of(10_000)
    series = [(seconds_each(short), seconds_each(long)) for _ in range(25)]
    ratio = min(of_long for _, of_long in series) / min(of_short for of_short, _ in series)
    end_short()
    end_long()
    benchmark(lambda: None)
    benchmark.extra_info["ratio"] = ratio
    assert ratio <= (20 if benchmark.disabled else 2), series


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets, non-blocking."""
    near, far = socket.socketpair()
    near.setblocking(False)
    return near, far


def claim(pool: Pool, origin: OriginPool) -> None:
    """Take a free place; nobody is in line, so there is nothing to wait for."""
    with pytest.raises(StopIteration) as done:
        pool.acquire(origin).send(None)
    assert done.value.value is None


def serve(connection: Connection, far: socket.socket) -> None:
    """One exchange without a body, after which the connection is idle."""
    exchange = connection.exchange(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", Response())
    try:
        exchange.send(None)
        far.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        exchange.send(None)
    except StopIteration:
        far.recv(4096)


def rest(pool: Pool, origin: OriginPool, count: int) -> list[socket.socket]:
    """Put so many idle connections into a pool; returns the far ends."""
    far_ends: list[socket.socket] = []
    lent: list[Connection] = []
    for _ in range(count):
        claim(pool, origin)
        near, far = pair()
        far_ends.append(far)
        lent.append(pool.add_connection(origin, near))
    for connection, far in zip(lent, far_ends, strict=True):
        serve(connection, far)
    return far_ends


@pytest.mark.benchmark(group="pool: take an idle connection of so many")
@pytest.mark.parametrize("idle", [1, 10, 1_000])
def bench_take(benchmark: Any, idle: int) -> None:
    """One idle connection or a thousand: is an exchange as cheap?"""
    pool = Pool(idle)
    origin = pool.origin("route", "http://localhost:8000")
    far_ends = rest(pool, origin, idle)

    def call() -> None:
        serve(pool.get_idle(origin), far_ends[-1])  # the last one to come to rest

    benchmark(call)
    pool.close()
    for far in far_ends:
        far.close()


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="figures are for CPython")
def bench_idle_memory(benchmark: Any) -> None:
    """An idle pooled connection takes at most 4 KiB beyond its socket."""
    count = 400
    sockets = [pair() for _ in range(50)]
    for near, far in sockets:
        near.close()
        far.close()
    pool = Pool(count)
    origin = pool.origin("route", "http://localhost:8000")
    gc.collect()
    tracemalloc.start()
    far_ends = rest(pool, origin, count)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] / count
    tracemalloc.stop()
    benchmark.extra_info["bytes"] = used
    pool.close()
    for far in far_ends:
        far.close()
    assert used <= IDLE_LIMIT, f"{used:.0f} bytes"
    benchmark(lambda: None)
