"""One client of `asks-fast bench`, in a process of its own.

    python -m asks_fast.cli.bench_client NAME URL CONNECTIONS SECONDS    prints one line of JSON

Each client does its work as its own documentation advises: one session of the wanted size, as many
tasks (threads for requests) in a loop. Other packages are imported only here and only when named.
Rules:  connections are opened before the clock starts; each status must be 200, each body as long
        as the first one.
Not here: who takes part, turns, the table (bench.py).
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Count:
    """The answers of one pass, and when it ends; every worker makes at least one request."""

    def __init__(self, url: str, connections: int) -> None:
        self.url = url
        self.connections = connections
        self.length: int | None = None  # of each body; that of the first answer
        self.done = 0
        self.until = 0.0  # monotonic seconds
        self.figures: dict[str, float] = {}

    def good(self, status: int, body: bytes) -> bool:
        """Count an answer; whether there is time for another request."""
        if self.length is None:
            self.length = len(body)
        if status != 200 or len(body) != self.length:
            raise ValueError(f"status {status}, {len(body)} bytes; expected 200, {self.length}")
        self.done += 1
        return time.monotonic() < self.until

    @contextmanager
    def timed(self, seconds: float) -> Iterator[None]:
        """Measure what the block does until `seconds` are over."""
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        self.done, self.until = 0, start + seconds
        yield
        taken, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.figures = {
            "requests": self.done,
            "rate": self.done / taken,
            "cpu_us": cpu / self.done * 1e6,
            "rss_mib": after.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024),
        }


def asks_fast_client(count: Count, seconds: float, own: bool) -> None:
    """asks_fast, on curio's kernel or on our own."""
    import curio

    from asks_fast.sessions import HSession
    from asks_fast.urls import parse_url

    run = importlib.import_module("asks_fast.kernel").run if own else curio.run
    url = parse_url(count.url)

    async def crowd(session: HSession) -> None:
        async def work() -> None:
            while True:
                r = await session.get(path=url.target)
                if not count.good(r.status_code, r.content):
                    return

        async with curio.TaskGroup() as group:
            for _ in range(count.connections):
                await group.spawn(work)
        for error in group.exceptions:  # the group waits for its tasks, but raises nothing
            if error is not None:
                raise error

    async def main() -> None:
        async with HSession(url.origin, connections=count.connections) as session:
            await crowd(session)
            with count.timed(seconds):
                await crowd(session)

    run(main)


def aiohttp_client(count: Count, seconds: float) -> None:
    """aiohttp, on uvloop where that is installed."""
    aiohttp = importlib.import_module("aiohttp")
    asyncio = importlib.import_module("asyncio")
    try:
        run = importlib.import_module("uvloop").run
    except ImportError:
        run = asyncio.run

    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=count.connections)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def work() -> None:
                while True:
                    async with session.get(count.url) as r:
                        if not count.good(r.status, await r.read()):
                            return

            await asyncio.gather(*[work() for _ in range(count.connections)])
            with count.timed(seconds):
                await asyncio.gather(*[work() for _ in range(count.connections)])

    run(main())


def httpx_client(count: Count, seconds: float) -> None:
    """httpx on asyncio."""
    httpx = importlib.import_module("httpx")
    asyncio = importlib.import_module("asyncio")

    async def main() -> None:
        limits = httpx.Limits(
            max_connections=count.connections, max_keepalive_connections=count.connections
        )
        async with httpx.AsyncClient(limits=limits, timeout=None) as client:

            async def work() -> None:
                while True:
                    r = await client.get(count.url)
                    if not count.good(r.status_code, r.content):
                        return

            await asyncio.gather(*[work() for _ in range(count.connections)])
            with count.timed(seconds):
                await asyncio.gather(*[work() for _ in range(count.connections)])

    asyncio.run(main())


def requests_client(count: Count, seconds: float) -> None:
    """requests: a thread and a session for each connection."""
    requests = importlib.import_module("requests")
    from concurrent.futures import ThreadPoolExecutor

    sessions = [requests.Session() for _ in range(count.connections)]

    def work(session: Any) -> None:
        while True:
            r = session.get(count.url)
            if not count.good(r.status_code, r.content):
                return

    with ThreadPoolExecutor(count.connections) as pool:
        list(pool.map(work, sessions))
        with count.timed(seconds):
            list(pool.map(work, sessions))


CLIENTS: dict[str, Callable[[Count, float], None]] = {
    "asks_fast": lambda count, seconds: asks_fast_client(count, seconds, own=False),
    "asks_fast.run": lambda count, seconds: asks_fast_client(count, seconds, own=True),
    "aiohttp": aiohttp_client,
    "httpx": httpx_client,
    "requests": requests_client,
}


def main(name: str, url: str, connections: str, seconds: str) -> None:
    """Run one client and print its figures; or, in one line on standard error, why not."""
    count = Count(url, int(connections))
    try:
        CLIENTS[name](count, float(seconds))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")
    print(json.dumps(count.figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
