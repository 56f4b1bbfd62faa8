"""The pool alone: its cost by the number of waiters, and the memory of an idle connection.

Facts:  waiting and waking are traps of curio; a few lines replace the kernel, so that only the
        pool itself is measured.
Rules:  costs do not grow: a hand-over with ten thousand waiters costs at most twice that with
        ten, and taking an idle connection does not depend on how many there are.
Implemented elsewhere: the cost of many tasks in the kernel (bench.compare, workload `example`).
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
    """Run a task to its next wait and handle its trap; a woken task runs at once."""
    result: Any = None
    while True:
        try:
            trap, thing, *arguments = task.send(result)
        except StopIteration:
            return
        if trap == "trap_sched_wait":
            thing._kernel_suspend(task)
            return
        assert trap == "trap_sched_wake", trap
        for woken in thing._kernel_wake(arguments[0]):
            step(woken)
        result = None


def pool_with_waiters(waiters: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """A pool with so many waiters: a function that hands one slot over, and one to end it.

    One hand-over: a task joins the queue, the slot is released, and the first waiter
    gets it. The length of the queue stays the same.
    """
    pool = Pool(1)
    origin = pool.origin("route", "http://localhost:8000")

    async def wait() -> None:
        assert await pool.acquire(origin) is None

    async def release() -> None:
        await pool.cancel_reservation(origin)

    def hand_over() -> None:
        step(wait())
        step(release())

    for _ in range(waiters + 1):  # the first one gets the slot at once
        step(wait())

    def empty() -> None:
        for _ in range(waiters + 1):
            step(release())

    return hand_over, empty


@pytest.mark.benchmark(group="pool: one hand-over with so many waiters")
@pytest.mark.parametrize("waiters", [10, 1_000, 10_000])
def bench_hand_over(benchmark: Any, waiters: int) -> None:
    """The cost of a hand-over with ten and with ten thousand waiters."""
    hand_over, empty = pool_with_waiters(waiters)
    benchmark(hand_over)
    empty()


def seconds_each(call: Callable[[], None], count: int = 500) -> float:
    """CPU time of one call, without that of other programs."""
    start = time.thread_time()
    for _ in range(count):
        call()
    return (time.thread_time() - start) / count


def bench_hand_over_is_constant(benchmark: Any) -> None:
    """A hand-over with 10,000 waiters costs at most twice that with 10.

    As a test it only rules out a search through the queue, which would cost much more. With
    shared processor caches the long queue may take three times as long.
    """
    short, end_short = pool_with_waiters(10)
    long, end_long = pool_with_waiters(10_000)
    series = [(seconds_each(short), seconds_each(long)) for _ in range(25)]
    ratio = min(of_long for _, of_long in series) / min(of_short for of_short, _ in series)
    end_short()
    end_long()
    benchmark(lambda: None)
    benchmark.extra_info["ratio"] = ratio
    assert ratio <= (20 if benchmark.disabled else 2), series


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected, non-blocking sockets."""
    near, far = socket.socketpair()
    near.setblocking(False)
    return near, far


def acquire_slot(pool: Pool, origin: OriginPool) -> None:
    """Acquire a free slot, without waiting."""
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


def add_idle(pool: Pool, origin: OriginPool, count: int) -> list[socket.socket]:
    """Put so many idle connections into a pool; return the peers' sockets."""
    far_ends: list[socket.socket] = []
    in_use: list[Connection] = []
    for _ in range(count):
        acquire_slot(pool, origin)
        near, far = pair()
        far_ends.append(far)
        in_use.append(pool.add_connection(origin, near))
    for connection, far in zip(in_use, far_ends, strict=True):
        serve(connection, far)
    return far_ends


@pytest.mark.benchmark(group="pool: take an idle connection of so many")
@pytest.mark.parametrize("idle", [1, 10, 1_000])
def bench_get_idle(benchmark: Any, idle: int) -> None:
    """The cost of an exchange with one and with a thousand idle connections."""
    pool = Pool(idle)
    origin = pool.origin("route", "http://localhost:8000")
    far_ends = add_idle(pool, origin, idle)

    def call() -> None:
        serve(pool.get_idle(origin), far_ends[-1])  # the last one to come to add_idle

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
    far_ends = add_idle(pool, origin, count)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] / count
    tracemalloc.stop()
    benchmark.extra_info["bytes"] = used
    pool.close()
    for far in far_ends:
        far.close()
    assert used <= IDLE_LIMIT, f"{used:.0f} bytes"
    benchmark(lambda: None)
