"""The output file that survives being killed, and knows what it holds.

Beside the output lies a checkpoint, `OUTPUT.checkpoint`: for each request done one record of 24 bytes
with the key of the request and the length of the output up to which it is whole. Results come
in batches: the batch is written behind the committed length, then its checkpoint records are
appended, the last with a commit mark. Whoever opens the pair cuts off what no commit covers.

Facts:  a process killed at any moment leaves each file as far as its writes came; a write of the
        checkpoint comes after the write that it records. Members of gzip, frames of zstd and records
        of WARC may be cut off at their ends, and batches end there.
Rules:  every step happens under a lock on the checkpoint, so processes may share one output. Each
        holds a shared lock on the output while it is open; overwriting needs it alone. A key
        in the checkpoint is never written again; after a failed write both files are cut back.
        Shorter output than committed (power loss): commits beyond its end do not count.
Not here: what a batch looks like (`formats`), what a key is made of (`key_of`'s callers).
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

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Checkpoint", "CheckpointError", "Uint64Set", "key_of"]

MAGIC = b"AFCHKPT1"
HEADER = struct.Struct("<8s16s")  # magic, name of the format
RECORD = struct.Struct("<QQII")  # key, committed length, commit mark, CRC-32 of the 20 before
COMMIT = 1
SIZE = RECORD.size


class CheckpointError(Exception):
    """The output cannot be used as asked: it exists, or belongs to something else."""


def key_of(text: str) -> int:
    """64 bits for a request. A million keys collide with a chance of 1 in 30 million."""
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
        """Add a key that is not 0. True if it was not in."""
        table, mask = self._table, self._mask
        place = key & mask
        while table[place]:
            if table[place] == key:
                return False
            place = (place + 1) & mask
        table[place] = key
        self._count += 1
        if self._count * 5 > mask * 3:
            self._grow()
        return True

    def __contains__(self, key: int) -> bool:
        table, mask = self._table, self._mask
        place = key & mask
        while table[place]:
            if table[place] == key:
                return True
            place = (place + 1) & mask
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
                place = key & mask
                while table[place]:
                    place = (place + 1) & mask
                table[place] = key


class Checkpoint:
    """One output and its checkpoint, open for appending.

    `done` holds the keys of everything committed, by whichever process.
    """

    def __init__(
        self, output: Path, form: str, *, resume: bool = False, overwrite: bool = False
    ) -> None:
        """Open or create `output` in the format named `form`.

        With neither `resume` nor `overwrite`, an output that holds something is refused, as is
        one without its checkpoint on `resume`, or whose checkpoint is of another format: CheckpointError.
        """
        self.output = output
        self.path = output.with_name(output.name + ".checkpoint")
        self.done = Uint64Set()
        self.end = 0  # committed length of the output
        self._form = form
        self._read = HEADER.size  # length of the checkpoint that was looked at
        self._refuse_mixups(resume, overwrite)
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
        """Write a batch of (key, record), whole or not at all; keys that are in stay out.

        `encode(records, is_first)` gives the bytes of the batch. An empty record is noted as
        done and writes nothing. Returns the number of bytes written. OSError (full disk) leaves
        the output as it was.
        """
        with self._locked():
            self._check_files()
            self._catch_up()
            fresh: dict[int, bytes] = {}
            for key, record in records:
                if key not in self.done:
                    fresh.setdefault(key, record)
            if not fresh:
                return 0
            parts = [record for record in fresh.values() if record]
            data = encode(parts, self.end == 0) if parts else b""
            try:
                self._cut_back()
                _write_at(self._output, data, self.end)
                end = self.end + len(data)
                _write_at(self._checkpoint_file, _entries(list(fresh), end), self._read)
            except BaseException:
                self._cut_back()
                raise
            self.end = end
            self._read += SIZE * len(fresh)
            for key in fresh:
                self.done.add(key)
            return len(data)

    def sync(self) -> None:
        """Have the disk hold all that is committed."""
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

    def _refuse_mixups(self, resume: bool, overwrite: bool) -> None:
        if overwrite:
            return
        should_pause_redirect = self.output.exists() and self.output.stat().st_size > 0
        known = self.path.exists() and self.path.stat().st_size >= HEADER.size
        if should_pause_redirect and not known:
            raise CheckpointError(
                f"{self.output} exists and has no checkpoint beside it, so it cannot be "
                "resumed; choose another name, or --overwrite"
            )
        if known and not resume:
            raise CheckpointError(
                f"{self.output} was begun before; --resume goes on with it, --overwrite starts anew"
            )

    def _hold_output(self, overwrite: bool) -> None:
        """Mark the output as in use until `close`; `overwrite` needs it for itself alone."""
        if overwrite:
            try:
                fcntl.flock(self._output, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CheckpointError(
                    f"{self.output} is being written by another run; --overwrite is possible "
                    "when that has ended"
                ) from None
        fcntl.flock(self._output, fcntl.LOCK_SH)

    def _begin(self, overwrite: bool) -> None:
        """See that the checkpoint has its header, and that it is ours."""
        if overwrite:
            os.ftruncate(self._checkpoint_file, 0)
            os.ftruncate(self._output, 0)
        head = os.pread(self._checkpoint_file, HEADER.size, 0)
        ours = HEADER.pack(MAGIC, self._form.encode())
        if len(head) < HEADER.size:  # new, or killed while it was written
            os.ftruncate(self._checkpoint_file, 0)
            _write_at(self._checkpoint_file, ours, 0)
        elif head != ours:
            magic, form = HEADER.unpack(head)
            if magic != MAGIC:
                raise CheckpointError(f"{self.path} is not a checkpoint of this program")
            found = form.rstrip(b"\0").decode("utf-8", "replace")
            raise CheckpointError(f"{self.output} was begun as {found!r}, not {self._form!r}")

    def _catch_up(self) -> None:
        """Learn what was committed since the last look, by this or another process."""
        length = os.fstat(self._checkpoint_file).st_size
        if length == self._read:
            return
        there = os.fstat(self._output).st_size
        batch: list[int] = []
        position = self._read
        while True:
            block = os.pread(self._checkpoint_file, SIZE * 8192, position)
            for at in range(0, len(block) - SIZE + 1, SIZE):
                key, end, mark, check = RECORD.unpack_from(block, at)
                if zlib.crc32(block[at : at + SIZE - 4]) != check or end > there:
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
        """Raise CheckpointError if the open files are not those that the names stand for any more."""
        for path, fd, least in (
            (self.output, self._output, self.end),
            (self.path, self._checkpoint_file, self._read),
        ):
            times_opened = os.fstat(fd)
            try:
                named = os.stat(path)
            except FileNotFoundError:
                raise CheckpointError(f"{path} was removed while it was written") from None
            if not os.path.samestat(times_opened, named):
                raise CheckpointError(f"{path} was replaced while it was written")
            if times_opened.st_size < least:
                raise CheckpointError(
                    f"{path} was cut short by another program while it was written"
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
    """Exclusive lock on a descriptor; the system lifts it when its holder dies."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)


def _entries(keys: list[int], end: int) -> bytes:
    """The checkpoint records of one batch."""
    made = bytearray()
    for at, key in enumerate(keys, 1):
        head = struct.pack("<QQI", key, end, COMMIT if at == len(keys) else 0)
        made += head
        made += struct.pack("<I", zlib.crc32(head))
    return bytes(made)


def _write_at(fd: int, data: bytes, offset: int) -> None:
    """All of `data` at `offset`; writes may come out short."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written
