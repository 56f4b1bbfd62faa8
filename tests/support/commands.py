"""The command `asks-fast` in a process of its own."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = (sys.executable, "-c", "from asks_fast.cli import main; main()")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `asks-fast bench` to its end."""
    return _run("bench", *arguments)


def fetch(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `asks-fast fetch` to its end."""
    return _run("fetch", *arguments)


def start_fetch(*arguments: str) -> subprocess.Popen[bytes]:
    """Start `asks-fast fetch`."""
    return subprocess.Popen(
        [*PROGRAM, "fetch", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=250,
        stdin=subprocess.DEVNULL,
    )
