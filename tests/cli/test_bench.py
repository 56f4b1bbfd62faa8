"""The comparison of clients by `asks-fast bench`, as a program."""

from __future__ import annotations

import json

import pytest
from support.commands import bench

SHORT = ("--duration", "0.05", "--rounds", "2", "--connections", "3")


def test_figures_of_every_round() -> None:
    """A run against a server of its own gives requests, rate, CPU time and memory per round."""
    done = bench(*SHORT, "--clients", "asks_fast", "--json")
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["asks_fast"]
    assert len(runs) == 2
    assert all(run["requests"] >= 3 and run["rate"] > 0 and run["rss_mib"] > 1 for run in runs)


def test_table() -> None:
    """Without --json the output is a table with the server's name."""
    done = bench(*SHORT, "--clients", "asks_fast")
    assert done.returncode == 0, done.stderr
    assert "asks_fast on curio.run" in done.stdout
    assert "requests/s" in done.stdout


@pytest.mark.parametrize("arguments", [("--clients", "no-such-client"), ("--connections", "0")])
def test_wrong_use(arguments: tuple[str, str]) -> None:
    """A client that does not exist, or no connections at all, is a usage error."""
    done = bench(*arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr


def test_a_server_that_fails() -> None:
    """A URL whose status is not 200 gives no results and exit status 1."""
    done = bench(*SHORT, "http://127.0.0.1:1/", "--clients", "asks_fast")
    assert done.returncode == 1
    assert "could not connect" in done.stdout
