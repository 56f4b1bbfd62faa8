"""A short soak run in every test run; the long one is `make soak`."""

from __future__ import annotations

import pytest
from robustness.soak.soak import soak


@pytest.mark.parametrize("kernel", ["stock", "own"])
def test_soak(kernel: str) -> None:
    """Three thousand mixed requests leave no memory, no descriptor and no wrong answer behind."""
    assert soak(3000, kernel=kernel).wrong == []
