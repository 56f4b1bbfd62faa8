"""Responses with invalid framing that are accepted; `strict=True` rejects them.

The table of docs/reliability.md, asked of sessions, on both kernels' common path: plain requests,
requests with further options, streams, and bodies of every length.
"""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from support.leaks import assert_no_active_requests
from support.script_steps import SERVING, expect, repeat, send
from support.scripted_server import MakePeer

import asks_fast
from asks_fast import DSession, HSession
from asks_fast.errors import AsksException, BadHttpResponse, DecodingError

BODY = b"hello"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


def answer(head: str, body: bytes = BODY) -> bytes:
    return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body


# Read, and then the connection closes.
CLOSING = {
    "equal_lengths": answer("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5"),
    "list_of_equal_lengths": answer("HTTP/1.1 200 OK\nContent-Length: 5, 5"),
    "length_and_chunked": answer(
        "HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked", CHUNKS
    ),
    "chunked_and_length": answer(
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nContent-Length: 999", CHUNKS
    ),
}

# Read, and the connection serves on.
SERVING_ON = {
    "bare_line_ends": b"HTTP/1.1 200 OK\nContent-Length: 5\n\n" + BODY,
    "folded_field": answer("HTTP/1.1 200 OK\nA: b\n c\nContent-Length: 5"),
    "control_character": answer("HTTP/1.1 200 OK\nA: b\x01c\nContent-Length: 5"),
    "space_after_chunk_size": answer(
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked", CHUNKS.replace(b"5\r", b"5 \r")
    ),
}
PACKED = gzip.compress(BODY)
TRAILING = answer(
    f"HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: {len(PACKED) + 9}",
    PACKED + b"<!-- -->\n",
)
BOTH_WAYS: list[dict[str, Any]] = [{}, {"normalize_url": True}, {"stream": True}]


async def content(response: Any) -> bytes:
    """The body of a response, streamed or not."""
    return response.content if hasattr(response, "raw") else await response.body.read()


@pytest.mark.parametrize("options", BOTH_WAYS, ids=["plain", "options", "stream"])
@pytest.mark.parametrize("sample", [*CLOSING.values(), *SERVING_ON.values()],
                         ids=[*CLOSING, *SERVING_ON])  # fmt: skip
async def test_read_and_closed(peer: MakePeer, sample: bytes, options: dict[str, Any]) -> None:
    """The body is read; ambiguous framing closes the connection, nothing else does."""
    server = peer(*[[repeat(expect(), send(sample))]] * 3)
    async with HSession(server.url) as session:
        for _ in range(3):
            assert await content(await session.get(path="/x", **options)) == BODY
            assert_no_active_requests(session)
            assert session.pool_stats()["open"] == (0 if sample in CLOSING.values() else 1)
    assert len(server.connections) == (3 if sample in CLOSING.values() else 1)


@pytest.mark.parametrize("sample", CLOSING.values(), ids=CLOSING)
async def test_nothing_follows(peer: MakePeer, sample: bytes) -> None:
    """Bytes after such a response are never the next one."""
    forged = answer("HTTP/1.1 200 OK\nContent-Length: 6", b"forged")
    server = peer([expect(), send(sample + forged)], [expect(), send(sample)])
    async with HSession(server.url, strict=False) as session:
        assert (await session.get(path="/x")).content == BODY
        assert session.pool_stats()["open"] == 0
        assert (await session.get(path="/x")).content == BODY


@pytest.mark.parametrize("options", BOTH_WAYS, ids=["plain", "options", "stream"])
@pytest.mark.parametrize("sample", [*CLOSING.values(), *SERVING_ON.values(), TRAILING],
                         ids=[*CLOSING, *SERVING_ON, "trailing_bytes"])  # fmt: skip
async def test_strict_sessions(peer: MakePeer, sample: bytes, options: dict[str, Any]) -> None:
    """A session with `strict=True` rejects all of them; a request may override it."""
    good = answer("HTTP/1.1 200 OK\nContent-Length: 5")
    connection = [expect(), send(good), repeat(expect(), send(sample))]
    server = peer(connection, connection, [repeat(expect(), send(sample))])
    async with HSession(server.url, strict=True, retries=0) as session:
        assert await content(await session.get(path="/x", **options)) == BODY
        with pytest.raises((BadHttpResponse, DecodingError), match=r"^GET .*/x: "):
            await content(await session.get(path="/x", **options))
        assert_no_active_requests(session)
        assert await content(await session.get(path="/x", strict=False, **options)) == BODY
        assert await content(await session.get(path="/x", strict=False, **options)) == BODY


@pytest.mark.parametrize("options", BOTH_WAYS, ids=["plain", "options", "stream"])
@pytest.mark.parametrize("sample", [*CLOSING.values(), *SERVING_ON.values(), TRAILING],
                         ids=[*CLOSING, *SERVING_ON, "trailing_bytes"])  # fmt: skip
async def test_strict_requests(peer: MakePeer, sample: bytes, options: dict[str, Any]) -> None:
    """A single request may be strict, in a session and as a one-shot call; the next one is not."""
    server = peer(*[[repeat(expect(), send(sample))]] * 6)
    async with DSession() as session:
        url = f"{server.url}/x"
        assert await content(await session.get(url, **options)) == BODY
        with pytest.raises(AsksException):
            await content(await session.get(url, strict=True, **options))
        assert await content(await session.get(url, **options)) == BODY
    with pytest.raises(AsksException):
        await content(await asks_fast.get(url, strict=True, **options))


async def test_different_lengths_are_refused_always(peer: MakePeer) -> None:
    """Two different lengths are an error with and without `strict`."""
    sample = answer("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6")
    server = peer(*[[expect(), send(sample)]] * 2)
    async with HSession(server.url) as session:
        for strict in (False, True):
            with pytest.raises(
                BadHttpResponse, match="two different Content-Length values: 5 and 6"
            ):
                await session.get(path="/x", strict=strict)


@pytest.mark.parametrize("status", [302, 401, 503])
async def test_followup_responses(peer: MakePeer, status: int) -> None:
    """A redirect, a challenge and a retried response may have such framing, too."""
    fields = "\nLocation: /there" if status == 302 else ""
    head = f"HTTP/1.1 {status} X{fields}\nContent-Length: 5\nTransfer-Encoding: chunked"
    server = peer([expect(), send(answer(head, CHUNKS))], SERVING)
    retry = asks_fast.Retry(attempts=2, backoff=0.0)
    async with HSession(server.url, retries=retry) as session:
        response = await session.get(path="/x")
        assert response.status_code == (401 if status == 401 else 200)
