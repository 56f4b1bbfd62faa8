"""Imports point downwards: the rooms of docs/architecture.md, held by reading every import.

Rules:  a module imports from its own room or from lower ones, wherever the import stands;
        `if TYPE_CHECKING:` is free, since nothing is imported then. No two modules need each
        other in order to load. A module that stands in no room fails the test.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "asks_fast"

# From the top of the house to its foundation. A name is a module or a
# package of asks_fast, `name_*` the family of modules that share a prefix.
ROOMS = [
    ("the names a user imports", ["__init__"]),
    (
        "programs and helpers above sessions",
        [
            "__main__",
            "cli",
            "crawl",
            "scaleout",
            "testing",
            "drop_in",
            "request_object",
            "req_structs",
        ],
    ),
    ("how programs start others", ["child"]),
    ("blocking calls", ["sync"]),
    ("one-shot functions", ["base_funcs"]),
    ("sessions: defaults, lifetime, conversation", ["sessions", "session_*", "conversation"]),
    ("who may hold a conversation before a redirect", ["hops"]),
    ("what is read of an answer that leads on", ["passing_over"]),
    ("one prepared request", ["request", "options", "arguments"]),
    ("what an answer is", ["response_objects", "stream_body", "json_errors"]),
    ("connections", ["transport"]),
    (
        "one concern each",
        ["multipart", "auth", "netrc_auth", "cookie_*", "body", "decoding", "http_utils"],
    ),
    (
        "their parts",
        ["digest", "challenges", "body_*", "codings", "coding_*", "charsets"],
    ),
    ("addresses and fields", ["urls", "url_*", "fields"]),
    ("where a call runs: curio, asyncio, trio", ["_guest"]),
    ("kernel", ["kernel"]),
    ("compiled", ["_hotpath", "_kernel"]),
    ("what curio does not offer", ["deadlines", "shutdown"]),
    ("who may stand in for the wire", ["interception"]),
    ("errors, and the names of credentials", ["errors", "tracebacks", "sensitive"]),
    ("the version", ["_version"]),
]

# Imports that look upwards on purpose, each inside a function that runs when all is loaded.
ON_PURPOSE = {
    ("response_objects", "request"): "the request of the swift way is made up when asked for",
    ("sessions", "crawl.mapping"): "`session.map` leads into the crawl room",
    ("errors", "json_errors"): "it derives from json's, and `json` must not load at import",
    ("errors", "transport.tls"): "TLS errors derive from ssl's, and `ssl` must not load at import",
}

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def level(module: str) -> int:
    """How far down the module's room is; the top is 0."""
    name = module.split(".")[0]
    for number, (_, names) in enumerate(ROOMS):
        if any(fnmatch(name, pattern) for pattern in names):
            return number
    pytest.fail(f"asks_fast/{name} stands in no room: say in which in ROOMS")


def runtime_nodes(tree: ast.AST, in_functions: bool) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING:`, and maybe those in functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not in_functions:
            continue
        yield node
        yield from runtime_nodes(node, in_functions)


def imports_of(module: str, in_functions: bool = True) -> set[str]:
    """The modules of asks_fast that `module` imports: anywhere in it, or when it is loaded."""
    found: set[str] = set()
    for node in runtime_nodes(ast.parse(MODULES[module].read_text()), in_functions):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # one dot is the package that the module is in
                package = f"asks_fast.{module}".split(".")[: -node.level]
                base = ".".join([*package, *([base] if base else [])])
            found.update(
                f"{base}.{alias.name}" if is_module(f"{base}.{alias.name}") else base
                for alias in node.names
            )
    inside = {local(name) for name in found if name.split(".")[0] == "asks_fast"}
    return {name for name in inside if (module, name) not in ON_PURPOSE}


def local(name: str) -> str:
    """Dotted name inside the package; `asks_fast` itself is `__init__`."""
    inner = name.removeprefix("asks_fast").lstrip(".")
    if not inner:
        return "__init__"
    return f"{inner}.__init__" if f"{inner}.__init__" in MODULES else inner


def is_module(name: str) -> bool:
    inner = name.removeprefix("asks_fast.")
    return inner in MODULES or f"{inner}.__init__" in MODULES or inner in ("_hotpath", "_kernel")


@pytest.mark.smoke
@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    """A module imports its own room and the rooms below, and nothing above or beside."""
    for imported in imports_of(module):
        assert level(imported) >= level(module), f"{module} imports {imported}, a room above it"


def test_the_page_of_rooms() -> None:
    """The table in docs/architecture.md has these rooms in this order, the files of src_pyx each
    stand in theirs, and whoever adds a module finds its room there."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.split("## The rooms")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*`) \|", table, re.MULTILINE)
    assert [re.findall(r"`(.+?)/?`", row) for row in rows] == [names for _, names in ROOMS]
    assert all(level(module) >= 0 for module in MODULES)
    files = set(re.findall(r"^\| `(\w+)` \|", page.split("## The compiled half")[1], re.MULTILINE))
    there = {path.stem for path in (ROOT / "src_pyx").glob("*.pyx")} - {"_hotpath", "kernel"}
    assert files == there


def test_no_circles() -> None:
    """No module, while it loads, comes back to itself by way of what it imports."""
    graph = {module: imports_of(module, in_functions=False) & MODULES.keys() for module in MODULES}
    done: set[str] = set()

    def walk(module: str, way: list[str]) -> None:
        assert module not in way, f"circle: {' > '.join([*way[way.index(module) :], module])}"
        if module not in done:
            for imported in graph[module] - {module}:
                walk(imported, [*way, module])
            done.add(module)

    for module in graph:
        walk(module, [])
