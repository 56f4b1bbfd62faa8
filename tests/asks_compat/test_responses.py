"""The attributes of a response, on both code paths.

The first request of its kind uses the general path, later ones of the session the fast path; the
responses must be equal. Streams are tested in `test_streams`, decoding in tests/unit/response.
"""

from __future__ import annotations

import gzip
import json
import pickle
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from support.script_steps import close, expect, repeat, send, stall
from support.scripted_server import MakePeer
from support.servers import Server

import asks_fast
from asks_fast import DSession, HSession
from asks_fast._request.prepared_request import PreparedRequest
from asks_fast.errors import (
    AsksException,
    BadHttpResponse,
    BadStatus,
    DecodingError,
    ServerClosedConnectionError,
)
from asks_fast.response_objects import Response

HEAD = (
    b"HTTP/1.1 200 Fine Indeed\r\nContent-Type: text/plain; charset=utf-8\r\nX-Twice: 1\r\n"
    b"Set-Cookie: a=1; Path=/; HttpOnly\r\nx-twice: 2\r\nSet-Cookie: b=2; Secure\r\n"
    b'Link: </2>; rel="next", </9>; rel=last\r\nContent-Length: 5\r\n\r\n'
)


async def test_attributes_of_a_response(peer: MakePeer) -> None:
    """Status, fields, body and all that follows from them, the same by both ways."""
    server = peer([repeat(expect(), send(HEAD + b"hello"))])
    async with HSession(server.url) as session:
        for number in range(3):
            r = await session.get(path=f"/p/{number}")
            assert (r.status_code, r.reason_phrase, r.http_version) == (200, "Fine Indeed", "1.1")
            assert repr(r) == "<Response 200 Fine Indeed>"
            assert r.headers["CONTENT-type"] == "text/plain; charset=utf-8"
            assert r.headers["x-twice"] == "1, 2"
            assert r.headers["set-cookie"] == ["a=1; Path=/; HttpOnly", "b=2; Secure"]
            assert r.headers.get("missing") is None
            assert r.headers.raw[1:3] == [(b"X-Twice", b"1"), (b"Set-Cookie", r.headers.raw[2][1])]
            assert r.body == r.raw == r.content == b"hello"
            assert r.text == "hello"
            assert r.method == "GET"
            assert r.url == f"{server.url}/p/{number}"
            assert r.history == []
            assert [(c.name, c.value, c.path, c.secure) for c in r.cookies] == [
                ("a", "1", "/", False),
                ("b", "2", None, True),
            ]
            assert r.cookies[0].httponly is True
            assert r.links["next"]["url"] == "/2"
            assert r.links["last"]["url"] == "/9"
            assert timedelta(0) < r.elapsed < timedelta(seconds=20)
            assert r.peer == ("127.0.0.1", server.port)
            assert r.reused is (number > 0)
            assert r.ok
            assert r.trailers is None or not r.trailers
            request = r.request
            assert isinstance(request, PreparedRequest)
            assert request is r.request
            assert (request.method, str(request.url)) == ("GET", r.url)
            assert request.headers["User-Agent"].startswith("asks_fast/")
            assert request.headers["Host"] == server.url.partition("//")[2]
            assert request.body is None
            assert r.raise_for_status() is None
            async with r:
                pass


async def test_attributes_are_computed_once(app_server: Server) -> None:
    """`content` and `text` are computed once; each call of `json()` returns its own document."""
    response = await asks_fast.get(f"{app_server.url}/gzip")
    assert response.content is response.content
    assert response.text is response.text
    assert response.json() == response.json()
    assert response.json() is not response.json()
    assert response.json(parse_float=str) == response.json()
    assert len(response.raw) < len(response.content)
    assert gzip.decompress(response.body) == response.content


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_content_codings(coding: str, app_server: Server) -> None:
    """Each coding that we say we accept is taken off, whole and streamed alike."""
    url = f"{app_server.url}/{coding}"
    whole = await asks_fast.get(url)
    assert whole.json()["coding"] == coding
    streamed = await asks_fast.get(url, stream=True)
    assert await streamed.body.read() == whole.content
    left_on = await asks_fast.get(url, decompress=False)
    assert left_on.content == left_on.raw != whole.content


async def test_charset_and_user_encoding(app_server: Server) -> None:
    """Content-Type names the charset; what is set on the response goes before it."""
    for charset in ("utf-8", "iso-8859-1", "utf-16", "cp1252"):
        response = await asks_fast.get(f"{app_server.url}/text/{charset}")
        assert response.text == "Grüße aus Köln"
    response = await asks_fast.get(f"{app_server.url}/text/iso-8859-1", encoding="utf-8")
    assert response.encoding == "iso8859-1"
    response.encoding = "cp437"
    assert response.encoding == "cp437"
    assert response.text == response.content.decode("cp437")
    response.encoding = None
    assert response.text == "Grüße aus Köln"
    response.encoding = "no such thing"
    with pytest.raises(LookupError):
        response.text  # noqa: B018


async def test_json_in_other_charsets(peer: MakePeer) -> None:
    """JSON is UTF-8, 16 or 32 by itself, or what Content-Type says; falsy values are values."""
    for text, kind in (
        ('{"ü": 1}'.encode(), b"application/json"),
        ('{"ü": 1}'.encode("utf-16"), b"application/json"),
        ('{"ü": 1}'.encode("latin-1"), b"application/json; charset=latin-1"),
        (b'\xef\xbb\xbf{"\xc3\xbc": 1}', b"application/json"),
    ):
        size = str(len(text)).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nContent-Length: " + size
        server = peer([expect(), send(head + b"\r\n\r\n" + text), stall()])
        assert (await asks_fast.get(server.url)).json() == {"ü": 1}
    server = peer([expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0"), stall()])
    assert (await asks_fast.get(server.url)).json() == 0
    server = peer([expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{"), stall()])
    with pytest.raises(ValueError, match="Expecting"):
        (await asks_fast.get(server.url)).json()


async def test_raise_for_status(app_server: Server) -> None:
    """4xx and 5xx raise BadStatus in the words of asks; all else does nothing."""
    async with DSession() as session:
        for status in (200, 204, 304, 399):
            (await session.get(f"{app_server.url}/status/{status}")).raise_for_status()
        for status, whose in ((400, "Client"), (404, "Client"), (500, "Server"), (599, "Server")):
            response = await session.get(f"{app_server.url}/status/{status}")
            with pytest.raises(BadStatus, match=f"^{status} {whose} Error: .* for url: ") as caught:
                response.raise_for_status()
            assert caught.value.status_code == status
            assert caught.value.response is response
            assert not response.ok


async def test_error_text_of_a_404(peer: MakePeer) -> None:
    """The reason is the server's, else the one of the standard."""
    for line, words in ((b"404 NOT FOUND", "NOT FOUND"), (b"404 ", "NOT FOUND"), (b"404", "")):
        server = peer([expect(), send(b"HTTP/1.1 " + line + b"\r\nContent-Length: 0\r\n\r\n")])
        response = await asks_fast.get(f"{server.url}/x")
        with pytest.raises(BadStatus) as caught:
            response.raise_for_status()
        expected = f"404 Client Error: {words or 'NOT FOUND'} for url: {server.url}/x"
        assert str(caught.value) == expected


@pytest.mark.parametrize("is_fast_path", [False, True])
async def test_truncated_body(is_fast_path: bool, peer: MakePeer) -> None:
    """A body that ended early is an error, never a short success."""
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    for short in (whole[:-2], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"):
        steps = [expect(), send(whole)] if is_fast_path else []
        server = peer([*steps, expect(), send(short), close()])
        async with HSession(server.url) as session:
            if is_fast_path:
                await session.get(path="/1")
            with pytest.raises((ServerClosedConnectionError, BadHttpResponse)):
                await session.get(path="/2")
            assert session.pool_stats()["open"] == 0


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_truncated_compressed_body(coding: str, app_server: Server, peer: MakePeer) -> None:
    """A compressed body that ends early is an error that names the request, in both modes."""
    good = (await asks_fast.get(f"{app_server.url}/{coding}")).raw
    for bad in (good[:-9], good[: len(good) // 2], b"no such stream"):
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(bad)}\r\n\r\n"
        )
        server = peer([repeat(expect(), send(head.encode() + bad))])
        async with HSession(server.url) as session:
            response = await session.get()
            with pytest.raises(DecodingError, match=f"^GET {server.url}/: "):
                response.content  # noqa: B018
            streamed = await session.get(stream=True)
            with pytest.raises(DecodingError, match=f"^GET {server.url}/: "):
                await streamed.body.read()
            assert session.pool_stats()["in_use"] == 0
            kept = await session.get(callback=None, decompress=False)
            assert kept.content == bad


async def test_unknown_codings_are_not_decoded(peer: MakePeer) -> None:
    """An unknown coding is not decoded, in both modes."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: x-own\r\nContent-Length: 4\r\n\r\nbody"
    server = peer([repeat(expect(), send(head))])
    async with HSession(server.url) as session:
        assert (await session.get()).content == b"body"
        assert await (await session.get(stream=True)).body.read() == b"body"


async def test_general_path_sets_request(app_server: Server) -> None:
    """`request` is the request as prepared, and each response of the history has its own."""
    async with HSession(app_server.url) as session:
        response = await session.post(path="/redirect/1", json={"a": 1})
    assert response.request.method == "GET"
    assert response.history[0].request.method == "POST"
    assert bytes(response.history[0].request.body.buffered) == b'{"a": 1}'


def test_modules_are_loaded_lazily() -> None:
    """`import asks_fast` does not load modules that only few programs need."""
    code = (
        "import sys, curio; before = set(sys.modules)\n"
        "import asks_fast\n"
        "print(*sorted({'email', 'idna', 'zipfile', 'cgi'} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


async def test_json_loads(app_server: Server) -> None:
    """`json_loads=` takes the place of the standard library's parser."""

    def loads(data: Any) -> Any:
        return ["own", json.loads(data)["coding"]]

    response = await asks_fast.get(f"{app_server.url}/gzip", json_loads=loads)
    assert response.json() == ["own", "gzip"]


async def test_cookies_without_set_cookie(app_server: Server) -> None:
    """No Set-Cookie, no cookies: an empty list."""
    assert (await asks_fast.get(app_server.url)).cookies == []
    with pytest.raises(KeyError):
        (await asks_fast.get(app_server.url)).headers["set-cookie"]


async def test_only_asks_exceptions(peer: MakePeer) -> None:
    """A server that closes at once is an AsksException and a ConnectionError."""
    server = peer([close()])
    with pytest.raises(AsksException) as caught:
        await asks_fast.get(server.url)
    assert isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize("stream", [False, True])
async def test_attributes_can_be_assigned(stream: bool, app_server: Server) -> None:
    """A program may note what it likes on a response, and change what is there."""
    response = await asks_fast.get(f"{app_server.url}/get", stream=stream)
    async with response:
        response.my_tag = 1
        response.status_code = 299
        response.reason_phrase = "Fine"
        response.http_version = "1.0"
        response.method = "POST"
        response.url = "http://example.org/"
        response.headers = {"X-A": "1", "Set-Cookie": ["a=1", "b=2"], "X-N": 5}
        response.encoding = "latin-1"
        assert response.my_tag == 1
        assert repr(response).endswith("Response 299 Fine>")
        assert (response.http_version, response.method) == ("1.0", "POST")
        assert (response.url, response.encoding) == ("http://example.org/", "latin-1")
        assert response.headers["x-a"] == "1"
        assert response.headers["x-n"] == "5"
        assert response.headers["set-cookie"] == ["a=1", "b=2"]
        assert [cookie.name for cookie in response.cookies] == ["a", "b"]


async def test_decompress_data_of_a_response(app_server: Server) -> None:
    """`r.decompress_data = False` gives the body as it came, whole or streamed."""
    response = await asks_fast.get(f"{app_server.url}/gzip")
    document = response.json()
    assert response.decompress_data
    response.decompress_data = False
    assert response.content == response.raw
    assert response.raw.startswith(b"\x1f\x8b")
    response.decompress_data = True
    assert response.json() == document
    streamed = await asks_fast.get(f"{app_server.url}/gzip", stream=True)
    streamed.decompress_data = False
    assert not streamed.body.decompress_data
    assert (await streamed.body.read()).startswith(b"\x1f\x8b")


def test_asks_constructor() -> None:
    """Positions: encoding, http_version, status_code, reason_phrase, headers, body, method, url."""
    headers = {"Content-Type": "application/json", "Set-Cookie": ["a=1"]}
    response = Response(
        "latin-1", "1.0", 404, "Not Found", headers, b'{"a": "\xfc"}', "PUT", "http://h/x"
    )
    assert repr(response) == "<Response 404 Not Found>"
    assert (response.http_version, response.method, response.url) == ("1.0", "PUT", "http://h/x")
    assert response.encoding == "latin-1"
    assert response.text == '{"a": "ü"}'
    assert response.headers["content-type"] == "application/json"
    assert [cookie.value for cookie in response.cookies] == ["1"]
    with pytest.raises(BadStatus, match="404 Client Error: Not Found for url: http://h/x"):
        response.raise_for_status()


def test_constructor_with_keywords() -> None:
    """Any of them may be left out; an unknown one is an error."""
    response = Response(body=gzip.compress(b"hello"), headers=[("Content-Encoding", "gzip")])
    assert (response.status_code, response.text, response.ok) == (200, "hello", True)
    assert (response.encoding, response.history) == ("utf-8", [])
    with pytest.raises(TypeError):
        Response(status=200)
    with pytest.raises(ValueError, match="http_version"):
        Response(http_version="2")


def test_user_attributes_are_pickled() -> None:
    """With everything else, except credentials."""
    response = Response(status_code=201, headers={"A": "b"}, body=b"x", url="http://h/")
    response.my_tag = [1]
    again = pickle.loads(pickle.dumps(response))
    assert (again.my_tag, again.status_code, again.body, again.url) == ([1], 201, b"x", "http://h/")
    assert again.headers["a"] == "b"
