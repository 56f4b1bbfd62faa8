"""Time limits work as in curio, without its warning about work that completes slightly late."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import curio
import pytest
from support.script_steps import SERVING
from support.scripted_server import MakePeer

import asks_fast
from asks_fast import DSession
from asks_fast._deadlines import ignore_after, timeout_after

ROOT = Path(asks_fast.__file__).resolve().parent.parent
BOTH = pytest.mark.parametrize("limit", [curio.timeout_after, timeout_after], ids=["curio", "ours"])
Limit = Callable[..., Awaitable[Any]]


async def block(seconds: float) -> str:
    """Block the kernel for that long, as a busy machine does."""
    time.sleep(seconds)
    return "done"


async def test_late_completion_logs_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The result is returned and nothing is logged; curio logs its "Badness delta"."""
    assert await curio.timeout_after(0.001, block(0.005)) == "done"
    assert "Badness" in caplog.text
    caplog.clear()
    assert await timeout_after(0.001, block(0.005)) == "done"
    assert await ignore_after(0.001, block(0.005)) == "done"
    await curio.sleep(0)  # no time-out is left over
    assert caplog.text == ""


async def test_late_request_logs_no_warning(
    peer: MakePeer, caplog: pytest.LogCaptureFixture
) -> None:
    """The limits of a request log nothing when the program itself takes longer."""
    server = peer(SERVING)
    async with DSession() as session:
        r = await session.get(server.url, timeout=0.5, callback=lambda chunk: time.sleep(0.6))
        assert r.status_code == 200
    assert caplog.text == ""


def test_package_uses_no_other_time_limits() -> None:
    """No other module uses time limits of curio."""
    files = [*(ROOT / "asks_fast").rglob("*.py"), *(ROOT / "src_pyx").glob("*.pyx")]
    curios = re.compile(
        r"curio\.(timeout|ignore)_after\(|^from curio.* (timeout|ignore)_after", re.M
    )
    assert [file.name for file in files if curios.search(file.read_text())] == []


@BOTH
async def test_timeout_expires(limit: Limit) -> None:
    """`TaskTimeout` is raised, and the task continues."""
    with pytest.raises(curio.TaskTimeout):
        await limit(0.001, curio.sleep(1000))
    await curio.sleep(0)


async def within(limit: Limit, outer: float, inner: float, steps: list[str]) -> None:
    """Sleep within both limits, and record which one ended."""
    async with curio.timeout_after(outer):
        try:
            await limit(inner, curio.sleep(1000))
        except (curio.TaskTimeout, curio.TimeoutCancellationError) as error:
            steps.append(type(error).__name__)
            if isinstance(error, curio.TimeoutCancellationError):
                raise
        await curio.sleep(1000)


@BOTH
@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [(0.001, 1000.0, "TimeoutCancellationError"), (0.5, 0.001, "TaskTimeout")],
)
async def test_nested_timeouts(limit: Limit, outer: float, inner: float, expected: str) -> None:
    """The shorter limit ends the block; the outer one raises in its turn."""
    steps: list[str] = []
    with pytest.raises(curio.TaskTimeout):
        await within(limit, outer, inner, steps)
    assert steps == [expected]


async def test_no_timeout() -> None:
    """None is no limit; `ignore_after` returns None when the time is over."""
    assert await timeout_after(None, block(0)) == "done"
    assert await ignore_after(None, block(0)) == "done"
    assert await ignore_after(0.001, curio.sleep(1000)) is None
