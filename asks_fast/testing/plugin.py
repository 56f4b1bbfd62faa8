"""The pytest plugin: `async def` tests in curio, and fixtures for routes, server and recordings.

pytest finds it by the entry point `asks_fast`. It runs an `async def` test only if that is marked
`@pytest.mark.curio`, or if the ini option `asks_fast_mode = auto` is set and the test is not marked
for another library. So it works together with pytest-asyncio and anyio.

- `asks_routes`: a table of routes that answers all requests of the test.
- `asks_server`: the same over real sockets.
- `asks_cassette`: a recording in `cassettes/<module>/<test>.json` in the directory of the test.
- `curio_kernel`: the kernel of the test. Its async fixtures of function scope run in it too.

Every pytest run loads this file, so the fixtures import the rest of the package when they are used.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .cassette import Cassette
    from .routes import Routes
    from .server import LocalServer

OTHER_MARKS = ("asyncio", "anyio", "trio", "twisted", "gen_test", "tornado")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option and the command line option."""
    parser.addini(
        "asks_fast_mode",
        "strict (default): run async tests marked `curio`; auto: all without another mark",
        default="strict",
    )
    parser.getgroup("asks_fast").addoption(
        "--asks-record",
        choices=("once", "replay", "record"),
        default="once",
        help="asks_cassette: record if there is no file (once), never (replay), always (record)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and check the mode."""
    config.addinivalue_line("markers", "curio: run this `async def` test in a curio kernel")
    mode = config.getini("asks_fast_mode")
    if mode not in ("strict", "auto"):
        raise pytest.UsageError(f"asks_fast_mode must be strict or auto, not {mode!r}")


# -- async tests and fixtures


def _coroutine_function(test: Any) -> Any:
    """Return the coroutine function of a test, also with Hypothesis' `@given`; None if sync."""
    inner = getattr(getattr(test, "hypothesis", None), "inner_test", test)
    return inner if inspect.iscoroutinefunction(inner) else None


def _should_run(node: Any) -> bool:
    if node.get_closest_marker("curio") is not None:
        return True
    if node.config.getini("asks_fast_mode") != "auto":
        return False
    return all(node.get_closest_marker(name) is None for name in OTHER_MARKS)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test in the kernel of its fixtures."""
    body = _coroutine_function(pyfuncitem.obj)
    if body is None or not _should_run(pyfuncitem):
        return None
    kernel = pyfuncitem._request.getfixturevalue("curio_kernel")
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    if body is pyfuncitem.obj:
        kernel.run(partial(body, **arguments))
        return True
    given = pyfuncitem.obj.hypothesis
    given.inner_test = lambda *a, **k: kernel.run(partial(body, *a, **k))
    try:
        pyfuncitem.obj(**arguments)
    finally:
        given.inner_test = body
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: Any) -> Any:
    """Run an async fixture in the kernel of its test."""
    function = fixturedef.func
    is_generator = inspect.isasyncgenfunction(function)
    if not (is_generator or inspect.iscoroutinefunction(function)):
        return None
    if fixturedef.scope != "function" or not _should_run(request.node):
        return None
    kernel = request.getfixturevalue("curio_kernel")
    arguments = {name: request.getfixturevalue(name) for name in fixturedef.argnames}
    if inspect.ismethod(function) and isinstance(request.instance, type(function.__self__)):
        function = function.__func__.__get__(request.instance)  # bound to the instance of this test
    call = partial(function, **arguments)
    value = _first_value(kernel, call(), request) if is_generator else kernel.run(call)
    fixturedef.cached_result = (value, fixturedef.cache_key(request), None)
    return value


def _first_value(kernel: Any, generator: Any, request: pytest.FixtureRequest) -> Any:
    """Return the first value of an async generator; the rest of it runs after the test."""

    async def begin() -> Any:
        return await generator.__anext__()

    async def end() -> None:
        try:
            await generator.__anext__()
        except StopAsyncIteration:
            return
        raise pytest.fail.Exception(f"{request.fixturename} yields more than once")

    value = kernel.run(begin)
    request.addfinalizer(lambda: kernel.run(end))
    return value


@pytest.fixture
def curio_kernel() -> Iterator[Any]:
    """The curio kernel in which this test and its async fixtures run."""
    import curio

    with curio.Kernel() as kernel:
        yield kernel


# -- fixtures


@pytest.fixture
def asks_routes() -> Iterator[Routes]:
    """An empty table of routes that answers every request of the test, without sockets."""
    from .routes import Routes

    with Routes() as routes:
        yield routes


@pytest.fixture
def asks_server() -> Iterator[LocalServer]:
    """A server on loopback with an empty table: `asks_server.routes.get("/", …)`."""
    from .routes import Routes
    from .server import serve

    with serve(Routes()) as server:
        yield server


@pytest.fixture
def asks_cassette(request: pytest.FixtureRequest) -> Iterator[Cassette]:
    """Real exchanges of the test, recorded once and replayed from then on."""
    from .cassette import Cassette

    test = Path(str(request.node.path))
    name = re.sub(r"[^\w.-]+", "_", request.node.name)
    path = test.parent / "cassettes" / test.stem / f"{name}.json"
    with Cassette(path, mode=str(request.config.getoption("--asks-record"))) as cassette:
        yield cassette
