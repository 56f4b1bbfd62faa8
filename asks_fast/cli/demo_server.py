"""The server of `asks-fast demo`, a program of its own: granian with an application that counts.

    python -m asks_fast.cli.demo_server 1        one origin on 127.0.0.1
    python -m asks_fast.cli.demo_server 20       twenty: 127.0.0.1 to 127.0.0.20, or twenty ports

`serve_examples` serves the application of the documentation's programs (`demo_app`) instead.

Answers `/asks/test/<n>` with a small JSON document that holds n, and `/stats` with the requests,
the connections (distinct peers), and the most that were open at one moment, as the operating
system shows them to this process: nothing of what is counted comes from the client.
Facts:  granian takes no port 0, but sets SO_REUSEPORT: a bound socket that never listens holds
        a free port for it. Only Linux has all of 127.0.0.0/8 configured. A server hears of a
        connection's end later than of the next one's beginning, and a list of connections is not
        made in one moment: counting either way finds more than there ever were.
Rules:  counts a connection only if its client's end was open in two lists one after the other,
        hence at the moment between them: may miss one that was short, never sees one too many.
        Prints the origins as one line of JSON; ends when its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
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

PAD = "x" * 60  # makes the document about a hundred bytes
Origin = tuple[str, int]  # address and port
JSON_HEADERS = [("content-type", "application/json"), ("cache-control", "no-store")]


class Counter:
    """What the server has seen so far."""

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
        """Ask the system for the open connections, for ever, at most a tenth of the time."""
        before: set[bytes] = set()
        while True:
            started = time.perf_counter()
            try:
                now = open_connections(origins)
            except (OSError, AttributeError):  # no such question on this system
                return
            self.most_open = max(self.most_open or 0, len(now & before))
            before = now
            time.sleep(max(0.002, (time.perf_counter() - started) * 10))


def open_connections(origins: set[Origin]) -> set[bytes]:
    """Connections to these IPv4 origins whose clients' ends are open, in one dump of sock_diag.

    Each is a cookie of Linux', never given twice; /proc/net/tcp has none, and is slow to read.
    OSError or AttributeError where the system has no sock_diag.
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
                    raise OSError("sock_diag is not to be had")
                if bytes(answer[22:24]) + bytes(answer[40:44]) in wanted:  # the end at the server
                    found.add(bytes(answer[60:68]))
                answer = answer[(length + 3) & ~3 :]


def hold_port(address: str, port: int = 0) -> socket.socket:
    """A bound socket that never listens: its port is free for granian alone.

    Raises OSError if another program listens at `port`; granian would share it without a word.
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
    """Serve `demo_app` on 127.0.0.1 until Ctrl-C; `ready` gets the URL when it answers.

    Raises OSError if the port is taken.
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


def end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    asyncio.run(serve(int(sys.argv[1])))
