"""docs/features.md names a test for every feature we say we have, and that test exists.

Not here: whether the test passes; the suite says that.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "features.md"
ROW = re.compile(r"^\| (\d+) \| (.+?) \| ([MSC]) \| (yes|partial|no) \| (.*?) \| (.*?) ?\|$")
ROWS = [row.groups() for row in map(ROW.match, PAGE.read_text().splitlines()) if row]


@lru_cache
def tests_in(path: Path) -> frozenset[str]:
    """The names of the tests in a file, those in classes as `Class.test`."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if hasattr(inner, "name")}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return frozenset(found)


def test_the_page_is_read() -> None:
    """Every row of the table is understood, and the totals at its head are right."""
    lines = [line for line in PAGE.read_text().splitlines() if re.match(r"\| \d", line)]
    assert len(lines) == len(ROWS)
    marks = [mark for _, _, _, mark, _, _ in ROWS]
    totals = ", ".join(f"{marks.count(mark)} {mark}" for mark in ("yes", "partial", "no"))
    assert f"{len(ROWS)} rows: {totals}." in PAGE.read_text()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[3]}")
def test_shown_by_tests_that_exist(row: tuple[str, ...]) -> None:
    """A yes or partial names at least one test, and every test named is there."""
    number, feature, _, mark, shown, _ = row
    named = re.findall(r"`([^`]+)::([\w.]+)`", shown)
    assert named or mark == "no", f"{number} {feature}: which test shows it?"
    for path, name in named:
        assert (TESTS / path).is_file(), f"{number} {feature}: no file {path}"
        assert name in tests_in(TESTS / path), f"{number} {feature}: no test {name} in {path}"
