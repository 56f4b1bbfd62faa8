"""Every Python block of the documentation runs, against the application of the test suite.

Rules:  a block stands alone. `http://localhost:8000` in it is the server that `asks-fast demo
        --serve` starts too (its pages are listed in asks_fast/cli/demo_app.py). A block with
        `await` at its top level is run in a kernel.
        `<!-- no-run: reason -->` on the line before a block skips it and says why.
        A block of `text` right after one of Python is what the program prints.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import curio
import pytest
from support.servers import Server

import asks_fast
import asks_fast.testing
from asks_fast._config.options import CONNECTOR_OPTIONS, POOL_OPTIONS, RequestOptions

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = "localhost:8000"
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*$")
NO_RUN = re.compile(r"<!-- no-run: (?P<reason>.+?) -->")


@dataclass(frozen=True)
class Block:
    """One fenced block of Python."""

    page: str
    line: int
    code: str
    skip: str | None
    output: str | None  # what the page says that it prints


def missing_library(code: str) -> str | None:
    """Why a block cannot run here, if it needs a library that is not installed."""
    if re.search(r"^import trio$", code, re.MULTILINE) and find_spec("trio") is None:
        return "trio is not installed"
    return None


def output_after(lines: list[str], number: int) -> str | None:
    """The block of text that begins two lines after the end of a block of Python."""
    if [line.strip() for line in lines[number : number + 2]] != ["", "```text"]:
        return None
    rest = lines[number + 2 :]
    return "\n".join(rest[: rest.index("```")]) + "\n"


def blocks_of(page: Path) -> Iterator[Block]:
    lines = page.read_text().splitlines()
    number = 0
    while number < len(lines):
        fence = FENCE.match(lines[number])
        number += 1
        if fence is None:
            continue
        start = number
        while number < len(lines) and lines[number].strip() != "```":
            number += 1
        if fence["language"] == "python":
            above = NO_RUN.search(lines[start - 2]) if start > 1 else None
            indent = len(fence["indent"])
            code = "\n".join(line[indent:] for line in lines[start:number]) + "\n"
            name = str(page.relative_to(ROOT))
            skip = above["reason"] if above else missing_library(code)
            yield Block(name, start + 1, code, skip, output_after(lines, number + 1))
        number += 1


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [block for page in PAGES if page.exists() for block in blocks_of(page)]


@pytest.fixture
def modules_as_before() -> Iterator[None]:
    """Remove modules that a block put into sys.modules (`install_as_asks`)."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.split(".")[0] == "asks":
            del sys.modules[name]


@pytest.mark.usefixtures("kernel_of_thread")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}:{block.line}")
def test_block_runs(
    block: Block,
    app_server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    modules_as_before: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The block runs without an error or a warning, and prints what the page shows."""
    if block.skip is not None:
        pytest.skip(block.skip)
    monkeypatch.chdir(tmp_path)
    text = block.code.replace(PLACEHOLDER, f"{app_server.host}:{app_server.port}")
    source = "\n" * (block.line - 1) + text  # so that a traceback names the line of the page
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, str(ROOT / block.page), "exec", flags, dont_inherit=True)
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    if code.co_flags & inspect.CO_COROUTINE:
        function = types.FunctionType(code, module.__dict__)
        with curio.Kernel() as kernel:
            kernel.run(function)
    else:
        exec(code, module.__dict__)
    if block.output is not None:
        assert capsys.readouterr().out == block.output


def test_the_reference_has_every_public_name() -> None:
    """The reference has every public name of `asks_fast` and `asks_fast.testing`."""
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    names = {name for name in asks_fast.__all__ if name not in ("errors", "__version__")}
    shown = set(re.findall(r"^::: asks_fast[\w.]*\.(\w+)$", pages, re.MULTILINE))
    assert names - shown - set(asks_fast.errors.__all__) == set()
    assert set(asks_fast.testing.__all__) - shown == set()
    assert "::: asks_fast.errors" in pages


def test_the_table_of_arguments() -> None:
    """The table has every argument of requests and sessions, and no other."""
    page = (ROOT / "docs/guide/arguments.md").read_text()
    cells = re.findall(r"^\| (`[^|]*`) \|", page, re.MULTILINE)
    listed = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    known = RequestOptions.__annotations__.keys() - {"connection", "explicit"}
    assert listed == known | CONNECTOR_OPTIONS | POOL_OPTIONS.keys() | {"cache", "connections"}


def test_every_page_is_in_the_navigation() -> None:
    """`mkdocs.yml` lists all pages, and only existing ones."""
    named = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    docs = ROOT / "docs"
    assert named == {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}


def test_architecture_names_files_that_exist() -> None:
    """Every file named in docs/architecture.md exists; its tables have all compiled files."""
    page = (ROOT / "docs/architecture.md").read_text()
    files = [
        path.relative_to(ROOT).as_posix()
        for folder in ("asks_fast", "src_pyx", "tests")
        for path in (ROOT / folder).rglob("*.p*")
    ]
    named = re.findall(r"`([\w/]+\.(?:pyx|py))`", page)
    assert [
        name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in files)
    ] == []
    first_cells = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    compiled = {path.stem for path in (ROOT / "src_pyx").rglob("*.pyx")}
    assert compiled - {"_hotpath", "_kernel"} == first_cells


def test_listed_members_of_responses_exist() -> None:
    """Each attribute that the reference lists for `Response` exists."""
    page = (ROOT / "docs/reference/responses.md").read_text()
    listed = re.findall(r"^        - (\w+)$", page, re.MULTILINE)
    assert [name for name in listed if not hasattr(asks_fast.Response, name)] == []
