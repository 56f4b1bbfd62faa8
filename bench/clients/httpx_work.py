"""The program of httpx and of httpx2: one AsyncClient on asyncio with limits of the wanted size."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from typing import Any

from job import Job


async def work(job: Job, client: Any, numbers: Iterator[int], k: int) -> None:
    """One task that requests as long as there are numbers."""
    url, good = job.origin(k) + job.path, job.good
    if job.kind == "json":
        for _ in numbers:
            r = await client.get(url)
            job.check_json(r.status_code, r.json())
    elif job.kind == "post":
        for _ in numbers:
            r = await client.post(url, content=job.upload)
            good(r.status_code, r.content)
    elif job.kind == "stream":
        for _ in numbers:
            async with client.stream("GET", url) as r:
                with open(job.file, "wb") as file:
                    async for chunk in r.aiter_bytes():
                        file.write(chunk)
                job.check_file(r.status_code)
    else:
        for _ in numbers:
            r = await client.get(url)
            good(r.status_code, r.content)


async def example(job: Job, client: Any) -> None:
    """A task for every request; the pool is what limits them."""

    async def one(n: int) -> None:
        r = await client.get(f"{job.url}/{n}")
        job.check_echo(n, r.status_code, r.content)

    await asyncio.gather(*[one(n) for n in job.numbers()])


async def run(job: Job, package: Any, transports: Any = None) -> None:
    """Do the work with a client of the package.

    Args:
        job: the work.
        package: httpx or httpx2.
        transports: module with the `AsyncTransport` to use, None for that of the package.
    """
    context = ssl.create_default_context(cafile=job.cafile) if job.cafile else True
    limits = package.Limits(
        max_connections=job.connections, max_keepalive_connections=job.connections
    )
    kind = transports.AsyncTransport if transports else package.AsyncHTTPTransport
    transport = kind(limits=limits, verify=context)
    async with package.AsyncClient(timeout=None, transport=transport) as client:
        if job.kind == "example":
            with job.timed():
                await example(job, client)
            return

        async def crowd(numbers: Iterator[int]) -> None:
            await asyncio.gather(*[work(job, client, numbers, k) for k in range(job.connections)])

        await crowd(job.warm_up())
        with job.timed():
            await crowd(job.numbers())
