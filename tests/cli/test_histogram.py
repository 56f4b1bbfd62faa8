"""The histogram of latencies, against exact percentiles."""

from __future__ import annotations

import math
import statistics
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asks_fast.cli.histogram import BUCKETS, MAX_SECONDS, Histogram, _bounds

DURATIONS = st.lists(st.floats(0, MAX_SECONDS, allow_nan=False), min_size=1, max_size=200)
PERCENTS = st.floats(0, 100, allow_nan=False)


def histogram_of(values: list[float]) -> Histogram:
    made = Histogram()
    for value in values:
        made.record(value)
    return made


@given(DURATIONS, PERCENTS)
def test_relative_error(values: list[float], percent: float) -> None:
    """A percentile differs from that of the sorted values by less than 0.1 %, or 1 ns."""
    rank = max(1, math.ceil(len(values) * percent / 100 - 1e-9))
    exact = sorted(values)[rank - 1]
    found = histogram_of(values).percentile(percent)
    assert abs(found - exact) <= max(exact * 1e-3, 1.01e-9)


@given(DURATIONS)
def test_exact_figures(values: list[float]) -> None:
    """Count, least, greatest and mean are exact."""
    made = histogram_of(values)
    assert (made.count, made.min, made.max) == (len(values), min(values), max(values))
    assert made.mean == pytest.approx(statistics.fmean(values))
    assert made.deviation == pytest.approx(statistics.pstdev(values), rel=1e-3, abs=1e-3)


@given(DURATIONS, DURATIONS, PERCENTS)
def test_sum_of_two(left: list[float], right: list[float], percent: float) -> None:
    """Adding histograms gives the histogram of all values."""
    both = histogram_of(left)
    both.add(histogram_of(right))
    together = histogram_of(left + right)
    assert both.percentile(percent) == together.percentile(percent)
    assert (both.count, both.min, both.max) == (together.count, together.min, together.max)


@given(DURATIONS, st.integers(1, 20))
def test_rows_count_everything(values: list[float], most: int) -> None:
    """The rows of the picture have growing bounds and contain every value."""
    rows = histogram_of(values).rows(most)
    assert sum(count for _, count in rows) == len(values)
    assert len(rows) <= most
    bounds = [bound for bound, _ in rows]
    assert bounds == sorted(bounds)


def test_buckets_are_contiguous() -> None:
    """Each bucket begins where the one before it ends."""
    for index in range(BUCKETS - 1):
        low, width = _bounds(index)
        assert low + width == _bounds(index + 1)[0]


def test_memory_is_bounded() -> None:
    """Values outside of the range count as the least or the greatest; the array never grows."""
    made = histogram_of([-1.0, 1e9, 0.5])
    assert made.count == 3
    assert made.percentile(0) == 0.0
    assert made.percentile(100) == pytest.approx(MAX_SECONDS, rel=1e-3)
    assert sys.getsizeof(made._counts) < 150_000


def test_no_values() -> None:
    """An empty histogram has the percentiles 0 and no rows; adding it changes nothing."""
    empty, made = Histogram(), histogram_of([1.0])
    assert (empty.percentile(99), empty.mean, empty.deviation, empty.rows(5)) == (0, 0, 0, [])
    made.add(empty)
    assert (made.count, made.min) == (1, 1.0)
