"""`with routes:` responds to the requests of all sessions and opens no socket."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import Any

import curio
import pytest

import asks_fast
from asks_fast import DSession, HSession, Retry
from asks_fast._config import interceptor
from asks_fast.errors import (
    BadStatus,
    ConnectionFailed,
    ConnectTimeout,
    ReadTimeout,
    TooManyRedirects,
    TotalTimeout,
)
from asks_fast.testing import NoRoute, Routes, faults, response


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make connecting fail, to show that nothing connects."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a socket was connected")

    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


async def test_one_shot_and_sessions() -> None:
    """Functions and sessions made before and inside the block get responses."""
    before = HSession("https://api.test", connections=2)
    with Routes() as routes:
        routes.get("https://api.test/items/{id}", lambda request: {"id": request.match["id"]})
        routes.post("https://api.test/items", response(201, json={}, headers={"X-Id": "9"}))
        assert (await asks_fast.get("https://api.test/items/5")).json() == {"id": "5"}
        assert (await before.get(path="/items/6")).json() == {"id": "6"}
        assert (await before.get(path="/items/7")).json() == {"id": "7"}
        async with DSession() as session:
            r = await session.post("https://api.test/items", json={"n": 1})
    assert (r.status_code, r.headers["x-id"]) == (201, "9")
    assert r.reason_phrase == "Created"
    assert r.method == "POST"
    assert r.url == "https://api.test/items"
    assert routes.requests[-1].json() == {"n": 1}
    assert routes.requests[-1].header("content-type") == "application/json"
    assert [len(route.requests) for route in routes.routes] == [3, 1]
    await before.close()


async def test_no_route() -> None:
    """A request without a route is an error that lists the routes."""
    with Routes() as routes:
        routes.get("https://api.test/known", 204)
        with pytest.raises(NoRoute, match=r"no route for GET https://other\.test/.*known"):
            await asks_fast.get("https://other.test/")
    assert [route.url for route in routes.unused] == ["https://api.test/known"]


async def test_queries() -> None:
    """A query in the route, or `params`, must be in the request, which may have more."""
    with Routes() as routes:
        routes.get("/find?q=a b", "pattern")
        routes.get("/find", "params", params={"page": 2})
        routes.get("/find", "any")
        url = "http://h/find"
        assert (await asks_fast.get(url, params={"q": "a b", "n": 1})).text == "pattern"
        assert (await asks_fast.get(url, params={"page": "2"})).text == "params"
        assert (await asks_fast.get(url)).text == "any"


async def test_redirects_and_cookies() -> None:
    """Redirects and cookies work as with a server."""
    with Routes() as routes:
        routes.post(
            "https://h/login",
            response(303, headers=[("Location", "/home"), ("Set-Cookie", "sid=1; Path=/")]),
        )
        routes.get("https://h/home", lambda request: str(request.header("cookie")))
        routes.get("https://h/loop", response(302, headers={"Location": "/loop"}))
        async with DSession(persist_cookies=True) as session:
            r = await session.post("https://h/login", data={"user": "u"})
            assert r.text == "sid=1"
            assert [earlier.status_code for earlier in r.history] == [303]
            with pytest.raises(TooManyRedirects):
                await session.get("https://h/loop", max_redirects=3)
    assert routes.requests[0].form == [("user", "u")]


async def test_sequences_and_errors() -> None:
    """Responses in turn; an exception is raised as if the connection had failed."""
    with Routes() as routes:
        routes.get("http://h/", 500, ConnectTimeout("too slow", 1.0), "fine")
        with pytest.raises(BadStatus):
            (await asks_fast.get("http://h/")).raise_for_status()
        with pytest.raises(ConnectTimeout, match="too slow"):
            await asks_fast.get("http://h/", retries=0)
        assert (await asks_fast.get("http://h/")).text == "fine"
        assert (await asks_fast.get("http://h")).text == "fine"


async def test_retries() -> None:
    """Retry policies work as with a server."""
    with Routes() as routes:
        routes.get("http://h/", ConnectionFailed, "fine")
        assert (await asks_fast.get("http://h/", retries=1)).text == "fine"


async def test_delay_and_time_limits() -> None:
    """A delay longer than a time limit ends as with a silent server."""
    with Routes() as routes:
        routes.get("http://h/", response(204, delay=0.2))
        with pytest.raises(TotalTimeout, match=r"timeout=0\.01 s"):
            await asks_fast.get("http://h/", timeout=0.01)
        with pytest.raises(ReadTimeout, match=r"read_timeout=0\.01 s"):
            await asks_fast.get("http://h/", timeout=5, read_timeout=0.01)


async def test_cancelled() -> None:
    """A request cancelled while its response is delayed leaves the session usable."""
    with Routes() as routes:
        routes.get("http://h/", response(204, delay=60), 204)
        async with HSession("http://h") as session:
            task = await curio.spawn(session.get)
            while not routes.requests:
                await curio.sleep(0)
            await task.cancel()
            assert (await session.get()).status_code == 204


async def test_streams() -> None:
    """Streamed responses, callbacks and streamed request bodies."""
    with Routes() as routes:
        routes.any("http://h/", "some text")
        async with DSession() as session:
            r = await session.get("http://h/", stream=True)
            async with r.body:
                assert b"".join([chunk async for chunk in r.body]) == b"some text"
            chunks: list[bytes] = []
            await session.get("http://h/", callback=chunks.append)
            assert b"".join(chunks) == b"some text"
            await session.post("http://h/", data=iter([b"a", b"b"]))
            assert routes.requests[-1].body == b"ab"
            assert (await session.head("http://h/")).headers["content-length"] == "9"
        r = await asks_fast.get("http://h/", stream=True)
        assert await r.body.read() == b"some text"


async def test_async_functions() -> None:
    """A route's function may be async."""

    async def late(request: Any) -> str:
        await curio.sleep(0)
        return str(request.path)

    with Routes() as routes:
        routes.get("http://h/*", late)
        assert (await asks_fast.get("http://h/a/b")).text == "/a/b"


async def test_faults_need_sockets() -> None:
    """A fault that needs a connection raises an error that says so."""
    with Routes() as routes:
        routes.get("http://h/", faults.Cut(after=5))
        with pytest.raises(TypeError, match="needs real sockets"):
            await asks_fast.get("http://h/")


async def test_nested_routes() -> None:
    """The inner table responds; after its block the outer one, then the network."""
    with Routes() as outer:
        outer.get("http://h/", "outer")
        with Routes() as inner:
            inner.get("http://h/", "inner")
            assert (await asks_fast.get("http://h/")).text == "inner"
        assert (await asks_fast.get("http://h/")).text == "outer"
    assert interceptor.current is None


async def test_delays_are_virtual() -> None:
    """A delay takes no time; it counts towards `timeout`, over redirects and retries too."""
    began = time.monotonic()
    with Routes() as routes:
        routes.get("http://h/", response(204, delay=1000))
        routes.get("http://h/a", response(302, headers={"Location": "/b"}, delay=40))
        routes.get("http://h/b", response(204, delay=40))
        routes.get("http://h/c", response(503, delay=40), response(204, delay=40))
        assert (await asks_fast.get("http://h/", read_timeout=2000)).status_code == 204
        assert (await asks_fast.get("http://h/a", timeout=100)).status_code == 204
        again = Retry(attempts=1, backoff=0.0)
        for path in "ac":
            with pytest.raises(TotalTimeout, match=r"timeout=60 s"):
                await asks_fast.get(f"http://h/{path}", timeout=60, retries=again)
        with pytest.raises(ReadTimeout, match=r"read_timeout=300 s"):
            await asks_fast.get("http://h/")
    assert time.monotonic() - began < 10


async def test_delayed_responses_in_order() -> None:
    """The shorter delay ends first, whichever request was made first."""
    ended = []

    async def ask(session: DSession, delay: str) -> None:
        await session.get(f"http://h/{delay}")
        ended.append(delay)

    with Routes() as routes:
        routes.get("/{delay}", lambda r: response(204, delay=float(r.match["delay"])))
        async with DSession() as session, curio.TaskGroup() as tasks:
            for delay in ("30", "10", "20"):
                await tasks.spawn(ask, session, delay)
    assert ended == ["10", "20", "30"]


async def walk(session: DSession) -> None:
    """Follow pages without an end."""
    page = 0
    while True:
        page = (await session.get(f"http://h/{page}", read_timeout=None)).json()


@pytest.mark.parametrize("delay", [0, 3600])
async def test_timeout_of_the_caller(delay: float) -> None:
    """`curio.timeout_after` ends a loop over routed responses, and a longer delay."""
    with Routes() as routes:
        routes.get("/{page}", lambda r: response(json=int(r.match["page"]) + 1, delay=delay))
        async with DSession() as session:
            with pytest.raises(curio.TaskTimeout):
                await curio.timeout_after(0.1, walk, session)


async def test_other_tasks_run_during_delays() -> None:
    """Every routed response yields to the kernel at least once."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await curio.sleep(0)

    with Routes() as routes:
        routes.get("http://h/", 204)
        async with HSession("http://h") as session:
            task = await curio.spawn(count)
            for _ in range(20):
                await session.get()
            await task.cancel()
    assert turns >= 20


async def test_time_limit_of_a_route_function() -> None:
    """`timeout` ends a chain of delayed redirects, and a route's own function."""

    async def slow(request: Any) -> int:
        await curio.sleep(60)
        return 204

    with Routes() as routes:
        routes.get("http://h/loop", response(302, headers={"Location": "/loop"}, delay=0.01))
        routes.get("http://h/slow", slow)
        for path in ("loop", "slow"):
            with pytest.raises(TotalTimeout):
                await asks_fast.get(f"http://h/{path}", timeout=0.1, max_redirects=10**9)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("general", "special", "url"),
    [
        ("/items", "/items?page=2", "http://h/items?page=2"),
        ("/items?page=2", "/items?page=2&size=9", "http://h/items?page=2&size=9"),
        ("/items/{id}", "/items/7", "http://h/items/7"),
        ("/items/*", "/items/{id}", "http://h/items/7"),
        ("/*", "/items/*", "http://h/items/7"),
        ("/items", "http://h/items", "http://h/items"),
        ("http://h/*", "/items", "http://h/items"),
        ("/{kind}/{id}", "/items/{id}", "http://h/items/7"),
    ],
)
async def test_most_specific_route(general: str, special: str, url: str, reverse: bool) -> None:
    """The most specific route responds, whichever was added first."""
    with Routes() as routes:
        pairs = [(general, "general"), (special, "special")]
        for place, text in reversed(pairs) if reverse else pairs:
            routes.get(place, text)
        assert (await asks_fast.get(url)).text == "special"


async def test_method_is_more_specific_than_any() -> None:
    """Of equal routes, one for the method wins; then the first that was added."""
    with Routes() as routes:
        routes.any("/", "any")
        routes.get("/", "first")
        routes.get("/", "second")
        assert (await asks_fast.get("http://h/")).text == "first"
        assert (await asks_fast.post("http://h/")).text == "any"


async def test_request_headers() -> None:
    """`SeenRequest.headers` is a mapping like that of responses."""
    with Routes() as routes:
        routes.get("http://h/", 204)
        fields = [("X-One", "1"), ("x-two", "a"), ("X-Two", "b")]
        await asks_fast.get("http://h/", headers=fields)
        headers = routes.requests[0].headers
    assert (headers["x-one"], headers.get("X-TWO"), headers.get("x-three")) == ("1", "a, b", None)
    assert headers.getlist("x-two") == ["a", "b"]
    assert "HOST" in headers
    assert isinstance(headers, Mapping)
    assert dict(headers)["X-One"] == "1"
