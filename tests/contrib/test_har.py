"""HTTP Archives of real requests: valid by the schema, complete, bounded, without secrets."""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.har_schema import HAR
from support.hosts import run_asyncio, run_trio
from support.proxy_steps import http_proxy
from support.script_steps import OK, SERVING, close, expect, send, stall
from support.scripted_server import MakePeer

import asks_fast.sync
from asks_fast import DSession, HSession, Retry, errors
from asks_fast.contrib.har import HarRecorder

jsonschema = pytest.importorskip("jsonschema")


def entries(recorder: HarRecorder) -> list[dict[str, Any]]:
    """The entries of the archive, which must be valid."""
    archive = json.loads(json.dumps(recorder.to_dict()))
    jsonschema.validate(archive, HAR)
    found: list[dict[str, Any]] = archive["log"]["entries"]
    for entry in found:
        timings = entry["timings"]
        phases = [value for name, value in timings.items() if name != "ssl" and value > 0]
        assert entry["time"] == pytest.approx(sum(phases))
    return found


def named(pairs: list[dict[str, str]], name: str) -> str | None:
    return {pair["name"].lower(): pair["value"] for pair in pairs}.get(name)


def answer(head: bytes, body: bytes = b"", status: bytes = b"200 OK") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + length + head + b"\r\n" + body


async def test_entry(peer: MakePeer) -> None:
    """Request and response as they were sent and received, and the time of each phase."""
    server = peer(
        [*[expect(), send(answer(b"Content-Type: text/plain\r\n", b"hello"))] * 2, close()]
    )
    recorder = HarRecorder()
    async with HSession(server.url, on_event=recorder, headers={"X-A": "b"}) as session:
        for _ in range(2):
            await session.get("/items?page=2&q=a%20b")
    first, second = entries(recorder)
    assert len(recorder) == 2
    request, response = first["request"], first["response"]
    assert request["url"] == f"{server.url}/items?page=2&q=a%20b"
    assert (request["method"], request["httpVersion"]) == ("GET", "HTTP/1.1")
    assert request["queryString"] == [
        {"name": "page", "value": "2"},
        {"name": "q", "value": "a b"},
    ]
    assert named(request["headers"], "x-a") == "b"
    assert request["headersSize"] == len(server.requests[0].raw)
    assert (request["bodySize"], response["bodySize"]) == (0, 5)
    assert (response["status"], response["statusText"]) == (200, "OK")
    assert response["content"] == {"size": 5, "mimeType": "text/plain"}
    assert first["serverIPAddress"] == "127.0.0.1"
    assert first["timings"]["connect"] >= 0
    assert first["timings"]["ssl"] == -1
    assert second["timings"]["connect"] == second["timings"]["dns"] == -1  # reused
    assert second["startedDateTime"] >= first["startedDateTime"]


async def test_tls(tls_peer: MakePeer, client_context: ssl.SSLContext) -> None:
    """The time of the TLS handshake is part of `connect`."""
    server = tls_peer(SERVING)
    recorder = HarRecorder()
    async with HSession(server.url, on_event=recorder, ssl_context=client_context) as session:
        await session.get("/")
    [entry] = entries(recorder)
    timings = entry["timings"]
    assert 0 < timings["ssl"] <= timings["connect"]


async def test_through_a_proxy(peer: MakePeer) -> None:
    """A forwarded request has the URL of the origin; the password of the proxy is masked."""
    origin, proxy = peer(SERVING), peer([http_proxy("jo", "secret")])
    recorder = HarRecorder()
    async with DSession(proxy=f"http://jo:secret@127.0.0.1:{proxy.port}", on_event=recorder) as one:
        assert (await one.get(f"{origin.url}/a")).status_code == 200
    [entry] = entries(recorder)
    assert entry["request"]["url"] == f"{origin.url}/a"
    assert named(entry["request"]["headers"], "proxy-authorization") == "***"


async def test_redirects_and_retries(peer: MakePeer) -> None:
    """Each exchange has an entry, with the size of its body."""
    redirect = answer(b"Location: /next\r\n", b"moved", b"302 Found")
    busy = answer(b"", b"busy!!", b"503 Busy")
    server = peer([expect(), send(busy), expect(), send(redirect), expect(), send(OK), close()])
    recorder = HarRecorder(bodies=True)
    retries = Retry(attempts=1, backoff=0)
    async with HSession(server.url, on_event=recorder, retries=retries) as session:
        await session.get("/")
    found = entries(recorder)
    assert [entry["response"]["status"] for entry in found] == [503, 302, 200]
    assert [entry["response"]["bodySize"] for entry in found] == [6, 5, 2]
    assert found[1]["response"]["redirectURL"] == "/next"
    assert [entry["response"]["content"]["text"] for entry in found[1:]] == ["bW92ZWQ=", "b2s="]
    assert found[2]["request"]["url"] == f"{server.url}/next"


async def test_bodies(peer: MakePeer) -> None:
    """Text as text, decompressed; other data in base64; long bodies are left out."""
    text = gzip.compress(b"hello " * 20)
    server = peer(
        [
            *(
                expect(),
                send(answer(b"Content-Type: text/html\r\nContent-Encoding: gzip\r\n", text)),
            ),
            *(expect(), send(answer(b"Content-Type: image/png\r\n", b"\x89PNG"))),
            *(expect(), send(answer(b"Content-Type: text/plain\r\n", b"x" * 201)), close()),
        ]
    )
    recorder = HarRecorder(bodies=True, max_body=200)
    async with HSession(server.url, on_event=recorder) as session:
        await session.post("/", data="body text", headers={"Content-Type": "text/plain"})
        await session.post("/", data=b"\xff\x00")
        await session.post("/", data="y" * 300)
    first, second, third = entries(recorder)
    assert first["request"]["postData"]["text"] == "body text"
    content = first["response"]["content"]
    assert (content["text"], content["size"]) == ("hello " * 20, 120)
    assert content["compression"] == 120 - len(text)
    assert first["response"]["bodySize"] == len(text)
    assert second["request"]["postData"] | {"mimeType": ""} == {
        "mimeType": "",
        "params": [],
        "text": "/wA=",
        "comment": "base64",
    }
    assert second["response"]["content"]["encoding"] == "base64"
    assert "text" not in third["response"]["content"]
    assert third["response"]["content"]["comment"] == "201 bytes, more than max_body=200"
    assert third["request"]["postData"]["comment"] == "300 bytes, more than max_body=200"


async def test_body_that_does_not_decompress(peer: MakePeer) -> None:
    """A body that is corrupt is left out; the response is what it is for the program."""
    server = peer([expect(), send(answer(b"Content-Encoding: gzip\r\n", b"no gzip")), close()])
    recorder = HarRecorder(bodies=True)
    async with HSession(server.url, on_event=recorder) as session:
        response = await session.get("/")
        with pytest.raises(errors.DecodingError):
            _ = response.content
    [entry] = entries(recorder)
    assert entry["response"]["content"]["size"] == 7
    assert "gzip" in entry["response"]["content"]["comment"]


async def test_secrets(peer: MakePeer) -> None:
    """Credentials in headers, cookies, URLs and bodies are masked, names of the user's too."""
    body = json.dumps({"access_token": "secret", "id": 7}).encode()
    head = b"Content-Type: application/json\r\nSet-Cookie: sid=secret; Path=/; HttpOnly\r\n"
    server = peer([*[expect(), send(answer(head, body))] * 2, close()])
    recorder = HarRecorder(bodies=True, secrets=["hunter2"], secret_names=["X-Custom"])
    async with HSession(server.url, on_event=recorder, persist_cookies=True) as session:
        for _ in range(2):
            await session.post(
                "/a?api_key=secret&q=hunter2",
                json={"password": "secret", "name": "n", "other": "hunter2"},
                auth=("jo", "secret"),
                cookies={"session": "secret"},
                headers={"X-Api-Key": "secret", "X-Custom": "secret"},
            )
    first, second = entries(recorder)
    text = json.dumps(recorder.to_dict())
    assert "secret" not in text
    assert "hunter2" not in text
    assert "c2VjcmV0" not in text  # base64 of the password, alone or after the user name
    assert named(first["request"]["headers"], "authorization") == "***"
    assert named(first["request"]["queryString"], "api_key") == "***"
    assert json.loads(first["request"]["postData"]["text"]) == {
        "password": "***",
        "name": "n",
        "other": "***",
    }
    assert json.loads(first["response"]["content"]["text"])["id"] == 7
    assert first["response"]["cookies"] == [
        {"name": "sid", "value": "***", "path": "/", "httpOnly": True}
    ]
    assert {cookie["name"] for cookie in second["request"]["cookies"]} == {"session", "sid"}


async def test_failures(peer: MakePeer) -> None:
    """A failed exchange has status 0 and its error as comment."""
    server = peer([expect(), close()])
    recorder = HarRecorder()
    async with DSession(on_event=recorder, retries=0) as session:
        with pytest.raises(errors.ConnectionFailed):
            await session.get("http://127.0.0.1:1/?token=secret")
        with pytest.raises(errors.ServerClosedConnectionError):
            await session.get(f"{server.url}/x")
    refused, closed = entries(recorder)
    assert refused["response"]["status"] == closed["response"]["status"] == 0
    assert refused["comment"].startswith("ConnectionFailed: GET http://127.0.0.1:1/?token=***")
    assert refused["request"]["url"] == "http://127.0.0.1:1/?token=***"
    assert closed["comment"].startswith("ServerClosedConnectionError: ")


async def test_streams(peer: MakePeer) -> None:
    """A streamed response has its head; its body belongs to the program."""
    server = peer([expect(), send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1"), stall()])
    recorder = HarRecorder(bodies=True)
    async with HSession(server.url, on_event=recorder) as session:
        response = await session.get("/", stream=True)
        await response.body.close()
    [entry] = entries(recorder)
    assert (entry["response"]["status"], entry["response"]["bodySize"]) == (200, -1)


async def test_bounded(peer: MakePeer) -> None:
    """The oldest entries are dropped; nothing of a finished exchange is kept beside its entry."""
    server = peer(SERVING)
    recorder = HarRecorder(max_entries=3)
    async with HSession(server.url, on_event=recorder) as session:
        for number in range(5):
            await session.get(f"/{number}")
    assert [entry["request"]["url"][-2:] for entry in entries(recorder)] == ["/2", "/3", "/4"]
    assert not recorder._open
    assert repr(recorder) == "<HarRecorder 3 entries>"
    recorder.clear()
    assert entries(recorder) == []


async def test_save(peer: MakePeer, tmp_path: Path) -> None:
    """The file is JSON in UTF-8, and is replaced at once."""
    server = peer(SERVING)
    recorder = HarRecorder()
    path = tmp_path / "session.har"
    path.write_text("old")
    async with HSession(server.url, on_event=recorder) as session:
        await session.get("/\u00e4")
    recorder.save(path)
    jsonschema.validate(json.loads(path.read_text("utf-8")), HAR)
    assert [one.name for one in tmp_path.iterdir()] == ["session.har"]


@pytest.mark.parametrize("run", [run_asyncio, run_trio])
def test_in_other_event_loops(run: Callable[..., Any], peer: MakePeer) -> None:
    """In asyncio and trio."""
    server = peer(SERVING)
    recorder = HarRecorder()

    async def main() -> None:
        async with HSession(server.url, on_event=recorder) as session:
            await session.get("/")

    run(main)
    assert [entry["response"]["status"] for entry in entries(recorder)] == [200]


def test_without_async(peer: MakePeer, kernel_of_thread: None) -> None:
    """Of blocking calls."""
    server = peer(SERVING)
    recorder = HarRecorder()
    with asks_fast.sync.HSession(server.url, on_event=recorder) as session:
        session.get("/")
    assert [entry["response"]["status"] for entry in entries(recorder)] == [200]
