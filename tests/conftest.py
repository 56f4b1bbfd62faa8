"""How this suite runs: async tests in a curio kernel, leak checks, servers and scripted peers.

Rules:  every test is looked at for descriptors left open, every async test also for tasks.
        `@pytest.mark.leaves_open("reason")` is the only way out. `--kernel=` says where async tests
        run: stock, own, both, asyncio, uvloop or trio. `@pytest.mark.kernels("stock", "own")` fixes
        it for one test.
        Warnings are errors, markers and xfail strict, each test has a time limit
        (all in pyproject.toml).
Not here: what the fixtures are made of: `tests/support/`.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import signal
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from support import servers
from support.faults import ConnectionFaults, FaultProxy
from support.kernels import (
    asyncio_kernel,
    make_compiled_kernel,
    make_curio_kernel,
    run_in,
    trio_kernel,
    uvloop_kernel,
)
from support.leaks import left_open, open_descriptors
from support.scripted_server import Peer, Step

# Tests import `bench`, which the `pytest` command does not put on the path. Last on the path, the
# repository does not hide an installed asks_fast.
sys.path.append(str(Path(__file__).resolve().parent.parent))

# A busy machine is no failure of a property; pytest-timeout bounds each test as a whole. The suite
# says the same of the same code every time; what is new is looked for with ASKS_FAST_EXPLORE=1.
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=os.environ.get("ASKS_FAST_EXPLORE") != "1",
)
hypothesis.settings.load_profile("suite")

KERNELS: dict[str, Callable[[], Any]] = {
    "stock": make_curio_kernel,
    "own": make_compiled_kernel,
    "asyncio": asyncio_kernel,
    "uvloop": uvloop_kernel,
    "trio": trio_kernel,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kernel",
        choices=(*KERNELS, "both"),
        default=os.environ.get("ASKS_FAST_TEST_KERNEL", "stock"),
        help="where async tests run: curio's own kernel (stock), asks_fast's (own), both of them, "
        "or an event loop of another library",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let every program that a test starts import the copy of asks_fast that is tested, and hear
    Ctrl-C, which a shell makes whatever it starts in the background ignore."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    spec = importlib.util.find_spec("asks_fast")
    assert spec is not None
    assert spec.origin is not None, "asks_fast is not to be found"
    home = str(Path(spec.origin).parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([home, *filter(None, [os.getenv("PYTHONPATH")])])


def pytest_collection_finish() -> None:
    """Leave the project's folder: Python puts the working directory before all else on its path.

    Not before the collection, which finds tests by paths relative to where pytest was started.
    """
    os.chdir(Path(__file__).parent)


# -- async tests -------------------------------------------------------------------------------


def _async_body(function: Any) -> Any:
    """The coroutine function of a test, also inside Hypothesis' @given; else None."""
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return inner if inspect.iscoroutinefunction(inner) else None


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> None:
    if collector.istestfunction(obj, name) and _async_body(obj) is not None:
        pytest.mark.usefixtures("kernel")(obj)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kernel" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("kernels")
    if marker is not None:
        metafunc.parametrize("kernel", marker.args, indirect=True)
    elif metafunc.config.getoption("--kernel") == "both":
        metafunc.parametrize("kernel", ("stock", "own"), indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Reject test names that contain a memory address: they differ between processes."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"give this test an id that stays: {item.nodeid}")


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Makes a fresh kernel of the chosen kind: `with kernel() as k: k.run(main)`."""
    name = getattr(request, "param", None) or request.config.getoption("--kernel")
    if name == "both":
        name = "stock"
    if name in ("uvloop", "trio"):
        pytest.importorskip(name)
    if name == "uvloop":
        from support.hosts import open_pipe_of_libuv

        open_pipe_of_libuv()
    if name == "own":
        pytest.importorskip("asks_fast.kernel", reason="asks_fast.kernel is not built")
    return KERNELS[name]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    body = _async_body(pyfuncitem.obj)
    original = pyfuncitem.obj
    if body is not None:
        make_kernel = pyfuncitem.funcargs["kernel"]

        def run(*_: Any, **arguments: Any) -> None:
            run_in(make_kernel, body, **arguments)

        if body is original:
            pyfuncitem.obj = run
        else:
            original.hypothesis.inner_test = run
    before = open_descriptors()
    try:
        result = yield
    finally:
        pyfuncitem.obj = original
        if body is not None and body is not original:
            original.hypothesis.inner_test = body
    if pyfuncitem.get_closest_marker("leaves_open") is None:
        leftover = left_open(before)
        assert not leftover, f"left open: {', '.join(leftover)}"
    return result


@pytest.fixture(scope="session")
def kernel_of_thread() -> None:
    """Make what `asks_fast.sync` keeps open as long as its thread lives: no test left it open."""
    from asks_fast import sync

    sync.HSession("http://127.0.0.1:1").close()


# -- scripted peers and a bad wire -------------------------------------------------------------


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """`peer(script, script, ..., host=, unix=, backlog=, ...)` starts a scripted server.

    The n-th connection runs the n-th script (see support.peer for the steps). All peers are
    stopped when the test ends, and what went wrong in a script is raised then.
    """
    started: list[Peer] = []

    def start(*scripts: list[Step], **options: Any) -> Peer:
        started.append(Peer(scripts, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def fault_proxy() -> Iterator[Callable[..., FaultProxy]]:
    """`fault_proxy(server, plan, ..., choose=)` starts a fault proxy for `server` (host, port)."""
    started: list[FaultProxy] = []

    def start(server: Any, *plans: ConnectionFaults, **options: Any) -> FaultProxy:
        started.append(FaultProxy(server.host, server.port, *plans, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


# -- certificates ------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate_authority() -> Any:
    """A trustme CA made for this test run."""
    return pytest.importorskip("trustme", reason="trustme is not installed").CA()


@pytest.fixture(scope="session")
def server_certificate(certificate_authority: Any) -> Any:
    """A certificate for localhost, example.test, 127.0.0.1 and ::1."""
    return certificate_authority.issue_cert("localhost", "example.test", "127.0.0.1", "::1")


@pytest.fixture
def client_context(certificate_authority: Any) -> ssl.SSLContext:
    """A client's context that trusts only the test CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    certificate_authority.configure_trust(context)
    return context


@pytest.fixture
def server_context(server_certificate: Any) -> ssl.SSLContext:
    """A server's context with the certificate for localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_certificate.configure_cert(context)
    return context


@pytest.fixture
def tls_peer(peer: Callable[..., Peer], server_context: ssl.SSLContext) -> Callable[..., Peer]:
    """`peer` over TLS; the steps of `before_tls=` run on the plain connection first."""

    def start(*scripts: list[Step], **options: Any) -> Peer:
        return peer(*scripts, **{"tls": server_context, **options})

    return start


# -- real servers, one of each per test process ------------------------------------------------


def _server(context: Any) -> Iterator[servers.Server]:
    try:
        with context as server:
            yield server
    except servers.NotInstalled as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def app_server() -> Iterator[servers.Server]:
    """granian with the application of asks_fast/cli/demo_app.py (its docstring lists the paths)."""
    yield from _server(servers.application("asks_fast.cli.demo_app:app"))


@pytest.fixture(scope="session")
def tls_server(
    server_certificate: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.Server]:
    """The same application at https://127.0.0.1:port, with a certificate of the test CA."""
    directory = tmp_path_factory.mktemp("tls")
    key, chain = directory / "key.pem", directory / "chain.pem"
    server_certificate.private_key_pem.write_to_path(key)
    for pem in server_certificate.cert_chain_pems:
        pem.write_to_path(chain, append=True)
    yield from _server(
        servers.application("asks_fast.cli.demo_app:app", tls_files=(str(chain), str(key)))
    )


@pytest.fixture(scope="session")
def httpbin() -> Iterator[servers.Server]:
    """httpbin served by werkzeug's threaded server (HTTP/1.1, keep-alive)."""
    yield from _server(
        servers.application(
            "httpbin:app", interface="wsgi", needs=("httpbin", "werkzeug", "granian")
        )
    )


@pytest.fixture(scope="session")
def nginx_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """nginx; it serves the files in `nginx_root`, and /status is its stub_status page."""
    yield from _server(servers.nginx(tmp_path_factory.mktemp("nginx")))


@pytest.fixture(scope="session")
def start_nginx() -> Callable[[Path, str], Any]:
    """`with start_nginx(directory, "location = /x { return 200; }") as server:` starts another
    nginx.
    """
    return contextmanager(lambda directory, locations: _server(servers.nginx(directory, locations)))
