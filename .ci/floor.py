"""Print the oldest supported version of each dependency, as constraints for pip.

`name>=1.2` in pyproject.toml becomes `name==1.2`. Test tools are not constrained here: users do not
depend on them.
"""

from __future__ import annotations

import re
from pathlib import Path

TABLES = ("dependencies", "speed", "socks", "charset", "truststore", "cli", "demo")
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
