"""Pause a request flow before it follows a redirect.

A bulk run decides for each host how fast, how many at once and whether requests may be sent. A
redirect is one more request, perhaps to a host that must wait. So a task may register a gate, and
a request flow that is about to follow a redirect in that task asks it.

Rules:  without a gate nothing is asked. A flow is paused only between two exchanges: it has no
        connection then, and goes on when `run()` is called again, in any task.
Implemented elsewhere: when it goes on (`crawl.scheduled_worker_pool`), redirects (`request_flow`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import curio

from ..response_objects import BaseResponse

__all__ = ["RedirectPaused", "ask", "gates"]

gates: dict[Any, Callable[[str], bool]] = {}  # task → whether to pause before this URL


class Resumable(Protocol):
    """A request flow that goes on when it is run again."""

    _history: list[BaseResponse]

    async def run(self) -> Any: ...


class RedirectPaused(Exception):
    """A request flow was paused before a redirect: `await flow.run()` goes on."""

    def __init__(self, flow: Resumable, url: str, delay: float = 0.0) -> None:
        super().__init__(f"paused before {url}")
        self.flow = flow
        self.url = url
        self.delay = delay  # seconds that the redirect asks to wait

    @property
    def history(self) -> list[BaseResponse]:
        """The responses received so far."""
        return self.flow._history


async def ask(flow: Resumable, url: str, delay: float = 0.0) -> None:
    """Raise `RedirectPaused` if this task has a gate that says so.

    `delay` is the number of seconds that the redirect asks to wait.
    """
    gate = gates.get(await curio.current_task())
    if gate is not None and gate(url):
        raise RedirectPaused(flow, url, delay)
