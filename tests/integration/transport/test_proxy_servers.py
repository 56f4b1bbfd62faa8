"""Sessions through proxies: squid, and scripted ones for SOCKS and for HTTP over TLS."""

from __future__ import annotations

import ssl
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

import pytest
from support import proxy_servers
from support.cancel_at_each_await import sweep
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
    """A plain origin that writes down what reaches it."""
    return peer(SERVING)


@pytest.fixture
def secure_origin(tls_peer: MakePeer) -> Peer:
    """The same behind TLS."""
    return tls_peer(SERVING)


def session(server: Server | None, client_context: ssl.SSLContext, **options: Any) -> Any:
    url = options.pop("url", None) or (server and f"http://{options.pop('login', '')}"
                                       f"{server.host}:{server.port}")  # fmt: skip
    return asks_fast.DSession(proxy=url, ssl_context=client_context, **options)


async def both_ways(one: Any, origin: Peer, secure_origin: Peer) -> None:
    """Two requests each to a plain and a secure origin; no origin sees a word for the proxy."""
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
    """http is forwarded (the proxy says so in Via), https is tunnelled and kept alive."""
    async with session(squid, client_context) as one:
        await both_ways(one, origin, secure_origin)
    assert all("proxy.test" in (request.header("via") or "") for request in origin.requests)
    assert all(request.header("via") is None for request in secure_origin.requests)


async def test_squid_with_basic(
    squid_basic: Server, origin: Peer, secure_origin: Peer, client_context: ssl.SSLContext
) -> None:
    """Credentials from the proxy's URL open both ways."""
    async with session(squid_basic, client_context, login=LOGIN) as one:
        await both_ways(one, origin, secure_origin)


async def test_squid_with_a_field_of_the_users(
    squid_basic: Server, origin: Peer, secure_origin: Peer, client_context: ssl.SSLContext
) -> None:
    """`Proxy-Authorization` among the headers logs in at the proxy, and reaches no origin."""
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
    """A Digest challenge is answered, forwarding and tunnelling, and its nonce used again."""
    url = f"http://{LOGIN}{squid_digest.host}:{squid_digest.port}"
    async with session(None, client_context, url=make_proxy(url, digest=True)) as one:
        await both_ways(one, origin, secure_origin)


@pytest.mark.parametrize("login", ["", f"{USER}:wrong@"])
@pytest.mark.parametrize("auth", ["basic", "digest"])
async def test_squid_refuses(
    auth: str,
    login: str,
    request: pytest.FixtureRequest,
    origin: Peer,
    secure_origin: Peer,
    client_context: ssl.SSLContext,
) -> None:
    """Without the right password: the 407 is the answer, or in the error of the tunnel."""
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


async def test_an_origin_that_squid_cannot_reach(
    squid: Server, client_context: ssl.SSLContext
) -> None:
    """The tunnel's error carries squid's own page."""
    async with session(squid, client_context) as one:
        assert (await one.get("http://127.0.0.1:1/")).status_code == 503
        with pytest.raises(ProxyError, match="503 Service Unavailable"):
            await one.get("https://127.0.0.1:1/")


async def test_a_proxy_over_tls(
    tls_proxy: Peer, origin: Peer, secure_origin: Peer, client_context: ssl.SSLContext
) -> None:
    """https to the proxy: forwarding inside it, and TLS inside TLS for https origins."""
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
    """All four kinds carry http and https; names are resolved here or there as the kind says."""
    url = f"{scheme}://127.0.0.1:{socks.port}"
    hosts = {"here.test": "127.0.0.1"}
    async with session(None, client_context, url=url, hosts=hosts) as one:
        await both_ways(one, origin, secure_origin)
        there = f"http://localhost:{origin.port}/"
        assert (await one.get(there)).body == b"ok"
        here = f"http://here.test:{origin.port}/"
        if scheme in ("socks4", "socks5"):
            assert (await one.get(here)).body == b"ok"
        else:
            with pytest.raises((ProxyError, asks_fast.ConnectivityError)):
                await one.get(here)


async def test_socks_with_a_password(
    socks_login: Peer, origin: Peer, secure_origin: Peer, client_context: ssl.SSLContext
) -> None:
    """SOCKS5 logs in; without the right password there is an error and no way."""
    address = f"127.0.0.1:{socks_login.port}"
    async with session(None, client_context, url=f"socks5h://{LOGIN}{address}") as one:
        await both_ways(one, origin, secure_origin)
    for login in ("", f"{USER}:wrong@"):
        async with session(None, client_context, url=f"socks5://{login}{address}") as one:
            with pytest.raises(ProxyError) as caught:
                await one.get(origin.url)
            assert "wrong" not in str(caught.value)


async def test_socks4a_leaves_the_name_to_the_proxy(
    peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """A 4a request carries the impossible address 0.0.0.1, the user and the name."""
    answer = b"\x00\x5a\x00\x50\x00\x00\x00\x00"
    proxy = peer([read(8 + len("me") + 1 + len("far.test") + 1), send(answer), expect(), send(OK)])
    url = f"socks4a://me@127.0.0.1:{proxy.port}"
    async with session(None, client_context, url=url) as one:
        assert (await one.get("http://far.test/")).body == b"ok"
    sent = bytes(proxy.connections[0].received)
    assert sent.startswith(b"\x04\x01\x00\x50\x00\x00\x00\x01me\x00far.test\x00GET / HTTP/1.1")


@pytest.mark.parametrize(
    "steps",
    [
        [close()],
        [reset()],
        [read(3), send(b"\x05\xff")],
        [read(3), send(b"HTTP/1.1 400 Bad Request\r\n\r\n")],
        [read(3), send(b"\x05\x00"), read(10), send(b"\x05\x05\x00\x01" + bytes(6))],
        [read(3), send(b"\x05\x00"), read(10), send(b"\x05\x00"), close()],
        [read(3), send(b"\x05\x00"), read(10), send(b"\x05\x00\x00\x09" + bytes(6))],
    ],
)
async def test_a_socks_proxy_that_fails(
    steps: list[Any], peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """Whatever a SOCKS proxy does wrong is a `ProxyError`, and the connection is closed."""
    proxy = peer([*steps])
    url = f"socks5://127.0.0.1:{proxy.port}"
    async with session(None, client_context, url=url) as one:
        with pytest.raises(ProxyError):
            await one.get("http://127.0.0.1:9/")
        await proxy.all_closed()


async def test_socks_cancelled_at_any_wait(socks: Peer, origin: Peer) -> None:
    """Logging in at a SOCKS proxy, cancelled at each wait in turn, leaves nothing open."""
    connector = Connector(proxy=f"socks5://127.0.0.1:{socks.port}")
    route = connector.route_for("http", "127.0.0.1", origin.port)
    for _ in range(3):  # how many waits there are is the wire's affair
        _, sock = await sweep(lambda: connector.connect(route))
        sock.close()


async def test_socks_needs_its_extra(
    origin: Peer, client_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without python-socks, the error names the extra, and nothing is opened."""
    monkeypatch.setitem(sys.modules, "python_socks", None)
    async with session(None, client_context, url=f"socks5://127.0.0.1:{origin.port}") as one:
        with pytest.raises(InvalidRequest, match=r"asks-fast\[socks\]"):
            await one.get(origin.url)
    assert origin.connections == []


async def test_a_rotation_in_use(
    squid: Server, socks: Peer, origin: Peer, client_context: ssl.SSLContext
) -> None:
    """Requests take the proxies of a list in turn, and connections are kept for each."""
    ways = [f"http://127.0.0.1:{squid.port}", f"socks5://127.0.0.1:{socks.port}", None]
    async with session(None, client_context, url=ways) as one:
        for number in range(6):
            assert (await one.get(f"{origin.url}/{number}")).body == b"ok"
    via = {request.target: bool(request.header("via")) for request in origin.requests}
    assert [via[f"/{number}"] for number in range(6)] == [True, False, False, True, False, False]
    assert len(origin.connections) == 3


async def test_a_rotation_of_single_requests(
    squid: Server, socks: Peer, origin: Peer, client_context: ssl.SSLContext
) -> None:
    """A list in the request is taken in turn as the session's is, and each try takes the next."""
    ways = [f"http://127.0.0.1:{squid.port}", f"socks5://127.0.0.1:{socks.port}", None]
    async with session(None, client_context, url=None) as one:
        for number in range(6):
            assert (await one.get(f"{origin.url}/{number}", proxy=ways)).body == b"ok"
        via = {request.target: bool(request.header("via")) for request in origin.requests}
        assert [via[f"/{number}"] for number in range(6)] == [True, False, False] * 2
        dead = ["http://127.0.0.1:1", ways[0]]
        for _ in range(2):
            assert (await one.get(origin.url, proxy=dead, retries=1)).body == b"ok"


async def test_the_environment_in_use(
    squid: Server, origin: Peer, client_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`trust_env=True` goes by `http_proxy` and `no_proxy`."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{squid.port}")
    monkeypatch.setenv("no_proxy", "localhost")
    async with asks_fast.DSession(trust_env=True) as one:
        await one.get(f"http://127.0.0.1:{origin.port}/through")
        await one.get(f"http://localhost:{origin.port}/direct")
    via = {request.target: bool(request.header("via")) for request in origin.requests}
    assert via == {"/through": True, "/direct": False}


async def test_a_redirect_from_a_proxied_to_a_direct_origin(
    squid_basic: Server,
    peer: MakePeer,
    secure_origin: Peer,
    client_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The way is found anew for each hop: the second origin sees nothing that was the proxy's."""
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


async def test_a_failed_proxy_of_a_rotation_is_left_for_the_next(
    squid: Server, origin: Peer, client_context: ssl.SSLContext
) -> None:
    """A retry takes the next proxy of the list."""
    ways = ["http://127.0.0.1:1", f"http://127.0.0.1:{squid.port}"]
    async with session(None, client_context, url=ways) as one:
        for _ in range(2):
            assert (await one.get(origin.url, retries=1)).body == b"ok"
        with pytest.raises(ProxyError):
            await one.get(origin.url)
