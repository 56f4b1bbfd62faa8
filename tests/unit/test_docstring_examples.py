"""The examples in the docstrings of functions that need no server."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "_auth.challenges",
        "_cookies.cookie",
        "_response.header_values",
        "_url.quoting",
        "urls",
    ],
)
def test_examples_in_docstrings(module: str) -> None:
    """Each example gives the result that it shows."""
    result = doctest.testmod(importlib.import_module(f"asks_fast.{module}"))
    assert result.attempted
    assert not result.failed
