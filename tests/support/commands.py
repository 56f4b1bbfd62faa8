"""The command `asks-fast` in a process of its own."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = (sys.executable, "-c", "from asks_fast.cli import main; main()")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `asks-fast bench` to its end."""
    return subprocess.run(
        [*PROGRAM, "bench", *arguments],
        capture_output=True,
        text=True,
        timeout=250,
        stdin=subprocess.DEVNULL,
    )
