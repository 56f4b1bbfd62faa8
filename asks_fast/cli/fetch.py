"""`asks-fast fetch`: many URLs into one file, to be gone on with whenever it was ended.

Rules:  Ctrl-C: what is under way is finished and written; a second one cancels it. Exit status:
        0 all were fetched, 1 some failed, 2 asked wrongly, 23 the output took no more,
        130 or 143 ended by a signal.
Not here: how it is done (`asks_fast.crawl`), what it looks like (`display`).
"""

from __future__ import annotations

import re
import sys
from typing import Any

import click
import curio

from asks_fast.cli.display import Display, JsonLog, LiveDisplay, QuietDisplay, Summary
from asks_fast.crawl.fetching import OutputError
from asks_fast.crawl.formats import FORMATS
from asks_fast.crawl.inputs import Lines
from asks_fast.crawl.interrupts import Interrupts
from asks_fast.crawl.ledger import LedgerError
from asks_fast.crawl.options import FetchOptions
from asks_fast.crawl.pages import Fetched
from asks_fast.crawl.plan import Plan, make_session, run_in_kernel
from asks_fast.crawl.robots import load_protego
from asks_fast.crawl.worker import CANNOT_WRITE, outcome_of
from asks_fast.crawl.workers import Workers

__all__ = ["command"]

ALL_WELL, SOME_FAILED = 0, 1  # 2 is click's, for wrong usage


def rate(text: str) -> float:
    """Per second, from a number per second or per something else: 5, 0.5, 100/m, 1000/h."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(?:/([smh]))?", text)
    if not found or not float(found[1]):
        raise click.BadParameter(f"a rate is like 5, 0.5, 100/m or 1000/h, found {text!r}")
    return float(found[1]) / {None: 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def size(text: str) -> int:
    """Bytes, from 500000, 500k, 50M, 2G; 0 for no limit."""
    found = re.fullmatch(r"(\d+)([kKmMgG]?)(?:i?[bB])?", text)
    if not found:
        raise click.BadParameter(f"a size is like 500000, 500k, 50M or 2G, found {text!r}")
    unit: int = 1024 ** " kmg".index(found[2].lower() or " ")
    return int(found[1]) * unit


def pairs(values: tuple[str, ...], sign: str, what: str) -> dict[str, str]:
    """`Name: value` or `name=value`, as given on the command line."""
    made = {}
    for value in values:
        name, found, rest = value.partition(sign)
        if not found or not name.strip():
            raise click.UsageError(f"{what} is like {what[0].upper()}{sign} …, found {value!r}")
        made[name.strip()] = rest.strip()
    return made


@click.command("fetch")
@click.argument(
    "source", metavar="FILE|-", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="FILE",
    help="Where results go; its name says "
    "the format (.jsonl, .jsonl.gz, .jsonl.zst, .warc, .warc.gz). Default: stdout.",
)
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False),
    help="One file per URL in there, and index.jsonl.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), help="Format, whatever the name.")
@click.option(
    "--body",
    type=click.Choice(["auto", "base64", "none"]),
    default="auto",
    show_default=True,
    help="Bodies in JSON: text where it is text, base64, or not.",
)
@click.option("--with-headers", is_flag=True, help="Response headers in JSON.")
@click.option("--resume", is_flag=True, help="Go on where an earlier run of this was ended.")
@click.option("--overwrite", is_flag=True, help="Throw away what the output holds.")
@click.option(
    "--flush",
    type=click.FloatRange(0.001),
    default=1.0,
    show_default=True,
    help="Most seconds that a result waits for being written.",
)
@click.option("-c", "--connections", default=100, show_default=True, help="Most in all.")
@click.option("--per-host", default=8, show_default=True, help="Most per host; 0: no limit.")
@click.option("--rate", type=rate, metavar="RATE", help="Requests per second in all (5, 100/m).")
@click.option("--host-rate", type=rate, metavar="RATE", help="Requests per second to one host.")
@click.option(
    "--burst",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Requests that --rate and --host-rate let start at once.",
)
@click.option("--delay", default=0.0, help="Least seconds between two requests to one host.")
@click.option("--retries", default=2, show_default=True, help="After connection errors, 429, 50x.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds for one request.")
@click.option("--connect-timeout", default=20.0, show_default=True, help="Seconds to connect.")
@click.option("--read-timeout", default=30.0, show_default=True, help="Longest silence, seconds.")
@click.option(
    "--failures",
    default=10,
    show_default=True,
    help="Failures in a row after which a host is left alone for a while; 0: never.",
)
@click.option("--robots/--no-robots", default=True, show_default=True, help="Obey robots.txt.")
@click.option("-H", "--header", multiple=True, metavar="'NAME: VALUE'", help="Sent each time.")
@click.option("-b", "--cookie", multiple=True, metavar="NAME=VALUE", help="Sent each time.")
@click.option("-A", "--user-agent", help="Who we are, to servers and in robots.txt.")
@click.option("-x", "--proxy", metavar="URL", help="http, https or socks5 proxy.")
@click.option("-k", "--insecure", is_flag=True, help="No certificate checks.")
@click.option("--max-redirects", default=20, show_default=True, help="0: keep the redirect.")
@click.option(
    "--max-body",
    type=size,
    metavar="SIZE",
    default="50M",
    show_default=True,
    help="Larger: an error; 0: no limit.",
)
@click.option("--only-status", multiple=True, metavar="2xx|404|400-499", help="Keep these alone.")
@click.option("--only-type", multiple=True, metavar="text/html|image/*", help="Keep these alone.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes; each has hosts of its own.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing unless something is wrong.")
@click.option(
    "--log",
    type=click.Choice(["text", "json"]),
    default="text",
    help="json: one object a line on stderr, for machines.",
)
def command(source: str, **given: Any) -> None:
    """Fetch many URLs: FILE holds one URL or one JSON object of request arguments per line."""
    try:
        plan = make_plan(source, given)
        held = plan.prepare_output(resume=given["resume"], overwrite=given["overwrite"])
    except (ValueError, LedgerError, ImportError) as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        click.echo(f"asks-fast: cannot open the output: {error}", err=True)
        sys.exit(CANNOT_WRITE)
    display = make_display(given["quiet"], given["log"])
    if held and not given["quiet"]:
        display.note(f"{held:,} were done before and are skipped")
    sys.exit(run_in_kernel(_carry_out, plan, given["workers"], display))


def make_plan(source: str, given: dict[str, Any]) -> Plan:
    """The plan that the options describe; ValueError for what does not fit together."""
    output, directory = given["output"], given["output_dir"]
    if directory is not None and output == "-":
        output = f"{directory}/index.jsonl"
    if output == "-":
        if given["resume"]:
            raise ValueError("--resume needs --output: standard output cannot be gone on with")
        if given["workers"] > 1:
            raise ValueError("--workers needs --output: standard output cannot be shared")
    options = FetchOptions(
        connections=given["connections"],
        host_connections=given["per_host"] or None,
        rate=given["rate"],
        host_rate=given["host_rate"],
        burst=given["burst"],
        delay=given["delay"],
        retries=given["retries"],
        failures=given["failures"],
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
    return Plan(
        source,
        output,
        options,
        given["form"],
        given["body"],
        given["with_headers"],
        directory,
        flush=given["flush"],
    )


def make_display(quiet: bool, log: str) -> Display:
    """The display that was asked for, or that fits where standard error goes."""
    if log == "json":
        return JsonLog()
    if quiet:
        return QuietDisplay()
    return LiveDisplay() if sys.stderr.isatty() else Summary()


class _Single:
    """A run in this process, as a display looks at it."""

    def __init__(self, fetch: Any, lines: Lines) -> None:
        self._fetch = fetch
        self._lines = lines
        self.run, self.stop = fetch.run, fetch.stop

    @property
    def tally(self) -> Any:
        return self._fetch.tally

    @property
    def under_way(self) -> int:
        return int(self._fetch.under_way)

    @property
    def fraction(self) -> float | None:
        return self._lines.fraction


async def _carry_out(plan: Plan, workers: int, display: Display) -> int:
    """Do it, and give the exit status."""
    if workers > 1:

        def heard(event: dict[str, Any]) -> None:
            display.failed(event["url"], event["error"], event["message"])

        return await _watched(
            Workers(plan, workers, failures=isinstance(display, JsonLog), on_event=heard), display
        )

    def note(one: Fetched) -> None:
        if one.error is not None:
            display.failed(one.url, type(one.error).__name__, str(one.error))

    lines = Lines(plan.source)
    async with make_session(plan.options) as session:
        fetch, ledger = plan.fetch(session, lines, note)
        try:
            return await _watched(_Single(fetch, lines), display)
        finally:
            await lines.aclose()
            if ledger is not None:
                ledger.close()


async def _watched(running: Any, display: Display) -> int:
    """Run something with a display and with Ctrl-C, and judge how it ended."""
    state, code = "done", ALL_WELL
    message = None
    display.start()
    with Interrupts() as interrupts:
        task = await curio.spawn(outcome_of, running)
        helpers = [
            await curio.spawn(_heed, interrupts, running, task, display, daemon=True),
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
            state, code, message = "broken", CANNOT_WRITE, str(error)
        elif interrupts.count:
            state = "cancelled" if interrupts.count > 1 else "stopped"
            code = 128 + interrupts.last
        elif error is not None:
            display.finish(running, "broken")
            raise error
        elif running.tally.failed:
            code = SOME_FAILED
    display.finish(running, state)
    if message is not None:
        QuietDisplay().note(message)
    return code


async def _heed(interrupts: Interrupts, running: Any, task: Any, display: Display) -> None:
    """First signal: finish what is under way. Second: cancel it."""
    await interrupts.wait()
    display.note("finishing what is under way; once more to cancel it")
    await running.stop()
    await interrupts.wait()
    display.note("cancelling")
    await task.cancel(blocking=False)


async def _show(running: Any, display: Display) -> None:
    """Keep the display up to date."""
    said = 0
    while True:
        for text in getattr(running, "notes", [])[said:]:
            display.note(text)
            said += 1
        display.update(running)
        await curio.sleep(display.every)
