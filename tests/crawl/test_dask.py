"""Bulk runs on a real Dask cluster of three worker processes, some of which are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.site import Answer, Site, text_page

from asks_fast.scaleout import FetchOptions, fetch_bag, fetch_distributed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(180),
    pytest.mark.leaves_open("dask keeps its event loop and logs"),
]

OPTIONS = FetchOptions(robots=False, retries=0)
ONE_AT_A_TIME = FetchOptions(robots=False, retries=0, host_connections=1)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(text_page, hosts=8, delay=0.01) as one:
        yield one


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    with (
        distributed.LocalCluster(
            n_workers=3,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        distributed.Client(cluster) as one,
    ):
        yield one


def urls_of(site: Site, count: int) -> list[str]:
    return [f"{site.urls[n % len(site.urls)]}/{n}" for n in range(count)]


def urls_in(shards: Path) -> Counter[str]:
    """How often each URL is in the shards of a directory."""
    found: Counter[str] = Counter()
    for shard in shards.iterdir():
        if shard.suffix == ".parquet":
            import pyarrow.parquet

            found.update(pyarrow.parquet.read_table(shard).column("url").to_pylist())
        elif shard.suffix == ".jsonl":
            found.update(json.loads(line)["url"] for line in shard.read_text().splitlines())
    return found


def times_asked(site: Site) -> Counter[str]:
    """How often each URL was requested."""
    return Counter(f"{site.urls[int(host)]}{path}" for _, host, path in map(str.split, site.asked))


def test_bag(site: Site) -> None:
    """A bag of records, from a list and from a bag whose hosts are mixed."""
    bag = pytest.importorskip("dask.bag", reason="dask is not installed")
    urls = urls_of(site, 40)
    for requests in (urls, bag.from_sequence(urls, npartitions=4)):
        made = fetch_bag(requests, OPTIONS, partitions=3)
        got = made.pluck("url").compute(scheduler="synchronous")
        assert sorted(got) == sorted(urls)
    assert fetch_bag([], OPTIONS).compute(scheduler="synchronous") == []


def test_records_streamed_back(site: Site, client: Any) -> None:
    """Records are yielded as partitions complete, each URL once."""
    urls = urls_of(site, 60)
    got = Counter(r["url"] for r in fetch_distributed(client, urls, OPTIONS))
    assert got == Counter(urls)


def test_left_early(site: Site, client: Any) -> None:
    """Closing the generator cancels the other partitions."""
    results = fetch_distributed(client, urls_of(site, 60), OPTIONS, partitions=8)
    next(results)
    results.close()


class Killer:
    """Kills a worker, from a thread, when the site has received `count` requests."""

    def __init__(self, client: Any, site: Site, count: int) -> None:
        self.pids = list(client.run(os.getpid).values())
        self.site = site
        self.count = count

    def __enter__(self) -> None:
        self.thread = threading.Thread(target=self.kill)
        self.thread.start()

    def kill(self) -> None:
        self.site.wait_for(self.count)
        os.kill(self.pids[0], signal.SIGKILL)

    def __exit__(self, *_: object) -> None:
        self.thread.join()


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_worker_killed(site: Site, client: Any, tmp_path: Path, form: str) -> None:
    """With shards, each URL is recorded once, and only what was not written is fetched again."""
    urls = urls_of(site, 1200)
    with Killer(client, site, 200):
        summaries = list(
            fetch_distributed(
                client, urls, ONE_AT_A_TIME, partitions=6, shards=tmp_path, record_format=form
            )
        )
    assert sum(summary["total"] for summary in summaries) == 1200
    assert urls_in(tmp_path) == Counter(urls)
    asked = times_asked(site)
    assert asked.keys() == set(urls)
    assert max(asked.values()) <= 2


def test_worker_killed_without_shards(site: Site, client: Any) -> None:
    """Without shards each URL is yielded once; partitions of the killed worker begin again."""
    urls = urls_of(site, 600)
    with Killer(client, site, 100):
        found = fetch_distributed(client, urls, ONE_AT_A_TIME, partitions=6)
        got = Counter(record["url"] for record in found)
    assert got == Counter(urls)
    assert max(times_asked(site).values()) <= 2


def test_program_started_again(site: Site, client: Any, tmp_path: Path) -> None:
    """Another call with the same directory continues its shards, whatever the default number is."""
    urls = urls_of(site, 400)
    results = fetch_distributed(client, urls, ONE_AT_A_TIME, partitions=5, shards=tmp_path)
    first = next(results)
    results.close()
    summaries = list(fetch_distributed(client, urls, ONE_AT_A_TIME, shards=tmp_path))
    assert {summary["shard"] for summary in summaries} >= {first["shard"]}
    assert sum(summary["total"] for summary in summaries) == 400
    assert urls_in(tmp_path) == Counter(urls)
    with pytest.raises(ValueError, match="has shards of 5 partitions, not 7"):
        next(fetch_distributed(client, urls, partitions=7, shards=tmp_path))


class LimitedSite(Site):
    """Answers 429 to a request that arrives while four others are in progress."""

    def __init__(self) -> None:
        super().__init__(self.answer, delay=self.arrive)
        self.in_progress = 0
        self.rejected = 0
        self.is_over: dict[Any, bool] = {}

    def arrive(self) -> float:
        self.in_progress += 1
        self.is_over[asyncio.current_task()] = self.in_progress > 4
        return 0.02

    def answer(self, host: int, path: str) -> Answer:
        self.in_progress -= 1
        is_over = self.is_over.pop(asyncio.current_task())
        self.rejected += is_over
        return (429, {}, b"") if is_over else text_page(host, path)


def test_adaptive(client: Any) -> None:
    """Workers find the limit of a host, as the command does."""
    with LimitedSite() as site:
        urls = urls_of(site, 300)
        options = FetchOptions(robots=False, retries=5, host_connections=32)
        records = list(fetch_distributed(client, urls, options))
        assert Counter((record["url"], record["status"]) for record in records) == Counter(
            (url, 200) for url in urls
        )
        assert 0 < site.rejected < 60
