"""httpx: the program of `with_httpx.py`, on the transport of asks_fast."""

from __future__ import annotations

import asyncio

import httpx
from httpx_work import run
from job import Job

import asks_fast
from asks_fast.contrib import httpx as transports


def main() -> None:
    job = Job()
    asyncio.run(run(job, httpx, transports))
    job.report("httpx_on_asks_fast", "httpx", "httptools", version=asks_fast.__version__)


if __name__ == "__main__":
    main()
