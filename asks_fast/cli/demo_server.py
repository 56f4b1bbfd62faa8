"""The server of `asks-fast demo`, a separate program: granian with an application that counts.

    python -m asks_fast.cli.demo_server 1        one origin on 127.0.0.1
    python -m asks_fast.cli.demo_server 20       twenty: 127.0.0.1 to 127.0.0.20, or twenty ports

`/asks/test/<n>` returns a small JSON document that contains n. `/stats` returns the number of
requests, of connections (distinct peers), and the most that were open at one moment according to
the operating system; no count comes from the client. `serve_examples` serves the application of the
documentation's programs (`demo_app`) instead.

Facts:  granian does not accept port 0 but sets SO_REUSEPORT: a bound socket that never listens
        reserves a free port for it. Only Linux has all of 127.0.0.0/8 configured. A server learns
        of the end of a connection later than of the start of the next one, and a list of
        connections is not made in one moment; counting either way finds too many.
Invariants: a connection is counted only if the client's end was open in two consecutive lists,
        hence at the moment between them. A short one may be missed; none is counted too many.
        The origins are printed as one line of JSON. The program ends when its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from granian.constants import Interfaces
from granian.server.embed import Server

from asks_fast._subprocess import exit_with_parent

PAD = "x" * 60  # makes the document about a hundred bytes
Origin = tuple[str, int]  # address and port
JSON_HEADERS = [("content-type", "application/json"), ("cache-control", "no-store")]


class Counter:
    """The counts of the server."""

    def __init__(self) -> None:
        self.requests = 0
        self.peers: set[str] = set()
        self.most_open: int | None = None

    async def app(self, scope: Any, proto: Any) -> None:
        if scope.path == "/stats":
            proto.response_str(200, JSON_HEADERS, self.report())
            return
        self.requests += 1
        self.peers.add(scope.client + ">" + scope.server)
        number = scope.path.rsplit("/", 1)[-1]
        proto.response_str(200, JSON_HEADERS, json.dumps({"number": number, "pad": PAD}))

    def report(self) -> str:
        return json.dumps(
            {
                "requests": self.requests,
                "connections": len(self.peers),
                "most_open": self.most_open,
                "cpu": time.process_time(),
            }
        )

    def watch(self, origins: set[Origin]) -> None:
        """List the open connections for ever, in at most a tenth of the time."""
        before: set[bytes] = set()
        while True:
            started = time.perf_counter()
            try:
                now = open_connections(origins)
            except (OSError, AttributeError):  # this system has no sock_diag
                return
            self.most_open = max(self.most_open or 0, len(now & before))
            before = now
            time.sleep(max(0.002, (time.perf_counter() - started) * 10))


def open_connections(origins: set[Origin]) -> set[bytes]:
    """Return the connections to these IPv4 origins whose clients' ends are open, from sock_diag.

    Each is a cookie of Linux, which is never reused; /proc/net/tcp has none and is slow to read.
    Raises OSError or AttributeError where the system has no sock_diag.
    """
    sock_diag, by_family, dump, done, failed = 4, 20, 0x301, 3, 2
    established = 1 << 1
    question = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, established) + bytes(48)
    header = struct.pack("=IHHII", 16 + len(question), by_family, dump, 1, 0)
    wanted = {struct.pack("!H", port) + socket.inet_aton(address) for address, port in origins}
    found: set[bytes] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, sock_diag) as netlink:
        netlink.send(header + question)
        while True:
            answer = memoryview(netlink.recv(1 << 18))
            while answer:
                length, kind = struct.unpack_from("=IH", answer)
                if kind == done:
                    return found
                if kind == failed:
                    raise OSError("sock_diag is not available")
                if bytes(answer[22:24]) + bytes(answer[40:44]) in wanted:  # the end at the server
                    found.add(bytes(answer[60:68]))
                answer = answer[(length + 3) & ~3 :]


def hold_port(address: str, port: int = 0) -> socket.socket:
    """Return a bound socket that never listens, which reserves its port for granian.

    Raises:
        OSError: another program listens at `port`; granian would share it silently.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind((address, port))
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((address, port))
    return holder


async def accepts(address: str, port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            await writer.wait_closed()
            return


def granian_server(app: Any, address: str, port: int) -> Server:
    return Server(
        app,
        address=address,
        port=port,
        interface=Interfaces.RSGI,
        log_enabled=False,
        websockets=False,
        backlog=1024,
    )


def serve_examples(port: int, ready: Callable[[str], None]) -> None:
    """Serve `demo_app` on 127.0.0.1 until Ctrl-C; call `ready` with the URL after the start.

    Raises:
        OSError: the port is taken.
    """
    from asks_fast.cli.demo_app import app

    async def run() -> None:
        with hold_port("127.0.0.1", port) as holder:
            origin = holder.getsockname()
            serving = asyncio.ensure_future(granian_server(app, *origin).serve())
            await asyncio.wait_for(accepts(*origin), 60)
            ready(f"http://localhost:{origin[1]}")
            await serving

    with suppress(KeyboardInterrupt):
        asyncio.run(run())


async def serve(count: int) -> None:
    spread = sys.platform == "linux"
    holders = [hold_port(f"127.0.0.{n + 1}" if spread else "127.0.0.1") for n in range(count)]
    origins = [holder.getsockname() for holder in holders]
    counter = Counter()
    serving = [
        asyncio.ensure_future(granian_server(counter.app, *origin).serve()) for origin in origins
    ]
    await asyncio.wait_for(asyncio.gather(*(accepts(*origin) for origin in origins)), 60)
    threading.Thread(target=counter.watch, args=(set(origins),), daemon=True).start()
    print(json.dumps([f"http://{address}:{port}" for address, port in origins]), flush=True)
    await asyncio.gather(*serving)


if __name__ == "__main__":
    exit_with_parent()
    asyncio.run(serve(int(sys.argv[1])))
