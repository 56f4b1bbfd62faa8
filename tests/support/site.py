"""A web site of several hosts for crawls: a function creates the pages, requests are recorded.

    with Site(page, hosts=3) as site: ...

Each host is a port of 127.0.0.1. The server is asyncio in a thread of this process. `page(host,
path)` returns (status, headers, body), or bytes that are sent as they are before the connection is
closed; `host` is the index of the port. `site.asked` lists the requests as "METHOD host path". It
supports GET and HEAD with keep-alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

from support.leaks import ignore_descriptor

Answer = tuple[int, dict[str, str], bytes]


class Site:
    """The site. `urls` are the base URLs of the hosts.

    `delay` is the number of seconds before a response, or a function that returns it.
    """

    def __init__(
        self,
        page: Callable[[int, str], Answer | bytes],
        hosts: int = 1,
        delay: float | Callable[[], float] = 0.0,
    ) -> None:
        self.page = page
        self.delay = delay
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._sockets = [socket.create_server(("127.0.0.1", 0), backlog=512) for _ in range(hosts)]
        for one in self._sockets:
            ignore_descriptor(one.fileno())
        self.urls = [f"http://127.0.0.1:{s.getsockname()[1]}" for s in self._sockets]
        self._awaited: list[tuple[int, threading.Event]] = []
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Site:
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def wait_for(self, count: int) -> None:
        """Wait until `count` requests were received; the last one may not be answered yet."""
        event = threading.Event()
        self._awaited.append((count, event))
        if len(self.asked) < count:
            assert event.wait(60), f"{len(self.asked)} of {count} requests within 60 s"

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        servers = [
            await asyncio.start_server(self._handler(n), sock=s)
            for n, s in enumerate(self._sockets)
        ]
        self._started.set()
        await self._stop.wait()
        for server in servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _handler(self, host: int) -> Any:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            ignore_descriptor(writer.get_extra_info("socket").fileno())
            try:
                await self._converse(host, reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                self._tasks.discard(task)
                with contextlib.suppress(Exception):
                    writer.close()

        return handle

    async def _converse(self, host: int, reader: Any, writer: Any) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ", 2)
            fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            if "content-length" in fields:
                await reader.readexactly(int(fields["content-length"]))
            self.asked.append(f"{method} {host} {path}")
            self.headers.append(fields)
            for count, event in self._awaited:
                if len(self.asked) >= count:
                    event.set()
            delay = self.delay() if callable(self.delay) else self.delay
            if delay:
                await asyncio.sleep(delay)
            answer = self.page(host, path)
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
                return
            status, extra, body = answer
            lines = [
                f"HTTP/1.1 {status} X",
                f"Content-Length: {len(body)}",
                *(f"{name}: {value}" for name, value in extra.items()),
            ]
            data = "\r\n".join([*lines, "", ""]).encode("latin-1")
            writer.write(data if method == "HEAD" else data + body)
            await writer.drain()


def text_page(host: int, path: str) -> Answer:
    """Return a page that differs from all others; 404 for robots.txt."""
    if path == "/robots.txt":
        return 404, {}, b""
    return 200, {"Content-Type": "text/plain"}, f"page {host} {path} ".encode() * 40
