"""Get pages through several proxies; print what became of the pages and of the proxies.

    python examples/proxy_pool.py PROXIES.txt https://example.com/ [PAGE...]

PROXIES.txt has the URL of one proxy per line. A proxy that fails, or for which the server answers
403 or 429, rests for a minute or longer, and the request goes through another one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import curio

from asks_fast import DSession, ProxyPool, Retry


async def main(proxies: list[str], pages: list[str]) -> int:
    """Return the exit status: 1 if a page could not be loaded."""
    pool = ProxyPool(proxies, requests_per_proxy=4, sticky="host")
    policy = Retry(attempts=3, backoff=0.1)
    failed = 0
    async with DSession(proxy=pool, retries=policy, timeout=30, connections=50) as session:
        async for result in session.map(pages):
            if result.error is not None:
                print(result.key, "failed:", result.error)
                failed += 1
                continue
            response = result.unwrap()
            print(result.key, response.status_code, len(response.content), "bytes")
    for one in pool.stats():
        print(one.proxy, one.state, f"{one.successes} of {one.requests}", one.last_failure or "")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    lines = Path(sys.argv[1]).read_text().split()
    sys.exit(curio.run(main, lines, sys.argv[2:]))
