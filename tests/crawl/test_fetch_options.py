"""The options of a bulk fetch."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from asks_fast.crawl.options import FetchOptions, matches_status, matches_type


def test_options_travel() -> None:
    """Options survive pickle and JSON; `split` divides the connections."""
    options = FetchOptions(rate=10.0, headers={"X-A": "1"}, only_status=("2xx",), connections=10)
    assert pickle.loads(pickle.dumps(options)) == options
    assert FetchOptions.from_dict(json.loads(json.dumps(options.as_dict()))) == options
    shard = options.split(4)
    assert (shard.rate, shard.connections, shard.host_connections) == (10.0, 2, 8)


@pytest.mark.parametrize(
    "bad",
    [
        {"connections": 0},
        {"retries": -1},
        {"timeout": 0},
        {"max_body": -5},
        {"only_status": ("2",)},
        {"rate": 0},
        {"only_status": ("abc",)},
    ],
)
def test_invalid_options(bad: Any) -> None:
    """Invalid options raise when they are made; the message names the field."""
    with pytest.raises(ValueError, match=r"connections|retries|timeout|max_body|filter|rate"):
        FetchOptions(**bad)


def test_filters() -> None:
    """Status patterns are numbers, classes and ranges; type patterns exact or with a star."""
    assert matches_status(204, ("2xx",))
    assert not matches_status(304, ("2xx", "404"))
    assert matches_status(450, ("400-499",))
    assert matches_type("text/html; charset=utf-8", ("text/html",))
    assert matches_type("image/png", ("text/html", "image/*"))
    assert not matches_type("application/json", ("image/*",))
