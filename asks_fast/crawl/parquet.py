"""Parquet output: records are collected in a JSON Lines file, then merged into the Parquet file.

The records are in `FILE.jsonl` (with a checkpoint) until the run ends. The metadata of the Parquet
file holds the keys of all requests in it, so another run with more requests fetches only the new
ones. A merge writes a new file, which replaces the old one.

Facts:  a Parquet file can be read only when it is complete, so it cannot be appended to. The footer
        holds at most 100 MB of metadata: nine million keys.
Invariants: after a kill at any moment there is the old file with the records, or the new file; no
        record is lost or doubled. A merge holds one row group in memory, made of at most
        `MAX_ROWS` records or `MAX_BYTES` of JSON (or one larger record).

Implemented elsewhere: the JSON Lines file (`checkpoint`), the run (`fetch_config`).
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .._extras import missing_extra
from .checkpoint import Checkpoint, CheckpointError

__all__ = ["ParquetFile", "import_parquet", "read_rows", "shard_lock"]

KEYS = b"asks_fast.keys"  # name of the metadata: base64 of 8 bytes per request
MAX_ROWS = 10_000
MAX_BYTES = 16 * 1024 * 1024
KEYS_PER_COMMIT = 50_000  # when the keys of the Parquet file are copied to the checkpoint


def import_parquet() -> Any:
    """Return `pyarrow.parquet`. ImportError says what to install."""
    try:
        import pyarrow.parquet
    except ImportError as e:
        raise ImportError(missing_extra("Parquet output", "pyarrow", "parquet")) from e
    return pyarrow.parquet


@contextmanager
def shard_lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Lock the file; a second caller waits until the first has ended.

    Raises:
        CheckpointError: the file is locked, and `wait` is False.
    """
    lock = path.with_name(path.name + ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise CheckpointError(f"{path} is being written by another run") from None
            if os.fstat(fd).st_nlink:  # else its owner removed it while we waited
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
                return
        finally:
            os.close(fd)


class ParquetFile:
    """One Parquet file, locked by the caller: `prepare`, fetch into `rows`, `merge`.

    Attributes:
        rows: the JSON Lines file that records go to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = path.with_name(path.name + ".jsonl")
        self._checkpoint = self.rows.with_name(self.rows.name + ".checkpoint")

    def prepare(self, *, resume: bool, overwrite: bool = False) -> int:
        """Copy the keys of the Parquet file to the checkpoint of `rows`.

        Returns:
            The number of requests that are done.

        Raises:
            CheckpointError: the file has content and neither `resume` nor `overwrite` is set, or it
                was not made by this class.
        """
        if overwrite:
            self._remove_rows()
            self.path.unlink(missing_ok=True)
        elif not resume and (self.path.exists() or self._checkpoint.exists()):
            raise CheckpointError(
                f"{self.path} has results of an earlier run; --resume continues it, "
                "--overwrite deletes them"
            )
        keys = self._read_keys()
        if self.path.exists() and self.rows.exists():
            with Checkpoint(self.rows, "jsonl", resume=True) as checkpoint:
                is_merged = set(checkpoint.done) <= set(keys)
            if is_merged:  # killed after a merge, or before the first record
                self._remove_rows()
        with Checkpoint(self.rows, "jsonl", resume=True) as checkpoint:
            for at in range(0, len(keys), KEYS_PER_COMMIT):
                part = keys[at : at + KEYS_PER_COMMIT]
                checkpoint.commit([(key, b"") for key in part], lambda records, first: b"")
            return len(checkpoint.done)

    def merge(self) -> None:
        """Write a file of the old rows and the new records, and remove `rows`.

        Raises:
            OSError: the file cannot be written; the old one and the records remain.
        """
        with Checkpoint(self.rows, "jsonl", resume=True) as checkpoint:
            keys = array("Q", checkpoint.done)
        if not self.path.exists() or len(keys) > len(self._read_keys()):
            part = self.path.with_name(self.path.name + ".part")
            try:
                self._write(part, keys)
                part.replace(self.path)
            finally:
                part.unlink(missing_ok=True)
        self._remove_rows()

    def _write(self, part: Path, keys: array[int]) -> None:
        parquet = import_parquet()
        schema = _schema()
        with parquet.ParquetWriter(part, schema, compression="zstd") as writer:
            writer.add_key_value_metadata({KEYS: base64.b64encode(keys.tobytes())})
            if self.path.exists():
                with parquet.ParquetFile(self.path) as old:
                    for number in range(old.num_row_groups):
                        writer.write_table(old.read_row_group(number))
            with self.rows.open("rb") as file:
                for records in _row_groups(file):
                    writer.write_table(_table(records, schema))
        with part.open("rb") as file:
            os.fsync(file.fileno())

    def _read_keys(self) -> array[int]:
        """Return the keys of the requests in the Parquet file; none if there is no such file."""
        keys = array("Q")
        if self.path.exists():
            parquet = import_parquet()
            try:
                with parquet.ParquetFile(self.path) as file:
                    encoded = (file.metadata.metadata or {}).get(KEYS)
            except (OSError, ValueError):  # ArrowInvalid is a ValueError
                encoded = None
            if encoded is None:
                raise CheckpointError(f"{self.path} exists and was not written by asks_fast")
            keys.frombytes(base64.b64decode(encoded))
        return keys

    def _remove_rows(self) -> None:
        """Remove the file and its checkpoint; in this order, a kill in between is harmless."""
        self.rows.unlink(missing_ok=True)
        self._checkpoint.unlink(missing_ok=True)


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, with those of the columns that it has.

    Raises:
        CheckpointError: it is not a Parquet file.
    """
    try:
        file = import_parquet().ParquetFile(path)
    except ValueError as error:  # ArrowInvalid
        raise CheckpointError(f"{path} is not a Parquet file: {error}") from error
    with file:
        names = [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(1000, columns=names):
            yield from batch.to_pylist()


def _row_groups(file: BinaryIO) -> Iterator[list[dict[str, Any]]]:
    """Yield the records of a JSON Lines file in groups of bounded size."""
    records: list[dict[str, Any]] = []
    size = 0
    for line in file:
        if records and (len(records) >= MAX_ROWS or size + len(line) > MAX_BYTES):
            yield records
            records, size = [], 0
        records.append(_record(line))
        size += len(line)
    if records:
        yield records


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
            ("etag", pa.string()),
            ("last_modified", pa.string()),
            ("unchanged_since", pa.string()),
            ("headers", pa.list_(pa.list_(pa.string()))),
            ("file", pa.string()),
            ("body", pa.string()),
            ("body_base64", pa.string()),
            ("error", pa.struct([("kind", pa.string()), ("message", pa.string())])),
            ("attempts", pa.int32()),
            ("elapsed", pa.float64()),
            ("fetched_at", pa.string()),
        ]
    )
