"""Connection features in a session: TLS resumption, the key of the pool, TLS inside TLS."""

from __future__ import annotations

import ssl
from typing import Any

import curio
import pytest
from support.cancel_at_each_await import cancel_at_each_await
from support.dns import DnsResolver, DnsServer
from support.leaks import open_descriptors
from support.relay import relay
from support.script_steps import OK, SERVING, close, expect, repeat, send
from support.scripted_server import MakePeer, PeerConnection

import asks_fast
from asks_fast.errors import CertificateError, ConnectTimeout, InvalidRequest, NameResolutionError

CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
SIZE = 2_500_000


def with_length(data: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data


def echo(connection: PeerConnection) -> bytes:
    """The body of the last request, reversed."""
    return with_length(connection.requests[-1].body[::-1])


async def test_session_resumes_tls(
    peer: MakePeer, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """A second connection to an origin, after the first was closed, resumes its TLS session."""
    reused: list[bool] = []

    def note(connection: PeerConnection) -> None:
        sock = connection.sock
        assert isinstance(sock, ssl.SSLSocket)
        reused.append(bool(sock.session_reused))

    server = peer([note, expect(), send(CLOSING), close()], tls=server_context)
    async with asks_fast.DSession(ssl_context=client_context) as session:
        for _ in range(3):
            assert (await session.get(server.url)).body == b"ok"
    assert reused == [False, True, True]


async def test_different_settings_use_different_connections(
    tls_peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """An unverified connection never serves a request that verifies."""
    server = tls_peer(SERVING)
    async with asks_fast.DSession() as session:
        pinned = {"verify": False, "fingerprint": "00" * 32}
        with pytest.raises(CertificateError):
            await session.get(server.url, **pinned)
        assert (await session.get(server.url, ssl_context=client_context)).body == b"ok"
        with pytest.raises(CertificateError):
            await session.get(server.url)
        assert (await session.get(server.url, ssl_context=client_context)).body == b"ok"
    assert [len(connection.requests) for connection in server.connections] == [0, 2, 0]


@pytest.mark.parametrize("outer", [False, True])
async def test_large_bodies_through_a_tunnel(
    outer: bool,
    peer: MakePeer,
    tls_peer: MakePeer,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
) -> None:
    """Megabytes both ways through CONNECT, with TLS to the proxy and without, at several sizes."""
    origin = tls_peer([repeat(expect(), send(echo))])
    opened = send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    proxy = peer([expect("CONNECT"), opened, relay], tls=server_context if outer else None)
    url = f"{'https' if outer else 'http'}://localhost:{proxy.port}"
    data = bytes(range(251)) * (SIZE // 251)
    async with asks_fast.DSession(proxy=url, ssl_context=client_context) as session:
        for size in (0, 1, 16384, 16385, len(data)):
            response = await session.post(f"{origin.url}/{size}", data=data[:size])
            assert response.body == data[:size][::-1]
        async with await session.post(origin.url, data=data, stream=True) as response:
            received = b"".join([bytes(chunk) async for chunk in response.body])
        assert received == data[::-1]
    assert len(origin.connections) == 1


async def test_user_resolver(peer: MakePeer) -> None:
    """A session with a real DNS server: one resolution for many requests, and clear errors."""
    server = peer(SERVING)
    dns = DnsServer({"good.test": ["127.0.0.1"]}, silent=("silent.test",))
    try:
        async with asks_fast.DSession(resolver=DnsResolver(dns.address)) as session:
            async with curio.TaskGroup() as tasks:
                for number in range(20):
                    await tasks.spawn(session.get(f"http://good.test:{server.port}/{number}"))
            assert [response.body for response in tasks.results] == [b"ok"] * 20
            assert dns.questions["good.test"] == 2  # A and AAAA
            with pytest.raises(NameResolutionError, match=r"dead\.test"):
                await session.get("http://dead.test/")
            with pytest.raises(ConnectTimeout):
                await session.get("http://silent.test/", connection_timeout=0.05)
            assert (await session.get(f"http://good.test:{server.port}/")).body == b"ok"
    finally:
        dns.stop()


@pytest.mark.parametrize(
    "options",
    [
        {"verify": "/no/such/file.pem"},
        {"cert": "/no/such/file.pem"},
        {"fingerprint": "12"},
        {"proxy": "gopher://x"},
        {"server_hostname": "a b"},
        {"source_address": "nowhere"},
        {"resolver": 5},
    ],
    ids=lambda options: next(iter(options)),
)
async def test_invalid_options_of_a_request(
    options: dict[str, Any], tls_peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """Invalid options raise before a connection is made, and the session stays usable."""
    server = tls_peer(SERVING)
    async with asks_fast.DSession(ssl_context=client_context, connections=1) as session:
        with pytest.raises(InvalidRequest):
            await session.get(server.url, **options)
        assert server.connections == []
        assert (await session.get(server.url)).body == b"ok"


async def test_cancelled_in_each_phase_closes_descriptors(
    peer: MakePeer, tls_peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """After cancellation at each wait of DNS, TCP, CONNECT, TLS and both bodies no descriptor stays
    open.
    """
    body = b"x" * 600_000
    origin = tls_peer([expect("POST"), send(with_length(body)), expect("POST"), send(OK)])
    proxy = peer([expect("CONNECT"), send(b"HTTP/1.1 200 Established\r\n\r\n"), relay])
    dns = DnsServer({"proxy.test": ["127.0.0.1"]})
    way = f"http://proxy.test:{proxy.port}"

    async def upload() -> Any:
        async with asks_fast.DSession(
            proxy=way, resolver=DnsResolver(dns.address), ssl_context=client_context
        ) as session:
            response = await session.post(origin.url, data=body, stream=True)
            received = await response.body.read()
            return received, (await session.post(origin.url, data=b"y")).body

    async def nothing_is_left() -> None:
        await proxy.until(lambda: not open_descriptors() - before)

    try:
        before = open_descriptors()
        waits, (received, second) = await cancel_at_each_await(upload, nothing_is_left)
        assert (received, second) == (body, b"ok")
        assert waits >= 7
        await nothing_is_left()
    finally:
        dns.stop()
