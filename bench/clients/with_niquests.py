"""niquests: one AsyncSession on asyncio with a pool of the wanted size."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import niquests
from job import Job


async def work(job: Job, session: niquests.AsyncSession, numbers: Iterator[int], k: int) -> None:
    """One task that requests as long as there are numbers."""
    url, good = job.origin(k) + job.path, job.good
    if job.kind == "json":
        for _ in numbers:
            r = await session.get(url)
            job.check_json(r.status_code or 0, r.json())
    elif job.kind == "post":
        for _ in numbers:
            r = await session.post(url, data=job.upload)
            good(r.status_code or 0, r.content or b"")
    elif job.kind == "stream":
        for _ in numbers:
            s = await session.get(url, stream=True)
            with open(job.file, "wb") as file:
                async for chunk in await s.iter_content(65536):
                    file.write(chunk)
            job.check_file(s.status_code or 0)
    else:
        for _ in numbers:
            r = await session.get(url)
            good(r.status_code or 0, r.content or b"")


async def example(job: Job, session: niquests.AsyncSession) -> None:
    """A task for every request; the pool is what limits them."""

    async def one(n: int) -> None:
        r = await session.get(f"{job.url}/{n}")
        job.check_echo(n, r.status_code or 0, r.content or b"")

    await asyncio.gather(*[one(n) for n in job.numbers()])


async def run(job: Job) -> None:
    pools = max(job.work.origins, 1)
    async with niquests.AsyncSession(
        pool_connections=pools, pool_maxsize=job.connections // pools + 1
    ) as session:
        if job.cafile:
            session.verify = job.cafile
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
    asyncio.run(run(job))
    job.report("niquests", "niquests", "urllib3-future")


main()
