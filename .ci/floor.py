"""Prints the oldest promised version of each dependency, as constraints for pip.

Read off pyproject.toml: `name>=1.2` becomes `name==1.2`. Tools of the test run itself are left to
their newest version: they are no promise to users.
"""

from __future__ import annotations

import re
from pathlib import Path

TABLES = ("dependencies", "speed", "charset", "truststore", "cli", "demo")
REQUIREMENT = re.compile(r'"([A-Za-z][\w.-]*)>=([\w.]+)\s*(;[^"]*)?"')


def main() -> None:
    text = (Path(__file__).resolve().parent.parent / "pyproject.toml").read_text()
    for table in TABLES:
        body = re.search(rf"^{table} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
        assert body is not None, table
        for name, version, marker in REQUIREMENT.findall(body[1]):
            print(f"{name}=={version}{marker}")


if __name__ == "__main__":
    main()
