"""asks_fast: an HSession of the wanted size, or a DSession where there are many origins.

`--own` runs it on `asks_fast.run` instead of `curio.run`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import curio
from job import Job

import asks_fast


async def crowd(job: Job, worker: Any, numbers: Iterator[int]) -> None:
    """One task per connection; an error in any of them is raised."""
    async with curio.TaskGroup() as group:
        for k in range(job.connections):
            await group.spawn(worker, numbers, k)
    raise_first(group)


def raise_first(group: curio.TaskGroup) -> None:
    """A task group waits for its tasks, but leaves their errors to be asked for."""
    for error in group.exceptions:
        if error is not None:
            raise error


async def get(job: Job, session: asks_fast.HSession) -> None:
    """The same path again and again, from as many tasks as there are connections."""
    path, good = job.path, job.good

    async def worker(numbers: Iterator[int], k: int) -> None:
        for _ in numbers:
            r = await session.get(path=path)
            good(r.status_code, r.content)

    await crowd(job, worker, job.warm_up())
    with job.timed():
        await crowd(job, worker, job.numbers())


async def origins(job: Job) -> None:
    """Each task has an origin of its own (or shares it), one DSession serves them all."""
    good = job.good

    async def worker(numbers: Iterator[int], k: int) -> None:
        url = job.origin(k) + job.path
        for _ in numbers:
            r = await session.get(url)
            good(r.status_code, r.content)

    async with asks_fast.DSession(connections=job.connections) as session:
        await crowd(job, worker, job.warm_up())
        with job.timed():
            await crowd(job, worker, job.numbers())


async def json(job: Job, session: asks_fast.HSession) -> None:
    """A compressed JSON document, decompressed and decoded."""

    async def worker(numbers: Iterator[int], k: int) -> None:
        for _ in numbers:
            r = await session.get(path=job.path)
            job.good_json(r.status_code, r.json())

    await crowd(job, worker, job.warm_up())
    with job.timed():
        await crowd(job, worker, job.numbers())


async def post(job: Job, session: asks_fast.HSession) -> None:
    """The same body again and again."""
    good, path, body = job.good, job.path, job.upload

    async def worker(numbers: Iterator[int], k: int) -> None:
        for _ in numbers:
            r = await session.post(path=path, data=body)
            good(r.status_code, r.content)

    await crowd(job, worker, job.warm_up())
    with job.timed():
        await crowd(job, worker, job.numbers())


async def stream(job: Job, session: asks_fast.HSession) -> None:
    """A long body written to a file as it comes."""

    async def worker(numbers: Iterator[int], k: int) -> None:
        for _ in numbers:
            r = await session.get(path=job.path, stream=True)
            with open(job.file, "wb") as file:
                async for chunk in r.body:
                    file.write(chunk)
            job.good_file(r.status_code)

    await crowd(job, worker, job.warm_up())
    with job.timed():
        await crowd(job, worker, job.numbers())


async def example(job: Job, session: asks_fast.HSession) -> None:
    """The documented example: `await curio.spawn(worker(i))` for every request."""
    session.endpoint = job.path

    async def one(n: int) -> None:
        r = await session.get(path=f"/{n}")
        job.good_echo(n, r.status_code, r.content)

    with job.timed():
        tasks = [await curio.spawn(one(n)) for n in job.numbers()]
        for task in tasks:
            await task.join()


KINDS = {"get": get, "json": json, "post": post, "stream": stream, "example": example}


async def run(job: Job) -> None:
    if job.work.origins:
        await origins(job)
        return
    options: dict[str, Any] = {}
    if job.cafile:
        import ssl

        options["ssl_context"] = ssl.create_default_context(cafile=job.cafile)
    async with asks_fast.HSession(job.base, connections=job.connections, **options) as session:
        await KINDS[job.kind](job, session)


def main() -> None:
    own = "--own" in sys.argv
    job = Job([arg for arg in sys.argv[1:] if arg != "--own"])
    (asks_fast.run if own else curio.run)(run, job)
    job.report("asks_fast_own" if own else "asks_fast", *installed(), version=version())


def installed() -> list[str]:
    """The distributions to name: curio goes by two names."""
    from importlib.metadata import distributions

    known = {"curio", "curio-compat", "httptools"}
    return sorted(known & {d.metadata["Name"] for d in distributions()})


def version() -> str:
    """The version of asks_fast, which may be run from a source tree."""
    return getattr(asks_fast, "__version__", "tree")


main()
