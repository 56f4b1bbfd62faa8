"""`BulkFetch`: reads inputs, fetches pages and writes outputs, on a fake session."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import curio
import pytest
from support.fake_session import Answer, FakeSession
from support.fetching import PLAIN, json_rows, make_urls, open_writer

from asks_fast.crawl.bulk_fetch import BulkFetch, OutputError, StreamWriter
from asks_fast.crawl.fetch_config import FetchConfig
from asks_fast.crawl.formats import FORMATS, get_format
from asks_fast.crawl.job import shard_of
from asks_fast.crawl.options import FetchOptions
from asks_fast.crawl.stats import FetchStats
from asks_fast.errors import ConnectionFailed


async def test_fetch_and_resume(tmp_path: Path) -> None:
    """Each URL is fetched once, even if it is repeated or the run is resumed."""
    out = tmp_path / "o.jsonl"
    session = FakeSession()
    writer = open_writer(out)
    stats = await BulkFetch(session, PLAIN, make_urls(30) + make_urls(10), writer).run()
    writer.checkpoint.close()
    assert (stats.done, stats.skipped, writer.written) == (30, 10, 30)
    writer = open_writer(out, resume=True)
    stats = await BulkFetch(session, PLAIN, make_urls(50), writer).run()
    writer.checkpoint.close()
    assert (stats.done, stats.skipped) == (20, 30)
    assert sorted(row["url"] for row in json_rows(out)) == sorted(make_urls(50))
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
    stats = await BulkFetch(FakeSession(answer), options, make_urls(30), writer).run()
    writer.checkpoint.close()
    assert (stats.done, stats.failed, stats.dropped) == (20, 10, 10)
    assert stats.error_counts == {"ConnectionFailed": 10}
    assert sorted(row.get("status", 0) for row in json_rows(out)) == [0] * 10 + [200] * 10
    assert len(writer.checkpoint.done) == 30


async def test_shares_cover_everything(tmp_path: Path) -> None:
    """Shards fetch each URL once, and each host belongs to one shard."""
    out = tmp_path / "o.jsonl"
    hosts: list[set[str]] = []
    for which in range(3):
        session = FakeSession()
        writer = open_writer(out, resume=True)
        await BulkFetch(session, PLAIN, make_urls(60), writer, shard=(which, 3)).run()
        writer.checkpoint.close()
        hosts.append({url.split("/")[2] for url in session.asked})
        assert all(shard_of(host, 3) == which for host in hosts[-1])
    assert len(set.union(*hosts)) == sum(map(len, hosts)) == 5
    assert sorted(row["url"] for row in json_rows(out)) == sorted(make_urls(60))


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

    fetch = BulkFetch(session, PLAIN, make_urls(5000), writer)
    task = await curio.spawn(stop_soon, fetch)
    stats = await fetch.run()
    await task.join()
    writer.checkpoint.close()
    count = len(json_rows(out))
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
    fetch = BulkFetch(session, PLAIN, make_urls(500), writer)
    task = await curio.spawn(fetch.run)
    while fetch.stats.done < 20:
        await curio.sleep(0)
    await task.cancel()
    writer.checkpoint.close()
    assert session.active == 0
    assert len(json_rows(out)) == fetch.stats.done == 20


async def test_broken_pipe() -> None:
    """A closed pipe ends the run; the message says how much was written."""
    r, w = os.pipe()
    os.close(r)
    writer = StreamWriter(w, get_format("-", "jsonl", "auto", False))
    try:
        with pytest.raises(OutputError, match="closed by its reader; 0 records"):
            await BulkFetch(FakeSession(), PLAIN, make_urls(100), writer).run()
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
    assert repr(stats) == "<FetchStats 10 done, 1 failed>"
    assert repr(FetchStats()) == "<FetchStats 0 done, 0 failed>"


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
    rows = json_rows(out)
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
    rows = json_rows(out)
    assert [row.get("same_as") for row in rows] == {
        "fetched": [None, "http://a/b"],
        "dropped": [],
        "failed": [None, None],
    }[outcome]
    assert len(writer.checkpoint.done) == 2


def test_warc_is_no_index_of_files(tmp_path: Path) -> None:
    """`--output-dir` and WARC are refused together: the archive would have no bodies."""
    config = FetchConfig("-", str(tmp_path / "o.warc"), directory=str(tmp_path / "files"))
    with pytest.raises(ValueError, match="WARC"):
        config.prepare_output(resume=False, overwrite=False)
