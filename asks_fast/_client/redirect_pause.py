"""Whether a request goes on at once to where a redirect leads, or is held for a while.

A bulk run has its own say about each host: how fast, how many at once, whether at all. A
redirect is one more request, perhaps to a host whose turn it is not. So a task may register a
gate, and a conversation that is about to follow a redirect in that task asks it.

Rules:  where no gate is registered, nothing is asked. A conversation is held only between two
        exchanges: it has no connection then, and goes on by another `run()`, in any task.
Not here: when it goes on (`crawl.polite_run`), what is left behind on the way (`flow`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import curio

from ..response_objects import BaseResponse

__all__ = ["RedirectPaused", "ask", "gates"]

gates: dict[Any, Callable[[str], bool]] = {}  # task → whether a hop to this URL is held


class Resumable(Protocol):
    """A request flow that goes on when it is run again."""

    _history: list[BaseResponse]

    async def run(self) -> Any: ...


class RedirectPaused(Exception):
    """A conversation was stopped before its next hop: `await flow.run()` goes on."""

    def __init__(self, flow: Resumable, url: str, delay: float = 0.0) -> None:
        super().__init__(f"held before {url}")
        self.flow = flow
        self.url = url
        self.delay = delay  # seconds that the redirect asks to wait

    @property
    def history(self) -> list[BaseResponse]:
        """The responses received so far."""
        return self.flow._history


async def ask(flow: Resumable, url: str, delay: float = 0.0) -> None:
    """Raise `RedirectPaused` if the gate of this task, where there is one, does not let it go on.

    `delay` is the number of seconds that the redirect asks to wait.
    """
    gate = gates.get(await curio.current_task())
    if gate is not None and gate(url):
        raise RedirectPaused(flow, url, delay)
