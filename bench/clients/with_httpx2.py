"""httpx2: see `httpx_work.py`."""

from __future__ import annotations

import asyncio

import httpx2
from httpx_work import run
from job import Job


def main() -> None:
    job = Job()
    asyncio.run(run(job, httpx2))
    job.report("httpx2", "httpx2", "httpcore2", "h11")


if __name__ == "__main__":
    main()
