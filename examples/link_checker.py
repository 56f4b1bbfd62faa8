"""Check every link of some pages; print the broken ones with the page they are on.

    python examples/link_checker.py https://example.com/ [PAGE...]

Asks with HEAD, and with GET where the server does not like HEAD. Exit status 1 if any is broken.
Needs selectolax: pip install selectolax
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any
from urllib.parse import urldefrag, urljoin

import curio
from selectolax.lexbor import LexborHTMLParser

from asks_fast import DSession
from asks_fast.crawl import Politeness

# Many requests in all, few to one server; a server that is down is not asked a hundred times.
LIMITS = Politeness(host_concurrency=4, max_failures=5)


async def links_of(session: DSession, pages: list[str]) -> dict[str, list[str]]:
    """Each link and the pages that it is on."""
    found: dict[str, list[str]] = defaultdict(list)
    async for result in session.map(pages):
        page = result.unwrap()
        page.raise_for_status()
        for anchor in LexborHTMLParser(page.content).css("a[href], link[href]"):
            link = urldefrag(urljoin(page.url, anchor.attributes["href"] or "")).url
            if link.startswith(("http://", "https://")) and result.key not in found[link]:
                found[link].append(result.key)
    return found


def complaint(result: Any) -> str | None:
    """What is wrong with a link; None if nothing is."""
    if result.error is not None:
        return f"{type(result.error).__name__}: {result.error}"
    if result.ok:
        return None
    return f"{result.response.status_code} {result.response.reason_phrase}"


async def main(pages: list[str]) -> int:
    """Check, and give the number of broken links."""
    broken = 0
    async with DSession(connections=50, timeout=30, follow_redirects=True) as session:
        links = await links_of(session, pages)
        again = []
        async for result in session.map(
            ({"method": "HEAD", "url": link, "key": link} for link in links),
            retries=1,
            politeness=LIMITS,
        ):
            if result.response is not None and result.response.status_code in (403, 405, 501):
                again.append(result.key)
            elif (why := complaint(result)) is not None:
                broken += 1
                print(f"{result.key}: {why} (on {', '.join(links[result.key])})")
        async for result in session.map(again, retries=1, politeness=LIMITS):
            if (why := complaint(result)) is not None:
                broken += 1
                print(f"{result.key}: {why} (on {', '.join(links[result.key])})")
    print(f"{len(links)} links, {broken} broken")
    return broken


if __name__ == "__main__":
    sys.exit(1 if curio.run(main, sys.argv[1:]) else 0)
