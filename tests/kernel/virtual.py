"""Virtual time: a selector that advances the clock instead of waiting.

Both kernels take it as `selector=` and read `time.monotonic` when they start. So a program of
sleeps and time limits runs at once and in the same order each time, and can be compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from selectors import DefaultSelector, SelectorKey
from typing import Any

import pytest


class VirtualTime(DefaultSelector):  # type: ignore[misc, valid-type]
    """The selector of one kernel, and its clock (seconds, starting at 1000)."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        assert timeout is not None, "the program is stuck: nothing to run and no deadline"
        self.now += timeout
        ready: list[tuple[SelectorKey, int]] = super().select(0)
        return ready


def run_in_virtual_time(
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[..., Any],
    main: Callable[..., Any],
    *args: Any,
) -> Any:
    """Run `main(selector, *args)` and return what it returns."""
    selector = VirtualTime()
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", selector.clock)
        return run(main, selector, *args, selector=selector)
