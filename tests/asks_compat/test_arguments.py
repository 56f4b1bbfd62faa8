"""Every argument of a request has the documented effect.

A real server (the application) checks it, or a scripted peer if the exact bytes matter. Invalid
values fail at the call, before anything is sent.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import curio
import pytest
from support.script_steps import FOREVER, OK, SERVING, expect, send, stall
from support.scripted_server import Peer
from support.servers import Server

import asks_fast
from asks_fast import DSession, HSession, Session
from asks_fast.errors import (
    AsksException,
    InvalidHeader,
    InvalidRequest,
    InvalidURL,
    PoolTimeout,
    ReadTimeout,
    RequestTimeout,
)

# -- where it goes


async def test_get_without_arguments(app_server: Server) -> None:
    """`HSession.get()` requests host and endpoint; `path=` is appended; a URL replaces both."""
    async with HSession(app_server.url, endpoint="/anything/") as session:
        assert (await session.get()).json()["path"] == "/anything/"
        assert (await session.get(path="/more")).json()["path"] == "/anything/more"
        assert (await session.get(path="more")).json()["path"] == "/anything/more"
        assert (await session.get(f"{app_server.url}/get")).json()["path"] == "/get"
        session.endpoint = "anything/other"
        assert (await session.get(path="/x")).json()["path"] == "/anything/other/x"
        session.endpoint = None
        assert (await session.get()).text.startswith("asks_fast demo server")


@pytest.mark.parametrize("host", ["http://h", "http://h/"])
@pytest.mark.parametrize("endpoint", ["e", "/e", "e/", "/e/"])
@pytest.mark.parametrize("path", ["p", "/p"])
async def test_base_and_path_are_joined_with_one_slash(
    host: str, endpoint: str, path: str, peer: Any
) -> None:
    """Exactly one slash joins host, endpoint and path."""
    server: Peer = peer(SERVING)
    async with HSession(host.replace("http://h", server.url), endpoint) as session:
        await session.get(path=path)
        await session.get(path=path)
    assert [request.target for request in server.requests] == ["/e/p", "/e/p"]


async def test_host_and_base_may_change(peer: Any) -> None:
    """`host`, `base_location` and `headers` can be assigned between requests."""
    first: Peer = peer(SERVING)
    second: Peer = peer(SERVING)
    async with HSession(first.url, connections=2) as session:
        await session.get(path="/1")
        session.host = second.url
        assert session.host == second.url
        await session.get(path="/2")
        session.headers = {"X-New": "1"}
        await session.get(path="/3")
    async with Session(first.url, connections=2) as later:
        later.base_location = f"{second.url}/base/"
        await later.get(path="/4")
        await later.get(path="/5")
    assert [request.target for request in first.requests] == ["/1"]
    targets = [request.target for request in second.requests]
    assert targets == ["/2", "/3", "/base/4", "/base/5"]
    assert [request.header("x-new") for request in second.requests] == [None, "1", None, None]


@pytest.mark.parametrize("host", ["", "example.org", "ftp://h", "http://h/?q", "http://h/#f"])
def test_invalid_hosts(host: str) -> None:
    """A host without a scheme, with another scheme, a query or a fragment raises."""
    with pytest.raises(InvalidURL):
        HSession(host)


async def test_unknown_names() -> None:
    """Unknown arguments are a TypeError worded as in asks, for requests and sessions."""
    async with DSession() as session:
        with pytest.raises(TypeError, match=r"^request\(\) got unexpected keyword arguments 'ko'$"):
            await session.get("http://h/", ko=1)
    with pytest.raises(TypeError, match=r"^request\(\) got unexpected keyword arguments 'ko'$"):
        await asks_fast.get("http://h/", ko=1)
    with pytest.raises(TypeError, match=r"DSession.*'ko'"):
        DSession(ko=1)


MISTAKES = {
    "timout": "did you mean 'timeout'",
    "allow_redirects": "did you mean 'follow_redirects'",
    "proxies": "did you mean 'proxy'",
    "content": "did you mean 'data'",
    "verify_ssl": "did you mean 'verify'",
    "heders": "did you mean 'headers'",
    "retry": "did you mean 'retries'",
    "token": "did you mean 'auth'",
    "max_redirect": "did you mean 'max_redirects'",
    "connect_timeout": "did you mean 'connection_timeout'",
    "idle_timeout": "'idle_timeout' is an argument of sessions",
}


@pytest.mark.parametrize(("name", "hint"), MISTAKES.items())
async def test_suggestions_for_unknown_names(name: str, hint: str) -> None:
    """The error suggests our name for a similar one or one of another library."""
    said = rf"\(\) got unexpected keyword arguments '{name}'; {hint}"
    given: dict[str, Any] = {name: 1}
    async with DSession() as session:
        with pytest.raises(TypeError, match=f"^request{said}"):
            await session.get("http://h/", **given)
        with pytest.raises(TypeError, match=f"^prepare{said}"):
            session.prepare("GET", "http://h/", **given)
    with pytest.raises(TypeError, match=f"^request{said}"):
        await asks_fast.get("http://h/", **given)
    if "sessions" not in hint and name not in ("heders", "content"):
        with pytest.raises(TypeError, match=f"^HSession{said}"):
            HSession("http://h", **given)


def test_a_base_for_a_dsession() -> None:
    """The first argument of `DSession` is no URL; the error names the classes that take one."""
    with pytest.raises(InvalidURL, match=r"no base: for a URL use HSession\(host\)"):
        DSession("http://h")


async def test_arguments_in_the_wrong_place() -> None:
    """An argument of requests given to a session, `map` or `gather` raises and says where it
    belongs.
    """
    with pytest.raises(TypeError, match=r"^DSession\(\).*'data' is an argument of requests"):
        DSession(data="x")  # type: ignore[call-arg]
    async with DSession() as session:
        with pytest.raises(TypeError, match=r"^map\(\) .*'timeout'; .* belong to the session"):
            session.map(["http://h/"], timeout=1)
        with pytest.raises(TypeError, match=r"^gather\(\) got unexpected .*'window'"):
            await session.gather(["http://h/"], window=1)


@pytest.mark.parametrize("value", [(3, 5), [3, 5], "3", True])
async def test_timeout_pair(value: Any) -> None:
    """The pair that requests accepts raises and suggests `Timeouts`."""
    with pytest.raises(InvalidRequest, match=r"asks_fast\.Timeouts\(connect=…, read=…\)"):
        await asks_fast.get("http://127.0.0.1:1/", timeout=value)
    with pytest.raises(InvalidRequest, match=r"asks_fast\.Timeouts"):
        DSession(timeout=value)


async def test_connections_limit(peer: Any) -> None:
    """`connections` limits open connections; further requests wait in order of arrival."""
    server: Peer = peer(SERVING)
    order: list[int] = []

    async def one(number: int) -> None:
        await session.get(path=f"/{number}")
        order.append(number)

    async with HSession(server.url, connections=1) as session:
        async with curio.TaskGroup() as group:
            for number in range(20):
                await group.spawn(one, number)
                await curio.sleep(0)
        assert order == sorted(order)
    assert len(server.connections) == 1
    with pytest.raises(ValueError, match="connections"):
        HSession(server.url, connections=0)


def test_session_in_several_kernels(app_server: Server, kernel: Callable[[], Any]) -> None:
    """A session made outside a kernel works in several, one after another."""
    session = HSession(app_server.url, connections=2)

    async def main() -> int:
        return int((await session.get(path="/get")).status_code)

    for _ in range(2):
        with kernel() as one:
            assert one.run(main) == 200
            assert one.run(main) == 200
    with kernel() as last:
        last.run(session.close)


# -- params, headers, cookies


@pytest.mark.parametrize(
    ("url", "params", "query"),
    [
        ("/get", {"a": 1, "b": True, "c": "x y"}, "a=1&b=True&c=x%20y"),
        ("/get", {"a": None, "b": ""}, "b="),
        ("/get", {"a": [1, "2"], "b": ("3",)}, "a=1&a=2&b=3"),
        ("/get", [("a", 1), ("a", 2)], "a=1&a=2"),
        ("/get", "raw=a b&x=%20", "raw=a%20b&x=%20"),
        ("/get?q=1", {"a": 2}, "q=1&a=2"),
        ("/get", {"k&=": "& = + % #ü"}, "k%26%3D=%26%20%3D%20%2B%20%25%20%23%C3%BC"),
        ("/get", {}, ""),
    ],
)
async def test_params(url: str, params: Any, query: str, app_server: Server) -> None:
    """Values are encoded, `None` is omitted, iterables are repeated, an existing query is kept."""
    from urllib.parse import parse_qsl

    response = await asks_fast.get(app_server.url + url, params=params)
    sent = response.json()["query"]
    assert parse_qsl(sent, keep_blank_values=True) == parse_qsl(query, keep_blank_values=True)
    assert " " not in sent


async def test_headers(peer: Any) -> None:
    """Headers of the call replace those of the session and the defaults, ignoring case."""
    server: Peer = peer(SERVING)
    async with HSession(server.url, headers={"X-A": "session", "X-B": "session"}) as session:
        await session.get(headers={"x-a": "call", "user-agent": "mine", "ACCEPT": None})
        await session.get()
        await session.get(headers=[("X-Twice", "1"), ("X-Twice", "2")])
        for bad in ({"a\r\nb": "c"}, {"a": "b\r\nc: d"}, {"a": "\0"}, 7):
            with pytest.raises(InvalidHeader):
                await session.get(headers=bad)
    first, second, third = server.requests
    assert first.header("x-a") == "call"
    assert first.header("x-b") == "session"
    assert first.header("user-agent") == "mine"
    assert first.header("accept") is None
    assert first.header("host") == server.url.partition("//")[2]
    assert second.header("x-a") == "session"
    assert str(second.header("user-agent")).startswith("asks_fast/")
    assert [value for name, value in third.headers if name == "X-Twice"] == ["1", "2"]


async def test_cookies_of_a_call(app_server: Server) -> None:
    """`cookies=` are sent with this request, together with a Cookie field of the session."""
    response = await asks_fast.get(f"{app_server.url}/cookies", cookies={"a": "1", "b": "2"})
    assert response.json() == {"cookies": {"a": "1", "b": "2"}}


# -- bodies


async def chunks() -> AsyncIterator[bytes]:
    yield b"async "
    yield b"pieces"


@pytest.mark.parametrize(
    ("given", "body", "kind"),
    [
        ({"data": {"a": [1, 2], "n": None, "z": 0, "e": ""}}, "a=1&a=2&z=0&e=", "form"),
        ({"data": [("a", "1"), ("a", "&=+%#")]}, "a=1&a=%26%3D%2B%25%23", "form"),
        ({"data": "text ü"}, "text ü", "text/plain"),
        ({"data": b"bytes"}, "bytes", "text/plain"),
        ({"data": bytearray(b"array"), "mimetype": "x/y"}, "array", "x/y"),
        ({"data": "latin ü", "encoding": "utf-8"}, "latin ü", "text/plain"),
        ({"data": io.BytesIO(b"a file")}, "a file", None),
        ({"data": iter([b"some ", b"pieces"])}, "some pieces", None),
        ({"data": chunks}, "async pieces", None),
        ({"json": {}}, "{}", "application/json"),
        ({"json": []}, "[]", "application/json"),
        ({"json": 0}, "0", "application/json"),
        ({"json": False}, "false", "application/json"),
        ({"json": {"ü": 1}, "json_dumps": lambda value: b"own"}, "own", "application/json"),
    ],
)
async def test_bodies(given: dict[str, Any], body: str, kind: str, app_server: Server) -> None:
    """Each kind of body is received with its content and type."""
    if callable(given.get("data")):
        given = {**given, "data": given["data"]()}
    response = await asks_fast.post(f"{app_server.url}/post", **given)
    sent = response.json()
    assert sent["data"] == body
    if kind == "form":
        kind = "application/x-www-form-urlencoded"
    if kind is not None:
        assert sent["headers"]["content-type"].partition(";")[0] == kind


async def test_files_and_multipart(app_server: Server, tmp_path: Path) -> None:
    """`files=` opens files by name, `multipart=` only those given as files."""
    path = tmp_path / "nöte.txt"
    path.write_text("content")
    url = f"{app_server.url}/post"
    response = await asks_fast.post(url, files={"f": str(path), "v": "no such file"})
    data = response.json()["data"]
    assert 'name="f"; filename="nöte.txt"' in data
    assert 'name="v"\r\n\r\nno such file' in data
    async with curio.aopen(path, "rb") as opened:
        response = await asks_fast.post(url, multipart={"a": str(path), "p": path, "o": opened})
    data = response.json()["data"]
    assert f'name="a"\r\n\r\n{path}' in data
    assert data.count('filename="nöte.txt"') == 2


@pytest.mark.parametrize("name", ["content-type", "Content-Type"])
async def test_multipart_with_user_content_type(app_server: Server, name: str) -> None:
    """A multipart Content-Type of the caller gets the boundary of the body; another type raises."""
    for kind in ("multipart/form-data", 'multipart/form-data; boundary="own one"'):
        for of_session in (False, True):
            fields = {name: kind}
            async with HSession(app_server.url, headers=fields if of_session else {}) as session:
                headers = {} if of_session else fields
                r = await session.post("/post", multipart={"a": "1"}, headers=headers)
            sent = r.json()["headers"]["content-type"]
            assert sent.startswith(kind)
            boundary = sent.partition("boundary=")[2].strip('"')
            assert r.json()["data"].startswith(f"--{boundary}\r\n")
    with pytest.raises(InvalidRequest, match="cannot have the type 'application/json'"):
        await asks_fast.post(
            app_server.url, files={"a": "1"}, headers={"Content-Type": "application/json"}
        )


@pytest.mark.parametrize(
    "two",
    [
        {"data": "a", "json": {}},
        {"data": "a", "files": {"a": "b"}},
        {"json": 0, "multipart": {}},
        {"files": {"a": "b"}, "multipart": {"a": "b"}},
    ],
    ids=str,
)
async def test_one_body_only(two: dict[str, Any]) -> None:
    """`data`, `json`, `files` and `multipart` exclude each other."""
    with pytest.raises(TypeError):
        await asks_fast.post("http://127.0.0.1:1/", **two)


async def test_encoding(peer: Any) -> None:
    """`encoding` applies to text sent, and is the default for text received."""
    server: Peer = peer(
        [expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xfc"), stall()]
    )
    async with HSession(server.url, encoding="utf-8") as session:
        response = await session.post(data="ü", encoding="latin-1")
    assert server.requests[0].body == b"\xfc"
    assert response.text == "ü"
    assert response.encoding == "latin-1"


# -- limits


async def test_timeout_errors_name_the_phase(peer: Any) -> None:
    """Each expired limit is a RequestTimeout that names the phase."""
    server: Peer = peer([expect(), stall()])
    async with HSession(server.url) as session:
        with pytest.raises(RequestTimeout, match=r"timeout=0\.05") as total:
            await session.get(timeout=0.05)
        assert total.value.phase == "total"
        with pytest.raises(ReadTimeout) as read:
            await session.get(read_timeout=0.05)
        assert read.value.phase == "read"
        task = await curio.spawn(session.get)
        await server.saw_requests(3)
        with pytest.raises(PoolTimeout) as pool:
            await session.get(pool_timeout=0.05)
        assert pool.value.phase == "pool"
        await task.cancel()
        assert session.pool_stats()["in_use"] == 0


async def test_timeout_excludes_waiting_for_a_connection(peer: Any) -> None:
    """`timeout` does not include the wait for a connection."""
    server: Peer = peer([expect(), stall(), send(OK), FOREVER])
    async with HSession(server.url) as session:
        first = await curio.spawn(session.get)
        await server.saw_requests()
        second = await curio.spawn(lambda: session.get(timeout=2.0))
        await curio.sleep(2.1)
        server.release()
        assert (await first.join()).text == "ok"
        assert (await second.join()).text == "ok"


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": "5"},
        {"timeout": True},
        {"connection_timeout": -1},
        {"read_timeout": 0},
        {"pool_timeout": 0},
        {"max_redirects": -1},
        {"retries": -1},
        {"max_body": -1},
    ],
    ids=str,
)
async def test_invalid_values(options: dict[str, Any]) -> None:
    """An invalid value is a ValueError before a connection is made."""
    with pytest.raises(InvalidRequest):
        await asks_fast.get("http://127.0.0.1:1/", **options)


async def test_stream_and_callback() -> None:
    """`stream` and `callback` exclude each other."""
    with pytest.raises(TypeError):
        await asks_fast.get("http://127.0.0.1:1/", stream=True, callback=print)


async def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """`detect_encoding=True` without its extra raises before a byte is sent."""
    monkeypatch.setitem(__import__("sys").modules, "charset_normalizer", None)
    with pytest.raises(ModuleNotFoundError, match="pip install charset-normalizer"):
        await asks_fast.get("http://127.0.0.1:1/", detect_encoding=True)
    with pytest.raises(ModuleNotFoundError, match="pip install charset-normalizer"):
        DSession(detect_encoding=True)


async def test_max_body_and_max_decompressed(app_server: Server) -> None:
    """Errors of size limits name the request, for whole and streamed bodies."""
    from asks_fast.errors import ResponseTooLarge

    for options in ({"max_body": 1000}, {"max_decompressed": 1000}):
        url = f"{app_server.url}/gzip" if "max_decompressed" in options else None
        url = url or f"{app_server.url}/bytes/2000"
        with pytest.raises(ResponseTooLarge, match=f"GET {url}"):
            (await asks_fast.get(url, **options)).content  # noqa: B018
        with pytest.raises(ResponseTooLarge, match=f"GET {url}"):
            await (await asks_fast.get(url, stream=True, **options)).body.read()


async def test_defaults_of_a_session(app_server: Server) -> None:
    """Arguments of a request can be given to the session; those of the call take precedence."""
    async with HSession(
        app_server.url, params={"k": "s"}, follow_redirects=False, auth=("u", "p"), timeout=30
    ) as session:
        sent = (await session.get(path="/get")).json()
        assert sent["args"] == {"k": "s"}
        assert sent["headers"]["authorization"] == "Basic dTpw"
        assert (await session.get(path="/get", params={"c": 1})).json()["args"] == {"c": "1"}
        assert (await session.get(path="/redirect/1")).status_code == 302
        followed = await session.get(path="/redirect/1", follow_redirects=True)
        assert followed.status_code == 200


async def test_asks_exceptions_only(peer: Any) -> None:
    """Any protocol violation of a server is an AsksException."""
    for bytes_ in (
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"\0" * 100,
        b"HTTP/2 200\r\n\r\n",
    ):
        server: Peer = peer([expect(), send(bytes_), stall()])
        with pytest.raises(AsksException):
            await asks_fast.get(server.url, timeout=60)


async def test_assign_ssl_context_and_source_address(
    tls_server: Server, client_context: Any, app_server: Server
) -> None:
    """`ssl_context` and `source_address` of a session can be assigned, as in asks 3."""
    import ssl

    async with Session(tls_server.url) as session:
        assert session.ssl_context is None
        with pytest.raises(ssl.SSLCertVerificationError):
            await session.get()
        session.ssl_context = client_context
        assert (await session.get()).text.startswith("asks_fast demo server")
    async with Session(app_server.url, connections=3) as session:
        assert (await session.get(path="/ip")).json() == {"origin": "127.0.0.1"}
        assert (await session.get(path="/ip")).json() == {"origin": "127.0.0.1"}
        session.source_address = "127.0.0.9"
        assert (await session.get(path="/ip")).json() == {"origin": "127.0.0.9"}
        assert (await session.get(path="/ip")).json() == {"origin": "127.0.0.9"}
