"""`asks-fast fetch --only-changed`: another run transfers only the pages that changed."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import zstandard
from support.commands import fetch, start_fetch
from support.site import Answer, Site

from asks_fast.crawl.checkpoint import CheckpointError
from asks_fast.crawl.previous_run import PreviousRun, build_index, output_of
from asks_fast.crawl.request_identity import identify_request

MONDAY = "Mon, 05 Jan 2026 10:00:00 GMT"
BASE = ("--no-robots", "--retries", "0")


class Pages(Site):
    """Pages with versions: `version[path]` is in the ETag. Conditions are evaluated."""

    def __init__(self) -> None:
        super().__init__(self.answer)
        self.version: Counter[str] = Counter()
        self.redirects: dict[str, str] = {}
        self.fields: dict[str, str] = {}  # of each response, instead of the ETag

    def answer(self, host: int, path: str) -> Answer:
        if path in self.redirects:
            return 302, {"Location": self.redirects[path]}, b""
        tag = f'"{path}-{self.version[path]}"'
        fields = self.fields or {"ETag": tag}
        sent = self.headers[-1]
        if sent.get("if-none-match") == tag or sent.get("if-modified-since") == MONDAY.lower():
            return 304, fields, b""
        body = f"page {path} {self.version[path]}".encode()
        return 200, {"Content-Type": "text/plain", **fields}, body

    def conditions(self) -> dict[str, str]:
        """The If-None-Match or If-Modified-Since of each request, by path."""
        return {
            asked.split()[2]: fields.get("if-none-match", "") + fields.get("if-modified-since", "")
            for asked, fields in zip(self.asked, self.headers, strict=True)
        }

    def forget(self) -> None:
        self.asked.clear()
        self.headers.clear()


@pytest.fixture
def site() -> Iterator[Pages]:
    with Pages() as one:
        yield one


def run(directory: Path, requests: list[Any], *arguments: str, status: int = 0) -> str:
    """Fetch the requests; return what was written to standard error."""
    source = directory / "urls.txt"
    source.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in requests))
    done = fetch(str(source), *BASE, *arguments)
    assert done.returncode == status, done.stderr
    return done.stderr


def records(output: Path) -> dict[str, dict[str, Any]]:
    """Return the records of an output by URL."""
    if output.suffix == ".parquet":
        rows = pyarrow.parquet.read_table(output).to_pylist()
        found = [{k: v for k, v in row.items() if v is not None} for row in rows]
    else:
        data = output.read_bytes()
        if output.suffix == ".gz":
            data = gzip.decompress(data)
        elif output.suffix == ".zst":
            unpack = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
            data = unpack.decompress(data)
        found = [json.loads(line) for line in data.splitlines()]
    assert len({row["url"] for row in found}) == len(found)
    return {row["url"]: row for row in found}


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.zst", "parquet"])
def test_recrawl(site: Pages, tmp_path: Path, suffix: str) -> None:
    """Unchanged pages have status 304 and no body; a third run continues from the second."""
    urls = [f"{site.urls[0]}/{n}" for n in range(10)]
    first, second, third = (tmp_path / f"{n}.{suffix}" for n in range(3))
    run(tmp_path, urls, "-o", str(first))
    before = records(first)[urls[0]]
    assert before["etag"] == '"/0-0"'
    site.version["/3"] += 1
    shown = run(tmp_path, urls, "-o", str(second), "--only-changed", str(first))
    assert "10 done, 0 failed" in shown
    assert "9 unchanged" in shown
    found = records(second)
    changed = found.pop(urls[3])
    assert (changed["status"], changed["body"]) == (200, "page /3 1")
    assert "unchanged_since" not in changed
    for url, row in found.items():
        assert row["status"] == 304
        assert row["unchanged_since"] == records(first)[url]["fetched_at"]
        assert row["etag"] == records(first)[url]["etag"]
        assert not row.keys() & {"body", "body_base64", "size", "type"}
    site.forget()
    site.version["/5"] += 1
    run(tmp_path, urls, "-o", str(third), "--only-changed", str(second))
    found = records(third)
    assert found[urls[0]]["unchanged_since"] == before["fetched_at"]
    assert found[urls[3]]["unchanged_since"] == changed["fetched_at"]
    assert found[urls[5]]["body"] == "page /5 1"
    assert Counter(row["status"] for row in found.values()) == {304: 9, 200: 1}


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ((), '"a"' + MONDAY.lower()),
        (("--no-etag",), MONDAY.lower()),
        (("--no-if-modified",), '"a"'),
    ],
)
def test_validators(site: Pages, tmp_path: Path, arguments: tuple[str, ...], sent: str) -> None:
    """Both validators are sent, and each can be turned off."""
    site.fields = {"ETag": '"a"', "Last-Modified": MONDAY}
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    run(tmp_path, [site.urls[0] + "/x"], "-o", str(first))
    site.forget()
    more = ("--only-changed", str(first), *arguments)
    run(tmp_path, [site.urls[0] + "/x", site.urls[0] + "/new"], "-o", str(second), *more)
    assert site.conditions() == {"/x": sent, "/new": ""}


def test_conditions_of_the_request(site: Pages, tmp_path: Path) -> None:
    """A 304 to conditions of the request itself, or to HEAD, is not for the earlier page."""
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    url = site.urls[0]
    own = {"headers": {"If-None-Match": '"/own-0"'}}
    requests = [
        {"url": f"{url}/own", "key": "own", **own},
        {"url": f"{url}/head", "key": "head", "method": "HEAD", "headers": {"If-None-Match": "*"}},
        {"url": f"{url}/plain", "key": "plain"},
    ]
    plain = [{"url": request["url"], "key": request["key"]} for request in requests]
    run(tmp_path, plain, "-o", str(first))
    answer = site.page
    site.page = lambda host, path: (
        (304, {"ETag": '"/head-0"'}, b"") if path == "/head" else answer(host, path)
    )
    shown = run(tmp_path, requests, "-o", str(second), "--only-changed", str(first))
    assert "1 unchanged" in shown
    found = {row["key"]: row for row in records(second).values()}
    assert [row["status"] for row in found.values()] == [304, 304, 304]
    assert [key for key, row in found.items() if "unchanged_since" in row] == ["plain"]
    all_conditional = tmp_path / "3.jsonl"
    headers = ("-H", 'If-None-Match: "/plain-0"')
    more = ("--only-changed", str(first), *headers)
    assert "unchanged" not in run(tmp_path, plain[2:], "-o", str(all_conditional), *more)


def test_retried(site: Pages, tmp_path: Path) -> None:
    """A page that is unchanged at the second try is recorded as unchanged."""
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    run(tmp_path, [f"{site.urls[0]}/x"], "-o", str(first))
    answer, answers = site.page, iter([(503, {"Retry-After": "0"}, b"")])
    site.page = lambda host, path: next(answers, None) or answer(host, path)
    more = ("--retries", "1", "--only-changed", str(first))
    assert "1 unchanged" in run(tmp_path, [f"{site.urls[0]}/x"], "-o", str(second), *more)
    (row,) = records(second).values()
    assert (row["status"], row["attempts"]) == (304, 2)


def test_directory(site: Pages, tmp_path: Path) -> None:
    """The files of unchanged pages are kept; a page whose file is gone is fetched."""
    urls = [f"{site.urls[0]}/{n}.txt" for n in range(4)]
    first, second = tmp_path / "first", tmp_path / "second"
    run(tmp_path, urls, "--output-dir", str(first))
    before = records(first / "index.jsonl")
    (first / before[urls[0]]["file"]).unlink()
    site.version["/1.txt"] += 1
    run(tmp_path, urls, "--output-dir", str(second), "--only-changed", str(first))
    after = records(second / "index.jsonl")
    assert [after[url]["status"] for url in urls] == [200, 200, 304, 304]
    for number, url in enumerate(urls):
        body = (second / after[url]["file"]).read_text()
        assert body == f"page /{number}.txt {int(number == 1)}"
    assert not list(second.glob(".partial/*"))


def test_redirects(site: Pages, tmp_path: Path) -> None:
    """Validators go only to the URL that the page came from, after redirects."""
    base = site.urls[0]
    site.redirects = {"/same": "/target", "/moved": "/target"}
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    urls = [base + "/same", base + "/moved", base + "/direct"]
    run(tmp_path, urls, "-o", str(first))
    site.redirects = {"/same": "/target", "/moved": "/other", "/direct": "/else"}
    site.forget()
    run(tmp_path, urls, "-o", str(second), "--only-changed", str(first))
    sent = site.conditions()
    assert (sent["/target"], sent["/direct"]) == ('"/target-0"', '"/direct-0"')
    assert sent["/other"] == sent["/else"] == ""
    found = records(second)
    assert [found[url]["status"] for url in urls] == [304, 200, 200]
    assert found[urls[0]]["final_url"] == base + "/target"


def test_requests_that_stay_as_they_are(site: Pages, tmp_path: Path) -> None:
    """Other methods, own conditions, and a key with another URL get no validators."""
    base = site.urls[0]
    requests: list[Any] = [
        {"url": base + "/post", "method": "POST", "data": "x", "key": 1},
        {"url": base + "/own", "headers": {"If-Match": '"z"'}, "key": 2},
        {"url": base + "/keyed", "key": 3},
        {"url": base + "/moved", "key": 4},
    ]
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    run(tmp_path, requests, "-o", str(first))
    requests[3]["url"] = base + "/elsewhere"
    site.forget()
    run(tmp_path, requests, "-o", str(second), "--only-changed", str(first))
    sent = {path: tag for path, tag in site.conditions().items() if tag}
    assert sent == {"/keyed": '"/keyed-0"'}


def test_filters(site: Pages, tmp_path: Path) -> None:
    """A page that passed the filters and has not changed is recorded."""
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    filters = ("--only-status", "2xx", "--only-type", "text/plain")
    urls = [site.urls[0] + "/x"]
    run(tmp_path, urls, "-o", str(first), *filters)
    run(tmp_path, urls, "-o", str(second), *filters, "--only-changed", str(first))
    assert records(second)[urls[0]]["status"] == 304


def test_killed_and_resumed(site: Pages, tmp_path: Path) -> None:
    """A recrawl in two processes that is killed is resumed: each URL has one record."""
    urls = [f"{site.urls[0]}/{n}" for n in range(40)]
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    run(tmp_path, urls, "-o", str(first))
    more = ("-o", str(second), "--only-changed", str(first), "--workers", "2", "--resume")
    with start_fetch(str(tmp_path / "urls.txt"), *BASE, *more, "-c", "2") as process:
        while not second.exists():
            assert process.poll() is None
        process.kill()
        process.wait(60)
    run(tmp_path, urls, *more)
    assert Counter(row["status"] for row in records(second).values()) == {304: 40}


def test_wrong_use(site: Pages, tmp_path: Path) -> None:
    """Outputs that cannot serve are usage errors."""
    first = tmp_path / "1.jsonl"
    urls = [site.urls[0] + "/x"]
    run(tmp_path, urls, "-o", str(first))
    for arguments, reason in (
        (("-o", str(first), "--resume"), "is also the output"),
        (("-o", str(tmp_path / "2.warc")), "JSON Lines or Parquet"),
        (("--no-etag", "--no-if-modified"), "needs --etag or --if-modified"),
    ):
        shown = run(tmp_path, urls, *arguments, "--only-changed", str(first), status=2)
        assert reason in shown
    shown = run(tmp_path, urls, "--only-changed", str(tmp_path / "none"), status=2)
    assert "no such file" in shown
    shown = run(tmp_path, urls, "--only-changed", str(tmp_path / "urls.txt"), status=2)
    assert "is not JSON Lines" in shown or "suffix" in shown


def test_index(tmp_path: Path) -> None:
    """Only pages with status 200 and valid validators are in the index; the last record counts."""
    rows = [
        {"url": "http://a/1", "status": 200, "etag": '"x"\r\nA: b', "last_modified": "no\ndate"},
        {"url": "http://a/2", "status": 404, "etag": '"x"'},
        {"url": "http://a/3", "status": 304, "etag": '"x"'},
        {"url": "http://a/4#f", "status": 200, "etag": '"x"', "same_as": "http://a/4"},
        {"url": "http://a/5", "error": {"kind": "E", "message": ""}},
        {"url": "http://a/6", "status": 200, "etag": 'W/"old"'},
        {"url": "http://a/6", "status": 200, "etag": 'W/"new"', "fetched_at": "now"},
        [],
    ]
    output = tmp_path / "pages.jsonl"
    output.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"url": "http://a/7')
    assert build_index(output, tmp_path / "index") == 1
    previous = PreviousRun(str(tmp_path / "index"))
    page = previous.find(identify_request("http://a/6")[0])
    assert page == ("http://a/6", 'W/"new"', None, "now", None)
    assert previous.find(identify_request("http://a/1")[0]) is None
    previous.close()
    output.write_text("no JSON\n")
    with pytest.raises(CheckpointError, match="is not JSON Lines"):
        build_index(output, tmp_path / "other")
    (tmp_path / "a.warc").touch()
    with pytest.raises(CheckpointError, match="only JSON Lines and Parquet"):
        output_of(str(tmp_path / "a.warc"))


@pytest.mark.parametrize(
    "change",
    [
        {"final_url": ["http://a/1"]},
        {"final_url": "http://a/\ud800"},
        {"file": {"name": 1}},
        {"file": 5},
        {"file": "a\0b"},
        {"fetched_at": [1]},
        {"fetched_at": 10**30},
        {"status": 304, "unchanged_since": {"a": 1}},
    ],
    ids=str,
)
def test_members_of_other_types(tmp_path: Path, change: dict[str, Any]) -> None:
    """A record whose members have another type, or no valid text, is used without them."""
    record = {"url": "http://a/1", "status": 200, "etag": '"x"', **change}
    (tmp_path / "pages.jsonl").write_text(json.dumps(record))
    with (tmp_path / "pages.jsonl").open("a") as file:
        file.write("\n")
    assert build_index(tmp_path / "pages.jsonl", tmp_path / "index") == 1
    previous = PreviousRun(str(tmp_path / "index"))
    page = previous.find(identify_request("http://a/1")[0])
    assert page == ("http://a/1", '"x"', None, "", None)
    previous.close()


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/passwd"])
def test_a_file_of_another_directory(tmp_path: Path, name: str) -> None:
    """The earlier run cannot name a file outside of its directory: it is not linked or copied."""
    first, second = tmp_path / "first", tmp_path / "new" / "second"
    for directory in (first / "a", second):
        directory.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    record = {"url": "http://a/1", "status": 200, "etag": '"x"', "file": name}
    (first / "index.jsonl").write_text(json.dumps(record) + "\n")
    build_index(first / "index.jsonl", tmp_path / "index")
    previous = PreviousRun(str(tmp_path / "index"), str(first), second)
    identity = identify_request("http://a/1")[0]
    assert previous.find(identity) is None
    assert previous.find_unchanged(identity, 304, "http://a/1") is None
    assert not list(second.parent.glob("**/secret"))
    previous.close()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pages.jsonl.gz", b"\x1f\x8bno deflate"),
        ("pages.jsonl.zst", b"no zstandard data"),
        ("pages.jsonl", b"[" * 200_000 + b"\n"),
    ],
)
def test_broken_output(tmp_path: Path, name: str, content: bytes) -> None:
    """An output that cannot be read is a CheckpointError that names it."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"pages\.jsonl"):
        build_index(tmp_path / name, tmp_path / "index")
