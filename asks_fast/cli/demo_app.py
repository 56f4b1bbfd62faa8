"""The server that the programs of README, tutorial and guide use: `asks-fast demo --serve`.

An RSGI application, served by granian (`demo_server`); the test suite uses it too. `PAGES` lists
its resources, and so does `/`: as HTML for a browser, as text for other clients.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from html import escape
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"
UMLAUTS = "Grüße aus Köln"

# Path, description, and a path to try it with if that is a different one.
PAGES = [
    ("/get  /post  /put  /patch  /delete  /anything/…", "JSON of what was sent", "/get?a=1"),
    ("/echo", "the body that was sent, with its type", None),
    ("/headers  /ip", "JSON of the header fields, of the address", "/headers"),
    ("/asks/test/N", "N as text", "/asks/test/7"),
    ("/json", "a fixed document", None),
    ("/html", "a fixed page", None),
    ("/links/N", "a page with N links", "/links/5"),
    ("/bytes/N", "N bytes, the same every time", "/bytes/100"),
    ("/text/CHARSET", "umlauts in that charset", "/text/latin-1"),
    ("/status/N", "an empty body with status N", "/status/404"),
    ("/redirect/N  /absolute-redirect/N", "N redirects to /get", "/redirect/2"),
    ("/redirect-to?url=URL&status_code=N", "a redirect to URL", "/redirect-to?url=/get"),
    ("/cookies", "JSON of the cookies that were sent", None),
    ("/cookies/set?NAME=VALUE", "sets cookies, redirects to /cookies", "/cookies/set?a=1"),
    ("/cookies/delete?NAME", "deletes cookies, redirects to /cookies", "/cookies/delete?a="),
    ("/basic-auth/USER/PASSWORD", "401 without these credentials", "/basic-auth/jo/secret"),
    ("/bearer/TOKEN", "401 without this token", "/bearer/token123"),
    ("/gzip  /deflate  /br  /zstd", "compressed JSON", "/gzip"),
    ("/chunked?n=N&size=BYTES", "a body of N chunks", "/chunked?n=2&size=20"),
    ("/stream/N", "N lines of JSON, in chunks", "/stream/3"),
    ("/events/N", "N server-sent events, with IDs from 1", "/events/3"),
    ("/drip?n=N&pause=SECONDS", "N bytes, one at a time", "/drip?n=5&pause=0.2"),
    ("/slow/SECONDS  /delay/SECONDS", '"ok" after that time', "/slow/1"),
    ("/close", "a response after which the connection is closed", None),
    ("/flaky/KEY/N", "503 the first N times for that key, then 200", "/flaky/mine/2"),
    ("/retry-after/SECONDS", "503 with Retry-After", "/retry-after/1"),
    ("/etag/TAG", "304 if If-None-Match is that tag", "/etag/a"),
    ("/robots.txt", "rules for crawlers", None),
    ("/sitemap.xml", "a sitemap", None),
    ("/stats", "connections and requests as the server saw them", None),
]
TITLE = "asks_fast demo server"
NO_SUCH_PAGE = "no such page; / lists all pages"

_peers: set[str] = set()
_counts: dict[str, int] = {}
_requests = 0

MAX_SHOWN = 1 << 20  # bytes of a body that `describe` shows

Response = tuple[int, list[tuple[str, str]], bytes]


async def app(scope: Any, proto: Any) -> None:
    """Find the handler for the first path segment and send its response."""
    global _requests
    _requests += 1
    _peers.add(scope.client)
    pieces = [unquote(piece) for piece in scope.path.strip("/").split("/")]
    query = dict(parse_qsl(scope.query_string, keep_blank_values=True))
    streamer = STREAMERS.get(pieces[0])
    if streamer is not None:
        await streamer(proto, pieces[1:], query)
        return
    if pieces[0] in ("slow", "delay"):
        await asyncio.sleep(min(float((pieces[1:] or ["1"])[0]), 30))
        send(proto, (200, [("content-type", TEXT)], b"ok"))
        return
    body = await proto()
    handler = HANDLERS.get(pieces[0])
    if handler is None:
        send(proto, (404, [("content-type", TEXT)], NO_SUCH_PAGE.encode()))
        return
    try:
        response = handler(scope, pieces[1:], query, body)
    except (ValueError, IndexError) as error:
        response = (400, [("content-type", TEXT)], str(error).encode())
    except ImportError as error:  # a compression that is not installed here
        response = (501, [("content-type", TEXT)], str(error).encode())
    send(proto, response)


def send(proto: Any, response: Response) -> None:
    status, headers, body = response
    if not body and (status in (204, 304) or status < 200):
        proto.response_empty(status, headers)
    else:
        proto.response_bytes(status, headers, body)


def as_json(value: object, status: int = 200, headers: Any = ()) -> Response:
    return status, [("content-type", JSON), *headers], json.dumps(value).encode()


def as_text(text: str, status: int = 200, headers: Any = ()) -> Response:
    return status, [("content-type", TEXT), *headers], text.encode()


def index(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    """Return the list of pages, as HTML if the client asks for it."""
    headers = [("vary", "accept")]
    if "text/html" not in dict(scope.headers.items()).get("accept", ""):
        width = max(len(path) for path, _, _ in PAGES)
        lines = [TITLE, "", *(f"{path:{width}}  {text}" for path, text, _ in PAGES)]
        return as_text("\n".join(lines) + "\n", 200, headers)
    rows = "".join(
        f'<tr><td><a href="{escape(example or path)}">{escape(path)}</a><td>{escape(text)}\n'
        for path, text, example in PAGES
    )
    page = f"<!doctype html><title>{TITLE}</title><h1>{TITLE}</h1>\n<table>\n{rows}</table>\n"
    return 200, [("content-type", HTML), *headers], page.encode()


def describe(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    """Return what the client sent: method, path, args, headers, body, form, json, client.

    Only the first MiB of a body is shown; `size` counts all of it.
    """
    headers = dict(scope.headers.items())
    kind = headers.get("content-type", "")
    text = body[:MAX_SHOWN].decode("utf-8", "replace")
    try:
        parsed = json.loads(text) if "json" in kind else None
    except ValueError:
        parsed = None
    form = parse_qs(text, keep_blank_values=True) if "urlencoded" in kind else {}
    args = parse_qs(scope.query_string, keep_blank_values=True)
    return as_json(
        {
            "method": scope.method,
            "path": scope.path,
            "query": scope.query_string,
            "url": f"{scope.scheme}://{headers.get('host', '')}{scope.path}"
            + (f"?{scope.query_string}" if scope.query_string else ""),
            "args": {
                key: values[0] if len(values) == 1 else values for key, values in args.items()
            },
            "headers": headers,
            "data": text,
            "size": len(body),
            "form": {
                key: values[0] if len(values) == 1 else values for key, values in form.items()
            },
            "json": parsed,
            "client": scope.client,
        }
    )


def echo(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    kind = dict(scope.headers.items()).get("content-type", "application/octet-stream")
    return 200, [("content-type", kind)], body


def cookies(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    if pieces[:1] == ["set"]:
        jar = [("set-cookie", f"{name}={value}; Path=/") for name, value in query.items()]
        return as_text("", 302, [("location", "/cookies"), *jar])
    if pieces[:1] == ["delete"]:
        jar = [("set-cookie", f"{name}=; Path=/; Max-Age=0") for name in query]
        return as_text("", 302, [("location", "/cookies"), *jar])
    header = dict(scope.headers.items()).get("cookie", "")
    pairs = (pair.split("=", 1) for pair in header.split("; ") if "=" in pair)
    return as_json({"cookies": dict(pairs)})


def redirect(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    left = int(pieces[0]) - 1
    target = f"/redirect/{left}" if left > 0 else "/get"
    return as_text("", int(query.get("status_code", 302)), [("location", target)])


def absolute_redirect(
    scope: Any, pieces: list[str], query: dict[str, str], body: bytes
) -> Response:
    left = int(pieces[0]) - 1
    base = f"{scope.scheme}://{dict(scope.headers.items()).get('host', '')}"
    target = f"{base}/absolute-redirect/{left}" if left > 0 else f"{base}/get"
    return as_text("", 302, [("location", target)])


def redirect_to(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    return as_text("", int(query.get("status_code", 302)), [("location", query["url"])])


def compressed(coding: str) -> Any:
    def handler(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
        plain = json.dumps({"coding": coding, "text": UMLAUTS * 50}).encode()
        if coding == "gzip":
            data = gzip.compress(plain, mtime=0)  # the same every time
        elif coding == "deflate":
            data = zlib.compress(plain)
        elif coding == "br":
            data = import_module("brotli").compress(plain)
        else:
            data = import_module("zstandard").compress(plain)
        return 200, [("content-type", JSON), ("content-encoding", coding)], data

    return handler


def basic_auth(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    expected = "Basic " + base64.b64encode(f"{pieces[0]}:{pieces[1]}".encode()).decode()
    if dict(scope.headers.items()).get("authorization") == expected:
        return as_json({"authenticated": True, "user": pieces[0]})
    return as_text("credentials required", 401, [("www-authenticate", 'Basic realm="test"')])


def bearer(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    if dict(scope.headers.items()).get("authorization") == f"Bearer {pieces[0]}":
        return as_json({"authenticated": True})
    return as_text("credentials required", 401, [("www-authenticate", 'Bearer realm="test"')])


def flaky(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    seen = _counts[pieces[0]] = _counts.get(pieces[0], 0) + 1
    if seen <= int(pieces[1]):
        return as_text("not yet", 503, [("retry-after", "0")])
    return as_json({"tries": seen})


def links(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    count = int((pieces or ["10"])[0])
    anchors = "".join(f'<a href="/asks/test/{n}">{n}</a>\n' for n in range(count))
    return 200, [("content-type", HTML)], f"<html><body>{anchors}</body></html>".encode()


def etag(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    tag = f'"{pieces[0]}"'
    if dict(scope.headers.items()).get("if-none-match") == tag:
        return 304, [("etag", tag)], b""
    return as_text("tagged", 200, [("etag", tag)])


def in_charset(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    return 200, [("content-type", f"text/plain; charset={pieces[0]}")], UMLAUTS.encode(pieces[0])


def stats(scope: Any, pieces: list[str], query: dict[str, str], body: bytes) -> Response:
    return as_json({"connections": len(_peers), "requests": _requests})


def pattern(size: int) -> bytes:
    """Return `size` bytes in which neighbouring positions differ."""
    return (bytes(range(256)) * (size // 256 + 1))[:size]


async def stream_chunks(proto: Any, pieces: list[str], query: dict[str, str]) -> None:
    transport = proto.response_stream(200, [("content-type", "application/octet-stream")])
    for _ in range(int(query.get("n", 10))):
        await transport.send_bytes(pattern(int(query.get("size", 100))))


async def stream_lines(proto: Any, pieces: list[str], query: dict[str, str]) -> None:
    transport = proto.response_stream(200, [("content-type", "application/x-ndjson")])
    for number in range(int((pieces or ["10"])[0])):
        await transport.send_bytes(json.dumps({"id": number}).encode() + b"\n")


async def drip(proto: Any, pieces: list[str], query: dict[str, str]) -> None:
    transport = proto.response_stream(200, [("content-type", "application/octet-stream")])
    for _ in range(int(query.get("n", 5))):
        await transport.send_bytes(b"*")
        await asyncio.sleep(min(float(query.get("pause", 0.01)), 5))


async def stream_events(proto: Any, pieces: list[str], query: dict[str, str]) -> None:
    transport = proto.response_stream(200, [("content-type", "text/event-stream")])
    for number in range(1, int((pieces or ["10"])[0]) + 1):
        await transport.send_bytes(b"id: %d\ndata: line %d\n\n" % (number, number))


STREAMERS = {
    "chunked": stream_chunks,
    "stream": stream_lines,
    "events": stream_events,
    "drip": drip,
}

HANDLERS: dict[str, Any] = {
    "": index,
    "echo": echo,
    "asks": lambda scope, pieces, query, body: as_text(pieces[1] if len(pieces) > 1 else "asks"),
    "headers": lambda scope, *_: as_json({"headers": dict(scope.headers.items())}),
    "ip": lambda scope, *_: as_json({"origin": scope.client.rsplit(":", 1)[0]}),
    "json": lambda *_: as_json({"slideshow": {"title": "Sample", "slides": [1, 2, 3]}}),
    "html": lambda *_: (200, [("content-type", HTML)], f"<h1>{UMLAUTS}</h1>".encode()),
    "links": links,
    "status": lambda scope, pieces, *_: (int(pieces[0]), [], b""),
    "redirect": redirect,
    "redirect-to": redirect_to,
    "absolute-redirect": absolute_redirect,
    "cookies": cookies,
    "bytes": lambda scope, pieces, *_: (
        200,
        [("content-type", "application/octet-stream")],
        pattern(min(int(pieces[0]), 100_000_000)),
    ),
    "text": in_charset,
    "close": lambda *_: as_text("bye", 200, [("connection", "close")]),
    "basic-auth": basic_auth,
    "bearer": bearer,
    "flaky": flaky,
    "retry-after": lambda scope, pieces, *_: as_text("busy", 503, [("retry-after", pieces[0])]),
    "etag": etag,
    "stats": stats,
    "robots.txt": lambda *_: as_text("User-agent: *\nDisallow: /private\nCrawl-delay: 0\n"),
    "sitemap.xml": lambda *_: (
        200,
        [("content-type", "application/xml")],
        b'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
        b"<url><loc>/asks/test/1</loc></url></urlset>",
    ),
    **{coding: compressed(coding) for coding in ("gzip", "deflate", "br", "zstd")},
    **dict.fromkeys(("get", "post", "put", "patch", "delete", "anything"), describe),
}
