"""asks_fast: an HSession of the wanted size, or a DSession where there are many origins.

It runs on `curio.run`; `--own` runs it on `asks_fast.run`, `--asyncio`, `--uvloop` and `--trio` in
an event loop of that library.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

from job import Job

import asks_fast

Spawn = Callable[[Coroutine[Any, Any, Any]], Any]


@asynccontextmanager
async def in_curio() -> AsyncIterator[Spawn]:
    """Tasks of curio; an error in any of them is raised."""
    import curio

    async with curio.TaskGroup() as group:
        yield group.spawn
    for error in group.exceptions:  # the group leaves them to be asked for
        if error is not None:
            raise error


@asynccontextmanager
async def in_asyncio() -> AsyncIterator[Spawn]:
    """Tasks of asyncio."""
    import asyncio

    tasks: list[asyncio.Task[Any]] = []

    async def spawn(coroutine: Coroutine[Any, Any, Any]) -> None:
        tasks.append(asyncio.create_task(coroutine))

    yield spawn
    await asyncio.gather(*tasks)


@asynccontextmanager
async def in_trio() -> AsyncIterator[Spawn]:
    """Tasks of trio."""
    import trio

    async with trio.open_nursery() as nursery:

        async def spawn(coroutine: Coroutine[Any, Any, Any]) -> None:
            nursery.start_soon(lambda: coroutine)

        yield spawn


tasks: Callable[[], Any] = in_curio


async def crowd(job: Job, worker: Any, numbers: Iterator[int]) -> None:
    """One task per connection; an error in any of them is raised."""
    async with tasks() as spawn:
        for k in range(job.connections):
            await spawn(worker(numbers, k))


async def get(job: Job, session: asks_fast.HSession) -> None:
    """The same path repeatedly, from as many tasks as there are connections."""
    path, good = job.path, job.good

    async def worker(numbers: Iterator[int], k: int) -> None:
        for _ in numbers:
            r = await session.get(path=path)
            good(r.status_code, r.content)

    await crowd(job, worker, job.warm_up())
    with job.timed():
        await crowd(job, worker, job.numbers())


async def origins(job: Job) -> None:
    """Each task has an origin of its own (or shares it); one DSession serves all."""
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
            job.check_json(r.status_code, r.json())

    await crowd(job, worker, job.warm_up())
    with job.timed():
        await crowd(job, worker, job.numbers())


async def post(job: Job, session: asks_fast.HSession) -> None:
    """The same body repeatedly."""
    good, path, body = job.good, job.path, job.upload

    async def worker(numbers: Iterator[int], k: int) -> None:
        for _ in numbers:
            r = await session.post(path=path, data=body)
            good(r.status_code, r.content)

    await crowd(job, worker, job.warm_up())
    with job.timed():
        await crowd(job, worker, job.numbers())


async def stream(job: Job, session: asks_fast.HSession) -> None:
    """A long body, written to a file as it arrives."""

    async def worker(numbers: Iterator[int], k: int) -> None:
        for _ in numbers:
            r = await session.get(path=job.path, stream=True)
            with open(job.file, "wb") as file:
                async for chunk in r.body:
                    file.write(chunk)
            job.check_file(r.status_code)

    await crowd(job, worker, job.warm_up())
    with job.timed():
        await crowd(job, worker, job.numbers())


async def example(job: Job, session: asks_fast.HSession) -> None:
    """The documented example: a task for every request."""
    session.endpoint = job.path

    async def one(n: int) -> None:
        r = await session.get(path=f"/{n}")
        job.check_echo(n, r.status_code, r.content)

    with job.timed():
        async with tasks() as spawn:
            for n in job.numbers():
                await spawn(one(n))


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
    global tasks
    job = Job([arg for arg in sys.argv[1:] if arg not in ROWS])
    option = next((arg for arg in sys.argv[1:] if arg in ROWS), "")
    row = f"asks_fast_{option[2:]}" if option else "asks_fast"
    if option in ("--asyncio", "--uvloop"):
        tasks = in_asyncio
        if option == "--asyncio":
            import asyncio as library
        else:
            import uvloop as library
        library.run(run(job))
    elif option == "--trio":
        import trio

        tasks = in_trio
        trio.run(run, job)
    else:
        import curio

        (asks_fast.run if option else curio.run)(run, job)
    job.report(row, *installed(), version=version())


ROWS = ("--own", "--asyncio", "--uvloop", "--trio")


def installed() -> list[str]:
    """The distributions to name: curio has two."""
    from importlib.metadata import distributions

    known = {"curio", "curio-compat", "httptools", "uvloop", "trio"}
    return sorted(known & {d.metadata["Name"] for d in distributions()})


def version() -> str:
    """The version of asks_fast, which may be run from a source tree."""
    return getattr(asks_fast, "__version__", "tree")


main()
