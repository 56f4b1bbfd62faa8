"""A short soak run in every test run; the long one is `make soak`."""

from __future__ import annotations

import pytest
from robustness.soak.soak import soak


@pytest.mark.parametrize("kernel", ["stock", "own"])
def test_soak(kernel: str) -> None:
    """Three thousand mixed requests leak no memory and no descriptor, and no response is wrong."""
    assert soak(3000, kernel=kernel).wrong == []
