"""Redirects of a polite run: each hop waits until its host allows a request.

Rules:  real servers, one per host, and a session of asks_fast. What must not happen is counted at
        the server; times have lower bounds only.
Not here: redirects as such (tests/asks_compat/test_redirects.py).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import curio
import pytest
from support.script_steps import FOREVER, OK, SERVING, expect, repeat, send, stall
from support.scripted_server import MakePeer, PeerConnection
from support.site import Site

from asks_fast import DSession
from asks_fast._client import redirect_pause
from asks_fast.crawl import Politeness, gather, map_requests
from asks_fast.crawl.fetch_config import FetchConfig
from asks_fast.crawl.options import FetchOptions
from asks_fast.errors import CircuitOpen, ConnectionFailed, RobotsDisallowed

pytest.importorskip("protego", reason="the extra cli is not installed")


def onward(target: str, status: int = 302) -> list[Any]:
    """Return a server that redirects every request to the same path and query of `target`."""

    def answer(connection: PeerConnection) -> bytes:
        to = target + connection.requests[-1].target
        head = f"HTTP/1.1 {status} Go\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
        return head.encode()

    return [repeat(expect(), send(answer))]


@pytest.fixture(autouse=True)
def no_gate_stays() -> Any:
    """Check that no run leaves a gate."""
    yield
    assert redirect_pause.gates == {}


async def test_host_concurrency_where_they_lead(peer: MakePeer) -> None:
    """Redirects from twelve hosts to one respect that host's limit."""
    target = peer(SERVING)
    sources = [peer(onward(target.url)) for _ in range(12)]
    items = [f"{source.url}/{n}" for n, source in enumerate(sources)]
    options = Politeness(host_concurrency=1)
    async with DSession(connections=20) as session:
        results = await gather(session, items, politeness=options)
    assert all(result.ok and result.attempts == 1 for result in results)
    assert [result.response.url for result in results] == [f"{target.url}/{n}" for n in range(12)]
    assert [len(result.response.history) for result in results] == [1] * 12
    assert len(target.connections) == 1
    assert len(target.requests) == 12


async def test_delay_where_they_lead(peer: MakePeer) -> None:
    """Redirects to a host are spaced like other requests to it."""
    target = peer(SERVING)
    items = [peer(onward(target.url)).url for _ in range(4)]
    begin = time.monotonic()
    async with DSession() as session:
        results = await gather(session, items, politeness=Politeness(min_delay=0.05))
    assert all(result.ok for result in results)
    assert time.monotonic() - begin >= 3 * 0.05


async def test_the_circuit_where_they_lead(peer: MakePeer) -> None:
    """Redirects to a dead host open its circuit, as direct requests do."""
    source = peer(onward("http://127.0.0.1:1"))
    items = [f"{source.url}/{n}" for n in range(6)] + ["http://127.0.0.1:1/direct"]
    options = Politeness(max_failures=2, host_concurrency=1)
    async with DSession() as session:
        results = await gather(session, items, concurrency=1, politeness=options)
    kinds = [type(result.error) for result in results]
    assert set(kinds) == {ConnectionFailed, CircuitOpen}
    assert kinds.count(ConnectionFailed) == 2
    assert "127.0.0.1:1 failed 2 times" in str(
        next(result.error for result in results if isinstance(result.error, CircuitOpen))
    )


async def test_robots_where_they_lead() -> None:
    """robots.txt of the redirect target is obeyed, on the same host and on another one."""

    def page(host: int, path: str) -> tuple[int, dict[str, str], bytes]:
        if path == "/robots.txt":
            return 200, {"Content-Type": "text/plain"}, b"User-agent: *\nDisallow: /private"
        if path.startswith("/away"):
            return 302, {"Location": f"{site.urls[1]}/{path[5:]}"}, b""
        if path == "/inside":
            return 302, {"Location": "/private/x"}, b""
        return 200, {}, b"page"

    with Site(page, hosts=2) as site:
        here, there = site.urls
        items = [f"{here}/awaypublic", f"{here}/awayprivate", f"{here}/inside"]
        async with DSession() as session:
            options = Politeness(robots=True)
            public, private, inside = await gather(session, items, politeness=options)
        assert public.response.content == b"page"
        for result, url in ((private, f"{there}/private"), (inside, f"{here}/private/x")):
            assert isinstance(result.error, RobotsDisallowed)
            assert url in str(result.error)
            assert result.response is None
        assert sorted(site.asked) == sorted(
            [
                "GET 0 /robots.txt",
                "GET 0 /awaypublic",
                "GET 0 /awayprivate",
                "GET 0 /inside",
                "GET 1 /robots.txt",
                "GET 1 /public",
            ]
        )


async def test_a_slow_target_occupies_no_worker(peer: MakePeer) -> None:
    """While redirects wait for a slow host, workers take other jobs."""
    slow = peer([expect(), stall(), send(OK), FOREVER])
    source, quick = peer(onward(slow.url)), peer(SERVING)
    items = [f"{source.url}/{n}" for n in range(20)] + [f"{quick.url}/{n}" for n in range(20)]
    options = Politeness(host_concurrency=1)
    done = []
    async with DSession() as session:
        mapped = map_requests(session, items, concurrency=3, politeness=options)
        async for result in mapped:
            done.append(result.key)
            if len(done) == 20:
                slow.release()
    assert all(key.startswith(quick.url) for key in done[:20])
    assert sorted(done) == sorted(items)
    assert len(slow.requests) == 20


async def test_the_flow_continues_unchanged(peer: MakePeer) -> None:
    """A redirect over three hosts keeps history, body and cookies, and drops credentials."""
    last = peer(SERVING)
    second = peer(onward(last.url, 307))
    first = peer(onward(second.url, 308))
    request = {
        "method": "POST",
        "url": f"{first.url}/x",
        "data": b"body",
        "headers": {"Authorization": "secret", "X-Own": "1"},
        "cookies": {"c": "secret"},
        "key": "mine",
    }
    async with DSession() as session:
        (result,) = await gather(session, [request], politeness=Politeness())
    assert (result.key, result.response.text) == ("mine", "ok")
    assert [old.status_code for old in result.response.history] == [308, 307]
    for server in (first, second, last):
        assert [(seen.method, seen.body) for seen in server.requests] == [("POST", b"body")]
        assert server.requests[0].header("x-own") == "1"
    assert first.requests[0].header("authorization") == "secret"
    for server in (second, last):
        assert server.requests[0].header("authorization") is None
        assert server.requests[0].header("cookie") is None


async def test_retried_from_the_start(peer: MakePeer) -> None:
    """A failure after a redirect is retried from the first URL."""
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
    target = peer([expect(), send(busy), FOREVER])
    source = peer(onward(target.url))
    async with DSession() as session:
        (result,) = await gather(session, [f"{source.url}/a"], retries=1, politeness=Politeness())
    assert (result.response.status_code, result.attempts) == (200, 2)
    assert [seen.target for seen in source.requests] == ["/a", "/a"]
    assert [seen.target for seen in target.requests] == ["/a", "/a"]


async def test_in_order_and_many(peer: MakePeer) -> None:
    """Hundreds of redirects work in order through a small window; loops end at the limit."""
    target = peer(SERVING)
    source = peer(onward(target.url))
    items = [f"{(source if n % 2 else target).url}/{n}" for n in range(200)]
    async with DSession(max_redirects=3) as session:
        mapped = map_requests(
            session, items, politeness=Politeness(host_concurrency=2), ordered=True, window=5
        )
        assert [result.key async for result in mapped] == items
        loop = peer([])
        loop.scripts[0] = onward(loop.url)
        (result,) = await gather(session, [loop.url], politeness=Politeness())
        assert "max_redirects=3" in str(result.error)
        assert session.pool_stats()["in_use"] == 0


async def test_left_and_stopped(peer: MakePeer) -> None:
    """Leaving early with scheduled redirects leaves nothing; `stop` finishes those under way."""
    slow = peer([expect(), stall(), send(OK), FOREVER])
    source, quick = peer(onward(slow.url)), peer(SERVING)
    items = [f"{source.url}/{n}" for n in range(20)] + [quick.url]
    options = Politeness(host_concurrency=1)
    async with DSession() as session:
        async with map_requests(session, items, politeness=options) as results:
            async for _ in results:
                break
        assert session.pool_stats()["in_use"] == 0
        mapped = map_requests(session, items, politeness=options)
        async with mapped as results:
            stopper = await curio.spawn(mapped.stop)
            slow.release()
            async for result in results:
                assert result.ok
            await stopper.join()


async def test_a_custom_session_class(peer: MakePeer) -> None:
    """A session that transforms responses gets them all, and redirects are followed at once."""
    target = peer(SERVING)
    source = peer(onward(target.url))

    class Mine(DSession):
        async def request(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            response = await super().request(*args, **kwargs)
            response.peer = "mine"
            return response

    class Wrapper:
        def __init__(self, session: DSession) -> None:
            self.session = session

        async def request(self, method: str, url: str = "", **kwargs: Any) -> Any:
            response = await self.session.request(method, url, **kwargs)
            response.peer = "mine"
            return response

    async with Mine() as mine, DSession() as session:
        for one in (mine, Wrapper(session)):
            results = await gather(one, [source.url] * 3, politeness=Politeness())
            assert [result.response.peer for result in results] == ["mine"] * 3
    assert len(target.requests) == 6


@pytest.mark.parametrize("directory", [False, True])
async def test_a_fetch(directory: bool, peer: MakePeer, tmp_path: Path) -> None:
    """`fetch` schedules redirects in every output mode."""
    target = peer(SERVING)
    items = [f"{peer(onward(target.url)).url}/{n}" for n in range(6)]
    options = FetchOptions(robots=False, host_connections=1)
    config = FetchConfig("-", str(tmp_path / "out.jsonl"), options)
    if directory:
        config.directory = str(tmp_path / "files")
    config.prepare_output(resume=False, overwrite=False)
    async with DSession(connections=10) as session:
        fetch, checkpoint = config.fetch(session, items)
        assert checkpoint is not None
        with checkpoint:
            stats = await fetch.run()
    assert (stats.done, stats.failed) == (6, 0)
    assert len(target.connections) == 1
    assert (tmp_path / "out.jsonl").read_text().count(f'"final_url":"{target.url}/') == 6
