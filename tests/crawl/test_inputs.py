"""The lines of an input, and the identity of a request."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import curio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asks_fast.crawl.inputs import InputLines, InvalidLine, check_lines, parse_line
from asks_fast.crawl.job import make_job
from asks_fast.crawl.request_identity import identify_request, identity_text


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


def test_what_identifies_a_request() -> None:
    """A fragment is part of the identity but not of the fetch; no input raises."""
    first, plain = (identify_request(f"http://a/b{end}")[0] for end in ("#x", ""))
    assert (first.fetch_key, first.key == plain.key) == (plain.fetch_key, False)
    posted = identify_request({"url": "http://a/b#x", "method": "POST"})[0]
    assert posted.fetch_key not in (first.fetch_key, posted.key)
    keyed = identify_request({"url": "http://a/b#x", "key": 1})[0]
    assert (keyed.fetch_key, keyed.user_key) == (keyed.key, 1)
