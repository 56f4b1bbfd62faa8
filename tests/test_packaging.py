"""What pyproject.toml promises: extras that exist, errors that name them, a lean import."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXTRA = re.compile(r"asks-fast\[([\w,]+)\]")

# Imported only by the function that needs it: `import asks_fast` must not pay for it.
NOT_AT_IMPORT = {
    *("ssl", "json", "email", "zipfile", "concurrent.futures", "asyncio", "idna"),
    *("brotli", "zstandard", "isal", "orjson", "publicsuffixlist", "python_socks", "dask"),
    *("rich", "click", "charset_normalizer", "truststore", "warcio", "protego"),
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
    """An error that says `pip install "asks-fast[x]"` names an extra that is there."""
    named = {
        extra
        for path in (ROOT / "asks_fast").rglob("*.py")
        for match in EXTRA.findall(path.read_text())
        for extra in match.split(",")
    }
    assert named <= extras().keys()


def test_all_holds_every_extra_for_users() -> None:
    """`asks-fast[all]` is everything a user may want but the heavy ones."""
    assert EXTRA.findall(extras()["all"]) == ["speed,socks,charset,truststore,cli"]


@pytest.mark.smoke
def test_command_line_without_its_extra_says_what_to_install() -> None:
    """`asks-fast` without click names the extra and stops."""
    done = run_python(
        "import sys; sys.modules['click'] = None; from asks_fast.cli import main; main()"
    )
    assert done.returncode == 1
    assert 'pip install "asks-fast[cli]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_demo_without_granian_says_what_to_install() -> None:
    """`asks-fast demo` without a server package names the extra and stops."""
    done = run_python(
        "import sys; sys.modules['granian'] = None; sys.argv = ['asks-fast', 'demo']\n"
        "from asks_fast.cli import main; main()"
    )
    assert done.returncode == 1
    assert 'pip install "asks-fast[demo]"' in done.stderr
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
    """`import asks_fast` starts no thread, opens nothing, and leaves heavy modules alone."""
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
