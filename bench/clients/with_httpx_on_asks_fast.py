"""httpx: the program of `with_httpx.py`, on the transport of asks_fast."""

from __future__ import annotations

import asyncio
import ssl

import httpx
import with_httpx
from job import Job

import asks_fast
from asks_fast.contrib.httpx import AsyncTransport


def transport(job: Job) -> AsyncTransport:
    context = ssl.create_default_context(cafile=job.cafile) if job.cafile else True
    limits = httpx.Limits(
        max_connections=job.connections, max_keepalive_connections=job.connections
    )
    return AsyncTransport(limits=limits, verify=context)


def main() -> None:
    job = Job()
    asyncio.run(with_httpx.run(job, transport(job)))
    job.report("httpx_on_asks_fast", "httpx", "httptools", version=asks_fast.__version__)


if __name__ == "__main__":
    main()
