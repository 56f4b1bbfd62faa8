"""Feed the same bytes in every possible split.

The result of a parser must not depend on how its input is split. `feed_all_ways` feeds a sample
whole, byte by byte, and split in two at each position, and asserts that all results are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def ways(sample: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Yield name and pieces of each way to split `sample`."""
    yield "whole", [sample]
    yield "byte by byte", [sample[i : i + 1] for i in range(len(sample))]
    for cut in range(1, len(sample)):
        yield f"split at {cut}", [sample[:cut], sample[cut:]]


def outcome(parse: Callable[[list[bytes]], T], pieces: list[bytes]) -> T | Exception:
    """Return what `parse` returns, or the exception that it raises."""
    try:
        return parse(pieces)
    except Exception as error:
        return error


def feed_all_ways(sample: bytes, parse: Callable[[list[bytes]], T]) -> T:
    """Return the result of `parse(pieces)`, which must be the same for every split of `sample`.

    `parse` creates a parser, feeds the pieces in order and returns something that compares by
    value. If it raises, every split must raise the same class with the same text, and that
    exception is raised here. `AssertionError` names the split that differs. Bytes after the message
    are part of the sample.
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
