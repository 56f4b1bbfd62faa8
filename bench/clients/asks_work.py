"""The work of both generations of asks: one Session of the wanted size, keep-alive forced on.

asks sends `Connection: close` of itself; the header set here is what keeps its connections. The
generations differ in the anyio below them, and so in how a task is started.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import asks
from job import Job

KEEP = {"Connection": "keep-alive"}

Start = Callable[..., Awaitable[Any]]  # of a group, a function and its arguments


async def work(job: Job, session: asks.Session, numbers: Iterator[int], k: int) -> None:
    """One task that requests as long as there are numbers."""
    url, good = job.origin(k) + job.path, job.good
    if job.kind == "json":
        for _ in numbers:
            r = await session.get(url)
            job.check_json(r.status_code, r.json())
    elif job.kind == "post":
        for _ in numbers:
            r = await session.post(url, data=job.upload)
            good(r.status_code, r.content)
    elif job.kind == "stream":
        for _ in numbers:
            r = await session.get(url, stream=True)
            with open(job.file, "wb") as file:
                async with r.body:
                    async for chunk in r.body:
                        file.write(chunk)
            job.check_file(r.status_code)
    else:
        for _ in numbers:
            r = await session.get(url)
            good(r.status_code, r.content)


async def run(job: Job, start: Start) -> None:
    context = ssl.create_default_context(cafile=job.cafile) if job.cafile else None
    session = asks.Session(job.base, headers=KEEP, ssl_context=context, connections=job.connections)
    if job.kind == "example":
        session.endpoint = job.path

        async def one(n: int) -> None:
            r = await session.get(path=f"/{n}")
            job.check_echo(n, r.status_code, r.content)

        with job.timed():
            async with anyio.create_task_group() as group:
                for n in job.numbers():
                    await start(group, one, n)
        return

    async def crowd(numbers: Iterator[int]) -> None:
        async with anyio.create_task_group() as group:
            for k in range(job.connections):
                await start(group, work, job, session, numbers, k)

    await crowd(job.warm_up())
    with job.timed():
        await crowd(job.numbers())


def main(name: str, backend: str, start: Start, *packages: str) -> None:
    """Do the job of the command line, and print the result."""
    warnings.simplefilter("ignore")
    job = Job()
    anyio.run(run, job, start, backend=backend)
    job.report(name, "asks", *packages)
