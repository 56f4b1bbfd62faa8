"""A bulk run whose input is the links of its own results.

`CrawlFetch` takes URLs from the frontier, fetches them as any bulk run does, adds the links of each
page to the frontier, and writes records.

Facts:  a redirect is not followed by the session but is a link of its own, with the same depth: it
        has a record, and its target is requested once, however many redirects lead to it.
Invariants: the links of a page are on the disk before its record, and its record before it is
        marked as done. So after a kill at any moment some pages are requested again, but none is
        lost or recorded twice.

Implemented elsewhere: the order of URLs (`frontier`), limits per host (`scheduled_worker_pool`).
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable
from time import monotonic
from typing import Any

from curio.sched import SchedFIFO

from ..errors import InvalidRequest, RobotsDisallowed
from ..urls import parse_url
from .bulk_fetch import BulkFetch, OutputError, Writer, record_of
from .crawl_options import CrawlOptions
from .crawl_page import CrawlPage
from .formats import RecordFormat
from .frontier import PAGE, SITEMAP, Entry, Frontier
from .job import Result
from .links import Links, canonical_url, find_links, resolve
from .options import FetchOptions, matches_status, matches_type
from .page import FetchRecord, Page, PageSession
from .request_identity import RequestIdentity
from .scope import Scope
from .sitemaps import is_sitemap, read_sitemap

__all__ = ["CrawlFetch", "NoWriter", "OnPage", "start_urls"]

OnPage = Callable[[CrawlPage], "Awaitable[None] | None"]

SITEMAP_PRIORITY = 1_000_000
MAX_NESTED_SITEMAPS = 3  # an index of indexes
REDIRECTS = (301, 302, 303, 307, 308)
HTML = ("text/html", "application/xhtml+xml")


class NoWriter(Writer):
    """The writer of a crawl without an output. Its batches only mark URLs as done."""

    can_resume = True

    def __init__(self) -> None:
        super().__init__(RecordFormat("none", lambda fetched: b"", lambda records, is_first: b""))

    def _write(self, batch: list[tuple[int, bytes]]) -> None:
        """Write nothing."""


class CrawlFetch(BulkFetch):
    """One run of a crawl: `await CrawlFetch(...).run()`."""

    def __init__(
        self,
        pages: PageSession,
        options: FetchOptions,
        writer: Writer,
        frontier: Frontier,
        scope: Scope,
        crawl: CrawlOptions,
        *,
        on_page: OnPage | None = None,
        on_result: Callable[[FetchRecord], None] | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            pages: the session; it must not follow redirects and must apply no filters.
            options: how to fetch, and which records to keep.
            writer: where records go.
            frontier: the URLs.
            scope: which links to follow.
            crawl: limits of the crawl.
            on_page: called with each page before its record is written.
            on_result: called with each record.
        """
        super().__init__(pages.session, options, (), writer, pages=pages, on_result=on_result)
        self.frontier = frontier
        self.scope = scope
        self.crawl = crawl
        self.on_page = on_page
        self.waiting_input = SchedFIFO()  # the reader of the frontier, waiting for URLs
        if crawl.sitemaps:
            pages.on_sitemaps = self.add_sitemaps
        if isinstance(writer, NoWriter):
            writer.after_write = self._commit_done
        else:
            writer.before_write = self._commit
            writer.after_write = frontier.mark_done

    def requests(self) -> AsyncIterable[Any]:
        """Return the URLs of the frontier, until none is left and none is under way."""
        return _FrontierRequests(self)

    async def run(self) -> Any:
        """Crawl until nothing is left; as `BulkFetch.run`."""
        try:
            return await super().run()
        finally:
            self._commit()

    async def handle(self, result: Result) -> None:
        """Add the links of a page to the frontier, and write its record."""
        entry = result.key
        assert isinstance(entry, Entry)
        record = record_of(entry.url, None, result)
        page = record.page
        links = Links([])
        if page is not None:
            links = self._links_of(entry, page)
        if entry.kind == PAGE and not (entry.depth and isinstance(record.error, RobotsDisallowed)):
            if self.on_page is not None:
                await self._call(self.on_page, CrawlPage(record, entry.depth, links), entry)
            self._follow(links.urls, entry.depth + 1)
            self._write_page(entry, record, links)
        else:  # a sitemap, or a link that robots.txt forbids
            if entry.kind == PAGE:
                self.stats.skipped += 1
                self.frontier.reject(entry)
            self.writer.add(entry.key, None, monotonic())
        self.frontier.finish(entry)
        if len(self.waiting_input) and (self.frontier.has_ready or not self.frontier.taken):
            await self.waiting_input.wake(1)

    def add_sitemaps(self, origin: str, sitemaps: list[str]) -> None:
        """Add the sitemaps that robots.txt of an origin names."""
        base = parse_url(origin + "/robots.txt")
        for text in sitemaps:
            self._add_sitemap(resolve(base, text), 0)

    def _write_page(self, entry: Entry, record: FetchRecord, links: Links) -> None:
        page = record.page
        record.extra["depth"] = entry.depth
        if links.canonical is not None:
            record.extra["canonical"] = links.canonical
        if page is not None:
            location = page.headers.get("location")
            if location and page.status_code in REDIRECTS:
                record.extra["location"] = str(location)
            if not matches_status(page.status_code, self.options.only_status):
                page.dropped = "status"
            elif not matches_type(page.content_type, self.options.only_type):
                page.dropped = "type"
        self.report(RequestIdentity(entry.key, entry.key, None, entry.url), record)

    async def _call(self, on_page: OnPage, page: CrawlPage, entry: Entry) -> None:
        outcome = on_page(page)
        if inspect.isawaitable(outcome):
            await outcome
        for url, priority in page.followed:
            if self.scope.allows(url):
                self.frontier.add(url, priority=priority, depth=entry.depth + 1)

    def _follow(self, urls: list[str], depth: int) -> None:
        if depth > self.crawl.max_depth:
            return
        frontier, allows = self.frontier, self.scope.allows
        for url in urls:
            if frontier.is_new(url) and allows(url):
                frontier.add(url, depth=depth)

    def _links_of(self, entry: Entry, page: Page) -> Links:
        """Return the links of a page; add redirects and what sitemaps list."""
        if page.status_code in REDIRECTS:
            self._redirect(entry, str(page.headers.get("location") or ""))
        if not 200 <= page.status_code < 300:
            return Links([])
        if entry.kind == SITEMAP or ("xml" in page.content_type and is_sitemap(page.content)):
            self._add_listed(entry, page)
            return Links([])
        if page.content_type not in HTML:
            return Links([])
        return find_links(
            page.content,
            entry.url,
            page.charset,
            header=str(page.headers.get("x-robots-tag") or ""),
            nofollow=self.crawl.nofollow,
            max_links=self.crawl.max_links,
            max_url_length=self.crawl.max_url_length,
        )

    def _redirect(self, entry: Entry, location: str) -> None:
        """Add the target of a redirect, unless too many led here."""
        target = resolve(parse_url(entry.url), location, self.crawl.max_url_length)
        if target is None or entry.hops >= self.options.max_redirects:
            return
        if entry.kind == SITEMAP:
            self._add_sitemap(target, entry.hops + 1)
        elif self.scope.allows(target):
            self.frontier.add(target, priority=1, depth=entry.depth, hops=entry.hops + 1)

    def _add_listed(self, entry: Entry, page: Page) -> None:
        found = read_sitemap(page.content)
        base = parse_url(entry.url)
        limit = self.crawl.max_url_length
        urls = (resolve(base, url, limit) for url in found.urls)
        self._follow([url for url in urls if url is not None], entry.depth + 1)
        if entry.hops < MAX_NESTED_SITEMAPS:
            for text in found.sitemaps:
                self._add_sitemap(resolve(base, text, limit), entry.hops + 1)

    def _add_sitemap(self, url: str | None, hops: int) -> None:
        if url is not None and self.scope.allows_host(url):
            self.frontier.add(url, priority=SITEMAP_PRIORITY, hops=hops, kind=SITEMAP)

    def _commit(self) -> None:
        try:
            self.frontier.commit()
        except OSError as error:
            raise OutputError(f"cannot write the frontier: {error}") from error

    def _commit_done(self, keys: list[int]) -> None:
        self.frontier.mark_done(keys)
        self._commit()


class _FrontierRequests:
    """The URLs of the frontier as input of `map`: pairs of an `Entry` and its URL."""

    def __init__(self, fetch: CrawlFetch) -> None:
        self._fetch = fetch
        self._entries: deque[Entry] = deque()

    def __aiter__(self) -> _FrontierRequests:
        return self

    async def __anext__(self) -> tuple[Entry, str]:
        fetch = self._fetch
        while not self._entries:
            self._entries.extend(fetch.frontier.take())
            if self._entries:
                break
            if not fetch.frontier.taken:
                raise StopAsyncIteration
            await fetch.waiting_input.suspend("CRAWL_FRONTIER")
        entry = self._entries.popleft()
        return entry, entry.url


def start_urls(texts: list[str]) -> list[str]:
    """Return start URLs in canonical form. A URL without a scheme gets http.

    Raises:
        ValueError: there is none, or one is not a URL.
    """
    if not texts:
        raise ValueError("a crawl needs at least one start URL")
    try:
        return [canonical_url(text if "://" in text else f"http://{text}") for text in texts]
    except InvalidRequest as error:
        raise ValueError(f"invalid start URL: {error}") from None
