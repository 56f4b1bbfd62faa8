"""Read a paged API to its end, then each item, with a token; print one JSON line per item.

    python examples/api_crawl.py https://api.example.com TOKEN

The API returns pages of items at /items, with the next page in a Link header. Items are fetched
concurrently while the list is still being read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import curio

from asks_fast import HSession
from asks_fast.auth import BearerAuth
from asks_fast.crawl import Politeness


async def item_paths(api: HSession) -> AsyncIterator[tuple[int, str]]:
    """Yield (id, path) of every item, page by page."""
    url: str | None = None
    while True:
        page = await (api.get(url) if url else api.get(path="/items"))
        page.raise_for_status()
        for item in page.json()["items"]:
            yield item["id"], f"/items/{item['id']}"
        if "next" not in page.links:
            return
        url = page.links["next"]["url"]


async def main(base: str, token: str) -> int:
    """Print every item; return the number of items that could not be fetched."""
    missing = 0
    # The API allows 50 requests a second. 429 and Retry-After need no option.
    limits = Politeness(rate=50, burst=10)
    async with (
        HSession(base, connections=8, auth=BearerAuth(token)) as api,
        api.map(item_paths(api), retries=3, politeness=limits) as results,
    ):
        async for result in results:
            if result.ok:
                item: dict[str, Any] = result.response.json()
                print(json.dumps(item))
            else:
                missing += 1
                print(f"item {result.key}: {result.error or result.response}", file=sys.stderr)
    return missing


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(1 if curio.run(main, *sys.argv[1:3]) else 0)
