"""session.map with politeness: slow, dead, busy hosts and hosts with robots.txt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count, pairwise
from time import monotonic
from typing import Any

import curio
import pytest
from curio import sleep
from support.fake_session import Answer, FakeSession

from asks_fast.crawl import Politeness, gather, map_requests
from asks_fast.errors import CircuitOpen, ConnectionFailed, RobotsDisallowed


def urls(host: str, n: int) -> list[str]:
    return [f"http://{host}/{i}" for i in range(n)]


async def test_every_item_gives_one_result() -> None:
    """With politeness, every item gives one result and the run ends."""
    items = [f"http://h{n % 7}/{n}" for n in range(300)]
    got = [r.key async for r in map_requests(FakeSession(), items, politeness=Politeness())]
    assert sorted(got) == sorted(items)


async def test_in_order_with_limits() -> None:
    """Ordered results and limits per host work together with any window."""
    items = [f"http://h{n % 3}/{n}" for n in range(60)]
    options = Politeness(host_concurrency=1)
    mapped = map_requests(FakeSession(), items, politeness=options, ordered=True, window=5)
    assert [r.key async for r in mapped] == items


async def test_slow_host_does_not_delay_the_others() -> None:
    """Many URLs of a slow host do not delay the hosts after them."""
    slow_may_end = curio.Event()

    async def answer(url: str) -> Answer:
        if "slow" in url:
            await slow_may_end.wait()
        return Answer()

    items = urls("slow", 50) + urls("quick", 50)
    session = FakeSession(answer, connections=4)
    options = Politeness(host_concurrency=2)
    finished = []
    async with map_requests(session, items, politeness=options) as results:
        async for result in results:
            finished.append(result.key)
            if len(finished) == 50:
                await slow_may_end.set()
    assert all("quick" in key for key in finished[:50])
    assert len(finished) == 100


async def test_host_concurrency_and_delay() -> None:
    """Starts of requests to a host are `min_delay` seconds apart."""
    starts: list[float] = []

    def answer(url: str) -> Answer:
        starts.append(monotonic())
        return Answer()

    await gather(FakeSession(answer), urls("h", 5), politeness=Politeness(min_delay=0.02))
    assert all(b - a >= 0.019 for a, b in pairwise(starts))


async def test_rate_of_the_run() -> None:
    """`rate` holds for all hosts together."""
    begin = monotonic()
    items = [f"http://h{n}/" for n in range(11)]
    await gather(FakeSession(), items, politeness=Politeness(rate=100))
    assert monotonic() - begin >= 0.099


async def test_dead_host_opens_its_circuit() -> None:
    """After `max_failures` consecutive failures the rest fails at once, with the reason."""

    def answer(url: str) -> Any:
        return ConnectionFailed("refused") if "dead" in url else Answer()

    session = FakeSession(answer, connections=1)
    items = urls("dead", 20) + urls("fine", 3)
    results = await gather(session, items, politeness=Politeness(max_failures=3))
    kinds = [type(r.error) for r in results[:20]]
    assert kinds == [ConnectionFailed] * 3 + [CircuitOpen] * 17
    assert "dead failed 3 times in a row" in str(results[5].error)
    assert results[5].attempts == 0
    assert all(r.ok for r in results[20:])


async def test_busy_host_is_retried() -> None:
    """A 503 with Retry-After slows the host down and is retried with `retries`."""
    tries: dict[str, int] = {}

    def answer(url: str) -> Answer:
        tries[url] = tries.get(url, 0) + 1
        return Answer(503, retry_after="0") if tries[url] == 1 else Answer()

    results = await gather(
        FakeSession(answer), urls("h", 2), retries=2, politeness=Politeness(max_pause=0.01)
    )
    assert [r.ok for r in results] == [True, True]
    assert [r.attempts for r in results] == [2, 2]


ROBOTS = b"User-agent: *\nDisallow: /private\nCrawl-delay: 0.02\n"


async def test_robots() -> None:
    """robots.txt is fetched once per origin; forbidden URLs are results that were not sent."""

    def answer(url: str) -> Answer:
        return Answer(content=ROBOTS) if url.endswith("robots.txt") else Answer()

    session = FakeSession(answer)
    items = ["http://h/private/1", *urls("h", 3), "http://h/private/2", *urls("g", 2)]
    results = await gather(session, items, politeness=Politeness(robots=True))
    assert [type(r.error) for r in results] == [
        RobotsDisallowed,
        *[type(None)] * 3,
        RobotsDisallowed,
        *[type(None)] * 2,
    ]
    assert sorted(u for u in session.asked if "robots" in u) == [
        "http://g/robots.txt",
        "http://h/robots.txt",
    ]
    assert not [u for u in session.asked if "private" in u]


@pytest.mark.parametrize(
    ("robots", "allowed"),
    [
        (Answer(404), True),
        (Answer(403), True),
        (Answer(500), False),
        (ConnectionFailed("x"), False),
    ],
)
async def test_robots_that_cannot_be_read(robots: Any, allowed: bool) -> None:
    """No robots.txt allows everything; an error forbids everything (RFC 9309 §2.3.1)."""

    def answer(url: str) -> Any:
        return robots if url.endswith("robots.txt") else Answer()

    (result,) = await gather(FakeSession(answer), urls("h", 1), politeness=Politeness(robots=True))
    assert result.ok is allowed
    expected = ConnectionFailed if isinstance(robots, Exception) else RobotsDisallowed
    assert allowed or isinstance(result.error, expected)


async def test_leaving_early() -> None:
    """Leaving an endless async input early leaves no request and no task."""

    async def source() -> AsyncIterator[str]:
        for n in count():
            await sleep(0)
            yield f"http://h{n % 5}/{n}"

    session = FakeSession()
    seen = 0
    options = Politeness(host_concurrency=2, lookahead=50)
    async with map_requests(session, source(), politeness=options) as results:
        async for _ in results:
            seen += 1
            if seen == 100:
                break
    assert session.active == 0


async def test_look_ahead_is_bounded() -> None:
    """At most `lookahead` items are read beyond those under way."""
    read = 0

    def source() -> Any:
        nonlocal read
        for n in count():
            read += 1
            yield f"http://h/{n}"

    async def never(url: str) -> Answer:
        await curio.Event().wait()
        raise AssertionError

    options = Politeness(lookahead=100)
    async with map_requests(FakeSession(never), source(), politeness=options):
        await sleep(0.05)
        assert read <= 100 + 10 + 1
