"""The tools of the tests work: peers, fault proxy, servers, leak checks."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import curio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import faults
from support.kernels import make_curio_kernel, run_in
from support.leaks import left_open, open_descriptors
from support.script_steps import (
    OK,
    SERVING,
    close,
    drip,
    expect,
    expect_body,
    expect_head,
    half_close,
    mark,
    reset,
    send,
    stall,
    tls_close,
)
from support.scripted_server import MakePeer, Peer
from support.servers import Server
from support.split_input import feed_all_ways

ROOT = Path(__file__).resolve().parent.parent
# Without the plugin of an installed asks_fast: conftest.py then decides which copy is imported.
COLLECT_CRAWLER = [
    *("--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:asks_fast"),
    *("--rootdir", str(ROOT), str(ROOT / "tests" / "crawl" / "test_crawler.py")),
]

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"


def connect(server: Any) -> socket.socket:
    return socket.create_connection((server.host, server.port), 10)


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(4096), b""))


async def test_async_test_runs_in_a_kernel() -> None:
    """An `async def` test runs in a curio kernel."""
    assert (await curio.current_task()).id > 0


@given(number=st.integers())
async def test_async_property_runs_in_a_kernel(number: int) -> None:
    """@given works on an `async def` test: a fresh kernel for each example."""
    await curio.sleep(0)
    assert number == number


def test_tests_import_bench_without_the_repository_on_the_path(tmp_path: Path) -> None:
    """The tests of the crawler, which use `bench`, are collected from any working directory."""
    collect = f"import pytest; raise SystemExit(pytest.main({COLLECT_CRAWLER!r}))"
    done = subprocess.run(
        [sys.executable, "-c", collect],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=100,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_leftover_task_fails_a_test() -> None:
    """A task that outlives the body of its test is reported."""

    async def body() -> None:
        await curio.spawn(curio.sleep, 1000, daemon=True)

    with pytest.raises(AssertionError, match="tasks remain"):
        run_in(make_curio_kernel, body)


def test_leftover_descriptor_is_seen() -> None:
    """A socket that stays open is reported, one that is closed is not."""
    before = open_descriptors()
    with socket.socket():
        assert len(left_open(before, timeout=0.01)) == 1
    assert left_open(before) == []


def test_peer_gives_exact_bytes_and_records(peer: MakePeer) -> None:
    """A script is followed step by step; the received request is recorded."""
    server = peer([expect("POST", "/x"), send(OK), expect("GET"), drip(OK), close()])
    with connect(server) as sock:
        sock.sendall(b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")
        sock.sendall(GET)
        assert read_all(sock) == OK + OK
    assert [request.body for request in server.requests] == [b"ab", b""]
    assert server.requests[1].raw == GET
    assert server.requests[1].header("host") == "h"


def test_peer_has_a_script_per_connection(peer: MakePeer) -> None:
    """Connection n runs script n, the last script serves all further ones."""
    server = peer([send(b"first"), close()], [send(b"more"), close()])
    answers = []
    for _ in range(3):
        with connect(server) as sock:
            answers.append(read_all(sock))
    assert answers == [b"first", b"more", b"more"]
    assert len(server.connections) == 3


async def test_peer_sees_the_client_close(peer: MakePeer) -> None:
    """A connection stays open after its script, until the client closes it."""
    server = peer([expect_head(), mark("head"), expect_body(), stall()])
    with connect(server) as sock:
        sock.sendall(GET)
        await server.reached("head")
        assert server.open_connections == 1
    await server.all_closed()
    assert server.connections[0].client_closed == "eof"


def test_peer_resets(peer: MakePeer) -> None:
    """`reset` gives the client a connection reset, not an end."""
    server = peer([expect(), reset()])
    with connect(server) as sock:
        sock.sendall(GET)
        with pytest.raises(ConnectionResetError):
            read_all(sock)


def test_peer_half_closes_and_goes_on_reading(peer: MakePeer) -> None:
    """After `half_close` the client reads the end and may still send."""
    server = peer([half_close(), expect()])
    with connect(server) as sock:
        assert read_all(sock) == b""
        sock.sendall(GET)
        server.wait(lambda: len(server.requests) == 1)


def test_peer_stalls_until_released(peer: MakePeer) -> None:
    """`stall` holds the script until the test releases it."""
    server = peer([expect(), mark("there"), stall(), send(OK), close()])
    with connect(server) as sock:
        sock.sendall(GET)
        server.wait(lambda: "there" in server._marks)
        server.release()
        assert read_all(sock) == OK


def test_peer_reports_a_broken_script() -> None:
    """A request that is not the expected one fails the test when the peer stops."""
    server = Peer([[expect("PUT")]])
    with connect(server) as sock:
        sock.sendall(GET)
        assert read_all(sock) == b""
    with pytest.raises(AssertionError, match="expected PUT"):
        server.stop()


def test_tls_peer(tls_peer: MakePeer, client_context: ssl.SSLContext) -> None:
    """A peer over TLS is trusted through the test CA and closes as scripted."""
    server = tls_peer([expect(), send(OK), tls_close()])
    with connect(server) as raw, client_context.wrap_socket(raw, server_hostname="localhost") as s:
        s.sendall(GET)
        assert read_all(s) == OK


def test_tls_peer_notes_a_failed_handshake(tls_peer: MakePeer) -> None:
    """A client that does not trust the CA leaves an error at the peer, not a failed test."""
    server = tls_peer([expect()])
    with connect(server) as raw, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(raw, server_hostname="localhost")
    server.wait(lambda: server.connections[0].handshake_error is not None)


FAULTS: list[tuple[faults.Fault, bytes | type[Exception]]] = [
    (faults.CutAfter(5), b"01234"),
    (faults.ResetAfter(5), ConnectionResetError),
    (faults.HalfCloseAfter(5), b"01234"),
    (faults.Garbage(5, b"xx"), b"01234xx56789"),
    (faults.Duplicate(5, 2), b"012343456789"),
    (faults.Corrupt(0), b"\xcf123456789"),
    (faults.Drip(1), b"0123456789"),
    (faults.Delay(0.01, 3), b"0123456789"),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=lambda value: type(value).__name__)
def test_fault_proxy(
    peer: MakePeer, fault_proxy: Any, fault: Any, expected: bytes | type[Exception]
) -> None:
    """Each fault happens at its position and nowhere else."""
    server = peer([expect(), send(b"0123456789"), close()])
    proxy = fault_proxy(server, faults.connection_faults(down=[fault]))
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as sock:
        sock.sendall(GET)
        if isinstance(expected, bytes):
            assert read_all(sock) == expected
        else:
            with pytest.raises(expected):
                read_all(sock)


def test_fault_proxy_stalls(peer: MakePeer, fault_proxy: Any) -> None:
    """A stalled proxy passes nothing more and stays open."""
    server = peer([expect(), send(b"0123456789"), close()])
    proxy = fault_proxy(server, faults.connection_faults(down=[faults.StallAfter(3)]))
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as sock:
        sock.sendall(GET)
        assert sock.recv(100) == b"012"
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(100)


def test_keep_alive_through_the_peer(peer: MakePeer) -> None:
    """`repeat` serves a connection for as long as the client keeps it."""
    server = peer(SERVING)
    connection = http.client.HTTPConnection(server.host, server.port)
    for _ in range(3):
        connection.request("GET", "/again")
        assert connection.getresponse().read() == b"ok"
    connection.close()
    assert len(server.connections) == 1


def fetch(server: Server, path: str, **options: Any) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request(options.pop("method", "GET"), path, **options)
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


@pytest.mark.smoke
def test_app_server(app_server: Server) -> None:
    """The application serves the pages that its docstring lists."""
    assert fetch(app_server, "/asks/test/17")[2] == b"17"
    assert fetch(app_server, "/echo", method="POST", body=b"\x00abc")[2] == b"\x00abc"
    assert fetch(app_server, "/status/418")[0] == 418
    assert fetch(app_server, "/status/204")[2] == b""
    assert fetch(app_server, "/redirect/2")[1]["location"] == "/redirect/1"
    assert len(fetch(app_server, "/bytes/70000")[2]) == 70000
    assert len(fetch(app_server, "/chunked?n=3&size=7")[2]) == 21
    assert fetch(app_server, "/chunked")[1]["transfer-encoding"] == "chunked"
    assert fetch(app_server, "/drip?n=3&pause=0")[2] == b"***"
    assert fetch(app_server, "/slow/0.01")[2] == b"ok"
    assert fetch(app_server, "/no")[0] == 404
    assert json.loads(gzip.decompress(fetch(app_server, "/gzip")[2]))["coding"] == "gzip"
    seen = json.loads(fetch(app_server, "/anything/a?b=1&b=2", headers={"X-Y": "z"})[2])
    assert (seen["path"], seen["args"], seen["headers"]["x-y"]) == (
        "/anything/a",
        {"b": ["1", "2"]},
        "z",
    )
    cookies = fetch(app_server, "/cookies", headers={"Cookie": "a=1; b=2"})[2]
    assert json.loads(cookies) == {"cookies": {"a": "1", "b": "2"}}
    assert [fetch(app_server, "/flaky/here/1")[0] for _ in range(2)] == [503, 200]


def test_tls_server(tls_server: Server, client_context: ssl.SSLContext) -> None:
    """The certificate of the https server is valid for 127.0.0.1."""
    with urllib.request.urlopen(tls_server.url + "/asks/test/3", context=client_context) as answer:
        assert answer.read() == b"3"


def test_httpbin(httpbin: Server) -> None:
    """httpbin works like the public one."""
    assert json.loads(fetch(httpbin, "/get?a=1")[2])["args"] == {"a": "1"}


def test_nginx(nginx_server: Server) -> None:
    """nginx serves files and counts requests."""
    assert len(fetch(nginx_server, "/small")[2]) == 100
    assert b"Active connections" in fetch(nginx_server, "/status")[2]


def test_feed_all_ways() -> None:
    """Equal results pass; a parser whose result depends on the split fails."""
    assert feed_all_ways(b"abc", b"".join) == b"abc"
    with pytest.raises(AssertionError, match="byte by byte"):
        feed_all_ways(b"abc", len)
    with pytest.raises(ValueError, match="no"):
        feed_all_ways(b"abc", lambda pieces: (_ for _ in ()).throw(ValueError("no")))
