"""System calls that fail or do less than requested, many thousands of them, in a separate program.

failing_calls.c is compiled by the test. Failures that need no such library are in test_faults.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.servers import Server

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def failing_calls(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library that makes system calls fail."""
    if sys.platform != "linux":
        pytest.skip("needs LD_PRELOAD and epoll")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("failing") / "failing_calls.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library)]
    subprocess.run([*command, str(HERE / "failing_calls.c"), "-ldl"], check=True, timeout=100)
    return str(library)


@pytest.mark.parametrize("run_by", ["stock", "own"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_failing_calls(
    failing_calls: str,
    app_server: Server,
    tls_server: Server,
    certificate_authority: Any,
    run_by: str,
    tls: bool,
    tmp_path: Path,
) -> None:
    """Interrupted and short calls affect no request; failing ones affect their own request only."""
    url = tls_server.url if tls else app_server.url
    command = [sys.executable, str(HERE / "failing_calls.py"), url, run_by]
    if tls:
        certificate_authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        command.append(str(tmp_path / "ca.pem"))
    path = os.pathsep.join([str(HERE.parent), *filter(None, sys.path)])
    preload = " ".join(filter(None, [os.getenv("LD_PRELOAD"), failing_calls]))
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path, "LD_PRELOAD": preload},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.endswith("fine\n"), done.stdout + done.stderr[-3000:]
    assert done.stderr == ""
