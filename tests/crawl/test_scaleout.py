"""Partitions of a bulk run, without a cluster."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.site import Site, text_page

from asks_fast.crawl.job import host_of
from asks_fast.scaleout import (
    FetchOptions,
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
