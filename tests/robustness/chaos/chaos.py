"""Run hundreds of tasks with random failures, then check for leaks and wrong responses.

    python tests/robustness/chaos/chaos.py --seconds 60 --seed 1 --tasks 200 --kernel own

The seed decides what every task does, the clock how they interleave. Requests go to a server that
misbehaves on request (`misbehaving`), and through fault proxies to a real server (granian).

Every complete response belongs to its request, and only our own errors are raised. Afterwards no
descriptor, task, slot or waiter remains, memory has not grown, and the session can serve as many
requests at once as it has connections.
"""

from __future__ import annotations

import argparse
import gc
import random
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import curio

if __name__ == "__main__":
    TESTS = Path(__file__).resolve().parents[2]
    sys.path[0] = str(TESTS)
    sys.path.append(str(TESTS.parent))  # for a copy that is built in place; else the installed one

from robustness.chaos.misbehaving import CUT, GOOD, body_of
from support import faults, servers
from support.kernels import make_compiled_kernel, make_curio_kernel
from support.leaks import left_open, open_descriptors

import asks_fast
from asks_fast.errors import AsksException

ALTERING = (faults.Garbage, faults.Duplicate, faults.Corrupt)
GROWTH = 48 << 20  # bytes of memory that a run may end with beyond what it had when warm
KERNELS = {"stock": make_curio_kernel, "own": make_compiled_kernel}


@dataclass
class Report:
    """The results; `wrong` must be empty."""

    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory: tuple[int, int] = (0, 0)
    pool: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}, {self.seconds:.1f} s, {sum(self.outcomes.values())} requests",
            *(f"{count:8} {name}" for name, count in self.outcomes.most_common()),
            f"memory {self.memory[0] >> 20} -> {self.memory[1] >> 20} MiB; pool {self.pool}",
            *(f"WRONG: {one}" for one in self.wrong[:50]),
        ]
        return "\n".join(lines)


def resident() -> int:
    """Bytes of memory in use by this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


@contextmanager
def misbehaving_server() -> Iterator[str]:
    """The URL of a fresh `misbehaving` server."""
    program = Path(__file__).with_name("misbehaving.py")
    process = subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


def choose_faults(seed: int, altering: bool) -> Any:
    """The faults of a fault proxy, connection by connection."""

    def choose(number: int) -> faults.ConnectionFaults:
        rng = random.Random(f"{seed} {altering} {number}")
        while True:
            chosen = faults.random_faults(rng)
            if any(isinstance(fault, ALTERING) for fault in chosen.up + chosen.down) == altering:
                return chosen

    return choose


class Worker:
    """One task: it sends requests until the time is over."""

    def __init__(self, chaos: Chaos, number: int) -> None:
        self.chaos = chaos
        self.rng = random.Random(f"{chaos.report.seed} {number}")
        self.number = number
        self.count = 0

    async def run(self) -> None:
        while time.monotonic() < self.chaos.ends:
            self.count += 1
            await self.once(f"{self.number}-{self.count}")

    async def once(self, ident: str) -> None:
        rng, report = self.rng, self.chaos.report
        draw = rng.random()
        work = self.by_proxy(ident) if draw < 0.12 else self.ask(ident)
        try:
            blow = rng.random()
            if blow < 0.15:
                outcome = await self.cancelled(work, rng.random() * 0.03)
            elif blow < 0.3:
                outcome = await curio.timeout_after(rng.random() * 0.03, work)
            else:
                outcome = await work
        except curio.TaskTimeout:
            outcome = "timed out by the task"
        except AsksException as error:
            outcome = type(error).__name__
        except Exception as error:
            outcome = f"{type(error).__name__}, which is not ours"
            report.wrong.append(f"{ident}: {error!r}")
        report.outcomes[outcome] += 1

    async def cancelled(self, work: Any, seconds: float) -> str:
        task = await curio.spawn(work)
        await curio.sleep(seconds)
        await task.cancel()
        try:
            return str(await task.join())
        except curio.TaskError as error:
            if isinstance(error.__cause__, AsksException):
                return type(error.__cause__).__name__
            if isinstance(error.__cause__, curio.TaskCancelled):
                return "cancelled"
            raise error.__cause__ from None  # type: ignore[misc]

    # -- one question

    async def ask(self, ident: str) -> str:
        """Send a request to the misbehaving server, in one of many ways."""
        rng, session = self.rng, self.chaos.session
        conduct = rng.choice(list(GOOD) if rng.random() < 0.7 else list(CUT))
        size = rng.choice((16, 100, 1000, 20_000, 200_000))
        if conduct == "surplus":
            size = 100  # in one segment with its response, else the cause is unknown
        target = f"{self.chaos.url}/{ident}/{conduct}/{size}"
        way = rng.choice(("plain", "plain", "get", "post", "head", "read", "leave", "drop", "call"))
        limits = {"timeout": rng.choice((0.05, 0.2, 1.0))}
        if way == "get" and conduct in GOOD:
            self.check(ident, conduct, size, await session.get(target))  # the fast path
        elif way in ("plain", "get"):
            self.check(ident, conduct, size, await session.get(target, **limits))
        elif way == "head":
            r = await session.head(target, **limits)
            self.belongs(ident, r)
        elif way == "post":
            await self.post(ident, conduct, size, target, limits)
        elif way == "call":
            kept: list[bytes] = []
            r = await session.get(target, callback=kept.append, **limits)
            self.check(ident, conduct, size, r, b"".join(kept))
        else:
            r = await session.get(target, stream=True, **limits)
            self.belongs(ident, r)
            await self.read(ident, conduct, size, r, way)
        return f"{way}: answered"

    async def read(self, ident: str, conduct: str, size: int, r: Any, way: str) -> None:
        if way == "drop":
            await r.body.close()
            return
        chunks: list[bytes] = []
        async with r.body(timeout=0.3):
            async for chunk in r.body:
                chunks.append(chunk)
                if way == "leave":
                    return
        self.check(ident, conduct, size, r, b"".join(chunks))

    async def post(
        self, ident: str, conduct: str, size: int, target: str, limits: dict[str, float]
    ) -> None:
        data = self.rng.randbytes(self.rng.choice((0, 10, 5000, 300_000)))
        body = [data[:100], data[100:]] if self.rng.random() < 0.5 else data
        r = await self.chaos.session.post(target, data=body, **limits)
        self.check(ident, conduct, size, r)
        if conduct != "early" and int(r.headers["x-sum"]) != zlib.crc32(data):
            self.chaos.report.wrong.append(f"{ident}: the server got another body than was sent")

    def belongs(self, ident: str, r: Any) -> None:
        if r.headers.get("x-id") != ident:
            self.chaos.report.wrong.append(f"{ident} got the answer to {r.headers.get('x-id')}")

    def check(
        self, ident: str, conduct: str, size: int, r: Any, content: bytes | None = None
    ) -> None:
        self.belongs(ident, r)
        if content is None:
            content = r.content
        if conduct in CUT:
            self.chaos.report.wrong.append(f"{ident}: {conduct} passed for a whole answer")
        elif content != body_of(ident, size):
            self.chaos.report.wrong.append(f"{ident}: {conduct} of {size} bytes has a wrong body")

    async def by_proxy(self, ident: str) -> str:
        """Send a request to the real server through a fault proxy."""
        altering = self.rng.random() < 0.3
        url = self.chaos.altering_url if altering else self.chaos.breaking_url
        r = await self.chaos.session.get(
            f"{url}/anything/{ident}", params={"pad": "x" * 500}, timeout=0.5
        )
        if altering:
            return "through an altering wire"
        if r.json()["path"] != f"/anything/{ident}":
            self.chaos.report.wrong.append(f"{ident} got {r.json()['path']} by proxy")
        return "through a breaking wire"


class Chaos:
    """A session, its fault proxies and its workers."""

    def __init__(self, report: Report, url: str, breaking_url: str, altering_url: str) -> None:
        self.report = report
        self.url, self.breaking_url, self.altering_url = url, breaking_url, altering_url
        self.session: Any = None
        self.ends = 0.0

    async def run(self, seconds: float, tasks: int, connections: int) -> None:
        began = time.monotonic()
        self.session = asks_fast.DSession(connections=connections, idle_timeout=0.5)
        async with self.session:
            await self.storm(began + seconds / 3, tasks, connections)
            gc.collect()
            warm = resident()
            await self.storm(began + seconds, tasks, connections)
            await self.look(connections)
        self.report.seconds = time.monotonic() - began
        gc.collect()
        self.report.memory = (warm, resident())
        if resident() - warm > GROWTH:
            self.report.wrong.append(f"memory grew by {resident() - warm >> 20} MiB")

    async def storm(self, ends: float, tasks: int, connections: int) -> None:
        self.ends = ends
        watch = await curio.spawn(self.watch, connections)
        async with curio.TaskGroup() as group:
            for number in range(tasks):
                await group.spawn(Worker(self, number).run)
        await watch.cancel()
        _ = group.results  # raises what a worker raised

    async def watch(self, connections: int) -> None:
        """Check that no more connections are open than allowed."""
        while True:
            stats = self.session.pool_stats()
            if stats["open"] > connections:
                self.report.wrong.append(f"too many connections: {stats}")
            await curio.sleep(0.01)

    async def look(self, connections: int) -> None:
        """Check that no connection is in use or waited for, and that all can be used at once."""
        gc.collect()
        await curio.sleep(0.05)
        stats = self.report.pool = self.session.pool_stats()
        if stats["in_use"] or stats["waiting"] or stats["opening"]:
            self.report.wrong.append(f"slots still in use: {stats}")
        try:
            async with curio.timeout_after(100), curio.TaskGroup() as group:
                for number in range(connections):
                    target = f"{self.url}/last-{number}/together/{connections}"
                    await group.spawn(self.session.get(target))
        except curio.TaskTimeout:
            self.report.wrong.append(f"not {connections} at once: {self.session.pool_stats()}")
            return
        answered = [r.headers.get("x-id") for r in group.results]
        if answered != [f"last-{number}" for number in range(connections)]:
            self.report.wrong.append(f"{connections} at once were answered {answered}")


def storm(
    seed: int, seconds: float, *, tasks: int = 200, connections: int = 10, kernel: str = "stock"
) -> Report:
    """Run everything, and return the report."""
    report = Report(seed)
    with ExitStack() as stack:
        url = stack.enter_context(misbehaving_server())
        real = stack.enter_context(servers.application("asks_fast.cli.demo_app:app"))
        before = open_descriptors()
        with ExitStack() as wires:
            proxies = [
                wires.enter_context(
                    faults.FaultProxy(real.host, real.port, choose=choose_faults(seed, altering))
                )
                for altering in (False, True)
            ]
            chaos = Chaos(report, url, proxies[0].url, proxies[1].url)
            with KERNELS[kernel]() as running:
                running.run(chaos.run, seconds, tasks, connections)
                left = [
                    task
                    for task in (getattr(running, "_tasks", None) or {}).values()
                    if getattr(task.coro, "__name__", "") not in ("_kernel_task", "_run")
                ]
                report.wrong += [f"task still running: {task!r}" for task in left]
        report.wrong += [f"descriptor left open: {name}" for name in left_open(before, timeout=30)]
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="default: a fresh one")
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--kernel", choices=sorted(KERNELS), default="stock")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    report = storm(
        seed,
        options.seconds,
        tasks=options.tasks,
        connections=options.connections,
        kernel=options.kernel,
    )
    print(report)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
