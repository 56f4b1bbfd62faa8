"""Every output, filter and way to run a bulk fetch against hostile servers and hostile inputs.

Rules:  whatever servers answer and inputs hold: robots.txt is obeyed; each request of the input is
        in the output exactly once, or was dropped by a filter; the output is valid for readers that
        are not ours; what a terminal gets is printable.
Not here: runs that are killed, or share their output (tests/crawl/test_command.py).
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import pty
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import curio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.leaks import ignore_descriptor
from support.site import Site

from asks_fast import DSession
from asks_fast.crawl import Politeness, gather
from asks_fast.errors import printable
from asks_fast.scaleout import FetchOptions, fetch_partition

for needed in ("protego", "warcio", "zstandard", "pyarrow", "orjson", "click", "rich"):
    pytest.importorskip(needed, reason=f"{needed} is not installed")

OUTPUTS = ("jsonl", "jsonl.gz", "jsonl.zst", "warc", "warc.gz")
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "type": {"only_type": ("text/html",)},
    "status": {"only_status": ("2xx",)},
    "redirects": {"max_redirects": 0},
    "size": {"max_body": 50},
}
ROBOTS = b"\xef\xbb\xbfUser-agent: *\nDisallow: /private\n"
FAST = {"retries": 0, "max_failures": 0, "timeout": 10.0}


# -- servers that answer anything


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
_answers = st.one_of(
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

# -- inputs that hold anything

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
        """Nothing was asked for that robots.txt forbids."""
        assert not [one for one in self.site.asked if "/private" in one]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    made = Hosts()
    with made.site:
        yield made


# -- readers that are not ours


def url_of(request: Any) -> str:
    return str(request if isinstance(request, str) else request["url"])


def shown(url: str) -> str:
    """A URL as outputs may show it: as it is, or escaped where it cannot be written."""
    return printable(url, 8_000)


def json_urls(data: bytes) -> list[str]:
    """The URLs of JSON Lines, read by two parsers that must agree."""
    import orjson

    rows = [orjson.loads(line) for line in data.splitlines()]
    plain = [json.loads(line) for line in data.decode("utf-8").splitlines()]
    assert [row["url"] for row in rows] == [row["url"] for row in plain]
    assert all(("status" in row) or ("error" in row) or ("same_as" in row) for row in rows)
    return [shown(row["url"]) for row in rows]


def warc_urls(data: bytes) -> list[str]:
    """The URLs that an archive reports, each by a first response or a metadata record."""
    from warcio.archiveiterator import ArchiveIterator

    for one in ArchiveIterator(io.BytesIO(data), check_digests="raise"):
        one.content_stream().read()
    roots: dict[str, str] = {}  # id of a response -> of the first response of its request
    urls: dict[str, str] = {}  # of first responses
    named = []
    for one in ArchiveIterator(io.BytesIO(data), no_record_parse=True):
        fields = dict(one.rec_headers.headers)
        identity, before = fields["WARC-Record-ID"], fields.get("WARC-Concurrent-To", "")
        target = fields.get("WARC-Target-URI", "")
        assert target.isascii()
        assert target.isprintable()
        if one.rec_type == "response":
            roots[identity] = roots.get(before, identity)
            urls.setdefault(roots[identity], target)
        elif one.rec_type == "metadata":
            text = one.raw_stream.read().decode("utf-8")
            assert text.replace("\r\n", "").isprintable()
            said = dict(line.split(": ", 1) for line in text.split("\r\n")[:-1])
            assert said.keys() <= {"fetchError", "requestedUrl", "sameAs", "key"}
            named.append(said.get("requestedUrl", target))
            urls.pop(roots.get(before, ""), None)
        else:
            assert one.rec_type in ("request", "warcinfo")
    return named + list(urls.values())


def urls_in(path: Path) -> list[str]:
    """What an output file reports; fails if a reader refuses it."""
    data = path.read_bytes()
    if ".warc" in path.name:
        return warc_urls(data)
    if path.name.endswith(".gz"):
        data = gzip.decompress(data)
    elif path.name.endswith(".zst"):
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        data = reader.read()
    elif path.name.endswith(".parquet"):
        import pyarrow.parquet

        return [shown(url) for url in pyarrow.parquet.read_table(path).column("url").to_pylist()]
    return json_urls(data)


def check_reported(reported: list[str], requests: list[Any], dropped: int) -> None:
    """Each request exactly once, but for as many as a filter dropped."""
    missing = Counter(shown(url_of(one)) for one in requests)
    missing.subtract(reported)
    assert min(missing.values()) >= 0, f"twice, or never asked for: {-missing}"
    assert missing.total() == dropped, f"lost: {+missing}"


# -- the ways to run it


@settings(max_examples=60)
@given(
    output=st.sampled_from([*OUTPUTS, "parquet", None]),
    filter_=st.sampled_from(sorted(FILTERS)),
    answers=st.lists(_answers, max_size=8),
)
def test_scaleout(hosts: Hosts, output: str | None, filter_: str, answers: list[bytes]) -> None:
    """Partitions, in memory and as shards."""
    requests = hosts.inputs(answers)
    options = FetchOptions(**{**FAST, **FILTERS[filter_]})
    with tempfile.TemporaryDirectory() as directory:
        shard = None if output is None else Path(directory) / f"o.{output}"
        result = fetch_partition(requests, options, shard=shard, headers=True)
        if shard is None:
            reported = json_urls(b"\n".join(json.dumps(one).encode() for one in result))
        else:
            reported = urls_in(shard)
            assert filter_ in ("type", "status") or result["total"] == len(requests)
    hosts.check_robots()
    dropped = len(requests) - len(reported)
    assert dropped == 0 or filter_ in ("type", "status")
    check_reported(reported, requests, dropped)


@settings(max_examples=25)
@given(answers=st.lists(_answers, max_size=8), stream=st.booleans())
def test_library(hosts: Hosts, answers: list[bytes], stream: bool) -> None:
    """`session.gather`: one result each, in order, whatever the session makes of responses."""
    requests = hosts.inputs(answers)

    async def main() -> None:
        async with DSession(follow_redirects=not stream, max_body=50) as session:
            polite = Politeness(robots=True, max_failures=0)
            results = await gather(session, requests, politeness=polite)
        keys = [one if isinstance(one, str) else one["key"] for one in requests[:-1]]
        assert [result.key for result in results[:-1]] == keys
        assert all((result.response is None) != (result.error is None) for result in results)

    curio.run(main)
    hosts.check_robots()


def lines_of(requests: list[Any], path: Path) -> Path:
    """The requests as an input file: what a line cannot hold as it is, as JSON."""
    text = [
        json.dumps(one if isinstance(one, dict) else {"url": one})
        if isinstance(one, dict) or not one.isprintable() or "://" not in one
        else one
        for one in requests
    ]
    path.write_text("\n".join(text))
    return path


FLAGS = {
    "none": [],
    "type": ["--only-type", "text/html"],
    "status": ["--only-status", "2xx"],
    "redirects": ["--max-redirects", "0"],
    "size": ["--max-body", "50"],
}
COMBINATIONS = [
    pytest.param(output, filter_, workers, marks=[] if (n + m) % 5 == 0 else [pytest.mark.slow])
    for n, (output, workers) in enumerate(
        itertools.product([*OUTPUTS, "directory", "stdout"], ["1", "2"])
    )
    for m, filter_ in enumerate(FLAGS)
    if output != "stdout" or workers == "1"
]


def command(*arguments: Any) -> list[str]:
    program = [sys.executable, "-c", "from asks_fast.cli import main; main()", "fetch"]
    fixed = ["--retries", "0", "--max-failures", "0", "--timeout", "10"]
    return [*program, *fixed, *map(str, arguments)]


@pytest.mark.parametrize(("output", "filter_", "workers"), COMBINATIONS)
def test_fetch(hosts: Hosts, output: str, filter_: str, workers: str, tmp_path: Path) -> None:
    """`asks-fast fetch`: its output, what it says, and what it leaves for a second run."""
    requests = hosts.inputs(FIXED)
    source = lines_of(requests, tmp_path / "in.txt")
    target = tmp_path / f"o.{output}"
    where = ["-o", target]
    if output == "directory":
        target = tmp_path / "files" / "index.jsonl"
        where = ["--output-dir", target.parent]
    elif output == "stdout":
        target, where = tmp_path / "o.jsonl", []
    more = ["--workers", workers, "--log", "json"] if where else ["--log", "json"]
    done = subprocess.run(
        command(source, *where, *FLAGS[filter_], *more), capture_output=True, timeout=120
    )
    if not where:
        target.write_bytes(done.stdout)
    assert done.returncode == 1, done.stderr.decode()
    check_printable(done.stderr)
    said = [json.loads(line) for line in done.stderr.splitlines()]
    (summary,) = [one for one in said if one["event"] == "summary"]
    assert sum(one["event"] == "failed" for one in said) == summary["failed"]
    reported = urls_in(target)
    hosts.check_robots()
    dropped = len(requests) - len(reported)
    assert dropped == 0 or filter_ in ("type", "status")
    check_reported(reported, full_urls(requests), dropped)
    if output == "directory":
        check_files(target, FLAGS[filter_] != [])
    if where:
        asked = len(hosts.site.asked)
        again = subprocess.run(
            command(source, *where, *FLAGS[filter_], "--resume"), capture_output=True, timeout=120
        )
        check_printable(again.stderr)
        more_asked = hosts.site.asked[asked:]
        assert not [one for one in more_asked if "/robots" not in one], "asked for again"
        assert Counter(urls_in(target)) == Counter(reported)


def full_urls(requests: list[Any]) -> list[str]:
    """The URLs as `fetch` reads them: without a scheme, http is meant."""
    urls = [url_of(one).strip() for one in requests]
    return [url if "://" in url else f"http://{url}" for url in urls]


def check_printable(data: bytes) -> None:
    """A terminal that shows this is not told to do anything."""
    for line in data.decode("utf-8").splitlines():
        assert line.isprintable(), line


def check_files(index: Path, is_filtered: bool) -> None:
    """Every file in the directory is listed, and every listed file is there."""
    rows = [json.loads(line) for line in index.read_text().splitlines()]
    listed = {row["file"] for row in rows if "file" in row}
    directory = index.parent
    found = {
        str(one.relative_to(directory))
        for one in directory.rglob("*")
        if one.is_file() and not one.name.startswith("index.jsonl") and ".partial" not in one.parts
    }
    assert found == listed
    assert listed or is_filtered


@pytest.mark.leaves_open("a pseudo-terminal ends with its process")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_on_a_terminal(hosts: Hosts, workers: str, tmp_path: Path) -> None:
    """The live view escapes control characters of servers and inputs."""
    source = lines_of(hosts.inputs(FIXED), tmp_path / "in.txt")
    ours, theirs = pty.openpty()
    ignore_descriptor(ours)
    arguments = command(source, "-o", tmp_path / "o.jsonl", "--workers", workers)
    with subprocess.Popen(arguments, stderr=theirs, stdout=theirs) as process:
        os.close(theirs)
        data = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            data += piece
        process.wait(60)
    os.close(ours)
    assert process.returncode == 1
    assert b"failed" in data
    assert b"\x1b]" not in data
    assert b"\x07" not in data
    assert b"\x1b[2J" not in data
    assert "\u202e".encode() not in data
