"""docs/reliability.md names a test for each known attack, and the tests that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "reliability.md").read_text() if (ROOT / "docs").is_dir() else ""
TESTS = sorted(set(re.findall(r"`((?:tests|sec)/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("file", "name"), TESTS, ids=["::".join(test) for test in TESTS])
def test_named_tests_exist(file: str, name: str) -> None:
    """Each test named in the table exists."""
    path = ROOT / file.replace("sec/", "tests/robustness/security/", 1)
    assert path.exists()
    assert not name or re.search(rf"^ *(async )?def {name}\(", path.read_text(), re.MULTILINE)


def test_every_attack_has_a_test() -> None:
    """Each line of the table names a test."""
    if not PAGE:
        pytest.skip("the documentation is not here")
    table = PAGE.partition("## Known attacks")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 50
    assert [row for row in rows if "::test_" not in row] == []
