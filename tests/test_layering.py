"""Imports point downwards: each module imports its own layer and the layers below it.

Rules:  every import counts, those under `if TYPE_CHECKING:` and those inside functions included.
        There is no list of exceptions. A module that stands in no layer fails the test.
        `python tests/test_layering.py` writes the layers into docs/architecture.md.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "asks_fast"
PAGE = ROOT / "docs" / "architecture.md"

# From the top to the bottom. A name is a module or a package of asks_fast, or a pattern.
LAYERS = [
    ("the names that users import", ["__init__"]),
    (
        "commands, adapters, stand-ins for asks",
        ["cli", "contrib", "compat", "__main__", "request_object", "req_structs"],
    ),
    ("test kit, distributed runs", ["testing", "scaleout"]),
    ("many requests, politeness, output files", ["crawl"]),
    ("how a program starts another one of this package", ["_subprocess"]),
    ("blocking calls", ["sync"]),
    ("one-shot functions", ["base_funcs"]),
    ("sessions: defaults, lifetime", ["sessions"]),
    ("what one call leads to", ["_client", "_cache"]),
    ("from a route to a connected socket", ["_transport"]),
    ("what comes back", ["response_objects", "_response", "http_utils"]),
    ("what is sent", ["_request", "multipart"]),
    ("authentication", ["auth", "_auth"]),
    ("cookies", ["cookie_utils", "_cookies"]),
    ("URLs", ["urls", "_url"]),
    ("options, time limits, events: value types", ["_config"]),
    ("host event loops: asyncio, trio, threads", ["_guest"]),
    ("curio's kernel, compiled", ["kernel"]),
    ("compiled code", ["_hotpath", "_kernel"]),
    ("interception of exchanges", ["_config.interceptor"]),
    ("readable tracebacks", ["_tracebacks"]),
    ("errors", ["errors", "_extras"]),
    ("syntax of header fields", ["_header_syntax"]),
    ("names of credentials", ["_sensitive"]),
    ("curio: time limits, shutdown", ["_deadlines", "_shutdown"]),
    ("private curio API", ["_curio"]),
    ("version, aliases for annotations", ["_version", "_annotations"]),
]

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def level(module: str) -> int:
    """The number of the module's layer; the top is 0."""
    found = [
        (len(pattern), number)
        for number, (_, patterns) in enumerate(LAYERS)
        for pattern in patterns
        if module == pattern or module.startswith(f"{pattern}.")
    ]
    if not found:
        pytest.fail(f"asks_fast/{module} stands in no layer: add it to LAYERS")
    return max(found)[1]


def imports_of(module: str) -> set[str]:
    """The modules of asks_fast that `module` imports anywhere in its source."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
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
    return {local(name) for name in found if name.split(".")[0] == "asks_fast"}


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
    """A module imports its own layer and lower layers only, typing imports included."""
    for imported in imports_of(module):
        assert level(imported) >= level(module), f"{module} imports {imported}, a higher layer"


def test_no_cycles() -> None:
    """No module reaches itself through its imports, typing imports included."""
    graph = {module: (imports_of(module) & MODULES.keys()) - {module} for module in MODULES}
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> None:
        if module in path:
            pytest.fail(f"import cycle: {' > '.join([*path[path.index(module) :], module])}")
        if module not in done:
            for imported in sorted(graph[module]):
                walk(imported, [*path, module])
            done.add(module)

    for module in graph:
        walk(module, [])


def with_layers(page: str) -> str:
    """The page with the table of layers between its two marks."""
    rows = [f"| {layer} | {' '.join(f'`{name}`' for name in names)} |" for layer, names in LAYERS]
    table = "\n".join(["| layer, from the top | modules and packages |", "|---|---|", *rows])
    marks = r"(<!-- layers: generated -->\n).*?(?=<!-- /layers -->)"
    return re.sub(marks, lambda mark: f"{mark[1]}\n{table}\n\n", page, flags=re.DOTALL)


def test_the_page_shows_these_layers() -> None:
    """docs/architecture.md has the table that `python tests/test_layering.py` writes."""
    assert with_layers(PAGE.read_text()) == PAGE.read_text()


if __name__ == "__main__":
    PAGE.write_text(with_layers(PAGE.read_text()))
