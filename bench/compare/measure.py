"""Run clients and collect their figures.

Facts:  a run is one process of one client doing one workload; its line of JSON is the result.
Rules:  a first run per client checks every byte of every response and is not counted; it also
        tells how many requests fill the wanted time. Then all clients take turns, A B C A B C …,
        so that noise of the machine affects all of them. A client that fails or takes too
        long is left out of that workload, with the reason.
Implemented elsewhere: what the figures mean (report.py, goals.py).
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..clients.job import WORKLOADS, Workload
from .field import ROOT, SCRIPTS, Client, python_of, tree_is_built
from .servers import Server, pinned

LONGEST = 25.0  # seconds after which a run is given up


class Failed(Exception):
    """A run without a result; the text is the reason."""


@dataclass
class Series:
    """All counted runs of one client on one workload."""

    client: str
    workload: str
    runs: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""

    def _values(self, of: Callable[[dict[str, Any]], float]) -> list[float]:
        return sorted(of(run) for run in self.runs)

    def as_json(self) -> dict[str, Any]:
        """The figures to store."""
        return {
            "client": self.client,
            "workload": self.workload,
            "problem": self.problem,
            "runs": self.runs,
        }

    @property
    def in_turn(self) -> list[float]:
        """Requests per second of each run, in the order of the rounds."""
        return [run["requests"] / run["seconds"] for run in self.runs]

    @property
    def rates(self) -> list[float]:
        """Requests per second of each run, sorted."""
        return self._values(lambda run: run["requests"] / run["seconds"])

    @property
    def rate(self) -> float:
        """Median requests per second."""
        return statistics.median(self.rates)

    @property
    def spread(self) -> float:
        """(highest - lowest) / median."""
        return (self.rates[-1] - self.rates[0]) / self.rate

    @property
    def cpu(self) -> float:
        """Median CPU time, user and system, in microseconds per request."""
        return statistics.median(
            self._values(lambda run: (run["cpu_user"] + run["cpu_system"]) * 1e6 / run["requests"])
        )

    @property
    def rss(self) -> float:
        """The highest resident memory in MiB (0 if unknown)."""
        return float(max(run.get("peak_rss_kib", 0) for run in self.runs) / 1024)


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    server_core: int | None
    client_core: int | None
    scratch: Path


def environment(ours: bool) -> dict[str, str]:
    """The environment of a client: no proxies, no other certificate bundles, no Python settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT)} if ours and tree_is_built() else kept


def run_client(
    client: Client, work: Workload, server: Server, plan: Plan, requests: int, check: bool = False
) -> dict[str, Any]:
    """One run; raises Failed."""
    if client.name == "wrk":
        return run_wrk(work, server, plan)
    command = [
        python_of(client),
        str(SCRIPTS / client.script),
        *client.arguments,
        "--workload",
        work.name,
        "--url",
        server.url(work.port),
        "--connections",
        str(work.connections),
        "--requests",
        str(requests),
        "--scratch",
        str(plan.scratch),
    ]
    if work.port != "http":
        command += ["--cafile", str(server.cafile)]
    if check:
        command += ["--check"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            env=environment(client.ours),
            preexec_fn=pinned(plan.client_core),
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{requests:,} requests not done in {LONGEST:g} s") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise Failed(f"status {done.returncode}: {last[0][:200]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if result["requests"] != requests:
        raise Failed(f"{result['requests']} answers to {requests} requests")
    return result


def run_wrk(work: Workload, server: Server, plan: Plan) -> dict[str, Any]:
    """One run of wrk with one thread; it only runs whole seconds.

    They include opening the connections, so many of them get more time.
    """
    binary = shutil.which("wrk")
    if binary is None:
        raise Failed("wrk is not installed")
    seconds = max(1, round(plan.seconds), work.connections // 2000)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [
            binary,
            "-t1",
            f"-c{work.connections}",
            f"-d{seconds}s",
            server.url(work.port) + work.path,
        ],
        capture_output=True,
        text=True,
        timeout=LONGEST,
        preexec_fn=pinned(plan.client_core),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s)", done.stdout)
    if not found or "Non-2xx" in done.stdout or int(found[1]) == 0:
        raise Failed(f"wrk: {done.stdout.strip()[-200:]}")
    return {
        "client": "wrk",
        "workload": work.name,
        "connections": work.connections,
        "requests": int(found[1]),
        "seconds": float(found[2]) / (1000 if found[3] == "ms" else 1),
        "cpu_user": after.ru_utime - before.ru_utime,
        "cpu_system": after.ru_stime - before.ru_stime,
        "versions": {},
    }


def least(work: Workload) -> int:
    """The minimum number of requests of a run."""
    if work.kind == "stream":
        return 1
    if max(work.size, work.upload) > 1024 * 1024:
        return 3
    return max(100, 2 * work.connections)


def wanted(work: Workload, rate: float, seconds: float) -> int:
    """The number of requests that take `seconds` at `rate`."""
    if work.kind == "example":
        # Ten thousand, as documented; clients that would need many seconds get fewer.
        return 10_000 if rate * 4 > 10_000 else max(1000, int(rate * 2))
    return max(least(work), int(rate * seconds))


def compare(
    work: Workload,
    clients: Sequence[Client],
    server: Server,
    plan: Plan,
    deadline: float,
    say: Callable[[str], None] = print,
) -> list[Series]:
    """All rounds of one workload, the clients in turn; no round starts after `deadline`."""
    series = {c.name: Series(c.name, work.name) for c in clients if c.takes(work.name)}
    rates: dict[str, float] = {}
    active = [c for c in clients if c.name in series]
    for client in list(active):
        try:
            first = run_client(client, work, server, plan, least(work), check=True)
            rates[client.name] = first["requests"] / first["seconds"]
        except (Failed, subprocess.SubprocessError, OSError) as problem:
            series[client.name].problem = str(problem)
            say(f"    {client.label}: left out, {problem}")
            active.remove(client)
    for number in range(plan.rounds):
        if number and time.monotonic() > deadline:
            say(f"    time is over after {number} rounds")
            break
        for client in list(active):
            one = series[client.name]
            try:
                run = run_client(
                    client, work, server, plan, wanted(work, rates[client.name], plan.seconds)
                )
            except (Failed, subprocess.SubprocessError, OSError) as problem:
                one.problem = str(problem)
                say(f"    {client.label}: a run failed, {problem}")
                active.remove(client)
                continue
            one.runs.append(run)
            rates[client.name] = run["requests"] / run["seconds"]
    return list(series.values())


def machine(server: Server, plan: Plan) -> dict[str, Any]:
    """The machine and the versions."""
    import platform

    model = platform.processor()
    if os.path.exists("/proc/cpuinfo"):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    wrk = shutil.which("wrk")
    return {
        "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "server": f"{server.name} {server.version}",
        "server_core": plan.server_core,
        "client_core": plan.client_core,
        "wrk": wrk is not None,
        "load": os.getloadavg()[0],
        "rounds": plan.rounds,
        "seconds": plan.seconds,
    }


def workloads(names: Sequence[str]) -> list[Workload]:
    """The workloads of these names; a name may be the beginning of several. KeyError if none."""
    found: list[Workload] = []
    for name in names:
        matches = [w for key, w in WORKLOADS.items() if key == name] or [
            w for key, w in WORKLOADS.items() if key.startswith(name)
        ]
        if not matches:
            raise KeyError(name)
        found += [w for w in matches if w not in found]
    return found
