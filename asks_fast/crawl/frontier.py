"""The frontier of a crawl: every URL found, in SQLite, each once, and which of them are next.

A URL is WAITING, TAKEN (being requested) or DONE. Its key is that of the checkpoint file, so both
agree on what was done. Within a host, URLs with a higher priority come first, then those found
with fewer links from a start URL; hosts take turns.

Facts:  a kill ends the transaction that is open: links found since the last `commit` are lost, and
        so must be the results of the pages that they were found on. The order is: `commit`, then
        the results, then `mark_done`.
Invariants: a URL is returned by `take` once per run, and in a later run only if it is not done.
        Memory does not depend on the number of URLs; it grows with the number of hosts, at most
        `max_hosts`. What one host can add is bounded: `max_pages_per_host` URLs, and `max_queries`
        different queries of one path.

Implemented elsewhere: what is in scope (`scope`), the canonical form of URLs (`links`).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .checkpoint import key_of
from .job import host_of

__all__ = ["PAGE", "SITEMAP", "Entry", "Frontier", "FrontierError"]

PAGE, SITEMAP, REJECTED = 0, 1, 2  # kinds; a rejected page was not requested
WAITING, TAKEN, DONE = 0, 1, 2  # states

VERSION = "1"
MAX_RECENT = 16_384  # known URLs that are kept in memory
MAX_TAKEN_PER_HOST = 200
MAX_TAKEN = 5_000
CACHE_KIB = 3 * 1024  # of SQLite

_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE hosts (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE pages (
    key INTEGER PRIMARY KEY, host INTEGER NOT NULL, url TEXT NOT NULL, priority INTEGER NOT NULL,
    depth INTEGER NOT NULL, hops INTEGER NOT NULL, kind INTEGER NOT NULL, state INTEGER NOT NULL
);
CREATE INDEX waiting ON pages (host, priority DESC, depth, key) WHERE state = 0;
CREATE TABLE queries (path INTEGER PRIMARY KEY, count INTEGER NOT NULL);
"""
_INSERT = "INSERT OR IGNORE INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, 0)"
_NEXT = (
    "SELECT key, url, depth, hops, kind FROM pages WHERE host = ? AND state = 0 "
    "ORDER BY priority DESC, depth, key LIMIT ?"
)
_STATE = "UPDATE pages SET state = ? WHERE key = ?"


class FrontierError(Exception):
    """The frontier cannot be used as requested: it exists, is in use, or is not a frontier."""


class Entry(NamedTuple):
    """A URL that was taken."""

    key: int
    url: str
    depth: int  # links from a start URL
    hops: int  # redirects, or indexes of sitemaps, that led here
    kind: int
    host: str


class _Host:
    """The counts of one host."""

    __slots__ = ("added", "id", "is_ready", "name", "taken", "waiting")

    def __init__(self, number: int, name: str) -> None:
        self.id = number
        self.name = name
        self.added = self.waiting = self.taken = 0
        self.is_ready = False  # in `Frontier._ready_hosts`


class Frontier:
    """The URLs of one crawl. Not shared between processes: the file is locked while it is open."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        resume: bool = False,
        overwrite: bool = False,
        max_pages: int | None = None,
        max_pages_per_host: int | None = None,
        max_hosts: int = 10_000,
        max_queries: int = 1_000,
    ) -> None:
        """Open or create a frontier.

        Args:
            path: the file; None: a temporary one, deleted when it is closed.
            resume: continue the crawl of an existing file.
            overwrite: delete an existing file.
            max_pages: how many URLs may be taken, those of earlier runs included; None: no limit.
            max_pages_per_host: how many URLs of one host are kept; None: no limit.
            max_hosts: how many hosts are kept.
            max_queries: how many URLs with different queries are kept for one path.

        Raises:
            FrontierError: the file exists and neither `resume` nor `overwrite` is set, another
                process has it open, or it is not a frontier.
        """
        self.path = path
        self.max_pages = max_pages
        self.max_pages_per_host = max_pages_per_host
        self.max_hosts = max_hosts
        self.max_queries = max_queries
        self.known = 0  # URLs, done ones included
        self.waiting = 0  # URLs to be requested
        self.taken = 0  # URLs being requested
        self.requested_pages = 0  # taken URLs of kind PAGE, in all runs
        self._hosts: dict[str, _Host] = {}
        self._ready_hosts: deque[_Host] = deque()  # in the order in which they take turns
        self._recent: dict[str, None] = {}
        if path is not None:
            self._check_path(path, resume, overwrite)
        self._database = sqlite3.connect(path or "", isolation_level=None, timeout=0.5)
        try:
            self._open()
        except sqlite3.Error as error:
            self._database.close()
            reason = "another process has it open" if "locked" in str(error) else str(error)
            raise FrontierError(f"{path} cannot be used as a frontier: {reason}") from None
        except BaseException:
            self._database.close()
            raise

    def add(
        self, url: str, *, priority: int = 0, depth: int = 0, hops: int = 0, kind: int = PAGE
    ) -> bool:
        """Add a URL in canonical form; return whether it was new and within the limits."""
        if url in self._recent:
            return False
        if len(self._recent) >= MAX_RECENT:
            self._recent.clear()
        self._recent[url] = None
        name = host_of(url)
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= self.max_hosts:
                return False
            number = self._execute("INSERT INTO hosts (name) VALUES (?)", (name,)).lastrowid
            assert number is not None
            host = self._hosts[name] = _Host(number, name)
        if self.max_pages_per_host is not None and host.added >= self.max_pages_per_host:
            return False
        key = _signed(key_of(url))
        path, mark, _ = url.partition("?")
        if mark and not self._count_query(key, path):
            return False
        added = self._execute(_INSERT, (key, host.id, url, priority, depth, hops, kind)).rowcount
        if added != 1:
            return False
        self.known += 1
        self.waiting += 1
        host.added += 1
        host.waiting += 1
        self._add_ready(host)
        return True

    def is_new(self, url: str) -> bool:
        """Return whether a URL may be new: False if it was added or rejected a short time ago."""
        return url not in self._recent

    def take(self, most: int = 500) -> list[Entry]:
        """Return URLs to request now, of several hosts in turn; empty if there are none for now."""
        found: list[Entry] = []
        most = min(most, MAX_TAKEN - self.taken)
        if self.max_pages is not None:
            most = min(most, self.max_pages - self.requested_pages)
        share = max(1, min(MAX_TAKEN_PER_HOST, most // max(1, len(self._ready_hosts))))
        while self._ready_hosts and len(found) < most:
            host = self._ready_hosts.popleft()
            host.is_ready = False
            count = min(share, most - len(found), MAX_TAKEN_PER_HOST - host.taken)
            rows = self._execute(_NEXT, (host.id, count)).fetchall()
            self._database.executemany(_STATE, [(TAKEN, row[0]) for row in rows])
            for key, url, depth, hops, kind in rows:
                found.append(Entry(_unsigned(key), url, depth, hops, kind, host.name))
                self.requested_pages += kind == PAGE
            host.taken += len(rows)
            host.waiting -= len(rows)
            self.taken += len(rows)
            self.waiting -= len(rows)
            self._add_ready(host)
        return found

    def finish(self, entry: Entry) -> None:
        """Note that the request of a taken URL has ended. `mark_done` follows later."""
        host = self._hosts[entry.host]
        host.taken -= 1
        self.taken -= 1
        self._add_ready(host)

    def reject(self, entry: Entry) -> None:
        """Note that a taken page was not requested, so that it does not count as a page."""
        self.requested_pages -= 1
        self._execute("UPDATE pages SET kind = ? WHERE key = ?", (REJECTED, _signed(entry.key)))

    @property
    def has_ready(self) -> bool:
        """Whether `take` would return something."""
        is_full = self.max_pages is not None and self.requested_pages >= self.max_pages
        return bool(self._ready_hosts) and not is_full and self.taken < MAX_TAKEN

    def mark_done(self, keys: Iterable[int]) -> None:
        """Mark URLs whose results were written; stored by the next `commit`."""
        self._begin()
        self._database.executemany(_STATE, [(DONE, _signed(key)) for key in keys])

    def commit(self) -> None:
        """Write everything to the disk.

        Raises:
            OSError: the disk is full, or another failure of the file.
        """
        if self._database.in_transaction:
            try:
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                raise OSError(None, f"{self.path}: {error}") from error

    def close(self) -> None:
        """Close the file without a commit. Idempotent."""
        self._database.close()

    def __len__(self) -> int:
        return self.known

    def __repr__(self) -> str:
        return (
            f"<Frontier {self.known} URLs, {self.waiting} waiting, {self.taken} taken, "
            f"{len(self._hosts)} hosts>"
        )

    def _check_path(self, path: Path, resume: bool, overwrite: bool) -> None:
        if overwrite:
            for suffix in ("", "-wal", "-shm", "-journal"):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{path}{suffix}").unlink()
        elif not resume and path.exists():
            raise FrontierError(
                f"{path} has a crawl of an earlier run; resume=True (--resume) continues it, "
                "overwrite=True (--overwrite) deletes it"
            )

    def _open(self) -> None:
        database = self._database
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # links are on the disk before results
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        database.execute("BEGIN IMMEDIATE")  # takes the lock
        tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not tables:
            for statement in _SCHEMA.split(";"):
                database.execute(statement)
            database.execute("INSERT INTO about VALUES ('version', ?)", (VERSION,))
        found = database.execute("SELECT value FROM about WHERE name = 'version'").fetchone()
        if found != (VERSION,):
            raise FrontierError(f"{self.path} is of another version of this program")
        database.execute("UPDATE pages SET state = 0 WHERE state = 1")
        database.execute("COMMIT")

    def restore(self, done: Iterable[int] = ()) -> None:
        """Load the counts of earlier runs; call it before the first `add`.

        Args:
            done: keys of results that were written, from the checkpoint file.
        """
        self.mark_done(done)
        self.commit()
        names = dict(self._database.execute("SELECT id, name FROM hosts"))
        self._hosts = {name: _Host(number, name) for number, name in names.items()}
        counts = "SELECT host, state, kind, count(*) FROM pages GROUP BY host, state, kind"
        for number, state, kind, count in self._database.execute(counts):
            host = self._hosts[names[number]]
            host.added += count
            self.known += count
            if state == WAITING:
                host.waiting += count
                self.waiting += count
            elif kind == PAGE:
                self.requested_pages += count
        for host in self._hosts.values():
            self._add_ready(host)

    def _add_ready(self, host: _Host) -> None:
        """Add a host to the ready ones if it has waiting URLs and not too many taken ones."""
        if host.waiting and not host.is_ready and 2 * host.taken <= MAX_TAKEN_PER_HOST:
            host.is_ready = True
            self._ready_hosts.append(host)

    def _count_query(self, key: int, path: str) -> bool:
        """Count a URL with a query; return False if it is known or there are too many."""
        if self._execute("SELECT 1 FROM pages WHERE key = ?", (key,)).fetchone():
            return False
        number = _signed(key_of(path))
        select = "SELECT count FROM queries WHERE path = ?"
        found = self._execute(select, (number,)).fetchone()
        count = found[0] if found else 0
        if count >= self.max_queries:
            return False
        self._execute("INSERT OR REPLACE INTO queries VALUES (?, ?)", (number, count + 1))
        return True

    def _begin(self) -> None:
        if not self._database.in_transaction:
            self._database.execute("BEGIN")

    def _execute(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        self._begin()
        return self._database.execute(statement, values)


def _signed(key: int) -> int:
    """Return a key of 64 bits as SQLite stores it."""
    return key - (1 << 64) if key >= 1 << 63 else key


def _unsigned(key: int) -> int:
    return key + (1 << 64) if key < 0 else key
