"""Failures of the system, of name resolution and of TLS affect only their own request.

Closing, cancellation, Ctrl-C and the end of kernels are tested in tests/integration/guarantees.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import curio
import pytest
from support.script_steps import OK, expect, repeat, send, stall, tls_close
from support.scripted_server import Peer, PeerConnection, Step
from support.servers import Server

from asks_fast import DSession
from asks_fast.errors import (
    BadHttpResponse,
    ConnectionFailed,
    ConnectivityError,
    NameResolutionError,
    ServerClosedConnectionError,
)

TESTS = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_no_descriptors_left(app_server: Server) -> None:
    """Without descriptors requests raise `ConnectionFailed`; with descriptors they succeed."""
    command = [sys.executable, str(Path(__file__).with_name("few_descriptors.py"))]
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    done = subprocess.run(
        [*command, app_server.url + "/"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("fine")
    assert done.stderr == ""


def serve_sizes(connection: PeerConnection) -> None:
    """Send short, long or chunked responses, by path, without end."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    chunk = b"3e8\r\n%b\r\n" % bytes(1000)
    answers = {
        "/long": head % 200_000 + bytes(200_000),
        "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunk * 20
        + b"0\r\n\r\n",
    }
    while True:
        request = connection.take_head()
        connection.take_body(request)
        connection.put(answers.get(request.target, head % 10 + b"*" * 10))
        connection.requests.clear()
        connection.received.clear()


@pytest.mark.skipif(
    not (3, 11) <= sys.version_info[:2] <= (3, 13),
    reason="other interpreters may not survive it themselves",
)
def test_no_memory(peer: Callable[..., Peer]) -> None:
    """If any allocation fails, its request ends with an error, and nothing else is affected."""
    pytest.importorskip("_testcapi")
    server = peer([serve_sizes], backlog=1024)
    command = [sys.executable, str(Path(__file__).with_name("no_memory.py")), server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("fine"), done.stdout + done.stderr[-3000:]


async def test_no_network() -> None:
    """An unreachable network is an error of the request, with the system's reason."""
    async with DSession(hosts={"far.test": "255.255.255.255"}) as session:
        for _ in range(3):
            with pytest.raises(ConnectionFailed, match=r"255\.255\.255\.255") as caught:
                await session.get("http://far.test/", retries=0)
            cause = caught.value.__cause__
            assert isinstance(cause, OSError)
            assert cause.errno in (errno.ENETUNREACH, errno.EACCES, errno.EHOSTUNREACH)
            assert session.pool_stats()["open"] == 0


async def test_burst_of_failing_names(peer: Callable[..., Peer]) -> None:
    """Of hundreds of requests for failing, slow and valid names each gets its own outcome."""
    server = peer([repeat(expect(), send(OK))])

    async def resolver(host: str) -> list[str]:
        if host.startswith("dead"):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if host.startswith("slow"):
            await curio.sleep(1000)
        return [] if host.startswith("empty") else ["127.0.0.1"]

    async def ask(session: DSession, name: str) -> str:
        limit = 0.5 if name.startswith("slow") else 60
        try:
            r = await session.get(f"http://{name}.test:{server.port}/", connection_timeout=limit)
        except ConnectivityError as error:
            return type(error).__name__ if f"{name}.test" in str(error) else str(error)
        return str(r.status_code)

    async with DSession(connections=50, resolver=resolver) as session:
        async with curio.TaskGroup() as group:
            for number in range(200):
                kind = ("dead", "slow", "empty", "good")[number % 4]
                await group.spawn(ask, session, f"{kind}{number % 7}")
        stats = session.pool_stats()
    assert (
        group.results
        == [
            NameResolutionError.__name__,
            "ConnectTimeout",
            NameResolutionError.__name__,
            "200",
        ]
        * 50
    )
    assert stats["in_use"] == stats["waiting"] == stats["opening"] == 0


def raw(data: bytes) -> Step:
    """Send bytes below TLS that are not a valid record."""

    def step(connection: PeerConnection) -> None:
        socket.socket.send(connection.sock, data)

    return step


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
RECORDS = {
    "garbage": b"\x00\xff\x16\x03 this is no record \r\n\r\n",
    "forged data": b"\x17\x03\x03\x00\x20" + bytes(32),
    "forged alert": b"\x15\x03\x03\x00\x02\x01\x00",
    "too long": b"\x17\x03\x03\xff\xff" + bytes(1000),
    "http": OK,
}


async def fetch(session: DSession, url: str, stream: bool) -> bytes:
    r = await session.get(url, stream=stream, retries=0)
    return bytes(await r.body.read() if stream else r.body)


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS.keys())
@pytest.mark.parametrize("begun", [b"", BEGUN, b"HTTP/1.1 200 OK\r\n\r\nhalf"])
@pytest.mark.parametrize("stream", [False, True])
async def test_corrupt_tls_records(
    tls_peer: Callable[..., Peer],
    client_context: ssl.SSLContext,
    record: bytes,
    begun: bytes,
    stream: bool,
) -> None:
    """A forged record is an error, never data and never an end of the body."""
    server = tls_peer([expect(), send(begun), raw(record), stall()])
    async with DSession(ssl_context=client_context) as session:
        with pytest.raises(ServerClosedConnectionError):
            await fetch(session, server.url, stream)
        assert session.pool_stats()["open"] == 0
    await server.all_closed()


async def test_corrupt_tls_record_on_idle_connection(
    tls_peer: Callable[..., Peer], client_context: ssl.SSLContext
) -> None:
    """An idle connection that received a forged record is not reused."""
    server = tls_peer(
        [expect(), send(OK), raw(RECORDS["garbage"]), stall()], [expect(), send(OK), tls_close()]
    )
    async with DSession(ssl_context=client_context) as session:
        await session.get(server.url)
        await curio.sleep(0.05)  # for the bytes to arrive
        r = await session.get(server.url)
        assert r.content == b"ok"
    assert len(server.connections) == 2


async def test_stall_inside_a_tls_record(
    tls_peer: Callable[..., Peer], client_context: ssl.SSLContext
) -> None:
    """With half a record the time limit applies, and no processor time is used."""
    server = tls_peer([expect(), raw(b"\x17\x03\x03\x40\x00" + bytes(100)), stall()])
    async with DSession(ssl_context=client_context) as session:
        before = time.thread_time()
        with pytest.raises(ConnectivityError, match=r"timeout=0\.3"):
            await session.get(server.url, timeout=0.3)
        assert time.thread_time() - before < 0.2
        assert session.pool_stats()["open"] == 0


async def test_fault_affects_one_request(peer: Callable[..., Peer]) -> None:
    """While some connections fail, responses on others arrive as usual."""
    good = peer([repeat(expect(), send(OK))])
    bad: list[Any] = [expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")]
    worse = peer(bad)
    outcomes: list[str] = []

    async def ask(session: DSession, url: str) -> None:
        try:
            outcomes.append((await session.get(url)).text)
        except BadHttpResponse:
            outcomes.append("bad")

    async with DSession(connections=6) as session:
        async with curio.TaskGroup() as group:
            for number in range(60):
                await group.spawn(ask, session, (good.url, worse.url)[number % 2])
        assert session.pool_stats()["in_use"] == 0
    assert sorted(outcomes) == ["bad"] * 30 + ["ok"] * 30
