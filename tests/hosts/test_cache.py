"""A cache in asyncio, uvloop, trio and blocking code, in memory and in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.hosts import ASYNCIO, run_trio
from support.script_steps import expect, send
from support.scripted_server import MakePeer

from asks_fast import Cache, HSession, sync

FRESH = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("run", [*ASYNCIO, run_trio], ids=lambda run: run.__name__)
@pytest.mark.parametrize("in_file", [False, True])
def test_every_loop(peer: MakePeer, tmp_path: Path, run: Any, in_file: bool) -> None:
    """A stored response is used again, whole and as a stream."""
    server = peer([expect(), send(FRESH)])

    async def main() -> None:
        cache = Cache(tmp_path / "c") if in_file else True
        async with HSession(server.url, cache=cache) as session:
            assert not (await session.get()).from_cache
            assert (await session.get()).from_cache
            async with await session.get(stream=True) as response:
                assert await response.body.read() == b"ok"
            results = [result async for result in session.map(["/"] * 3)]
            assert [result.unwrap().from_cache for result in results] == [True] * 3

    run(main)


@pytest.mark.usefixtures("kernel_of_thread")
@pytest.mark.parametrize("in_file", [False, True])
def test_blocking(peer: MakePeer, tmp_path: Path, in_file: bool) -> None:
    """Blocking sessions take a cache as well."""
    server = peer([expect(), send(FRESH)])
    with sync.HSession(server.url, cache=Cache(tmp_path / "c") if in_file else True) as session:
        assert not session.get().from_cache
        assert session.get().from_cache
        assert session.get(stream=True).body.read() == b"ok"
