"""The program of Scrapy with each download handler: a spider that requests without a pause.

Each response passes the middlewares that are on by default.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import scrapy
from job import Job, WrongResponse
from scrapy.crawler import AsyncCrawlerProcess


class Spider(scrapy.Spider):
    """Requests the numbers of a job, after a first untimed pass."""

    name = "job"
    job: Job
    clock: ExitStack
    error: WrongResponse | None = None

    async def start(self) -> AsyncIterator[Any]:
        self.is_warm, self.cold = asyncio.Event(), 0
        for n in self.job.warm_up():
            self.cold += 1
            yield self.request(n)
        await self.is_warm.wait()
        self.clock.enter_context(self.job.timed())
        for n in self.job.numbers():
            yield self.request(n)

    def request(self, n: int) -> scrapy.Request:
        return scrapy.Request(self.job.origin(n) + self.job.path, dont_filter=True)

    def parse(self, response: Any) -> None:
        if self.cold:
            self.cold -= 1
            if not self.cold:
                self.is_warm.set()
        try:
            self.job.good(response.status, response.body)
        except WrongResponse as error:
            type(self).error = error
            raise


def run(job: Job, handler: str | None = None) -> None:
    """Do the work, with a download handler other than that of Scrapy if one is named."""
    settings: dict[str, Any] = {
        "CONCURRENT_REQUESTS": job.connections,
        "CONCURRENT_REQUESTS_PER_DOMAIN": job.connections,
        "DOWNLOAD_DELAY": 0,
        "LOG_LEVEL": "ERROR",
        "ROBOTSTXT_OBEY": False,
        "TELNETCONSOLE_ENABLED": False,
    }
    if handler is not None:
        settings["DOWNLOAD_HANDLERS"] = {"http": handler, "https": handler}
    process = AsyncCrawlerProcess(settings)
    with ExitStack() as Spider.clock:
        Spider.job = job
        process.crawl(Spider)
        process.start()
    if Spider.error is not None:
        raise Spider.error
