"""Scrapy: the program of `with_scrapy.py`, on the download handler of asks_fast."""

from __future__ import annotations

from job import Job
from scrapy_work import run

import asks_fast


def main() -> None:
    job = Job()
    run(job, "asks_fast.contrib.scrapy.DownloadHandler")
    job.report("scrapy_on_asks_fast", "scrapy", "httptools", version=asks_fast.__version__)


if __name__ == "__main__":
    main()
