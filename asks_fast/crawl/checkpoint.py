"""An output file that survives a kill, and the record of what it contains.

Beside the output is `OUTPUT.checkpoint`: for each request done, a record of 24 bytes with the key
of the request and the committed length of the output. Results are written in batches. A batch is
written after the committed length; then its records are appended to the checkpoint file, the last
with a commit mark. Opening the pair cuts off what no commit covers.

Facts:  after a kill, each file is as long as its completed writes; the checkpoint is written after
        the output. A file of gzip members, zstd frames or WARC records may be cut between them,
        and each batch ends at such a place.
Invariants: every step holds a lock on the checkpoint file, so several processes may write one
        output. An open output is locked shared; overwriting needs an exclusive lock. A key in the
        checkpoint is never written again. After a failed write both files are cut back. Commits
        beyond the end of the output (power loss) do not count.

Implemented elsewhere: the content of a batch (`formats`), the text of a key (`request_identity`).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from .file_io import write_all_at

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Checkpoint", "CheckpointError", "Uint64Set", "key_of"]

MAGIC = b"AFCHKPT1"
HEADER = struct.Struct("<8s16s")  # magic, name of the format
RECORD = struct.Struct("<QQII")  # key, committed length, commit mark, CRC-32 of the 20 before
COMMIT = 1
SIZE = RECORD.size


class CheckpointError(Exception):
    """The output cannot be used as requested: it exists, or belongs to something else."""


def key_of(text: str) -> int:
    """Return 64 bits for a request; a million keys contain two equal ones with probability 3e-8."""
    return (
        int.from_bytes(
            hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
        )
        or 1
    )


class Uint64Set:
    """A set of 64-bit keys in 13 to 27 bytes each (a set of ints takes 60 to 100)."""

    __slots__ = ("_count", "_mask", "_table")

    def __init__(self) -> None:
        self._table = array("Q", bytes(8 * 1024))  # open addressing; 0: free
        self._mask = 1023
        self._count = 0

    def add(self, key: int) -> bool:
        """Add a key other than 0; return whether it was new."""
        table, mask = self._table, self._mask
        index = key & mask
        while table[index]:
            if table[index] == key:
                return False
            index = (index + 1) & mask
        table[index] = key
        self._count += 1
        if self._count * 5 > mask * 3:
            self._grow()
        return True

    def __contains__(self, key: int) -> bool:
        table, mask = self._table, self._mask
        index = key & mask
        while table[index]:
            if table[index] == key:
                return True
            index = (index + 1) & mask
        return False

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return filter(None, self._table)

    def _grow(self) -> None:
        old = self._table
        mask = self._mask = 2 * self._mask + 1
        table = self._table = array("Q", bytes(8 * (mask + 1)))
        for key in old:
            if key:
                index = key & mask
                while table[index]:
                    index = (index + 1) & mask
                table[index] = key


class Checkpoint:
    """One output and its checkpoint file, open for appending.

    Attributes:
        done: the keys of all committed requests, of whichever process.
        end: the committed length of the output in bytes.
    """

    def __init__(
        self, output: Path, form: str, *, resume: bool = False, overwrite: bool = False
    ) -> None:
        """Open or create `output` in the format named `record_format`.

        Raises:
            CheckpointError: the output has content and neither `resume` nor `overwrite` is set, or
                it has no checkpoint file, or one of another format.
        """
        self.output = output
        self.path = output.with_name(output.name + ".checkpoint")
        self.done = Uint64Set()
        self.end = 0  # committed length of the output
        self._format = form
        self._read = HEADER.size  # bytes of the checkpoint file that were read
        self._check_arguments(resume, overwrite)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._checkpoint_file = os.open(self.path, flags, 0o666)
        try:
            self._output = os.open(output, flags, 0o666)
        except BaseException:
            os.close(self._checkpoint_file)
            raise
        try:
            with self._locked():
                self._hold_output(overwrite)
                self._begin(overwrite)
                self._catch_up()
                self._cut_back()
        except BaseException:
            self.close()
            raise

    def commit(
        self, records: Iterable[tuple[int, bytes]], encode: Callable[[Sequence[bytes], bool], bytes]
    ) -> int:
        """Write a batch of (key, record), all or nothing; skip keys that are already committed.

        Args:
            records: an empty record marks its key as done and writes nothing.
            encode: `encode(records, is_first)` returns the bytes of the batch.

        Returns:
            The number of bytes written.

        Raises:
            OSError: the disk is full; the output is as before.
        """
        with self._locked():
            self._check_files()
            self._catch_up()
            unseen: dict[int, bytes] = {}
            for key, record in records:
                if key not in self.done:
                    unseen.setdefault(key, record)
            if not unseen:
                return 0
            parts = [record for record in unseen.values() if record]
            data = encode(parts, self.end == 0) if parts else b""
            try:
                self._cut_back()
                write_all_at(self._output, data, self.end)
                end = self.end + len(data)
                write_all_at(self._checkpoint_file, _entries(list(unseen), end), self._read)
            except BaseException:
                self._cut_back()
                raise
            self.end = end
            self._read += SIZE * len(unseen)
            for key in unseen:
                self.done.add(key)
            return len(data)

    def sync(self) -> None:
        """Flush both files to the disk."""
        os.fsync(self._output)
        os.fsync(self._checkpoint_file)

    def close(self) -> None:
        """Close both files. Idempotent."""
        for name in ("_output", "_checkpoint_file"):
            fd = getattr(self, name, -1)
            if fd >= 0:
                setattr(self, name, -1)
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, ty: type[BaseException] | None, val: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Checkpoint {str(self.output)!r} {len(self.done)} done, {self.end} bytes>"

    def _check_arguments(self, resume: bool, overwrite: bool) -> None:
        if overwrite:
            return
        has_output = self.output.exists() and self.output.stat().st_size > 0
        has_checkpoint = self.path.exists() and self.path.stat().st_size >= HEADER.size
        if has_output and not has_checkpoint:
            raise CheckpointError(
                f"{self.output} exists and has no checkpoint beside it, so it cannot be "
                "resumed; choose another name, or --overwrite"
            )
        if has_checkpoint and not resume:
            raise CheckpointError(
                f"{self.output} has results of an earlier run; --resume continues it, "
                "--overwrite deletes them"
            )

    def _hold_output(self, overwrite: bool) -> None:
        """Lock the output until `close`; with `overwrite`, no other process may have it open."""
        if overwrite:
            try:
                fcntl.flock(self._output, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CheckpointError(
                    f"{self.output} is being written by another run; --overwrite is possible "
                    "when it has ended"
                ) from None
        fcntl.flock(self._output, fcntl.LOCK_SH)

    def _begin(self, overwrite: bool) -> None:
        """Write the header if it is missing, or check that it belongs to this format."""
        if overwrite:
            os.ftruncate(self._checkpoint_file, 0)
            os.ftruncate(self._output, 0)
        head = os.pread(self._checkpoint_file, HEADER.size, 0)
        ours = HEADER.pack(MAGIC, self._format.encode())
        if len(head) < HEADER.size:  # new, or killed while it was written
            os.ftruncate(self._checkpoint_file, 0)
            write_all_at(self._checkpoint_file, ours, 0)
        elif head != ours:
            magic, form = HEADER.unpack(head)
            if magic != MAGIC:
                raise CheckpointError(f"{self.path} is not a checkpoint file of this program")
            found = form.rstrip(b"\0").decode("utf-8", "replace")
            raise CheckpointError(f"{self.output} was begun as {found!r}, not {self._format!r}")

    def _catch_up(self) -> None:
        """Read the commits since the last look, made by this or another process."""
        length = os.fstat(self._checkpoint_file).st_size
        if length == self._read:
            return
        output_length = os.fstat(self._output).st_size
        batch: list[int] = []
        position = self._read
        while True:
            block = os.pread(self._checkpoint_file, SIZE * 8192, position)
            for at in range(0, len(block) - SIZE + 1, SIZE):
                key, end, mark, check = RECORD.unpack_from(block, at)
                if zlib.crc32(block[at : at + SIZE - 4]) != check or end > output_length:
                    return
                batch.append(key)
                if mark == COMMIT:
                    for one in batch:
                        self.done.add(one)
                    batch.clear()
                    self.end = end
                    self._read = position + at + SIZE
            whole = len(block) // SIZE * SIZE
            if whole == 0:
                return
            position += whole

    def _check_files(self) -> None:
        """Raise CheckpointError if the open files are no longer those that the names refer to."""
        for path, fd, least in (
            (self.output, self._output, self.end),
            (self.path, self._checkpoint_file, self._read),
        ):
            opened = os.fstat(fd)
            try:
                named = os.stat(path)
            except FileNotFoundError:
                raise CheckpointError(f"{path} was removed while it was written") from None
            if not os.path.samestat(opened, named):
                raise CheckpointError(f"{path} was replaced while it was written")
            if opened.st_size < least:
                raise CheckpointError(
                    f"{path} was truncated by another program while it was written"
                )

    def _cut_back(self) -> None:
        """Cut off what no commit covers, in both files."""
        if os.fstat(self._checkpoint_file).st_size > self._read:
            os.ftruncate(self._checkpoint_file, self._read)
        if os.fstat(self._output).st_size > self.end:
            os.ftruncate(self._output, self.end)

    def _locked(self) -> _Lock:
        return _Lock(self._checkpoint_file)


class _Lock:
    """An exclusive lock on a descriptor; the system releases it when the process dies."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)


def _entries(keys: list[int], end: int) -> bytes:
    """Return the checkpoint records of one batch."""
    made = bytearray()
    for at, key in enumerate(keys, 1):
        head = struct.pack("<QQI", key, end, COMMIT if at == len(keys) else 0)
        made += head
        made += struct.pack("<I", zlib.crc32(head))
    return bytes(made)
