"""pyreqwest (Rust: reqwest): one Client on asyncio with a limit on its connections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from job import Job
from pyreqwest.client import Client, ClientBuilder


async def work(job: Job, client: Client, numbers: Iterator[int], k: int) -> None:
    """One task that makes requests as long as there are numbers."""
    url, good = job.origin(k) + job.path, job.good
    if job.kind == "json":
        for _ in numbers:
            r = await client.get(url).build().send()
            job.check_json(r.status, await r.json())
    elif job.kind == "post":
        for _ in numbers:
            r = await client.post(url).body_bytes(job.upload).build().send()
            good(r.status, bytes(await r.bytes()))
    elif job.kind == "stream":
        for _ in numbers:
            async with client.get(url).build_streamed() as r:
                with open(job.file, "wb") as file:
                    while (chunk := await r.body_reader.read_chunk()) is not None:
                        file.write(chunk)
                job.check_file(r.status)
    else:
        for _ in numbers:
            r = await client.get(url).build().send()
            good(r.status, bytes(await r.bytes()))


async def example(job: Job, client: Client) -> None:
    """A task for every request; the client limits the connections."""

    async def one(n: int) -> None:
        r = await client.get(f"{job.url}/{n}").build().send()
        job.check_echo(n, r.status, bytes(await r.bytes()))

    await asyncio.gather(*[one(n) for n in job.numbers()])


async def run(job: Job) -> None:
    builder = ClientBuilder().http1_only().gzip(True).max_connections(job.connections)
    if job.cafile:
        builder = builder.add_root_certificate_pem(Path(job.cafile).read_bytes())
    async with builder.build() as client:
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
    job.report("pyreqwest", "pyreqwest")


main()
