"""httpx on the transports of asks_fast: what a program sees is what httpx documents."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.proxy_steps import http_proxy, socks_proxy
from support.script_steps import (
    OK,
    close,
    discard,
    expect,
    expect_head,
    mark,
    repeat,
    reset,
    send,
    stall,
    stop_reading,
)
from support.scripted_server import Peer
from support.servers import Server

httpx = pytest.importorskip("httpx")

from asks_fast.contrib.httpx import AsyncTransport, Transport  # noqa: E402

pytestmark = pytest.mark.usefixtures("kernel_of_thread")

Call = Callable[..., Any]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"


async def async_call(method: str, url: str, options: dict[str, Any], **arguments: Any) -> Any:
    content = arguments.get("content")
    if isinstance(content, list):
        arguments["content"] = pieces(content)
    async with httpx.AsyncClient(transport=AsyncTransport(**options)) as client:
        return await client.request(method, url, **arguments)


async def pieces(content: list[bytes]) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


def sync_call(method: str, url: str, options: dict[str, Any], **arguments: Any) -> Any:
    content = arguments.get("content")
    if isinstance(content, list):
        arguments["content"] = iter(content)
    with httpx.Client(transport=Transport(**options)) as client:
        return client.request(method, url, **arguments)


@pytest.fixture(params=["asyncio", "trio", "sync"])
def call(request: pytest.FixtureRequest) -> Call:
    """`call(method, url, transport=…, **arguments)`: a response, its body read."""

    def make(method: str, url: str, transport: dict[str, Any] | None = None, **more: Any) -> Any:
        options = transport or {}
        if request.param == "sync":
            return sync_call(method, url, options, **more)
        if request.param == "asyncio":
            return asyncio.run(async_call(method, url, options, **more))
        trio = pytest.importorskip("trio")
        return trio.run(partial(async_call, method, url, options, **more))

    return make


# -- requests and responses


def test_header_fields_are_those_of_httpx(call: Call, peer: Callable[..., Peer]) -> None:
    """The request has the fields of httpx in their order, each once, and none of asks_fast."""
    server = peer([expect(), send(OK)])
    call("GET", f"{server.url}/a%2Fb?x=%20", headers={"X-Twice": "1"})
    (seen,) = server.requests
    assert seen.target == "/a%2Fb?x=%20"
    theirs = httpx.Client().headers
    assert seen.headers == [
        ("Host", server.url.removeprefix("http://")),
        ("Accept", "*/*"),
        ("Accept-Encoding", theirs["accept-encoding"]),
        ("Connection", "keep-alive"),
        ("User-Agent", theirs["user-agent"]),
        ("X-Twice", "1"),
    ]


def test_a_removed_default_header_is_not_sent(peer: Callable[..., Peer]) -> None:
    """A field that the program took away from httpx is not replaced by one of asks_fast."""
    server = peer([expect(), send(OK)])
    with httpx.Client(transport=Transport()) as client:
        client.headers.clear()
        client.post(server.url, content=b"x")
    assert [name for name, _ in server.requests[0].headers] == ["Host", "Content-Length"]


@pytest.mark.parametrize(
    ("content", "framing"),
    [(b"abc", "content-length"), ([b"a", b"bc"], "transfer-encoding")],
    ids=["bytes", "stream"],
)
def test_request_bodies(call: Call, peer: Callable[..., Peer], content: Any, framing: str) -> None:
    """A body in memory has a length, one that is streamed goes in chunks."""
    server = peer([expect("POST"), send(OK)])
    assert call("POST", server.url, content=content).text == "ok"
    (seen,) = server.requests
    assert seen.header(framing) in ("3", "chunked")
    assert b"abc" in seen.raw or seen.body == b"abc"
    assert seen.header("content-type") is None


def test_streamed_body_with_a_length(call: Call, peer: Callable[..., Peer]) -> None:
    """Content-Length of the program is kept for a streamed body."""
    server = peer([expect("PUT"), send(OK)])
    call("PUT", server.url, content=[b"a", b"bc"], headers={"Content-Length": "3"})
    assert server.requests[0].header("content-length") == "3"
    assert server.requests[0].body == b"abc"


def test_auth_reads_a_streamed_body_first(peer: Callable[..., Peer]) -> None:
    """A body that an auth class of httpx read keeps the chunked coding that was announced."""

    class Signed(httpx.Auth):
        requires_request_body = True

        def auth_flow(self, request: Any) -> Iterator[Any]:
            request.headers["X-Size"] = str(len(request.content))
            yield request

    server = peer([expect("POST"), send(OK)])
    with httpx.Client(transport=Transport()) as client:
        client.post(server.url, content=iter([b"a", b"bc"]), auth=Signed())
    assert server.requests[0].header("x-size") == "3"
    assert server.requests[0].body == b"abc"


def test_response_extensions(call: Call, peer: Callable[..., Peer]) -> None:
    """`http_version`, `reason_phrase` and trailers are there; `network_stream` says it is not."""
    head = b"HTTP/1.0 200 Quite fine\r\nContent-Length: 2\r\n\r\nok"
    response = call("GET", peer([expect(), send(head)]).url)
    assert response.http_version == "HTTP/1.0"
    assert response.reason_phrase == "Quite fine"
    assert response.extensions["trailers"] == httpx.Headers()
    for use in ("read", "write", "close", "aclose", "start_tls", "get_extra_info"):
        with pytest.raises(NotImplementedError, match="network_stream"):
            getattr(response.extensions["network_stream"], use)("server_addr")


def test_trailers(call: Call, peer: Callable[..., Peer]) -> None:
    """The trailer fields of a chunked response are there after the body."""
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n"
    )
    response = call("GET", peer([expect(), send(answer)]).url)
    assert response.text == "ok"
    assert response.extensions["trailers"]["x-sum"] == "7"


def test_repeated_response_headers(call: Call, peer: Callable[..., Peer]) -> None:
    """Repeated fields arrive one by one, as raw bytes."""
    answer = b"HTTP/1.1 204 No Content\r\nX-A: 1\r\nx-a: \xe4\r\n\r\n"
    response = call("GET", peer([expect(), send(answer)]).url)
    assert response.headers.raw == [(b"X-A", b"1"), (b"x-a", b"\xe4")]


@pytest.mark.parametrize("path", ["/gzip", "/deflate", "/br", "/zstd"])
def test_httpx_decompresses(call: Call, app_server: Server, path: str) -> None:
    """The raw body is given as it was sent; httpx decompresses what it asked for."""
    response = call("GET", f"{app_server.url}{path}")
    if path[1:] in httpx.Client().headers["accept-encoding"]:
        assert response.json()["coding"] == path[1:]


def test_redirects_cookies_and_auth_stay_with_httpx(call: Call, app_server: Server) -> None:
    """httpx decides about redirects, keeps cookies and sends credentials."""
    url = app_server.url
    assert call("GET", f"{url}/redirect/2").status_code == 302
    response = call("GET", f"{url}/redirect/2", follow_redirects=True)
    assert [earlier.status_code for earlier in response.history] == [302, 302]
    assert call("GET", f"{url}/cookies/set?a=1", follow_redirects=True).json()["cookies"]["a"]
    assert call("GET", f"{url}/basic-auth/u/p").status_code == 401
    assert call("GET", f"{url}/basic-auth/u/p", auth=("u", "p")).status_code == 200
    with_user = url.replace("://", "://u:p@")
    assert call("GET", f"{with_user}/basic-auth/u/p").status_code == 200


def test_target_extension(call: Call, peer: Callable[..., Peer]) -> None:
    """The `target` extension replaces path and query."""
    server = peer([expect("OPTIONS", "*"), send(OK)])
    assert call("OPTIONS", server.url, extensions={"target": b"*"}).text == "ok"


# -- streaming, cancellation


@pytest.mark.kernels("asyncio", "trio")
async def test_a_response_is_streamed(peer: Callable[..., Peer]) -> None:
    """Chunks arrive before the server sends the next; a body that was read keeps its connection."""
    go_on = threading.Event()
    server = peer(
        [
            expect(),
            send(HEAD),
            lambda _: discard(go_on.wait(60)),
            send(b"defghi"),
            expect(),
            send(OK),
        ],
        [expect("GET", "/other"), send(OK)],
    )
    transport = AsyncTransport()
    async with httpx.AsyncClient(transport=transport) as client:
        chunks = []
        async with client.stream("GET", server.url) as response:
            async for chunk in response.aiter_raw():
                if not chunks:
                    assert (await client.get(f"{server.url}/other")).text == "ok"
                    assert transport._session.pool_stats()["in_use"] == 1
                    go_on.set()
                chunks.append(chunk)
        assert chunks == [b"abc", b"defghi"]
        assert transport._session.pool_stats()["idle"] == 2


@pytest.mark.kernels("asyncio", "trio")
async def test_a_body_left_early_closes_its_connection(peer: Callable[..., Peer]) -> None:
    """Leaving `client.stream` before the end closes the connection and frees its slot."""
    server = peer(
        [expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), stall()],
    )
    transport = AsyncTransport()
    async with httpx.AsyncClient(transport=transport) as client:
        async with client.stream("GET", server.url) as response:
            assert response.status_code == 200
        assert transport._session.pool_stats()["open"] == 0
    server.wait(lambda: server.open_connections == 0)


def test_cancellation_closes_the_connection(peer: Callable[..., Peer]) -> None:
    """A cancelled task leaves no connection open, in the head as in the body."""
    server = peer(
        [expect(), mark("head"), stall()],
        [expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), mark("body"), stall()],
    )

    async def main() -> None:
        transport = AsyncTransport()
        async with httpx.AsyncClient(transport=transport) as client:
            for name in ("head", "body"):
                task = asyncio.create_task(client.get(server.url))
                await asyncio.to_thread(server.wait, lambda name=name: name in server._marks)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert transport._session.pool_stats()["open"] == 0

    asyncio.run(main())
    server.wait(lambda: server.open_connections == 0)


def test_sync_streaming(app_server: Server) -> None:
    """A blocking client reads a long body piece by piece."""
    with (
        httpx.Client(transport=Transport()) as client,
        client.stream("GET", f"{app_server.url}/bytes/300000") as response,
    ):
        sizes = [len(chunk) for chunk in response.iter_raw()]
    assert sum(sizes) == 300000
    assert len(sizes) > 1


def test_sync_left_early(peer: Callable[..., Peer]) -> None:
    """A blocking client that leaves a body closes its connection."""
    server = peer([expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), stall()])
    with httpx.Client(transport=Transport()) as client:
        with client.stream("GET", server.url) as response:
            assert next(response.iter_raw()) == b"abc"
        server.wait(lambda: server.open_connections == 0)


def test_threads_share_a_blocking_client(app_server: Server) -> None:
    """Each thread gets connections of its own; those of threads that ended are closed."""
    statuses: list[int] = []
    transport = Transport()
    with httpx.Client(transport=transport) as client:

        def get() -> None:
            statuses.append(client.get(f"{app_server.url}/get").status_code)

        for _ in range(3):
            threads = [threading.Thread(target=get) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        get()
        assert len(transport._owners) == 1
    assert statuses == [200] * 10


# -- errors


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([expect(), close()], httpx.RemoteProtocolError),
        ([expect(), send(b"nonsense\r\n\r\n"), close()], httpx.RemoteProtocolError),
        ([expect(), send(HEAD), close()], httpx.RemoteProtocolError),
        ([expect(), send(HEAD), reset()], httpx.ReadError),
        ([expect(), reset()], httpx.ReadError),
    ],
    ids=["no-answer", "not-http", "body-cut-short", "reset-in-body", "reset-before-head"],
)
def test_server_errors(
    call: Call, peer: Callable[..., Peer], script: list[Any], error: type[Exception]
) -> None:
    """What a server does wrong is the error that httpx has for it, with the request."""
    with pytest.raises(error) as caught:
        call("GET", peer(script).url)
    assert type(caught.value) is error
    assert caught.value.request.method == "GET"


def test_connection_errors(call: Call, tmp_path: Path) -> None:
    """A refused connection and an unknown name are ConnectError."""
    with pytest.raises(httpx.ConnectError):
        call("GET", "http://127.0.0.1:1/")
    with pytest.raises(httpx.ConnectError):
        call("GET", "http://name.invalid/")
    with pytest.raises(httpx.ConnectError):
        call("GET", "http://server.test/", {"uds": str(tmp_path / "none")})


def test_illegal_requests(call: Call, peer: Callable[..., Peer]) -> None:
    """What cannot be sent is a LocalProtocolError; another scheme is UnsupportedProtocol."""
    server = peer([expect_head(), stall()])
    with pytest.raises(httpx.LocalProtocolError):
        call("GET", server.url, headers={"X": "a\nb"})
    with pytest.raises(httpx.LocalProtocolError):
        call("POST", server.url, content=[b"abcd"], headers={"Content-Length": "3"})
    with pytest.raises(httpx.UnsupportedProtocol):
        call("GET", "ftp://127.0.0.1/")


def test_error_of_the_body_is_raised_as_it_is(peer: Callable[..., Peer]) -> None:
    """An exception of the program's own body iterator reaches the program."""

    def body() -> Iterator[bytes]:
        yield b"a"
        raise LookupError("mine")

    server = peer([expect_head(), stall()])
    with httpx.Client(transport=Transport()) as client, pytest.raises(LookupError, match="mine"):
        client.post(server.url, content=body())


# -- time limits


def test_read_timeout(call: Call, peer: Callable[..., Peer]) -> None:
    """A silent server is a ReadTimeout, before the head and within the body."""
    limits = httpx.Timeout(None, read=0.05)
    with pytest.raises(httpx.ReadTimeout):
        call("GET", peer([expect(), stall()]).url, timeout=limits)
    with pytest.raises(httpx.ReadTimeout):
        call("GET", peer([expect(), send(HEAD), stall()]).url, timeout=limits)


def test_write_timeout(call: Call, peer: Callable[..., Peer]) -> None:
    """A server that takes no bytes is a WriteTimeout."""
    server = peer([expect_head(), stop_reading()])
    with pytest.raises(httpx.WriteTimeout):
        call("POST", server.url, content=bytes(50_000_000), timeout=httpx.Timeout(None, write=0.1))


def test_connect_timeout(call: Call, peer: Callable[..., Peer]) -> None:
    """A proxy that does not answer CONNECT is a ConnectTimeout."""
    proxy = peer([expect_head(), stall()])
    with pytest.raises(httpx.ConnectTimeout):
        call(
            "GET",
            "https://server.test/",
            {"proxy": proxy.url},
            timeout=httpx.Timeout(None, connect=0.05),
        )


@pytest.mark.kernels("asyncio", "trio")
async def test_pool_timeout(peer: Callable[..., Peer]) -> None:
    """A request that gets no connection in time is a PoolTimeout; `limits` sets how many exist."""
    server = peer([expect(), send(HEAD), stall()])
    transport = AsyncTransport(limits=httpx.Limits(max_connections=1))
    async with (
        httpx.AsyncClient(transport=transport) as client,
        client.stream("GET", server.url),
    ):
        with pytest.raises(httpx.PoolTimeout):
            await client.get(server.url, timeout=httpx.Timeout(None, pool=0.05))


def test_a_limit_of_zero(call: Call, peer: Callable[..., Peer]) -> None:
    """A read limit of 0 expires at once."""
    with pytest.raises(httpx.ReadTimeout):
        call("GET", peer([expect(), stall()]).url, timeout=httpx.Timeout(None, read=0))


# -- arguments of the transport


@pytest.mark.parametrize(
    ("limits", "connections"),
    [
        (httpx.Limits(), 1),
        (httpx.Limits(max_keepalive_connections=0), 3),
        (httpx.Limits(keepalive_expiry=0), 3),
        (httpx.Limits(max_connections=None, keepalive_expiry=None), 1),
    ],
    ids=["default", "none-kept", "no-expiry", "unlimited"],
)
def test_keep_alive_limits(peer: Callable[..., Peer], limits: Any, connections: int) -> None:
    """Connections are kept as the limits say."""
    server = peer([repeat(expect(), send(OK))])
    with httpx.Client(transport=Transport(limits=limits)) as client:
        for _ in range(3):
            client.get(server.url)
    assert len({request.connection for request in server.requests}) == connections


def test_verify(call: Call, tls_server: Server, client_context: ssl.SSLContext) -> None:
    """`verify` is a context, or False; an unknown certificate is a ConnectError."""
    assert call("GET", f"{tls_server.url}/get", {"verify": client_context}).status_code == 200
    assert call("GET", f"{tls_server.url}/get", {"verify": False}).status_code == 200
    with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
        call("GET", f"{tls_server.url}/get")


def test_client_certificate(
    call: Call,
    peer: Callable[..., Peer],
    certificate_authority: Any,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    tmp_path: Path,
) -> None:
    """The certificate in the context, or in `cert`, is shown to a server that asks for one."""
    certificate_authority.configure_trust(server_context)
    server_context.verify_mode = ssl.CERT_REQUIRED
    server = peer([expect(), send(OK)], tls=server_context)
    own = certificate_authority.issue_cert("client@example.test")
    file = tmp_path / "client.pem"
    own.private_key_and_cert_chain_pem.write_to_path(file)
    with pytest.warns(DeprecationWarning, match="cert"):  # by httpx
        response = call("GET", server.url, {"verify": client_context, "cert": str(file)})
    assert response.text == "ok"


def test_sni_hostname(call: Call, tls_server: Server, client_context: ssl.SSLContext) -> None:
    """The `sni_hostname` extension names the server to verify."""
    url, transport = f"{tls_server.url}/get", {"verify": client_context}
    good = call("GET", url, transport, extensions={"sni_hostname": "example.test"})
    assert good.status_code == 200
    with pytest.raises(httpx.ConnectError):
        call("GET", url, transport, extensions={"sni_hostname": "other.test"})


@pytest.mark.parametrize("kind", ["url", "auth", "httpx-url"])
def test_http_proxy(
    call: Call,
    peer: Callable[..., Peer],
    tls_server: Server,
    app_server: Server,
    client_context: ssl.SSLContext,
    kind: str,
) -> None:
    """http goes to the proxy with the whole URL, https through a tunnel, with credentials."""
    proxy = peer([http_proxy("user", "pass:%")])
    host = proxy.url.removeprefix("http://")
    given: Any = f"http://user:pass%3A%25@{host}"
    if kind == "auth":
        given = httpx.Proxy(proxy.url, auth=("user", "pass:%"))
    elif kind == "httpx-url":
        given = httpx.URL(given)
    transport = {"proxy": given, "verify": client_context}
    assert call("GET", f"{app_server.url}/get", transport).status_code == 200
    assert call("GET", f"{tls_server.url}/get", transport).status_code == 200


def test_socks_proxy(call: Call, peer: Callable[..., Peer], app_server: Server) -> None:
    """A SOCKS5 proxy takes the credentials of its URL."""
    proxy = peer([socks_proxy("user", "secret")])
    given = proxy.url.replace("http://", "socks5h://user:secret@")
    assert call("GET", f"{app_server.url}/get", {"proxy": given}).status_code == 200


def test_a_proxy_that_refuses(call: Call, peer: Callable[..., Peer]) -> None:
    """A refused tunnel is a ProxyError, and so is a proxy that cannot be reached."""
    proxy = peer([expect_head(), send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), close()])
    for url in (proxy.url, "http://127.0.0.1:1"):
        with pytest.raises(httpx.ProxyError):
            call("GET", "https://server.test/", {"proxy": url})


def test_unix_socket(call: Call, peer: Callable[..., Peer], tmp_path: Path) -> None:
    """`uds` connects to a Unix socket; Host stays that of the URL."""
    path = str(tmp_path / "socket")
    server = peer([expect(), send(OK)], unix=path)
    assert call("GET", "http://server.test/", {"uds": path}).text == "ok"
    assert server.requests[0].header("host") == "server.test"


def test_only_http_1() -> None:
    """HTTP/2 is refused when the transport is made."""
    for options in ({"http2": True}, {"http1": False}):
        for kind in (AsyncTransport, Transport):
            with pytest.raises(ValueError, match=r"HTTP/1\.1 only"):
                kind(**options)


def test_connect_retries(call: Call) -> None:
    """`retries` repeats what failed before there was a connection, and nothing else."""
    with pytest.raises(httpx.ConnectError) as caught:
        call("GET", "http://127.0.0.1:1/", {"retries": 1})
    assert caught.value.__cause__.attempts == 2


def test_retries_do_not_repeat_an_exchange(call: Call, peer: Callable[..., Peer]) -> None:
    """A request that reached the server is not sent again, whatever `retries` says."""
    server = peer([expect(), close()], [expect(), send(OK)])
    with pytest.raises(httpx.RemoteProtocolError):
        call("GET", server.url, {"retries": 3})
    assert len(server.requests) == 1
