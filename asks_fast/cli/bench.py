"""`asks-fast bench`: load a server and show its latencies, or compare installed clients.

Invariants: Ctrl-C cancels the requests in progress and prints the results so far. Exit status: 0, 1
        if a request got no response or a status of 400 or more (comparison: asks_fast has no
        results), 2 wrong usage, 130 or 143 ended by a signal.

Implemented elsewhere: the load (`bench_load`, `bench_report`), the comparison (`bench_compare`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import curio

from asks_fast.cli.bench_client import CLIENTS
from asks_fast.cli.bench_compare import compare
from asks_fast.cli.bench_load import LoadPlan, LoadRun
from asks_fast.cli.bench_report import LiveLoad, as_csv, as_json, as_text
from asks_fast.cli.exit_codes import EXIT_FAILED, EXIT_OK
from asks_fast.cli.values import pairs, rate
from asks_fast.crawl.fetch_config import run_in_kernel
from asks_fast.crawl.inputs import with_scheme
from asks_fast.crawl.signals import SignalHandler
from asks_fast.crawl.worker_process import catch_error
from asks_fast.errors import AsksException

__all__ = ["command"]

COMPARISON_ONLY = ("rounds",)
LOAD_ONLY = (
    "count",
    "rate",
    "warm_up",
    "timeout",
    "method",
    "header",
    "data",
    "insecure",
    "as_csv",
    "quiet",
)


@click.command()
@click.argument("url", required=False)
@click.option(
    "-c",
    "--connections",
    default=50,
    show_default=True,
    type=click.IntRange(1),
    help="Limit of connections, each with one request at a time.",
)
@click.option(
    "-d",
    "--duration",
    type=click.FloatRange(0.01),
    metavar="SECONDS",
    help="Time in which requests are started [default: 10; 1 per round of a comparison].",
)
@click.option(
    "-n",
    "--requests",
    "count",
    type=click.IntRange(1),
    metavar="COUNT",
    help="Make this many requests, however long that takes.",
)
@click.option(
    "--rate",
    type=rate,
    metavar="RATE",
    help="Open loop: start requests at this rate (5, 100/m); latency counts from the time at which "
    "a request was due. Without it, each connection waits for its response before it goes on.",
)
@click.option(
    "--warm-up",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Send requests for this time first, which do not count.",
)
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Limit for one request; 0: no limit.",
)
@click.option("-X", "--method", help="Method [default: GET, with --data POST].")
@click.option(
    "-H", "--header", multiple=True, metavar="'NAME: VALUE'", help="Add a field to each request."
)
@click.option(
    "--data", metavar="TEXT|@FILE", help="Body of each request; the file is read into memory."
)
@click.option("-k", "--insecure", is_flag=True, help="Do not verify certificates.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a row of CSV for each second.")
@click.option("-q", "--quiet", is_flag=True, help="No live view.")
@click.option("--clients", help=f"Compare these: {','.join(CLIENTS)} [default: all installed].")
@click.option(
    "--rounds", default=3, show_default=True, type=click.IntRange(1), help="Of a comparison."
)
@click.pass_context
def command(
    ctx: click.Context,
    url: str | None,
    connections: int,
    duration: float | None,
    count: int | None,
    rate: float | None,
    warm_up: float,
    timeout: float,
    method: str | None,
    header: tuple[str, ...],
    data: str | None,
    insecure: bool,
    as_json: bool,
    as_csv: bool,
    quiet: bool,
    clients: str | None,
    rounds: int,
) -> None:
    """Load the server at URL and show its latencies.

    Without URL, or with --clients, compare the requests per second of asks_fast and of the other
    installed clients; each response must have status 200 and the same length.
    """
    if url is None or clients is not None:
        reject_options(ctx, LOAD_ONLY, "is for the load of a URL, not for a comparison")
        sys.exit(compare(url, clients, connections, duration or 1.0, rounds, as_json=as_json))
    reject_options(ctx, COMPARISON_ONLY, "is for a comparison; add --clients")
    if duration is not None and count is not None:
        raise click.UsageError("--duration and --requests exclude each other")
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    plan = LoadPlan(
        with_scheme(url),
        method or ("GET" if data is None else "POST"),
        pairs(header, ":", "a header"),
        body_of(data),
        connections,
        rate,
        None if count is not None else duration or 10.0,
        count,
        warm_up,
        timeout or None,
        not insecure,
    )
    sys.exit(load(plan, "json" if as_json else "csv" if as_csv else "text", is_quiet=quiet))


def reject_options(ctx: click.Context, names: tuple[str, ...], reason: str) -> None:
    """Raise a usage error if one of these parameters was given."""
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[-1]} {reason}")


def body_of(data: str | None) -> bytes | None:
    """Return the body for --data; `@FILE` is the content of a file."""
    if data is None or not data.startswith("@"):
        return None if data is None else data.encode()
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise click.BadParameter(
            f"cannot read {data[1:]!r}: {error.strerror}", param_hint="--data"
        ) from error


def load(plan: LoadPlan, form: str, *, is_quiet: bool = False) -> int:
    """Run a plan, print the results, and return the exit status."""
    run = LoadRun(plan)
    with LiveLoad(run, is_quiet=is_quiet) as live:
        try:
            number = run_in_kernel(_run, run, live)
        except AsksException as error:
            raise click.ClickException(str(error)) from error
    click.echo({"text": as_text, "json": as_json, "csv": as_csv}[form](run))
    if number:
        return 128 + int(number)
    failed = run.total.failed or any(status >= 400 for status in run.statuses)
    return EXIT_FAILED if failed else EXIT_OK


async def _run(run: LoadRun, live: LiveLoad) -> int:
    """Run with the live view; return the number of the signal that ended it, or 0."""
    with SignalHandler() as signals:
        task = await curio.spawn(catch_error, run)  # curio logs the error that ends a task
        helpers = [
            await curio.spawn(_cancel_on_signal, signals, run, task, daemon=True),
            await curio.spawn(_show, live, daemon=True),
        ]
        try:
            await task.wait()
        finally:
            for helper in helpers:
                await helper.cancel()
            await task.cancel()
        error = None if task.exception is not None else task.result
        if error is not None:
            raise error
        return signals.last


async def _cancel_on_signal(signals: SignalHandler, run: LoadRun, task: curio.Task) -> None:
    await signals.wait()
    run.is_stopped = True
    await task.cancel(blocking=False)


async def _show(live: LiveLoad) -> None:
    """Draw the live view regularly."""
    while live.is_shown:
        live.update()
        await curio.sleep(live.interval)
