"""The comparison of `bench/` runs, and its goals are judged as they are written.

Not here: figures; a test run is no place to measure.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def compare(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench.compare", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_client_has_its_script() -> None:
    """What the comparison names is there and compiles."""
    clients = compare("--list").splitlines()[1].partition(": ")[2].split(", ")
    for path in sorted((ROOT / "bench" / "clients").glob("with_*.py")):
        compile(path.read_text(), path.name, "exec")
    for client in clients:
        script = {"wrk": "bare", "pycurl_easy": "pycurl"}.get(client, client)
        if client.startswith("asks_fast_") and client != "asks_fast_sync":
            script = "asks_fast"  # the same in another kernel or event loop
        assert (ROOT / "bench" / "clients" / f"with_{script}.py").exists()


def test_client_scripts_import_what_exists() -> None:
    """The scripts start in environments of their own, so no test imports all of them."""
    folder = ROOT / "bench" / "clients"
    trees = {path.stem: ast.parse(path.read_text()) for path in folder.glob("*.py")}
    missing = [
        f"{script}: {node.module}.{alias.name}"
        for script, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in trees
        for alias in node.names
        if alias.name not in _defined_names(trees[node.module])
    ]
    assert missing == []


def _defined_names(tree: ast.Module) -> set[str]:
    """Every name that the top level of a module binds."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {
                name.id
                for target in targets
                for name in ast.walk(target)
                if isinstance(name, ast.Name)
            }
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def test_a_short_run_leaves_figures_and_a_page(tmp_path: Path) -> None:
    """A run checks the answers, writes results.json as it goes, and a page with goals."""
    output = compare(
        "--only",
        "small-1",
        "--clients",
        "asks_fast,asks_fast_own,asks_fast_asyncio,asks_fast_sync,bare",
        "--rounds",
        "1",
        "--seconds",
        "0.02",
        "--no-probes",
        "--out",
        str(tmp_path),
    )
    assert "left out" not in output
    kept = json.loads((tmp_path / "results.json").read_text())
    assert {s["client"] for s in kept["series"] if s["runs"]} == {
        "asks_fast",
        "asks_fast_own",
        "asks_fast_asyncio",
        "asks_fast_sync",
        "bare",
    }
    page = (tmp_path / "README.md").read_text()
    assert "bare socket loop" in page
    assert "| 1 connection, sequential | asks_fast on curio.run / bare socket loop |" in page
    assert (
        "| 1 connection, sequential | asks_fast on asyncio / asks_fast on asks_fast.run |" in page
    )


def test_every_kind_of_request_is_measured() -> None:
    """`bench.request_kinds` sends each kind of request and prints its row."""
    from bench.request_kinds import KINDS

    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "bench.request_kinds", "--rounds", "1", "--requests", "60"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    for kind in KINDS:
        assert f"| {kind.name} | " in done.stdout
