"""Invalid arguments raise at the call, before a byte is sent, and the session stays usable."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.script_steps import SERVING
from support.scripted_server import MakePeer

from asks_fast import DSession, HSession, Session, get
from asks_fast.errors import AsksException, InvalidHeader, InvalidRequest, InvalidURL


def _name(value: Any) -> str:
    """A name without memory addresses, the same in each process of a test run."""
    return re.sub(r" at 0x[0-9a-f]+", "", ascii(value))[:50]


BAD_URLS: list[Any] = [
    "",
    "example.org",
    "//example.org/",
    "/path",
    "ftp://example.org/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "http://",
    "http:///path",
    "http://:80/",
    "http://h:65536/",
    "http://h:99999999999/",
    "http://h:-1/",
    "http://h:x/",
    "http://h:80:80/",
    "http://h h/",
    "http://h\r\nX: y/",
    "http://h\x00/",
    "http://[::1/",
    "http://[zz]/",
    "http://a_%00b/",
    "http://h%2Fx/",
    "http://256.256.256.256/",
    "http://" + "a" * 300 + "/",
    None,
    b"http://h/",
    5,
]


@pytest.mark.parametrize("url", BAD_URLS, ids=_name)
async def test_bad_urls(url: Any) -> None:
    """An invalid URL raises `InvalidURL`, a ValueError, or a TypeError."""
    async with DSession() as session:
        for _ in range(2):
            with pytest.raises((InvalidURL, TypeError)):
                await session.get(url)
        assert session.pool_stats()["created"] == 0
    if url not in (None, b"http://h/", 5):
        with pytest.raises(InvalidURL):
            await get(url)
        with pytest.raises(InvalidURL):
            HSession(url)


@pytest.mark.parametrize(
    "base", ["http://h/?q=1", "http://h/x?", "http://h/#f", "h", "ftp://h", "http://h:0x50"]
)
def test_bad_bases(base: str) -> None:
    """The base of a session has a scheme and no query or fragment."""
    for make in (HSession, Session):
        with pytest.raises(InvalidURL):
            make(base)


@pytest.mark.parametrize("number", [0, -1, 1.5, "5", None, True])
def test_bad_number_of_connections(number: Any) -> None:
    """A session has at least one connection."""
    for make in (
        lambda: HSession("http://h", connections=number),
        lambda: DSession(connections=number),
    ):
        with pytest.raises((ValueError, TypeError), match="connections"):
            make()


@pytest.mark.parametrize("option", ["tiemout", "conections", "body", "files_", "allow_redirects"])
async def test_unknown_keywords(option: str) -> None:
    """An unknown keyword argument is a TypeError that names it."""
    with pytest.raises(TypeError, match=option):
        HSession("http://h", **{option: 1})
    async with DSession() as session:
        with pytest.raises(TypeError, match=option):
            await session.get("http://127.0.0.1:1/", **{option: 1})
    with pytest.raises(TypeError, match=option):
        await get("http://127.0.0.1:1/", **{option: 1})


TIMEOUTS = [
    "connection_timeout",
    "dns_timeout",
    "pool_timeout",
    "read_timeout",
    "timeout",
    "write_timeout",
]


@pytest.mark.parametrize("name", TIMEOUTS)
@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), "5", True, [], float("-inf")], ids=_name)
async def test_bad_timeouts(name: str, value: Any) -> None:
    """A time limit is a number of seconds above 0, in a session and in a request."""
    with pytest.raises(InvalidRequest, match=name.split("_")[0]):
        HSession("http://h", **{name: value})
    async with DSession() as session:
        with pytest.raises(InvalidRequest, match=name.split("_")[0]):
            await session.get("http://127.0.0.1:1/", **{name: value})


BAD_FIELDS: list[Any] = [
    {"X": "a\r\nY: b"},
    {"X": "a\nb"},
    {"X": "a\rb"},
    {"X": "a\x00b"},
    {"X": "a\x7fb"},
    {"X": "a\x01b"},
    {"X\r\nY": "b"},
    {"X Y": "b"},
    {"X:": "b"},
    {"": "b"},
    {"X\x00": "b"},
    {"\u00e4": "b"},
    {b"X\n": b"b"},
    {b"X": b"a\r\nb"},
    {"X": "\ud800"},
    {"X": object()},
    {"X": True},
    {5: "x"},
    {"X": ["fine", "a\nb"]},
    [("X", "y", "z")],
    [("X",)],
    ["X: y"],
    "X: y",
    5,
    {"Content-Length": "5"},
    {"Content-Length": "x"},
    {"Content-Length": "-1"},
    {"Transfer-Encoding": "chunked"},
    {"Transfer-Encoding": "gzip"},
    {"Host": "a\r\nb"},
    {"Cookie": "a\r\nb"},
]


@pytest.mark.parametrize("headers", BAD_FIELDS, ids=_name)
async def test_bad_fields(peer: MakePeer, headers: Any) -> None:
    """Control characters, names that are not tokens and wrong lengths raise, for a session and a
    request.
    """
    server = peer(SERVING)
    async with HSession(server.url) as session:
        await session.get()
        for method in ("GET", "POST"):
            with pytest.raises((InvalidRequest, TypeError)):
                await session.request(method, path="/bad", headers=headers)
        assert (await session.get(path="/good")).content == b"ok"
        try:
            session.headers = headers
        except (InvalidRequest, TypeError, ValueError):
            pass
        else:
            with pytest.raises((InvalidRequest, TypeError)):
                await session.get(path="/bad")
        session.headers = {}
        assert (await session.get(path="/good")).content == b"ok"
    assert {request.target for request in server.requests} == {"/", "/good"}


@pytest.mark.parametrize(
    "method",
    ["", "GE T", "GET\r\n", "GET\x00", "G:T", "\u00e4", b"A B", None, 5, "GET /x HTTP/1.1"],
)
async def test_bad_methods(peer: MakePeer, method: Any) -> None:
    """A method is a token."""
    server = peer(SERVING)
    async with HSession(server.url) as session:
        with pytest.raises((InvalidHeader, TypeError)):
            await session.request(method, path="/bad")
        assert (await session.get(path="/good")).content == b"ok"
    assert [request.target for request in server.requests] == ["/good"]


@pytest.mark.parametrize(
    "options",
    [
        {"data": b"x", "json": {}},
        {"data": "x", "multipart": {"a": "b"}},
        {"json": {}, "multipart": {"a": "b"}},
        {"data": 5},
        {"data": object()},
        {"json": object()},
        {"stream": True, "callback": print},
        {"max_redirects": -1},
        {"max_body": -1},
        {"retries": -1},
        {"mimetype": "a\r\nb", "data": b"x"},
        {"cookies": 5},
        {"cookies": {"a": "b\r\nc"}},
        {"cookies": {"a\r\n": "b"}},
        {"auth": 5},
        {"params": 5},
        {"path": 5},
        {"path": "/x", "encoding": "no-such-encoding", "data": "x"},
        {"proxy": "ftp://h:1"},
        {"verify": 5},
        {"unix_socket": ""},
        {"source_address": "nonsense"},
        {"persist_cookies": 5},
    ],
    ids=_name,
)
async def test_bad_arguments(peer: MakePeer, options: dict[str, Any]) -> None:
    """Arguments that exclude each other or have no effect raise TypeError or ValueError."""
    server = peer(SERVING)
    async with HSession(server.url) as session:
        with pytest.raises((TypeError, ValueError, LookupError)) as caught:
            await session.post(**{"path": "/bad", **options})
        assert not isinstance(caught.value, (AsksException)) or isinstance(
            caught.value, InvalidRequest
        )
        assert (await session.get(path="/good")).content == b"ok"
        assert session.pool_stats()["in_use"] == 0
    assert [request.target for request in server.requests] == ["/good"]


@pytest.mark.parametrize(
    "path",
    ["/a b", "/\u00e4", "/a\r\nX: y", "/a\x00", "/\x7f", "/a\\b", "//evil/x", "/a#b", "/%zz"],
)
async def test_any_path_stays_in_the_request_line(peer: MakePeer, path: str) -> None:
    """Any path is quoted or rejected; the request line has three parts, and the host is the
    session's.
    """
    server = peer(SERVING)
    async with HSession(server.url) as session:
        for _ in range(3):  # the long way, then by the plan
            try:
                await session.get(path=path)
            except InvalidRequest:
                continue
    for request in server.requests:
        line = request.raw.split(b"\r\n")[0]
        assert line.count(b" ") == 2
        assert all(33 <= byte < 127 for byte in line.replace(b" ", b""))
        assert request.header("host") == server.url.removeprefix("http://")


async def test_connect_is_for_proxies(peer: MakePeer) -> None:
    """The method CONNECT raises: it is for proxies only."""
    server = peer(SERVING)
    async with HSession(server.url) as session:
        with pytest.raises(InvalidRequest, match="proxy"):
            await session.request("CONNECT", path="/x")
