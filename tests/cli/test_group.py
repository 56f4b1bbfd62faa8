"""`asks-fast` without a valid command, and Ctrl-C before a command handles it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.commands import PROGRAM


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gte", "Did you mean get?"),
        ("Fetch", "Did you mean fetch?"),
        ("benhc", "Did you mean bench?"),
        ("xyz", "Commands: get, fetch, crawl, bench, demo"),
        ("https://example.org/?a=1&b", "asks-fast get 'https://example.org/?a=1&b'"),
        ("example.org", "asks-fast get example.org"),
    ],
)
def test_unknown_commands(name: str, hint: str) -> None:
    """The error for an unknown command names the one that was probably meant."""
    done = subprocess.run([*PROGRAM, name, "--json"], capture_output=True, text=True, timeout=250)
    assert done.returncode == 2
    assert hint in done.stderr
    assert f"no such command {name!r}" in done.stderr


def test_unknown_options() -> None:
    """The error for an unknown option of a command names a similar one."""
    command = [*PROGRAM, "bench", "--conections", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 2
    assert "--connections" in done.stderr


def test_interrupted_while_the_input_is_read(tmp_path: Path) -> None:
    """Ctrl-C before a run has begun ends the command with status 130, too."""
    pipe = tmp_path / "urls"
    os.mkfifo(pipe)
    with (
        subprocess.Popen(
            [*PROGRAM, "fetch", str(pipe)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process,
        pipe.open("w"),
    ):  # waits until the command reads
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=250)
    assert process.returncode == 130
    assert b"Traceback" not in messages
