"""A spider over many hosts with the download handlers of Scrapy and with that of asks_fast.

    python -m bench.scrapy_compare [--pages N] [--hosts N] [--rounds N] [--only NAME ...]

Each crawl requests every page once and reads status, body and title, with at most 100 requests at a
time, 8 per host, without robots.txt, in a process of its own.

Facts:  the hosts are loopback addresses 127.0.0.y with one nginx that answers for all of them.
Rules:  a crawl counts only if every page came with status 200. The handlers take turns, in the
        opposite order in every second round; the ratio is the median of the ratios of the rounds.
        CPU time is that of the process from the start of the crawl to its end, imports left out.
Implemented elsewhere: other programs (`bench.crawl_compare`), single exchanges
(`bench.compare`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from bench.compare.servers import best

ROOT = Path(__file__).resolve().parents[1]

HANDLERS = {
    "HTTP11": "scrapy.core.downloader.handlers.http11.HTTP11DownloadHandler",
    "aiohttp": "scrapy.core.downloader.handlers._aiohttp.AiohttpDownloadHandler",
    "asks_fast": "asks_fast.contrib.scrapy.DownloadHandler",
}

# Name → (handler, whether the reactor is used, the rival that it is compared with)
CRAWLS = {
    "HTTP11, reactor": ("HTTP11", True, None),
    "asks_fast, reactor": ("asks_fast", True, "HTTP11, reactor"),
    "aiohttp, no reactor": ("aiohttp", False, None),
    "asks_fast, no reactor": ("asks_fast", False, "aiohttp, no reactor"),
}

SPIDER = """
import json
import sys
import time

import scrapy
from scrapy.crawler import AsyncCrawlerProcess

handler, has_reactor, pages, hosts, port = json.loads(sys.argv[1])


class Spider(scrapy.Spider):
    name = "all"
    good = 0

    async def start(self):
        for n in range(pages):
            host = f"127.0.0.{n % hosts + 1}"
            yield scrapy.Request(f"http://{host}:{port}/small?{n}", dont_filter=True)

    def parse(self, response):
        Spider.good += response.status == 200 and len(response.body) > 0


process = AsyncCrawlerProcess({
    "DOWNLOAD_HANDLERS": {"http": handler, "https": handler},
    "TWISTED_REACTOR_ENABLED": has_reactor,
    "CONCURRENT_REQUESTS": 100,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
    "DOWNLOAD_DELAY": 0,
    "LOG_LEVEL": "ERROR",
    "ROBOTSTXT_OBEY": False,
    "TELNETCONSOLE_ENABLED": False,
})
cpu, wall = time.process_time(), time.perf_counter()
process.crawl(Spider)
process.start()
print(json.dumps({
    "good": Spider.good,
    "cpu": time.process_time() - cpu,
    "seconds": time.perf_counter() - wall,
}))
"""


def crawl(program: Path, name: str, pages: int, hosts: int, port: int) -> dict[str, float]:
    """Run one crawl.

    Raises:
        RuntimeError: the crawl failed, or a page is missing.
    """
    handler, has_reactor, _ = CRAWLS[name]
    arguments = json.dumps([HANDLERS[handler], has_reactor, pages, hosts, port])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, str(program), arguments], env=environment, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    found: dict[str, float] = json.loads(lines[-1]) if lines else {}
    if found.get("good") != pages:
        raise RuntimeError(f"{name}: {found}\n{done.stderr}")
    return found


def report(results: dict[str, list[dict[str, float]]], pages: int) -> None:
    """Print the table."""
    print("| | CPU per page, µs | ratio | pages/s |\n|---|---|---|---|")
    for name, runs in results.items():
        cpu = statistics.median(run["cpu"] for run in runs) / pages * 1e6
        rate = statistics.median(pages / run["seconds"] for run in runs)
        rival = CRAWLS[name][2]
        ratio = ""
        if rival in results:
            pairs = zip(runs, results[rival], strict=True)
            ratio = f"{statistics.median(a['cpu'] / b['cpu'] for a, b in pairs):.2f}"
        print(f"| {name} | {cpu:,.0f} | {ratio} | {rate:,.0f} |")


def main() -> int:
    """Run the comparison and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help=f"of {', '.join(CRAWLS)}")
    given = parser.parse_args()
    names = [name for name in CRAWLS if not given.only or name in given.only]
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder, best(Path(folder), cores[0]) as server:
        os.sched_setaffinity(0, cores[1:] or cores)
        program = Path(folder) / "spider.py"
        program.write_text(SPIDER)
        for number in range(given.rounds):
            for name in names if number % 2 == 0 else reversed(names):
                found = crawl(program, name, given.pages, given.hosts, server.ports["http"])
                results[name].append(found)
                print(f"{name}: {found}", file=sys.stderr, flush=True)
    packages = ", ".join(f"{name} {version(name)}" for name in ("scrapy", "twisted", "aiohttp"))
    print(
        f"{given.pages:,} pages, {given.hosts} hosts, {given.rounds} rounds; {packages}; Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n"
    )
    report(results, given.pages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
