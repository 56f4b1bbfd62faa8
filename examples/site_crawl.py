"""Crawl a site politely: follow its links, obey its robots.txt; print each page's URL and title.

    python examples/site_crawl.py https://example.com/ [MOST_PAGES]

Needs selectolax and protego: pip install "asks-fast[cli]" selectolax
"""

from __future__ import annotations

import sys
from urllib.parse import urldefrag, urljoin, urlsplit

import curio
from selectolax.lexbor import LexborHTMLParser

from asks_fast import DSession
from asks_fast.crawl import Politeness


class Frontier:
    """The URLs still to be fetched: endless, until nothing is left that could add another."""

    def __init__(self, start: str, most: int) -> None:
        self.host = urlsplit(start).netloc
        self.most = most
        self.seen: set[str] = set()
        self.open = 0  # given out or waiting
        self.queue: curio.Queue = curio.Queue()

    async def add(self, url: str) -> None:
        url = urldefrag(url).url
        if url in self.seen or len(self.seen) >= self.most or urlsplit(url).netloc != self.host:
            return
        self.seen.add(url)
        self.open += 1
        await self.queue.put(url)

    async def done(self) -> None:
        self.open -= 1
        if self.open == 0:
            await self.queue.put(None)

    def __aiter__(self) -> Frontier:
        return self

    async def __anext__(self) -> str:
        url: str | None = await self.queue.get()
        if url is None:
            raise StopAsyncIteration
        return url


async def main(start: str, most: int = 100) -> int:
    """Crawl; the number of pages."""
    frontier = Frontier(start, most)
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
    curio.run(main, sys.argv[1], *map(int, sys.argv[2:3]))
