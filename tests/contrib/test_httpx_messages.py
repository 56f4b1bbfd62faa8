"""Requests and responses of httpx and httpx2 over asks_fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.script_steps import (
    OK,
    expect,
    send,
)
from support.scripted_server import Peer
from support.servers import Server

pytestmark = pytest.mark.usefixtures("kernel_of_thread")

Call = Callable[..., Any]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"


def test_header_fields_are_those_of_httpx(
    httpx: Any, call: Call, peer: Callable[..., Peer]
) -> None:
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


def test_a_removed_default_header_is_not_sent(
    transports: Any, httpx: Any, peer: Callable[..., Peer]
) -> None:
    """A default field that the program removed from httpx is not added by asks_fast."""
    server = peer([expect(), send(OK)])
    with httpx.Client(transport=transports.Transport()) as client:
        client.headers.clear()
        client.post(server.url, content=b"x")
    assert [name for name, _ in server.requests[0].headers] == ["Host", "Content-Length"]


@pytest.mark.parametrize(
    ("content", "framing"),
    [(b"abc", "content-length"), ([b"a", b"bc"], "transfer-encoding")],
    ids=["bytes", "stream"],
)
def test_request_bodies(call: Call, peer: Callable[..., Peer], content: Any, framing: str) -> None:
    """A body in memory has Content-Length, a streamed one is chunked."""
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


def test_auth_reads_a_streamed_body_first(
    transports: Any, httpx: Any, peer: Callable[..., Peer]
) -> None:
    """A body that an auth class of httpx read keeps the chunked coding that was announced."""

    class Signed(httpx.Auth):
        requires_request_body = True

        def auth_flow(self, request: Any) -> Iterator[Any]:
            request.headers["X-Size"] = str(len(request.content))
            yield request

    server = peer([expect("POST"), send(OK)])
    with httpx.Client(transport=transports.Transport()) as client:
        client.post(server.url, content=iter([b"a", b"bc"]), auth=Signed())
    assert server.requests[0].header("x-size") == "3"
    assert server.requests[0].body == b"abc"


def test_response_extensions(httpx: Any, call: Call, peer: Callable[..., Peer]) -> None:
    """`http_version`, `reason_phrase` and trailers are set; `network_stream` is not supported."""
    head = b"HTTP/1.0 200 Quite fine\r\nContent-Length: 2\r\n\r\nok"
    response = call("GET", peer([expect(), send(head)]).url)
    assert response.http_version == "HTTP/1.0"
    assert response.reason_phrase == "Quite fine"
    assert response.extensions["trailers"] == httpx.Headers()
    for use in ("read", "write", "close", "aclose", "start_tls", "get_extra_info"):
        with pytest.raises(NotImplementedError, match="network_stream"):
            getattr(response.extensions["network_stream"], use)("server_addr")


def test_trailers(call: Call, peer: Callable[..., Peer]) -> None:
    """The trailer fields of a chunked response are set after the body."""
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
def test_httpx_decompresses(httpx: Any, call: Call, app_server: Server, path: str) -> None:
    """httpx gets the body as it was sent, and decompresses it."""
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
