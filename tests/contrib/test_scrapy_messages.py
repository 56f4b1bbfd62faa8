"""Requests and responses of Scrapy over asks_fast."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest
from support.script_steps import OK, close, expect, repeat, send
from support.scripted_server import Peer
from support.servers import Server

pytest.importorskip("scrapy")

Download = Callable[..., Any]
MakePeer = Callable[..., Peer]


def test_header_fields_are_those_of_scrapy(download: Download, peer: MakePeer) -> None:
    """The request has the fields of Scrapy, each value of them, and none of asks_fast."""
    server = peer([expect(), send(OK), expect(), send(OK)])
    fields = {"User-Agent": "spider", "X-Twice": ["1", "2"], "X-None": None}
    download([f"{server.url}/a?b=%20#part"] * 2, headers=fields)
    for seen in server.requests:
        assert seen.target == "/a?b=%20"
        assert seen.headers == [
            ("Host", server.url.removeprefix("http://")),
            ("User-Agent", "spider"),
            ("X-Twice", "1"),
            ("X-Twice", "2"),
        ]


@pytest.mark.parametrize("value", ["plain", "\xe4"], ids=["ascii", "utf-8"])
def test_one_connection(download: Download, peer: MakePeer, value: str) -> None:
    """Requests to a host follow each other on one connection."""
    server = peer([repeat(expect(), send(OK))])
    download([f"{server.url}/{n}" for n in range(3)], headers={"X-A": value})
    assert [seen.header("x-a").encode("latin-1") for seen in server.requests] == [
        value.encode()
    ] * 3
    assert len(server.connections) == 1


@pytest.mark.parametrize("body", [b"", b"abc"], ids=["empty", "bytes"])
def test_request_bodies(download: Download, peer: MakePeer, body: bytes) -> None:
    """Content-Length is that of the body, also if the request has another; no type is added."""
    server = peer([expect("POST"), send(OK)])
    download(server.url, method="POST", body=body, headers={"Content-Length": "77"})
    (seen,) = server.requests
    assert seen.body == body
    assert [value for name, value in seen.headers if name == "Content-Length"] == [str(len(body))]
    assert seen.header("content-type") is None


def test_a_url_is_sent_as_it_is(download: Download, peer: MakePeer) -> None:
    """Dot segments are sent, and with `verbatim_url` also what Scrapy would encode."""
    server = peer([repeat(expect(), send(OK))])
    download([f"{server.url}/a/../b", f"{server.url}/c?d[0]=1"], meta={"verbatim_url": True})
    assert [seen.target for seen in server.requests] == ["/a/../b", "/c?d[0]=1"]


def test_response(download: Download, peer: MakePeer) -> None:
    """The response has status, fields, body, URL, address and protocol, and the right class."""
    answer = (
        b"HTTP/1.1 404 No\r\nContent-Type: text/html; charset=latin-1\r\nX-A: 1\r\nx-a: \xe4\r\n"
        b"Content-Length: 7\r\n\r\n<p>\xe4</p"
    )
    server = peer([expect(), send(answer)])
    response = download(f"{server.url}/x#part")
    assert (response.status, response.text) == (404, "<p>\xe4</p")
    assert type(response).__name__ == "HtmlResponse"
    assert response.url == f"{server.url}/x"
    assert response.headers.getlist("X-A") == [b"1", b"\xe4"]
    assert response.ip_address == ip_address("127.0.0.1")
    assert (response.protocol, response.certificate, response.flags) == ("HTTP/1.1", None, [])


def test_latency(download: Download, peer: MakePeer) -> None:
    """`meta["download_latency"]` is the time until the head."""
    meta: dict[str, Any] = {}
    requests: list[Any] = []

    def connect(crawler: Any) -> None:
        from scrapy import signals

        crawler.signals.connect(on_headers, signals.headers_received)

    def on_headers(request: Any) -> None:
        requests.append(request)

    download(peer([expect(), send(OK)]).url, connect=connect, meta=meta)
    assert 0 < requests[0].meta["download_latency"] < 60


@pytest.mark.parametrize("path", ["/gzip", "/redirect/1", "/cookies/set?a=1", "/basic-auth/u/p"])
def test_middlewares_stay_in_charge(download: Download, app_server: Server, path: str) -> None:
    """Decompression, redirects, authentication and cookies are left to the middlewares."""
    first, second = download([app_server.url + path, app_server.url + "/headers"])
    assert first.status == {"/gzip": 200, "/basic-auth/u/p": 401}.get(path, 302)
    assert first.headers.get("Content-Encoding") == (b"gzip" if path == "/gzip" else None)
    assert (first.body[:2] == b"\x1f\x8b") == (path == "/gzip")
    assert "cookie" not in second.text.lower()


@pytest.mark.parametrize(
    ("method", "answer", "flags"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\n\r\nabc", ["partial"]),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", []),
        ("GET", b"HTTP/1.1 204 No\r\n\r\n", []),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", []),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []),
    ],
    ids=["until-close", "head", "no-content", "length", "chunked"],
)
def test_partial(
    download: Download, peer: MakePeer, method: str, answer: bytes, flags: list[str]
) -> None:
    """A body that only the end of the connection ended has the flag `partial`."""
    server = peer([expect(method), send(answer), close()])
    assert download(server.url, method=method).flags == flags
