"""Type checkers know the results of calls and reject unknown arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import asks_fast._client.argument_types as arguments
from asks_fast._config.options import (
    CONNECTOR_OPTIONS,
    POOL_OPTIONS,
    SESSION_DEFAULTS,
    RequestOptions,
)

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
REQUEST = RequestOptions.__annotations__.keys() - {"connection", "explicit"}


def test_arguments_of_a_request() -> None:
    """The declared names are those that a request accepts, except `stream`."""
    known = arguments.PreparedArguments.__annotations__.keys()
    assert known == REQUEST | arguments.ConnectionArguments.__annotations__.keys() | {"ssl_context"}
    assert "stream" not in arguments.RequestArguments.__annotations__


def test_arguments_of_a_session() -> None:
    """The declared names are those that a session accepts, except those in its signature."""
    known = arguments.SessionArguments.__annotations__.keys()
    named = {"encoding", "persist_cookies", "stream"}
    own = {"cache", "headers"}
    assert known | named == SESSION_DEFAULTS | CONNECTOR_OPTIONS | POOL_OPTIONS.keys() | own


def test_arguments_of_a_call() -> None:
    """A one-shot call accepts those of a request and of connections."""
    known = arguments.OneShotArguments.__annotations__.keys()
    assert known | {"stream"} == REQUEST | CONNECTOR_OPTIONS


def check(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a checker on the examples of this folder."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            *command,
            *(str(HERE / name) for name in ("answers.py", "calls.py")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )


def test_mypy(tmp_path: Path) -> None:
    """mypy in strict mode agrees with each line of the examples."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    done = check(
        "mypy", "--strict", "--warn-unused-ignores", "--cache-dir", str(tmp_path), "--config-file=",
        "--ignore-missing-imports", "--follow-imports=silent",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
