"""What pyproject.toml promises: extras that exist, errors that name them, a small import."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

import asks_fast

ROOT = Path(__file__).resolve().parent.parent
DEVELOPER_EXTRAS = {"test", "lint", "docs", "dev"}
EXTRA = re.compile(r"asks-fast\[([\w,]+)\]")

# Imported only by the function that needs it: `import asks_fast` must not pay for it.
NOT_AT_IMPORT = {
    *("email", "zipfile", "concurrent.futures", "asyncio", "idna"),
    *("brotli", "zstandard", "isal", "orjson", "publicsuffixlist", "dask"),
    *("rich", "click", "charset_normalizer", "truststore", "warcio", "protego"),
    *("opentelemetry", "prometheus_client"),
}


def extras() -> dict[str, str]:
    """The extras of pyproject.toml and what each installs, as text."""
    text = (ROOT / "pyproject.toml").read_text()
    table = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    pieces = re.split(r"^([\w-]+) = ", table, flags=re.MULTILINE)[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)


def test_every_extra_that_a_message_names_exists() -> None:
    """A call of `missing_extra` names an existing extra, and packages that it contains."""
    text = r"""(?:\w+|f?"[^"]*"|f?'[^']*')"""
    call = re.compile(rf'missing_extra\(\s*{text},\s*"([^"]+)",\s*"(\w+)"')
    sources = (path.read_text() for path in (ROOT / "asks_fast").rglob("*.py"))
    found = [match for source in sources for match in call.findall(source)]
    assert len(found) >= 14
    for packages, extra in found:
        for package in packages.replace("'", "").split():
            assert f'"{package}' in extras()[extra], (package, extra)


def test_no_text_installs_from_pypi_before_a_release() -> None:
    """Until there is a release, no message and no page tells users to install one."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*")]
    sources = [*(ROOT / "asks_fast").rglob("*.py*"), *(ROOT / "src_pyx").rglob("*.p*")]
    for path in {*pages, *sources} - {ROOT / "docs" / "releasing.md"}:
        if path.suffix in (".md", ".py", ".pyi", ".pyx", ".pxd"):
            assert not re.search(r"pip install [\"']?asks[-_]fast\b", path.read_text()), path


def test_readme_and_docs_list_the_extras_for_users() -> None:
    """The README's sentence and the table of docs/index.md name every extra, and no other."""
    readme = (ROOT / "README.md").read_text()
    sentence = readme.split("The extras are")[1].split("[what each installs]")[0]
    table = (ROOT / "docs" / "index.md").read_text().split("## Extras")[1].split("\n## ")[0]
    in_readme = set(re.findall(r"`(\w+)`", sentence))
    in_docs = set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE))
    assert in_readme == in_docs == extras().keys() - DEVELOPER_EXTRAS


def test_all_holds_every_extra_for_users() -> None:
    """`asks-fast[all]` has everything for users except the large packages."""
    assert EXTRA.findall(extras()["all"]) == ["speed,charset,truststore,cli,crawl"]


@pytest.mark.smoke
def test_command_line_without_its_extra_says_what_to_install() -> None:
    """`asks-fast` without click names the extra and stops."""
    done = run_python(
        "import sys; sys.modules['click'] = None; from asks_fast.cli import main; main()"
    )
    assert done.returncode == 1
    assert "pip install click rich (extra cli of asks-fast)" in done.stderr
    assert "Traceback" not in done.stderr


def test_windows_is_refused() -> None:
    """On Windows the import raises an error that says what is supported."""
    done = run_python("import sys; sys.platform = 'win32'; import asks_fast")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "ImportError: asks_fast does not support Windows: it runs on Linux and macOS\n"
    )


def test_source_folder_is_refused(tmp_path: Path) -> None:
    """In a clone that is not compiled, Python finds the source code first: the error says so."""
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(Path(asks_fast.__file__).parent, tmp_path / "asks_fast", ignore=ignored)
    command = [sys.executable, "-S", "-c", "import asks_fast"]  # without what is installed
    done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"ImportError: the folder {tmp_path / 'asks_fast'} is the source code" in done.stderr
    assert "run the program in another folder" in done.stderr
    assert "circular import" not in done.stderr


def test_demo_without_granian_says_what_to_install() -> None:
    """`asks-fast demo` without a server package names the extra and stops."""
    done = run_python(
        "import sys; sys.modules['granian'] = None; sys.argv = ['asks-fast', 'demo']\n"
        "from asks_fast.cli import main; main()"
    )
    assert done.returncode == 1
    assert "pip install granian (extra demo of asks-fast)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.smoke
def test_help_imports_no_command() -> None:
    """`asks-fast --help` lists the commands without importing them."""
    done = run_python(
        "import sys; sys.argv = ['asks-fast', '--help']\n"
        "from asks_fast.cli import main\n"
        "try: main()\n"
        "except SystemExit: print([m for m in sys.modules if m == 'asks_fast.cli.demo'])"
    )
    assert "demo" in done.stdout
    assert done.stdout.endswith("[]\n")


@pytest.mark.smoke
def test_import_is_lean() -> None:
    """`import asks_fast` starts no thread, opens nothing, and imports no large module."""
    done = run_python(
        "import sys; before = set(sys.modules)\n"
        "import curio, threading; threads = threading.active_count()\n"
        "curios = set(sys.modules)\n"
        "import asks_fast\n"
        "assert threading.active_count() == threads\n"
        "print(*sorted(set(sys.modules) - curios))"
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert not loaded & NOT_AT_IMPORT


@pytest.mark.smoke
def test_an_installed_package_brings_its_pytest_plugin(tmp_path: Path) -> None:
    """pytest finds the fixtures by the entry point of the package, without a conftest."""
    if not any(point.name == "asks_fast" for point in entry_points(group="pytest11")):
        pytest.skip("asks_fast is not installed here, but run from its folder")
    (tmp_path / "test_it.py").write_text(
        "import asks_fast, pytest\n"
        "@pytest.mark.curio\n"
        "async def test_route(asks_routes):\n"
        "    asks_routes.get('https://api.test/', 'hello')\n"
        "    assert (await asks_fast.get('https://api.test/')).text == 'hello'\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_sdist_has_every_file() -> None:
    """Every file in git is in the sdist, except those for development only."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a clone")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    lines = [line.split() for line in (ROOT / "MANIFEST.in").read_text().splitlines()]
    grafted = tuple(f"{words[1]}/" for words in lines if words[0] == "graft")
    included = {name for words in lines if words[0] == "include" for name in words[1:]}
    always = {"MANIFEST.in", "pyproject.toml", "setup.py", ""}
    at_home = (".github/", ".gitignore", ".pre-commit-config.yaml")
    missing = {
        name
        for name in listed
        if name not in included | always and not name.startswith(("asks_fast/", *grafted, *at_home))
    }
    assert missing == set()
    kinds = {Path(name).suffix for name in listed if name.startswith("asks_fast/")}
    assert kinds == {".py", ".pyi", ".typed"}, "package-data in pyproject.toml names the others"


def test_actions_are_pinned_by_commit() -> None:
    """GitHub actions are pinned by commit: a tag can be moved to other code."""
    workflows = ROOT / ".github" / "workflows"
    if not workflows.exists():
        pytest.skip("not a clone")
    text = "".join(path.read_text() for path in workflows.glob("*.yml"))
    actions = re.findall(r"uses: (.*)", text)
    assert actions
    pinned = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}  # v[\d.]+")
    assert [action for action in actions if not pinned.fullmatch(action)] == []


def test_tools_are_pinned_in_one_place() -> None:
    """Every tool of `lint`, and of the test runner, has an exact version in .ci/tools.txt."""
    lines = (ROOT / ".ci" / "tools.txt").read_text().splitlines()
    pinned = {line.partition("==")[0] for line in lines if "==" in line}
    tools = set(re.findall(r'"([\w-]+)', extras()["lint"])) | {"coverage", "pytest", "hypothesis"}
    assert tools - pinned == set()
    others = [ROOT / "pyproject.toml", ROOT / "Makefile", *(ROOT / ".ci").glob("*.sh")]
    assert [path.name for path in others if re.search(r"\w==\d", path.read_text())] == []


def test_every_supported_python_is_named_everywhere() -> None:
    """Classifiers, wheels, `make test-all` and the workflow of the tests name the same versions."""
    project = (ROOT / "pyproject.toml").read_text()
    versions = re.findall(r"Python :: (3\.\d+)", project)
    wheels = re.search(r'^build = "(.*)"', project, re.MULTILINE)
    assert wheels is not None
    assert wheels[1].split() == [f"cp{version.replace('.', '')}-*" for version in versions]
    assert f"VERSIONS := {' '.join(versions)}\n" in (ROOT / "Makefile").read_text()
    workflow = ROOT / ".github" / "workflows" / "tests.yml"
    if workflow.exists():
        assert f"python: {versions}".replace("'", '"') in workflow.read_text()


def test_wheels_are_tested_with_what_the_tests_import() -> None:
    """cibuildwheel copies each directory of the repository that the tests import from."""
    project = (ROOT / "pyproject.toml").read_text()
    sources = re.search(r"^test-sources = \[(.*)\]", project, re.MULTILINE)
    assert sources is not None
    texts = [path.read_text() for path in (ROOT / "tests").rglob("*.py")]
    imports = re.compile(r"^(?:from|import) (\w+)", re.MULTILINE)
    imported = {name for text in texts for name in imports.findall(text)}
    here = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"asks_fast"}
    assert imported & here == {"bench"}
    assert {"tests", *(imported & here)} <= set(re.findall(r'"([^"]+)"', sources[1]))


WITHOUT_EXTRAS = """
import importlib
import sys
for name in (
    "brotli brotlicffi zstandard isal orjson backports charset_normalizer truststore "
    "warcio protego pyarrow pyarrow.parquet dask httpx httpx2 scrapy "
    "opentelemetry prometheus_client"
).split():
    sys.modules[name] = None

import curio
from asks_fast import DSession, testing
from asks_fast.crawl import Politeness
from asks_fast.crawl.formats import get_format
from asks_fast.crawl.parquet import import_parquet
from asks_fast.scaleout import fetch_bag

async def get(politeness=None, **options):
    async with DSession(**options) as session:
        [result] = await session.gather(["https://localhost:1/"], politeness=politeness)
        result.unwrap()

asked = {
    "charset": lambda: curio.run(lambda: get(detect_encoding=True)),
    "truststore": lambda: curio.run(lambda: get(verify="truststore")),
    "cli: WARC": lambda: get_format("pages.warc", None, "auto", False),
    "cli: zstd": lambda: get_format("pages.jsonl.zst", None, "auto", False),
    "cli: robots": lambda: curio.run(lambda: get(Politeness(robots=True))),
    "parquet": import_parquet,
    "dask": lambda: fetch_bag(["http://localhost:1/"]),
    "httpx": lambda: importlib.import_module("asks_fast.contrib.httpx"),
    "scrapy": lambda: importlib.import_module("asks_fast.contrib.scrapy"),
    "httpx2": lambda: importlib.import_module("asks_fast.contrib.httpx2"),
    "opentelemetry": lambda: importlib.import_module("asks_fast.contrib.opentelemetry"),
    "prometheus": lambda: importlib.import_module("asks_fast.contrib.prometheus"),
}
for extra, ask in asked.items():
    try:
        ask()
    except Exception as error:
        print(extra, "|", error)

with testing.Routes() as routes:
    routes.get("http://localhost:1/", "fine")
    async def fields():
        async with DSession() as session:
            return (await session.get("http://localhost:1/")).request.headers["Accept-Encoding"]
    print("speed |", curio.run(fields))
"""


def test_what_needs_a_missing_extra_names_it() -> None:
    """Each extra that is missing is named by the error of what needs it; `speed` is not needed:
    what it would decode is not asked for (Python 3.14 decodes zstd itself)."""
    done = run_python(WITHOUT_EXTRAS)
    assert done.returncode == 0, done.stderr
    said = dict(line.split(" | ") for line in done.stdout.splitlines())
    own = ["gzip", "deflate", *(["zstd"] if find_spec("_zstd") else [])]
    assert said.pop("speed") == ", ".join(own)
    assert len(said) == 12
    for needed, words in said.items():
        assert re.search(rf"pip install .*\(extra {needed.partition(':')[0]} of asks-fast\)", words)
