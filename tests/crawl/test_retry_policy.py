"""One retry policy for every caller: a session, `map` with and without politeness, `fetch`.

Rules:  real servers. The wait is measured between two requests at the server, with a lower bound
        only; that a wait is not a random backoff shows because the bound is above `backoff`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.script_steps import FOREVER, OK, close, expect, send
from support.scripted_server import MakePeer, PeerConnection, Step

from asks_fast import DSession, HSession, Retry
from asks_fast.crawl import Politeness, gather
from asks_fast.crawl.fetch_config import FetchConfig
from asks_fast.crawl.options import FetchOptions

WAIT = 0.3
POLICY = Retry(attempts=1, backoff=0.001)

Ask = Callable[[str, Path], Awaitable[int]]


async def by_session(url: str, tmp_path: Path) -> int:
    async with DSession(retries=POLICY) as session:
        return (await session.get(url)).status_code


async def by_request(url: str, tmp_path: Path) -> int:
    async with DSession() as session:
        return (await session.get(url, retries=POLICY)).status_code


async def by_stream(url: str, tmp_path: Path) -> int:
    async with DSession() as session, await session.get(url, retries=POLICY, stream=True) as r:
        return r.status_code


async def by_map(url: str, tmp_path: Path) -> int:
    async with DSession() as session:
        (result,) = await gather(session, [url], retries=POLICY)
    return result.unwrap().status_code  # type: ignore[no-any-return]


async def by_polite_map(url: str, tmp_path: Path) -> int:
    async with DSession() as session:
        (result,) = await gather(session, [url], retries=POLICY, politeness=Politeness())
    return result.unwrap().status_code  # type: ignore[no-any-return]


async def by_fetch(url: str, tmp_path: Path) -> int:
    config = FetchConfig(
        "unused", str(tmp_path / "out.jsonl"), FetchOptions(robots=False, retries=1)
    )
    config.prepare_output(resume=False, overwrite=False)
    async with DSession() as session:
        fetch, checkpoint = config.fetch(session, [url])
        stats = await fetch.run()
        assert checkpoint is not None
        checkpoint.close()
    (status,) = stats.statuses
    return int(status)


WAYS: dict[str, Ask] = {
    "session": by_session,
    "request": by_request,
    "stream": by_stream,
    "map": by_map,
    "polite map": by_polite_map,
    "fetch": by_fetch,
}
FIELDS = {
    "fraction": f"Retry-After: {WAIT}\r\n",
    "trailing zero": f"Retry-After: {WAIT}0\r\n",
    "given twice": f"Retry-After: {WAIT}\r\nRetry-After: {WAIT}\r\n",
    "given twice, different": f"Retry-After: 0\r\nRetry-After: {WAIT}\r\n",
    "in one list": f"Retry-After: {WAIT}, 0\r\n",
}


def asking_to_wait(start: str, fields: str, seen: list[float]) -> list[Step]:
    """Respond to the first request with `start` and `fields`, to later ones with OK."""

    def note(data: bytes) -> Callable[[PeerConnection], bytes]:
        def answer(connection: PeerConnection) -> bytes:
            seen.append(time.monotonic())
            return data

        return answer

    busy = f"HTTP/1.1 {start}\r\n{fields}Content-Length: 0\r\n\r\n".encode()
    return [expect(), send(note(busy)), expect(), send(note(OK)), FOREVER]


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS.keys())
@pytest.mark.parametrize("start", ["503 Busy", "429 Slow", "302 Go\r\nLocation: /there"])
@pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS.keys())
async def test_retry_after(
    peer: MakePeer, tmp_path: Path, ask: Ask, start: str, fields: str
) -> None:
    """Every way to send a request waits as long as `Retry-After` asks, on a redirect as well."""
    seen: list[float] = []
    server = peer(asking_to_wait(start, fields, seen))
    assert await ask(server.url, tmp_path) == 200
    assert seen[1] - seen[0] >= WAIT - 0.01


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("how", [{}, {"timeout": 60}, {"retries": 0}, {"retries": 2}])
async def test_redirects_without_a_policy(peer: MakePeer, status: int, how: dict[str, Any]) -> None:
    """A redirect with `Retry-After` waits without `retries=` too, also on the fast path."""
    seen: list[float] = []
    script = asking_to_wait(f"{status} Go\r\nLocation: /there", f"Retry-After: {WAIT}\r\n", seen)
    server = peer([expect(), send(OK), *script])
    async with HSession(server.url) as session:
        await session.get(**how)
        assert (await session.get(path="/", **how)).status_code == 200
    assert seen[1] - seen[0] >= WAIT - 0.01


@pytest.mark.parametrize("ask", ["session", "map", "polite map"])
async def test_a_policy_that_ignores_it(peer: MakePeer, ask: str) -> None:
    """`respect_retry_after=False` and `max_retry_after` hold for redirects as for retries."""
    forever = "302 Go\r\nLocation: /there", "Retry-After: 1000\r\n"
    for policy in (Retry(respect_retry_after=False), Retry(max_retry_after=0.01)):
        server = peer(asking_to_wait(*forever, []))
        async with DSession(retries=policy, timeout=30) as session:
            if ask == "session":
                assert (await session.get(server.url)).status_code == 200
            else:
                polite = Politeness() if ask == "polite map" else None
                (result,) = await gather(session, [server.url], politeness=polite)
                assert result.unwrap().status_code == 200


async def test_a_delayed_redirect_occupies_no_worker(peer: MakePeer) -> None:
    """With politeness, a redirect that must wait frees its worker for other requests."""
    seen: list[float] = []
    slow = peer(asking_to_wait("302 Go\r\nLocation: /there", f"Retry-After: {WAIT}\r\n", seen))
    quick = peer([FOREVER])
    urls = [slow.url, *(f"{quick.url}/{n}" for n in range(20))]
    finished = []
    async with DSession() as session:
        async for result in session.map(urls, concurrency=1, politeness=Politeness()):
            finished.append(result.unwrap().url)
    assert finished[-1] == f"{slow.url}/there"
    assert seen[1] - seen[0] >= WAIT - 0.01


async def one_shot() -> AsyncIterator[bytes]:
    """A body that can be sent once."""
    yield b"once"


@pytest.mark.parametrize("politeness", [None, Politeness()])
@pytest.mark.parametrize("ends", ["busy", "closed"])
async def test_a_body_is_never_sent_twice(
    peer: MakePeer, politeness: Politeness | None, ends: str
) -> None:
    """`map` does not retry a request whose body was a one-shot stream that is used up."""
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    first = [expect(), send(busy), FOREVER] if ends == "busy" else [expect(), close()]
    server = peer(first, [FOREVER])
    item = {"method": "PUT", "url": server.url, "data": one_shot()}
    async with DSession() as session:
        (result,) = await gather(session, [item], retries=POLICY, politeness=politeness)
    assert result.attempts == 1
    assert [seen.body for seen in server.requests] == [b"once"]
    assert not result.ok


async def test_policies_of_map(peer: MakePeer) -> None:
    """`map` takes a `Retry` with all its fields; a number stands for `Retry(attempts=number)`."""
    teapot = b"HTTP/1.1 418 Tea\r\nContent-Length: 0\r\n\r\n"
    server = peer([expect(), send(teapot), FOREVER])
    policy = Retry(methods={"POST"}, statuses={418}, backoff=0.0)
    async with DSession() as session:
        (result,) = await gather(session, [{"method": "post", "url": server.url}], retries=policy)
        assert (result.unwrap().status_code, result.attempts) == (200, 2)
        with pytest.raises(ValueError, match="attempts"):
            session.map([], retries=-1)
