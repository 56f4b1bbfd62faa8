"""curl_cffi (libcurl-impersonate): one AsyncSession on asyncio with a limit on its handles."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from curl_cffi import AsyncSession, CurlHttpVersion
from job import Job


async def work(job: Job, client: Any, numbers: Iterator[int], k: int) -> None:
    """One task that makes requests as long as there are numbers."""
    url, good = job.origin(k) + job.path, job.good
    if job.kind == "json":
        for _ in numbers:
            r = await client.get(url)
            job.check_json(r.status_code, r.json())
    elif job.kind == "post":
        for _ in numbers:
            r = await client.post(url, data=job.upload)
            good(r.status_code, r.content)
    elif job.kind == "stream":
        for _ in numbers:
            async with client.stream("GET", url) as r:
                with open(job.file, "wb") as file:
                    async for chunk in r.aiter_content():
                        file.write(chunk)
                job.check_file(r.status_code)
    else:
        for _ in numbers:
            r = await client.get(url)
            good(r.status_code, r.content)


async def example(job: Job, client: Any) -> None:
    """A task for every request; the session limits the connections."""

    async def one(n: int) -> None:
        r = await client.get(f"{job.url}/{n}")
        job.check_echo(n, r.status_code, r.content)

    await asyncio.gather(*[one(n) for n in job.numbers()])


async def run(job: Job) -> None:
    async with AsyncSession(
        max_clients=job.connections,
        http_version=CurlHttpVersion.V1_1,
        verify=job.cafile or True,
    ) as client:
        if job.kind == "example":
            with job.timed():
                await example(job, client)
            return

        async def crowd(numbers: Iterator[int]) -> None:
            await asyncio.gather(*[work(job, client, numbers, k) for k in range(job.connections)])

        await crowd(job.warm_up())
        with job.timed():
            await crowd(job.numbers())


def main() -> None:
    job = Job()
    asyncio.run(run(job))
    job.report("curl_cffi", "curl_cffi")


main()
