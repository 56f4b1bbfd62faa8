"""`asks-fast bench`: how fast on this machine, beside the clients that are installed here.

The server is one process on one core (nginx, else one of our own), each client a process on
another core; they take turns, and the table shows medians. With a URL it is that server that is
loaded, by asks_fast alone unless --clients names more.
Rules:  Ctrl-C stops it and still prints what there is. Exit status: 0, 1 if asks_fast gave no
        figures, 130 stopped.
Not here: the clients (`bench_client`), the server (`bench_server`), the whole comparison (bench/).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec

import click
from rich.console import Console
from rich.table import Table

from asks_fast._subprocess import python_command
from asks_fast.cli.bench_client import CLIENTS
from asks_fast.cli.bench_server import on_core, running

LABELS = {
    "asks_fast": "asks_fast on curio.run",
    "asks_fast.run": "asks_fast on asks_fast.run",
    "aiohttp": "aiohttp",
    "httpx": "httpx",
    "requests": "requests, threads",
}
PACKAGES = {"asks_fast": "asks_fast", "asks_fast.run": "asks_fast._kernel"}
OURS = tuple(PACKAGES)
PATIENCE = 30.0  # seconds beyond its time that a client may take to start and to end
ALL_WELL, FAILED, STOPPED = 0, 1, 130


@dataclass
class Series:
    """What one client did, round by round."""

    client: str
    runs: list[dict[str, float]] = field(default_factory=list)
    problem: str = ""

    def median(self, figure: str) -> float:
        return statistics.median(run[figure] for run in self.runs)

    @property
    def spread(self) -> float:
        """(fastest - slowest) / median."""
        rates = [run["rate"] for run in self.runs]
        return (max(rates) - min(rates)) / self.median("rate")


def installed() -> list[str]:
    """The clients that can take part here."""
    return [name for name in CLIENTS if find_spec(PACKAGES.get(name, name)) is not None]


def cores() -> tuple[int | None, int | None]:
    """One core for the server, another for the client; None where nothing can be pinned."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


def run_client(name: str, url: str, connections: int, seconds: float, core: int | None) -> Series:
    """One round of one client; a series of one run, or with the reason why there is none."""
    result = Series(name)
    command = python_command(
        "asks_fast.cli.bench_client", name, url, str(connections), str(seconds)
    )
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds + PATIENCE,
            preexec_fn=on_core(core),
        )
    except subprocess.TimeoutExpired:
        result.problem = f"did not end within {seconds + PATIENCE:g} s"
        return result
    if done.returncode:
        result.problem = (done.stderr.strip().splitlines() or ["no message"])[-1]
    else:
        result.runs.append(json.loads(done.stdout.splitlines()[-1]))
    return result


def measure(
    names: Sequence[str],
    url: str,
    connections: int,
    seconds: float,
    rounds: int,
    core: int | None,
    console: Console,
) -> list[Series]:
    """All rounds, the clients in turn. Ends early, with what there is, on Ctrl-C."""
    series = {name: Series(name) for name in names}
    with suppress(KeyboardInterrupt), console.status("measuring") as status:
        for number in range(rounds):
            for name, kept in series.items():
                if kept.problem:
                    continue
                status.update(f"round {number + 1} of {rounds}: {LABELS[name]}")
                one = run_client(name, url, connections, seconds, core)
                kept.runs += one.runs
                kept.problem = one.problem
    return list(series.values())


def table_of(series: Sequence[Series], title: str) -> Table:
    """Fastest first; what each one is slower by."""
    table = Table(title=title)
    for column in ("client", "requests/s", "spread", "slower by", "CPU µs", "RSS MiB"):
        table.add_column(column, justify="left" if column == "client" else "right")
    shown = sorted((s for s in series if s.runs), key=lambda s: -s.median("rate"))
    for s in shown:
        table.add_row(
            LABELS[s.client],
            f"{s.median('rate'):,.0f}",
            f"{s.spread:.0%}",
            f"{shown[0].median('rate') / s.median('rate'):.1f}",
            f"{s.median('cpu_us'):.1f}",
            f"{s.median('rss_mib'):.0f}",
            style="bold" if s.client in OURS else "",
        )
    return table


def chosen(clients: str | None, url: str | None) -> list[str]:
    """The clients of --clients, or those that suit; a wrong name is a usage error."""
    here = installed()
    if clients is None:
        return [name for name in here if url is None or name in OURS]
    names = [name.strip() for name in clients.split(",")]
    for name in names:
        if name not in CLIENTS:
            raise click.BadParameter(
                f"{name} is none of {', '.join(CLIENTS)}", param_hint="--clients"
            )
        if name not in here:
            raise click.BadParameter(f"{name} is not installed here", param_hint="--clients")
    return names


@click.command()
@click.argument("url", required=False)
@click.option("--connections", default=50, show_default=True, type=click.IntRange(1))
@click.option(
    "--seconds",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.01),
    help="Duration of one round of one client.",
)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--clients", help=f"Measure these: {','.join(CLIENTS)} [default: all installed].")
@click.option("--json", "as_json", is_flag=True, help="Print the figures of all rounds as JSON.")
def command(
    url: str | None,
    connections: int,
    seconds: float,
    rounds: int,
    clients: str | None,
    as_json: bool,
) -> None:
    """Measure the rate of requests of asks_fast and of the other clients installed here.

    With URL, requests go to that server, from asks_fast alone unless --clients names others. Each
    response must have status 200 and the same length.
    """
    names = chosen(clients, url)
    console = Console(stderr=as_json)
    server_core, client_core = cores()
    server = running(server_core) if url is None else nullcontext(("", url))
    try:
        with server as (server_name, target):
            series = measure(names, target, connections, seconds, rounds, client_core, console)
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps({s.client: s.runs for s in series}))
    else:
        what = f"a small JSON document from {server_name}" if url is None else url
        console.print(table_of(series, f"{what}, {connections} connections, {rounds} rounds"))
    for s in series:
        if s.problem:
            console.print(
                f"{LABELS[s.client]}: {s.problem}", style="red", markup=False, soft_wrap=True
            )
    if any(len(s.runs) < rounds and not s.problem for s in series):
        sys.exit(STOPPED)
    sys.exit(FAILED if any(s.problem for s in series if s.client in OURS) else ALL_WELL)
