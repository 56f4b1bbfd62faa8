"""Crawl a site politely: follow its links, obey its robots.txt; print each page's URL and title.

    python examples/site_crawl.py https://example.com/ [MAX_PAGES]

Needs selectolax and protego: pip install selectolax protego
"""

from __future__ import annotations

import sys
from urllib.parse import urldefrag, urljoin, urlsplit

import curio
from selectolax.lexbor import LexborHTMLParser

from asks_fast import DSession
from asks_fast.crawl import Politeness


class Frontier:
    """The URLs to fetch; the iteration ends when all are fetched and none added another."""

    def __init__(self, start: str, max_pages: int) -> None:
        self.host = urlsplit(start).netloc
        self.max_pages = max_pages
        self.seen: set[str] = set()
        self.unfinished = 0  # waiting or being fetched
        self.queue: curio.Queue = curio.Queue()

    async def add(self, url: str) -> None:
        url = urldefrag(url).url
        if (
            url in self.seen
            or len(self.seen) >= self.max_pages
            or urlsplit(url).netloc != self.host
        ):
            return
        self.seen.add(url)
        self.unfinished += 1
        await self.queue.put(url)

    async def done(self) -> None:
        self.unfinished -= 1
        if self.unfinished == 0:
            await self.queue.put(None)

    def __aiter__(self) -> Frontier:
        return self

    async def __anext__(self) -> str:
        url: str | None = await self.queue.get()
        if url is None:
            raise StopAsyncIteration
        return url


async def main(start: str, max_pages: int = 100) -> int:
    """Crawl the site; return the number of pages."""
    frontier = Frontier(start, max_pages)
    await frontier.add(start)
    limits = Politeness(
        robots=True, user_agent="example-crawler", host_concurrency=2, min_delay=0.05
    )
    pages = 0
    async with (
        DSession(connections=10, headers={"User-Agent": "example-crawler/1.0"}) as session,
        session.map(frontier, retries=2, politeness=limits) as results,
    ):
        async for result in results:
            response = result.response
            if result.ok and "html" in response.headers.get("content-type", ""):
                tree = LexborHTMLParser(response.content)
                title = tree.css_first("title")
                print(f"{result.key}\t{title.text(strip=True) if title else ''}")
                pages += 1
                for anchor in tree.css("a[href]"):
                    await frontier.add(urljoin(response.url, anchor.attributes["href"] or ""))
            elif not result.ok:
                print(f"{result.key}: {result.error or response}", file=sys.stderr)
            await frontier.done()
    return pages


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    curio.run(main, sys.argv[1], *map(int, sys.argv[2:3]))
