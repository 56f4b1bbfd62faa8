"""Features of sessions beyond asks: retry policies, events, warm connections, file names."""

from __future__ import annotations

import logging
import pickle
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from support.script_steps import FOREVER, OK, SERVING, close, expect, repeat, send
from support.scripted_server import MakePeer
from support.servers import Server, application

import asks_fast
from asks_fast import DSession, HSession, NetrcAuth, Retry, ServerClosedConnectionError, Timeouts
from asks_fast.cli.demo_app import pattern
from asks_fast.errors import ConnectionFailed, InvalidRequest, InvalidURL


async def test_retries_by_policy(app_server: Server) -> None:
    """A `Retry` repeats a 503 after the time of Retry-After; a number does not."""
    policy = Retry(attempts=3, backoff=0.01)
    async with HSession(app_server.url, retries=policy) as session:
        response = await session.get(path="/flaky/policy/2")
        assert response.json() == {"tries": 3}
        assert response.attempts == 3
        assert (await session.get(path="/flaky/other/2", retries=5)).status_code == 503
        assert (await session.post(path="/flaky/post/1")).status_code == 503


async def test_retries_of_connections(peer: MakePeer) -> None:
    """`retries=` repeats idempotent requests after connection errors; 0 repeats nothing."""
    for retries, number in ((0, 1), (1, 2), (2, 3)):
        server = peer([expect(), close()])
        with pytest.raises(ServerClosedConnectionError) as caught:
            await asks_fast.get(server.url, retries=retries)
        assert len(server.requests) == number
        assert caught.value.attempts == number


async def test_timeouts_as_one_value(app_server: Server) -> None:
    """A `Timeouts` value contains all limits."""
    async with HSession(app_server.url, timeout=Timeouts(total=0.2)) as session:
        with pytest.raises(asks_fast.TotalTimeout):
            await session.get(path="/slow/5")
        assert (await session.get(path="/get")).status_code == 200


async def test_events_and_log(app_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """`on_event` is called for each step in order; the log has the same events and no secrets."""
    names: list[str] = []
    async with HSession(app_server.url, auth=("user", "hidden")) as session:
        with caplog.at_level(logging.DEBUG, logger="asks_fast"):
            await session.get(path="/redirect/1", on_event=lambda event: names.append(event.name))
    assert [name for name in names if name != "resolved"] == [
        "connection_acquired",
        "connected",
        "sent",
        "head",
        "body",
        "followup",
        "connection_acquired",
        "sent",
        "head",
        "body",
    ]
    assert "hidden" not in caplog.text
    assert "aGlkZGVu" not in caplog.text
    assert "redirect/1: connected" in caplog.text


async def test_warm_up_and_stats(app_server: Server) -> None:
    """Connections opened in advance serve the first requests; `pool_stats` counts them."""
    async with HSession(app_server.url, connections=5) as session:
        assert await session.warm_up(3) == 3
        assert session.pool_stats()["idle"] == 3
        await session.get()
        stats = session.pool_stats()
        assert (stats["open"], stats["in_use"], stats["waiting"]) == (3, 0, 0)


async def test_limits_per_host(peer: MakePeer) -> None:
    """`connections_per_host` limits one host, `connections` all; idle connections are evicted."""
    servers = [peer(SERVING) for _ in range(4)]
    async with DSession(connections=2, connections_per_host=1) as session:
        for _ in range(2):
            for server in servers:
                assert (await session.get(server.url)).text == "ok"
                assert session.pool_stats()["open"] <= 2


async def test_ipv6(kernel: Any) -> None:
    """A literal IPv6 host is written in brackets."""
    try:
        with application("asks_fast.cli.demo_app:app", address="::1") as server:
            response = await asks_fast.get(f"{server.url}/get")
            assert response.json()["headers"]["host"] == f"[::1]:{server.port}"
    except OSError:
        pytest.skip("no IPv6 on this machine")


async def test_file_names(peer: MakePeer) -> None:
    """`filename` is a safe form of the server's suggestion, else the end of the URL."""
    for field, name in (
        (b'Content-Disposition: attachment; filename="../re port.pdf"\r\n', "re port.pdf"),
        (b"Content-Disposition: attachment; filename*=UTF-8''%e2%82%ac.txt\r\n", "€.txt"),
        (b"", "file.bin"),
    ):
        head = b"HTTP/1.1 200 OK\r\n" + field + b"Content-Length: 0\r\n\r\n"
        server = peer([repeat(expect(), send(head))])
        assert (await asks_fast.get(f"{server.url}/d/file.bin?x=1")).filename == name


async def test_chunks_of_one_size(app_server: Server) -> None:
    """`body.chunks(size)` yields chunks of that size, except the last one."""
    response: Any = await asks_fast.get(f"{app_server.url}/bytes/10000", stream=True)
    chunks = [chunk async for chunk in response.body.chunks(999)]
    assert [len(chunk) for chunk in chunks] == [999] * 10 + [10]
    assert b"".join(chunks) == pattern(10000)
    response = await asks_fast.get(f"{app_server.url}/get", stream=True)
    async with response.body:
        with pytest.raises(InvalidRequest):
            response.body.chunks(0)


async def test_normalize_url(peer: MakePeer) -> None:
    """Illegal characters of a URL are encoded once; `normalize_url=False` sends it as written."""
    server = peer(SERVING)
    async with DSession() as session:
        await session.get(f"{server.url}/a b/%7e;p=1?q=ü+%zz")
        await session.get(f"{server.url}/a/../b/./c")
        await session.get(f"{server.url}/a/../b//", normalize_url=False)
    assert [request.target for request in server.requests] == [
        "/a%20b/%7e;p=1?q=%C3%BC+%25zz",
        "/b/c",
        "/a/../b//",
    ]


async def test_field_names_as_written(peer: MakePeer) -> None:
    """Fields are sent in the given order and spelling; automatic ones can be omitted."""
    server = peer(SERVING)
    await asks_fast.get(
        server.url, headers={"x-lOwEr": "1", "User-Agent": None, "Accept-Encoding": None, "B": "2"}
    )
    names = [name for name, _ in server.requests[0].headers]
    assert names == ["Host", "Accept", "Connection", "x-lOwEr", "B"]


async def test_build_then_send(app_server: Server) -> None:
    """A request can be prepared, inspected, and sent more than once."""
    async with HSession(app_server.url, auth=("user", "pw"), persist_cookies=True) as session:
        request = session.prepare("put", path="/put", json={"a": 1}, headers={"X-Own": "1"})
        assert repr(request) == f"<PreparedRequest PUT {app_server.url}/put>"
        assert request.headers["X-Own"] == "1"
        assert request.body is not None
        assert request.body.buffered == b'{"a": 1}'
        for _ in range(2):
            sent = (await session.send(request)).json()
            assert (sent["method"], sent["json"]) == ("PUT", {"a": 1})
            assert sent["headers"]["authorization"] == "Basic dXNlcjpwdw=="
        assert "Authorization" not in request.headers
        with pytest.raises(InvalidRequest):
            session.prepare("GET", path="/", headers={"Content-Length": "x"})
        redirect = session.prepare("GET", path="/redirect/1", params={"a": 1})
        assert len((await session.send(redirect)).history) == 1


async def test_pickling(app_server: Server) -> None:
    """A response is pickled with its history and without the credentials of its request."""
    async with HSession(app_server.url, auth=("user", "hidden")) as session:
        for path in ("/redirect-to?url=/json", "/gzip", "/text/iso-8859-1", "/status/404"):
            response = await session.get(path=path)
            frozen = pickle.dumps(response)
            assert b"Basic" not in frozen
            again = pickle.loads(frozen)
            assert repr(again) == repr(response)
            assert (again.url, again.method) == (response.url, "GET")
            assert again.headers == response.headers
            assert (again.text, again.content) == (response.text, response.content)
            assert [old.url for old in again.history] == [old.url for old in response.history]
            assert again.is_complete


async def test_netrc(app_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`NetrcAuth` sends each host its credentials from the file, and none to other hosts."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login user password s3cret\n")
    path.chmod(0o600)
    auth = NetrcAuth(path)
    url = f"{app_server.url}/basic-auth/user/s3cret"
    assert (await asks_fast.get(url, auth=auth)).status_code == 200
    elsewhere = url.replace("127.0.0.1", "localhost")
    assert (await asks_fast.get(elsewhere, auth=auth)).status_code == 401
    monkeypatch.setenv("NETRC", str(path))
    assert (await asks_fast.get(url, auth=NetrcAuth())).status_code == 200
    assert repr(auth) == "<NetrcAuth, 1 hosts>"
    path.write_text("machine 127.0.0.1 nonsense s3cret\n")
    with pytest.raises(InvalidRequest) as caught:
        NetrcAuth(path)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(InvalidRequest, match="No such file"):
        NetrcAuth(tmp_path / "missing")


@pytest.mark.parametrize("stream", [False, True])
async def test_keep_framing(stream: bool, peer: MakePeer) -> None:
    """`response_head` and, with `keep_framing`, `framed_body` are the exact received bytes."""
    head = b"HTTP/1.1 200 \xe9\r\nX:  y\r\nTransfer-Encoding: chunked\r\n\r\n"
    framed = b"1;a=b\r\no\r\n2\r\nk!\r\n0\r\nT: u\r\n\r\n"
    parts = [send(head + framed[:9]), send(framed[9:])]
    known = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    server = peer([expect(), *parts, expect(), *parts, expect(), send(known + b"ok"), FOREVER])
    async with DSession() as session:
        for keep, expected in ((True, framed), (False, None)):
            response: Any = await session.get(server.url, keep_framing=keep, stream=stream)
            body = await response.body.read() if stream else response.content
            assert (response.response_head, body) == (head, b"ok!")
            assert response.framed_body == expected
        response = await session.get(server.url, keep_framing=True)
        assert (response.response_head, response.framed_body) == (known, None)


async def test_framing_is_bounded(peer: MakePeer) -> None:
    """Kept framing is limited, also for a body of tiny chunks."""
    tiny = b"1;" + b"x" * 10 + b"\r\no\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = peer([expect(), send(head + tiny * 8_000 + b"0\r\n\r\n"), FOREVER])
    async with DSession() as session:
        response = await session.get(server.url, keep_framing=True, max_body=10_000)
    assert (response.content, response.framed_body) == (b"o" * 8_000, b"")


async def test_history_of_an_error(peer: MakePeer) -> None:
    """An error has the responses that preceded it, including the last one."""
    moved = b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"
    server = peer([expect(), send(moved % b"/2"), expect(), send(moved % b"ftp://h/"), FOREVER])
    async with DSession() as session:
        with pytest.raises(InvalidURL) as caught:
            await session.get(server.url + "/1")
        assert [one.url for one in caught.value.history] == [f"{server.url}/{n}" for n in "12"]
        with pytest.raises(ConnectionFailed) as refused:
            await session.get("http://127.0.0.1:1/")
        assert list(refused.value.history) == []


async def test_netrc_and_the_user_of_the_url(peer: MakePeer, tmp_path: Path) -> None:
    """`auth=` takes precedence over the URL, the URL over netrc, used for its user only."""
    path = tmp_path / "netrc"
    path.write_text(
        "machine 127.0.0.1 login bob password b0b\n"
        "machine 127.0.0.1 login alice password al1ce\n"
        "default login carol password c4rol\n"
    )
    server = peer([repeat(expect(), send(OK))])
    netrc, field = NetrcAuth(path), {"Authorization": "Bearer own"}
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("", {"auth": netrc}, "alice:al1ce"),
        ("bob@", {"auth": netrc}, "bob:b0b"),
        ("alice@", {"auth": netrc}, "alice:al1ce"),
        ("carol@", {"auth": netrc}, "carol:c4rol"),
        ("dave@", {"auth": netrc}, "dave:"),
        ("bob:url@", {"auth": netrc}, "bob:url"),
        ("bob:url@", {"auth": ("eve", "given")}, "eve:given"),
        ("bob:url@", {}, "bob:url"),
    ]
    async with DSession() as session:
        for user, given, _ in cases:
            await session.get(server.url.replace("//", f"//{user}"), **given)
        for user in ("", "bob:url@"):
            await session.get(server.url.replace("//", f"//{user}"), auth=netrc, headers=field)
    sent = [request.header("authorization") for request in server.requests]
    pairs = [b64decode(str(value).removeprefix("Basic ")).decode() for value in sent[:-2]]
    assert pairs == [pair for _, _, pair in cases]
    assert sent[-2:] == ["Bearer own"] * 2
