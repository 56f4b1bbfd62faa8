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

from asks_fast.crawl.checkpoint import CheckpointError
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


def test_parquet_shard(site: Site, tmp_path: Path) -> None:
    """A Parquet shard appears when it is complete; another run fetches nothing."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    shard = tmp_path / "part.parquet"
    fetch_partition(urls_of(site, 20), OPTIONS, shard=shard)
    asked = len(site.asked)
    assert fetch_partition(urls_of(site, 20), OPTIONS, shard=shard)["total"] == 20
    assert len(site.asked) == asked
    table = parquet.read_table(shard)
    assert sorted(table.column("url").to_pylist()) == sorted(urls_of(site, 20))
    assert list(tmp_path.iterdir()) == [shard]


def parquet_urls(shard: Path) -> list[str]:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    urls: list[str] = parquet.read_table(shard).column("url").to_pylist()
    return sorted(urls)


def test_parquet_shard_with_more_requests(site: Site, tmp_path: Path) -> None:
    """Another call with more requests fetches only the new ones."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    shard = tmp_path / "part.parquet"
    options = FetchOptions(robots=False, retries=0, only_status=("2xx",))
    for count, new in ((20, 20), (50, 30), (50, 0), (55, 5)):
        summary = fetch_partition(urls_of(site, count), options, shard=shard)
        assert (summary["done"], summary["total"]) == (new, count)
        assert parquet_urls(shard) == sorted(urls_of(site, count))
    assert len(site.asked) == 55
    assert list(tmp_path.iterdir()) == [shard]


@pytest.mark.parametrize("when", ["before the merge", "after the shard", "after the records"])
def test_parquet_shard_of_a_killed_call(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A kill during the merge loses and repeats nothing."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from asks_fast.crawl import parquet

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    shard = tmp_path / "part.parquet"
    fetch_partition(urls_of(site, 10), OPTIONS, shard=shard)
    places: dict[str, tuple[Any, str, Any]] = {
        "before the merge": (parquet, "merge", kill),
        "after the shard": (parquet, "_remove_rows", kill),
        "after the records": (Path, "unlink", _unlink_once(kill)),
    }
    with monkeypatch.context() as patched:
        patched.setattr(*places[when])
        with pytest.raises(Killed):
            fetch_partition(urls_of(site, 20), OPTIONS, shard=shard)
    fetch_partition(urls_of(site, 30), OPTIONS, shard=shard)
    assert parquet_urls(shard) == sorted(urls_of(site, 30))
    assert len(site.asked) == 30


def _unlink_once(kill: Any) -> Any:
    """`Path.unlink` that fails after the records are removed."""
    unlink = Path.unlink

    def replacement(path: Path, missing_ok: bool = False) -> None:
        if path.name.endswith(".checkpoint"):
            kill()
        unlink(path, missing_ok=missing_ok)

    return replacement


def test_parquet_shard_in_two_calls_at_once(site: Site, tmp_path: Path) -> None:
    """The second call waits for the first; each URL is fetched once."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    import threading

    shard = tmp_path / "part.parquet"
    calls = [
        threading.Thread(
            target=fetch_partition, args=(urls_of(site, n), OPTIONS), kwargs={"shard": shard}
        )
        for n in (40, 60)
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert parquet_urls(shard) == sorted(urls_of(site, 60))
    assert len(site.asked) == 60


def test_parquet_file_of_another_program(tmp_path: Path) -> None:
    """A file that is not a shard raises."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    arrow = pytest.importorskip("pyarrow")
    shard = tmp_path / "part.parquet"
    parquet.write_table(arrow.table({"a": [1]}), shard)
    with pytest.raises(CheckpointError, match="was not written by asks_fast"):
        fetch_partition(["http://127.0.0.1:1/"], OPTIONS, shard=shard)


def test_parquet_row_with_a_lone_surrogate(site: Site, tmp_path: Path) -> None:
    """Text that Arrow rejects does not end the partition."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    shard = tmp_path / "part.parquet"
    requests = [{"url": f"{site.urls[0]}/1", "key": "a\ud800"}, f"{site.urls[0]}/2"]
    assert fetch_partition(requests, OPTIONS, shard=shard)["total"] == 2
    assert len(parquet_urls(shard)) == 2


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
