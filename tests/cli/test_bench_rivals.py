"""`asks-fast bench` against other load tools, on the same server.

The server delays most responses by 50 ms and each tenth one by 200 ms, so that p50 and p99 are its
own and not those of the machine.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from support.commands import bench
from support.site import Site, text_page

pytestmark = pytest.mark.slow

CONNECTIONS, SECONDS = "10", "15"
RATE = "20"  # wrk2 gives each connection a schedule of its own: here 0.5 s, above all delays
TOLERANCE = 0.1
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@pytest.fixture
def site() -> Iterator[Site]:
    numbers = itertools.count()
    with Site(text_page, delay=lambda: 0.2 if next(numbers) % 10 == 0 else 0.05) as one:
        yield one


def percentiles(*command: str) -> tuple[float, float]:
    """Return p50 and p99 in seconds, as another tool prints them."""
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = {}
    for percent, value, unit in re.findall(
        r"(50|99)(?:\.0+)?%(?: in)?\s+([\d.]+)\s*(us|ms|s|secs?)\b", text
    ):
        found[percent] = float(value) * UNITS[unit[:2] if unit in UNITS else "s"]
    return found["50"], found["99"]


def assert_close(site: Site, theirs: tuple[float, float], *arguments: str) -> None:
    done = bench(site.urls[0], "-c", CONNECTIONS, "-d", SECONDS, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    latency = json.loads(done.stdout)["latency"]
    assert (latency["p50"], latency["p99"]) == pytest.approx(theirs, rel=TOLERANCE)


def test_closed_loop(site: Site) -> None:
    """In a closed loop, p50 and p99 are within 10 % of those of oha or wrk."""
    if shutil.which("oha"):
        how: tuple[str, ...] = ("oha", "--no-tui", "-c", CONNECTIONS, "-z", f"{SECONDS}s")
    elif shutil.which("wrk"):
        how = ("wrk", "--latency", "-t1", "-c", CONNECTIONS, "-d", f"{SECONDS}s")
    else:
        pytest.skip("neither oha nor wrk is installed")
    assert_close(site, percentiles(*how, site.urls[0]))


def test_open_loop(site: Site) -> None:
    """At a given rate, p50 and p99 are within 10 % of those of wrk2 or oha."""
    if shutil.which("wrk2"):
        how: tuple[str, ...] = ("wrk2", "--latency", "-t1", "-c", CONNECTIONS, "-R", RATE)
        how += ("-d", f"{int(SECONDS) + 10}s")  # it measures after ten seconds
    elif shutil.which("oha"):
        how = ("oha", "--no-tui", "--latency-correction", "-c", CONNECTIONS, "-q", RATE)
        how += ("-z", f"{SECONDS}s")
    else:
        pytest.skip("neither wrk2 nor oha is installed")
    assert_close(site, percentiles(*how, site.urls[0]), "--rate", RATE)
