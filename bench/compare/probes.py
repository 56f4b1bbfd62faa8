"""Single measurements: memory, TLS resumption, the time of an import.

Facts:  each runs in a process of its own. An import is timed as CPU seconds of a fresh
        interpreter, less those of one that imports nothing.
Rules:  the interpreters take turns; the median of the rounds is kept.
Implemented elsewhere: rates.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from .field import CLIENTS, SCRIPTS, python_of
from .measure import LONGEST, Plan, environment
from .servers import Server, pinned

OURS = {name for name, client in CLIENTS.items() if client.ours}


def run_probe(name: str, server: Server, plan: Plan) -> float:
    """One figure of `bench/clients/probe.py`; raises RuntimeError with its last words."""
    port = "tlsnew" if name == "resumed" else "http"
    done = subprocess.run(
        [
            sys.executable,
            str(SCRIPTS / "probe.py"),
            name,
            "--url",
            server.url(port),
            "--cafile",
            str(server.cafile),
        ],
        capture_output=True,
        text=True,
        timeout=4 * LONGEST,
        env=environment(True),
        stdin=subprocess.DEVNULL,
        preexec_fn=pinned(plan.client_core),
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1][:200])
    return float(json.loads(done.stdout.splitlines()[-1])[name])


def import_times(plan: Plan, rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    """Milliseconds of CPU for importing each client's package."""
    statements: dict[str, tuple[str, str]] = {"": (sys.executable, "pass")}
    for client in CLIENTS.values():
        if client.imports:
            try:
                statements[client.name] = (python_of(client), f"import {client.imports}")
            except subprocess.SubprocessError:
                say(f"    {client.label}: no environment")
    taken: dict[str, list[float]] = {name: [] for name in statements}
    for turn in range(rounds + 1):
        for name, (python, statement) in list(statements.items()):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                [python, "-W", "ignore", "-c", statement],
                capture_output=True,
                env=environment(name in OURS),
                stdin=subprocess.DEVNULL,
                cwd="/",
                preexec_fn=pinned(plan.client_core),
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if done.returncode:
                say(f"    {name}: cannot be imported")
                del statements[name]
            elif turn:  # the first round writes bytecode
                taken[name].append(
                    after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
                )
    median = {name: statistics.median(times) for name, times in taken.items() if times}
    nothing = median.pop("")
    return {name: round((seconds - nothing) * 1000, 2) for name, seconds in median.items()}


def all_probes(
    server: Server, plan: Plan, import_rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Every figure that could be measured."""
    found: dict[str, Any] = {}
    for name in ("idle_kib", "plain_kib", "line_kib", "stream_mib", "resumed"):
        if name == "resumed" and server.name != "nginx":
            continue  # only nginx tells whether a session was resumed
        try:
            found[name] = run_probe(name, server, plan)
        except (RuntimeError, subprocess.SubprocessError) as problem:
            say(f"    {name}: {problem}")
    if "plain_kib" in found and "line_kib" in found:
        found["waiting_kib"] = found["line_kib"] - found["plain_kib"]
    found["import"] = import_times(plan, import_rounds, say)
    for name, figure in found.items():
        say(f"    {name}: {figure}")
    return found
