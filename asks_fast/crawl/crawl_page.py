"""The page that the callback of a crawl gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .._response.charset import decode
from ..urls import Url, parse_url
from .links import Links, resolve
from .page import FetchRecord

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

    from .._annotations import AnyHeaderValue

__all__ = ["CrawlPage"]


class CrawlPage:
    """One page of a crawl: a response of any status, or an error.

    Attributes:
        url: the address that was requested, in canonical form.
        depth: links from a start URL.
        links: absolute URLs that the page links to and that are followed if they are in scope. A
            callback may remove some, or add others.
        canonical: the address that the page gives for itself by `<link rel=canonical>`, if it is
            another one.
        error: why there is no response, or None.

    Example:
        def on_page(page):
            if page.ok:
                print(page.url, page.html.css_first("title").text())
    """

    __slots__ = ("_record", "canonical", "depth", "followed", "links", "url")

    def __init__(self, record: FetchRecord, depth: int, links: Links) -> None:
        self._record = record
        self.url = record.url
        self.depth = depth
        self.links = links.urls
        self.canonical = links.canonical
        self.followed: list[tuple[str, int]] = []  # URL and priority

    @property
    def error(self) -> Exception | None:
        """Why there is no response."""
        return self._record.error

    @property
    def status_code(self) -> int | None:
        """The status, None if there is no response."""
        page = self._record.page
        return None if page is None else page.status_code

    @property
    def ok(self) -> bool:
        """Whether there is a response with a status below 300."""
        page = self._record.page
        return page is not None and 200 <= page.status_code < 300

    @property
    def headers(self) -> Mapping[str, AnyHeaderValue]:
        """The header fields of the response; empty if there is none."""
        page = self._record.page
        return {} if page is None else page.headers

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters."""
        page = self._record.page
        return "" if page is None else page.content_type

    @property
    def content(self) -> bytes:
        """The body, decompressed; empty if it was saved as a file and is not text."""
        page = self._record.page
        return b"" if page is None else page.content

    @property
    def text(self) -> str:
        """The body as text, by the charset of the Content-Type or of the content."""
        page = self._record.page
        return "" if page is None else decode(page.content, page.charset, errors="replace")

    @property
    def html(self) -> LexborHTMLParser:
        """The body parsed by selectolax."""
        from .links import load_parser

        return load_parser()(self.text)

    def follow(self, url: str, priority: int = 0) -> None:
        """Request a URL, if it is in scope and not known yet.

        Args:
            url: absolute, or relative to this page.
            priority: URLs with a higher number are requested before others of their host.
        """
        target = resolve(self._base(), url)
        if target is not None:
            self.followed.append((target, priority))

    def _base(self) -> Url:
        return parse_url(self.url)

    def __repr__(self) -> str:
        state = self.status_code if self.error is None else type(self.error).__name__
        return f"<CrawlPage {self.url} {state}, {len(self.links)} links>"
