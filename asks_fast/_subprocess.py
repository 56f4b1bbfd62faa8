"""Start programs of this package in processes of their own.

Facts:  `python -m` looks into the working directory first, where another copy of asks_fast may be,
        such as a source tree without compiled modules.
Invariants: the child runs the same copy as its parent.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

_RUN = (
    "import runpy, sys; sys.path[0] = sys.argv.pop(1); module = sys.argv.pop(1);"
    "runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs `module` of asks_fast, as `python -m` does, with `arguments`."""
    home = str(Path(__file__).resolve().parent.parent)
    return [sys.executable, "-c", _RUN, home, module, *arguments]


def exit_with_parent() -> None:
    """End this process when its standard input ends, as its parent has closed it or is dead."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
