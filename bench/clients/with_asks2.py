"""asks 2.4 on curio (anyio 2), see `asks_work`."""

from __future__ import annotations

from typing import Any

from asks_work import main


async def start(group: Any, function: Any, *args: Any) -> None:
    await group.spawn(function, *args)


main("asks2", "curio", start, "curio", "anyio", "h11")
