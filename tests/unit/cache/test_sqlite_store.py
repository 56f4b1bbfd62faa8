"""`SqliteStore`: rows that are removed while an entry of them is in use, and damaged rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from asks_fast._cache.entry import Entry
from asks_fast._cache.sqlite_store import INLINE_BODY, SqliteStore

LARGE = INLINE_BODY + 1


def entry_of(letter: bytes) -> Entry:
    return Entry(200, b"OK", ((b"X-A", letter),), 1.0, 2.0, body=letter * LARGE, size=LARGE)


@pytest.mark.parametrize("key", [b"first", b"second"])
async def test_a_row_that_was_replaced(tmp_path: Path, key: bytes) -> None:
    """An entry never gets the body or the fields of one that was stored in its place."""
    store = SqliteStore(tmp_path / "cache", 1 << 30)
    await store.put(b"first", entry_of(b"1"))
    [found] = await store.find(b"first")
    await store.discard(b"first")
    await store.put(key, entry_of(b"2"))
    assert await store.load(b"first", found) is None
    await store.update(b"first", found)
    [other] = await store.find(key)
    assert other.fields == ((b"X-A", b"2"),)
    assert await store.load(key, other) == b"2" * LARGE
    store.close()


@pytest.mark.parametrize("meta", ["5", "[]", "{", "[1, 2, 3, 4, 5, 6, 7, 8]", "null"])
async def test_a_damaged_row(tmp_path: Path, meta: str) -> None:
    """A row that cannot be read is as none; it can be replaced."""
    store = SqliteStore(tmp_path / "cache", 1 << 30)
    await store.put(b"key", entry_of(b"1"))
    store.close()
    with closing(sqlite3.connect(tmp_path / "cache")) as database:
        database.execute("UPDATE entry SET meta = ?", (meta,))
        database.commit()
    assert await store.find(b"key") == []
    await store.put(b"key", entry_of(b"2"))
    assert len(await store.find(b"key")) == 1
    store.close()


async def test_a_file_of_an_earlier_version(tmp_path: Path) -> None:
    """It is emptied, and works."""
    store = SqliteStore(tmp_path / "cache", 1 << 30)
    await store.put(b"key", entry_of(b"1"))
    store.close()
    with closing(sqlite3.connect(tmp_path / "cache")) as database:
        database.execute("PRAGMA user_version = 1")
    store = SqliteStore(tmp_path / "cache", 1 << 30)
    assert await store.find(b"key") == []
    await store.put(b"key", entry_of(b"2"))
    assert len(await store.find(b"key")) == 1
    store.close()
