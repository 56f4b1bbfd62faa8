"""Follow links: crawl one or more sites, each page once, in a crawl that can be resumed.

`Crawler` is what programs and the command `asks-fast crawl` use. It opens the output and the
frontier, and runs `CrawlFetch`.

Invariants: without `resume` or `overwrite` nothing that exists is changed.

Implemented elsewhere: the run (`crawl_fetch`), the options (`crawl_options`, `options`).
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from .._guest import hosted
from .bulk_fetch import CheckpointWriter, StreamWriter, Writer
from .checkpoint import Checkpoint, CheckpointError
from .crawl_fetch import CrawlFetch, NoWriter, OnPage, start_urls
from .crawl_options import CrawlOptions
from .fetch_config import FetchConfig, make_session, open_output
from .frontier import Frontier, FrontierError
from .links import load_parser
from .options import FetchOptions
from .page import FetchRecord, PageSession
from .robots_rules import load_protego
from .stats import FetchStats

if TYPE_CHECKING:
    from .._annotations import AnyArgument
    from ..sessions import BaseSession

__all__ = ["Crawler"]


class Crawler:
    """A crawl that follows links. Each page in scope is requested once.

    Pages are fetched as by `asks-fast fetch`: robots.txt, limits per host that adapt, retries.

    Attributes:
        stats: the counts, at any time.

    Example:
        def on_page(page):
            print(page.status_code, page.url, len(page.links))

        stats = await Crawler("https://example.com/", on_page=on_page, max_pages=100).run()
    """

    def __init__(
        self,
        start: str | Iterable[str],
        *,
        on_page: OnPage | None = None,
        output: str | os.PathLike[str] | None = None,
        frontier: str | os.PathLike[str] | None = None,
        resume: bool = False,
        overwrite: bool = False,
        fetch: FetchOptions | None = None,
        session: BaseSession | None = None,
        record_format: str | None = None,
        body: str = "auto",
        headers: bool = False,
        directory: str | os.PathLike[str] | None = None,
        flush_interval: float = 1.0,
        on_result: Callable[[FetchRecord], None] | None = None,
        **limits: AnyArgument,  # each field of CrawlOptions has its own type
    ) -> None:
        """Prepare a crawl; nothing is opened before `run`.

        Args:
            start: one or more URLs.
            on_page: function or coroutine function, called with each `CrawlPage` before it is
                written. After a kill it is called again for the pages that were not written. An
                exception ends the crawl.
            output: file for a record of each page, as of `asks-fast fetch`; `-` is standard
                output.
            frontier: file for the URLs; default: `OUTPUT.frontier`, or a temporary file without
                `output`.
            resume: continue an earlier crawl with the same files, if there is one.
            overwrite: delete what the files contain.
            fetch: how to fetch each page.
            session: the session to send with; default: one made from `fetch`.
            record_format, body, headers: format of the output, and what JSON records contain.
            directory: directory to save bodies in, as files.
            flush_interval: seconds that a page may wait before it is written.
            on_result: called with each record.
            **limits: the fields of `CrawlOptions`: `scope`, `max_depth`, `max_pages`, …

        Raises:
            TypeError: an argument does not exist.
            ValueError: an option is out of range, or a start URL is invalid.
            ImportError: a package of the extra `crawl` is not installed.
        """
        self.start = start_urls([start] if isinstance(start, str) else list(start))
        _check_names(limits)
        self.options = CrawlOptions(**limits)
        self.fetch_options = fetch or FetchOptions()
        load_parser()
        if self.fetch_options.robots:
            load_protego()
        self.stats = FetchStats()
        self._on_page, self._on_result = on_page, on_result
        self._session = session
        self._resume, self._overwrite = resume, overwrite
        index = f"{os.fspath(directory)}/index.jsonl" if directory is not None else None
        path = os.fspath(output) if output is not None else index
        self._config = (
            None
            if path is None
            else FetchConfig(
                "-",
                path,
                self.fetch_options,
                record_format,
                body,
                headers,
                None if directory is None else os.fspath(directory),
                flush_interval=flush_interval,
            )
        )
        self._frontier_path = Path(frontier) if frontier is not None else None
        if self._frontier_path is None and path is not None and path != "-":
            self._frontier_path = Path(f"{path}.frontier")
        self._running: CrawlFetch | None = None
        self._frontier: Frontier | None = None
        self.earlier_pages = 0  # pages that earlier runs requested; set by `open_files`
        self._writer: Writer | None = None
        self._files = ExitStack()  # closes what is open

    @hosted
    async def run(self) -> FetchStats:
        """Crawl until no page in scope is left.

        A cancellation ends the requests under way; the pages received are written.

        Returns:
            The counts, as `stats`.

        Raises:
            CheckpointError, FrontierError: the files cannot be used as requested.
            OutputError: the output cannot be written. Records written before are complete.
            Exception: any exception that `on_page` raises.
        """
        self.open_files()
        try:
            if self._session is not None:
                return await self._run(self._session)
            async with make_session(self.fetch_options) as session:
                return await self._run(session)
        finally:
            self.close_files()

    async def stop(self) -> None:
        """Start no more requests; `run` returns when those under way have ended."""
        if self._running is not None:
            await self._running.stop()

    @property
    def under_way(self) -> int:
        """The number of requests under way."""
        return 0 if self._running is None else self._running.under_way

    @property
    def total(self) -> int | None:
        """The number of pages known so far."""
        return None if self._frontier is None else self._frontier.known

    @property
    def is_total_known(self) -> bool:
        """Whether no more links can be found."""
        frontier = self._frontier
        return frontier is not None and not frontier.waiting and not frontier.taken

    def open_files(self) -> None:
        """Open output and frontier; `run` does it if it was not done before.

        Raises:
            CheckpointError, FrontierError: the files cannot be used as requested.
        """
        if self._frontier is not None:
            return
        self._check_pair()
        try:
            self._open()
        except BaseException:
            self.close_files()
            raise

    def close_files(self) -> None:
        """Close output and frontier; a Parquet output is completed unless an error is handled."""
        files, self._files = self._files, ExitStack()
        files.__exit__(*sys.exc_info())

    def _open(self) -> None:
        if self._config is not None:
            output = open_output(self._config, resume=self._resume, overwrite=self._overwrite)
            self._config, _ = self._files.enter_context(output)
        limits = self.options
        frontier = self._frontier = Frontier(
            self._frontier_path,
            resume=self._resume,
            overwrite=self._overwrite,
            max_pages=limits.max_pages,
            max_pages_per_host=limits.max_pages_per_host,
            max_hosts=limits.max_hosts,
            max_queries=limits.max_queries,
        )
        self._files.callback(frontier.close)
        done = self._open_writer(self._config)
        frontier.restore(done)
        self.earlier_pages = frontier.requested_pages
        for url in self.start:
            frontier.add(url)
        frontier.commit()

    def _open_writer(self, config: FetchConfig | None) -> Iterable[int]:
        """Set the writer; return the keys of what the output contains."""
        if config is None:
            self._writer = NoWriter()
            return ()
        form, seconds = config.format(), config.flush_interval
        if config.to_stream:
            self._writer = StreamWriter(sys.stdout.fileno(), form, seconds=seconds)
            return ()
        checkpoint = Checkpoint(Path(config.output), form.name, resume=True)
        self._files.enter_context(checkpoint)
        self._writer = CheckpointWriter(checkpoint, form, seconds)
        return checkpoint.done

    def _check_pair(self) -> None:
        """Raise CheckpointError if there is an output whose frontier is missing."""
        config, frontier = self._config, self._frontier_path
        if config is None or config.to_stream or self._overwrite or frontier is None:
            return
        checkpoint = Path(f"{config.output}.checkpoint")
        if self._resume and checkpoint.exists() and not frontier.exists():
            raise CheckpointError(
                f"{config.output} has results of an earlier run, but its frontier {frontier} is "
                "missing, so the crawl cannot be resumed"
            )
        if not self._resume and frontier.exists():
            raise FrontierError(
                f"{frontier} has a crawl of an earlier run; resume=True (--resume) continues it, "
                "overwrite=True (--overwrite) deletes it"
            )

    async def _run(self, session: BaseSession) -> FetchStats:
        assert self._frontier is not None
        assert self._writer is not None
        config = self._config
        options = self.fetch_options
        single = dataclasses.replace(options, max_redirects=0, only_status=(), only_type=())
        pages = PageSession(
            session,
            single,
            raw=self._writer.record_format.name.startswith("warc"),
            directory=Path(config.directory) if config and config.directory else None,
            keep_text=True,
        )
        self._running = CrawlFetch(
            pages,
            options,
            self._writer,
            self._frontier,
            self.options.make_scope(self.start),
            self.options,
            on_page=self._on_page,
            on_result=self._on_result,
        )
        self.stats = self._running.stats
        await self._running.run()
        return self.stats

    def __repr__(self) -> str:
        return f"<Crawler {self.start[0]} {self.stats.done} done, {self._frontier!r}>"


def _check_names(limits: Iterable[str]) -> None:
    """Raise a TypeError for a name that is neither an argument nor a field of `CrawlOptions`."""
    known = [field.name for field in dataclasses.fields(CrawlOptions)]
    for name in limits:
        if name not in known:
            arguments = [*known, *(Crawler.__init__.__kwdefaults__ or ())]
            close = get_close_matches(name, arguments, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"Crawler() got an unexpected keyword argument {name!r}{hint}")
