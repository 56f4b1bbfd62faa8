"""Bulk fetching on many machines: one function that engines can call, and a thin binding to Dask.

`fetch_partition` fetches a list of URLs and gives records back, or writes them to a shard beside
the worker. It can be pickled and needs nothing but its arguments, so Dask, Ray and Spark call it
as it is; `fetch_bag` and `fetch_distributed` do that for Dask. Recipes: docs/guide/scaleout.md.

Facts:  engines run a failed partition again, perhaps while its first run is still alive.
Rules:  a host is in one partition only (`partition_by_host`), so politeness holds with no word
        between workers. A shard has a checkpoint: run again, it goes on, and holds each URL once.
        A URL that fails is a record, not an exception; a partition fails only if it cannot write.
Not here: fetching itself (`crawl`), clusters.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .crawl import parquet
from .crawl.bulk_fetch import BulkFetch
from .crawl.checkpoint import Uint64Set
from .crawl.fetch_config import FetchConfig, make_session, run_in_kernel
from .crawl.formats import as_dict
from .crawl.job import host_of
from .crawl.options import FetchOptions
from .crawl.page import FetchRecord
from .crawl.request_identity import url_of

__all__ = [
    "FetchOptions",
    "fetch_bag",
    "fetch_distributed",
    "fetch_partition",
    "partition_by_host",
    "partition_of",
]

Options = FetchOptions | Mapping[str, Any] | None


def partition_of(request: Any, partitions: int) -> int:
    """Which of so many partitions a request belongs to: the same for all requests of a host."""
    return zlib.crc32(host_of(url_of(request)).encode("utf-8", "surrogatepass")) % partitions


def partition_by_host(requests: Iterable[Any], partitions: int) -> list[list[Any]]:
    """The requests (URLs, or dicts of request arguments) in so many lists, no host in two."""
    made: list[list[Any]] = [[] for _ in range(partitions)]
    for request in requests:
        made[partition_of(request, partitions)].append(request)
    return made


def fetch_partition(
    requests: Iterable[Any],
    options: Options = None,
    *,
    shard: str | os.PathLike[str] | None = None,
    body: str = "auto",
    headers: bool = False,
) -> Any:
    """Fetch a list of requests, blocking until all are done.

    Args:
        requests: URLs, or dicts of request arguments with an optional `key`.
        options: a `FetchOptions`, or a dict of its fields.
        shard: where to write: a name ending in .jsonl, .jsonl.gz, .jsonl.zst, .warc, .warc.gz
            or .parquet (needs pyarrow). Another call with the same name fetches what is missing.
        body, headers: what records hold, as for `asks-fast fetch`.

    Returns: a list of records (dicts, see docs/guide/command-line.md); with `shard`, one dict
        with `shard`, `done`, `failed`, `bytes` of this run and `total`, the requests in it.
        `not_written` of the failed ones met a local error; another call fetches them again.
    Raises: OSError or OutputError when the shard cannot be written.
    """
    made = _as_options(options)
    if shard is None:
        writer = _Records(body, headers)
        run_in_kernel(_fetch, list(requests), made, writer)
        return writer.records
    path = Path(shard)
    if path.suffix == ".parquet":
        return _fetch_parquet(list(requests), made, path, body, headers)
    return _fetch_shard(list(requests), made, path, body, headers)[0]


def fetch_bag(
    requests: Any,
    options: Options = None,
    *,
    partitions: int | None = None,
    body: str = "auto",
    headers: bool = False,
) -> Any:
    """A `dask.bag.Bag` of records; nothing is fetched before it is computed.

    `requests`: an iterable, or a Bag, which is regrouped so that no host is in two partitions.
    `partitions`: default 16, or as many as the Bag has.
    """
    db, delayed = _import_dask()
    made = _as_options(options)
    how: dict[str, Any] = {"body": body, "headers": headers}
    if isinstance(requests, db.Bag):
        count = partitions or requests.npartitions
        grouped = requests.groupby(lambda one: partition_of(one, count), npartitions=count)
        return grouped.map(lambda group: fetch_partition(group[1], made, **how)).flatten()
    parts = [part for part in partition_by_host(requests, partitions or 16) if part]
    if not parts:
        return db.from_sequence([], npartitions=1)
    call = delayed(fetch_partition, pure=False)
    return db.from_delayed([call(part, made, **how) for part in parts])


def fetch_distributed(
    client: Any,
    requests: Iterable[Any],
    options: Options = None,
    *,
    partitions: int | None = None,
    shards: str | os.PathLike[str] | None = None,
    record_format: str = "jsonl",
    body: str = "auto",
    headers: bool = False,
    retries: int = 3,
) -> Iterator[dict[str, Any]]:
    """Fetch on a `distributed.Client`'s workers; gives what is ready, partition by partition.

    `shards`: a directory that the workers write to (shared, or each worker's own), one file a
    partition, in the format that `record_format` names (or "parquet"); then what is given are summaries
    instead of records. `partitions`: default four per worker thread. `retries`: of a partition
    that failed; one whose worker died is run again by the scheduler in any case.

    Left early, the generator cancels what was not given yet.
    """
    import distributed

    made = _as_options(options)
    count = partitions or 4 * max(1, sum(client.nthreads().values()))
    futures = []
    for number, part in enumerate(partition_by_host(requests, count)):
        if part:
            shard = (
                None
                if shards is None
                else str(Path(shards) / f"part-{number:05}-of-{count:05}.{record_format}")
            )
            futures.append(
                client.submit(
                    fetch_partition,
                    part,
                    made,
                    shard=shard,
                    body=body,
                    headers=headers,
                    retries=retries,
                    pure=False,
                )
            )
    as_completed: Any = distributed.as_completed
    waiting = as_completed(futures, with_results=True)
    try:
        for future, result in waiting:
            futures.remove(future)
            future.release()
            if shards is None:
                yield from result
            else:
                yield result
    finally:
        if futures:
            client.cancel(futures)


class _Records:
    """A writer that keeps records in memory."""

    can_resume = False

    seconds = 1.0

    def __init__(self, body: str, headers: bool) -> None:
        self.body = body
        self.headers = headers
        self.records: list[dict[str, Any]] = []

    def add(self, key: int, fetched: FetchRecord | None, now: float) -> None:
        """One result."""
        if fetched is not None:
            self.records.append(as_dict(fetched, self.body, self.headers))

    def flush_if_due(self, now: float) -> None:
        """Nothing waits."""

    def finish(self) -> None:
        """Nothing waits."""


def _as_options(options: Options) -> FetchOptions:
    if isinstance(options, FetchOptions):
        return options
    return FetchOptions.from_dict(options or {})


async def _fetch(requests: list[Any], options: FetchOptions, writer: Any) -> None:
    async with make_session(options) as session:
        await BulkFetch(session, options, requests, writer).run()


def _fetch_shard(
    requests: list[Any],
    options: FetchOptions,
    path: Path,
    body: str,
    headers: bool,
    known: Iterable[int] = (),
) -> tuple[dict[str, Any], Uint64Set]:
    """Fetch into a shard; `known` are keys of requests to leave out. Returns all its keys too."""
    config = FetchConfig("-", str(path), options, body=body, headers=headers)
    config.prepare_output(resume=True, overwrite=False)

    async def main() -> tuple[dict[str, Any], Uint64Set]:
        async with make_session(options) as session:
            fetch, checkpoint = config.fetch(session, requests)
            assert checkpoint is not None
            with checkpoint:
                for key in known:
                    checkpoint.done.add(key)
                stats = await fetch.run()
                summary = {
                    "shard": str(path),
                    "done": stats.done,
                    "failed": stats.failed,
                    "not_written": stats.not_written,
                    "bytes": stats.bytes,
                    "total": len(checkpoint.done),
                }
                return summary, checkpoint.done

    made: tuple[dict[str, Any], Uint64Set] = run_in_kernel(main)
    return made


def _fetch_parquet(
    requests: list[Any], options: FetchOptions, path: Path, body: str, headers: bool
) -> dict[str, Any]:
    """Fetch what the shard lacks into a JSON Lines shard, and merge that into it."""
    parquet.import_parquet()
    with parquet.shard_lock(path):
        known = parquet.read_keys(path)
        parquet.remove_merged(path, known)
        rows = parquet.rows_path(path)
        summary, keys = _fetch_shard(requests, options, rows, body, headers, known)
        parquet.merge(path, keys)
    return {**summary, "shard": str(path)}


def _import_dask() -> tuple[Any, Any]:
    try:
        import dask.bag
        from dask.delayed import delayed
    except ImportError as e:
        raise ImportError('this needs dask: pip install "asks-fast[dask]"') from e
    return dask.bag, delayed
