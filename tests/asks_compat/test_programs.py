"""Programs written for asks: nothing but the import line differs.

Rules:  each file of `programs/` is a program of one generation of asks, or an example of its
        documentation, and ends with what it prints. It runs twice: with `asks_fast` in its import
        lines, and not changed at all under `install_as_asks()`. `http://example.org` is the
        application of asks_fast/cli/demo_app.py.
Not here: single names and arguments (the other files of this folder).
"""

from __future__ import annotations

import gc
import re
import sys
from pathlib import Path

import pytest
from support.servers import Server

import asks_fast

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))
IMPORT = re.compile(r"^(?:import asks$|from asks(?=[. ]))", re.MULTILINE)


def with_our_import(source: str) -> str:
    """The program with its import lines changed."""
    return IMPORT.sub(lambda found: found[0].replace("asks", "asks_fast", 1), source).replace(
        "import asks_fast\n", "import asks_fast as asks\n"
    )


def prints_of(source: str) -> str:
    """What the program says it prints."""
    lines = source.partition("# prints:\n")[2].splitlines()
    return "".join(line.removeprefix("#").removeprefix(" ") + "\n" for line in lines)


@pytest.fixture
def installed() -> object:
    """`asks` is asks_fast while the test runs."""
    before = {name: module for name, module in sys.modules.items() if is_asks(name)}
    asks_fast.install_as_asks()
    yield
    for name in [name for name in sys.modules if is_asks(name)]:
        del sys.modules[name]
    sys.modules.update(before)


def is_asks(name: str) -> bool:
    return name == "asks" or name.startswith("asks.")


def run(
    source: str, path: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in re.findall(r"^import (trio|anyio)$", source, re.MULTILINE):
        pytest.importorskip(library)
        pytest.importorskip("trio")
    monkeypatch.chdir(tmp_path)
    code = compile(source.replace("http://example.org", server.url), path.name, "exec")
    names: dict[str, object] = {"__name__": "program"}
    exec(code, names)
    names.clear()
    gc.collect()  # sessions that the program did not close end here


pytestmark = [
    # The old documentation closes no session, and asks 1.x called init().
    pytest.mark.filterwarnings("ignore:.*was never closed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:asks_fast.init:DeprecationWarning"),
]
NAMES = [
    pytest.param(
        path, id=path.stem, marks=[pytest.mark.slow] if "ten_thousand" in path.stem else []
    )
    for path in PROGRAMS
]


@pytest.mark.parametrize("path", NAMES)
def test_with_another_import_line(
    path: Path,
    app_server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A program of asks does what it says it does when its import lines name asks_fast."""
    source = path.read_text()
    changed = with_our_import(source)
    assert changed != source
    run(changed, path, app_server, tmp_path, monkeypatch)
    assert capsys.readouterr().out == prints_of(source)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("path", NAMES)
def test_not_changed_at_all(
    path: Path,
    app_server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A program of asks runs as it is once `install_as_asks()` was called."""
    source = path.read_text()
    run(source, path, app_server, tmp_path, monkeypatch)
    assert capsys.readouterr().out == prints_of(source)
