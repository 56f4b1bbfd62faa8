"""`asks-fast crawl`: follow links and write each page into one file, in a run that can be resumed.

The options of `asks-fast fetch` apply to each page; they are taken from that command.

Implemented elsewhere: the crawl (`asks_fast.crawl.crawler`), signals and display (`fetch`).
"""

from __future__ import annotations

import sys
from typing import Any

import click

from asks_fast.cli.display import Display, printable
from asks_fast.cli.fetch import command as fetch_command
from asks_fast.cli.fetch import make_display, make_options, run_with_display
from asks_fast.crawl.bulk_fetch import OutputError
from asks_fast.crawl.checkpoint import CheckpointError
from asks_fast.crawl.crawler import Crawler
from asks_fast.crawl.fetch_config import run_in_kernel
from asks_fast.crawl.frontier import FrontierError
from asks_fast.crawl.page import FetchRecord
from asks_fast.crawl.scope import SCOPES
from asks_fast.crawl.worker_process import EXIT_CANNOT_WRITE

__all__ = ["command"]

# Options of `fetch` that a crawl does not have.
NOT_SHARED = {"source", "workers", "only_changed", "etag", "if_modified"}


@click.command("crawl")
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option(
    "--scope",
    type=click.Choice(SCOPES),
    default="host",
    show_default=True,
    help="Follow links to the hosts of the URLs, to their domains with all subdomains, to URLs "
    "that begin like one of them up to its last slash, or to any.",
)
@click.option(
    "--include", multiple=True, metavar="REGEX", help="Follow only links that match one of these."
)
@click.option(
    "--exclude", multiple=True, metavar="REGEX", help="Do not follow links that match one of these."
)
@click.option(
    "--depth",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Limit of links between a given URL and a page.",
)
@click.option("--max-pages", type=click.IntRange(min=1), help="Stop after so many pages.")
@click.option(
    "--max-pages-per-host",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    help="Limit of pages for one host.",
)
@click.option(
    "--max-queries",
    type=click.IntRange(min=1),
    default=1_000,
    show_default=True,
    help="Limit of pages that differ only in the query of their URL.",
)
@click.option(
    "--sitemaps/--no-sitemaps",
    default=True,
    show_default=True,
    help="Follow the sitemaps that robots.txt names.",
)
@click.option(
    "--nofollow/--no-nofollow",
    default=True,
    show_default=True,
    help="Obey rel=nofollow and the nofollow of robots directives.",
)
@click.option(
    "--frontier",
    type=click.Path(dir_okay=False),
    help="File for the URLs found [default: OUTPUT.frontier].",
)
def command(urls: tuple[str, ...], **given: Any) -> None:
    """Crawl the pages that can be reached by links from each URL, each page once."""
    quiet = given["quiet"]
    display = make_display(quiet, given["log"])
    try:
        crawler = make_crawler(urls, given, display)
        crawler.open_files()
    except (ValueError, CheckpointError, FrontierError, ImportError) as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        click.echo(f"asks-fast: cannot open the output: {printable(str(error))}", err=True)
        sys.exit(EXIT_CANNOT_WRITE)
    except OutputError as error:
        click.echo(f"asks-fast: {printable(str(error))}", err=True)
        sys.exit(EXIT_CANNOT_WRITE)
    if crawler.earlier_pages and not quiet:
        display.note(f"{crawler.earlier_pages:,} were fetched by an earlier run and are skipped")
    sys.exit(run_in_kernel(run_with_display, crawler, display))


command.params += [option for option in fetch_command.params if option.name not in NOT_SHARED]


def make_crawler(urls: tuple[str, ...], given: dict[str, Any], display: Display) -> Crawler:
    """Return the crawl that the options describe.

    Raises:
        ValueError: options contradict each other.
    """
    output, directory = given["output"], given["output_dir"]
    if output == "-" and directory is not None:
        output = f"{directory}/index.jsonl"
    if output == "-" and (given["resume"] or given["frontier"]):
        raise ValueError("--resume and --frontier need --output: standard output cannot be resumed")

    def note(record: FetchRecord) -> None:
        if record.error is not None:
            display.failed(record.url, type(record.error).__name__, str(record.error))

    return Crawler(
        urls,
        output=output,
        directory=directory,
        frontier=given["frontier"],
        resume=given["resume"],
        overwrite=given["overwrite"],
        fetch=make_options(given),
        record_format=given["form"],
        body=given["body"],
        headers=given["with_headers"],
        flush_interval=given["flush_interval"],
        on_result=note,
        scope=given["scope"],
        include=given["include"],
        exclude=given["exclude"],
        max_depth=given["depth"],
        max_pages=given["max_pages"],
        max_pages_per_host=given["max_pages_per_host"],
        max_queries=given["max_queries"],
        sitemaps=given["sitemaps"],
        nofollow=given["nofollow"],
    )
