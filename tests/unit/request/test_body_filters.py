"""Request bodies that are compressed, reported and paced, against real servers."""

from __future__ import annotations

import gzip
import io
import os
import time
import zlib

import pytest
from support.script_steps import expect, send, stop_reading

from asks_fast import HSession
from asks_fast._request import body_filters
from asks_fast._request.body import make_body
from asks_fast._response.content_decoder import decode_body
from asks_fast.errors import InvalidRequest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MIB = 1 << 20
TEXT = b"the same words again and again, " * 20_000


async def pieces(data: bytes):
    for at in range(0, len(data), 10_000):
        yield data[at : at + 10_000]


@pytest.mark.parametrize("coding", body_filters.CODINGS)
async def test_each_kind_of_body(peer, tmp_path, coding):
    """A body is sent compressed, named by Content-Encoding, with its own Content-Type."""
    path = tmp_path / "x.txt"
    path.write_bytes(TEXT)
    bodies = [TEXT[:1000], TEXT, path, io.BytesIO(TEXT), pieces(TEXT), TEXT.decode()]
    server = peer([expect("POST"), send(OK)] * (len(bodies) + 1))
    async with HSession(server.url) as session:
        for data in bodies:
            await session.post(data=data, compress=coding)
        await session.post(json={"a": ["b"] * 9}, compress=coding)
    for request in server.requests:
        assert request.header("content-encoding") == coding
        assert (request.header("content-length") is None) != (
            request.header("transfer-encoding") is None
        )
    plain = [decode_body(request.body, coding, max_size=1 << 24) for request in server.requests]
    assert plain[0] == TEXT[:1000]
    assert plain[1:-1] == [TEXT] * (len(bodies) - 1)
    assert plain[-1] == b'{"a": ["b", "b", "b", "b", "b", "b", "b", "b", "b"]}'
    assert server.requests[0].header("content-length") is not None
    assert server.requests[2].header("content-type") == "text/plain"
    assert server.requests[-1].header("content-type") == "application/json"


async def test_no_body_no_coding(peer):
    """Without a body nothing is said of a coding, also where it is a session's default."""
    server = peer([expect(), send(OK), expect(), send(OK)])
    async with HSession(server.url, compress="gzip") as session:
        await session.get()
        await session.post(data=b"abc")
    assert server.requests[0].header("content-encoding") is None
    assert gzip.decompress(server.requests[1].body) == b"abc"


async def test_replayed_after_a_redirect(peer):
    """A 307 sends the compressed body again; a 303 drops it with its coding."""
    redirect = b"HTTP/1.1 %b x\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
    server = peer([expect(), send(redirect % b"307"), expect(), send(redirect % b"303"),
                   expect("GET"), send(OK)])  # fmt: skip
    async with HSession(server.url) as session:
        await session.post(data=[TEXT, TEXT], compress="gzip")
    first, second, third = server.requests
    assert gzip.decompress(first.body) == gzip.decompress(second.body) == TEXT * 2
    assert third.header("content-encoding") is None


async def test_invalid_arguments():
    """An unknown coding, and a coding of one's own beside it, are refused."""
    async with HSession("http://localhost:1") as session:
        with pytest.raises(InvalidRequest, match="compress must be 'gzip', 'zstd' or 'br'"):
            await session.post(data=b"a", compress="lzma")
        headers = {"content-encoding": "gzip"}
        with pytest.raises(InvalidRequest, match="exclude each other"):
            await session.post(data=zlib.compress(b"a"), headers=headers, compress="gzip")
        with pytest.raises(InvalidRequest, match="bytes per second above 0"):
            await session.post(data=b"a", upload_max_rate=0)


async def test_missing_library(monkeypatch):
    """A library that is not installed is named before anything is sent."""

    def fail(name):
        raise ImportError

    monkeypatch.setattr(body_filters, "import_module", fail)
    async with HSession("http://localhost:1") as session:
        for coding in ("br", "zstd"):
            for data in (b"a", io.BytesIO(b"a")):
                with pytest.raises(InvalidRequest, match=r"needs the package .*extra speed"):
                    await session.post(data=data, compress=coding)


@pytest.mark.parametrize("size", [1, 100_000, 3_000_000])
async def test_progress(peer, tmp_path, size):
    """The last report has all bytes; each is counted once and after it was sent."""
    path = tmp_path / "x"
    path.write_bytes(bytes(size))
    server = peer([expect(), send(OK)] * 3)
    async with HSession(server.url) as session:
        for data in (bytes(size), path, pieces(bytes(size))):
            seen = []
            await session.post(data=data, upload_progress=seen.append)
            counts = [step.transferred for step in seen]
            assert counts == sorted(set(counts))
            assert counts[-1] == size
            assert seen[0].total in (size, None)
    assert [len(request.body) for request in server.requests] == [size] * 3
    assert server.requests[0].header("content-length") == str(size)


async def test_progress_knows_a_given_length(peer):
    """The Content-Length that is given with an iterable is the total of its progress."""
    server = peer([expect(), send(OK)])
    seen = []
    async with HSession(server.url) as session:
        headers = {"Content-Length": "3"}
        await session.post(data=pieces(b"abc"), headers=headers, upload_progress=seen.append)
    assert [step.total for step in seen] == [3] * len(seen)
    assert seen[-1].fraction == 1


async def test_length_of_chunks_in_memory():
    """Bytes in memory are sent 2 MiB at a time, and with progress 256 KiB at a time."""
    data = os.urandom(5 * MIB + 1)
    plain = make_body(data=data)
    sizes = [len(chunk) async for chunk in plain.chunks()]
    assert sizes == [2 * MIB, 2 * MIB, MIB + 1]
    reported = body_filters.metered(make_body(data=data), None, None)
    chunks = [bytes(chunk) async for chunk in reported.chunks()]
    assert max(map(len, chunks)) == MIB // 4
    assert b"".join(chunks) == data
    packed = body_filters.compressed(make_body(data=data), "gzip")
    assert gzip.decompress(b"".join([bytes(chunk) async for chunk in packed.chunks()])) == data


async def test_progress_stops_with_the_server(peer):
    """Bytes that the server does not take are not reported as sent."""
    server = peer([stop_reading()], receive_buffer=4096)
    seen = []
    async with HSession(server.url, write_timeout=0.2) as session:
        with pytest.raises(TimeoutError):
            await session.post(data=bytes(50_000_000), upload_progress=seen.append)
        assert session.pool_stats()["open"] == 0
    assert seen[-1].transferred < 50_000_000 if seen else True


async def test_max_rate(peer):
    """A bandwidth limit paces the body, one that is short as well."""
    server = peer([expect(), send(OK)])
    began = time.monotonic()
    async with HSession(server.url) as session:
        await session.post(data=bytes(50_000), upload_max_rate=200_000)
    assert 0.2 <= time.monotonic() - began < 5
    assert len(server.requests[0].body) == 50_000
