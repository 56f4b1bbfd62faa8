"""`asks-fast demo`: the first program of the documentation, ten thousand times, watched.

A task per request, all started at once, over an `HSession` that holds at most so many connections
(or a `DSession` over twenty origins). Every answer carries the number that was asked for and is
checked against it. What the server counted stands beside what the client saw.
Rules:  Ctrl-C stops it and still prints the table. Exit status: 0 all well, 1 something failed,
        130 stopped.
Not here: the server (`demo_server`), measuring against rivals (bench/).
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click
import curio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from asks_fast.base_funcs import get
from asks_fast.cli.extras import missing_extra
from asks_fast.sessions import DSession, HSession

ENDPOINT = "/asks/test"
ORIGINS = 20  # how many origins --dsession spreads its requests over
BATCH = 100  # tasks started between two turns of the kernel
REFRESH = 0.1  # seconds between two looks of the progress bar

ALL_WELL, FAILED, STOPPED = 0, 1, 130


@dataclass
class Tally:
    """What one run did."""

    wanted: int
    done: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)  # seconds, from the call to the answer
    started: float = 0.0
    ended: float = 0.0
    stopped: bool = False

    @property
    def seconds(self) -> float:
        return max(self.ended - self.started, 1e-9)

    def percentile(self, share: float) -> float:
        """Latency in seconds that `share` of the requests stayed within; 0 for no requests."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


@dataclass(frozen=True)
class Job:
    """What is to be done: how many requests, over how many connections, to whom."""

    requests: int
    connections: int
    origins: list[str]
    dsession: bool
    endpoint: str = ENDPOINT
    echoes: bool = True  # the server sends the number back

    def session(self) -> Any:
        if self.dsession:
            return DSession(connections=self.connections)
        session = HSession(self.origins[0], connections=self.connections)
        session.endpoint = self.endpoint
        return session

    async def ask(self, session: Any, number: int) -> Any:
        if self.dsession:
            origin = self.origins[number % len(self.origins)]
            return await session.get(f"{origin}{self.endpoint}/{number}")
        return await session.get(path=f"/{number}")

    def complaint(self, response: Any, number: int) -> str | None:
        """What is wrong with the answer to request `number`, None if it is right."""
        if response.status_code != 200:
            return f"status {response.status_code}"
        if self.echoes and response.json()["number"] != str(number):
            return "an answer that belongs to another request"
        return None


async def one(job: Job, tally: Tally, session: Any, number: int) -> None:
    """Make request `number` and note how it went."""
    began = time.perf_counter()
    try:
        complaint = job.complaint(await job.ask(session, number), number)
    except Exception as error:
        complaint = f"{type(error).__name__}: {error}"
    tally.latencies.append(time.perf_counter() - began)
    tally.done += 1
    if complaint is not None:
        tally.failures[complaint] += 1


async def all_requests(job: Job, tally: Tally) -> None:
    """One task per request; ends when the last one has its answer."""
    async with job.session() as session:
        tally.started = time.perf_counter()
        try:
            async with curio.TaskGroup() as group:
                for number in range(job.requests):
                    await group.spawn(one, job, tally, session, number)
                    if number % BATCH == 0:
                        # curio searches its ready queue at each start of a task: let the new
                        # ones run as far as the pool's line, where they are out of that queue.
                        await curio.sleep(0)
        finally:
            tally.ended = time.perf_counter()


async def watched(job: Job, tally: Tally, progress: Progress) -> None:
    """Run the job under a progress bar; Ctrl-C cancels what has not been answered."""
    bar = progress.add_task("requests", total=job.requests)
    interrupted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: interrupted.append(number))
    try:
        runner = await curio.spawn(all_requests, job, tally)
        while not runner.terminated:
            async with curio.ignore_after(REFRESH):
                await runner.wait()
            progress.update(bar, completed=tally.done, refresh=True)
            if interrupted and not tally.stopped:
                tally.stopped = True
                signal.signal(signal.SIGINT, before)
                await runner.cancel()
        if not tally.stopped:
            await runner.join()
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def own_server(count: int) -> Iterator[list[str]]:
    """The demo's server as another process; yields its origins."""
    try:
        import granian  # noqa: F401
    except ImportError as error:
        message = missing_extra("asks-fast demo without --url", "granian", "demo")
        raise click.ClickException(message) from error
    process = subprocess.Popen(
        [sys.executable, "-m", "asks_fast.cli.demo_server", str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the client: the server must still answer /stats
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise click.ClickException("the demo's server did not start")
        try:
            yield json.loads(line)
        finally:
            process.kill()


async def server_stats(origin: str) -> dict[str, Any]:
    response = await get(f"{origin}/stats")
    stats: dict[str, Any] = response.json()
    return stats


def table_of(job: Job, tally: Tally, stats: dict[str, Any] | None) -> Table:
    """The end of the show: what was done, how fast, and what the server saw."""
    kind = "DSession" if job.dsession else "HSession"
    title = f"{kind}, {job.connections} connections"
    table = Table(title=title + (", stopped by Ctrl-C" if tally.stopped else ""))
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("requests", f"{tally.done:,}")
    table.add_row("failures", f"{sum(tally.failures.values()):,}")
    table.add_row("seconds", f"{tally.seconds:.2f}")
    table.add_row("requests/s", f"{tally.done / tally.seconds:,.0f}")
    for share in (0.50, 0.95, 0.99):
        name = f"latency p{share * 100:.0f}, waiting in line included"
        table.add_row(name, f"{tally.percentile(share) * 1000:.1f} ms")
    if stats is None:
        table.add_row("connections", "not known: --url")
    else:
        table.add_row("connections made, as the server counted", f"{stats['connections']:,}")
        if stats["most_open"] is not None:
            table.add_row("most open at once, as the server saw", f"{stats['most_open']:,}")
    return table


def verdict(job: Job, tally: Tally, stats: dict[str, Any] | None) -> int:
    """The exit status: 0 only if every answer came and was right, over no more connections."""
    if tally.stopped:
        return STOPPED
    if tally.failures or tally.done != job.requests:
        return FAILED
    if stats is None:
        return ALL_WELL
    open_at_once = stats["most_open"]
    if open_at_once is None:
        open_at_once = 0 if job.dsession else stats["connections"]
    return FAILED if open_at_once > job.connections else ALL_WELL


def run_kernel(function: Any, *arguments: Any) -> Any:
    """`function(*arguments)` in asks_fast's own kernel where it is built, else in curio's."""
    try:
        from asks_fast.kernel import run
    except ImportError:
        run = curio.run
    return run(function, *arguments)


def play(job: Job, console: Console, counted: bool) -> int:
    """Run `job`, print the table, return the exit status."""
    tally = Tally(job.requests)
    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, auto_refresh=False) as progress:
        run_kernel(watched, job, tally, progress)
    stats = run_kernel(server_stats, job.origins[0]) if counted else None
    console.print(table_of(job, tally, stats))
    for complaint, count in tally.failures.most_common(5):
        console.print(f"{count:,} x {complaint}", style="red", markup=False)
    return verdict(job, tally, stats)


@click.command()
@click.option("--requests", default=10_000, show_default=True, type=click.IntRange(1))
@click.option("--connections", default=50, show_default=True, type=click.IntRange(1))
@click.option("--url", help="Use this server instead of an own one; any 200 is a right answer.")
@click.option("--dsession", is_flag=True, help=f"A DSession over {ORIGINS} loopback origins.")
def command(requests: int, connections: int, url: str | None, dsession: bool) -> None:
    """Ten thousand requests over fifty connections, every answer checked."""
    console = Console()
    if url is not None:
        origin, endpoint = split_url(url)
        job = Job(requests, connections, [origin], dsession, endpoint, echoes=False)
        sys.exit(play(job, console, counted=False))
    with own_server(ORIGINS if dsession else 1) as origins:
        status = play(Job(requests, connections, origins, dsession), console, counted=True)
    sys.exit(status)


def split_url(url: str) -> tuple[str, str]:
    """Origin and endpoint of --url; without a path the documented endpoint is asked."""
    from asks_fast.urls import parse_url

    parsed = parse_url(url)
    path = parsed.target.partition("?")[0].rstrip("/")
    return parsed.origin, path or ENDPOINT
