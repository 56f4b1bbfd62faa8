"""Requests in programs of trio: cancel scopes end them at each wait and leave nothing behind."""

from __future__ import annotations

import contextvars
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.hosts import acting_at
from support.leaks import nothing_under_way
from support.script_steps import drip, expect, repeat, send, stall
from support.scripted_server import MakePeer

import asks_fast
from asks_fast import HSession

trio = pytest.importorskip("trio")

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n4\r\ndefg\r\n0\r\nT: u\r\n\r\n"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ANSWERING = [repeat(expect(), send(OK))]
DRIPPING = [repeat(expect(), drip(CHUNKED, 7, 0.001))]
SILENT = [repeat(expect(), stall())]


def test_every_way_to_ask(peer: MakePeer, tmp_path: Path) -> None:
    """One-shot calls, sessions, nurseries, streams, uploads, map and gather."""
    server = peer(*[ANSWERING] * 40)

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"a", b"b"):
            await trio.sleep(0)
            yield piece

    async def main() -> None:
        assert (await asks_fast.get(server.url)).content == b"ok"
        async with HSession(server.url, connections=5) as session:
            assert (await session.post(path="/", data=pieces())).status_code == 200
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(session.get, None)
            streamed = await session.get(path="/", stream=True)
            assert await streamed.body.save(tmp_path / "file") == 2
            results = [result async for result in session.map(["/"] * 9)]
            assert [result.response.status_code for result in results] == [200] * 9
            assert len(await session.gather(["/"] * 3)) == 3
            nothing_under_way(session)

    trio.run(main)
    trio.run(main)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_cancelled_at_every_wait(peer: MakePeer, streamed: bool) -> None:
    """A cancel scope at each wait: the slot is free, the next request works."""
    server = peer(*[DRIPPING] * 60)

    async def main() -> int:
        async with HSession(server.url, connections=1) as session:

            async def one() -> bytes:
                if not streamed:
                    return (await session.get(path="/")).content
                async with await session.get(path="/", stream=True) as response:
                    return await response.body.read()

            place = 0
            while True:
                with trio.CancelScope() as scope:
                    assert await acting_at(place, one(), scope.cancel) == b"abcdefg"
                if not scope.cancelled_caught:
                    return place
                place += 1
                nothing_under_way(session)
                assert await one() == b"abcdefg"

    assert trio.run(main) >= 2


def test_a_storm(peer: MakePeer) -> None:
    """Cancel scopes and time limits at random moments leave nothing behind."""
    server = peer(*[[repeat(expect(), drip(CHUNKED, 30))]] * 4000)
    chance = random.Random(1)

    async def one(session: HSession) -> None:
        choice = chance.randrange(3)
        delay = chance.random() * 0.02
        with trio.move_on_after(delay if choice == 1 else 60):
            try:
                if choice == 0:
                    await session.get(path="/", timeout=delay + 0.001)
                else:
                    await session.get(path="/")
            except asks_fast.RequestTimeout:
                pass

    async def main() -> None:
        async with HSession(server.url, connections=10) as session:
            for _ in range(10):
                async with trio.open_nursery() as nursery:
                    for _ in range(100):
                        nursery.start_soon(one, session)
                nothing_under_way(session)
                assert (await session.get(path="/")).content == b"abcdefg"

    trio.run(main)


def test_user_code_awaits_trio(peer: MakePeer) -> None:
    """A resolver, an auth class and a body await trio, and ask again with limits of their own."""
    server = peer(*[ANSWERING] * 9)
    silent = peer(SILENT)
    seen: list[Any] = []

    async def resolver(host: str) -> list[str]:
        await trio.sleep(0.001)
        return ["127.0.0.1"]

    class Auth(asks_fast.PreResponseAuth):
        async def __call__(self, request: Any) -> dict[str, str]:
            with trio.move_on_after(0.02) as scope:
                await asks_fast.get(silent.url)
            assert scope.cancelled_caught
            seen.append(trio.lowlevel.current_task())
            seen.append((await asks_fast.get(server.url)).content)
            return {}

    async def main() -> None:
        url = f"http://name.test:{server.port}"
        async with HSession(url, resolver=resolver, auth=Auth()) as session:
            assert (await session.get(path="/")).content == b"ok"
            assert seen == [trio.lowlevel.current_task(), b"ok"]

    trio.run(main)


def test_a_time_limit_cuts_user_code(peer: MakePeer) -> None:
    """`timeout=` ends a wait of user code for trio; a scope of the user's does so too."""
    server = peer(*[ANSWERING] * 4)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        await trio.sleep(60)

    async def main() -> None:
        async with HSession(server.url) as session:
            with pytest.raises(asks_fast.TotalTimeout):
                await session.post(path="/", data=pieces(), timeout=0.05)
            nothing_under_way(session)
            with trio.move_on_after(0.05) as scope:
                await session.post(path="/", data=pieces())
            assert scope.cancelled_caught
            nothing_under_way(session)
            with pytest.raises(trio.TooSlowError), trio.fail_after(0.05):
                await session.post(path="/", data=pieces(), timeout=50)
            nothing_under_way(session)
            assert (await session.get(path="/")).content == b"ok"

    trio.run(main)


def test_context_variables(peer: MakePeer) -> None:
    """A request and the code of the user in it see and set the caller's context."""
    server = peer(ANSWERING)
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    class Auth(asks_fast.PreResponseAuth):
        async def __call__(self, request: Any) -> dict[str, str]:
            variable.set(variable.get() + 1)
            return {}

    async def main() -> None:
        variable.set(1)
        async with HSession(server.url, auth=Auth()) as session:
            await session.get(path="/")
            assert variable.get() == 2

    trio.run(main)
