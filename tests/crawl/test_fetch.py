"""Inputs, formats and the run that ties them together, on a session that is a table."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import curio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.costs import thread_seconds
from support.fake_session import Answer, FakeSession

from asks_fast.crawl.bulk_fetch import (
    BulkFetch,
    CheckpointWriter,
    OutputError,
    StreamWriter,
)
from asks_fast.crawl.checkpoint import Checkpoint
from asks_fast.crawl.fetch_config import FetchConfig
from asks_fast.crawl.file_names import file_name
from asks_fast.crawl.formats import FORMATS, as_dict, get_format
from asks_fast.crawl.inputs import InputLines, InvalidLine, check_lines, parse_line
from asks_fast.crawl.job import make_job, shard_of
from asks_fast.crawl.options import FetchOptions, matches_status, matches_type
from asks_fast.crawl.page import FetchRecord, Page, PageSession
from asks_fast.crawl.raw_exchange import raw_exchanges
from asks_fast.crawl.request_identity import identify_request, identity_text
from asks_fast.crawl.stats import FetchStats
from asks_fast.errors import ConnectionFailed, ResponseTooLarge

PLAIN = FetchOptions(robots=False, retries=0, connections=10)


def page(content: bytes = b"x", kind: str = "text/plain", status: int = 200) -> Page:
    answer = Answer(status, content, url="http://a/", content_type=kind)
    made = Page(answer)
    made.content = content
    made.exchanges = raw_exchanges(answer, body=content)
    made.size = len(content)
    return made


def fetched(one: Page | None, error: Exception | None = None, key: Any = None) -> FetchRecord:
    return FetchRecord("http://a/", key, one, error, 1, 0.5, "2026-01-01T00:00:00.000Z", "a")


# -- lines in


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("http://a/b\n", "http://a/b"),
        ("  a.com/b \r\n", "http://a.com/b"),
        ("", None),
        ("# no", None),
        ('{"url": "a.com", "method": "POST"}', {"url": "http://a.com", "method": "POST"}),
    ],
)
def test_lines(line: str, request_: Any) -> None:
    """A line is a URL, a JSON object, or empty."""
    assert parse_line(line) == request_


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"url": ', "invalid JSON: Expecting value"),
        ("{" * 9, "invalid JSON"),
        ('{"a":' * 50_000, "invalid JSON"),
        ('{"url": 7}', "a url that is a string, found the url '7'"),
        ('{"url": " "}', "a url that is a string"),
        ("{}", "found no url"),
        ('{"url": "a", "headrs": {}}', "unknown key 'headrs'; did you mean 'headers'?"),
        ('{"url": "a", "stream": true}', "unknown key 'stream'"),
        ('{"url": "a", "method": 1}', "method must be a string"),
        ('{"url": "a", "timeout": "x"}', "timeout must be a number of seconds"),
    ],
)
def test_invalid_lines(line: str, says: str) -> None:
    """An invalid line raises with the reason."""
    with pytest.raises(InvalidLine) as caught:
        parse_line(line)
    assert says in str(caught.value)


@pytest.mark.parametrize("ending", ["", ".gz"])
async def test_line_numbers(tmp_path: Path, ending: str) -> None:
    """The check and the failed result name file and number of an invalid line."""
    path = tmp_path / f"in{ending}"
    data = b'http://a/\n# no\n\n{"url": \nhttp://b/\n{"url": "c", "headrs": 1}'
    path.write_bytes(gzip.compress(data) if ending else data)
    first, second = check_lines(str(path))
    assert first.startswith(f"{path}:4: invalid JSON")
    assert second.startswith(f"{path}:6: unknown key")
    async with InputLines(str(path)) as lines:
        requests = [request async for request in lines]
    jobs = [make_job(n, request, allows_paths=False) for n, request in enumerate(requests)]
    assert [str(job.error) for job in jobs if job.error is not None] == [first, second]
    assert [job.key for job in jobs][::2] == ["http://a/", "http://b/"]


def test_many_invalid_lines(tmp_path: Path) -> None:
    """The first invalid lines are listed, the others counted."""
    path = tmp_path / "in"
    path.write_text("{\n" * 1000)
    errors = check_lines(str(path))
    assert len(errors) == 6
    assert errors[-1] == "… and 995 more lines"


@given(st.text())
def test_no_line_ends_the_run(line: str) -> None:
    """Any line parses or raises InvalidLine; every request has an identity."""
    try:
        request = parse_line(line)
    except InvalidLine:
        return
    if request is not None:
        assert identity_text(request)


def test_identity() -> None:
    """Two requests are the same with the same key, or the same method, URL and body."""
    assert identity_text({"url": "http://a/"}) == identity_text("http://a/")
    assert identity_text({"url": "http://a/", "method": "post"}) != identity_text("http://a/")
    assert identity_text({"url": "x", "key": 1}) == identity_text({"url": "y", "key": 1})
    assert identity_text({"url": "x", "json": {"a": 1, "b": 2}, "method": "POST"}) == identity_text(
        {"json": {"b": 2, "a": 1}, "method": "POST", "url": "x"}
    )


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
async def test_lines_of_a_file(tmp_path: Path, ending: str) -> None:
    """A file is read piece by piece, compressed or not, its last line with or without an end."""
    plain = "".join(f"http://a/{n}\n" for n in range(20_000)).encode() + b"http://a/last"
    if ending == ".gz":
        data = gzip.compress(plain[:5000]) + gzip.compress(plain[5000:])
    elif ending == ".zst":
        zstandard = pytest.importorskip("zstandard", reason="zstandard is not installed")
        data = zstandard.compress(plain[:5000]) + zstandard.compress(plain[5000:])
    else:
        data = plain
    path = tmp_path / f"in{ending}"
    path.write_bytes(data)
    async with InputLines(str(path)) as lines:
        assert lines.total is None
        first = await lines.__anext__()
        assert lines.total is not None
        assert 10_000 < lines.total < 40_000, "estimated from what was read"
        got = [first, *[line async for line in lines]]
        assert (lines.total, lines.is_at_end) == (20_001, True)
    assert len(got) == 20_001
    assert got[-1] == "http://a/last"


async def test_lines_of_a_pipe(tmp_path: Path) -> None:
    """Waiting for a pipe does not block other tasks and can be cancelled at any time."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    write = os.open(path, os.O_RDWR)
    lines = InputLines(str(path))
    try:
        os.write(write, b"http://a/1\nhttp://a/2\nhttp://a/half")
        assert [await lines.__anext__(), await lines.__anext__()] == ["http://a/1", "http://a/2"]
        waiting = await curio.spawn(lines.__anext__)
        await curio.sleep(0.01)
        os.write(write, b"-line\n")
        assert await waiting.join() == "http://a/half-line"
        waiting = await curio.spawn(lines.__anext__)
        await curio.sleep(0.01)
        await waiting.cancel()
    finally:
        os.close(write)
        await lines.aclose()


# -- options


def test_options_travel() -> None:
    """Options survive pickle and JSON; `split` divides the connections."""
    options = FetchOptions(rate=10.0, headers={"X-A": "1"}, only_status=("2xx",), connections=10)
    assert pickle.loads(pickle.dumps(options)) == options
    assert FetchOptions.from_dict(json.loads(json.dumps(options.as_dict()))) == options
    shard = options.split(4)
    assert (shard.rate, shard.connections, shard.host_connections) == (10.0, 2, 8)


@pytest.mark.parametrize(
    "bad",
    [
        {"connections": 0},
        {"retries": -1},
        {"timeout": 0},
        {"max_body": -5},
        {"only_status": ("2",)},
        {"rate": 0},
        {"only_status": ("abc",)},
    ],
)
def test_options_that_make_no_sense(bad: Any) -> None:
    """Invalid options raise when they are made; the message names the field."""
    with pytest.raises(ValueError, match=r"connections|retries|timeout|max_body|filter|rate"):
        FetchOptions(**bad)


def test_filters() -> None:
    """Status patterns are numbers, classes and ranges; type patterns exact or with a star."""
    assert matches_status(204, ("2xx",))
    assert not matches_status(304, ("2xx", "404"))
    assert matches_status(450, ("400-499",))
    assert matches_type("text/html; charset=utf-8", ("text/html",))
    assert matches_type("image/png", ("text/html", "image/*"))
    assert not matches_type("application/json", ("image/*",))


# -- records out


def test_json_record() -> None:
    """A record contains the request, the response and how it was fetched."""
    made = as_dict(fetched(page(b"gr\xc3\xbc\xc3\x9fe"), key=7))
    assert made == {
        "url": "http://a/",
        "key": 7,
        "status": 200,
        "type": "text/plain",
        "size": 7,
        "body": "grüße",
        "attempts": 1,
        "elapsed": 0.5,
        "fetched_at": "2026-01-01T00:00:00.000Z",
    }
    assert as_dict(fetched(page(b"\xff\x00", "image/png")))["body_base64"] == "/wA="
    assert as_dict(fetched(page(b"\xff\x00")))["body_base64"] == "/wA="
    assert "body" not in as_dict(fetched(page()), body="none")
    assert as_dict(fetched(page()), headers=True)["headers"] == [["content-type", "text/plain"]]
    assert as_dict(fetched(None, ConnectionFailed("no")))["error"] == {
        "kind": "ConnectionFailed",
        "message": "no",
    }


@pytest.mark.parametrize(
    ("content", "kind", "fields"),
    [
        (b"gr\xfc\xdfe", "text/plain; charset=latin-1", {"body": "grüße"}),
        (b"\xef\xbb\xbfgr\xc3\xbc\xc3\x9fe", "text/plain", {"body": "grüße"}),
        ("grüße".encode("utf-16"), "text/html", {"body": "grüße"}),
        ("grüße".encode("utf-16-le"), "text/html; charset=utf-16", {"body": "grüße"}),
        ("grüße".encode("gb18030"), "text/html; charset=gb2312", {"body": "grüße"}),
        ("grüße".encode(), "text/html; charset=punycode", {"body": "grüße"}),
        ("grüße".encode(), "text/html; charset=utf-7", {"body": "grüße"}),
        ("grüße".encode(), "text/html; charset=ascii", {"body": "grüße"}),
        (b"+AOk-", "text/html; charset=utf-7", {"body": "+AOk-"}),
        (b"\xff\xff", "text/html; charset=rot13", {"body_base64": "//8="}),
        (b"gr\xfc\xdfe", "text/plain; charset=utf-8", {"body_base64": "Z3L832U="}),
    ],
)
def test_text_of_a_record(content: bytes, kind: str, fields: dict[str, str]) -> None:
    """Records use the decoder of responses; a body that it cannot decode is base64."""
    made = as_dict(fetched(page(content, kind)))
    assert {name: made[name] for name in made if name.startswith("body")} == fields


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "utf-8", "iso2022_jp"])
def test_no_charset_stalls_a_record(charset: str) -> None:
    """A record of 2 MB takes less than a second, whatever encoding the server names."""
    one = fetched(page(b"a-" * 1_000_000 + b"+AGE-", f"text/html; charset={charset}"))
    assert thread_seconds(as_dict, one, tries=1) < 1


@pytest.mark.parametrize("name", FORMATS)
def test_batches_stand_behind_each_other(name: str) -> None:
    """In every format, consecutive batches are one valid file."""
    form = get_format("out", name, "auto", False)
    pages = [fetched(page(b"body %d" % n)) for n in range(6)]
    data = form.batch([form.record(p) for p in pages[:2]], True) + form.batch(
        [form.record(p) for p in pages[2:]], False
    )
    if name.startswith("warc"):
        iterator = pytest.importorskip("warcio.archiveiterator").ArchiveIterator(io.BytesIO(data))
        records = [(r.rec_type, r.content_stream().read()) for r in iterator]
        assert [kind for kind, _ in records] == ["warcinfo"] + ["response"] * 6
        bodies = [body for _, body in records[1:]]
    else:
        if name.endswith(".gz"):
            data = gzip.decompress(data)
        elif name.endswith(".zst"):
            zstandard = pytest.importorskip("zstandard")
            reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
            data = reader.read()
        bodies = [json.loads(line)["body"].encode() for line in data.splitlines()]
    assert bodies == [b"body %d" % n for n in range(6)]


def test_warc_of_a_failure() -> None:
    """A URL without a response has a metadata record with the reason in the WARC."""
    archive = pytest.importorskip("warcio.archiveiterator").ArchiveIterator
    form = get_format("o.warc", None, "auto", False)
    data = form.batch([form.record(fetched(None, ConnectionFailed("refused")))], False)
    (record,) = [
        (r.rec_type, r.rec_headers["WARC-Target-URI"], r.content_stream().read())
        for r in archive(io.BytesIO(data))
    ]
    assert record == ("metadata", "http://a/", b"fetchError: ConnectionFailed: refused\r\n")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.jsonl", "jsonl"),
        ("a", "jsonl"),
        ("a.jsonl.gz", "jsonl.gz"),
        ("a.jsonl.zst", "jsonl.zst"),
        ("a.warc", "warc"),
        ("a.warc.gz", "warc.gz"),
    ],
)
def test_format_by_name(name: str, form: str) -> None:
    """The suffix of the output sets the format."""
    assert get_format(name, None, "auto", False).name == form


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.csv.gz", "a.warc.zst", "dir.jsonl/a.txt"])
def test_unknown_suffix(name: str) -> None:
    """An unknown suffix is an error that lists the known ones; a named format takes precedence."""
    with pytest.raises(
        ValueError, match=r"\.jsonl, \.jsonl\.gz, \.jsonl\.zst, \.ndjson, \.parquet, \.warc"
    ):
        get_format(name, None, "auto", False)
    assert get_format(name, "jsonl", "auto", False).name == "jsonl"


@given(st.text(max_size=60), st.text(max_size=60))
def test_file_names_are_harmless(path: str, other: str) -> None:
    """Every URL has a relative name inside the directory, different from that of other URLs."""
    name = file_name("http://a/" + path)
    pieces = name.split("/")
    assert ".." not in pieces
    assert not name.startswith("/")
    assert all(0 < len(piece.encode()) < 400 and "\0" not in piece for piece in pieces)
    assert path == other or file_name("http://a/" + other) != name


def test_file_names_are_readable() -> None:
    """A file name contains host, path and suffix of the URL."""
    name = file_name("http://a.com/docs/paper.pdf?x=1")
    assert name.startswith("a.com_80/docs/paper-")
    assert name.endswith(".pdf")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.com/docs/paper.pdf", "a.com/docs/paper.pdf"),
        ("http://a.com/docs/paper.pdf", "a.com_80/docs/paper.pdf"),
        ("http://127.0.0.1:8000/logo.png", "127.0.0.1_8000/logo.png"),
        ("http://a:8080/x.tar.gz", "a_8080/x.tar.gz"),
    ],
)
def test_plain_file_names(url: str, name: str) -> None:
    """A URL keeps its own path if no other URL can have the same name."""
    assert file_name(url) == name


@pytest.mark.parametrize(
    "other",
    [
        "https://a/x.txt?",
        "https://a/x.txt#f",
        "https://a//x.txt",
        "https://a/./x.txt",
        "https://a:443/x.txt",
        "https://A/x.txt",
        "https://u@a/x.txt",
        "http://a/x.txt",
        "https://a/x",
        "https://a/x.txt/",
        "https://a/%78.txt",
        "https://a/x.txt/y.txt",
        "ftp://a/x.txt",
    ],
)
def test_plain_file_names_do_not_collide(other: str, tmp_path: Path) -> None:
    """Different URLs have different files that can exist side by side."""
    for url in ("https://a/x.txt", other):
        path = tmp_path / file_name(url, "text/plain")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(url)


@given(
    st.sets(
        st.builds(
            "{}://{}/{}".format,
            st.sampled_from(["http", "https"]),
            st.sampled_from(["a", "a_80", "a:80", "a:8080", "a_8080"]),
            st.text("ab._/-?%", max_size=8),
        ),
        max_size=30,
    )
)
def test_file_names_are_unique(urls: set[str]) -> None:
    """No two URLs share a file, and no file has the name of a directory."""
    # One port speaks one protocol: no list has both of these with answers.
    urls = {url for url in urls if not url.startswith(("https://a:80/", "https://a:8080"))}
    names = [file_name(url, "text/html") for url in urls]
    assert len(set(names)) == len(names)
    directories = {"/".join(n.split("/")[:k]) for n in names for k in range(1, n.count("/") + 1)}
    assert not directories & set(names)


def test_index_pages_have_a_suffix() -> None:
    """A page without a suffix gets that of its media type."""
    assert file_name("http://a.com/", "text/html").endswith(".html")


# -- pages


async def test_limits_and_filters() -> None:
    """A body over the limit is an error, a dropped body is not read, and all are closed."""
    answers: list[Answer] = []

    def answer(url: str) -> Answer:
        answers.append(
            Answer(404 if "gone" in url else 200, b"x" * 5000, url, content_type="text/html")
        )
        return answers[-1]

    table = FakeSession(answer)
    with pytest.raises(ResponseTooLarge, match="larger than 4000 bytes"):
        await PageSession(table, FetchOptions(max_body=4000)).request("GET", "http://a/")
    pages = PageSession(table, FetchOptions(only_status=("2xx",), only_type=("text/*",)))
    gone = await pages.request("GET", "http://a/gone")
    assert (gone.dropped, gone.size, len(answers[1].body.content)) == ("status", 0, 5000)
    fine = await pages.request("GET", "http://a/")
    assert (fine.dropped, fine.size) == (None, 5000)
    assert all(one.body.closed for one in answers[1:]), "the first was not streamed"


async def test_files(tmp_path: Path) -> None:
    """A file gets its name when it is complete, and no partial file stays."""
    table = FakeSession(lambda url: Answer(200, b"x" * 5000, url, content_type="text/plain"))
    pages = PageSession(table, FetchOptions(), directory=tmp_path)
    made = await pages.request("GET", "http://a/b/c.txt")
    assert made.file is not None
    assert (tmp_path / made.file).read_bytes() == b"x" * 5000
    small = PageSession(table, FetchOptions(max_body=100), directory=tmp_path)
    with pytest.raises(ResponseTooLarge):
        await small.request("GET", "http://a/b/d.txt")
    assert list((tmp_path / ".partial").iterdir()) == []


# -- the run


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def open_writer(path: Path, **options: Any) -> CheckpointWriter:
    form = get_format(str(path), None, "auto", False)
    return CheckpointWriter(Checkpoint(path, form.name, **options), form)


def urls(n: int) -> list[str]:
    return [f"http://h{i % 5}/{i}" for i in range(n)]


async def test_fetch_and_resume(tmp_path: Path) -> None:
    """Each URL is fetched once, even if it is repeated or the run is resumed."""
    out = tmp_path / "o.jsonl"
    session = FakeSession()
    writer = open_writer(out)
    stats = await BulkFetch(session, PLAIN, urls(30) + urls(10), writer).run()
    writer.checkpoint.close()
    assert (stats.done, stats.skipped, writer.written) == (30, 10, 30)
    writer = open_writer(out, resume=True)
    stats = await BulkFetch(session, PLAIN, urls(50), writer).run()
    writer.checkpoint.close()
    assert (stats.done, stats.skipped) == (20, 30)
    assert sorted(row["url"] for row in read(out)) == sorted(urls(50))
    assert len(session.asked) == 50


async def test_failures_and_filters(tmp_path: Path) -> None:
    """Failures have records; responses dropped by a filter are done without a record."""

    def answer(url: str) -> Any:
        number = int(url.rpartition("/")[2])
        return (
            ConnectionFailed("no") if number % 3 == 0 else Answer(200 if number % 3 == 1 else 404)
        )

    out = tmp_path / "o.jsonl"
    writer = open_writer(out)
    options = FetchOptions(robots=False, retries=0, max_failures=0, only_status=("200",))
    stats = await BulkFetch(FakeSession(answer), options, urls(30), writer).run()
    writer.checkpoint.close()
    assert (stats.done, stats.failed, stats.dropped) == (20, 10, 10)
    assert stats.error_counts == {"ConnectionFailed": 10}
    assert sorted(row.get("status", 0) for row in read(out)) == [0] * 10 + [200] * 10
    assert len(writer.checkpoint.done) == 30


async def test_shares_cover_everything(tmp_path: Path) -> None:
    """Shards fetch each URL once, and each host belongs to one shard."""
    out = tmp_path / "o.jsonl"
    hosts: list[set[str]] = []
    for which in range(3):
        session = FakeSession()
        writer = open_writer(out, resume=True)
        await BulkFetch(session, PLAIN, urls(60), writer, shard=(which, 3)).run()
        writer.checkpoint.close()
        hosts.append({url.split("/")[2] for url in session.asked})
        assert all(shard_of(host, 3) == which for host in hosts[-1])
    assert len(set.union(*hosts)) == sum(map(len, hosts)) == 5
    assert sorted(row["url"] for row in read(out)) == sorted(urls(60))


async def test_stop(tmp_path: Path) -> None:
    """`stop` ends the run after the requests under way; all results are written."""
    out = tmp_path / "o.jsonl"
    session = FakeSession()
    writer = open_writer(out)
    count = 0

    async def stop_soon(fetch: BulkFetch) -> None:
        while fetch.stats.done < 20:
            await curio.sleep(0)
        await fetch.stop()

    fetch = BulkFetch(session, PLAIN, urls(5000), writer)
    task = await curio.spawn(stop_soon, fetch)
    stats = await fetch.run()
    await task.join()
    writer.checkpoint.close()
    count = len(read(out))
    assert 20 <= count == stats.done == len(session.asked) < 5000


async def test_cancelled(tmp_path: Path) -> None:
    """A cancelled run writes the results received and leaves no request under way."""
    out = tmp_path / "o.jsonl"

    async def answer(url: str) -> Answer:
        if len(session.asked) > 20:
            await curio.Event().wait()
        return Answer()

    session = FakeSession(answer)
    writer = open_writer(out)
    fetch = BulkFetch(session, PLAIN, urls(500), writer)
    task = await curio.spawn(fetch.run)
    while fetch.stats.done < 20:
        await curio.sleep(0)
    await task.cancel()
    writer.checkpoint.close()
    assert session.active == 0
    assert len(read(out)) == fetch.stats.done == 20


async def test_broken_pipe() -> None:
    """A closed pipe ends the run; the message says how much was written."""
    r, w = os.pipe()
    os.close(r)
    writer = StreamWriter(w, get_format("-", "jsonl", "auto", False))
    try:
        with pytest.raises(OutputError, match="closed by its reader; 0 records"):
            await BulkFetch(FakeSession(), PLAIN, urls(100), writer).run()
    finally:
        os.close(w)


def test_tally() -> None:
    """Results are counted by kind, status and host; rates are of the last seconds."""
    stats = FetchStats(100.0)
    for n in range(10):
        stats.add(f"h{n % 2}", 200, 1000, None)
    stats.add("h0", None, 0, "ReadTimeout")
    assert stats.rates(102.0) == (5.5, 5000.0)
    merged = FetchStats.merge([stats.as_dict(), stats.as_dict()], 0.0)
    assert (merged.done, merged.failed, merged.bytes) == (20, 2, 20_000)
    assert merged.error_counts == {"ReadTimeout": 2}
    assert stats.busiest_hosts(1) == [("h0", [5, 1, 5000])]


# -- what is asked for


def test_what_identifies_a_request() -> None:
    """A fragment is part of the identity but not of the fetch; no input raises."""
    first, plain = (identify_request(f"http://a/b{end}")[0] for end in ("#x", ""))
    assert (first.fetch_key, first.key == plain.key) == (plain.fetch_key, False)
    posted = identify_request({"url": "http://a/b#x", "method": "POST"})[0]
    assert posted.fetch_key not in (first.fetch_key, posted.key)
    keyed = identify_request({"url": "http://a/b#x", "key": 1})[0]
    assert (keyed.fetch_key, keyed.user_key) == (keyed.key, 1)


class Unprintable:
    def __repr__(self) -> str:
        return "\x1b[31m\ud800"


JUNK = [
    None,
    7,
    b"http://a/",
    ("k", "http://a/"),
    [],
    {},
    {"url": ""},
    {"key": {1j: 2}},
    Unprintable(),
]


@pytest.mark.parametrize("junk", JUNK, ids=ascii)
async def test_junk_is_a_failed_result(junk: Any, tmp_path: Path) -> None:
    """An invalid request fails alone and can be written in every format."""
    for name in FORMATS:
        if name.startswith("warc"):
            pytest.importorskip("warcio", reason="warcio is not installed")
        writer = open_writer(tmp_path / f"o.{name}")
        session = FakeSession(lambda url: Answer(url=url, content=b"ok") if url else ValueError())
        options = FetchOptions(robots=False, retries=0, max_failures=0)
        stats = await BulkFetch(session, options, ["http://a/", junk, "http://b/"], writer).run()
        writer.checkpoint.close()
        assert (stats.done, stats.failed, writer.written) == (2, 1, 3)


async def test_fragments_under_way(tmp_path: Path) -> None:
    """URLs that share a fetch under way get its whole result."""
    out = tmp_path / "o.jsonl"
    session = FakeSession()
    writer = open_writer(out)
    asked = ["http://a/b#x", "http://a/b", "http://a/b#y", "http://a/b#x"]
    stats = await BulkFetch(session, PLAIN, asked, writer).run()
    writer.checkpoint.close()
    assert session.asked == ["http://a/b#x"]
    assert (stats.done, stats.skipped) == (3, 1)
    rows = read(out)
    assert [row["url"] for row in rows] == asked[:3]
    assert [row.get("same_as") for row in rows] == [None, "http://a/b", "http://a/b"]
    assert {(row["status"], row["body"]) for row in rows} == {(200, "http://a/b#x")}


@pytest.mark.parametrize("outcome", ["fetched", "dropped", "failed"])
async def test_fragments_after_the_end(outcome: str, tmp_path: Path) -> None:
    """Later URLs refer to an earlier successful fetch; after a failure they are fetched."""
    done = curio.Event()

    async def answer(url: str) -> Any:
        return ConnectionFailed("no") if outcome == "failed" else Answer(url=url)

    async def source() -> Any:
        yield "http://a/b#x"
        await done.wait()
        yield "http://a/b#y"

    out = tmp_path / "o.jsonl"
    session = FakeSession(answer)
    writer = open_writer(out)
    options = FetchOptions(
        robots=False,
        retries=0,
        max_failures=0,
        only_status=("404",) if outcome == "dropped" else (),
    )
    fetch = BulkFetch(session, options, source(), writer)
    task = await curio.spawn(fetch.run)
    while not fetch.stats.done + fetch.stats.failed:
        await curio.sleep(0)
    await done.set()
    await task.join()
    writer.checkpoint.close()
    assert session.asked == ["http://a/b#x", "http://a/b#y"][: 1 + (outcome == "failed")]
    rows = read(out)
    assert [row.get("same_as") for row in rows] == {
        "fetched": [None, "http://a/b"],
        "dropped": [],
        "failed": [None, None],
    }[outcome]
    assert len(writer.checkpoint.done) == 2


def test_json_for_all_readers() -> None:
    """Records are UTF-8 JSON without lone surrogates, NaN or infinities."""
    form = get_format("o.jsonl", None, "auto", False)
    nan = float("nan")
    made = fetched(None, ConnectionFailed("\ud800"), key=["\udfff", {"\ud83d": 2**70}, nan])
    row = json.loads(form.record(made), parse_constant=pytest.fail)
    assert row["error"]["message"] == "\\ud800"
    assert row["key"] == ["\\udfff", {"\\ud83d": 2**70}, None]


def test_warc_is_no_index_of_files(tmp_path: Path) -> None:
    """`--output-dir` and WARC are refused together: the archive would have no bodies."""
    config = FetchConfig("-", str(tmp_path / "o.warc"), directory=str(tmp_path / "files"))
    with pytest.raises(ValueError, match="WARC"):
        config.prepare_output(resume=False, overwrite=False)
