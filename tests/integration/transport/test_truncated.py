"""Truncated bodies: what arrived is on the error, or is returned if the caller allows it."""

from __future__ import annotations

import gzip
import pickle

import pytest
from support.script_steps import OK, close, expect, reset, send, stall

from asks_fast import HSession, Retry
from asks_fast.errors import (
    ConnectivityError,
    ReadTimeout,
    ServerClosedConnectionError,
    TotalTimeout,
)

HEAD = b"HTTP/1.1 200 OK\r\nX-A: b\r\n"
LONG = bytes(range(256)) * 2000  # received straight into the buffer of the body


def chunked(data: bytes, size: int = 30_000) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


ANSWERS = {
    "known length": (HEAD + b"Content-Length: 10\r\n\r\n", b"12345"),
    "nothing of it": (HEAD + b"Content-Length: 10\r\n\r\n", b""),
    "long": (HEAD + b"Content-Length: 9999999\r\n\r\n", LONG),
    "chunked": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"12345"),
    "long and chunked": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", LONG),
}


def answer_of(name: str) -> tuple[bytes, bytes]:
    head, body = ANSWERS[name]
    return head + (chunked(body) if b"chunked" in head else body), body


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("is_general", [False, True], ids=["fast path", "general path"])
async def test_error_has_the_response(peer, name, is_general):
    """The error's `response` has status, fields and the bytes that arrived, and says so."""
    answer, body = answer_of(name)
    server = peer([expect(), send(OK), expect(), send(answer), close()])
    options = {"max_body": 1 << 30} if is_general else {}
    async with HSession(server.url) as session:
        await session.get(path="/x")
        with pytest.raises(ServerClosedConnectionError) as caught:
            await session.get(path="/x", **options)
        assert session.pool_stats()["open"] == 0
    response = caught.value.response
    assert (response.status_code, response.headers["x-a"]) == (200, "b")
    assert response.body == response.content == body
    assert response.is_truncated
    assert not response.is_complete
    assert response.url == f"{server.url}/x"


async def test_no_response_before_the_head(peer):
    """A connection that ends before the head is complete gives no response."""
    server = peer([expect(), send(HEAD), close()])
    async with HSession(server.url) as session:
        with pytest.raises(ServerClosedConnectionError) as caught:
            await session.get(retries=0)
    assert caught.value.response is None


async def test_time_limits(peer):
    """After `read_timeout` and `timeout` the error has what arrived, too."""
    answer = HEAD + b"Content-Length: 10\r\n\r\n12345"
    for limit, error in (("read_timeout", ReadTimeout), ("timeout", TotalTimeout)):
        for earlier in (0, 1):  # requests before it, which a template is made of
            server = peer([expect(), send(OK)] * earlier + [expect(), send(answer), stall()])
            async with HSession(server.url) as session:
                for _ in range(earlier):
                    await session.get()
                with pytest.raises(error) as caught:
                    await session.get(**{limit: 0.2})
            assert caught.value.response.body == b"12345"
            assert caught.value.response.is_truncated


async def test_pickled(peer):
    """A pickled error has no response."""
    server = peer([expect(), send(HEAD + b"Content-Length: 10\r\n\r\n12345"), close()])
    async with HSession(server.url) as session:
        with pytest.raises(ServerClosedConnectionError) as caught:
            await session.get()
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert copy.response is None


async def test_error_of_a_stream(peer):
    """The error of a stream has the response that was returned."""
    server = peer([expect(), send(HEAD + b"Content-Length: 10\r\n\r\n12345"), close()])
    async with HSession(server.url) as session:
        response = await session.get(stream=True)
        with pytest.raises(ServerClosedConnectionError) as caught:
            await response.body.read()
    assert caught.value.response is response
    assert response.is_truncated


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("end", [close, reset], ids=["closed", "reset"])
async def test_allowed(peer, name, end):
    """`allow_truncated=True` returns the response, marked."""
    answer, body = answer_of(name)
    wait = [stall()] if end is reset else []
    server = peer([expect(), send(answer), *wait, end()])
    async with HSession(server.url, allow_truncated=True, read_timeout=0.3) as session:
        response = await session.get()
        assert session.pool_stats()["open"] == 0
    assert response.is_truncated
    assert response.content == body


async def test_complete_bodies_are_not_marked(peer):
    """The option does not affect a complete body, nor an error before the head."""
    server = peer([expect(), send(OK), expect(), send(HEAD), close()])
    async with HSession(server.url, allow_truncated=True) as session:
        response = await session.get()
        assert (response.content, response.is_truncated) == (b"ok", False)
        with pytest.raises(ConnectivityError):
            await session.get(retries=0)


async def test_retries_come_first(peer):
    """A truncated body is returned only after all attempts of the retry policy."""
    server = peer([expect(), send(HEAD + b"Content-Length: 10\r\n\r\n12345"), close()],
                  [expect(), send(OK)])  # fmt: skip
    async with HSession(server.url) as session:
        response = await session.get(allow_truncated=True, retries=Retry(attempts=1, backoff=0))
        assert (response.content, response.is_truncated) == (b"ok", False)


@pytest.mark.parametrize("stream", [False, True])
async def test_compressed(peer, stream):
    """What can be decompressed of a truncated body is given."""
    text = b"some words " * 3000
    body = gzip.compress(text)[:-20]
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % (len(body) + 20)
    server = peer([expect(), send(head + body), close()])
    async with HSession(server.url) as session:
        response = await session.get(allow_truncated=True, stream=stream)
        content = await response.body.read() if stream else response.content
    assert len(content) > 1000
    assert text.startswith(content)
    assert response.is_truncated


async def test_stream_ends_without_an_error(peer):
    """A truncated stream ends like a complete one; the response is marked."""
    server = peer([expect(), send(HEAD + b"Content-Length: 10\r\n\r\n12345"), close()])
    async with HSession(server.url) as session:
        response = await session.get(allow_truncated=True, stream=True)
        assert await response.body.read() == b"12345"
        assert session.pool_stats()["open"] == 0
    assert response.is_truncated
