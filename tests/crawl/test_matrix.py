"""Every output, filter and way to run a bulk fetch against hostile servers and hostile inputs.

Rules:  for all responses and inputs: robots.txt is obeyed; each request of the input is
        in the output exactly once, or was dropped by a filter; the output is valid for readers that
        are not ours; what a terminal gets is printable.
Not here: runs that are killed, or share their output (tests/crawl/test_command.py).
"""

from __future__ import annotations

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
from support.hostile_site import FIXED, Hosts, hostile_answers
from support.leaks import ignore_descriptor
from support.output_readers import check_printable, check_reported, json_urls, url_of, urls_in

from asks_fast import DSession
from asks_fast.crawl import Politeness, gather
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


FAST = {"retries": 0, "max_failures": 0, "timeout": 10.0}


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    made = Hosts()
    with made.site:
        yield made


@settings(max_examples=60)
@given(
    output=st.sampled_from([*OUTPUTS, "parquet", None]),
    filter_=st.sampled_from(sorted(FILTERS)),
    answers=st.lists(hostile_answers, max_size=8),
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
@given(answers=st.lists(hostile_answers, max_size=8), stream=st.booleans())
def test_library(hosts: Hosts, answers: list[bytes], stream: bool) -> None:
    """`session.gather`: one result each, in order, also if the session class changes responses."""
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
    """The requests as an input file; those that are not plain URLs are JSON."""
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
    """`asks-fast fetch`: its output, its messages, and what a second run fetches."""
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
    """The URLs as `fetch` reads them: http is added to those without a scheme."""
    urls = [url_of(one).strip() for one in requests]
    return [url if "://" in url else f"http://{url}" for url in urls]


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
