"""wreq (Rust: hyper and BoringSSL): one async Client on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wreq
from job import Job


async def work(job: Job, client: wreq.Client, numbers: Iterator[int], k: int) -> None:
    """One task that requests as long as there are numbers."""
    url, good = job.origin(k) + job.path, job.good
    if job.kind == "json":
        for _ in numbers:
            async with client.get(url) as r:
                job.check_json(r.status.as_int(), await r.json())
    elif job.kind == "post":
        for _ in numbers:
            async with client.post(url, body=job.upload) as r:
                good(r.status.as_int(), await r.bytes())
    elif job.kind == "stream":
        for _ in numbers:
            async with client.get(url) as r:
                with open(job.file, "wb") as file:
                    async with r.stream() as chunks:
                        async for chunk in chunks:
                            file.write(chunk)
                job.check_file(r.status.as_int())
    else:
        for _ in numbers:
            async with client.get(url) as r:
                good(r.status.as_int(), await r.bytes())


async def example(job: Job, client: wreq.Client) -> None:
    """A task for every request; a semaphore limits them, the client has no such limit."""
    limit = asyncio.Semaphore(job.connections)

    async def one(n: int) -> None:
        async with limit, client.get(f"{job.url}/{n}") as r:
            job.check_echo(n, r.status.as_int(), await r.bytes())

    await asyncio.gather(*[one(n) for n in job.numbers()])


async def run(job: Job) -> None:
    options: dict[str, Any] = {"http1_only": True}
    if job.cafile:
        options["tls_verify"] = Path(job.cafile)
    async with wreq.Client(**options) as client:
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
    job.report("wreq", "wreq")


main()
