"""The comparison of `asks-fast bench`: requests per second of asks_fast and other clients.

The server is a process on one core (nginx, or else a Python program), each client a process on
another core. Clients take turns, and the table shows medians.

Invariants: Ctrl-C ends the measurement and prints the results so far.

Implemented elsewhere: the clients (`bench_client`), the server (`bench_server`), the full
comparison (bench/).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec

import click
from rich.console import Console
from rich.table import Table

from asks_fast._subprocess import python_command
from asks_fast.cli.bench_client import CLIENTS
from asks_fast.cli.bench_server import pin_to_core, run_server
from asks_fast.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK

LABELS = {
    "asks_fast": "asks_fast on curio.run",
    "asks_fast.run": "asks_fast on asks_fast.run",
    "aiohttp": "aiohttp",
    "httpx": "httpx",
    "requests": "requests, threads",
}
PACKAGES = {"asks_fast": "asks_fast", "asks_fast.run": "asks_fast._kernel"}
OWN_CLIENTS = tuple(PACKAGES)
STARTUP_TIMEOUT = 30.0  # seconds that a client may take to start and to end


@dataclass
class Series:
    """The results of one client, one entry per round."""

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


def installed_clients() -> list[str]:
    """Return the clients that are installed."""
    return [name for name in CLIENTS if find_spec(PACKAGES.get(name, name)) is not None]


def choose_cores() -> tuple[int | None, int | None]:
    """Return a core for the server and one for the client; None without CPU affinity."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


def run_client(name: str, url: str, connections: int, seconds: float, core: int | None) -> Series:
    """Run one round of one client; return its result, or the reason why there is none."""
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
            timeout=seconds + STARTUP_TIMEOUT,
            preexec_fn=pin_to_core(core),
        )
    except subprocess.TimeoutExpired:
        result.problem = f"did not end within {seconds + STARTUP_TIMEOUT:g} s"
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
    """Run all rounds, the clients in turn. Ctrl-C ends it early with the results so far."""
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
    """Return a table of the clients, fastest first."""
    table = Table(title=title)
    for column in ("client", "requests/s", "spread", "slower by", "CPU µs", "RSS MiB"):
        table.add_column(column, justify="left" if column == "client" else "right")
    fastest = sorted((s for s in series if s.runs), key=lambda s: -s.median("rate"))
    for s in fastest:
        table.add_row(
            LABELS[s.client],
            f"{s.median('rate'):,.0f}",
            f"{s.spread:.0%}",
            f"{fastest[0].median('rate') / s.median('rate'):.1f}",
            f"{s.median('cpu_us'):.1f}",
            f"{s.median('rss_mib'):.0f}",
            style="bold" if s.client in OWN_CLIENTS else "",
        )
    return table


def select_clients(clients: str | None, url: str | None) -> list[str]:
    """Return the clients of --clients, or the suitable ones; an unknown name is a usage error."""
    here = installed_clients()
    if clients is None:
        return [name for name in here if url is None or name in OWN_CLIENTS]
    names = [name.strip() for name in clients.split(",")]
    for name in names:
        if name not in CLIENTS:
            raise click.BadParameter(
                f"unknown client {name!r}; known: {', '.join(CLIENTS)}", param_hint="--clients"
            )
        if name not in here:
            raise click.BadParameter(f"{name} is not installed", param_hint="--clients")
    return names


def compare(
    url: str | None,
    clients: str | None,
    connections: int,
    seconds: float,
    rounds: int,
    *,
    as_json: bool,
) -> int:
    """Measure, print the table, and return the exit status."""
    names = select_clients(clients, url)
    console = Console(stderr=as_json)
    server_core, client_core = choose_cores()
    server = run_server(server_core) if url is None else nullcontext(("", url))
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
        return EXIT_INTERRUPTED
    return EXIT_FAILED if any(s.problem for s in series if s.client in OWN_CLIENTS) else EXIT_OK
