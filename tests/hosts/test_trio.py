"""Requests in trio: cancel scopes end them at each wait and free the pool slot."""

from __future__ import annotations

import contextvars
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.hosts import ANSWERING, DRIPPING, FEWEST_WAITS, IN_PIECES, SILENT, acting_at, storms
from support.leaks import assert_no_active_requests
from support.scripted_server import MakePeer

import asks_fast
from asks_fast import HSession

trio = pytest.importorskip("trio")
trio_host = pytest.importorskip("asks_fast._guest.trio_host")


def test_all_request_methods(peer: MakePeer, tmp_path: Path) -> None:
    """One-shot calls, sessions, nurseries, streams, uploads, `map` and `gather` work."""
    server = peer(*[ANSWERING] * 40)

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"a", b"b"):
            await trio.sleep(0)
            yield chunk

    async def main() -> None:
        assert (await asks_fast.get(server.url)).content == b"ok"
        async with HSession(server.url, connections=5) as session:
            assert (await session.post(path="/", data=chunks())).status_code == 200
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(session.get, None)
            streamed = await session.get(path="/", stream=True)
            assert await streamed.body.save(tmp_path / "file") == 2
            results = [result async for result in session.map(["/"] * 9)]
            assert [result.response.status_code for result in results] == [200] * 9
            assert len(await session.gather(["/"] * 3)) == 3
            assert_no_active_requests(session)

    trio.run(main)
    trio.run(main)


def test_data_of_trio_is_found() -> None:
    """The private data of the run, which is faster to read, is found in the installed release."""

    async def main() -> None:
        data = trio_host._trio_data()
        assert data is not None
        assert data["task"] is trio.lowlevel.current_task()
        assert data["runner"].reschedule

    trio.run(main)
    assert trio_host._trio_data() is None


def test_without_private_data_of_trio(
    peer: MakePeer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release of trio without that private name is used through its public functions."""
    monkeypatch.setattr(trio_host, "_trio_data", lambda: None)
    test_all_request_methods(peer, tmp_path)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_cancelled_at_every_wait(peer: MakePeer, streamed: bool) -> None:
    """A cancel scope that is cancelled at each wait ends the request and frees the pool slot."""
    server = peer(*[DRIPPING] * 60)

    async def main() -> None:
        async with HSession(server.url, connections=1) as session:

            async def fetch() -> bytes:
                if not streamed:
                    return (await session.get(path="/")).content
                async with await session.get(path="/", stream=True) as response:
                    return await response.body.read()

            wait_number = 0
            while True:
                with trio.CancelScope() as scope:
                    assert await acting_at(wait_number, fetch(), scope.cancel) == b"abcdefg"
                if not scope.cancelled_caught:
                    if wait_number >= FEWEST_WAITS:
                        return
                    continue  # a busy machine has delivered several pieces at once
                wait_number += 1
                assert_no_active_requests(session)
                assert await fetch() == b"abcdefg"

    trio.run(main)


@storms
def test_random_cancellation(peer: MakePeer, count: int) -> None:
    """Cancel scopes and time limits at random moments leave no slot in use."""
    server = peer(*[IN_PIECES] * 4 * count)
    rng = random.Random(1)

    async def fetch(session: HSession) -> None:
        choice = rng.randrange(3)
        delay = rng.random() * 0.02
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
            for _ in range(count // 100):
                async with trio.open_nursery() as nursery:
                    for _ in range(100):
                        nursery.start_soon(fetch, session)
                assert_no_active_requests(session)
                assert (await session.get(path="/")).content == b"abcdefg"

    trio.run(main)


def test_user_code_awaits_trio(peer: MakePeer) -> None:
    """A resolver, an auth class and a body can await trio and send requests with time limits."""
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


def test_time_limit_ends_wait_of_user_code(peer: MakePeer) -> None:
    """`timeout=` ends a wait of user code for trio, and so does a cancel scope of the user."""
    server = peer(*[ANSWERING] * 4)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        await trio.sleep(60)

    async def main() -> None:
        async with HSession(server.url) as session:
            with pytest.raises(asks_fast.TotalTimeout):
                await session.post(path="/", data=chunks(), timeout=0.05)
            assert_no_active_requests(session)
            with trio.move_on_after(0.05) as scope:
                await session.post(path="/", data=chunks())
            assert scope.cancelled_caught
            assert_no_active_requests(session)
            with pytest.raises(trio.TooSlowError), trio.fail_after(0.05):
                await session.post(path="/", data=chunks(), timeout=50)
            assert_no_active_requests(session)
            assert (await session.get(path="/")).content == b"ok"

    trio.run(main)


def test_context_variables(peer: MakePeer) -> None:
    """A request and the user code in it use the caller's context."""
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
