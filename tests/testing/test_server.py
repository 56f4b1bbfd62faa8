"""`serve`: the table of routes over real sockets, tested with plain sockets and http.client."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

import asks_fast
from asks_fast.testing import Routes, faults, response, serve


def fetch(url: str, data: bytes | None = None, **options: Any) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data, **options)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def talk(server: Any, data: bytes) -> bytes:
    """Everything received until the server closes."""
    with socket.create_connection((server.host, server.port), 10) as sock:
        sock.sendall(data)
        return b"".join(iter(lambda: sock.recv(65536), b""))


GET = b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


def test_responses() -> None:
    """Each short form is a response; the last of several is repeated."""
    routes = Routes()
    routes.get("/json", {"a": [1]})
    routes.get("/text", "é")
    routes.get("/bytes", b"\0\1")
    routes.get("/flaky", 503, 503, "fine")
    routes.post("/echo", lambda request: response(201, json=[request.json(), request.params]))
    routes.any("/users/{name}/*", lambda request: request.match["name"])
    with serve(routes) as server:
        assert fetch(server.url + "/json") == (200, b'{"a": [1]}')
        assert fetch(server.url + "/text") == (200, "é".encode())
        assert fetch(server.url + "/bytes") == (200, b"\0\1")
        statuses = [fetch(server.url + "/flaky")[0] for _ in range(4)]
        assert statuses == [503, 503, 200, 200]
        status, body = fetch(server.url + "/echo?q=1", b'{"b": 2}')
        assert (status, json.loads(body)) == (201, [{"b": 2}, [["q", "1"]]])
        assert fetch(server.url + "/users/J%C3%B6rg/all", method="PUT") == (200, "Jörg".encode())
        assert [request.method for request in server.requests[-2:]] == ["POST", "PUT"]


def test_no_route() -> None:
    """A request without a route gets a 404 that says so."""
    routes = Routes()
    routes.get("/known", 204)
    with serve(routes) as server:
        status, body = fetch(server.url + "/unknown")
        assert status == 404
        assert b"no route for GET" in body
        assert b"GET /known" in body


def test_function_that_raises() -> None:
    """An error of a route's function is a 500, and is raised at the end of the block."""
    routes = Routes()
    routes.get("/", lambda request: 1 // 0)
    with pytest.raises(ZeroDivisionError), serve(routes) as server:
        assert fetch(server.url)[0] == 500


def test_function_that_raises_before_the_test_fails(caplog: pytest.LogCaptureFixture) -> None:
    """An error of a route's function is logged if another exception ends the block."""
    routes = Routes()
    routes.get("/", lambda request: 1 // 0)
    with pytest.raises(AssertionError), serve(routes) as server:
        assert fetch(server.url)[0] == 200
    assert server.url in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_keep_alive_and_pipelining() -> None:
    """Requests of one connection get responses in order."""
    routes = Routes()
    routes.get("/x", "one", "two", "three")
    with serve(routes) as server:
        said = talk(server, GET.replace(b"Connection: close\r\n", b"") * 2 + GET)
        assert said.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert [said.index(word) for word in (b"one", b"two", b"three")] == sorted(
            said.index(word) for word in (b"one", b"two", b"three")
        )
        assert server.connections == 1


def test_continue_and_head() -> None:
    """`Expect: 100-continue` is accepted; HEAD has a length and no body."""
    routes = Routes()
    routes.any("/x", "four")
    with serve(routes) as server:
        said = talk(
            server,
            b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab"
            + GET.replace(b"GET", b"HEAD"),
        )
        assert said.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert said.count(b"Content-Length: 4\r\n") == 2
        assert said.endswith(b"\r\n\r\n")
        assert server.requests[0].body == b"ab"


def test_faults() -> None:
    """A fault passes `after` bytes, then happens."""
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n"
    routes = Routes()
    routes.get(
        "/x",
        response(text="four", fault=faults.Cut(after=30)),
        faults.Garbage(b"garbage"),
        response(text="four", fault=faults.Drip(size=7, pause=0.001)),
        response(text="four", fault=faults.Reset(after=10)),
    )
    with serve(routes) as server:
        assert talk(server, GET) == whole[:30]
        assert talk(server, GET) == b"garbage"
        said = talk(server, GET)
        assert said.startswith(whole)
        assert said.endswith(b"four")
        with pytest.raises(ConnectionResetError):
            talk(server, GET)


def test_stall_ends_with_the_client() -> None:
    """A stalled response ends when the client closes, or with the block."""
    routes = Routes()
    routes.get("/x", response(text="four", fault=faults.Stall(after=5)))
    with serve(routes) as server:
        with socket.create_connection((server.host, server.port)) as sock:
            sock.sendall(GET)
            assert sock.recv(100) == b"HTTP/"
            sock.settimeout(0.05)
            with pytest.raises(TimeoutError):
                sock.recv(100)
        waiting = socket.create_connection((server.host, server.port))
        waiting.sendall(GET)
        assert waiting.recv(100) == b"HTTP/"
    with waiting:
        assert waiting.recv(100) == b""


def test_delay() -> None:
    """`delay` delays the response."""
    routes = Routes()
    routes.get("/", response(204, delay=0.05))
    with serve(routes) as server:
        began = time.monotonic()
        assert fetch(server.url)[0] == 204
        assert time.monotonic() - began >= 0.05


def test_bad_request() -> None:
    """Bytes that are not HTTP get a 400."""
    with serve(Routes()) as server:
        assert talk(server, b"NONSENSE\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_tls(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> None:
    """With a context it uses TLS; a failed handshake affects no other connection."""
    routes = Routes()
    routes.get("/", "secret")
    with serve(routes, ssl_context=server_context) as server:
        assert server.url.startswith("https://127.0.0.1:")
        with socket.create_connection((server.host, server.port)) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            plain.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                plain.recv(100)
        client = http.client.HTTPSConnection(server.host, server.port, context=client_context)
        client.request("GET", "/")
        assert client.getresponse().read() == b"secret"
        client.close()


def test_invalid_routes() -> None:
    """An invalid response raises `TypeError` when the route is added."""
    routes = Routes()
    with pytest.raises(TypeError, match="not a response"):
        routes.get("/", object())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a route needs responses"):
        routes.get("/")
    with pytest.raises(TypeError, match="exclude each other"):
        response(json=1, text="2")


async def test_pass_through() -> None:
    """A table without sockets lets chosen origins through to the network."""
    served = Routes()
    served.get("/", "from the wire")
    with serve(served) as server, Routes(pass_through=(server.url,)) as routes:
        routes.get("http://h/", "from the table")
        assert (await asks_fast.get(server.url)).text == "from the wire"
        assert (await asks_fast.get("http://h/")).text == "from the table"
    assert len(served.requests) == 1
