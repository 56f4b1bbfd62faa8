"""Sessions through proxies: squid, and scripted ones for SOCKS and for HTTP over TLS."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

import pytest
from support import proxy_servers
from support.cancel_at_each_await import cancel_at_each_await
from support.proxy_servers import PASSWORD, USER
from support.proxy_steps import http_proxy, socks_proxy
from support.script_steps import OK, SERVING, close, expect, read, repeat, reset, send
from support.scripted_server import MakePeer, Peer
from support.servers import NotInstalled, Server

import asks_fast
from asks_fast._transport.connector import Connector
from asks_fast._transport.proxies import make_proxy
from asks_fast.errors import InvalidRequest, ProxyError

LOGIN = f"{quote(USER)}:{quote(PASSWORD)}@"


def started(context: AbstractContextManager[Server]) -> Iterator[Server]:
    try:
        with context as server:
            yield server
    except NotInstalled as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def squid() -> Iterator[Server]:
    yield from started(proxy_servers.squid())


@pytest.fixture(scope="module")
def squid_basic() -> Iterator[Server]:
    yield from started(proxy_servers.squid("basic"))


@pytest.fixture(scope="module")
def squid_digest() -> Iterator[Server]:
    yield from started(proxy_servers.squid("digest"))


@pytest.fixture
def tls_proxy(tls_peer: MakePeer) -> Peer:
    return tls_peer([http_proxy(USER, PASSWORD)])


@pytest.fixture
def socks(peer: MakePeer) -> Peer:
    return peer([socks_proxy()])


@pytest.fixture
def socks_login(peer: MakePeer) -> Peer:
    return peer([socks_proxy(USER, PASSWORD)])


@pytest.fixture
def origin(peer: MakePeer) -> Peer:
    """A plain origin that records what it receives."""
    return peer(SERVING)


@pytest.fixture
def secure_origin(tls_peer: MakePeer) -> Peer:
    """The same over TLS."""
    return tls_peer(SERVING)


def session(server: Server | None, client_context: ssl.SSLContext, **options: Any) -> Any:
    url = options.pop("url", None) or (server and f"http://{options.pop('login', '')}"
                                       f"{server.host}:{server.port}")  # fmt: skip
    return asks_fast.DSession(proxy=url, ssl_context=client_context, **options)


async def request_both_origins(one: Any, origin: Peer, secure_origin: Peer) -> None:
    """Send two requests each to a plain and a secure origin; neither receives a field for the
    proxy.
    """
    for url in (origin.url, secure_origin.url):
        for number in range(2):
            response = await one.get(f"{url}/{number}", headers={"Authorization": "for origin"})
            assert (response.status_code, response.body) == (200, b"ok")
    for peer in (origin, secure_origin):
        assert [request.target for request in peer.requests] == ["/0", "/1"]
        for request in peer.requests:
            assert request.header("proxy-authorization") is None
            assert request.header("authorization") == "for origin"
    assert len(secure_origin.connections) == 1


async def test_squid_forwards_and_tunnels(
    squid: Server, origin: Peer, secure_origin: Peer, client_context: ssl.SSLContext
) -> None:
    """http is forwarded (see Via), https is tunnelled; connections are kept."""
    async with session(squid, client_context) as one:
        await request_both_origins(one, origin, secure_origin)
    assert all("proxy.test" in (request.header("via") or "") for request in origin.requests)
    assert all(request.header("via") is None for request in secure_origin.requests)


async def test_squid_with_basic(
    squid_basic: Server, origin: Peer, secure_origin: Peer, client_context: ssl.SSLContext
) -> None:
    """Credentials of the proxy's URL work for forwarding and tunnelling."""
    async with session(squid_basic, client_context, login=LOGIN) as one:
        await request_both_origins(one, origin, secure_origin)


async def test_squid_with_proxy_authorization_header(
    squid_basic: Server, origin: Peer, secure_origin: Peer, client_context: ssl.SSLContext
) -> None:
    """`Proxy-Authorization` in the headers is sent to the proxy and to no origin."""
    value = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    async with session(squid_basic, client_context) as one:
        for url in (origin.url, secure_origin.url):
            response = await one.get(url, headers={"Proxy-Authorization": value})
            assert response.body == b"ok"
    for request in (*origin.requests, *secure_origin.requests):
        assert request.header("proxy-authorization") is None


async def test_squid_with_digest(
    squid_digest: Server, origin: Peer, secure_origin: Peer, client_context: ssl.SSLContext
) -> None:
    """Digest works for forwarding and tunnelling, and the nonce is reused."""
    url = f"http://{LOGIN}{squid_digest.host}:{squid_digest.port}"
    async with session(None, client_context, url=make_proxy(url, digest=True)) as one:
        await request_both_origins(one, origin, secure_origin)


@pytest.mark.parametrize("login", ["", f"{USER}:wrong@"])
@pytest.mark.parametrize("auth", ["basic", "digest"])
async def test_squid_with_wrong_password(
    auth: str,
    login: str,
    request: pytest.FixtureRequest,
    origin: Peer,
    secure_origin: Peer,
    client_context: ssl.SSLContext,
) -> None:
    """With a wrong password the 407 is the response, or part of the tunnel's error."""
    server = request.getfixturevalue(f"squid_{auth}")
    async with session(server, client_context, login=login) as one:
        assert (await one.get(origin.url)).status_code == 407
        with pytest.raises(ProxyError, match="407 Proxy Authentication Required") as caught:
            await one.get(secure_origin.url)
    reply = caught.value.response
    assert reply.status_code == 407
    assert reply.values("proxy-authenticate")[0].lower().startswith(auth)
    assert "wrong" not in str(caught.value)
    assert origin.requests == secure_origin.requests == []


async def test_squid_with_unreachable_origin(squid: Server, client_context: ssl.SSLContext) -> None:
    """The error of the tunnel has squid's error page."""
    async with session(squid, client_context) as one:
        assert (await one.get("http://127.0.0.1:1/")).status_code == 503
        with pytest.raises(ProxyError, match="503 Service Unavailable"):
            await one.get("https://127.0.0.1:1/")


async def test_https_proxy(
    tls_proxy: Peer, origin: Peer, secure_origin: Peer, client_context: ssl.SSLContext
) -> None:
    """An https proxy: forwarding, and TLS inside TLS for https origins."""
    url = f"https://{LOGIN}localhost:{tls_proxy.port}"
    async with session(None, client_context, url=url) as one:
        response = await one.get(f"{secure_origin.url}/0")
        assert response.body == b"ok"
        response = await one.get(f"{secure_origin.url}/1")
        assert response.body == b"ok"
        response = await one.get(f"{origin.url}/0")
        assert response.body == b"ok"
    for request in (*origin.requests, *secure_origin.requests):
        assert request.header("proxy-authorization") is None


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
async def test_socks(
    scheme: str, socks: Peer, origin: Peer, secure_origin: Peer, client_context: ssl.SSLContext
) -> None:
    """All four kinds of SOCKS carry http and https; each resolves names where it should."""
    url = f"{scheme}://127.0.0.1:{socks.port}"
    hosts = {"here.test": "127.0.0.1"}
    async with session(None, client_context, url=url, hosts=hosts) as one:
        await request_both_origins(one, origin, secure_origin)
        there = f"http://localhost:{origin.port}/"
        assert (await one.get(there)).body == b"ok"
        here = f"http://here.test:{origin.port}/"
        if scheme in ("socks4", "socks5"):
            assert (await one.get(here)).body == b"ok"
        else:
            with pytest.raises((ProxyError, asks_fast.ConnectivityError)):
                await one.get(here)


async def test_socks5_login(
    socks_login: Peer, origin: Peer, secure_origin: Peer, client_context: ssl.SSLContext
) -> None:
    """SOCKS5 with a login; with a wrong password it raises."""
    address = f"127.0.0.1:{socks_login.port}"
    async with session(None, client_context, url=f"socks5h://{LOGIN}{address}") as one:
        await request_both_origins(one, origin, secure_origin)
    for login in ("", f"{USER}:wrong@"):
        async with session(None, client_context, url=f"socks5://{login}{address}") as one:
            with pytest.raises(ProxyError) as caught:
                await one.get(origin.url)
            assert "wrong" not in str(caught.value)


async def test_socks4a_bytes(peer: MakePeer, client_context: ssl.SSLContext) -> None:
    """A 4a request contains the address 0.0.0.1, the user and the name."""
    answer = b"\x00\x5a\x00\x50\x00\x00\x00\x00"
    proxy = peer([read(8 + len("me") + 1 + len("far.test") + 1), send(answer), expect(), send(OK)])
    url = f"socks4a://me@127.0.0.1:{proxy.port}"
    async with session(None, client_context, url=url) as one:
        assert (await one.get("http://far.test/")).body == b"ok"
    sent = bytes(proxy.connections[0].received)
    assert sent.startswith(b"\x04\x01\x00\x50\x00\x00\x00\x01me\x00far.test\x00GET / HTTP/1.1")


@pytest.mark.parametrize(
    "reply",
    [
        b"\x05\x00\x00\x01" + bytes(6),
        b"\x05\x00\x00\x04" + bytes(18),
        b"\x05\x00\x00\x03\x01p\x00\x00",
    ],
    ids=["ipv4", "ipv6", "name"],
)
async def test_socks5h_bytes(reply: bytes, peer: MakePeer, client_context: ssl.SSLContext) -> None:
    """The login is UTF-8, the name is sent to the proxy, and a reply of any length is read."""
    login = b"\x01\x02me\x03p\xc3\xa4"
    target = b"\x05\x01\x00\x03\x08far.test\x00\x50"
    proxy = peer(
        [
            *(read(4), send(b"\x05\x02"), read(len(login)), send(b"\x01\x00")),
            *(read(len(target)), send(reply), expect(), send(OK)),
        ]
    )
    url = f"socks5h://me:p%C3%A4@127.0.0.1:{proxy.port}"
    async with session(None, client_context, url=url) as one:
        assert (await one.get("http://far.test/")).body == b"ok"
    sent = bytes(proxy.connections[0].received)
    assert sent.startswith(b"\x05\x02\x00\x02" + login + target + b"GET / HTTP/1.1\r\n")


GREETING = (read(3), send(b"\x05\x00"), read(10))


@pytest.mark.parametrize(
    ("scheme", "steps", "reason"),
    [
        ("socks5", [read(3), close()], "closed the connection"),
        ("socks5", [reset()], "Connection reset"),
        ("socks5", [read(3), send(b"\x05\xff")], "none of the login methods"),
        ("socks5", [read(3), send(b"\x05\x02")], "none of the login methods"),
        ("socks5", [read(3), send(b"HTTP/1.1 400 Bad Request\r\n\r\n")], "first byte 0x48"),
        ("socks5", [*GREETING, send(b"\x05\x05\x00\x01" + bytes(6))], "connection refused"),
        ("socks5", [*GREETING, send(b"\x05\x63\x00\x01" + bytes(6))], "unknown reply code 0x63"),
        ("socks5", [*GREETING, send(b"HTTP/1.1 400")], "first byte 0x48"),
        ("socks5", [*GREETING, send(b"\x05\x00"), close()], "closed the connection"),
        ("socks5", [*GREETING, send(b"\x05\x00\x00\x09" + bytes(6))], "address type 0x09"),
        ("socks4", [read(9), send(b"\x00\x5b" + bytes(6))], "rejected the request"),
        ("socks4", [read(9), send(b"\x05\x5a" + bytes(6))], "first byte 0x05"),
    ],
    ids=[
        *("close", "reset", "no_login_method", "login_not_offered", "http_reply", "refused"),
        *("unknown_code", "http_reply_to_connect", "cut_reply", "unknown_address_type"),
        *("socks4_rejected", "socks4_version"),
    ],
)
async def test_socks_proxy_fails(
    scheme: str, steps: list[Any], reason: str, peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """A refusal and an invalid reply are a `ProxyError` with the reason; the connection closes."""
    proxy = peer([*steps])
    url = f"{scheme}://127.0.0.1:{proxy.port}"
    async with session(None, client_context, url=url) as one:
        with pytest.raises(ProxyError, match=reason):
            await one.get("http://127.0.0.1:9/")
        await proxy.all_closed()


async def test_socks_cancelled_at_each_await(socks: Peer, origin: Peer) -> None:
    """After cancellation at each wait of a SOCKS login nothing stays open."""
    connector = Connector(proxy=f"socks5://127.0.0.1:{socks.port}")
    route = connector.route_for("http", "127.0.0.1", origin.port)
    for _ in range(3):  # how many waits there are is the wire's affair
        _, sock = await cancel_at_each_await(lambda: connector.connect(route))
        sock.close()


@pytest.mark.parametrize("login", ["u" * 256 + ":p", "u:" + "p" * 256], ids=["user", "password"])
async def test_socks5_login_too_long(
    login: str, peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """A user name or password of more than 255 bytes is an `InvalidRequest`."""
    proxy = peer([expect()])
    async with session(None, client_context, url=f"socks5://{login}@127.0.0.1:{proxy.port}") as one:
        with pytest.raises(InvalidRequest, match="256 bytes, more than the 255"):
            await one.get("http://127.0.0.1:9/")
        await proxy.all_closed()
    assert not any(connection.received for connection in proxy.connections)


async def test_rotation_of_a_session(
    squid: Server, socks: Peer, origin: Peer, client_context: ssl.SSLContext
) -> None:
    """Requests use the proxies of a list in turn, and each keeps its connections."""
    ways = [f"http://127.0.0.1:{squid.port}", f"socks5://127.0.0.1:{socks.port}", None]
    async with session(None, client_context, url=ways) as one:
        for number in range(6):
            assert (await one.get(f"{origin.url}/{number}")).body == b"ok"
    via = {request.target: bool(request.header("via")) for request in origin.requests}
    assert [via[f"/{number}"] for number in range(6)] == [True, False, False, True, False, False]
    assert len(origin.connections) == 3


async def test_rotation_of_a_request(
    squid: Server, socks: Peer, origin: Peer, client_context: ssl.SSLContext
) -> None:
    """A list of the request is used in turn, too, and each attempt uses the next proxy."""
    ways = [f"http://127.0.0.1:{squid.port}", f"socks5://127.0.0.1:{socks.port}", None]
    async with session(None, client_context, url=None) as one:
        for number in range(6):
            assert (await one.get(f"{origin.url}/{number}", proxy=ways)).body == b"ok"
        via = {request.target: bool(request.header("via")) for request in origin.requests}
        assert [via[f"/{number}"] for number in range(6)] == [True, False, False] * 2
        dead = ["http://127.0.0.1:1", ways[0]]
        for _ in range(2):
            assert (await one.get(origin.url, proxy=dead, retries=1)).body == b"ok"


async def test_proxy_from_environment(
    squid: Server, origin: Peer, client_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`trust_env=True` uses `http_proxy` and `no_proxy`."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{squid.port}")
    monkeypatch.setenv("no_proxy", "localhost")
    async with asks_fast.DSession(trust_env=True) as one:
        await one.get(f"http://127.0.0.1:{origin.port}/through")
        await one.get(f"http://localhost:{origin.port}/direct")
    via = {request.target: bool(request.header("via")) for request in origin.requests}
    assert via == {"/through": True, "/direct": False}


async def test_redirect_from_proxied_to_direct_origin(
    squid_basic: Server,
    peer: MakePeer,
    secure_origin: Peer,
    client_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each request of a redirect chain gets its own route: a direct origin receives nothing of the
    proxy's.
    """
    answer = f"HTTP/1.1 302 Found\r\nLocation: {secure_origin.url}/\r\nContent-Length: 0\r\n\r\n"
    first = peer([repeat(expect(), send(answer.encode()))])
    monkeypatch.setenv("http_proxy", f"http://{LOGIN}127.0.0.1:{squid_basic.port}")
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    async with asks_fast.DSession(trust_env=True, ssl_context=client_context) as one:
        for _ in range(2):
            response = await one.get(first.url, headers={"Authorization": "for the first"})
            assert response.body == b"ok"
    for request in (*first.requests, *secure_origin.requests):
        assert request.header("proxy-authorization") is None
    assert {request.target for request in secure_origin.requests} == {"/"}
    assert all(request.header("authorization") is None for request in secure_origin.requests)
    assert all("proxy.test" in (request.header("via") or "") for request in first.requests)


async def test_retry_uses_the_next_proxy(
    squid: Server, origin: Peer, client_context: ssl.SSLContext
) -> None:
    """A retry takes the next proxy of the list."""
    ways = ["http://127.0.0.1:1", f"http://127.0.0.1:{squid.port}"]
    async with session(None, client_context, url=ways) as one:
        for _ in range(2):
            assert (await one.get(origin.url, retries=1)).body == b"ok"
        with pytest.raises(ProxyError):
            await one.get(origin.url)
