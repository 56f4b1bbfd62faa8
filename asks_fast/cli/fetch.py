"""`asks-fast fetch`: fetch many URLs into one file, in a run that can be resumed.

Invariants: the first Ctrl-C finishes the requests under way and writes them; the second cancels
        them. Exit status: 0 all fetched, 1 some failed, 2 wrong usage, 23 not everything could be
        written, 130 or 143 ended by a signal.

Implemented elsewhere: the run (`asks_fast.crawl`), what is shown (`display`).
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import click
import curio

from asks_fast.cli.display import (
    Display,
    JsonLog,
    LiveDisplay,
    QuietDisplay,
    Summary,
    View,
    printable,
)
from asks_fast.cli.exit_codes import EXIT_FAILED, EXIT_OK
from asks_fast.cli.values import check_source, pairs, rate, size
from asks_fast.crawl.bulk_fetch import BulkFetch, OutputError
from asks_fast.crawl.checkpoint import CheckpointError
from asks_fast.crawl.fetch_config import FetchConfig, make_session, open_output, run_in_kernel
from asks_fast.crawl.formats import FORMATS, PARQUET, format_name
from asks_fast.crawl.inputs import InputLines, check_lines
from asks_fast.crawl.options import FetchOptions
from asks_fast.crawl.page import FetchRecord
from asks_fast.crawl.previous_run import output_of, temporary_index
from asks_fast.crawl.process_pool import ProcessPool
from asks_fast.crawl.robots_rules import load_protego
from asks_fast.crawl.signals import SignalHandler, stop_on_signals
from asks_fast.crawl.stats import FetchStats
from asks_fast.crawl.worker_process import EXIT_CANNOT_WRITE, catch_error

__all__ = ["command", "make_display", "make_options", "run_with_display"]


@click.command("fetch")
@click.argument("source", metavar="FILE|-", type=click.Path(allow_dash=True), callback=check_source)
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="FILE",
    help="Write results to FILE [default: stdout]. Its suffix sets the format: .jsonl, .jsonl.gz, "
    ".jsonl.zst, .parquet, .warc or .warc.gz.",
)
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False),
    help="Write each body to a file in this directory, and results to index.jsonl there.",
)
@click.option(
    "--format", "form", type=click.Choice([*FORMATS, PARQUET]), help="Format of the output."
)
@click.option(
    "--body",
    type=click.Choice(["auto", "base64", "none"]),
    default="auto",
    show_default=True,
    help="How JSON results hold the body: as text if it is text, as base64, or not at all.",
)
@click.option("--with-headers", is_flag=True, help="Write response fields to JSON results.")
@click.option(
    "--only-changed",
    metavar="FILE|DIR",
    help="Transfer only pages that changed since the run with this output. The others are recorded "
    "with status 304.",
)
@click.option(
    "--etag/--no-etag",
    default=True,
    help="With --only-changed: send If-None-Match [default: --etag].",
)
@click.option(
    "--if-modified/--no-if-modified",
    default=True,
    help="With --only-changed: send If-Modified-Since [default: --if-modified].",
)
@click.option("--resume", is_flag=True, help="Continue an earlier run with this output.")
@click.option("--overwrite", is_flag=True, help="Delete what the output holds.")
@click.option(
    "--flush-interval",
    type=click.FloatRange(0.001),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Write results at least once in this time.",
)
@click.option(
    "-c", "--connections", default=100, show_default=True, help="Limit of concurrent requests."
)
@click.option(
    "--per-host",
    default=8,
    show_default=True,
    help="Limit of concurrent requests per host; 0: no limit.",
)
@click.option("--rate", type=rate, metavar="RATE", help="Limit of requests per second (5, 100/m).")
@click.option(
    "--host-rate", type=rate, metavar="RATE", help="Limit of requests per second for one host."
)
@click.option(
    "--min-delay",
    default=0.0,
    metavar="SECONDS",
    help="Minimum time between the starts of two requests to one host.",
)
@click.option(
    "--adaptive/--no-adaptive",
    default=True,
    show_default=True,
    help="Find how many requests each host can take, up to --per-host and --host-rate.",
)
@click.option(
    "--retries",
    default=2,
    show_default=True,
    help="Retries after connection errors and 429, 502, 503, 504.",
)
@click.option(
    "--timeout",
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Limit for one request; 0: no limit.",
)
@click.option(
    "--connect-timeout",
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="Limit for connecting.",
)
@click.option(
    "--read-timeout",
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Limit for the time without data from the server; 0: no limit.",
)
@click.option(
    "--burst",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many requests --rate and --host-rate let start at once.",
)
@click.option(
    "--max-failures",
    default=10,
    show_default=True,
    help="Pause a host after this many consecutive failures; 0: never.",
)
@click.option("--robots/--no-robots", default=True, show_default=True, help="Obey robots.txt.")
@click.option(
    "-H", "--header", multiple=True, metavar="'NAME: VALUE'", help="Add a field to each request."
)
@click.option(
    "-b", "--cookie", multiple=True, metavar="NAME=VALUE", help="Add a cookie to each request."
)
@click.option(
    "-A",
    "--user-agent",
    metavar="TEXT",
    help="Value of the User-Agent field; its first word is looked up in robots.txt.",
)
@click.option("-x", "--proxy", metavar="URL", help="Use this http, https or socks5 proxy.")
@click.option("-k", "--insecure", is_flag=True, help="Do not verify certificates.")
@click.option(
    "--max-redirects",
    default=20,
    show_default=True,
    help="Limit of redirects; 0: do not follow them.",
)
@click.option(
    "--max-body",
    type=size,
    metavar="SIZE",
    default="50M",
    show_default=True,
    help="Refuse a larger body; 0: no limit.",
)
@click.option(
    "--only-status",
    multiple=True,
    metavar="2xx|404|400-499",
    help="Keep only responses with such a status.",
)
@click.option(
    "--only-type",
    multiple=True,
    metavar="text/html|image/*",
    help="Keep only responses of such a media type.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Number of processes; each host belongs to one of them.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show only errors of the run itself.")
@click.option(
    "--log",
    type=click.Choice(["text", "json"]),
    default="text",
    help="json: write progress to stderr as JSON, one object a line.",
)
def command(source: str, **given: Any) -> None:
    """Fetch many URLs: FILE holds one URL or one JSON object of request arguments per line."""
    with ExitStack() as stack:
        try:
            wrong = check_lines(source)
            if wrong:
                raise ValueError(
                    "\n".join(["the input has invalid lines:", *map(printable, wrong)])
                )
            config = stack.enter_context(with_previous(make_config(source, given), given))
            output = open_output(config, resume=given["resume"], overwrite=given["overwrite"])
            config, done_before = stack.enter_context(output)
        except (ValueError, CheckpointError, ImportError) as error:
            raise click.UsageError(str(error)) from error
        except OSError as error:
            click.echo(f"asks-fast: cannot open the output: {printable(str(error))}", err=True)
            sys.exit(EXIT_CANNOT_WRITE)
        display = make_display(given["quiet"], given["log"])
        if done_before and not given["quiet"]:
            display.note(f"{done_before:,} were fetched by an earlier run and are skipped")
        code = run_in_kernel(_run, config, given["workers"], display)
        try:
            stack.close()  # completes the output
        except OSError as error:
            text = printable(str(error))
            click.echo(
                f"asks-fast: cannot complete the output: {text}; --resume continues it", err=True
            )
            code = EXIT_CANNOT_WRITE
    sys.exit(code)


def make_config(source: str, given: dict[str, Any]) -> FetchConfig:
    """Return the configuration that the options describe.

    Raises:
        ValueError: options contradict each other.
    """
    output, directory = given["output"], given["output_dir"]
    if directory is not None and output == "-":
        output = f"{directory}/index.jsonl"
    if output == "-":
        if given["resume"]:
            raise ValueError("--resume needs --output: standard output cannot be resumed")
        if given["workers"] > 1:
            raise ValueError("--workers needs --output: standard output cannot be shared")
    options = make_options(given)
    return FetchConfig(
        source,
        output,
        options,
        given["form"],
        given["body"],
        given["with_headers"],
        directory,
        flush_interval=given["flush_interval"],
    )


def make_options(given: dict[str, Any]) -> FetchOptions:
    """Return how to fetch, from the options of the command line.

    Raises:
        ValueError: a value is out of range.
    """
    options = FetchOptions(
        connections=given["connections"],
        host_connections=given["per_host"] or None,
        rate=given["rate"],
        host_rate=given["host_rate"],
        burst=given["burst"],
        min_delay=given["min_delay"],
        adaptive=given["adaptive"],
        retries=given["retries"],
        max_failures=given["max_failures"],
        timeout=given["timeout"] or None,
        connection_timeout=given["connect_timeout"],
        read_timeout=given["read_timeout"] or None,
        headers=pairs(given["header"], ":", "a header"),
        cookies=pairs(given["cookie"], "=", "a cookie"),
        user_agent=given["user_agent"],
        proxy=given["proxy"],
        robots=given["robots"],
        max_body=given["max_body"] or None,
        max_redirects=given["max_redirects"],
        verify=not given["insecure"],
        only_status=given["only_status"],
        only_type=given["only_type"],
    )
    if options.robots:
        load_protego()
    return options


@contextmanager
def with_previous(config: FetchConfig, given: dict[str, Any]) -> Iterator[FetchConfig]:
    """Yield the configuration with the index of the run that --only-changed names.

    Raises:
        ValueError: the output cannot say that a page is unchanged, or is that of the earlier run.
        CheckpointError: there is no such run.
    """
    if given["only_changed"] is None:
        yield config
        return
    if format_name(config.output, config.record_format).startswith("warc"):
        raise ValueError("--only-changed needs an output in JSON Lines or Parquet")
    if not (given["etag"] or given["if_modified"]):
        raise ValueError("--only-changed needs --etag or --if-modified")
    previous = output_of(given["only_changed"])
    if Path(config.output).exists() and previous.samefile(config.output):
        raise ValueError(f"{previous} is also the output; choose another one for the new results")
    with temporary_index(previous, etag=given["etag"], modified=given["if_modified"]) as index:
        yield dataclasses.replace(config, previous=index, previous_directory=str(previous.parent))


def make_display(quiet: bool, log: str) -> Display:
    """Return the display that was requested, or that suits standard error."""
    if log == "json":
        return JsonLog()
    if quiet:
        return QuietDisplay()
    return LiveDisplay() if sys.stderr.isatty() else Summary()


class _Run(View, Protocol):
    """A run in this process or in several."""

    async def run(self) -> FetchStats: ...

    async def stop(self) -> None: ...


class _LocalRun:
    """A run in this process, with the properties that a display needs."""

    def __init__(self, fetch: BulkFetch, lines: InputLines) -> None:
        self._fetch = fetch
        self._lines = lines
        self.run, self.stop = fetch.run, fetch.stop

    @property
    def stats(self) -> FetchStats:
        return self._fetch.stats

    @property
    def under_way(self) -> int:
        return self._fetch.under_way

    @property
    def total(self) -> int | None:
        return self._lines.total

    @property
    def is_total_known(self) -> bool:
        return self._lines.is_at_end


async def _run(config: FetchConfig, workers: int, display: Display) -> int:
    """Run the configuration and return the exit status."""
    if workers > 1:

        def on_event(event: dict[str, Any]) -> None:
            display.failed(event["url"], event["error"], event["message"])

        return await run_with_display(
            ProcessPool(config, workers, report_failures=True, on_event=on_event), display
        )

    def note(record: FetchRecord) -> None:
        if record.error is not None:
            display.failed(record.url, type(record.error).__name__, str(record.error))

    lines = InputLines(config.source)
    async with make_session(config.options) as session:
        fetch, checkpoint = config.fetch(session, lines, note)
        try:
            return await run_with_display(_LocalRun(fetch, lines), display)
        finally:
            await lines.aclose()
            if checkpoint is not None:
                checkpoint.close()


async def run_with_display(running: _Run, display: Display) -> int:
    """Run with a display and signal handling, and return the exit status."""
    state, code = "done", EXIT_OK
    message = None
    display.start()

    def note_signal(count: int) -> None:
        display.note(
            "finishing the requests under way; interrupt again to cancel them"
            if count == 1
            else "cancelling"
        )

    with SignalHandler() as signals:
        task = await curio.spawn(catch_error, running)
        helpers = [
            await curio.spawn(stop_on_signals, signals, running, task, note_signal, daemon=True),
            await curio.spawn(_show, running, display, daemon=True),
        ]
        try:
            await task.wait()
        finally:
            for helper in helpers:
                await helper.cancel()
            await task.cancel()
        error = None if task.exception is not None else task.result
        if isinstance(error, OutputError):
            state, code, message = "broken", EXIT_CANNOT_WRITE, str(error)
        elif signals.count:
            state = "cancelled" if signals.count > 1 else "stopped"
            code = 128 + signals.last
        elif error is not None:
            display.finish(running, "broken")
            raise error
        elif running.stats.not_written:
            code = EXIT_CANNOT_WRITE
            message = not_written_message(running.stats.not_written)
        elif running.stats.failed:
            code = EXIT_FAILED
    display.finish(running, state)
    if message is not None:
        QuietDisplay().note(message)
    return code


def not_written_message(count: int) -> str:
    """Return the message about results that local errors kept out of the output."""
    results = "1 result" if count == 1 else f"{count:,} results"
    return f"{results} could not be written on this machine; --resume fetches them again"


async def _show(running: _Run, display: Display) -> None:
    """Update the display regularly."""
    shown = 0
    while True:
        for text in getattr(running, "notes", [])[shown:]:
            display.note(text)
            shown += 1
        display.update(running)
        await curio.sleep(display.interval)
