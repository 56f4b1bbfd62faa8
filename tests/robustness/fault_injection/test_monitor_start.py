"""A request whose pool monitor cannot be started."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.script_steps import OK, expect, send
from support.scripted_server import MakePeer

import asks_fast
from asks_fast import HSession
from asks_fast._transport.pool_monitor import PoolMonitor


@pytest.mark.parametrize("on_event", [None, lambda event: None], ids=["plain", "events"])
def test_out_of_memory(
    peer: MakePeer, monkeypatch: pytest.MonkeyPatch, on_event: Callable[[object], None] | None
) -> None:
    """The error is raised as it is, and the next request starts the monitor."""

    async def fail(monitor: PoolMonitor) -> bool:
        raise MemoryError("injected")

    async def begin() -> None:
        for _ in range(2):
            await session.get()

    async def go_on_in_another_kernel() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(PoolMonitor, "start", fail)
            with pytest.raises(MemoryError, match="injected"):
                await session.get()
        assert (await session.get()).status_code == 200
        assert session.pool_stats()["in_use"] == 0
        await session.close()

    server = peer([expect(), send(OK), expect(), send(OK), expect(), send(OK)])
    session = HSession(server.url, on_event=on_event)
    asks_fast.run(begin)
    asks_fast.run(go_on_in_another_kernel)
