"""`asks-fast demo`: the first program of the documentation, ten thousand times, watched.

A task per request, all started at once, over an `HSession` that holds at most so many connections
(or a `DSession` over twenty origins). Every answer carries the number that was asked for and is
checked against it. What the server counted stands beside what the client saw.
`--serve` starts the server of the documentation's programs instead.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import curio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from asks_fast._deadlines import ignore_after
from asks_fast._extras import missing_extra
from asks_fast._subprocess import python_command
from asks_fast.base_funcs import get
from asks_fast.sessions import DSession, HSession

ENDPOINT = "/asks/test"
PORT = 8000  # of the server that the programs of the documentation use
RIVALS = ("aiohttp", "httpx", "requests")
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
    exchanges: list[float] = field(default_factory=list)  # seconds, first byte out to last byte in
    waits: list[float] = field(default_factory=list)  # seconds, call to answer, the line included
    started: float = 0.0
    ended: float = 0.0
    cpu: float = 0.0  # seconds of CPU time that this process used for the requests
    stopped: bool = False

    @property
    def seconds(self) -> float:
        return max(self.ended - self.started, 1e-9)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of `values` stay within; 0 for no values."""
    ordered = sorted(values)
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
        response = await job.ask(session, number)
        tally.exchanges.append(response.elapsed.total_seconds())
        complaint = job.complaint(response, number)
    except Exception as error:
        complaint = f"{type(error).__name__}: {error}"
    tally.waits.append(time.perf_counter() - began)
    tally.done += 1
    if complaint is not None:
        tally.failures[complaint] += 1


async def all_requests(job: Job, tally: Tally) -> None:
    """One task per request; ends when the last one has its answer, or when cancelled.

    Tasks are started, and on cancellation stopped, a batch at a time: curio searches its ready
    queue whenever it puts a task there, so that queue must stay short.
    """
    tasks: list[Any] = []
    async with job.session() as session:
        tally.started, cpu = time.perf_counter(), time.process_time()
        try:
            for number in range(job.requests):
                tasks.append(await curio.spawn(one, job, tally, session, number))
                if number % BATCH == 0:
                    await curio.sleep(0)
            for task in tasks:
                await task.join()
        finally:
            tally.ended = time.perf_counter()
            tally.cpu = time.process_time() - cpu
            await stop(tasks)


async def stop(tasks: list[Any]) -> None:
    """Cancel what still runs, the last in line first, so that no place is handed down the line."""
    running = [task for task in reversed(tasks) if not task.terminated]
    for place, task in enumerate(running):
        await task.cancel(blocking=False)
        if place % BATCH == 0:
            await curio.sleep(0)
    for task in tasks:
        if not task.joined:
            with suppress(curio.TaskError):  # it was cancelled
                await task.join()


async def watched(job: Job, tally: Tally, progress: Progress) -> None:
    """Run the job under a progress bar; Ctrl-C cancels what has not been answered."""
    bar = progress.add_task("requests", total=job.requests)
    interrupted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: interrupted.append(number))
    try:
        runner = await curio.spawn(all_requests, job, tally)
        while not runner.terminated:
            await ignore_after(REFRESH, runner.wait())
            progress.update(bar, completed=tally.done, refresh=True)
            if interrupted and not tally.stopped:
                tally.stopped = True
                signal.signal(signal.SIGINT, before)
                await runner.cancel()
        if not tally.stopped:
            await runner.join()
    finally:
        signal.signal(signal.SIGINT, before)


def need_granian(what: str) -> None:
    try:
        import granian  # noqa: F401
    except ImportError as error:
        raise click.ClickException(missing_extra(what, "granian", "demo")) from error


@contextmanager
def own_server(count: int) -> Iterator[list[str]]:
    """The demo's server as another process; yields its origins."""
    need_granian("asks-fast demo without --url")
    process = subprocess.Popen(
        python_command("asks_fast.cli.demo_server", str(count)),
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
    title += ", stopped by Ctrl-C" if tally.stopped else ""
    table = Table(title=title, show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("requests", f"{tally.done:,}")
    table.add_row("failures", f"{sum(tally.failures.values()):,}")
    table.add_row("seconds", f"{tally.seconds:.2f}")
    table.add_row("requests/s", f"{tally.done / tally.seconds:,.0f}")
    for share in (0.50, 0.95, 0.99):
        latency = percentile(tally.exchanges, share)
        table.add_row(f"latency p{share * 100:.0f}", f"{latency * 1000:.1f} ms")
    longest = max(tally.waits, default=0.0)
    table.add_row("longest, with the wait for a connection", f"{longest * 1000:.0f} ms")
    if stats is None:
        table.add_row("connections", "not known: --url")
    else:
        table.add_row("connections, counted by the server", f"{stats['connections']:,}")
        most = "not told" if stats["most_open"] is None else f"{stats['most_open']:,}"
        table.add_row("most open at once, seen by the system", most)
    return table


def explanation(
    job: Job, tally: Tally, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> list[str]:
    """Return what the table does not say: its terms, what limits the rate, how to compare."""
    lines = [
        "latency: from the first byte sent to the last byte received.",
        f"wait for a connection: all {job.requests:,} requests start at once and share "
        f"{job.connections} connections; a request waits until one is free.",
    ]
    if before is not None and after is not None and tally.done and not tally.stopped:
        client = tally.cpu / tally.done * 1e6
        server = (after["cpu"] - before["cpu"]) / tally.done * 1e6
        limit = "server (a Python program)" if server > client else "client"
        lines.append(
            f"CPU time per request: client {client:.0f} µs, server {server:.0f} µs. The {limit} "
            "needs more, so it limits the rate above; both share this machine."
        )
    here = [name for name in RIVALS if find_spec(name)]
    missing = [name for name in RIVALS if name not in here]
    program = Path(sys.argv[0]).name
    command = f"{sys.argv[0]} bench" if program == "asks-fast" else "asks-fast bench"
    lines.append(
        f"{command}: compares clients against a faster server; installed here: "
        + ", ".join(["asks_fast", *here])
        + (f"; also known, if you install them: {', '.join(missing)}." if missing else ".")
    )
    return lines


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
    before = run_kernel(server_stats, job.origins[0]) if counted else None
    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, auto_refresh=False) as progress:
        run_kernel(watched, job, tally, progress)
    stats = run_kernel(server_stats, job.origins[0]) if counted else None
    console.print(table_of(job, tally, stats))
    for line in explanation(job, tally, before, stats):
        console.print(line, markup=False, highlight=False)
    for complaint, count in tally.failures.most_common(5):
        console.print(f"{count:,} x {complaint}", style="red", markup=False)
    return verdict(job, tally, stats)


@click.command()
@click.option("--requests", default=10_000, show_default=True, type=click.IntRange(1))
@click.option("--connections", default=50, show_default=True, type=click.IntRange(1))
@click.option("--url", help="Use this server; every response with status 200 is right.")
@click.option("--dsession", is_flag=True, help=f"Use a DSession over {ORIGINS} loopback origins.")
@click.option(
    "--serve",
    type=click.IntRange(0, 65535),
    is_flag=False,
    flag_value=PORT,
    metavar="[PORT]",
    help=f"Start the server of the documentation's programs [port: {PORT}; 0: a free one].",
)
def command(
    requests: int, connections: int, url: str | None, dsession: bool, serve: int | None
) -> None:
    """Make ten thousand requests over fifty connections and check every response."""
    if serve is not None:
        serve_documentation(serve)
        return
    console = Console()
    if url is not None:
        origin, endpoint = split_url(url)
        job = Job(requests, connections, [origin], dsession, endpoint, echoes=False)
        sys.exit(play(job, console, counted=False))
    with own_server(ORIGINS if dsession else 1) as origins:
        status = play(Job(requests, connections, origins, dsession), console, counted=True)
    sys.exit(status)


def serve_documentation(port: int) -> None:
    """Run the server that the programs of README, tutorial and guide use, until Ctrl-C."""
    need_granian("asks-fast demo --serve")
    from asks_fast.cli.demo_server import serve_examples

    def ready(url: str) -> None:
        click.echo(f"serving {url} for the programs of the documentation; Ctrl-C ends it")

    try:
        serve_examples(port, ready)
    except OSError as error:
        raise click.ClickException(
            f"cannot serve on port {port}: {error.strerror}; asks-fast demo --serve PORT takes "
            "another port"
        ) from error


def split_url(url: str) -> tuple[str, str]:
    """Origin and endpoint of --url; without a path the documented endpoint is asked."""
    from asks_fast.errors import InvalidURL
    from asks_fast.urls import parse_url

    try:
        parsed = parse_url(url)
    except InvalidURL as error:
        raise click.BadParameter(str(error), param_hint="--url") from error
    path = parsed.target.partition("?")[0].rstrip("/")
    return parsed.origin, path or ENDPOINT
