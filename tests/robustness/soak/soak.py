"""A long run of mixed requests that checks for growth: `make soak ARGS='--requests 1000000'`.

Facts:  the server is `chaos.misbehaving` in a process of its own; each request says how it is
        treated: mostly well (with and without keep-alive, chunked, compressed, redirected, with
        cookies), one in twenty badly (cut off, reset, silent, no HTTP), some are cancelled.
Rules:  figures are taken ten times on the way: requests a second, memory in use (RSS), Python's
        objects, descriptors; `--write` puts them into docs/reliability.md. The run fails if an
        answer was wrong, a good request failed, descriptors are left, or memory grew after the
        first tenth.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import os
import platform
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import curio

if __name__ == "__main__":
    TESTS = Path(__file__).resolve().parents[2]
    sys.path[0] = str(TESTS)
    sys.path.append(str(TESTS.parent))

from robustness.chaos.chaos import KERNELS, misbehaving_server, resident
from robustness.chaos.misbehaving import CUT, body_of

import asks_fast
from asks_fast.errors import AsksException

WELL = ("ok", "ok", "ok", "ok", "chunked", "packed", "moved", "says_close", "closes", "interim")
BADLY = tuple(name for name in CUT if name not in ("silent", "stalls", "endless_head"))
STEPS = 10
MARKS = ("<!-- soak -->", "<!-- end of soak -->")
GROWTH = 8 << 20  # bytes of memory that may be added after the first tenth


def descriptors() -> int:
    """The number of open descriptors; 0 where the system does not say."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


class Soak:
    """One session under load."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.rng = random.Random(seed)
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.session: Any = None
        self.number = 0

    async def worker(self, last: int) -> None:
        while self.number < last:
            self.number += 1
            await self.once(str(self.number))

    async def once(self, ident: str) -> None:
        draw = self.rng.random()
        conduct = self.rng.choice(BADLY if draw < 0.05 else WELL)
        try:
            if 0.05 <= draw < 0.06:
                blow = self.rng.random() * 0.005
                outcome = await curio.ignore_after(blow, self.ask(ident, conduct)) or "cancelled"
            else:
                outcome = await self.ask(ident, conduct)
        except AsksException as error:
            outcome = "failed as it should"
            if getattr(error, "is_stale", False) and not error.is_unsent:  # type: ignore[attr-defined]
                outcome = "not sent twice"  # a POST on a connection that was being closed
            elif conduct not in CUT:
                outcome = "failed"
                self.wrong.append(f"{ident} {conduct}: {error!r}")
        self.outcomes[outcome] += 1

    async def ask(self, ident: str, conduct: str) -> str:
        size = self.rng.choice((100, 100, 100, 2000, 50_000))
        target = f"{self.url}/{ident}/{conduct}/{size}"
        how = self.rng.random()
        if how < 0.1:
            r = await self.session.post(target, json={"id": ident})
        elif how < 0.2:
            r = await self.session.get(target, stream=True)
            async with r:
                content = await r.body.read()
        else:
            r = await self.session.get(target)
        if how >= 0.2 or how < 0.1:
            content = r.content
        if conduct in CUT or r.headers.get("x-id") != ident or content != body_of(ident, size):
            self.wrong.append(f"{ident} {conduct}: answered {r.headers.get('x-id')}")
        return "answered"

    async def run(self, requests: int, tasks: int, connections: int) -> list[dict[str, Any]]:
        figures = []
        session = asks_fast.DSession(connections=connections, persist_cookies=True)
        async with session as self.session:
            for step in range(1, STEPS + 1):
                began, before = time.monotonic(), self.number
                async with curio.TaskGroup() as group:
                    for _ in range(tasks):
                        await group.spawn(self.worker(requests * step // STEPS))
                _ = group.results  # raises what a worker raised
                passed = time.monotonic() - began
                gc.collect()
                figures.append(
                    {
                        "requests": self.number,
                        "per_second": round((self.number - before) / passed),
                        "rss_kib": resident() >> 10,
                        "objects": len(gc.get_objects()),
                        "descriptors": descriptors(),
                        "wrong": len(self.wrong),
                    }
                )
                print(json.dumps(figures[-1]), flush=True)
        return figures


@dataclass(frozen=True)
class Outcome:
    """The figures of a run, the outcomes counted, and what was wrong."""

    figures: list[dict[str, Any]]
    outcomes: Counter[str]
    descriptors: tuple[int, int]
    seconds: float
    wrong: list[str]


def soak(
    requests: int, *, tasks: int = 100, connections: int = 20, seed: int = 1, kernel: str = "stock"
) -> Outcome:
    """Run it."""
    began = time.monotonic()
    with misbehaving_server() as url:
        run = Soak(url, seed)
        at_start = descriptors()
        with KERNELS[kernel]() as running:
            figures = running.run(run.run, requests, tasks, connections)
        gc.collect()
        at_end = descriptors()
    grown = figures[-1]["rss_kib"] - figures[0]["rss_kib"]
    print(f"{dict(run.outcomes)} on Python {platform.python_version()}, kernel {kernel}")
    print(f"memory after the first tenth {figures[0]['rss_kib']} KiB, at the end +{grown} KiB")
    print(f"descriptors {at_start} before, {at_end} after")
    wrong = run.wrong[:20]
    if grown << 10 > GROWTH:
        wrong.append(f"memory grew by {grown} KiB")
    if at_end > at_start:
        wrong.append(f"{at_end - at_start} descriptors were left open")
    return Outcome(figures, run.outcomes, (at_start, at_end), time.monotonic() - began, wrong)


def report(outcome: Outcome, given: argparse.Namespace) -> str:
    """The figures in the form of docs/reliability.md."""
    counted = outcome.outcomes
    kernel = "our" if given.kernel == "own" else "curio's"
    lines = [
        f"The soak: {given.requests:,} requests by {given.tasks} tasks over {given.connections} "
        f"connections, in {kernel} kernel, in {outcome.seconds:.0f} s, on "
        f"{datetime.date.today():%-d %B %Y}, Python {platform.python_version()}: "
        f"{'nothing wrong' if not outcome.wrong else 'FAILED'}.",
        "",
        "| after | RSS | Python objects | descriptors |",
        "|---|---|---|---|",
    ]
    for one in (outcome.figures[0], outcome.figures[STEPS // 2 - 1], outcome.figures[-1]):
        lines.append(
            f"| {one['requests']:,} requests | {one['rss_kib']:,} KiB | {one['objects']:,} | "
            f"{one['descriptors']} |"
        )
    before, after = outcome.descriptors
    lines += [
        f"| close of the session | | | {after}; {before} before it |",
        "",
        f"{counted['answered']:,} were answered, each with its own answer; "
        f"{counted['failed as it should']:,} failed because the server made them fail;",
        f"{counted['cancelled']:,} were cancelled; {counted['not sent twice']:,} were POSTs that "
        "met a connection which the server was just closing",
        "without a word, and were not sent a second time (promise 4); "
        f"{counted['failed']:,} failed without cause.",
    ]
    return "\n".join(lines)


def write(text: str) -> None:
    """Replace the figures in docs/reliability.md."""
    page = Path(__file__).resolve().parents[3] / "docs" / "reliability.md"
    before, _, rest = page.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    page.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kernel", choices=sorted(KERNELS), default="stock")
    parser.add_argument("--write", action="store_true", help="the figures to docs/reliability.md")
    given = parser.parse_args()
    options = {name: value for name, value in vars(given).items() if name != "write"}
    outcome = soak(**options)
    if given.write:
        write(report(outcome, given))
    print("\n".join(["FAILED", *outcome.wrong]) if outcome.wrong else "passed")
    return int(bool(outcome.wrong))


if __name__ == "__main__":
    sys.exit(main())
