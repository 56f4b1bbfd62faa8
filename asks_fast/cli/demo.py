"""`asks-fast demo`: the first program of the documentation with ten thousand requests.

A task per request, all started at once, uses an `HSession` with a limited number of connections (or
a `DSession` over twenty origins). Every response contains the number of its request and is checked.
The table shows the counts of the server beside those of the client. `--serve` starts the server of
the documentation's programs instead.

Invariants: Ctrl-C ends the run and prints the table. Exit status: 0 success, 1 something failed,
        130 interrupted.

Implemented elsewhere: the server (`demo_server`), comparisons with other clients (bench/).
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
from asks_fast.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from asks_fast.crawl.fetch_config import run_in_kernel
from asks_fast.response_objects import Response
from asks_fast.sessions import DSession, HSession

ENDPOINT = "/asks/test"
PORT = 8000  # of the server that the programs of the documentation use
OTHER_CLIENTS = ("aiohttp", "httpx", "requests")
ORIGINS = 20  # for --dsession
BATCH = 100  # tasks started before the kernel runs other tasks
REFRESH_INTERVAL = 0.1  # seconds between two updates of the progress bar


@dataclass
class DemoStats:
    """The results of one run."""

    wanted: int
    done: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    exchanges: list[float] = field(default_factory=list)  # seconds, first byte out to last byte in
    waits: list[float] = field(
        default_factory=list
    )  # seconds from call to response, with the wait for a connection
    started: float = 0.0
    ended: float = 0.0
    cpu: float = 0.0  # seconds of CPU time that this process used for the requests
    stopped: bool = False

    @property
    def seconds(self) -> float:
        return max(self.ended - self.started, 1e-9)


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of `values` do not exceed; 0 for no values."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


@dataclass(frozen=True)
class Job:
    """What a run does: number of requests, connections, and origins."""

    requests: int
    connections: int
    origins: list[str]
    dsession: bool
    endpoint: str = ENDPOINT
    echoes: bool = True  # the server returns the number of the request

    def session(self) -> HSession | DSession:
        if self.dsession:
            return DSession(connections=self.connections)
        session = HSession(self.origins[0], connections=self.connections)
        session.endpoint = self.endpoint
        return session

    async def send(self, session: HSession | DSession, number: int) -> Response:
        if self.dsession:
            origin = self.origins[number % len(self.origins)]
            return await session.get(f"{origin}{self.endpoint}/{number}")
        return await session.get(path=f"/{number}")

    def check_response(self, response: Response, number: int) -> str | None:
        """Return what is wrong with the response to request `number`; None if it is right."""
        if response.status_code != 200:
            return f"status {response.status_code}"
        if self.echoes and response.json()["number"] != str(number):
            return "a response that belongs to another request"
        return None


async def run_request(
    job: Job, stats: DemoStats, session: HSession | DSession, number: int
) -> None:
    """Make request `number` and record its result."""
    began = time.perf_counter()
    try:
        response = await job.send(session, number)
        stats.exchanges.append(response.elapsed.total_seconds())
        problem = job.check_response(response, number)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    stats.waits.append(time.perf_counter() - began)
    stats.done += 1
    if problem is not None:
        stats.failures[problem] += 1


async def run_requests(job: Job, stats: DemoStats) -> None:
    """Start one task per request, and wait until all have ended or the run is cancelled.

    Tasks are started, and on cancellation stopped, in batches: curio searches its ready queue
    whenever it adds a task, so that queue must stay short.
    """
    tasks: list[curio.Task] = []
    async with job.session() as session:
        stats.started, cpu = time.perf_counter(), time.process_time()
        try:
            for number in range(job.requests):
                tasks.append(await curio.spawn(run_request, job, stats, session, number))
                if number % BATCH == 0:
                    await curio.sleep(0)
            for task in tasks:
                await task.join()
        finally:
            stats.ended = time.perf_counter()
            stats.cpu = time.process_time() - cpu
            await cancel_tasks(tasks)


async def cancel_tasks(tasks: list[curio.Task]) -> None:
    """Cancel unfinished tasks, the last first, so that no cancelled task gets a freed slot."""
    running = [task for task in reversed(tasks) if not task.terminated]
    for index, task in enumerate(running):
        await task.cancel(blocking=False)
        if index % BATCH == 0:
            await curio.sleep(0)
    for task in tasks:
        if not task.joined:
            with suppress(curio.TaskError):  # it was cancelled
                await task.join()


async def run_with_progress(job: Job, stats: DemoStats, progress: Progress) -> None:
    """Run the job with a progress bar; Ctrl-C cancels the unfinished requests."""
    bar = progress.add_task("requests", total=job.requests)
    interrupted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: interrupted.append(number))
    try:
        runner = await curio.spawn(run_requests, job, stats)
        while not runner.terminated:
            await ignore_after(REFRESH_INTERVAL, runner.wait())
            progress.update(bar, completed=stats.done, refresh=True)
            if interrupted and not stats.stopped:
                stats.stopped = True
                signal.signal(signal.SIGINT, before)
                await runner.cancel()
        if not stats.stopped:
            await runner.join()
    finally:
        signal.signal(signal.SIGINT, before)


def require_granian(what: str) -> None:
    try:
        import granian  # noqa: F401
    except ImportError as error:
        raise click.ClickException(missing_extra(what, "granian", "demo")) from error


@contextmanager
def start_server(count: int) -> Iterator[list[str]]:
    """Start the demo's server as another process; yield its origins."""
    require_granian("asks-fast demo without --url")
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


def table_of(job: Job, stats: DemoStats, server: dict[str, Any] | None) -> Table:
    """Return the table of results: requests, rate, latency, and the counts of the server."""
    kind = "DSession" if job.dsession else "HSession"
    title = f"{kind}, {job.connections} connections"
    title += ", stopped by Ctrl-C" if stats.stopped else ""
    table = Table(title=title, show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("requests", f"{stats.done:,}")
    table.add_row("failures", f"{sum(stats.failures.values()):,}")
    table.add_row("seconds", f"{stats.seconds:.2f}")
    table.add_row("requests/s", f"{stats.done / stats.seconds:,.0f}")
    for share in (0.50, 0.95, 0.99):
        latency = percentile(stats.exchanges, share)
        table.add_row(f"latency p{share * 100:.0f}", f"{latency * 1000:.1f} ms")
    longest = max(stats.waits, default=0.0)
    table.add_row("longest, with the wait for a connection", f"{longest * 1000:.0f} ms")
    if server is None:
        table.add_row("connections", "unknown: --url")
    else:
        table.add_row("connections, counted by the server", f"{server['connections']:,}")
        most = "unknown" if server["most_open"] is None else f"{server['most_open']:,}"
        table.add_row("most open at once, seen by the system", most)
    return table


def explanation_lines(
    job: Job, stats: DemoStats, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> list[str]:
    """Return what the table does not say: its terms, what limits the rate, how to compare."""
    lines = [
        "latency: from the first byte sent to the last byte received.",
        f"wait for a connection: all {job.requests:,} requests start at once and share "
        f"{job.connections} connections; a request waits until one is free.",
    ]
    if before is not None and after is not None and stats.done and not stats.stopped:
        client = stats.cpu / stats.done * 1e6
        server = (after["cpu"] - before["cpu"]) / stats.done * 1e6
        limit = "server (a Python program)" if server > client else "client"
        lines.append(
            f"CPU time per request: client {client:.0f} µs, server {server:.0f} µs. The {limit} "
            "needs more, so it limits the rate above; both share this machine."
        )
    here = [name for name in OTHER_CLIENTS if find_spec(name)]
    missing = [name for name in OTHER_CLIENTS if name not in here]
    program = Path(sys.argv[0]).name
    command = f"{sys.argv[0]} bench" if program == "asks-fast" else "asks-fast bench"
    lines.append(
        f"{command}: compares clients against a faster server; installed here: "
        + ", ".join(["asks_fast", *here])
        + (f"; also known, if you install them: {', '.join(missing)}." if missing else ".")
    )
    return lines


def exit_status(job: Job, stats: DemoStats, server: dict[str, Any] | None) -> int:
    """Return the exit status: 0 only if every response was right, over no more connections."""
    if stats.stopped:
        return EXIT_INTERRUPTED
    if stats.failures or stats.done != job.requests:
        return EXIT_FAILED
    if server is None:
        return EXIT_OK
    open_at_once = server["most_open"]
    if open_at_once is None:
        open_at_once = 0 if job.dsession else server["connections"]
    return EXIT_FAILED if open_at_once > job.connections else EXIT_OK


def run_demo(job: Job, console: Console, counted: bool) -> int:
    """Run `job`, print the table, and return the exit status."""
    stats = DemoStats(job.requests)
    before = run_in_kernel(server_stats, job.origins[0]) if counted else None
    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, auto_refresh=False) as progress:
        run_in_kernel(run_with_progress, job, stats, progress)
    after = run_in_kernel(server_stats, job.origins[0]) if counted else None
    console.print(table_of(job, stats, after))
    for line in explanation_lines(job, stats, before, after):
        console.print(line, markup=False, highlight=False)
    for problem, count in stats.failures.most_common(5):
        console.print(f"{count:,} x {problem}", style="red", markup=False)
    return exit_status(job, stats, after)


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
        sys.exit(run_demo(job, console, counted=False))
    with start_server(ORIGINS if dsession else 1) as origins:
        status = run_demo(Job(requests, connections, origins, dsession), console, counted=True)
    sys.exit(status)


def serve_documentation(port: int) -> None:
    """Run the server that the programs of README, tutorial and guide use, until Ctrl-C."""
    require_granian("asks-fast demo --serve")
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
    """Return origin and endpoint of --url; without a path, the documented endpoint."""
    from asks_fast.errors import InvalidURL
    from asks_fast.urls import parse_url

    try:
        parsed = parse_url(url)
    except InvalidURL as error:
        raise click.BadParameter(str(error), param_hint="--url") from error
    path = parsed.target.partition("?")[0].rstrip("/")
    return parsed.origin, path or ENDPOINT
