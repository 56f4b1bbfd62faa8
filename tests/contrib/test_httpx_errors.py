"""Errors and time limits are those that httpx and httpx2 document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.script_steps import (
    close,
    expect,
    expect_head,
    reset,
    send,
    stall,
    stop_reading,
)
from support.scripted_server import Peer

pytestmark = pytest.mark.usefixtures("kernel_of_thread")

Call = Callable[..., Any]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([expect(), close()], "RemoteProtocolError"),
        ([expect(), send(b"nonsense\r\n\r\n"), close()], "RemoteProtocolError"),
        ([expect(), send(HEAD), close()], "RemoteProtocolError"),
        ([expect(), send(HEAD), reset()], "ReadError"),
        ([expect(), reset()], "ReadError"),
    ],
    ids=["no-answer", "not-http", "body-cut-short", "reset-in-body", "reset-before-head"],
)
def test_server_errors(
    httpx: Any, call: Call, peer: Callable[..., Peer], script: list[Any], error: str
) -> None:
    """Each fault of a server raises the error that httpx documents, with the request."""
    expected = getattr(httpx, error)
    with pytest.raises(expected) as caught:
        call("GET", peer(script).url)
    assert type(caught.value) is expected
    assert caught.value.request.method == "GET"


def test_connection_errors(httpx: Any, call: Call, tmp_path: Path) -> None:
    """A refused connection and an unknown name raise ConnectError."""
    with pytest.raises(httpx.ConnectError):
        call("GET", "http://127.0.0.1:1/")
    with pytest.raises(httpx.ConnectError):
        call("GET", "http://name.invalid/")
    with pytest.raises(httpx.ConnectError):
        call("GET", "http://server.test/", {"uds": str(tmp_path / "none")})


def test_illegal_requests(httpx: Any, call: Call, peer: Callable[..., Peer]) -> None:
    """An invalid request raises LocalProtocolError; another scheme UnsupportedProtocol."""
    server = peer([expect_head(), stall()])
    with pytest.raises(httpx.LocalProtocolError):
        call("GET", server.url, headers={"X": "a\nb"})
    with pytest.raises(httpx.LocalProtocolError):
        call("POST", server.url, content=[b"abcd"], headers={"Content-Length": "3"})
    with pytest.raises(httpx.UnsupportedProtocol):
        call("GET", "ftp://127.0.0.1/")


def test_error_of_the_body_is_raised_as_it_is(
    transports: Any, httpx: Any, peer: Callable[..., Peer]
) -> None:
    """An exception of the program's own body iterator reaches the program."""

    def body() -> Iterator[bytes]:
        yield b"a"
        raise LookupError("mine")

    server = peer([expect_head(), stall()])
    with (
        httpx.Client(transport=transports.Transport()) as client,
        pytest.raises(LookupError, match="mine"),
    ):
        client.post(server.url, content=body())


def test_read_timeout(httpx: Any, call: Call, peer: Callable[..., Peer]) -> None:
    """A silent server causes a ReadTimeout, before the head and within the body."""
    limits = httpx.Timeout(None, read=0.05)
    with pytest.raises(httpx.ReadTimeout):
        call("GET", peer([expect(), stall()]).url, timeout=limits)
    with pytest.raises(httpx.ReadTimeout):
        call("GET", peer([expect(), send(HEAD), stall()]).url, timeout=limits)


def test_write_timeout(httpx: Any, call: Call, peer: Callable[..., Peer]) -> None:
    """A server that accepts no bytes causes a WriteTimeout."""
    server = peer([expect_head(), stop_reading()])
    with pytest.raises(httpx.WriteTimeout):
        call("POST", server.url, content=bytes(50_000_000), timeout=httpx.Timeout(None, write=0.1))


def test_connect_timeout(httpx: Any, call: Call, peer: Callable[..., Peer]) -> None:
    """A proxy that does not respond to CONNECT causes a ConnectTimeout."""
    proxy = peer([expect_head(), stall()])
    with pytest.raises(httpx.ConnectTimeout):
        call(
            "GET",
            "https://server.test/",
            {"proxy": proxy.url},
            timeout=httpx.Timeout(None, connect=0.05),
        )


@pytest.mark.kernels("asyncio", "trio")
async def test_pool_timeout(transports: Any, httpx: Any, peer: Callable[..., Peer]) -> None:
    """A request that gets no connection in time raises PoolTimeout; `limits` sets their number."""
    server = peer([expect(), send(HEAD), stall()])
    transport = transports.AsyncTransport(limits=httpx.Limits(max_connections=1))
    async with (
        httpx.AsyncClient(transport=transport) as client,
        client.stream("GET", server.url),
    ):
        with pytest.raises(httpx.PoolTimeout):
            await client.get(server.url, timeout=httpx.Timeout(None, pool=0.05))


def test_a_limit_of_zero(httpx: Any, call: Call, peer: Callable[..., Peer]) -> None:
    """A read limit of 0 expires at once."""
    with pytest.raises(httpx.ReadTimeout):
        call("GET", peer([expect(), stall()]).url, timeout=httpx.Timeout(None, read=0))
