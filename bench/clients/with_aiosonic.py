"""aiosonic on asyncio: one HTTPClient, a pool of the wanted size.

A pooled connection is kept for as long as the server keeps it (`max_conn_requests=None`), as
all the others do.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator

import aiosonic
from aiosonic.connectors import TCPConnector
from aiosonic.pools import PoolConfig
from aiosonic.timeout import Timeouts
from job import Job


async def work(
    job: Job,
    client: aiosonic.HTTPClient,
    numbers: Iterator[int],
    k: int,
    context: ssl.SSLContext | None,
) -> None:
    """One task that requests as long as there are numbers."""
    url, good = job.origin(k) + job.path, job.good
    if job.kind == "json":
        accept = {"Accept-Encoding": "gzip, deflate"}
        for _ in numbers:
            r = await client.get(url, headers=accept)
            job.check_json(r.status_code, await r.json())
    elif job.kind == "post":
        for _ in numbers:
            r = await client.post(url, data=job.upload)
            good(r.status_code, await r.content())
    elif job.kind == "stream":
        for _ in numbers:
            async with client.stream("GET", url) as r:
                with open(job.file, "wb") as file:
                    async for chunk in r.read_chunks():
                        file.write(chunk)
                job.check_file(r.status_code)
    else:
        for _ in numbers:
            r = await client.get(url, ssl=context)
            good(r.status_code, await r.content())


async def example(job: Job, client: aiosonic.HTTPClient) -> None:
    """A task for every request; the pool is what limits them."""

    async def one(n: int) -> None:
        r = await client.get(f"{job.url}/{n}")
        job.check_echo(n, r.status_code, await r.content())

    await asyncio.gather(*[one(n) for n in job.numbers()])


async def run(job: Job) -> None:
    context = ssl.create_default_context(cafile=job.cafile) if job.cafile else None
    pool = PoolConfig(size=job.connections, max_conn_requests=None)
    patient = Timeouts(sock_connect=60, sock_read=60, pool_acquire=None, request_timeout=None)
    connector = TCPConnector(pool_configs={":default": pool}, timeouts=patient)
    async with aiosonic.HTTPClient(connector) as client:
        if job.kind == "example":
            with job.timed():
                await example(job, client)
            return

        async def crowd(numbers: Iterator[int]) -> None:
            await asyncio.gather(
                *[work(job, client, numbers, k, context) for k in range(job.connections)]
            )

        await crowd(job.warm_up())
        with job.timed():
            await crowd(job.numbers())


def main() -> None:
    job = Job()
    asyncio.run(run(job))
    job.report("aiosonic", "aiosonic")


main()
