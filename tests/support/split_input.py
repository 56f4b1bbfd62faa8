"""Every way the same bytes can arrive.

A parser must not care how the wire cut its input. `feed_all_ways` gives a sample whole, byte by
byte, and split in two at each place, and holds that all give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def ways(sample: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Name and pieces of each way to cut `sample`."""
    yield "whole", [sample]
    yield "byte by byte", [sample[i : i + 1] for i in range(len(sample))]
    for cut in range(1, len(sample)):
        yield f"cut at {cut}", [sample[:cut], sample[cut:]]


def outcome(parse: Callable[[list[bytes]], T], pieces: list[bytes]) -> T | Exception:
    """What `parse` returns, or the exception it raises: both are answers to compare."""
    try:
        return parse(pieces)
    except Exception as error:
        return error


def feed_all_ways(sample: bytes, parse: Callable[[list[bytes]], T]) -> T:
    """Result of `parse(pieces)`, the same for every way to cut `sample`.

    `parse` makes a fresh parser, feeds the pieces in order and returns something that compares by
    value (a tuple of status, headers, body). If it raises, every way must raise the same class
    with the same words, and that exception is raised here. AssertionError names the way that
    differs. Trailing bytes are part of the sample: give `sample + b"more"` and say what must be.
    """
    expected = outcome(parse, [sample])
    for name, pieces in ways(sample):
        got = outcome(parse, pieces)
        assert _comparable(got) == _comparable(expected), (
            f"{name}: {got!r}, but fed whole: {expected!r}; sample {sample[:200]!r}"
        )
    if isinstance(expected, Exception):
        raise expected
    return expected


def _comparable(result: object) -> object:
    if isinstance(result, Exception):
        return type(result), str(result)
    return result
