"""A short chaos run in every test run: one fixed seed and one new seed."""

from __future__ import annotations

import os
import random

import pytest
from robustness.chaos.chaos import storm

SECONDS = float(os.environ.get("ASKS_FAST_CHAOS_SECONDS", "2"))

pytest.importorskip("granian", reason="granian is not installed")


@pytest.mark.chaos
@pytest.mark.parametrize("kernel", ["stock", "own"])
@pytest.mark.parametrize("seed", [20170525, None], ids=["fixed", "fresh"])
def test_chaos(seed: int | None, kernel: str) -> None:
    """Every response belongs to its request, and nothing is left open."""
    if seed is None:
        seed = random.SystemRandom().randrange(1 << 32)
    report = storm(seed, SECONDS, tasks=100, kernel=kernel)
    print(report)
    assert not report.wrong, str(report)
    assert report.outcomes
