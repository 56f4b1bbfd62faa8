"""The cost of `session.map` compared with a task per request.

Facts:  the session responds after one iteration of the kernel, without a network. So only the code
        around a request is measured: starting tasks, returning results.
Rules:  `map` may cost a tenth more than plain tasks; its persistent workers make it cost less.
Implemented elsewhere: whole runs against servers (`crawl_compare`).
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


class MinimalResponse:
    """The part of a response that `map` reads."""

    status_code = 200


class MinimalSession:
    """A session whose every request takes one iteration of the kernel."""

    connections = AT_ONCE

    async def request(self, method: str, url: str = "", **kwargs: Any) -> Any:
        """Return a response after one iteration."""
        await sleep(0)
        return MinimalResponse()


async def plain_tasks() -> int:
    """A task per request, with a limit on those under way, as a program would write it."""
    session, places, done = MinimalSession(), Semaphore(AT_ONCE), 0

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
        MinimalSession(), (f"http://a/{n}" for n in range(REQUESTS)), **options
    ):
        done += result.ok
    return done


async def ordered() -> int:
    """In the order of the input."""
    return await mapped(ordered=True)


async def polite() -> int:
    """With the scheduler."""
    return await mapped(politeness=Politeness())


@pytest.mark.benchmark(group=f"{REQUESTS:,} requests, {AT_ONCE} at once")
@pytest.mark.parametrize("way", [plain_tasks, mapped, ordered, polite])
def bench_map(benchmark: Any, way: Callable[[], Any]) -> None:
    """The time of many requests that take no time, with a task each and with `map`."""
    assert run(way) == REQUESTS
    benchmark(run, way)
