"""A session that reads each response to its end, within limits.

`PageSession` wraps the session of a run. It checks status and type of a response before it reads
the body, and returns a `Page`: all that an output needs, without a connection.

Invariants: a body over `max_body` is an error, and its connection is closed. A body dropped by a
        filter is not read. A file appears under its name only when it is complete.

Implemented elsewhere: the order of requests (`scheduler`), records (`formats`), file names
(`file_names`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ResponseTooLarge, printable
from ..http_utils import charset_of
from .file_names import file_name
from .options import FetchOptions, matches_status, matches_type
from .partial_files import PartialFile
from .raw_exchange import RawExchange, header_items, raw_exchanges

if TYPE_CHECKING:
    from .._client.redirect_pause import RedirectPaused

__all__ = ["EarlierPage", "FetchRecord", "Page", "PageSession"]


class Page:
    """One response, read to its end, or dropped by the filter that `dropped` names."""

    __slots__ = (
        "charset",
        "content",
        "content_type",
        "dropped",
        "exchanges",
        "file",
        "headers",
        "size",
        "status_code",
        "url",
    )

    def __init__(self, response: Any) -> None:
        self.status_code: int = response.status_code
        self.headers = response.headers
        self.url = str(response.url or "")
        full = str(response.headers.get("content-type") or "")
        self.content_type = full.partition(";")[0].strip().lower()
        self.charset = charset_of(full)  # name of a codec
        self.content = b""  # decompressed; empty if it was saved as a file
        self.exchanges: list[RawExchange] = []  # redirects and this one, for archives
        self.size = 0  # bytes read, after decompression unless raw
        self.file: str | None = None  # name of the saved file
        self.dropped: str | None = None

    @property
    def header_items(self) -> list[tuple[str, str]]:
        """Name and value of each header field, in order."""
        return header_items(self.headers)

    def __repr__(self) -> str:
        return f"<Page {self.status_code} {self.size} bytes>"


class EarlierPage(NamedTuple):
    """A page of an earlier run that has not changed since."""

    url: str  # where it came from, after redirects
    etag: str | None
    last_modified: str | None
    since: str  # when its body was transferred, ISO 8601
    file: str | None  # name of the saved body, in the directory of that run


class FetchRecord:
    """The outcome of one request: its page or error, and how it was fetched."""

    __slots__ = (
        "at",
        "attempts",
        "earlier",
        "elapsed",
        "error",
        "extra",
        "host",
        "key",
        "page",
        "same_as",
        "url",
    )

    def __init__(
        self,
        url: str,
        key: Any,
        page: Page | None,
        error: Exception | None,
        attempts: int,
        elapsed: float,
        at: str,
        host: str = "",
    ) -> None:
        self.url = url
        self.key = key
        self.page = page
        self.error = error
        self.attempts = attempts
        self.elapsed = elapsed  # seconds
        self.at = at  # time of the result, ISO 8601 in UTC
        self.host = host
        self.same_as: str | None = None  # the URL whose fetch it shares
        self.earlier: EarlierPage | None = None  # of the earlier run, if it has not changed
        self.extra: dict[str, Any] = {}  # further fields of JSON records

    def shared_with(self, url: str, key: Any) -> FetchRecord:
        """Return the record for another URL that differs only in its fragment."""
        made = FetchRecord(
            url, key, self.page, self.error, self.attempts, self.elapsed, self.at, self.host
        )
        made.same_as = url.partition("#")[0]
        made.earlier = self.earlier
        return made

    def as_failure(self, error: Exception) -> FetchRecord:
        """Return the record to write in place of this one, which could not be encoded."""
        key = self.key
        if not isinstance(key, (str, int, type(None))):
            key = printable(repr(key), 2_000)
        return FetchRecord(
            printable(self.url, 8_000),
            printable(key, 2_000) if isinstance(key, str) else key,
            None,
            error,
            self.attempts,
            self.elapsed,
            self.at,
            self.host,
        )


class PageSession:
    """A session whose `request` returns a `Page`; bodies are saved if `directory` is set."""

    def __init__(
        self,
        session: Any,
        options: FetchOptions,
        *,
        raw: bool = False,
        directory: Path | None = None,
        is_recrawl: bool = False,
        keep_text: bool = False,
        on_sitemaps: Callable[[str, list[str]], None] | None = None,
    ) -> None:
        """Wrap a session.

        Args:
            session: the session to send with.
            options: how to fetch, and what to keep.
            raw: keep the bytes as received, for archives.
            directory: save bodies as files.
            is_recrawl: a 304 stands for a page that passed the filters.
            keep_text: keep the content of text in memory, also if it is archived or saved.
            on_sitemaps: called with the origin and the sitemaps that a robots.txt names.
        """
        self.session = session
        self.options = options
        self.connections = options.connections
        self.raw = raw
        self.directory = directory
        self.is_recrawl = is_recrawl
        self.keep_text = keep_text
        self.on_sitemaps = on_sitemaps
        self.bytes = 0  # of bodies so far
        self._reads_at_once = directory is None and not options.only_type
        self._request_arguments: dict[str, Any] = {
            "timeout": options.timeout,
            "connection_timeout": options.connection_timeout,
            "read_timeout": options.read_timeout,
        }
        if options.max_redirects:
            self._request_arguments["max_redirects"] = options.max_redirects
        else:
            self._request_arguments["follow_redirects"] = False
        if options.max_body:
            self._request_arguments["max_body"] = options.max_body
            self._request_arguments["max_decompressed"] = options.max_body
        if raw:
            self._request_arguments["keep_framing"] = True
        if options.cookies:
            self._request_arguments["cookies"] = dict(options.cookies)

    async def request(self, method: str, url: str = "", **kwargs: Any) -> Page:
        """Send one request and read its body within the limits.

        A cancellation closes the connection and removes the incomplete file.
        """
        if self._reads_at_once:
            given = {**self._request_arguments, **kwargs, "stream": False}
            return self._page_from_memory(await self.session.request(method, url, **given))
        response = await self.session.request(
            method, url, **{**self._request_arguments, **kwargs}, stream=True
        )
        return await self._page_from_stream(response, url)

    async def resume_redirect(self, paused: RedirectPaused, url: str = "") -> Page:
        """Continue a request that was paused before a redirect; otherwise as `request`."""
        response = await paused.flow.run()
        return (
            self._page_from_memory(response)
            if self._reads_at_once
            else await self._page_from_stream(response, url)
        )

    def _page_from_memory(self, response: Any) -> Page:
        """Return the page of a response whose body is in memory."""
        page = Page(response)
        page.dropped = self._dropping_filter(page)
        if page.dropped is None:
            data = response.body if self.raw else response.content
            self._count(page, len(data))
            if self.raw:
                page.exchanges = raw_exchanges(response)
            if not self.raw or (self.keep_text and may_have_links(page)):
                if self.raw:
                    data = response.content
                page.content = data
        return page

    async def _page_from_stream(self, response: Any, url: str) -> Page:
        """Return the page of a response whose body is not read yet."""
        body = response.body
        try:
            page = Page(response)
            page.dropped = self._dropping_filter(page)
            if page.dropped is None:
                body.decompress_data = not self.raw
                if self.directory is not None and 200 <= page.status_code < 300:
                    await self._save(page, body, url or page.url)
                else:
                    await self._load(page, response)
            return page
        finally:
            await body.close()

    def _dropping_filter(self, page: Page) -> str | None:
        if self.is_recrawl and page.status_code == 304:
            return None
        if not matches_status(page.status_code, self.options.only_status):
            return "status"
        if not matches_type(page.content_type, self.options.only_type):
            return "type"
        return None

    async def _load(self, page: Page, response: Any) -> None:
        pieces: list[bytes] = []
        async for piece in response.body:
            self._count(page, len(piece))
            pieces.append(bytes(piece))
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self.raw:
            page.exchanges = raw_exchanges(response, body=data)
        else:
            page.content = data

    async def _save(self, page: Page, body: Any, url: str) -> None:
        assert self.directory is not None
        name = file_name(url, page.content_type)
        kept: list[bytes] | None = [] if self.keep_text and may_have_links(page) else None
        with PartialFile(self.directory) as file:
            async for piece in body:
                self._count(page, len(piece))
                file.write(piece)
                if kept is not None:
                    kept.append(bytes(piece))
            file.move_to(self.directory / name)
        page.file = name
        if kept is not None:
            page.content = b"".join(kept)

    def _count(self, page: Page, more: int) -> None:
        page.size += more
        self.bytes += more
        limit = self.options.max_body
        if limit is not None and page.size > limit:
            raise ResponseTooLarge(f"the body of {page.url} is larger than {limit} bytes")


def may_have_links(page: Page) -> bool:
    """Return whether a page may contain links: HTML, XML, or a compressed sitemap."""
    kind = page.content_type
    return kind.startswith("text/") or "xml" in kind or kind in ("application/gzip", "")
