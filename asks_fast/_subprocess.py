"""How a program of this package starts another one in a process of its own.

Fact:   `python -m` looks into the working directory first, where another copy of asks_fast may
        lie, such as a source tree that was never built.
Rule:   the child runs the very copy that its parent runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

_RUN = (
    "import runpy, sys; sys.path[0] = sys.argv.pop(1); module = sys.argv.pop(1);"
    "runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs `module` of asks_fast, as `python -m` would, with `arguments`."""
    home = str(Path(__file__).resolve().parent.parent)
    return [sys.executable, "-c", _RUN, home, module, *arguments]
