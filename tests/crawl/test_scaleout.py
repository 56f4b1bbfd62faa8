"""Partitions of a bulk run, alone and on a real Dask cluster."""

from __future__ import annotations

import json
import os
import pickle
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.site import Site, text_page

from asks_fast.crawl.job import host_of
from asks_fast.scaleout import (
    FetchOptions,
    fetch_bag,
    fetch_distributed,
    fetch_partition,
    partition_by_host,
)

OPTIONS = FetchOptions(robots=False, retries=0)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(text_page, hosts=8, delay=0.01) as one:
        yield one


def urls_of(site: Site, count: int) -> list[str]:
    return [f"{site.urls[n % len(site.urls)]}/{n}" for n in range(count)]


def test_partitions_keep_hosts_together(site: Site) -> None:
    """Every request is in one partition, and so is every host."""
    urls = urls_of(site, 100)
    parts = partition_by_host(urls, 5)
    assert sorted(url for part in parts for url in part) == sorted(urls)
    hosts = [{host_of(url) for url in part} for part in parts]
    assert sum(map(len, hosts)) == len(set.union(*hosts)) == 8


def test_records_come_back(site: Site) -> None:
    """Without a shard, records are returned; everything can be pickled."""
    call = pickle.loads(pickle.dumps((fetch_partition, urls_of(site, 20), OPTIONS)))
    records = call[0](call[1], call[2])
    assert sorted(r["url"] for r in records) == sorted(urls_of(site, 20))
    assert all(r["status"] == 200 and r["body"].startswith("page") for r in records)
    (failed,) = fetch_partition(["http://127.0.0.1:1/"], {"robots": False, "retries": 0})
    assert failed["error"]["kind"] == "ConnectionFailed"


def test_shard_run_again(site: Site, tmp_path: Path) -> None:
    """A shard that is run again with more requests continues."""
    shard = tmp_path / "part.jsonl"
    first = fetch_partition(urls_of(site, 20), OPTIONS, shard=shard)
    again = fetch_partition(urls_of(site, 30), OPTIONS, shard=shard)
    assert (first["done"], again["done"], again["total"]) == (20, 10, 30)
    rows = [json.loads(line)["url"] for line in shard.read_text().splitlines()]
    assert sorted(rows) == sorted(urls_of(site, 30))


# -- Dask

dask_test = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(180),
    pytest.mark.leaves_open("dask keeps its event loop and logs"),
]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A real cluster of three worker processes."""
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


@pytest.mark.slow
class TestDask:
    """Partitions on a LocalCluster."""

    pytestmark = dask_test

    def test_bag(self, site: Site) -> None:
        """A bag of records, from a list and from a bag whose hosts are mixed."""
        bag = pytest.importorskip("dask.bag", reason="dask is not installed")
        urls = urls_of(site, 40)
        for requests in (urls, bag.from_sequence(urls, npartitions=4)):
            made = fetch_bag(requests, OPTIONS, partitions=3)
            got = made.pluck("url").compute(scheduler="synchronous")
            assert sorted(got) == sorted(urls)
        assert fetch_bag([], OPTIONS).compute(scheduler="synchronous") == []

    def test_records_streamed_back(self, site: Site, client: Any) -> None:
        """Records are yielded as partitions complete, each URL once."""
        urls = urls_of(site, 60)
        got = Counter(r["url"] for r in fetch_distributed(client, urls, OPTIONS))
        assert got == Counter(urls)

    def test_left_early(self, site: Site, client: Any) -> None:
        """Closing the generator cancels the other partitions."""
        results = fetch_distributed(client, urls_of(site, 60), OPTIONS, partitions=8)
        next(results)
        results.close()

    def test_worker_killed(self, site: Site, client: Any, tmp_path: Path) -> None:
        """Partitions of a killed worker run again; no URL is lost or repeated."""
        urls = urls_of(site, 1200)
        options = FetchOptions(robots=False, retries=0, host_connections=1)
        pids = client.run(os.getpid)
        before = len(site.asked)
        results = fetch_distributed(client, urls, options, partitions=6, shards=tmp_path)
        summaries = []
        killed = False
        import threading

        def kill() -> None:
            nonlocal killed
            while len(site.asked) < before + 200:
                time.sleep(0.005)
            os.kill(next(iter(pids.values())), signal.SIGKILL)
            killed = True

        killer = threading.Thread(target=kill)
        killer.start()
        summaries = list(results)
        killer.join()
        assert killed
        assert sum(s["total"] for s in summaries) == 1200
        rows = [
            json.loads(line)["url"]
            for shard in tmp_path.glob("*.jsonl")
            for line in shard.read_text().splitlines()
        ]
        assert Counter(rows) == Counter(urls)
