"""session.map and session.gather on real sessions and a real server."""

from __future__ import annotations

from itertools import count
from typing import Any

import curio
import pytest
from support.servers import Server

from asks_fast import DSession, HSession, Session
from asks_fast.crawl import Politeness
from asks_fast.errors import CircuitOpen, ConnectionFailed, InvalidURL, RobotsDisallowed


def base(server: Server) -> str:
    return f"http://{server.host}:{server.port}"


@pytest.mark.parametrize("kind", [HSession, Session])
async def test_paths(app_server: Server, kind: Any) -> None:
    """A session with a host maps paths, over all its connections and no more."""
    async with kind(base(app_server), connections=5) as session:
        results = [r async for r in session.map(f"/asks/test/{n}" for n in range(60))]
        assert sorted(int(r.response.text) for r in results) == list(range(60))
        assert all(r.response.text == r.key.rpartition("/")[2] for r in results)
        stats = session.pool_stats()
        assert (stats["in_use"], stats["waiting"]) == (0, 0)
        assert stats["created"] <= 5


async def test_gather_everything(app_server: Server) -> None:
    """URLs, dicts, keys, refused hosts and invalid items: results in the order of the input."""
    requests = [
        base(app_server) + "/asks/test/1",
        {"method": "POST", "url": base(app_server) + "/echo", "data": b"two", "key": 2},
        ("three", "http://127.0.0.1:1/"),
        "no url at all",
        {"url": base(app_server) + "/", "nonsense": True},
    ]
    async with DSession(connections=3) as session:
        one, two, three, four, five = await session.gather(requests)
    assert (one.response.text, two.key, two.response.content) == ("1", 2, b"two")
    assert (three.key, type(three.error)) == ("three", ConnectionFailed)
    assert isinstance(four.error, InvalidURL)
    assert isinstance(five.error, TypeError)


async def test_attempts_have_the_same_arguments(app_server: Server) -> None:
    """Every attempt is sent with all arguments of the item, which stays as it is."""
    item = {"url": "/flaky/map-arguments/2", "params": {"a": "b"}, "headers": {"X-Call": "1"}}
    given = {name: value.copy() if type(value) is dict else value for name, value in item.items()}
    async with HSession(base(app_server), connections=1) as session:
        (result,) = await session.gather([item], retries=3)
    assert result.ok
    assert result.attempts == 3
    assert result.request is item
    assert item == given
    assert result.response.url.endswith("?a=b")
    assert result.response.request.headers["x-call"] == "1"


async def test_replaced_request(app_server: Server) -> None:
    """`request` of a session may be overridden or replaced."""
    asked: list[str] = []

    class Mine(HSession):
        async def request(self, method: str, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            asked.append(method)
            return await super().request(method, *args, **kwargs)

    async with Mine(base(app_server)) as mine, HSession(base(app_server)) as session:
        await mine.gather(["/asks/test/1"])
        session.request = mine.request  # type: ignore[method-assign]
        await session.gather(["/asks/test/1"])
    assert asked == ["GET", "GET"]


@pytest.mark.parametrize("closing", [True, False])
async def test_leaving_early_leaves_the_pool_clean(app_server: Server, closing: bool) -> None:
    """After leaving early, no connection is in use and the session works."""
    async with HSession(base(app_server), connections=6) as session:
        paths = (f"/slow/0.05?{n}" for n in count())
        if closing:
            async with session.map(paths) as results:
                async for _ in results:
                    break
        else:
            async for _ in session.map(paths):
                break
            while session.pool_stats()["in_use"]:
                await curio.sleep(0)
        stats = session.pool_stats()
        assert (stats["in_use"], stats["waiting"], stats["opening"]) == (0, 0, 0)
        assert (await session.get(path="/asks/test/7")).text == "7"


async def test_cancelled(app_server: Server) -> None:
    """After a cancellation, no connection is in use and no request waits."""
    async with HSession(base(app_server), connections=4) as session:

        async def read() -> None:
            async for _ in session.map((f"/slow/5?{n}" for n in count()), concurrency=10):
                pass

        task = await curio.spawn(read)
        while session.pool_stats()["waiting"] < 6:
            await curio.sleep(0)
        await task.cancel()
        await curio.sleep(0)
        while session.pool_stats()["in_use"]:
            await curio.sleep(0)
        assert session.pool_stats()["waiting"] == 0


async def test_politely(app_server: Server) -> None:
    """robots.txt, Retry-After and the circuit, with real servers."""
    pytest.importorskip("protego", reason="protego is not installed")
    url = base(app_server)
    options = Politeness(robots=True, max_failures=2, user_agent="test")
    async with DSession(connections=10) as session:
        requests = [url + "/private/x", url + "/asks/test/1", url + "/flaky/polite-map/1"]
        private, fine, flaky = await session.gather(requests, politeness=options, retries=2)
        assert isinstance(private.error, RobotsDisallowed)
        assert fine.response.text == "1"
        assert (flaky.response.json(), flaky.attempts) == ({"tries": 2}, 2)
        dead = await session.gather(
            [f"http://127.0.0.1:1/{n}" for n in range(6)],
            politeness=Politeness(max_failures=2),
            concurrency=1,
        )
    assert [type(r.error) for r in dead] == [ConnectionFailed] * 2 + [CircuitOpen] * 4
