"""Stored responses in a SQLite file, which several processes may share.

Facts:  a read of a small row takes about 30 µs, the switch to a worker thread and back three times
        as long. A write may wait for the disk, or for another process.
Rules:  the event loop reads rows with bodies of up to `INLINE_BODY` bytes; larger bodies are read,
        and all writes are made, in a worker thread. In WAL mode a reader never waits for a writer.
        Each entry is written in one transaction. The number of a row is never used again, so that
        an entry cannot get the body of another one. A failure of the file never fails a request: it
        is logged, and the cache acts as if it were empty. Neither URLs nor header values of
        requests are in the file, only digests of them. The file can be read by its owner only.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import TypeVar

import curio

from ..errors import InvalidRequest
from .entry import MAX_VARIANTS, Entry

__all__ = ["SqliteStore"]

T = TypeVar("T")

INLINE_BODY = 65536  # bytes
READ_TIMEOUT = 0.05  # seconds that the event loop may wait for a lock
WRITE_TIMEOUT = 10.0  # seconds that the worker thread may
APPLICATION_ID = 0x41735263  # in the header of the file
VERSION = 2  # of the tables; a file with another one is emptied
EVICT_TO = 0.9  # of the limit, so that not every write evicts

log = logging.getLogger("asks_fast")

_TABLES = (
    "CREATE TABLE info (salt BLOB NOT NULL, size INTEGER NOT NULL)",
    "CREATE TABLE entry (id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL,"
    " variant BLOB NOT NULL, cost INTEGER NOT NULL, used_at REAL NOT NULL, meta TEXT NOT NULL,"
    " body BLOB NOT NULL, UNIQUE (key, variant))",
    "CREATE INDEX entry_used_at ON entry (used_at)",
    "CREATE TRIGGER entry_added AFTER INSERT ON entry"
    " BEGIN UPDATE info SET size = size + NEW.cost; END",
    "CREATE TRIGGER entry_removed AFTER DELETE ON entry"
    " BEGIN UPDATE info SET size = size - OLD.cost; END",
    "CREATE TRIGGER entry_changed AFTER UPDATE OF cost ON entry"
    " BEGIN UPDATE info SET size = size + NEW.cost - OLD.cost; END",
)


class SqliteStore:
    """Entries in a file, with a limit in bytes. Safe in several threads and processes.

    Args:
        path: the file; it is created if it does not exist.
        max_size: the limit in bytes for all entries.

    Raises:
        InvalidRequest: the file is not a database, or one of another program.
        OSError: the file cannot be created.
    """

    def __init__(self, path: str | os.PathLike[str], max_size: int) -> None:
        self._path = os.fspath(path)
        self._max_size = max_size
        self._read_lock = Lock()
        self._write_lock = Lock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._used: set[int] = set()  # rows that were used since the last write
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        self.salt = _retried(self._prepare)

    def __repr__(self) -> str:
        return f"<SqliteStore {self._path!r}>"

    # -- reading

    async def find(self, key: bytes) -> list[Entry]:
        """Return the entries of a key, those with a large body without it."""
        return self._guard(lambda: self._find(key)) or []

    def _find(self, key: bytes) -> list[Entry]:
        with self._read_lock:
            rows = self._open_reader().execute(
                "SELECT id, meta, length(body), CASE WHEN length(body) <= ? THEN body END"
                " FROM entry WHERE key = ?",
                (INLINE_BODY, key),
            )
            return [_from_row(*row) for row in rows.fetchall()]

    async def load(self, key: bytes, entry: Entry) -> bytes | None:
        """Return the body of an entry that is being used; None if it is gone."""
        self._used.add(entry.row)
        if entry.body is not None:
            return entry.body
        return await self._in_thread(lambda: self._load(entry.row))

    def _load(self, row: int) -> bytes | None:
        with self._write_lock:  # the event loop never waits for this one
            found = self._open_writer().execute("SELECT body FROM entry WHERE id = ?", (row,))
            line = found.fetchone()
        return None if line is None else bytes(line[0])

    # -- writing

    async def put(self, key: bytes, entry: Entry) -> None:
        """Store an entry instead of the one for the same requests, and drop the oldest ones."""
        if entry.cost <= self._max_size:
            await self._in_thread(lambda: self._put(key, entry))

    def _put(self, key: bytes, entry: Entry) -> None:
        with self._transaction() as database:
            variant = _variant(entry)
            database.execute("DELETE FROM entry WHERE key = ? AND variant = ?", (key, variant))
            database.execute(
                "INSERT INTO entry (key, variant, cost, used_at, meta, body)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (key, variant, entry.cost, time.time(), _to_meta(entry), entry.body or b""),
            )
            database.execute(
                "DELETE FROM entry WHERE key = ? AND id NOT IN"
                " (SELECT id FROM entry WHERE key = ? ORDER BY id DESC LIMIT ?)",
                (key, key, MAX_VARIANTS),
            )
            self._mark_used(database)
            self._evict(database)

    async def update(self, key: bytes, entry: Entry) -> None:
        """Replace the fields of an entry, whose body stays."""
        await self._in_thread(lambda: self._update(entry))

    def _update(self, entry: Entry) -> None:
        with self._transaction() as database:
            database.execute(
                "UPDATE entry SET meta = ?, cost = ? WHERE id = ?",
                (_to_meta(entry), entry.cost, entry.row),
            )
            self._mark_used(database)

    def _mark_used(self, database: sqlite3.Connection) -> None:
        used, self._used = self._used, set()
        now = time.time()
        database.executemany(
            "UPDATE entry SET used_at = ? WHERE id = ?", [(now, row) for row in used]
        )

    def _evict(self, database: sqlite3.Connection) -> None:
        size = database.execute("SELECT size FROM info").fetchone()[0]
        if size <= self._max_size:
            return
        surplus, doomed = size - self._max_size * EVICT_TO, []
        for row, cost in database.execute("SELECT id, cost FROM entry ORDER BY used_at, id"):
            doomed.append((row,))
            surplus -= cost
            if surplus <= 0:
                break
        database.executemany("DELETE FROM entry WHERE id = ?", doomed)

    def remove(self, key: bytes) -> None:
        """Remove all entries of a key, in this thread."""
        with self._transaction() as database:
            database.execute("DELETE FROM entry WHERE key = ?", (key,))

    async def discard(self, key: bytes) -> None:
        """Remove all entries of a key, in a worker thread if there are any."""
        if await self.find(key):
            await self._in_thread(lambda: self.remove(key))

    def clear(self) -> None:
        """Remove all entries, in this thread."""
        with self._transaction() as database:
            database.execute("DELETE FROM entry")

    # -- the file

    async def _in_thread(self, function: Callable[[], T]) -> T | None:
        found: T | None = await curio.run_in_thread(self._guard, function)
        return found

    def _guard(self, function: Callable[[], T]) -> T | None:
        """Call a function; a failure of the file is logged, and None returned."""
        try:
            return function()
        except (sqlite3.Error, OSError, ValueError, TypeError, AttributeError) as error:
            level = logging.DEBUG if _is_locked(error) else logging.WARNING
            log.log(level, "the cache %s cannot be used: %s", self._path, error)
            return None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._write_lock:
            database = self._open_writer()
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    def _open_reader(self) -> sqlite3.Connection:
        self._check_process()
        if self._reader is None:
            self._reader = self._connect(READ_TIMEOUT)
        return self._reader

    def _open_writer(self) -> sqlite3.Connection:
        self._check_process()
        if self._writer is None:
            self._writer = self._connect(WRITE_TIMEOUT)
        return self._writer

    def _check_process(self) -> None:
        """Open new connections after a fork: SQLite does not allow to share them."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._reader = self._writer = None

    def _connect(self, timeout: float) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._path, timeout=timeout, isolation_level=None, check_same_thread=False
        )
        database.execute("PRAGMA synchronous = NORMAL")
        return database

    def _prepare(self) -> bytes:
        """Make the file a cache if it is empty; returns the salt of the digests."""
        with contextlib.closing(
            sqlite3.connect(self._path, timeout=WRITE_TIMEOUT, isolation_level=None)
        ) as database:
            try:
                # In this order: another process may create the tables and their owner meanwhile.
                names = _table_names(database)
                owner = database.execute("PRAGMA application_id").fetchone()[0]
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # locked, a full disk
                    raise
                raise InvalidRequest(f"{self._path!r} is not a SQLite database") from error
            if owner != APPLICATION_ID and names:
                raise InvalidRequest(f"{self._path!r} is a database of another program")
            database.execute("PRAGMA journal_mode = WAL").fetchone()  # stays in the file
            return self._create(database)

    def _create(self, database: sqlite3.Connection) -> bytes:
        """Create the tables if they are missing; returns the salt of the digests."""
        database.execute("BEGIN IMMEDIATE")
        try:
            names = _table_names(database)
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if not names or version != VERSION:
                for name in names:
                    database.execute(f'DROP TABLE "{name}"')
                for statement in _TABLES:
                    database.execute(statement)
                database.execute("INSERT INTO info VALUES (?, 0)", (os.urandom(16),))
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {VERSION}")
            salt = bytes(database.execute("SELECT salt FROM info").fetchone()[0])
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")
        return salt

    def close(self) -> None:
        """Close the file. It is opened again by the next use."""
        for lock, name in ((self._read_lock, "_reader"), (self._write_lock, "_writer")):
            with lock:
                database = getattr(self, name)
                setattr(self, name, None)
                if database is not None and self._process == os.getpid():
                    database.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # __init__ failed
            self.close()


def _is_locked(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def _retried(function: Callable[[], T]) -> T:
    """Call a function again while the file is locked: SQLite does not always wait by itself."""
    until = time.monotonic() + WRITE_TIMEOUT
    while True:
        try:
            return function()
        except sqlite3.OperationalError as error:
            if not _is_locked(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _table_names(database: sqlite3.Connection) -> list[str]:
    rows = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return [name for (name,) in rows.fetchall()]


def _variant(entry: Entry) -> bytes:
    return b"\0".join([",".join(entry.vary).encode(), entry.variant, entry.credentials])


def _to_meta(entry: Entry) -> str:
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in entry.fields]
    return json.dumps(
        [
            entry.status,
            entry.reason.decode("latin-1"),
            fields,
            entry.requested_at,
            entry.received_at,
            entry.vary,
            entry.variant.hex(),
            entry.credentials.hex(),
        ]
    )


def _from_row(row: int, meta: str, size: int, body: bytes | None) -> Entry:
    status, reason, fields, requested_at, received_at, vary, variant, credentials = json.loads(meta)
    return Entry(
        status,
        reason.encode("latin-1"),
        tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields),
        requested_at,
        received_at,
        tuple(vary),
        bytes.fromhex(variant),
        bytes.fromhex(credentials),
        body,
        size,
        row,
    )
