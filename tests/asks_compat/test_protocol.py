"""Special cases of HTTP/1.1: informational responses, trailers, no body, HTTP/1.0, 100-continue.

Each test also checks whether the connection is reused. Invalid syntax, splits and limits are tested
in tests/unit/hotpath.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.script_steps import (
    FOREVER,
    OK,
    SERVING,
    close,
    expect,
    expect_body,
    expect_head,
    mark,
    repeat,
    send,
    stall,
)
from support.scripted_server import MakePeer
from support.servers import Server

import asks_fast
from asks_fast import HSession
from asks_fast.errors import BadHttpResponse, ServerClosedConnectionError


@pytest.mark.parametrize("stream", [False, True])
async def test_informational_responses(stream: bool, peer: MakePeer) -> None:
    """100, 102 and 103 precede the response and are available as `interim`."""
    server = peer(
        [
            expect(),
            send(b"HTTP/1.1 100 Continue\r\n\r\n"),
            send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
            send(b"HTTP/1.1 103 Early Hints\r\nLink: </b.js>; rel=preload\r\n\r\n" + OK),
            FOREVER,
        ]
    )
    async with HSession(server.url) as session:
        response: Any = await session.get(stream=stream)
        assert response.status_code == 200
        assert [status for status, _ in response.interim] == [100, 103, 103]
        hints = [fields["link"] for fields in response.early_hints]
        assert hints == ["</a.css>; rel=preload", "</b.js>; rel=preload"]
        body = await response.body.read() if stream else response.body
        assert body == b"ok"
        second = await session.get()
        assert second.reused
        assert second.early_hints == []


@pytest.mark.parametrize("stream", [False, True])
async def test_trailers(stream: bool, peer: MakePeer) -> None:
    """The trailer fields of a chunked body are available, apart from the headers."""
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"5\r\nhello\r\n0\r\nX-Sum: 42\r\nX-More: 1\r\n\r\n"
    )
    server = peer([repeat(expect(), send(answer))])
    async with HSession(server.url) as session:
        for _ in range(2):
            response: Any = await session.get(stream=stream)
            body = await response.body.read() if stream else response.body
            assert body == b"hello"
            assert response.trailers["x-sum"] == "42"
            assert "x-sum" not in response.headers
        assert session.pool_stats()["open"] == 1


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 404 Not Found\r\nContent-Encoding: gzip\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 100\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Encoding: gzip\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_no_body(stream: bool, method: str, head: bytes, peer: MakePeer) -> None:
    """HEAD, 204 and 304 have no body whatever their fields say, and the connection is reused."""
    server = peer([repeat(expect(), send(head))])
    async with HSession(server.url) as session:
        for _ in range(3):
            response: Any = await session.request(method, stream=stream, timeout=60)
            body = await response.body.read() if stream else response.content
            assert body == b""
            if not stream:
                assert response.text == ""
            assert response.status_code == int(head[9:12])
        assert len(server.connections) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_ended_by_close(stream: bool, peer: MakePeer) -> None:
    """Without a length the body ends with the connection, which is not reused."""
    for head in (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"):
        server = peer([expect(), send(head + b"all there is"), close()])
        async with HSession(server.url) as session:
            for _ in range(2):
                response: Any = await session.get(stream=stream)
                body = await response.body.read() if stream else response.content
                assert body == b"all there is"
                assert response.http_version == head[5:8].decode()
                assert session.pool_stats()["open"] == 0


async def test_http_1_0(peer: MakePeer) -> None:
    """HTTP/1.0 keeps its connection only with keep-alive; `Connection: close` always ends it."""
    answer = b"Content-Length: 2\r\n\r\nok"
    for head, kept in (
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n", False),
    ):
        server = peer([repeat(expect(), send(head + answer))])
        async with HSession(server.url) as session:
            for _ in range(3):
                response = await session.get(timeout=60)
                assert response.text == "ok"
            assert len(server.connections) == (1 if kept else 3), head


async def test_connection_close_of_the_request(peer: MakePeer) -> None:
    """`Connection: close` of the caller ends the connection after the response."""
    server = peer(SERVING)
    async with HSession(server.url, headers={"Connection": "close"}) as session:
        for _ in range(2):
            await session.get()
            assert session.pool_stats()["open"] == 0
    assert len(server.connections) == 2
    assert [r.header("connection") for r in server.requests] == ["close", "close"]


async def test_bytes_after_the_response(peer: MakePeer) -> None:
    """Bytes after a response close the connection."""
    server = peer([expect(), send(OK + OK), stall()], SERVING)
    async with HSession(server.url) as session:
        await session.get(path="/1")
        assert (await session.get(path="/2")).text == "ok"
    assert len(server.connections) == 2


async def test_expect_continue(peer: MakePeer) -> None:
    """With `expect_continue=True` the body waits for 100, and is not sent after a final status."""
    go_on = send(b"HTTP/1.1 100 Continue\r\n\r\n")
    server = peer([expect_head(), mark("head"), go_on, expect_body(), send(OK), stall()])
    async with HSession(server.url) as session:
        response = await session.post(data=b"x" * 1000, expect_continue=True)
        assert response.status_code == 200
        assert [status for status, _ in response.interim or ()] == [100]
    assert server.requests[0].header("expect") == "100-continue"
    assert server.requests[0].body == b"x" * 1000

    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    server = peer([expect_head(), send(refusal), stall()], SERVING)
    async with HSession(server.url) as session:
        response = await session.post(data=b"secret body", expect_continue=True)
        assert response.status_code == 413
        assert (await session.get(timeout=60)).text == "ok"
    assert b"secret body" not in bytes(server.connections[0].received)

    server = peer([expect_head(), expect_body(), send(OK), stall()])
    async with HSession(server.url) as session:  # a server that says nothing: after a while
        response = await session.post(data=b"after a while", expect_continue=0.05)
        assert response.text == "ok"
    assert server.requests[0].body == b"after a while"


async def test_response_before_the_body_is_sent(peer: MakePeer) -> None:
    """A response received during the upload is read; there is no deadlock."""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"
    server = peer([expect_head(), send(refusal), stall()])
    async with HSession(server.url) as session:
        response = await session.post(data=b"x" * (32 << 20), timeout=60)
        assert (response.status_code, response.text) == (413, "big")
        assert session.pool_stats()["open"] == 0


async def test_unrequested_upgrade(peer: MakePeer) -> None:
    """An unrequested 101 is an error, not a response."""
    server = peer(
        [
            expect(),
            send(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            stall(),
        ]
    )
    async with HSession(server.url) as session:
        with pytest.raises(BadHttpResponse):
            await session.get(timeout=60)
        assert session.pool_stats()["open"] == 0


async def test_stale_connection(peer: MakePeer) -> None:
    """On a stale connection a GET is sent again over a new one, a POST only if unsent."""
    server = peer([expect(), send(OK), close()], [expect(), send(OK), close()], SERVING)
    async with HSession(server.url) as session:
        for number in range(3):
            assert (await session.get(path=f"/{number}")).text == "ok"
            if number < 2:
                await server.until(lambda: server.connections[-1].finished)
    one_answer = [expect(), send(OK), expect(), close()]
    server = peer(one_answer, SERVING)
    async with HSession(server.url) as session:
        await session.get()
        with pytest.raises(ServerClosedConnectionError):
            await session.post(data="once only")
    server = peer(one_answer, SERVING)
    async with HSession(server.url) as session:
        await session.get()
        with pytest.raises(ServerClosedConnectionError):
            await session.get(retries=0)


async def test_on_nginx(nginx_server: Server) -> None:
    """nginx: keep-alive, HEAD, ranges and 304."""
    async with HSession(nginx_server.url, connections=2) as session:
        first = await session.get(path="/small")
        assert first.json()["data"] == "a" * 88
        assert (await session.get(path="/small")).reused
        head = await session.head(path="/small")
        assert head.headers["content-length"] == "100"
        assert head.body == b""
        assert "Active connections" in (await session.get(path="/status")).text


async def test_on_httpbin(httpbin: Server) -> None:
    """httpbin received what was sent and returned it."""
    async with HSession(httpbin.url, connections=3, persist_cookies=True) as session:
        sent = (
            await session.post(path="/post", data={"a": ["1", "2"]}, params={"q": "x y"})
        ).json()
        assert sent["form"] == {"a": ["1", "2"]}
        assert sent["args"] == {"q": "x y"}
        response = await session.get(path="/redirect/3")
        assert len(response.history) == 3
        assert (await session.get(path="/gzip")).json()["gzipped"]
        assert (await session.get(path="/deflate")).json()["deflated"]
        assert (await session.get(path="/brotli")).json()["brotli"]
        assert (await session.get(path="/encoding/utf8")).text.count("∮") == 1
        assert (await session.get(path="/cookies/set/k/v")).json() == {"cookies": {"k": "v"}}
        streamed: Any = await session.get(path="/stream/5", stream=True)
        assert len([line async for line in streamed.body.lines()]) == 5
        assert (await session.get(path="/status/418")).status_code == 418
        links = await session.get(path="/response-headers", params={"Link": "</2>; rel=next"})
        assert links.links["next"]["url"] == "/2"


async def test_over_tls(tls_server: Server, client_context: Any) -> None:
    """The same over https; TLS errors are `TlsError`."""
    import ssl

    async with HSession(tls_server.url, ssl_context=client_context) as session:
        for _ in range(2):
            response: Any = await session.post(path="/echo", data="over tls")
            assert response.text == "over tls"
        assert response.reused
        streamed: Any = await session.get(path="/bytes/300000", stream=True)
        assert len(await streamed.body.read()) == 300000
    assert (await asks_fast.get(tls_server.url, ssl_context=client_context)).status_code == 200
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        await asks_fast.get(tls_server.url)
    assert isinstance(caught.value, asks_fast.AsksException)
