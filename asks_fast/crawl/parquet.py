"""Parquet shards: records are collected in a JSON Lines file beside the shard, then merged into it.

The metadata of a shard holds the keys of all requests in it, so another call with more requests
fetches only the new ones. A merge writes a new file and replaces the shard with it. After a kill
at any moment there is the old shard with the records, or the new shard.

Implemented elsewhere: fetching (`asks_fast.scaleout`), the JSON Lines file (`checkpoint`).
"""

from __future__ import annotations

import fcntl
import json
import os
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from .checkpoint import Checkpoint, CheckpointError

__all__ = ["import_parquet", "merge", "read_keys", "remove_merged", "rows_path", "shard_lock"]

KEYS = b"asks_fast.keys"  # name of the metadata: 8 bytes per request
ROWS_AT_ONCE = 10_000


def import_parquet() -> Any:
    """Return `pyarrow.parquet`. ImportError says what to install."""
    try:
        import pyarrow.parquet
    except ImportError as e:
        raise ImportError("Parquet shards need pyarrow: pip install pyarrow") from e
    return pyarrow.parquet


def rows_path(path: Path) -> Path:
    """Return the name of the JSON Lines file of a shard."""
    return path.with_name(path.name + ".jsonl")


@contextmanager
def shard_lock(path: Path) -> Iterator[None]:
    """Lock the shard: a second call for the same shard waits until the first has ended."""
    lock = path.with_name(path.name + ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:  # else its owner removed it while we waited
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
                return
        finally:
            os.close(fd)


def read_keys(path: Path) -> array[int]:
    """Return the keys of the requests in a shard; none if there is no shard.

    Raises:
        CheckpointError: the Parquet file was not made by this module.
    """
    keys = array("Q")
    if path.exists():
        metadata = import_parquet().read_schema(path).metadata or {}
        if KEYS not in metadata:
            raise CheckpointError(f"{path} exists and was not written by asks_fast")
        keys.frombytes(bytes.fromhex(metadata[KEYS].decode()))
    return keys


def remove_merged(path: Path, known: Iterable[int]) -> None:
    """Remove the JSON Lines file if its records are in the shard, after a kill during the merge."""
    rows = rows_path(path)
    if path.exists() and rows.exists():
        with Checkpoint(rows, "jsonl", resume=True) as checkpoint:
            is_merged = set(checkpoint.done) <= set(known)
        if is_merged:
            _remove_rows(rows)


def merge(path: Path, keys: Iterable[int]) -> None:
    """Write a shard of the old shard's rows and the new records; `keys` are all its requests."""
    parquet = import_parquet()
    part = path.with_name(path.name + ".part")
    metadata = {KEYS: array("Q", keys).tobytes().hex()}
    schema = _schema()
    with parquet.ParquetWriter(part, schema.with_metadata(metadata), compression="zstd") as writer:
        if path.exists():
            with parquet.ParquetFile(path) as old:
                for batch in old.iter_batches():
                    writer.write_batch(batch)
        with rows_path(path).open("rb") as file:
            while records := [_record(line) for line in islice(file, ROWS_AT_ONCE)]:
                writer.write_table(_table(records, schema))
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    _remove_rows(rows_path(path))


def _remove_rows(rows: Path) -> None:
    """Remove the file and its checkpoint, in an order in which a kill in between does no harm."""
    rows.unlink(missing_ok=True)
    rows.with_name(rows.name + ".checkpoint").unlink(missing_ok=True)


def _table(records: list[dict[str, Any]], schema: Any) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(records, schema=schema)


def _record(line: bytes) -> dict[str, Any]:
    """Parse one record; make its key a string and replace lone surrogates, which Arrow rejects."""
    record: dict[str, Any] = json.loads(line)
    if "key" in record and not isinstance(record["key"], str):
        record["key"] = json.dumps(record["key"])
    if b"\\ud" in line:
        record = _without_surrogates(record)
    return record


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _without_surrogates(inner) for name, inner in value.items()}
    return value


def _schema() -> Any:
    """Return the columns, which are the same in every shard."""
    import pyarrow as pa

    return pa.schema(
        [
            ("url", pa.string()),
            ("key", pa.string()),
            ("same_as", pa.string()),
            ("status", pa.int32()),
            ("final_url", pa.string()),
            ("type", pa.string()),
            ("size", pa.int64()),
            ("headers", pa.list_(pa.list_(pa.string()))),
            ("body", pa.string()),
            ("body_base64", pa.string()),
            ("error", pa.struct([("kind", pa.string()), ("message", pa.string())])),
            ("attempts", pa.int32()),
            ("elapsed", pa.float64()),
            ("fetched_at", pa.string()),
        ]
    )
