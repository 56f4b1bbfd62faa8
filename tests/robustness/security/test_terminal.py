"""Bytes from a server, a proxy or an input line cannot control a terminal or split a log line.

Each response below contains control characters in another place. The test collects everything that
a program would print: reprs, errors with their causes, log records, events, warnings, and the
standard error of the command line.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from support.script_steps import close, expect, send

import asks_fast
from asks_fast import errors
from asks_fast.crawl.formats import json_dumper
from asks_fast.errors import AsksException, printable

ROOT = Path(asks_fast.__file__).parent.parent
E = b"\x1b]0;owned\x07\x1b[2J\x9b31m\xc2\x9b\x7f\x08"  # what terminals obey
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"

ANSWERS: dict[str, bytes] = {
    "reason": b"HTTP/1.1 200 a" + E + b"\r\nContent-Length: 0\r\n\r\n",
    "reason of an error": b"HTTP/1.1 404 a" + E + b"\r\nContent-Length: 0\r\n\r\n",
    "reason of a redirect": b"HTTP/1.1 302 a" + E + b"\r\nLocation: /" + E + b"\r\n"
    b"Content-Length: 0\r\n\r\n",
    "status line": b"HTTP/1.1 " + E + b"\r\n\r\n",
    "version": b"HTTP/" + E + b" 200 OK\r\n\r\n",
    "no HTTP": E * 3,
    "field name": OK + b"X" + E + b": a\r\n\r\nok",
    "field value": OK + b"X: a" + E + b"\r\n\r\nok",
    "field without colon": OK + b"X" + E + b"\r\n\r\nok",
    "folded field": OK + b"X: a\r\n " + E + b"\r\n\r\nok",
    "cookie": OK + b"Set-Cookie: a" + E + b"=b" + E + b"; Path=/" + E + b"\r\n\r\nok",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 2" + E + b"\r\n\r\nok",
    "two lengths": OK + b"Content-Length: 3" + E + b"\r\n\r\nok",
    "transfer coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: x" + E + b"\r\n\r\nok",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + E + b"\r\nok\r\n0\r\n\r\n",
    "chunk end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok" + E,
    "trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX" + E + b"\r\n\r\n",
    "content coding": OK + b"Content-Encoding: x" + E + b"\r\n\r\nok",
    "many codings": OK + b"Content-Encoding: " + b"gzip, " * 9 + E + b"\r\n\r\nok",
    "corrupt body": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 23\r\n"
    b"Connection: close\r\n\r\n" + (E * 2)[:23],
    "charset": OK + b"Content-Type: text/html; charset=" + E + b"\r\n\r\nok",
    "JSON": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{" + E,
    "location of no URL": b"HTTP/1.1 302 Found\r\nLocation: http://[" + E + b"\r\n\r\n",
    "location of a host": b"HTTP/1.1 302 Found\r\nLocation: http://h" + E + b"/\r\n\r\n",
    "location of a scheme": b"HTTP/1.1 302 Found\r\nLocation: x" + E + b"://h/\r\n\r\n",
    "location of a port": b"HTTP/1.1 302 Found\r\nLocation: http://h:" + E + b"/\r\n\r\n",
    "challenge": b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="' + E + b'", nonce="' + E
    + b'", algorithm=' + E + b"\r\nContent-Length: 0\r\n\r\n",
    "body cut short": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nX: " + E + b"\r\n\r\n" + E,
    "interim answer": b"HTTP/1.1 103 a" + E + b"\r\nLink: " + E + b"\r\n\r\n" + OK + b"\r\nok",
}  # fmt: skip


def answering(peer: Any, data: bytes) -> Any:
    """A server that sends these bytes to each connection and closes."""
    return peer([expect(), send(data), close()])


def check(texts: list[str]) -> None:
    for text in texts:
        for line in text.split("\n"):
            assert line.isprintable(), ascii(line)


def printed(error: BaseException) -> list[str]:
    """Everything that a program, a log or the interpreter may print of an error."""
    lines = []
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AsksException):
            assert "\n" not in str(seen), "it would split a log line"
        lines += [str(seen), repr(seen), *traceback.format_exception_only(type(seen), seen)]
        lines.append(repr(getattr(seen, "response", None)))
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return lines


async def all_texts(url: str, **options: Any) -> list[str]:
    """Make a request, use every part of the response, and collect what may be printed."""
    texts: list[str] = []
    try:
        response = await asks_fast.get(
            url, on_event=lambda event: texts.append(str(event)), max_redirects=3, **options
        )
    except AsksException as error:
        return texts + printed(error)
    hops = [*response.history, response]
    texts += [repr(hop) for hop in hops] + [repr(hop.headers) for hop in hops]
    texts += [repr(hop.request) for hop in hops if hasattr(hop, "request")]
    texts += [repr(cookie) for hop in hops for cookie in hop.cookies]
    texts += [str(response.url), repr(response.body)[:200]]
    for use in ("text", "content", "json", "raise_for_status", "encoding", "links", "filename"):
        try:
            value = getattr(response, use, None)
            if callable(value):
                value()
        except Exception as error:
            texts += printed(error)
    return texts


@pytest.mark.parametrize("place", ANSWERS)
async def test_library(peer: Any, caplog: pytest.LogCaptureFixture, place: str) -> None:
    """Reprs, errors, causes, events and log lines."""
    server = answering(peer, ANSWERS[place])
    with caplog.at_level(logging.DEBUG, "asks_fast"):
        for options in ({}, {"auth": asks_fast.DigestAuth(("user", "password"))}):
            check(await all_texts(server.url, **options))
    assert caplog.records
    check([record.getMessage() for record in caplog.records])
    assert not any("\n" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 403 a" + E + b"\r\nX: " + E + b"\r\n\r\n" + E,
        b"HTTP/1.1 407 a" + E + b"\r\nProxy-Authenticate: Digest realm=" + E + b"\r\n\r\n",
        b"HTTP/1.1 200 a" + E + b"\r\n\r\n" + E,
        b"HTTP/1.1 200 a\r\nX" + E + b"\r\n\r\n",
        E * 4 + b"\r\n\r\n",
        E,
    ],
)
@pytest.mark.parametrize("scheme", ["http", "socks5", "socks4"])
async def test_proxy(peer: Any, scheme: str, data: bytes) -> None:
    """Any response of a proxy, in CONNECT and SOCKS."""
    server = peer([*([expect()] if scheme == "http" else []), send(data), close()])
    proxy = server.url.replace("http://", f"{scheme}://").rstrip("/")
    with pytest.raises(errors.ProxyError) as caught:
        await asks_fast.get("https://127.0.0.1:1/", proxy=proxy)
    check(printed(caught.value))


def test_proxy_reply() -> None:
    """The repr of a proxy's response."""
    from asks_fast._transport.http_tunnel import ProxyReply

    check([repr(ProxyReply(502, E.decode("latin-1"), (("X", "\x1b"),), E))])


def test_one_function() -> None:
    """Control characters, line ends, bidi marks and lone surrogates; a limit cuts."""
    assert printable("a\x1b[2J\r\n\x9b\u202e\ud800é漢") == (
        "a\\x1b[2J\\x0d\\x0a\\x9b\\u202e\\ud800é漢"
    )
    assert printable("abc", 2) == "ab…"
    assert str(errors.InvalidURL("a\r\nb")) == "a\\x0d\\x0ab"
    assert errors.InvalidURL("a\r\nb").args == ("a\r\nb",)


@pytest.mark.parametrize("text", ["\x9b31m\x7f", "\ud800\x9b\x7f", "é漢"])
def test_json_lines(text: str) -> None:
    """JSON output contains no control characters and has the same meaning."""
    data = json_dumper()({"body": text})
    check([data.decode()])
    assert json.loads(data) == {"body": text}


# -- the command line

needs_cli = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("click", "rich")),
    reason="the extra cli is not installed",
)


def run(*args: str, stdin: bytes = b"") -> tuple[str, str]:
    program = [sys.executable, "-c", "from asks_fast.cli import main; main()", *args]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(program, input=stdin, capture_output=True, env=environment, timeout=60)
    out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    assert "Traceback" not in err
    return out, err


@needs_cli
@pytest.mark.parametrize(
    "place", ["reason", "reason of a redirect", "field value", "status line", "location of no URL"]
)
def test_get(peer: Any, place: str) -> None:
    """`get -v -f`: heads, redirects and errors on standard error."""
    server = answering(peer, ANSWERS[place])
    _, err = run("get", "-v", "-f", "--timing", "--max-redirects", "3", server.url)
    assert err
    check([err])


@needs_cli
def test_get_after_a_redirect(peer: Any) -> None:
    """`get -v` shows the reason phrase of each redirect that it followed."""
    redirect = b"HTTP/1.1 302 a" + E + b"\r\nLocation: /x\r\nConnection: close\r\n\r\n"
    server = peer([expect(), send(redirect), close()], [expect(), send(OK + b"\r\nok"), close()])
    out, err = run("get", "-v", server.url)
    assert out == "ok"
    assert "302" in err
    check([err])


@needs_cli
@pytest.mark.parametrize("options", [(), ("--log", "json"), ("--quiet",), ("--workers", "2")])
def test_fetch(peer: Any, tmp_path: Path, options: tuple[str, ...]) -> None:
    """`fetch`: any bytes of servers and input lines, in every display and output."""
    server = answering(peer, ANSWERS["status line"])
    lines = [server.url.encode(), b"http://h" + E + b"/", b'{"url": "x' + E, E]
    source, out = tmp_path / "urls", tmp_path / "o.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n")
    _, err = run("fetch", str(source), "-o", str(out), "--no-robots", "--retries", "0", *options)
    check([err])
    if out.exists():
        check([out.read_text()])
    if not options:
        written, err = run("fetch", str(source), "--no-robots", "--retries", "0")
        check([written, err])


@needs_cli
def test_displays(capsys: pytest.CaptureFixture[str]) -> None:
    """Notes, hosts, error kinds and failed URLs in every display."""
    from rich.console import Console

    from asks_fast.cli.display import JsonLog, QuietDisplay, Summary, live_view
    from asks_fast.crawl.stats import FetchStats

    text = E.decode("latin-1") + "\n\u202e"

    class View:
        stats = FetchStats()
        under_way = 0
        fraction = None
        total = None
        is_total_known = False

    View.stats.add(text, None, 0, text)
    View.stats.limits[text] = text
    for display in (QuietDisplay(), Summary(), JsonLog()):
        display.note(text)
        display.failed(text, text, text)
        display.finish(View(), "done")  # type: ignore[arg-type]
    console = Console(stderr=True, force_terminal=False, width=200)
    console.print(live_view(View(), 1.0, [text]))  # type: ignore[arg-type]
    check([capsys.readouterr().err])
