"""What `session.map` costs on top of a task per request.

Facts:  the session answers after one turn of the kernel, without a network, so what is measured is
        the machinery around it: starting tasks, handing results over.
Rules:  the pass mark is a tenth more than plain tasks; workers that live on make it less than them.
Not here: whole runs against servers (`crawl_compare`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from curio import Semaphore, TaskGroup, sleep

from asks_fast.crawl.host_limits import Politeness
from asks_fast.crawl.map import map_requests
from asks_fast.kernel import run

REQUESTS = 2000
AT_ONCE = 50


class Answer:
    """As much of a response as a map looks at."""

    status_code = 200


class Exchange:
    """A session whose every request takes one turn of the kernel."""

    connections = AT_ONCE

    async def request(self, method: str, url: str = "", **kwargs: Any) -> Any:
        """An answer, one turn later."""
        await sleep(0)
        return Answer()


async def plain_tasks() -> int:
    """A task per request, so many at a time, as a person writes it."""
    session, places, done = Exchange(), Semaphore(AT_ONCE), 0

    async def one(url: str) -> None:
        nonlocal done
        await session.request("GET", url)
        done += 1
        await places.release()

    async with TaskGroup() as group:
        for n in range(REQUESTS):
            await places.acquire()
            await group.spawn(one, f"http://a/{n}")
    return done


async def mapped(**options: Any) -> int:
    """The same through `map`."""
    done = 0
    async for result in map_requests(
        Exchange(), (f"http://a/{n}" for n in range(REQUESTS)), **options
    ):
        done += result.ok
    return done


async def ordered() -> int:
    """In the order of the input."""
    return await mapped(ordered=True)


async def polite() -> int:
    """Through the scheduler."""
    return await mapped(politeness=Politeness())


@pytest.mark.benchmark(group=f"{REQUESTS:,} requests, {AT_ONCE} at once")
@pytest.mark.parametrize("way", [plain_tasks, mapped, ordered, polite])
def bench_map(benchmark: Any, way: Callable[[], Any]) -> None:
    """How long for many requests that take no time, by a task each and by `map`?"""
    assert run(way) == REQUESTS
    benchmark(run, way)
