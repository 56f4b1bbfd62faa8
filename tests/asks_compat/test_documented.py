"""The documented programs of asks that start tasks and return, as processes of their own.

Facts:  these programs were written when `curio.run` waited for all tasks. Since curio 0.9 it
        returns when `main` does, and cancels the rest.
Rules:  each file of `documented/` is an example of the documentation with a host filled in.
        `http://example.org` is the application of tests/support/app.py. Each runs unchanged, and
        with only its last line changed.
Not here: what the programs of `programs/` print (`test_programs`).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.servers import Server

import asks_fast

REQUESTS = {
    "overview_one_shots": 3,
    "readme_many": 15,
    "sessions_disparate": 15,
    "sessions_no_arguments": 1,
    "sessions_stateful": 1,
    "sessions_ten_thousand": 10_000,
}
INSTALL = "import asks_fast; asks_fast.install_as_asks()\n"
# What curio says about tasks that were never joined, and Python about sessions left open.
EXPECTED_WARNINGS = ("never joined", "was never closed", "warnings.warn(")


def program(name: str, server: Server) -> str:
    source = (Path(__file__).parent / "documented" / f"{name}.py").read_text()
    return INSTALL + source.replace("http://example.org", server.url)


def run(source: str, folder: Path) -> None:
    """Run a program; it must exit with status 0 and say nothing but those warnings."""
    file = folder / "program.py"
    file.write_text(source)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=60)
    unexpected_argument = [
        line
        for line in done.stderr.splitlines()
        if not any(warning in line for warning in EXPECTED_WARNINGS)
    ]
    assert (done.returncode, done.stdout, unexpected_argument) == (0, "", [])


async def answered(server: Server) -> int:
    """How many requests the server has seen, this one included."""
    count: int = (await asks_fast.get(f"{server.url}/stats")).json()["requests"]
    return count


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("run_call", ["curio.run", "asks_fast.run"])
def test_unchanged_examples(name: str, run_call: str, app_server: Server, tmp_path: Path) -> None:
    """The program ends without an error when `main` returns, whatever is still under way."""
    source = program(name, app_server)
    assert source.count("curio.run(") == 1
    run(source.replace("curio.run(", f"{run_call}("), tmp_path)


@pytest.mark.kernels("stock")
@pytest.mark.parametrize("name", REQUESTS)
async def test_with_its_last_line_changed(name: str, app_server: Server, tmp_path: Path) -> None:
    """`asks_fast.run(main, wait_for_tasks=True)`: every request is sent and answered."""
    *lines, last = program(name, app_server).splitlines()
    argument = last.removeprefix("curio.run(").removesuffix(")")
    before = await answered(app_server)
    run("\n".join([*lines, f"asks_fast.run({argument}, wait_for_tasks=True)"]), tmp_path)
    assert await answered(app_server) - before - 1 == REQUESTS[name]
