"""Whole crawls of Scrapy over asks_fast, each in a process: on the reactor, and without one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.servers import Server

pytest.importorskip("scrapy")

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "scrapy.md"

CRAWL = """
import json
import sys

import scrapy
from scrapy.crawler import AsyncCrawlerProcess

HANDLER = "asks_fast.contrib.scrapy.DownloadHandler"
url, has_reactor = sys.argv[1], sys.argv[2] == "reactor"


class Spider(scrapy.Spider):
    name = "crawl"
    found = []

    async def start(self):
        for path in ("/redirect/2", "/gzip", "/cookies/set?a=1", "/status/404", "/bytes/100000"):
            yield scrapy.Request(url + path, callback=self.keep, errback=self.fail)
        yield scrapy.Request("http://127.0.0.1:1/", callback=self.keep, errback=self.fail)

    def keep(self, response):
        text = response.text[:200] if hasattr(response, "text") else ""
        self.found.append([response.url, response.status, len(response.body), text])

    def fail(self, failure):
        self.found.append([failure.request.url, failure.type.__name__])


process = AsyncCrawlerProcess({
    "DOWNLOAD_HANDLERS": {"http": HANDLER, "https": HANDLER},
    "TWISTED_REACTOR_ENABLED": has_reactor,
    "RETRY_TIMES": 1,
    "RETRY_BACKOFF_ENABLED": False,
})
crawler = process.create_crawler(Spider)
process.crawl(crawler)
process.start()
print(json.dumps([Spider.found, crawler.stats.get_stats()], default=str))
"""


def run(program: Path, code: str, *arguments: str) -> tuple[str, str]:
    """Run a program, from a file because Scrapy reads the source of spiders; its output and log.

    tldextract, which Scrapy uses for cookies, starts without a cache and does not download the
    Public Suffix List. It logs a traceback where that download fails.
    """
    program.write_text(code)
    settings = {
        "TLDEXTRACT_CACHE": str(program.parent / "tldextract"),
        "TLDEXTRACT_PUBLIC_SUFFIX_LIST_URLS": "",
    }
    done = subprocess.run(
        [sys.executable, "-X", "dev", str(program), *arguments],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "publicsuffix" not in done.stderr, done.stderr
    assert "ResourceWarning" not in done.stderr, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("mode", ["reactor", "no-reactor"])
def test_crawl(app_server: Server, tmp_path: Path, mode: str) -> None:
    """Middlewares redirect, decompress, keep cookies and retry; the stats have the connections."""
    output, log = run(tmp_path / "crawl.py", CRAWL, app_server.url, mode)
    found: list[Any]
    stats: dict[str, Any]
    found, stats = json.loads(output)
    by_path = {row[0].removeprefix(app_server.url): row[1:] for row in found}
    assert by_path["/get"][0] == 200
    assert '"coding"' in by_path["/gzip"][2]
    assert '"a"' in by_path["/cookies"][2]
    assert by_path["/bytes/100000"][:2] == [200, 100000]
    assert by_path["http://127.0.0.1:1/"] == ["DownloadConnectionRefusedError"]
    assert "/status/404" not in by_path or by_path["/status/404"] == ["HttpError"]
    assert stats["retry/count"] == 1
    assert stats["asks_fast/connections_opened"] >= 1
    assert stats["finish_reason"] == "finished"
    assert "connection_acquired" not in log


def test_the_program_of_the_guide(app_server: Server, tmp_path: Path) -> None:
    """The spider of the guide crawls the application that the documentation is tested with."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (program,) = (block for block in blocks if "AsyncCrawlerProcess" in block)
    address = app_server.url.removeprefix("http://")
    _, log = run(tmp_path / "links.py", program.replace("localhost:8000", address))
    scraped = re.search(r"'item_scraped_count': (\d+)", log)
    assert scraped is not None, log
    assert int(scraped[1]) > 1
