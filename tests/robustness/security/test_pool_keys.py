"""A connection with one set of options never serves a request with another."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
from support.script_steps import OK, expect, repeat, send
from support.scripted_server import Peer

from asks_fast import DSession, Proxy

SERVING = [repeat(expect(), send(OK))]


async def test_verified_connection_is_not_used_unverified(
    tls_peer: Callable[..., Peer], client_context: ssl.SSLContext
) -> None:
    """A request without verification does not use a verified connection."""
    server = tls_peer(SERVING)
    async with DSession(connections=4) as session:
        assert (await session.get(server.url, ssl_context=client_context)).status_code == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            await session.get(server.url, retries=0)
        assert (await session.get(server.url, ssl_context=client_context)).reused
    assert len(server.requests) == 2


async def test_unverified_connection_is_not_used_verified(
    tls_peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request with verification does not use an unverified connection (CVE-2024-35195)."""
    monkeypatch.setattr("asks_fast._transport.tls._has_warned", False)
    server = tls_peer(SERVING)
    async with DSession(connections=4) as session:
        with pytest.warns(Warning, match="verif"):
            assert (await session.get(server.url, verify=False)).status_code == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            await session.get(server.url, retries=0)
    assert len(server.requests) == 1


async def test_different_server_hostname(
    tls_peer: Callable[..., Peer], client_context: ssl.SSLContext
) -> None:
    """Connections with another `server_hostname` are not shared."""
    server = tls_peer(SERVING)
    async with DSession(ssl_context=client_context, connections=4) as session:
        assert (await session.get(server.url, server_hostname="example.test")).status_code == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            await session.get(server.url, server_hostname="other.test", retries=0)
    assert len(server.requests) == 1


OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "source address": ({"source_address": "127.0.0.2"}, {"source_address": "127.0.0.3"}),
    "resolver": ({"resolver": lambda host: ["127.0.0.1"]}, {"resolver": lambda host: "127.0.0.1"}),
}


@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS.keys())
async def test_different_connection_options(
    peer: Callable[..., Peer], one: dict[str, Any], other: dict[str, Any]
) -> None:
    """Requests share connections only if their connection options are equal."""
    server = peer(SERVING)
    url = f"http://name.test:{server.port}/"
    given = {"hosts": {"name.test": "127.0.0.1"}} if "resolver" not in one else {}
    async with DSession(connections=4, **given) as session:
        for options in (one, other, one, other):
            await session.get(url, **options)
    assert len(server.connections) == 2


async def test_different_proxies(peer: Callable[..., Peer]) -> None:
    """A proxy with another password or field is another proxy (CVE-2026-3784)."""
    proxy = peer(SERVING)
    at = f"127.0.0.1:{proxy.port}"
    ways: list[Any] = [
        f"http://{at}",
        f"http://u:one@{at}",
        f"http://u:two@{at}",
        Proxy.from_url(f"http://u:two@{at}", headers={"X-Group": "7"}),
    ]
    async with DSession(connections=8) as session:
        for _ in range(2):
            for way in ways:
                await session.get("http://origin.test/", proxy=way)
        await session.get(f"http://{at}/", proxy=None)
    assert len(proxy.connections) == 5
    for connection in proxy.connections:
        assert len({q.header("proxy-authorization") for q in connection.requests}) == 1
