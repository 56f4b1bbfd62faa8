"""One client of `asks-fast bench`, in a process of its own.

    python -m asks_fast.cli.bench_client NAME URL CONNECTIONS SECONDS    prints one line of JSON

Each client is used as its documentation advises: one session of the requested size, and as many
tasks (threads for requests) in a loop. Other packages are imported only when named.

Invariants: connections are opened before the clock starts; each status must be 200, and each body
        as long as the first one.

Implemented elsewhere: rounds and the table (`bench`).
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


class Counter:
    """The responses of one run, and its deadline; every worker makes at least one request."""

    def __init__(self, url: str, connections: int) -> None:
        self.url = url
        self.connections = connections
        self.length: int | None = None  # bytes of the first body
        self.done = 0
        self.deadline = 0.0  # monotonic seconds
        self.figures: dict[str, float] = {}

    def count(self, status: int, body: bytes) -> bool:
        """Count a response; return whether there is time for another request."""
        if self.length is None:
            self.length = len(body)
        if status != 200 or len(body) != self.length:
            raise ValueError(f"status {status}, {len(body)} bytes; expected 200, {self.length}")
        self.done += 1
        return time.monotonic() < self.deadline

    @contextmanager
    def timed(self, seconds: float) -> Iterator[None]:
        """Measure the block, whose workers stop after `seconds`."""
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        self.done, self.deadline = 0, start + seconds
        yield
        taken, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.figures = {
            "requests": self.done,
            "rate": self.done / taken,
            "cpu_us": cpu / self.done * 1e6,
            "rss_mib": after.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024),
        }


def asks_fast_client(counter: Counter, seconds: float, own: bool) -> None:
    """Measure asks_fast, on curio's kernel or its own."""
    import curio

    from asks_fast.sessions import HSession
    from asks_fast.urls import parse_url

    run = importlib.import_module("asks_fast.kernel").run if own else curio.run
    url = parse_url(counter.url)

    async def run_tasks(session: HSession) -> None:
        async def work() -> None:
            while True:
                r = await session.get(path=url.target)
                if not counter.count(r.status_code, r.content):
                    return

        async with curio.TaskGroup() as group:
            for _ in range(counter.connections):
                await group.spawn(work)
        for (
            error
        ) in group.exceptions:  # the group waits for its tasks but does not raise their errors
            if error is not None:
                raise error

    async def main() -> None:
        async with HSession(url.origin, connections=counter.connections) as session:
            await run_tasks(session)
            with counter.timed(seconds):
                await run_tasks(session)

    run(main)


def aiohttp_client(counter: Counter, seconds: float) -> None:
    """Measure aiohttp, on uvloop where that is installed."""
    aiohttp = importlib.import_module("aiohttp")
    asyncio = importlib.import_module("asyncio")
    try:
        run = importlib.import_module("uvloop").run
    except ImportError:
        run = asyncio.run

    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=counter.connections)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def work() -> None:
                while True:
                    async with session.get(counter.url) as r:
                        if not counter.count(r.status, await r.read()):
                            return

            await asyncio.gather(*[work() for _ in range(counter.connections)])
            with counter.timed(seconds):
                await asyncio.gather(*[work() for _ in range(counter.connections)])

    run(main())


def httpx_client(counter: Counter, seconds: float) -> None:
    """Measure httpx on asyncio."""
    httpx = importlib.import_module("httpx")
    asyncio = importlib.import_module("asyncio")

    async def main() -> None:
        limits = httpx.Limits(
            max_connections=counter.connections, max_keepalive_connections=counter.connections
        )
        async with httpx.AsyncClient(limits=limits, timeout=None) as client:

            async def work() -> None:
                while True:
                    r = await client.get(counter.url)
                    if not counter.count(r.status_code, r.content):
                        return

            await asyncio.gather(*[work() for _ in range(counter.connections)])
            with counter.timed(seconds):
                await asyncio.gather(*[work() for _ in range(counter.connections)])

    asyncio.run(main())


def requests_client(counter: Counter, seconds: float) -> None:
    """Measure requests, with a thread and a session for each connection."""
    requests = importlib.import_module("requests")
    from concurrent.futures import ThreadPoolExecutor

    sessions = [requests.Session() for _ in range(counter.connections)]

    def work(session: Any) -> None:
        while True:
            r = session.get(counter.url)
            if not counter.count(r.status_code, r.content):
                return

    with ThreadPoolExecutor(counter.connections) as pool:
        list(pool.map(work, sessions))
        with counter.timed(seconds):
            list(pool.map(work, sessions))


CLIENTS: dict[str, Callable[[Counter, float], None]] = {
    "asks_fast": lambda counter, seconds: asks_fast_client(counter, seconds, own=False),
    "asks_fast.run": lambda counter, seconds: asks_fast_client(counter, seconds, own=True),
    "aiohttp": aiohttp_client,
    "httpx": httpx_client,
    "requests": requests_client,
}


def main(name: str, url: str, connections: str, seconds: str) -> None:
    """Run one client and print its results, or the error in one line on standard error."""
    counter = Counter(url, int(connections))
    try:
        CLIENTS[name](counter, float(seconds))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")
    print(json.dumps(counter.figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
