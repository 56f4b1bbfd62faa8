"""curio's own test suite passes on our kernel where it passes on curio's.

The suite comes from curio's sdist of the installed version. pip downloads it when the test runs; it
is kept in pytest's cache directory. Without access to a package index the test is skipped.

Facts:  the outcome of some of those tests depends on timing, on curio's kernel too.
Rules:  a test whose outcome differs is repeated on both kernels; it counts as a difference only if
        no outcome was seen on both. Tests that connect to the internet are deselected.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

NEED_INTERNET = [
    "tests/test_network.py::test_ssl_outgoing",
    "tests/test_network.py::test_errors",
    "tests/test_socket.py::test_create_connection",
]
HERE = Path(__file__).parent
MIN_PASSED = 200  # on curio's kernel, so that two empty sets do not count as success
TRIES = 5

Outcomes = dict[str, str]


def distribution() -> tuple[str, str]:
    """Name and version of the installed curio."""
    for name in ("curio", "curio-compat"):
        try:
            return name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    pytest.skip("curio was not installed from a package index")


@pytest.fixture(scope="module")
def suite(pytestconfig: pytest.Config) -> Path:
    """The tests from curio's sdist, without the package: the installed one is tested."""
    name, version = distribution()
    cache = Path(pytestconfig.cache.mkdir("curio-sdist"))  # type: ignore[union-attr]
    folder = cache / f"{name.replace('-', '_')}-{version}"
    if not (folder / "examples").is_dir():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-binary", ":all:"]
        command += ["--no-deps", "--dest", str(cache), f"{name}=={version}"]
        if find_spec("setuptools") and find_spec("wheel"):  # else pip fetches them for the metadata
            command.append("--no-build-isolation")
        download = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        archives = list(cache.glob(f"*{version}.tar.gz"))
        if not archives:
            pytest.skip(f"no sdist of {name} {version} available: {download.stderr.strip()[-300:]}")
        unpack(archives[0], folder)
    return folder


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the tests, and the examples, whose certificates some tests use."""
    with tarfile.open(archive) as sdist:
        for member in sdist.getmembers():
            folder_name, name = Path(member.name).parts[1:2], Path(member.name).name
            if member.isfile() and folder_name in (("tests",), ("examples",)):
                content = sdist.extractfile(member)
                assert content is not None
                target = folder / folder_name[0] / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())


def run_suite(suite: Path, report: Path, ours: bool, tests: list[str]) -> Outcomes:
    """Run the suite in another process; returns {test id: passed, failed or skipped}."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=60"]
    command += ["-o", "addopts=", "-W", "ignore", f"--junitxml={report}"]
    command += [f"--rootdir={suite}", "-c", os.devnull]
    command += [f"--deselect={test}" for test in NEED_INTERNET]
    if find_spec("xdist"):  # these tests mostly sleep
        command += ["-n", "4", "--dist", "loadfile"]
    if ours:
        command += ["-p", "curio_on_asks_fast"]
    path = os.pathsep.join([str(HERE), os.environ["PYTHONPATH"]])
    process = subprocess.run(
        [*command, *(tests or ["tests"])],
        cwd=suite,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert report.exists(), process.stdout[-3000:] + process.stderr[-1000:]
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        result = "failed" if kinds & {"failure", "error"} else "passed"
        found[name_of(case, suite)] = "skipped" if "skipped" in kinds else result
    report.unlink()
    return found


def name_of(case: ElementTree.Element, suite: Path) -> str:
    """The pytest id of a test; the report only has dotted names."""
    parts = case.get("classname", "").split(".")
    classes: list[str] = []
    while len(parts) > 1 and not suite.joinpath(*parts).with_suffix(".py").is_file():
        classes.insert(0, parts.pop())
    return "::".join(["/".join(parts) + ".py", *classes, case.get("name", "")])


def run_both(suite: Path, folder: Path, tests: list[str]) -> tuple[Outcomes, Outcomes]:
    """Outcomes on curio's kernel and on ours, one after the other: some tests use fixed ports."""
    return (
        run_suite(suite, folder / "stock.xml", False, tests),
        run_suite(suite, folder / "own.xml", True, tests),
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_passes_on_curio_passes_here(suite: Path, tmp_path: Path) -> None:
    """The same set of curio's tests passes on curio's kernel and on ours."""
    stock, own = run_both(suite, tmp_path, [])
    assert sum(outcome == "passed" for outcome in stock.values()) >= MIN_PASSED
    assert stock.keys() == own.keys()
    seen = {test: ({stock[test]}, {own[test]}) for test in stock if stock[test] != own[test]}
    for _ in range(TRIES):
        different = [
            test for test, (stock_seen, own_seen) in seen.items() if not stock_seen & own_seen
        ]
        if not different:
            return
        stock, own = run_both(suite, tmp_path, different)
        for test in different:
            seen[test][0].add(stock[test])
            seen[test][1].add(own[test])
    differences = {test: both for test, both in seen.items() if not both[0] & both[1]}
    assert not differences, f"(on curio's kernel, on ours): {differences}"
