"""Check every link of some pages; print the broken ones with the pages they are on.

    python examples/link_checker.py https://example.com/ [PAGE...]

Sends HEAD, and GET where the server does not support HEAD. Exit status 1 if a link is broken.
Needs selectolax: pip install selectolax
"""

from __future__ import annotations

import sys
from collections import defaultdict
from urllib.parse import urldefrag, urljoin

import curio
from selectolax.lexbor import LexborHTMLParser

from asks_fast import DSession
from asks_fast.crawl import Politeness, Result

# Many requests in all, few to one server, and none to a server after five failures.
LIMITS = Politeness(host_concurrency=4, max_failures=5)


async def links_of(session: DSession, pages: list[str]) -> dict[str, list[str]]:
    """Return each link and the pages that contain it."""
    found: dict[str, list[str]] = defaultdict(list)
    async for result in session.map(pages):
        page = result.unwrap()
        page.raise_for_status()
        for anchor in LexborHTMLParser(page.content).css("a[href], link[href]"):
            link = urldefrag(urljoin(page.url, anchor.attributes["href"] or "")).url
            if link.startswith(("http://", "https://")) and result.key not in found[link]:
                found[link].append(result.key)
    return found


def describe_problem(result: Result) -> str | None:
    """Return what is wrong with a link; None if it works."""
    if result.error is not None:
        return f"{type(result.error).__name__}: {result.error}"
    if result.ok:
        return None
    response = result.unwrap()
    return f"{response.status_code} {response.reason_phrase}"


async def main(pages: list[str]) -> int:
    """Check all links; return the number of broken ones."""
    broken = 0
    async with DSession(connections=50, timeout=30, follow_redirects=True) as session:
        links = await links_of(session, pages)
        without_head = []
        async for result in session.map(
            ({"method": "HEAD", "url": link, "key": link} for link in links),
            retries=1,
            politeness=LIMITS,
        ):
            if result.response is not None and result.response.status_code in (403, 405, 501):
                without_head.append(result.key)
            elif (problem := describe_problem(result)) is not None:
                broken += 1
                print(f"{result.key}: {problem} (on {', '.join(links[result.key])})")
        async for result in session.map(without_head, retries=1, politeness=LIMITS):
            if (problem := describe_problem(result)) is not None:
                broken += 1
                print(f"{result.key}: {problem} (on {', '.join(links[result.key])})")
    print(f"{len(links)} links, {broken} broken")
    return broken


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(1 if curio.run(main, sys.argv[1:]) else 0)
