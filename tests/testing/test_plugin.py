"""The pytest plugin, run in a separate pytest on generated files."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def run_pytest(directory: Path, source: str, *arguments: str, ini: str = "") -> str:
    """The output of a pytest with only our plugin for a test file."""
    (directory / "test_it.py").write_text(textwrap.dedent(source))
    (directory / "pytest.ini").write_text(f"[pytest]\naddopts = --strict-markers\n{ini}")
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "asks_fast.testing.plugin", "-v"]
    command += ["-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=50
    )
    return done.stdout + done.stderr


ASYNC_TESTS = """
    import curio, pytest
    from hypothesis import given, settings, strategies as st

    events = []

    @pytest.fixture
    async def number():
        await curio.sleep(0)
        return 7

    @pytest.fixture
    async def resource(number):
        events.append("open")
        yield number + 1
        await curio.sleep(0)
        events.append("closed")

    @pytest.mark.curio
    async def test_passes(number, resource, curio_kernel):
        await (await curio.spawn(curio.sleep, 0)).join()
        assert (number, resource) == (7, 8)

    def test_finalizer_ran():
        assert events == ["open", "closed"]

    @pytest.mark.curio
    async def test_fails():
        await curio.sleep(0)
        assert 1 == 2

    @pytest.mark.curio
    @pytest.mark.parametrize("n", [1, 2])
    async def test_parameters(n):
        await curio.sleep(0)
        assert n in (1, 2)

    class TestInClass:
        @pytest.fixture
        async def own(self):
            return self

        @pytest.mark.curio
        async def test_method(self, own):
            assert own is self

    @pytest.mark.curio
    @settings(max_examples=5, deadline=None)
    @given(st.integers())
    async def test_hypothesis(n):
        await curio.sleep(0)
        assert n * 2 == n + n
"""


def test_async_tests_and_fixtures(tmp_path: Path) -> None:
    """Marked tests and their fixtures run in one kernel; failures are failures."""
    pytest.importorskip("hypothesis")
    said = run_pytest(tmp_path, ASYNC_TESTS)
    assert "6 passed" in said, said
    assert "1 failed" in said, said
    assert "test_fails FAILED" in said, said
    assert "assert 1 == 2" in said, said


UNMARKED = """
    import pytest

    async def test_unmarked():
        raise RuntimeError("ran")

    @pytest.mark.asyncio
    async def test_marked_for_another_plugin():
        raise RuntimeError("ran in curio")
"""


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_modes(tmp_path: Path, mode: str) -> None:
    """Strict leaves unmarked tests alone, auto takes them; neither takes another library's."""
    markers = f"asks_fast_mode = {mode}\nmarkers = asyncio: of another plugin\n"
    said = run_pytest(tmp_path, UNMARKED, ini=markers)
    assert ("RuntimeError: ran" in said) is (mode == "auto"), said
    assert "ran in curio" not in said, said


def test_wrong_mode(tmp_path: Path) -> None:
    """An invalid mode is reported at once."""
    said = run_pytest(tmp_path, UNMARKED, ini="asks_fast_mode = sometimes\n")
    assert "asks_fast_mode must be strict or auto, not 'sometimes'" in said


IN_OTHER_LIBRARIES = """
    import pytest
    import asks_fast

    async def ask(routes):
        routes.get("/x", text="ok")
        assert (await asks_fast.get("http://example.org/x")).text == "ok"

    @pytest.mark.asyncio
    async def test_in_asyncio(asks_routes):
        await ask(asks_routes)

    @pytest.mark.trio
    async def test_in_trio(asks_routes):
        await ask(asks_routes)

    @pytest.mark.anyio
    async def test_in_anyio(asks_routes):
        await ask(asks_routes)

    @pytest.mark.curio
    async def test_in_curio(asks_routes):
        await ask(asks_routes)

    @pytest.mark.asyncio
    async def test_real_sockets(asks_server):
        asks_server.routes.get("/x", text="ok")
        assert (await asks_fast.get(asks_server.url + "/x")).text == "ok"
"""


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_beside_plugins_of_other_libraries(tmp_path: Path, mode: str) -> None:
    """Tests of pytest-asyncio, pytest-trio and anyio use our fixtures, each in its own library."""
    for module in ("pytest_asyncio", "pytest_trio", "anyio"):
        pytest.importorskip(module)
    plugins = ("-p", "pytest_asyncio.plugin", "-p", "pytest_trio.plugin")
    plugins += ("-p", "anyio.pytest_plugin")
    ini = f"asks_fast_mode = {mode}\nasyncio_default_fixture_loop_scope = function\n"
    said = run_pytest(tmp_path, IN_OTHER_LIBRARIES, *plugins, ini=ini)
    assert said.count("PASSED") == said.count("test_it.py::") >= 5, said
