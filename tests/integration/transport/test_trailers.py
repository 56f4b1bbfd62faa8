"""Trailer fields after a chunked request body."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.script_steps import OK, close, expect, send
from support.scripted_server import MakePeer

from asks_fast import CallNext, HSession, PreparedRequest
from asks_fast.errors import InvalidHeader, InvalidRequest


async def test_bytes_on_the_wire(peer: MakePeer) -> None:
    """The names are announced, and the fields follow the last chunk."""
    server = peer([expect("POST"), send(OK)])
    async with HSession(server.url) as session:
        fields = {"X-Checksum": "abc", "X-Count": 7}
        await session.post(data=iter([b"12", b"345"]), trailers=fields)
    request = server.requests[0]
    assert request.header("trailer") == "X-Checksum, X-Count"
    assert request.header("transfer-encoding") == "chunked"
    assert request.header("content-length") is None
    assert request.raw.endswith(b"5\r\n12345\r\n0\r\nX-Checksum: abc\r\nX-Count: 7\r\n\r\n")
    assert (request.body, request.trailers) == (b"12345", [("X-Checksum", "abc"), ("X-Count", "7")])


async def test_functions(peer: MakePeer) -> None:
    """A value, or all fields, may come from a function that is called after the body."""
    server = peer([*[expect(), send(OK)] * 4])
    digest = hashlib.sha256()

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"a" * 70_000, b"b"):
            digest.update(piece)
            yield piece

    async def later() -> str:
        return "async"

    async def fields() -> dict[str, Any]:
        return {"x-a": later, "X-B": b"2"}

    async with HSession(server.url) as session:
        await session.put(data=pieces(), trailers={"X-Sha256": digest.hexdigest})
        names = {"Trailer": "X-A, X-B"}
        await session.put(data=b"x", headers=names, trailers=fields)
        await session.put(data=b"x", headers=names, trailers=lambda: {"X-A": "1"})
        await session.put(data=b"x", headers={"Trailer": "X-Z"}, trailers={"X-Y": "1"})
    expected = hashlib.sha256(b"a" * 70_000 + b"b").hexdigest()
    assert [request.trailers for request in server.requests] == [
        [("X-Sha256", expected)],
        [("x-a", "async"), ("X-B", "2")],
        [("X-A", "1")],
        [("X-Y", "1")],
    ]
    assert [request.header("trailer") for request in server.requests] == [
        "X-Sha256", "X-A, X-B", "X-A, X-B", "X-Z, X-Y",
    ]  # fmt: skip


async def test_every_kind_of_body(peer: MakePeer, tmp_path: Path) -> None:
    """A body of known length is chunked as well, compressed ones and files too."""
    path = tmp_path / "x"
    path.write_bytes(b"file")
    bodies: list[dict[str, Any]] = [
        {"data": b"bytes"}, {"json": [1]}, {"data": {"a": "b"}}, {"data": path},
        {"data": b"z" * 3_000_000}, {"data": b"packed", "compress": "gzip"},
    ]  # fmt: skip
    server = peer([expect(), send(OK)] * len(bodies))
    async with HSession(server.url) as session:
        for body in bodies:
            await session.post(trailers={"X-A": "1"}, **body)
    assert all(request.trailers == [("X-A", "1")] for request in server.requests)
    assert [request.body for request in server.requests[:4]] == [b"bytes", b"[1]", b"a=b", b"file"]
    assert len(server.requests[4].body) == 3_000_000


async def test_sent_again(peer: MakePeer) -> None:
    """A 307 and a retry send trailers again; after a 303 nothing announces them."""
    again = b"HTTP/1.1 307 x\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
    server = peer([expect("PUT"), close()], [expect("PUT"), send(again), expect("PUT"),
                   send(again.replace(b"307", b"303")), expect("GET"), send(OK)])  # fmt: skip
    calls: list[int] = []

    def count() -> str:
        calls.append(1)
        return str(len(calls))

    async with HSession(server.url, retries=1) as session:
        assert (await session.put(data=b"x", trailers={"X-N": count})).content == b"ok"
    assert [request.trailers for request in server.requests] == [
        [("X-N", "1")], [("X-N", "2")], [("X-N", "3")], [],
    ]  # fmt: skip
    assert server.requests[3].header("trailer") is None


async def test_middleware_replaces_the_body(peer: MakePeer) -> None:
    """A new body is followed by the same trailers."""
    server = peer([expect(), send(OK)])

    async def change(request: PreparedRequest, call_next: CallNext) -> Any:
        request.body = b"new"
        return await call_next(request)

    async with HSession(server.url, middleware=[change]) as session:
        await session.post(data=b"old", trailers={"X-A": "1"})
    assert (server.requests[0].body, server.requests[0].trailers) == (b"new", [("X-A", "1")])


@pytest.mark.parametrize(
    ("trailers", "headers", "error", "text"),
    [
        ({"Content-Length": "1"}, {}, InvalidRequest, "Content-Length may not be a trailer"),
        ({"authorization": "x"}, {}, InvalidRequest, "authorization may not be"),
        ({"X-A": "1"}, {"Trailer": "Host"}, InvalidRequest, "Host may not be"),
        ({"X A": "1"}, {}, InvalidHeader, "X A"),
        ({"X-A": "1\r\nX-B: 2"}, {}, InvalidHeader, "X-A"),
        ({b"X-A": "1"}, {}, InvalidHeader, "must be a str"),
        ({"X-A": "1"}, {"Content-Length": "1"}, InvalidRequest, "exclude each other"),
        (lambda: {"X-A": "1"}, {}, InvalidRequest, "needs the names"),
        ([("X-A", "1")], {}, InvalidRequest, "must be a mapping or a function"),
    ],
)
async def test_errors_at_the_call(
    trailers: Any, headers: dict[str, str], error: type[Exception], text: str
) -> None:
    """What can be seen to be wrong raises before a connection is opened."""
    async with HSession("http://localhost:1") as session:
        with pytest.raises(error, match=text):
            await session.post(data=b"x", trailers=trailers, headers=headers)
        assert session.pool_stats()["created"] == 0


async def test_without_a_body() -> None:
    """There must be a body that the trailers follow."""
    async with HSession("http://localhost:1") as session:
        with pytest.raises(InvalidRequest, match="needs a body"):
            await session.get(trailers={"X-A": "1"})


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda: {"X-B": "1"}, InvalidRequest),
        (lambda: {"X-A": "1\n"}, InvalidHeader),
        (lambda: None, InvalidRequest),
        (lambda: 1 / 0, ZeroDivisionError),
    ],
)
async def test_errors_after_the_body(peer: MakePeer, function: Any, error: type[Exception]) -> None:
    """What a function does wrong reaches the caller, and the connection is closed."""
    server = peer([expect()], [expect("GET"), send(OK)])

    def body() -> Iterator[bytes]:
        yield b"abc"

    async with HSession(server.url) as session:
        with pytest.raises(error):
            await session.post(data=body(), headers={"Trailer": "X-A"}, trailers=function)
        assert session.pool_stats()["open"] == 0
        assert (await session.get()).content == b"ok"
