"""The cost of one exchange without a network: send a head, receive, parse, store.

Facts:  the peer is a socket pair in this process, and the coroutine is stepped by hand: when it
        waits, it is sent the response. So the figure includes four system calls, but no server
        and no kernel.
Implemented elsewhere: waiting, the pool's queue (bench_pool.py), whole programs (bench.compare).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from asks_fast._hotpath import Connection, Pool, encode_head, encode_headers
from asks_fast.response_objects import Response

REQUEST = b"GET /small HTTP/1.1\r\nHost: localhost:8000\r\n\r\n"
NAMES = [
    b"Server",
    b"Date",
    b"Content-Type",
    b"Cache-Control",
    b"Vary",
    b"X-Request-Id",
    b"X-Content-Type-Options",
    b"X-Frame-Options",
    b"Connection",
]


def response(body: bytes, fields: int = 10) -> bytes:
    """A response with so many header fields."""
    lines = [b"%b: a value of no great length" % NAMES[i % len(NAMES)] for i in range(fields - 1)]
    return b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: %d\r\n\r\n%b" % (
        b"\r\n".join(lines).replace(
            b"Connection: a value of no great length", b"Connection: keep-alive"
        ),
        len(body),
        body,
    )


def chunked(body: bytes, size: int) -> bytes:
    """A response in chunks of `size`."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        + b"0\r\n\r\n"
    )


def run_exchange(
    exchange: Coroutine[Any, Any, Response], far: socket.socket, reply: bytes
) -> Response:
    """Step an exchange to its end; when it waits, send it the response."""
    try:
        exchange.send(None)
        far.send(reply)
        while True:
            exchange.send(None)
    except StopIteration as done:
        response: Response = done.value
        return response


def exchanger(reply: bytes) -> tuple[Callable[[], Response], Callable[[], None]]:
    """A function that makes one exchange with the response `reply`, and one that closes all."""
    near, far = socket.socketpair()
    for sock in (near, far):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    pool = Pool(1)
    origin = pool.origin("route", "http://localhost:8000")
    connections: list[Connection] = []

    async def once() -> Response:
        connection = await pool.acquire(origin)
        if connection is None:
            connection = pool.add_connection(origin, near)
            connections.append(connection)
        return await connection.exchange(REQUEST, Response())

    def call() -> Response:
        response = run_exchange(once(), far, reply)
        far.recv(4096)
        return response

    def close() -> None:
        pool.close()
        far.close()

    return call, close


@pytest.mark.benchmark(group="exchange: 10 fields, 104-byte body")
def bench_small(benchmark: Any) -> None:
    """The time of one small exchange on a kept connection."""
    call, close = exchanger(response(b"x" * 104))
    assert call().body == b"x" * 104
    benchmark(call)
    close()


@pytest.mark.benchmark(group="exchange: fields")
@pytest.mark.parametrize("fields", [4, 40])
def bench_fields(benchmark: Any, fields: int) -> None:
    """The cost of header fields."""
    call, close = exchanger(response(b"x" * 104, fields))
    assert len(call().headers.raw) == fields
    benchmark(call)
    close()


@pytest.mark.benchmark(group="exchange: body of 64 KiB")
@pytest.mark.parametrize("kind", ["length", "chunks of 1 KiB", "chunks of 16 KiB"])
def bench_body(benchmark: Any, kind: str) -> None:
    """The cost of framing for a longer body."""
    body = bytes(range(256)) * 256
    size = {"chunks of 1 KiB": 1024, "chunks of 16 KiB": 16384}.get(kind)
    call, close = exchanger(chunked(body, size) if size else response(body))
    assert call().body == body
    benchmark(call)
    close()


@pytest.mark.benchmark(group="request head")
def bench_render_fields(benchmark: Any) -> None:
    """The time to check and encode ten header fields."""
    pairs = [(name.decode(), "a value of no great length") for name in NAMES]
    pairs.append(("Host", "localhost:8000"))
    assert encode_headers(pairs).count(b"\r\n") == 10
    benchmark(encode_headers, pairs)


@pytest.mark.benchmark(group="request head")
def bench_render_head(benchmark: Any) -> None:
    """The time to join a head from encoded fields."""
    fields = encode_headers([("Host", "localhost:8000"), ("Accept", "*/*")])
    assert encode_head(b"GET", b"/small", fields).endswith(b"\r\n\r\n")
    benchmark(encode_head, b"GET", b"/small", fields)
