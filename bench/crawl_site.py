"""A web site with a known link structure, of any size, served from loopback.

    python -m bench.crawl_site [--pages N]    prints its URL as JSON, ends with its standard input

Page `k` is `/p/k`. It links to its eight children `/p/8k+1` to `/p/8k+8`, to six other pages, and
to places that a crawl must not request: another host, `nofollow` links, `/private` (robots.txt) and
addresses that are not web pages. Links are written in many forms: relative, with fragments, with
dot segments, with another spelling of the scheme. Every page can be reached from `/p/0`.

Facts:  `Site.urls()` are the URLs that a complete crawl from `/p/0` requests, each exactly once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

CHILDREN, OTHERS = 8, 6
TEXT = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor. " * 3


class Site:
    """The pages of a site. `page(path)` returns status, media type and body."""

    def __init__(self, pages: int, base: str = "", redirects: bool = False) -> None:
        self.pages = pages
        self.base = base  # URL without a slash at the end
        self.redirects = redirects  # some children are linked to by way of /r/k

    def urls(self) -> Iterator[str]:
        """Yield the URL of each page in scope, and of each redirect to one."""
        for number in range(self.pages):
            yield f"{self.base}/p/{number}"
            if self._is_redirected(number):
                yield f"{self.base}/r/{number}"

    def page(self, path: str) -> tuple[int, str, str]:
        """Return status, media type and body; for a redirect, the body is the Location."""
        kind, _, number = path[1:].partition("/")
        if kind == "p" and number.isdigit() and int(number) < self.pages:
            return 200, "text/html; charset=utf-8", self._html(int(number))
        if kind == "r" and number.isdigit() and self._is_redirected(int(number)):
            return 302, "", f"../p/{number}"
        if path == "/robots.txt":
            return 200, "text/plain", "User-agent: *\nDisallow: /private\n"
        return 404, "text/plain", "no such page"

    def _is_redirected(self, number: int) -> bool:
        return self.redirects and 0 < number < self.pages and number % 50 == 7

    def _html(self, number: int) -> str:
        host = self.base.removeprefix("http://")
        links = []
        for child in range(CHILDREN * number + 1, CHILDREN * number + CHILDREN + 1):
            if child < self.pages:
                links.append(f"/r/{child}" if self._is_redirected(child) else f"/p/{child}")
        for n in range(OTHERS):
            other = (number * 2_654_435_761 + n * 40_503 + 12_345) % self.pages
            links.append(
                (
                    f"/p/{other}#part",
                    f"{other}",
                    f"../p/./{other}",
                    f"HTTP://{host}/p/{other}",
                    f"//{host}/p/{other}#",
                    f" /p/{other}\n",
                )[n]
            )
        anchors = "\n".join(
            f'<li>{TEXT}<a class="more" href="{link}">page {n}</a></li>'
            for n, link in enumerate(links)
        )
        return (
            f"<!DOCTYPE html><html><head><title>Page {number}</title></head><body><h1>{number}</h1>"
            f'<nav><a href="/p/0">home</a> <a href="mailto:a@example.com">mail</a> '
            f'<a href="javascript:void(0)">menu</a> '
            f'<a rel="nofollow" href="/hidden/{number}">no</a> '
            f'<a href="http://other.invalid/{number}">other</a> <a href="/private/{number}">x</a>'
            f"</nav><ul>{anchors}</ul></body></html>"
        )


class _Connection(asyncio.Protocol):
    def __init__(self, site: Site, log: list[str] | None) -> None:
        self.site, self.log = site, log
        self.data = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            path = self.data.split(b" ", 2)[1].decode("latin-1")
            self.data = self.data[end + 4 :]
            if self.log is not None:
                self.log.append(path)
            status, kind, body = self.site.page(path)
            field = f"Location: {body}" if status == 302 else f"Content-Type: {kind}"
            data = b"" if status == 302 else body.encode()
            head = f"HTTP/1.1 {status} X\r\n{field}\r\nContent-Length: {len(data)}\r\n\r\n"
            self.transport.write(head.encode() + data)


class Server:
    """Serve a site from a thread of this process; `log` has the path of each request."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.log: list[str] = []
        self.fileno = -1
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await serve(self.site, self.log)
        self.fileno = server.sockets[0].fileno()
        self._ready.set()
        await self._stop.wait()
        server.close()


async def serve(site: Site, log: list[str] | None = None) -> asyncio.Server:
    """Listen on a free port and set `site.base`."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(site, log), "127.0.0.1", 0, backlog=512)
    site.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    return server


async def main(pages: int) -> None:
    """Serve until standard input ends."""
    site = Site(pages)
    await serve(site)
    print(json.dumps({"url": site.base}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, default=100_000)
    given = parser.parse_args()
    try:
        import uvloop
    except ImportError:
        asyncio.run(main(given.pages))
    else:
        uvloop.run(main(given.pages))
