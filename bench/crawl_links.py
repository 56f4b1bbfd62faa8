"""A crawl that follows links: `asks-fast crawl` and Scrapy on one generated site.

    python -m bench.crawl_links [--pages N] [--rivals PYTHON] [--only NAME ...]

Each starts at the first page, follows every link in scope, obeys robots.txt and `nofollow`, with at
most 8 requests at once, and writes URL, status and size of each page as a line of JSON.

Facts:  the site is `bench.crawl_site`, in a process of its own: pages of 2 to 4 KB with 12 to 20
        links each, of which 5 must not be followed.
Rules:  each output is checked before its figures count: every page of the site once. CPU time and
        peak memory are those of the client's process, from `wait4`. Scrapy keeps its queue in
        memory, which is its faster setting; `asks-fast crawl` keeps its frontier and a checkpoint
        on the disk. Rates are worth something on an idle machine only.
Not here: lists of URLs over many hosts (`bench.crawl_compare`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.crawl_site import Site

ROOT = Path(__file__).resolve().parents[1]

SCRAPY = """
import sys
from urllib.parse import urlsplit
import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.linkextractors import LinkExtractor

start, output = sys.argv[1:3]

class Pages(scrapy.Spider):
    name = "pages"
    allowed_domains = [urlsplit(start).hostname]
    start_urls = [start]
    custom_settings = {
        "CONCURRENT_REQUESTS": 100, "CONCURRENT_REQUESTS_PER_DOMAIN": 8, "ROBOTSTXT_OBEY": True,
        "LOG_LEVEL": "ERROR", "DOWNLOAD_DELAY": 0, "TELNETCONSOLE_ENABLED": False,
        "COOKIES_ENABLED": False, "DEPTH_PRIORITY": 1,
        "SCHEDULER_DISK_QUEUE": "scrapy.squeues.PickleFifoDiskQueue",
        "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
        "ASYNCIO_EVENT_LOOP": "uvloop.Loop",
        "FEEDS": {output: {"format": "jsonlines", "overwrite": True}}}
    links = LinkExtractor(tags=("a", "area"), attrs=("href",))

    def parse(self, response):
        yield {"url": response.url, "status": response.status, "size": len(response.body)}
        if isinstance(response, scrapy.http.HtmlResponse):
            for link in self.links.extract_links(response):
                if not link.nofollow:
                    yield scrapy.Request(link.url)

process = CrawlerProcess()
process.crawl(Pages)
process.start()
"""


def contenders(rivals: str | None) -> dict[str, tuple[str, list[str]]]:
    """Name → (version, command to which start URL and output are added)."""
    import asks_fast

    ours = "from asks_fast.cli import main; main()"
    options = ["--body", "none", "--overwrite", "--quiet", "--per-host", "8"]
    made = {
        "asks-fast crawl": (
            asks_fast.__version__,
            [sys.executable, "-c", ours, "crawl", *options],
        )
    }
    show = "import scrapy; print(scrapy.__version__)"
    if rivals:
        found = subprocess.run([rivals, "-c", show], capture_output=True, text=True).stdout.strip()
        if found:
            made["Scrapy"] = (found, [rivals, "-c", SCRAPY])
    return made


def measure(command: list[str]) -> tuple[float, float, float]:
    """Run a command: seconds, CPU seconds, peak memory in MB."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> int:
    """Run the comparison and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--rivals", help="the Python that has Scrapy installed")
    parser.add_argument("--only", nargs="*", help="names of contenders")
    given = parser.parse_args()
    print(
        f"{given.pages:,} pages; Python {platform.python_version()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f} before\n"
    )
    print("| | version | CPU ms per page | CPU s | memory, MB | pages/s | |")
    print("|---|---|---|---|---|---|---|")
    failed = 0
    arguments = [sys.executable, "-m", "bench.crawl_site", "--pages", str(given.pages)]
    with (
        tempfile.TemporaryDirectory() as name,
        subprocess.Popen(
            arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as server,
    ):
        assert server.stdin is not None
        assert server.stdout is not None
        base = json.loads(server.stdout.readline())["url"]
        expected = Counter(Site(given.pages, base).urls())
        output = Path(name) / "pages.jsonl"
        for title, (version, command) in contenders(given.rivals).items():
            if given.only and title not in given.only:
                continue
            where = ["-o", str(output)] if title.startswith("asks") else [str(output)]
            seconds, cpu, memory = measure([*command, f"{base}/p/0", *where])
            rows = Counter(json.loads(line)["url"] for line in output.open())
            note = "" if rows == expected else f"{rows.total():,} records, {len(rows):,} pages"
            failed += rows.keys() != expected.keys()
            print(
                f"| {title} | {version} | {cpu / given.pages * 1000:.2f} | {cpu:.1f} | "
                f"{memory:.0f} | {given.pages / seconds:,.0f} | {note} |",
                flush=True,
            )
        server.stdin.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
