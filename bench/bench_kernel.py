"""The cost of the kernel itself: the same work on curio's kernel and on ours.

Read the two rows of a group against each other; ratios hold across machines, times do not. The
sockets are socket pairs of this process, so that nothing but the kernel, curio's traps and the
system calls is measured.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import curio
import pytest
from curio.io import _Fd
from curio.traps import _read_wait

import asks_fast

ROUNDS = {"rounds": 3, "iterations": 1, "warmup_rounds": 1}

both_kernels = pytest.mark.parametrize(
    "run", [curio.run, asks_fast.run], ids=["curio", "asks_fast"]
)


def pairs(count: int) -> list[tuple[socket.socket, socket.socket]]:
    made = [socket.socketpair() for _ in range(count)]
    for pair in made:
        for end in pair:
            end.setblocking(False)
    return made


def close(made: list[tuple[socket.socket, socket.socket]]) -> None:
    for pair in made:
        for end in pair:
            end.close()


async def answer(sock: socket.socket, count: int) -> None:
    file = _Fd(sock.fileno())
    for _ in range(count):
        await _read_wait(file)
        sock.send(sock.recv(1))


async def ask(sock: socket.socket, count: int) -> int:
    file = _Fd(sock.fileno())
    for _ in range(count):
        sock.send(b"?")
        await _read_wait(file)
        sock.recv(1)
    return count


async def ping_pong(made: list[tuple[socket.socket, socket.socket]], count: int) -> int:
    async with curio.TaskGroup() as group:
        for near, far in made:
            await group.spawn(answer, far, count)
            await group.spawn(ask, near, count)
    return sum(result or 0 for result in group.results)


@pytest.mark.benchmark(group="kernel: 20,000 echoes over 50 connections, a task at each end")
@both_kernels
def bench_ping_pong(benchmark: Any, run: Callable[..., Any]) -> None:
    """The time of one wait and wake-up: two tasks that wait for each other on a socket."""
    made = pairs(50)
    assert run(ping_pong, made, 1) == 50
    benchmark.pedantic(run, (ping_pong, made, 400), **ROUNDS)
    close(made)


async def nothing() -> int:
    return 1


async def start_all(count: int) -> int:
    tasks = [await curio.spawn(nothing) for _ in range(count)]
    return sum([await task.join() for task in tasks])


@pytest.mark.benchmark(group="kernel: start tasks and join them")
@pytest.mark.parametrize(
    ("run", "count"),
    [(curio.run, 5_000), (asks_fast.run, 5_000), (asks_fast.run, 40_000)],
    ids=["curio-5000", "asks_fast-5000", "asks_fast-40000"],
)
def bench_start(benchmark: Any, run: Callable[..., Any], count: int) -> None:
    """Does starting a task stay cheap in a crowd? curio searches its ready queue each time.

    curio with 40,000 is left out: it takes most of a minute.
    """
    assert run(start_all, 10) == 10
    benchmark.pedantic(run, (start_all, count), rounds=1)


async def sleep_all(count: int) -> int:
    async with curio.TaskGroup() as group:
        for number in range(count):
            await group.spawn(curio.sleep, 0.001 + (number * 7919 % count) * 1e-6)
    return len(group.results)


@pytest.mark.benchmark(group="kernel: 10,000 tasks that sleep for 1 to 11 ms")
@both_kernels
def bench_sleepers(benchmark: Any, run: Callable[..., Any]) -> None:
    """The cost of ten thousand timers in random order."""
    assert run(sleep_all, 10) == 10
    benchmark.pedantic(run, (sleep_all, 10_000), rounds=1)


async def time_outs(count: int) -> int:
    for _ in range(count):
        async with curio.timeout_after(30):
            pass
    return count


@pytest.mark.benchmark(group="kernel: 10,000 time-outs set and lifted")
@both_kernels
def bench_time_outs(benchmark: Any, run: Callable[..., Any]) -> None:
    """The cost of a time limit that does not expire."""
    assert run(time_outs, 10) == 10
    benchmark.pedantic(run, (time_outs, 10_000), **ROUNDS)


async def one_request(idle: list[Any], gate: curio.Semaphore) -> int:
    async with gate:
        near, far, file = idle.pop()
        near.send(b"?")
        far.send(far.recv(1))  # the server's turn, which costs the client nothing but this
        await _read_wait(file)
        near.recv(1)
        idle.append((near, far, file))
    return 1


async def a_task_each(made: list[tuple[socket.socket, socket.socket]], count: int) -> int:
    idle = [(near, far, _Fd(near.fileno())) for near, far in made]
    gate = curio.Semaphore(len(idle))
    async with curio.TaskGroup() as group:
        for _ in range(count):
            await group.spawn(one_request, idle, gate)
    return sum(group.results)


@pytest.mark.benchmark(group="kernel: a task for each of 5,000 requests, 50 connections")
@both_kernels
def bench_a_task_each(benchmark: Any, run: Callable[..., Any]) -> None:
    """A connection passed from task to task: is it registered again each time?"""
    made = pairs(50)
    assert run(a_task_each, made, 60) == 60
    benchmark.pedantic(run, (a_task_each, made, 5_000), rounds=1)
    close(made)
