"""httpx2: the program of `with_httpx2.py`, on the transport of asks_fast."""

from __future__ import annotations

import asyncio

import httpx2
from httpx_work import run
from job import Job

import asks_fast
from asks_fast.contrib import httpx2 as transports


def main() -> None:
    job = Job()
    asyncio.run(run(job, httpx2, transports))
    job.report("httpx2_on_asks_fast", "httpx2", "httptools", version=asks_fast.__version__)


if __name__ == "__main__":
    main()
