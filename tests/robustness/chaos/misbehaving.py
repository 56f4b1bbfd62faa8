"""A server in a separate process that misbehaves as the request says.

    /<id>/<conduct>/<size>      answered with X-Id: <id>, and a body made of the id

It uses raw asyncio streams, so heads, framing, ends and pauses are exactly as written here. A
response that a client regards as complete must contain the id of its request. `CUT` lists the
conducts that send no complete response. The server prints its port and ends with its input.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import struct
import sys
import threading
import zlib
from collections.abc import Awaitable, Callable

INTRUDER = b"HTTP/1.1 200 OK\r\nX-Id: intruder\r\nContent-Length: 8\r\n\r\nintruder"


def body_of(ident: str, size: int) -> bytes:
    """The body of an id: each 16 bytes of it differ from those of any other id."""
    unit = f"<{ident:.13}>".encode().ljust(16, b".")
    return (unit * (size // 16 + 1))[:size]


class Exchange:
    """One request and its response."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.method = self.ident = self.conduct = ""
        self.size = 0
        self.sum = 0

    async def take(self) -> bool:
        """Read a request; False at the end of the connection."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.method, target, _ = lines[0].split(" ")
        _, self.ident, self.conduct, size = target.split("/")
        self.size = int(size)
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = b""
        if self.conduct == "early":
            return True
        if fields.get("transfer-encoding") == "chunked":
            while count := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(count)
                await self.reader.readexactly(2)
            await self.reader.readexactly(2)
        elif "content-length" in fields:
            body = await self.reader.readexactly(int(fields["content-length"]))
        self.sum = zlib.crc32(body)
        return True

    def head(self, *fields: str, status: str = "200 OK") -> bytes:
        lines = [f"HTTP/1.1 {status}", f"X-Id: {self.ident}", f"X-Sum: {self.sum}", *fields]
        return "\r\n".join([*lines, "", ""]).encode()

    @property
    def body(self) -> bytes:
        return b"" if self.method == "HEAD" else body_of(self.ident, self.size)

    def whole(self, *fields: str, status: str = "200 OK") -> bytes:
        return self.head(f"Content-Length: {self.size}", *fields, status=status) + self.body

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


# Each says what it has to say and returns whether the connection goes on.
Conduct = Callable[[Exchange], Awaitable[bool]]


async def ok(x: Exchange) -> bool:
    await x.say(x.whole())
    return True


async def chunked(x: Exchange) -> bool:
    await x.say(x.head("Transfer-Encoding: chunked"))
    if x.method == "HEAD":
        return True
    for start in range(0, x.size, 1000):
        piece = x.body[start : start + 1000]
        await x.say(b"%x\r\n%b\r\n" % (len(piece), piece))
    await x.say(b"0\r\nX-Trailer: 1\r\n\r\n")
    return True


async def packed(x: Exchange) -> bool:
    data = b"" if x.method == "HEAD" else gzip.compress(x.body, 1)
    await x.say(x.head("Content-Encoding: gzip", f"Content-Length: {len(data)}") + data)
    return True


async def until_close(x: Exchange) -> bool:
    await x.say(x.head() + x.body)
    return False


async def says_close(x: Exchange) -> bool:
    await x.say(x.whole("Connection: close"))
    return False


async def closes(x: Exchange) -> bool:
    """Close after a response that promised keep-alive."""
    await x.say(x.whole())
    return False


async def interim(x: Exchange) -> bool:
    await x.say(b"HTTP/1.1 103 Early Hints\r\nX-Id: intruder\r\n\r\n" * 3 + x.whole())
    return True


async def surplus(x: Exchange) -> bool:
    await x.say(x.whole() + INTRUDER)
    return True


async def noise_afterwards(x: Exchange) -> bool:
    await x.say(x.whole())
    await asyncio.sleep(0.003)
    await x.say(b"\x00\xffnoise\r\n\r\n")
    return True


async def moved(x: Exchange) -> bool:
    place = f"Location: /{x.ident}/ok/{x.size}"
    await x.say(x.head(place, "Content-Length: 0", "Set-Cookie: a=b", status="307 Moved"))
    return True


async def early(x: Exchange) -> bool:
    """Respond before the request was read."""
    await x.say(x.whole("Connection: close"))
    return False


async def drip(x: Exchange) -> bool:
    data = x.whole()
    for start in range(0, len(data), 97):
        await x.say(data[start : start + 97])
        await asyncio.sleep(0)
    return True


async def slow(x: Exchange) -> bool:
    await asyncio.sleep(0.02)
    return await ok(x)


async def silent(x: Exchange) -> bool:
    await x.reader.read()
    return False


async def stalls(x: Exchange) -> bool:
    await x.say(x.whole()[:-1])
    await x.reader.read()
    return False


async def hangs_up(x: Exchange) -> bool:
    return False


async def resets(x: Exchange) -> bool:
    x.reset()
    return False


async def cut_head(x: Exchange) -> bool:
    await x.say(x.head()[:25])
    return False


async def cut_body(x: Exchange) -> bool:
    await x.say(x.whole()[:-1])
    return False


async def cut_chunks(x: Exchange) -> bool:
    await x.say(x.head("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (x.size, x.body))
    return False


async def reset_body(x: Exchange) -> bool:
    await x.say(x.whole()[:-1])
    x.reset()
    return False


async def cut_packed(x: Exchange) -> bool:
    data = gzip.compress(x.body)[:-9]
    await x.say(x.head("Content-Encoding: gzip", f"Content-Length: {len(data)}") + data)
    return True


async def garbage(x: Exchange) -> bool:
    await x.say(b"\x16\x03\x01garbage\r\n\r\n" + x.whole())
    return False


async def two_lengths(x: Exchange) -> bool:
    await x.say(x.head(f"Content-Length: {x.size}", "Content-Length: 1") + x.body)
    return True


async def endless_head(x: Exchange) -> bool:
    await x.say(x.head()[:-2])
    for _ in range(100):
        await x.say(b"X-More: " + b"a" * 2000 + b"\r\n")
    return False


async def interim_flood(x: Exchange) -> bool:
    await x.say(b"HTTP/1.1 100 Continue\r\n\r\n" * 100 + x.whole())
    return True


GOOD: dict[str, Conduct] = {
    conduct.__name__: conduct
    for conduct in (
        ok, chunked, packed, until_close, says_close, closes, interim, surplus,
        noise_afterwards, moved, early, drip, slow,
    )
}  # fmt: skip
CUT: dict[str, Conduct] = {
    conduct.__name__: conduct
    for conduct in (
        silent, stalls, hangs_up, resets, cut_head, cut_body, cut_chunks, reset_body,
        cut_packed, garbage, two_lengths, endless_head, interim_flood,
    )
}  # fmt: skip


class Server:
    """`together`: the responses to `size` requests are held until all requests have arrived."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Event] = []

    async def together(self, x: Exchange) -> bool:
        here = asyncio.Event()
        self.waiting.append(here)
        if len(self.waiting) >= x.size:
            for one in self.waiting:
                one.set()
            self.waiting.clear()
        await here.wait()
        return await ok(x)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conducts = {**GOOD, **CUT, "together": self.together}
        try:
            while True:
                exchange = Exchange(reader, writer)
                await exchange.take()
                if not await conducts[exchange.conduct](exchange):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def serve() -> None:
    server = await asyncio.start_server(Server().converse, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    asyncio.run(serve())
