"""Servers with hostile responses, and hostile inputs, for bulk fetches."""

from __future__ import annotations

import gzip
import itertools
from typing import Any

from hypothesis import strategies as st

from support.site import Site

ROBOTS = b"\xef\xbb\xbfUser-agent: *\nDisallow: /private\n"


def response(status: bytes, fields: bytes, body: bytes, framing: str) -> bytes:
    """A response of these parts; `framing` may cut it off."""
    head = b"HTTP/1.1 " + status + b"\r\n" + fields
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    if framing == "chunks":
        chunk = b"%x;e\r\n%b\r\n" % (len(body), body) if body else b""
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\nT: u\r\n\r\n"
    if framing == "cut":
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(body) + 9, body)
    return head + b"\r\n" + body


FIXED = [
    response(b"200 OK", b"Content-Type: text/html\r\n", b"<p>fine", "length"),
    response(b"404 Introuvable \xe0 cette adresse", b"X: caf\xc3\xa9 \xff\r\n", b"no", "length"),
    response(b"200 \x1b]0;owned\x07", b"X-\x1b[31m: \x1b[31m\r\n", b"\x1b[2J", "length"),
    response(b"200 OK", b"Content-Type: text/html; charset=utf-7\r\n", b"+2AA- +AAA-", "length"),
    response(b"200 OK", b"Content-Type: text/plain; charset=rot13\r\n", b"text", "chunks"),
    response(b"200 OK", b"Content-Type: \xff\xfe/\x1b; charset=\x1b\r\n", b"\xff\0", "close"),
    response(b"200 OK", b"Content-Encoding: gzip\r\n", gzip.compress(b"x" * 99), "chunks"),
    response(b"200 OK", b"Content-Encoding: gzip\r\n", b"no gzip at all", "length"),
    response(b"302 Found", b"Location: /landed\r\n", b"moved", "length"),
    response(b"302 Found", b"Location: /private/landed\r\n", b"moved", "chunks"),
    response(b"302 Found", b"Location: //127.0.0.1:1/\r\n", b"", "length"),
    response(b"301 Gone \xe9", b"Location: \xff\x1b\r\n", b"", "length"),
    response(b"302 Found", b"Location: javascript:alert(1)\r\n", b"", "length"),
    response(b"307 Loop", b"Location: ?again\r\n", b"", "length"),
    response(b"503 Busy", b"Retry-After: 0\r\n", b"", "length"),
    response(b"200 OK", b"", b"cut off", "cut"),
    response(b"204 Nothing", b"", b"", "close"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"\x1b]0;owned\x07 is no HTTP\r\n\r\n",
    b"",
]


_bytes = st.binary(max_size=20).map(lambda data: data.translate(None, b"\r\n\0"))


hostile_answers = st.one_of(
    st.sampled_from(FIXED),
    st.builds(
        lambda status, reason, name, value, body, framing: response(
            b"%d " % status + reason, b"X-" + name + b": " + value + b"\r\n", body, framing
        ),
        st.sampled_from([200, 203, 299, 400, 404, 500]),
        _bytes,
        st.sampled_from([b"a", b"B-c", b"_"]),
        _bytes,
        st.binary(max_size=100),
        st.sampled_from(["length", "chunks", "close", "cut"]),
    ),
)


HOSTILE_URLS = [
    "http://h/a\r\nWARC-Type: response",
    "http://127.0.0.1:1/\x1b]0;owned\x07",
    "http://127.0.0.1:1/\0",
    "http://127.0.0.1:1/\ud800",
    "http://[::1/",
    "http://us[er@127.0.0.1:1/x",
    "\u202eno url",
]


HOSTILE_KEYS = [
    "k\r\nWARC-Type: response\r\n\r\n",
    "\x1b]0;owned\x07",
    "nul\0",
    "\udc00",
    ["\ud800", {"a\0": None}],
    2**70,
    1.5,
]


class Hosts:
    """Servers whose answers a test sets, by path: `answers[path]`."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.numbers = itertools.count()
        self.site = Site(self.page, hosts=3)

    def page(self, host: int, path: str) -> Any:
        if path == "/robots.txt":
            return 302, {"Location": "/robots/1"}, b""
        if path.startswith("/robots/"):
            number = int(path[8:])
            if number < 5:
                return 302, {"Location": f"/robots/{number + 1}"}, b""
            return 200, {"Content-Type": "image/png"}, ROBOTS
        return self.answers.get(path.partition("?")[0], b"HTTP/1.1 200 OK\r\n\r\nlanded")

    def inputs(self, answers: list[bytes]) -> list[Any]:
        """Requests for these answers, among forbidden and shared ones, and hostile ones."""
        run = next(self.numbers)
        made: list[Any] = []
        for n, answer in enumerate(answers):
            self.answers[f"/{run}/{n}"] = answer
            made.append(f"{self.site.urls[n % 3]}/{run}/{n}")
        base = self.site.urls[run % 3]
        made += [f"{base}/private/{run}", f"{base}/{run}/./../private/"]
        made += [f"{base}/{run}/shared{end}" for end in ("", "#a", "#b")]
        made += HOSTILE_URLS
        made += [{"url": f"{base}/{run}/k{n}", "key": key} for n, key in enumerate(HOSTILE_KEYS)]
        made.append({"url": f"{base}/{run}/posted", "method": "POST", "data": "x"})
        return made

    def check_robots(self) -> None:
        """No URL that robots.txt forbids was requested."""
        assert not [one for one in self.site.asked if "/private" in one]
