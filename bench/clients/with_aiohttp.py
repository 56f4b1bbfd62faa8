"""aiohttp on uvloop: one ClientSession, a TCPConnector of the wanted size."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator

import aiohttp
import uvloop
from job import Job


async def work(job: Job, session: aiohttp.ClientSession, numbers: Iterator[int], k: int) -> None:
    """One task that requests as long as there are numbers."""
    url, good = job.origin(k) + job.path, job.good
    if job.kind == "json":
        for _ in numbers:
            async with session.get(url) as r:
                job.check_json(r.status, await r.json())
    elif job.kind == "post":
        for _ in numbers:
            async with session.post(url, data=job.upload) as r:
                good(r.status, await r.read())
    elif job.kind == "stream":
        for _ in numbers:
            async with session.get(url) as r:
                with open(job.file, "wb") as file:
                    async for chunk in r.content.iter_chunked(65536):
                        file.write(chunk)
                job.check_file(r.status)
    else:
        for _ in numbers:
            async with session.get(url) as r:
                good(r.status, await r.read())


async def example(job: Job, session: aiohttp.ClientSession) -> None:
    """A task for every request; the connector is what limits them."""

    async def one(n: int) -> None:
        async with session.get(f"{job.url}/{n}") as r:
            job.check_echo(n, r.status, await r.read())

    await asyncio.gather(*[one(n) for n in job.numbers()])


async def run(job: Job) -> None:
    context = ssl.create_default_context(cafile=job.cafile) if job.cafile else True
    connector = aiohttp.TCPConnector(limit=job.connections, ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        if job.kind == "example":
            with job.timed():
                await example(job, session)
            return

        async def crowd(numbers: Iterator[int]) -> None:
            await asyncio.gather(*[work(job, session, numbers, k) for k in range(job.connections)])

        await crowd(job.warm_up())
        with job.timed():
            await crowd(job.numbers())


def main() -> None:
    job = Job()
    uvloop.run(run(job))
    job.report("aiohttp", "aiohttp", "uvloop")


main()
