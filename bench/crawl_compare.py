"""A hundred thousand URLs over a thousand hosts: this program and others do the same work.

    python -m bench.crawl_compare [--urls N] [--hosts N] [--rivals PYTHON] [--only NAME ...]
                                  [--once NAME ...]

Each fetches every URL of a list with at most 100 connections, 8 per host (curl has no such limit),
no robots.txt, and writes URL, status and length of each body as a line of JSON. Redirects, retries
and cookies do not occur.

Facts:  the hosts are loopback addresses 127.0.x.y with one nginx behind them; the list goes round
        the hosts, so that two consecutive URLs are never of one host.
Rules:  every output is checked (each URL once, status 200, the length) before a figure counts. One
        after the other in one run, then once more in the opposite order (not those of --once);
        wall time, CPU seconds and memory are those of the whole process group. The server has the
        first core for itself, a client the others. Each rival is set up as its own documentation
        advises: Scrapy as for broad crawls (but its usual time limit: on a busy machine the 15 s
        advised there lose URLs), aiohttp with one session, both on uvloop.
        Rivals run in the Python that --rivals names; what is not installed there is left out.
Implemented elsewhere: single exchanges and other clients (`bench.compare`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.clients.job import SMALL
from bench.compare.servers import best

ROOT = Path(__file__).resolve().parents[1]
CONNECTIONS, PER_HOST = 100, 8

SESSION_MAP = """
import json, sys
from asks_fast import DSession, run

async def main(source, output):
    with open(source) as urls, open(output, "w") as out:
        async with DSession(connections=100, connections_per_host=8) as session:
            async for result in session.map(line.strip() for line in urls):
                out.write(json.dumps({"url": result.key, "status": result.response.status_code,
                                      "size": len(result.response.content)}) + "\\n")

run(main, *sys.argv[1:3])
"""

AIOHTTP = """
import asyncio, json, sys
import aiohttp, uvloop

async def main(source, output):
    places = asyncio.Semaphore(100)
    with open(source) as urls, open(output, "w") as out:
        connector = aiohttp.TCPConnector(limit=100, limit_per_host=8)
        async with aiohttp.ClientSession(connector=connector) as session:
            async def one(url):
                try:
                    async with session.get(url) as response:
                        body = await response.read()
                        out.write(json.dumps({"url": url, "status": response.status,
                                              "size": len(body)}) + "\\n")
                finally:
                    places.release()
            async with asyncio.TaskGroup() as group:
                for line in urls:
                    await places.acquire()
                    group.create_task(one(line.strip()))

uvloop.run(main(*sys.argv[1:3]))
"""

SCRAPY = """
import sys
import scrapy
from scrapy.crawler import CrawlerProcess

class Spider(scrapy.Spider):
    name = "all"
    custom_settings = {
        "CONCURRENT_REQUESTS": 100, "CONCURRENT_REQUESTS_PER_DOMAIN": 8, "ROBOTSTXT_OBEY": False,
        "LOG_LEVEL": "ERROR", "DOWNLOAD_DELAY": 0, "TELNETCONSOLE_ENABLED": False,
        "RETRY_ENABLED": False, "COOKIES_ENABLED": False, "REDIRECT_ENABLED": False,
        "REACTOR_THREADPOOL_MAXSIZE": 20,
        "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.DownloaderAwarePriorityQueue",
        "ASYNCIO_EVENT_LOOP": "uvloop.Loop",
        "FEEDS": {sys.argv[2]: {"format": "jsonlines", "overwrite": True}}}

    async def start(self):
        with open(sys.argv[1]) as urls:
            for line in urls:
                yield scrapy.Request(line.strip(), dont_filter=True)

    def parse(self, response):
        yield {"url": response.url, "status": response.status, "size": len(response.body)}

process = CrawlerProcess()
process.crawl(Spider)
process.start()
"""


def contenders(rivals: str | None) -> dict[str, tuple[str, Callable[[Path, Path], list[str]]]]:
    """Name → (version, command to fetch a list into an output)."""
    ours = "from asks_fast.cli import main; main()"

    def fetch(*more: str) -> Callable[[Path, Path], list[str]]:
        return lambda source, output: [
            sys.executable,
            "-c",
            ours,
            "fetch",
            str(source),
            "-o",
            str(output),
            "--no-robots",
            "-c",
            str(CONNECTIONS),
            "--per-host",
            str(PER_HOST),
            "--overwrite",
            "--quiet",
            "--body",
            "none",
            *more,
        ]

    def script(python: str, text: str) -> Callable[[Path, Path], list[str]]:
        return lambda source, output: [python, "-c", text, str(source), str(output)]

    import asks_fast

    version = asks_fast.__version__
    made = {
        "asks-fast fetch": (version, fetch()),
        "asks-fast fetch --workers 2": (version, fetch("--workers", "2")),
        "asks_fast, session.map": (version, script(sys.executable, SESSION_MAP)),
    }
    for name, text in (("aiohttp", AIOHTTP), ("scrapy", SCRAPY)):
        found = (
            rivals
            and subprocess.run(
                [rivals, "-c", f"import {name}; print({name}.__version__)"],
                capture_output=True,
                text=True,
            ).stdout.strip()
        )
        if rivals and found:
            title = "aiohttp, semaphore" if name == "aiohttp" else "Scrapy"
            made[title] = (found, script(rivals, text))
    curl = shutil.which("curl")
    if curl:
        shown = subprocess.run([curl, "-V"], capture_output=True, text=True).stdout.split()[1]
        made["curl --parallel"] = (shown, curl_command)
    return made


def curl_command(source: Path, output: Path) -> list[str]:
    """curl with a file of options, a URL and an output for each."""
    config = source.with_suffix(".curl")
    with source.open() as urls, config.open("w") as out:
        for line in urls:
            out.write(f'url = "{line.strip()}"\noutput = /dev/null\n')
    form = r'{"url":"%{url_effective}","status":%{http_code},"size":%{size_download}}\n'
    return [
        "sh",
        "-c",
        f"exec curl -s --parallel --parallel-max {CONNECTIONS} -w '{form}' -K {config} > {output}",
    ]


def measure(command: list[str], output: Path, wanted: set[str]) -> dict[str, Any]:
    """Run a command in a group of its own: seconds, CPU seconds, most memory; checked."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    memory = 0
    while process.poll() is None:
        memory = max(memory, group_memory(process.pid))
        time.sleep(0.2)
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    right = [row["url"] for row in rows if row["status"] == 200 and row["size"] == len(SMALL)]
    whole = len(right) == len(wanted) and set(right) == wanted
    return {
        "seconds": seconds,
        "status": process.returncode,
        "whole": whole,
        "rows": len(rows),
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "memory": memory,
    }


def group_memory(leader: int) -> int:
    """Resident bytes of the leader of a process group and of all its descendants."""
    total, waiting = 0, [leader]
    while waiting:
        pid = waiting.pop()
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except (OSError, IndexError):
            continue
        total += pages * resource.getpagesize()
        waiting += map(int, children)
    return total


def main() -> int:
    """Run the comparison and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--urls", type=int, default=100_000)
    parser.add_argument("--hosts", type=int, default=1_000)
    parser.add_argument("--rivals", help="the Python that has the rivals installed")
    parser.add_argument("--only", nargs="*", help="names of contenders")
    parser.add_argument("--once", nargs="*", default=[], help="not again in the opposite order")
    given = parser.parse_args()
    print(
        f"{given.urls:,} URLs, {given.hosts:,} hosts, {CONNECTIONS} connections, {PER_HOST} per "
        f"host; Python {platform.python_version()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f} before\n"
    )
    print("| | version | URLs/s | seconds | CPU s | memory, MB | |\n|---|---|---|---|---|---|---|")
    failed = 0
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name, best(Path(name), cores[0]) as server:
        os.sched_setaffinity(0, cores[1:] or cores)
        port = server.ports["http"]
        hosts = [f"127.0.{n // 250}.{n % 250 + 1}" for n in range(given.hosts)]
        urls = [f"http://{hosts[n % len(hosts)]}:{port}/small?{n}" for n in range(given.urls)]
        source, output = Path(name) / "urls.txt", Path(name) / "out.jsonl"
        source.write_text("".join(f"{url}\n" for url in urls))
        field = contenders(given.rivals)
        names = [name for name in field if not given.only or name in given.only]
        for title in [*names, *(name for name in reversed(names) if name not in given.once)]:
            version, command = field[title]
            output.unlink(missing_ok=True)
            found = measure(command(source, output), output, set(urls))
            note = "" if found["whole"] else f"{found['rows']:,} records, status {found['status']}"
            failed += bool(note)
            print(
                f"| {title} | {version} | {given.urls / found['seconds']:,.0f} | "
                f"{found['seconds']:.1f} | {found['cpu']:.1f} | {found['memory'] / 1e6:,.0f} | "
                f"{note} |",
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
