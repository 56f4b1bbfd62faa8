"""`python -m bench.compare`: all clients, all workloads, tables and plots.

Rules:  results are written after every workload, so that an interrupted run keeps them;
        a run that exceeds its time ends early, with the results so far.
Implemented elsewhere: clients (`field`), servers, measuring, goals, reports.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ..clients.job import WORKLOADS
from . import report
from .field import CACHE, CLIENTS, ROOT, Client
from .goals import HOST_WORK, HOSTS
from .measure import Plan, compare, environment, machine, workloads
from .probes import all_probes
from .servers import best

QUICK = (
    "small-50",
    "small-1",
    "small-1000",
    "origins-20",
    "origins-1000",
    "body-10m",
    "chunked-10m",
    "gzip-json",
    "tls",
    "tls-new",
    "post-1k",
    "example",
    "stream",
)
# In a quick run, in all but the first workload: these take part, and QUICK_HOSTS in the
# workloads of their goals. The others take part in the first workload only.
QUICK_CLIENTS = ("asks_fast", "asks_fast_own", "aiohttp", "wreq", "pycurl", "bare", "wrk")
QUICK_HOSTS = (*HOSTS, "asks_fast_sync", "pycurl_easy", "requests")


def say(text: str = "") -> None:
    """Print a line of progress."""
    print(text, flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="3 short rounds, the main workloads")
    size.add_argument("--full", action="store_true", help="5 rounds, everything (the default)")
    parser.add_argument("--only", default="", help="workloads, comma between; beginnings will do")
    parser.add_argument("--clients", default="", help="clients, comma between")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="length of a run (default 0.5, quick 0.2)")
    parser.add_argument("--minutes", type=float, help="start nothing new after (default 23, 5)")
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--merge", action="store_true", help="keep the folder's other results")
    parser.add_argument("--no-probes", action="store_true", help="no memory, no import times")
    parser.add_argument("--render", action="store_true", help="only draw the results again")
    parser.add_argument("--list", action="store_true", help="name workloads and clients")
    return parser.parse_args()


def cores() -> tuple[int | None, int | None]:
    """The core of the server and the core of the client; None if processes cannot be pinned."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


def chosen(names: str) -> list[Client]:
    """The clients of that list, or all that can run here."""
    picked = [CLIENTS[name] for name in names.split(",")] if names else list(CLIENTS.values())
    own = CLIENTS["asks_fast_own"]
    if own in picked and not names:
        code = "import asks_fast; asks_fast.run"
        there = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(ours=True),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
        if there.returncode:
            picked.remove(own)
    return picked


def measure_all(args: argparse.Namespace, folder: Path) -> None:
    """Run everything requested; results are on disk after each workload."""
    names = args.only.split(",") if args.only else QUICK if args.quick else list(WORKLOADS)
    todo, clients = workloads(names), chosen(args.clients)
    limit = args.minutes or (5.0 if args.quick else 23.0)
    deadline = time.monotonic() + limit * 60
    server_core, client_core = cores()
    results, probes, before = report.load(folder) if args.merge else ({}, {}, {})
    CACHE.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="asks-fast-bench-") as root,
        tempfile.TemporaryDirectory(prefix="scratch-", dir=CACHE) as scratch,
    ):
        plan = Plan(
            args.rounds or (3 if args.quick else 5),
            args.seconds or (0.2 if args.quick else 0.5),
            server_core,
            client_core,
            Path(scratch),
        )
        with best(Path(root), server_core) as server:
            here = machine(server, plan)
            say(report.machine_lines(here))
            if before:
                here = report.measured_again(before, here, [w.name for w in todo], clients)
            for number, work in enumerate(todo):
                if time.monotonic() > deadline:
                    say(f"  time is over; not measured: {', '.join(w.name for w in todo[number:])}")
                    break
                say(f"  {work.title}")
                taking = clients
                if args.quick and number and not args.clients:
                    quick = QUICK_CLIENTS + (QUICK_HOSTS if work.name in HOST_WORK else ())
                    taking = [c for c in clients if c.name in quick]
                for series in compare(work, taking, server, plan, deadline, say):
                    results[series.client, series.workload] = series
                report.save(folder, results, probes, here)
                show(results, work.name)
            if not args.no_probes:
                say("  memory, resumption, import")
                imports = 5 if args.quick else 15
                probes = {**probes, **all_probes(server, plan, imports, say)}
                report.save(folder, results, probes, here)


def show(results: report.Results, workload: str) -> None:
    """One line for each client."""
    for series in report.of(results, workload):
        say(
            f"    {CLIENTS[series.client].label:28} {report.amount(series.rate):>9} requests/s "
            f"±{series.spread / 2:4.0%}  CPU {report.amount(series.cpu):>7} µs  "
            f"{series.rss:4.0f} MiB"
        )


def main() -> int:
    args = arguments()
    if args.list:
        for title, items in (("workloads", WORKLOADS), ("clients", CLIENTS)):
            say(f"{title}: {', '.join(items)}")
        return 0
    folder: Path = args.out or (CACHE / "quick" if args.quick else ROOT / "docs" / "benchmarks")
    if not args.render:
        measure_all(args, folder)
    say()
    for goal in report.render(folder):
        work, what, limit, reached, cpu, verdict = goal.row()
        if goal.figure is None and args.only:
            continue
        say(f"  {verdict:12} {work:28} {what:58} {limit:>9} {reached:>9} {cpu:>9}")
    say(f"\n  written to {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
