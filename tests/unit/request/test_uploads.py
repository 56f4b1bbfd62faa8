"""Uploads to scripted and real servers: framing, replay, early responses, memory."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import threading
from functools import partial

import curio
import pytest
from support.cancel_at_each_await import cancel_at_each_await
from support.leaks import left_open, open_descriptors
from support.script_steps import close, expect, expect_head, mark, repeat, send, stop_reading

from asks_fast import DigestAuth, Session
from asks_fast._request.body_source import CHUNK_SIZE
from asks_fast.errors import BodyLengthMismatch, InvalidRequest, UnreplayableBody
from asks_fast.multipart import MultipartData

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def once(*pieces):
    for piece in pieces:
        yield piece


# -- bytes


async def test_framing(peer, tmp_path):
    """Exactly one of Content-Length and chunked is sent, and it is correct (RFC 9112 §6)."""
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    bodies = [b"12345", path, io.BytesIO(b"12345"), [b"12", b"345"], iter([b"123", b"", b"45"])]
    bodies.append(once(b"1", b"2345"))
    server = peer([expect("POST"), send(OK)] * len(bodies))
    async with Session(server.url) as session:
        for data in bodies:
            await session.post(path="/", data=data)
    for number, seen in enumerate(server.requests):
        is_chunked = number >= 4
        assert seen.body == b"12345"
        assert seen.header("content-length") == (None if is_chunked else "5")
        assert seen.header("transfer-encoding") == ("chunked" if is_chunked else None)


async def test_no_body(peer):
    """POST without a body sends Content-Length: 0; GET sends no Content-Length."""
    server = peer([expect(), send(OK)] * 3)
    async with Session(server.url) as session:
        await session.get(path="/")
        await session.post(path="/")
        await session.post(path="/", data=b"")
    assert [s.header("content-length") for s in server.requests] == [None, "0", "0"]
    assert [s.header("transfer-encoding") for s in server.requests] == [None] * 3


async def test_given_length(peer):
    """Content-Length given for an iterable is sent instead of chunked, and enforced."""
    server = peer([expect(), send(OK)], [expect_head()])
    async with Session(server.url) as session:
        headers = {"Content-Length": "4"}
        await session.post(path="/", data=once(b"12", b"34"), headers=headers)
        with pytest.raises(BodyLengthMismatch):
            await session.post(path="/", data=once(b"12", b"3"), headers=headers)
        with pytest.raises(InvalidRequest):
            await session.post(path="/", data=b"12345", headers=headers)
    assert server.requests[0].body == b"1234"
    assert server.requests[0].header("transfer-encoding") is None


async def test_failing_generator(peer):
    """If a generator raises, its error is raised, and the connection is closed."""

    async def failing():
        yield b"abc"
        raise LookupError("mine")

    server = peer([expect_head()], [expect(), send(OK)])
    async with Session(server.url) as session:
        with pytest.raises(LookupError, match="mine"):
            await session.post(path="/", data=failing())
        r = await session.get(path="/")
        assert r.status_code == 200
    assert b"0\r\n\r\n" not in server.connections[0].received


async def test_early_answer(peer, tmp_path):
    """A 413 received during the upload is the response; the connection is not reused."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(64 * 1024**2)
    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"
    server = peer([expect_head(), send(refusal), stop_reading()], [expect(), send(OK)])
    async with Session(server.url) as session:
        r = await session.put(path="/", data=path)
        assert (r.status_code, r.content) == (413, b"big")
        r = await session.get(path="/")
        assert r.status_code == 200
    assert len(server.connections) == 2


async def test_early_answer_and_close(peer, tmp_path):
    """An early response is returned if the server closes after it."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(64 * 1024**2)
    refusal = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    server = peer([expect_head(), send(refusal), close()])
    async with Session(server.url) as session:
        r = await session.put(path="/", data=path)
    assert r.status_code == 413


UNMET = b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno"


@pytest.mark.parametrize(
    "how", [{"expect_continue": True}, {"headers": {"Expect": "100-continue"}}]
)
@pytest.mark.parametrize("kind", ["bytes", "path", "one-shot"])
@pytest.mark.parametrize("more", [{}, {"retries": 0}, {"stream": True}])
async def test_refused_expectation(peer, tmp_path, how, kind, more):
    """After a 417 the request is sent once more without `Expect` (RFC 9110 §10.1.1)."""
    path = tmp_path / "body"
    path.write_bytes(b"content")
    data = {"bytes": b"content", "path": path, "one-shot": iter([b"con", b"tent"])}[kind]
    server = peer([expect_head(), send(UNMET), close()], [expect(), send(OK)])
    async with Session(server.url, cookies={"a": "1"}, auth=("user", "pw")) as session:
        r = await session.put(path="/", data=data, **how, **more)
        assert r.status_code == 200
        assert [old.status_code for old in r.history] == [417]
        async with r:
            pass
    first, second = server.requests
    assert (first.header("expect"), second.header("expect")) == ("100-continue", None)
    assert second.body == b"content"
    for name in ("cookie", "authorization"):
        assert first.header(name) is not None
        assert first.header(name) == second.header(name)


async def test_expectation_refused_twice(peer):
    """A second 417, and one to a request without `Expect`, is the response."""
    server = peer([expect_head(), send(UNMET), close()], [repeat(expect(), send(UNMET))])
    async with Session(server.url) as session:
        r = await session.put(path="/", data=b"content", expect_continue=True)
        assert (r.status_code, r.content, len(r.history)) == (417, b"no", 1)
        for _ in range(2):
            r = await session.get(path="/")
            assert (r.status_code, r.content, len(r.history)) == (417, b"no", 0)
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [307, 308])
async def test_redirect_replays(peer, tmp_path, status):
    """After 307 and 308 the whole body is sent again."""
    path = tmp_path / "x"
    path.write_bytes(b"content")
    moved = b"HTTP/1.1 %d Moved\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n" % status
    server = peer([expect("POST", "/"), send(moved), expect("POST", "/there"), send(OK)])
    async with Session(server.url) as session:
        r = await session.post(path="/", multipart={"file": path})
    assert r.status_code == 200
    first, second = server.requests
    assert b"content" in first.body
    assert first.body == second.body
    assert first.header("content-type") == second.header("content-type")


async def test_redirect_of_a_one_shot(peer):
    """A one-shot body raises UnreplayableBody after a 307."""
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
    server = peer([expect("POST", "/"), send(moved)])
    async with Session(server.url) as session:
        with pytest.raises(UnreplayableBody, match="one-shot"):
            await session.post(path="/", data=once(b"x"))
    assert len(server.requests) == 1


async def test_303_drops_the_body(peer):
    """After 303 a GET without body and body headers is sent."""
    moved = b"HTTP/1.1 303 See Other\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
    server = peer([expect("POST", "/"), send(moved), expect("GET", "/there"), send(OK)])
    async with Session(server.url) as session:
        await session.post(path="/", data=once(b"x"))
    names = {name.lower() for name, _ in server.requests[1].headers}
    assert not names & {"content-type", "content-length", "transfer-encoding"}


async def test_stale_connection(peer, tmp_path):
    """On a stale connection a PUT from disk is sent again completely."""
    path = tmp_path / "x"
    path.write_bytes(b"content")
    server = peer([expect(), send(OK), close()], [expect("PUT"), send(OK)])
    async with Session(server.url) as session:
        await session.get(path="/")
        await session.put(path="/", data=path)
    assert server.requests[-1].body == b"content"


async def test_cancelled_upload(peer, tmp_path):
    """A cancelled upload closes file and connection, and the next request succeeds."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(256 * 1024**2)
    server = peer([expect_head(), mark("head"), stop_reading()], [expect(), send(OK)])
    async with Session(server.url) as session:
        task = await curio.spawn(partial(session.put, path="/", data=path))
        await server.reached("head")
        await task.cancel()
        r = await session.get(path="/")
        assert r.status_code == 200


# -- real servers


async def test_httpbin_sees_the_form(httpbin, tmp_path):
    """httpbin receives the fields and files."""
    path = tmp_path / 'Ü "x".txt'
    path.write_bytes("grüß".encode())
    async with Session(httpbin.url) as session:
        form = {"file": path, "field": "ü", "part": MultipartData(b"b", "text/x", "b.x")}
        seen = (await session.post(path="/post", multipart=form)).json()
        assert seen["files"] == {"file": "grüß", "part": "b"}
        assert seen["form"] == {"field": "ü"}
        seen = (await session.post(path="/post", files={"f": str(path), "g": "text"})).json()
        assert seen["files"] == {"f": "grüß"}
        assert seen["form"] == {"g": "text"}
        data = [("a", "1"), ("a", "& = +"), ("b", 0), ("c", "")]
        seen = (await session.post(path="/post", data=data)).json()
        assert seen["form"] == {"a": ["1", "& = +"], "b": "0", "c": ""}
        seen = (await session.post(path="/post", json={})).json()
        assert (seen["json"], seen["data"]) == ({}, "{}")


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, 3 * CHUNK_SIZE + 1])
async def test_granian_echoes(app_server, tmp_path, size):
    """A body from disk, memory or a generator is received unchanged."""
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    path = tmp_path / "x"
    path.write_bytes(content)
    view = memoryview(content)
    async with Session(app_server.url) as session:
        for data in (path, io.BytesIO(content), once(view[: size // 3], view[size // 3 :])):
            r = await session.put(path="/echo", data=data)
            assert r.content == content


async def test_over_tls(tls_server, client_context, tmp_path):
    """Through TLS a body from disk or a generator is received unchanged."""
    content = bytes(range(256)) * 8000
    path = tmp_path / "x"
    path.write_bytes(content)
    async with Session(tls_server.url, ssl_context=client_context) as session:
        for data in (path, content, once(content[:1000], content[1000:])):
            r = await session.put(path="/echo", data=data)
            assert r.content == content


async def test_early_answer_over_tls(tls_peer, client_context, tmp_path):
    """An early 413 through TLS is the response."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(64 * 1024**2)
    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"
    server = tls_peer([expect_head(), send(refusal), stop_reading()])
    async with Session(server.url, ssl_context=client_context) as session:
        r = await session.put(path="/", data=path)
        assert (r.status_code, r.content) == (413, b"big")


async def test_nginx_refuses_early(start_nginx, tmp_path):
    """nginx responds with 413 to the head; the upload stops."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(64 * 1024**2)
    with start_nginx(tmp_path, "client_max_body_size 1m;") as server:
        async with Session(server.url) as session:
            r = await session.post(path="/small", data=path)
            assert r.status_code == 413
            r = await session.get(path="/small")
            assert r.status_code == 200


PROGRAM = """
import resource, sys, curio
from functools import partial
from pathlib import Path
import asks_fast

url, path = sys.argv[1], Path(sys.argv[2])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

async def main():
    async with asks_fast.Session(url) as session:
        await session.put(path="/", data=path.parent / "small")
        before = peak()
        r = await session.put(path="/", multipart={"file": path})
        assert int(r.text) > 1024**3
        return peak() - before

print(curio.run(main))
"""


def swallow(listener):
    """Respond to each request with the length of its body, without storing it."""
    sock, _ = listener.accept()
    scratch = bytearray(1024**2)
    with sock, sock.makefile("rb") as stream:
        while stream.readline():
            headers = {}
            while (line := stream.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                headers[name.lower()] = value.strip()
            left = length = int(headers[b"content-length"])
            while left:
                left -= stream.readinto(memoryview(scratch)[: min(left, len(scratch))])
            text = b"%d" % length
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))


@pytest.mark.slow
def test_gibibyte(tmp_path):
    """A form with a file of 1 GiB is sent with less than 8 MiB of memory."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(1024**3)
    (tmp_path / "small").write_bytes(bytes(CHUNK_SIZE))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=swallow, args=[listener])
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        grown = subprocess.run(
            [sys.executable, "-c", PROGRAM, url, str(path)],
            check=True,
            stdout=subprocess.PIPE,
        )
        thread.join()
    assert int(grown.stdout) < 8 * 1024**2


# -- cancelled anywhere


def _digest_server(connection):
    """Respond 401 without credentials, otherwise 200 with the length of the body."""
    request = connection.requests[-1]
    if request.header("authorization") is None:
        challenge = b'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth-int"'
        return b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n%b\r\n\r\n" % challenge
    text = b"%d" % len(request.body)
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


@pytest.mark.parametrize("kind", ["form", "generator"])
async def test_cancelled_at_each_wait(peer, tmp_path, kind):
    """After cancellation at any point nothing stays open, and the next upload succeeds."""
    path = tmp_path / "x"
    path.write_bytes(bytes(3 * CHUNK_SIZE))
    server = peer([repeat(expect(), send(_digest_server))])
    ended = []

    async def pieces():
        try:
            yield b"ab"
            await curio.sleep(0)
            yield b"cd"
        finally:
            ended.append(None)

    await curio.run_in_thread(len, b"")
    before = open_descriptors()  # the thread of curio is there already
    async with Session(server.url) as session:

        async def upload():
            auth = DigestAuth(("jo", "secret"))
            if kind == "form":
                return await session.put(path="/", multipart={"f": path, "t": "x"}, auth=auth)
            return await session.put(path="/", data=pieces(), headers={"Authorization": "x"})

        async def look():
            assert " 0 in use" in repr(session._transport.pool)

        places, response = await cancel_at_each_await(upload, look)
        assert response.status_code == 200
        assert int(response.text) > (3 * CHUNK_SIZE if kind == "form" else 3)
    assert places >= 2  # on loopback a connection is there without a wait
    await server.all_closed()
    assert not left_open(before)
    if kind == "generator":
        assert len(ended) >= places
