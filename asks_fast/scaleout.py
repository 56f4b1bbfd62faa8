"""Bulk fetching on many machines: a function that engines can call, and a thin binding to Dask.

`fetch_partition` fetches a list of URLs and returns records, or writes them to a shard on the
worker's machine. It can be pickled and needs only its arguments, so Dask, Ray and Spark can call
it; `fetch_bag` and `fetch_distributed` do so for Dask. Recipes: docs/guide/scaleout.md.

Facts:  engines run a failed partition again, perhaps while its first run is still alive.
Invariants: a host is in one partition only (`partition_by_host`), so limits per host hold without
        communication. A shard has a checkpoint: another run continues it and writes each URL once.
        A URL that fails is a record, not an exception; a partition fails only if it cannot write.

Implemented elsewhere: fetching (`crawl`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from ._extras import missing_extra
from .crawl.bulk_fetch import FLUSH_INTERVAL, BulkFetch, Writer
from .crawl.fetch_config import FetchConfig, make_session, open_output, run_in_kernel
from .crawl.formats import as_dict
from .crawl.job import RequestArguments, host_of, shard_of
from .crawl.options import FetchOptions
from .crawl.page import FetchRecord
from .crawl.request_identity import url_of

if TYPE_CHECKING:
    from dask.bag import Bag

__all__ = [
    "FetchOptions",
    "fetch_bag",
    "fetch_distributed",
    "fetch_partition",
    "partition_by_host",
    "partition_of",
]

Options: TypeAlias = FetchOptions | Mapping[str, Any] | None  # each field has its own type
Request: TypeAlias = str | RequestArguments
Record: TypeAlias = dict[str, Any]  # JSON values
_T = TypeVar("_T")


def partition_of(request: object, partitions: int) -> int:
    """Return the partition of a request, from 0; requests of a host have the same."""
    return shard_of(host_of(url_of(request)), partitions)


def partition_by_host(requests: Iterable[_T], partitions: int) -> list[list[_T]]:
    """Return the requests (URLs, or dicts of request arguments) in partitions, each host in one."""
    made: list[list[_T]] = [[] for _ in range(partitions)]
    for request in requests:
        made[partition_of(request, partitions)].append(request)
    return made


@overload
def fetch_partition(
    requests: Iterable[Request],
    options: Options = None,
    *,
    shard: None = None,
    body: str = "auto",
    headers: bool = False,
) -> list[Record]: ...


@overload
def fetch_partition(
    requests: Iterable[Request],
    options: Options = None,
    *,
    shard: str | os.PathLike[str],
    body: str = "auto",
    headers: bool = False,
) -> Record: ...


def fetch_partition(
    requests: Iterable[Request],
    options: Options = None,
    *,
    shard: str | os.PathLike[str] | None = None,
    body: str = "auto",
    headers: bool = False,
) -> list[Record] | Record:
    """Fetch a list of requests, blocking until all are done.

    Args:
        requests: URLs, or dicts of request arguments with an optional `key`.
        options: a `FetchOptions`, or a dict of its fields.
        shard: the file to write: a name ending in .jsonl, .jsonl.gz, .jsonl.zst, .warc, .warc.gz
            or .parquet (extra `parquet`). Another call with the same name fetches what is missing.
        body: what records contain of the body, as for `asks-fast fetch`.
        headers: whether records contain header fields.

    Returns:
        A list of records (dicts, see docs/guide/command-line.md). With `shard`, one dict: `done`,
        `failed` and `bytes` of this call, `not_written` (those of the failed that met a local error
        and will be fetched by another call), `shard`, and `total`, the number of requests in it.

    Raises:
        OSError, OutputError: the shard cannot be written.

    Example:
        summary = fetch_partition(urls, {"host_rate": 2}, shard="part-0.jsonl.zst")
    """
    made = _as_options(options)
    if shard is None:
        writer = _RecordList(body, headers)
        run_in_kernel(_fetch, list(requests), made, writer)
        return writer.records
    return _fetch_shard(list(requests), made, Path(shard), body, headers)


def fetch_bag(
    requests: Iterable[Request] | Bag,
    options: Options = None,
    *,
    partitions: int | None = None,
    body: str = "auto",
    headers: bool = False,
) -> Bag:
    """Return a `dask.bag.Bag` of records; nothing is fetched before it is computed.

    Args:
        requests: an iterable, or a Bag, which is regrouped so that each host is in one partition.
        options: a `FetchOptions`, or a dict of its fields.
        partitions: their number; default: 16, or as many as the Bag has.
        body, headers: what records contain.
    """
    db, delayed = _import_dask()
    made = _as_options(options)
    how: Record = {"body": body, "headers": headers}
    bag: Bag
    if isinstance(requests, db.Bag):
        given: Any = requests
        count = partitions or given.npartitions
        grouped = given.groupby(lambda one: partition_of(one, count), npartitions=count)
        bag = grouped.map(lambda group: fetch_partition(group[1], made, **how)).flatten()
    elif parts := [part for part in partition_by_host(requests, partitions or 16) if part]:
        call = delayed(fetch_partition, pure=False)
        bag = db.from_delayed([call(part, made, **how) for part in parts])
    else:
        bag = db.from_sequence([], npartitions=1)
    return bag


def fetch_distributed(
    client: Any,  # a distributed.Client, whose methods have no types
    requests: Iterable[Request],
    options: Options = None,
    *,
    partitions: int | None = None,
    shards: str | os.PathLike[str] | None = None,
    record_format: str = "jsonl",
    body: str = "auto",
    headers: bool = False,
    retries: int = 3,
) -> Iterator[Record]:
    """Fetch on the workers of a `distributed.Client`; yield results as partitions complete.

    Closing the generator early cancels the partitions that were not yielded yet.

    Args:
        client: the client.
        requests: URLs, or dicts of request arguments.
        options: a `FetchOptions`, or a dict of its fields.
        partitions: their number; default: that of the shards in the directory, else four per
            worker thread.
        shards: a directory that the workers write to (shared, or each worker's own), one file a
            partition. Summaries are yielded instead of records. Another call with this directory
            fetches what is missing.
        record_format: the format of shards, or "parquet".
        body, headers: what records contain.
        retries: of a partition that failed. One whose worker died is run again in any case, until
            Dask's setting `allowed-failures` (3) is reached.

    Raises:
        ValueError: the directory has shards of another number of partitions.
        OutputError, OSError: a worker cannot write its shard.
        distributed.KilledWorker: too many workers died.
    """
    import distributed

    made = _as_options(options)
    count = partitions or 4 * max(1, sum(client.nthreads().values()))
    if shards is not None:
        found = _partitions_of(Path(shards), record_format)
        if partitions is not None and found not in (None, partitions):
            raise ValueError(f"{shards} has shards of {found} partitions, not {partitions}")
        count = found or count
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


def _partitions_of(shards: Path, record_format: str) -> int | None:
    """Return the number of partitions by the names of the shards; None without shards."""
    for path in shards.glob(f"part-*-of-*.{record_format}*"):
        if (match := re.match(r"part-\d+-of-(\d+)\.", path.name)) is not None:
            return int(match[1])
    return None


class _RecordList(Writer):
    """Keep records in memory."""

    can_resume = False

    def __init__(self, body: str, headers: bool) -> None:
        self.seconds = FLUSH_INTERVAL
        self.body = body
        self.headers = headers
        self.records: list[Record] = []

    def add(self, key: int, fetched: FetchRecord | None, now: float) -> None:
        """Add the record of one request."""
        if fetched is not None:
            self.records.append(as_dict(fetched, self.body, self.headers))

    def flush_if_due(self, now: float) -> None:
        """Do nothing: no record waits."""

    def finish(self) -> None:
        """Do nothing: no record waits."""

    def _write(self, batch: list[tuple[int, bytes]]) -> None:
        raise NotImplementedError


def _as_options(options: Options) -> FetchOptions:
    if isinstance(options, FetchOptions):
        return options
    return FetchOptions.from_dict(options or {})


async def _fetch(requests: list[Request], options: FetchOptions, writer: Writer) -> None:
    async with make_session(options) as session:
        await BulkFetch(session, options, requests, writer).run()


def _fetch_shard(
    requests: list[Request], options: FetchOptions, path: Path, body: str, headers: bool
) -> Record:
    """Fetch into a shard what it lacks, and return a summary."""
    config = FetchConfig("-", str(path), options, body=body, headers=headers)

    async def main(config: FetchConfig) -> Record:
        async with make_session(options) as session:
            fetch, checkpoint = config.fetch(session, requests)
            assert checkpoint is not None
            with checkpoint:
                stats = await fetch.run()
                return {
                    "shard": str(path),
                    "done": stats.done,
                    "failed": stats.failed,
                    "not_written": stats.not_written,
                    "bytes": stats.bytes,
                    "total": len(checkpoint.done),
                }

    with open_output(config, resume=True, wait=True) as (prepared, _):
        summary: Record = run_in_kernel(main, prepared)
    return summary


def _import_dask() -> tuple[Any, Any]:
    try:
        import dask.bag
        from dask.delayed import delayed
    except ImportError as e:
        raise ImportError(missing_extra("this", "'dask[bag,distributed]'", "dask")) from e
    return dask.bag, delayed
