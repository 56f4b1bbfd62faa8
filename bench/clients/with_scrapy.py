"""Scrapy: see `scrapy_work.py`."""

from __future__ import annotations

from job import Job
from scrapy_work import run


def main() -> None:
    job = Job()
    run(job)
    job.report("scrapy", "scrapy", "twisted")


if __name__ == "__main__":
    main()
