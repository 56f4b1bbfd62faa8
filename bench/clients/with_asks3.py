"""asks 3.0 on asyncio (anyio 3), see `asks_work`."""

from __future__ import annotations

from typing import Any

from asks_work import main


async def start(group: Any, function: Any, *args: Any) -> None:
    group.start_soon(function, *args)


main("asks3", "asyncio", start, "anyio", "h11")
