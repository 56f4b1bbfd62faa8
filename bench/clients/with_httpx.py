"""httpx: see `httpx_work.py`."""

from __future__ import annotations

import asyncio

import httpx
from httpx_work import run
from job import Job


def main() -> None:
    job = Job()
    asyncio.run(run(job, httpx))
    job.report("httpx", "httpx", "httpcore", "h11")


if __name__ == "__main__":
    main()
