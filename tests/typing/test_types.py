"""Type checkers know the results of calls and reject unknown arguments."""

from __future__ import annotations

import os
import re
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


WRONG = {
    "timeout": "'5'",
    "retries": "'3'",
    "headers": "7",
    "auth": "'user'",
    "params": "5",
    "callback": "5",
    "max_body": "1.5",
    "verify": "3",
    "on_event": "5",
    "proxy": "object()",
    "follow_redirects": "[]",
    "cookies": "print",
    "stream": "'yes'",
}
VERBS = ["get", "head", "post", "put", "delete", "options", "patch"]
LONGEST = 1000  # bytes of a message, without the names of file and line


def wrong_calls() -> list[str]:
    """Calls that have one wrong argument each: every verb, session and function, streamed too."""
    calls = []
    for verb in VERBS:
        for name, value in WRONG.items():
            for function in (f"session.{verb}", f"blocking.{verb}"):
                calls.append(f"{function}({name}={value})")
            for function in (f"asks_fast.{verb}", f"sync.{verb}"):
                calls.append(f"{function}('http://h', {name}={value})")
    for name, value in WRONG.items():
        calls.append(f"session.request('GET', {name}={value})")
        calls.append(f"asks_fast.request('GET', 'http://h', {name}={value})")
        calls.append(f"sync.request('GET', 'http://h', {name}={value})")
        if name != "stream":
            calls.append(f"session.get({name}={value}, stream=True)")
            calls.append(f"session.post('/', {name}={value}, stream=bool())")
            calls.append(f"asks_fast.get('http://h', {name}={value}, stream=True)")
    misspelt = [f"{name}.{verb}(timout=5)" for name in ("session", "asks_fast") for verb in VERBS]
    return [
        *calls, *misspelt, "session.get(5)", "session.request(5)", "asks_fast.get(5)", "sync.get(5)"
    ]  # fmt: skip


def test_short_messages_of_mypy(tmp_path: Path) -> None:
    """For a wrong argument mypy prints one error of at most 1 KB, which names the argument."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    calls = wrong_calls()
    head = [
        "import asks_fast",
        "from asks_fast import HSession, sync",
        "def made(session: HSession, blocking: sync.HSession) -> None:",
    ]
    program = tmp_path / "program.py"
    program.write_text("\n".join([*head, *(f"    _ = {call}" for call in calls)]) + "\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-pretty"),
            *("--ignore-missing-imports", "--follow-imports=silent"),
            *("--cache-dir", str(tmp_path / "cache"), str(program)),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )
    messages: dict[int, str] = {}
    for line in done.stdout.splitlines():
        found = re.match(r".*program\.py:(\d+): (.*)", line)
        if found is not None:
            number = int(found[1]) - len(head) - 1
            messages[number] = messages.get(number, "") + found[2] + "\n"
    assert messages.keys() == set(range(len(calls))), done.stdout[:5000] + done.stderr
    for number, message in messages.items():
        assert len(message.encode()) <= LONGEST, f"{calls[number]}: {message}"
        name = re.search(r"(\w+)=", calls[number])
        assert f'"{name[1]}"' in message if name else "Argument 1" in message


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
