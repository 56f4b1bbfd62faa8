"""A server cannot make the client store, wait or repeat without limit: bombs, floods, long waits.

A server tries it on a session, and memory is measured. The limits of the single parts are tested
with those parts.
"""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.script_steps import OK, drip, expect, repeat, send
from support.scripted_server import Peer

from asks_fast import DigestAuth, DSession, HSession, Retry
from asks_fast.errors import (
    ConnectionFailed,
    DecodingError,
    HeadTooLarge,
    InvalidURL,
    ResponseTooLarge,
    TooManyRedirects,
    TotalTimeout,
)

MIB = 1 << 20
ZEROS = 64 * MIB


def answer(body: bytes, coding: str, status: int = 200, more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status} OK\r\nContent-Encoding: {coding}\r\n{more}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def brotli_bomb() -> bytes:
    return bytes(pytest.importorskip("brotli").compress(bytes(ZEROS), quality=5))


def zstd_bomb() -> bytes:
    return bytes(pytest.importorskip("zstandard").compress(bytes(ZEROS)))


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip": ("gzip", lambda: gzip.compress(bytes(ZEROS), 1)),
    "deflate": ("deflate", lambda: zlib.compress(bytes(ZEROS), 1)),
    "br": ("br", brotli_bomb),
    "zstd": ("zstd", zstd_bomb),
    "gzip twice": ("gzip, gzip", lambda: gzip.compress(gzip.compress(bytes(ZEROS), 1))),
    "gzip members": ("gzip", lambda: gzip.compress(bytes(MIB), 1) * 64),
}


@pytest.fixture(scope="module", params=BOMBS.values(), ids=BOMBS.keys())
def bomb(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    coding, make = request.param
    return coding, make()


@pytest.fixture
def peak() -> Iterator[Callable[[], int]]:
    """The peak of Python's memory since the test began."""
    tracemalloc.start()
    base = tracemalloc.get_traced_memory()[0]
    yield lambda: tracemalloc.get_traced_memory()[1] - base
    tracemalloc.stop()


async def test_decompression_bombs(
    peer: Callable[..., Peer], bomb: tuple[str, bytes], peak: Callable[[], int]
) -> None:
    """`max_decompressed` ends a bomb soon after the limit, for each coding and for stacked ones."""
    server = peer([repeat(expect(), send(answer(bomb[1], bomb[0])))])
    async with DSession() as session:
        r = await session.get(server.url, max_decompressed=MIB)
        with pytest.raises(ResponseTooLarge, match=rf"GET {server.url}"):
            _ = r.content
    assert peak() < 8 * MIB + 3 * len(bomb[1])


async def test_decompression_bombs_by_ratio(
    peer: Callable[..., Peer], bomb: tuple[str, bytes], peak: Callable[[], int]
) -> None:
    """`max_ratio` as a session's default ends a body with too high a ratio."""
    server = peer([repeat(expect(), send(answer(bomb[1], bomb[0])))])
    async with DSession(max_ratio=20) as session:
        r = await session.get(server.url)
        with pytest.raises(ResponseTooLarge):
            _ = r.content
    assert peak() < 24 * MIB + 20 * len(bomb[1])


async def test_streamed_decompression_bombs(
    peer: Callable[..., Peer], bomb: tuple[str, bytes], peak: Callable[[], int]
) -> None:
    """A stream yields `read_size` bytes at a time, and raises and closes at the limit."""
    server = peer([repeat(expect(), send(answer(bomb[1], bomb[0])))])
    sizes: list[int] = []
    async with DSession() as session:
        r = await session.get(server.url, stream=True, max_decompressed=4 * MIB)
        with pytest.raises(ResponseTooLarge):
            await read_sizes(r.body, sizes)
        assert session.pool_stats()["in_use"] == 0
    assert sum(sizes) <= 4 * MIB
    assert max(sizes, default=0) <= 65536
    assert peak() < 8 * MIB + 3 * len(bomb[1])


async def read_sizes(body: Any, sizes: list[int]) -> None:
    async for chunk in body:
        sizes.append(len(chunk))


async def test_decompression_bombs_in_transfer_coding(
    peer: Callable[..., Peer], bomb: tuple[str, bytes], peak: Callable[[], int]
) -> None:
    """The body of a redirect is not decompressed (CVE-2026-21441)."""
    redirect = answer(bomb[1], bomb[0], 302, "Location: /end\r\n")
    server = peer([expect(), send(redirect), repeat(expect(), send(OK))])
    server.scripts.append([repeat(expect(), send(OK))])
    for stream in (False, True):
        async with DSession() as session, await session.get(server.url, stream=stream) as r:
            assert r.status_code == 200
    assert peak() < 8 * MIB + 3 * len(bomb[1])


@pytest.mark.parametrize("stream", [False, True])
async def test_transfer_codings(peer: Callable[..., Peer], stream: bool) -> None:
    """An invalid or endless body of a redirect does not stop the request."""
    way = answer(b"this is no gzip", "gzip, " * 9 + "gzip", 302, "Location: /end\r\n")
    server = peer([expect(), send(way), expect(), send(OK)])
    async with DSession() as session, await session.get(server.url, stream=stream) as r:
        assert r.status_code == 200
        assert [before.status_code for before in r.history] == [302]


async def test_unread_decompression_bomb(
    peer: Callable[..., Peer], bomb: tuple[str, bytes], peak: Callable[[], int]
) -> None:
    """A stream that is left early decompresses nothing more (CVE-2026-44432)."""
    server = peer([repeat(expect(), send(answer(bomb[1], bomb[0])))])
    async with DSession() as session, await session.get(server.url, stream=True) as r:
        async for _ in r.body:
            break
    assert peak() < 8 * MIB + 3 * len(bomb[1])


@pytest.mark.parametrize("fields", [["gzip"] * 6, [", ".join(["gzip"] * 2000)], ["br,gzip"] * 3])
async def test_many_content_codings(peer: Callable[..., Peer], fields: list[str]) -> None:
    """More than five codings, over all fields, raise before decoding (CVE-2022-32206)."""
    lines = "".join(f"Content-Encoding: {value}\r\n" for value in fields)
    data = f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok".encode()
    server = peer([repeat(expect(), send(data))])
    async with DSession() as session:
        r = await session.get(server.url)
        with pytest.raises(DecodingError):
            _ = r.content
        r = await session.get(server.url, stream=True)
        with pytest.raises(DecodingError):
            await r.body.read()


async def test_max_body(peer: Callable[..., Peer], peak: Callable[[], int]) -> None:
    """`max_body` ends a body of any framing as soon as it is too long."""
    endless = repeat(send(b"10000\r\n" + bytes(65536) + b"\r\n"))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    way = b"HTTP/1.1 302 Found\r\nLocation: /\r\nTransfer-Encoding: chunked\r\n\r\n"
    closed = repeat(send(bytes(65536)))
    server = peer(
        [expect(), send(head), endless],
        [expect(), send(way), endless],
        [expect(), send(b"HTTP/1.1 200 OK\r\n\r\n"), closed],
        [expect(), send(head), endless],
    )
    async with DSession() as session:
        for limit in (MIB, 30_000, MIB):
            with pytest.raises(ResponseTooLarge):
                await session.get(server.url, max_body=limit)
        r = await session.get(server.url, max_body=MIB, stream=True)
        with pytest.raises(ResponseTooLarge):
            await r.body.read()
        assert session.pool_stats()["open"] == 0
    assert peak() < 16 * MIB


async def test_many_cookies(peer: Callable[..., Peer]) -> None:
    """At most 50 cookies of one response, 180 of one host, 8190 bytes in one request
    (CVE-2022-32205).
    """

    def flood(start: int) -> bytes:
        lines = "".join(f"Set-Cookie: c{start + n}={'x' * 100}\r\n" for n in range(200))
        return f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n".encode()

    steps: list[Any] = []
    for start in range(0, 2000, 200):
        steps += [expect(), send(flood(start))]
    server = peer([*steps, expect(), send(OK)])
    async with DSession(persist_cookies=True) as session:
        await session.get(server.url)
        assert len(session.cookie_tracker_obj) == 50
        for _ in range(10):
            r = await session.get(server.url)
        assert r.status_code == 200
        assert len(session.cookie_tracker_obj) <= 180
    assert len(server.requests[-1].header("cookie") or "") <= 8190


@pytest.mark.parametrize("value", ["Max-Age=" + "9" * 5000, "Expires=" + "1" * 60000, "a" * 60000])
async def test_oversized_cookies(peer: Callable[..., Peer], value: str) -> None:
    """Numbers, dates and values of any length are stored or ignored."""
    data = f"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; {value}\r\nContent-Length: 0\r\n\r\n".encode()
    server = peer([repeat(expect(), send(data))])
    async with DSession(persist_cookies=True) as session:
        for _ in range(2):
            r = await session.get(server.url)
            assert len(r.cookies) <= 1
        await session.get(server.url)
    assert len(server.requests[-1].raw) < 10_000


@pytest.mark.parametrize(
    "asked", ["315360000", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "-1", "1e9", "nonsense"]
)
async def test_retry_after(peer: Callable[..., Peer], asked: str) -> None:
    """A Retry-After of ten years is limited by `max_retry_after`."""
    busy = f"HTTP/1.1 503 Busy\r\nRetry-After: {asked}\r\nContent-Length: 0\r\n\r\n".encode()
    server = peer([expect(), send(busy), expect(), send(OK)])
    policy = Retry(attempts=1, max_retry_after=0.01, backoff=0.0)
    async with DSession(retries=policy) as session:
        r = await session.get(server.url)
    assert r.status_code == 200
    assert Retry().max_retry_after == 120.0


async def test_retries_are_limited(peer: Callable[..., Peer]) -> None:
    """If the server is always busy, `attempts` retries are made, then its response is returned."""
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
    server = peer([repeat(expect(), send(busy))])
    async with DSession(retries=Retry(attempts=3, backoff=0.0)) as session:
        r = await session.get(server.url)
    assert r.status_code == 503
    assert len(server.requests) == 4


async def test_growing_redirects(peer: Callable[..., Peer]) -> None:
    """An endless chain, or a Location that doubles, ends at its limit."""

    def longer(connection: Any) -> bytes:
        target = connection.requests[-1].target
        return f"HTTP/1.1 302 F\r\nLocation: {target * 2}\r\nContent-Length: 0\r\n\r\n".encode()

    server = peer([repeat(expect(), send(longer))])
    async with DSession(max_redirects=1000) as session:
        with pytest.raises((InvalidURL, HeadTooLarge, TooManyRedirects)):
            await session.get(server.url + "/a")
    assert len(server.requests) < 30


async def test_header_limits_of_a_session(peer: Callable[..., Peer]) -> None:
    """`max_header_size`, `max_headers` and `max_informational` apply, each with its own error."""
    long = b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2000 + b"\r\n\r\n"
    many = b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 20 + b"\r\n"
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4 + OK
    server = peer([expect(), send(long)], [expect(), send(many)], [expect(), send(early)])
    async with DSession(max_header_size=1000, max_headers=10, max_informational=3) as session:
        for said in ("1000 bytes", "10 fields", "3 interim"):
            with pytest.raises(HeadTooLarge, match=said):
                await session.get(server.url)


async def test_long_urls(peer: Callable[..., Peer]) -> None:
    """A URL beyond 64 KiB raises each time, as a path and as a URL."""
    server = peer([repeat(expect(), send(OK))])
    long = "/" + "a" * 70_000
    async with HSession(server.url) as session, DSession() as free:
        for _ in range(2):
            await session.get()
            with pytest.raises(InvalidURL, match="long"):
                await session.get(path=long)
            await free.get(server.url + "/")
            with pytest.raises(InvalidURL, match="long"):
                await free.get(server.url + long)
    assert len(server.requests) == 4


async def test_many_addresses() -> None:
    """Of a name with ten thousand addresses 64 are tried."""
    answer = [f"127.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(1, 10_000)]

    async def resolver(host: str) -> list[str]:
        return answer

    async with DSession(resolver=resolver, happy_eyeballs_delay=0.01) as session:
        with pytest.raises(ConnectionFailed) as caught:
            await session.get("http://many.test:9/")
    assert str(caught.value).count("127.") <= 64


DRIPS = {
    "head": b"HTTP/1.1 200 OK\r\nX: ",
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n",
    "redirect": b"HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 60000\r\n\r\n",
    "401": b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=a, nonce=b, qop=auth\r\n"
    b"Content-Length: 60000\r\n\r\n",
}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stream": {"stream": True},
    "callback": {"callback": len},
}


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("place", DRIPS.values(), ids=DRIPS.keys())
async def test_slow_drip_ends_at_the_timeout(
    peer: Callable[..., Peer], place: bytes, how: dict[str, Any]
) -> None:
    """Occasional bytes do not extend a request beyond its `timeout`."""
    server = peer([expect(), drip(place + b"a" * 10_000, 20, 0.01)])
    asked = {"timeout": 0.3, "auth": DigestAuth(("a", "b")), **how}
    async with DSession() as session:
        if place is DRIPS["body"] and "stream" in how:
            r = await session.get(server.url, **asked)
            await r.body.close()  # the head was there in time, the rest is its reader's
        else:
            with pytest.raises(TotalTimeout):
                await session.get(server.url, **asked)
        assert session.pool_stats()["open"] == 0
