"""The file of a cache: several sessions, threads and processes, failures, and what is in it."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.script_steps import expect, repeat, send
from support.scripted_server import MakePeer

from asks_fast import Cache, HSession, sync
from asks_fast._cache import sqlite_store
from asks_fast.errors import InvalidRequest

FRESH = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok"
ANSWERING = [repeat(expect(), send(FRESH))]


async def test_file_outlives_the_cache(peer: MakePeer, tmp_path: Path) -> None:
    """Another cache object finds what was stored; large bodies come from a thread."""
    body = b"x" * (sqlite_store.INLINE_BODY + 1)
    large = FRESH.replace(b": 2\r\n\r\nok", b": %d\r\n\r\n%b" % (len(body), body))
    server = peer([expect(), send(large)])
    for is_stored in (False, True):
        async with HSession(server.url, cache=Cache(tmp_path / "c")) as session:
            response = await session.get()
            assert (response.from_cache, response.content) == (is_stored, body)


async def test_nothing_secret_in_the_file(peer: MakePeer, tmp_path: Path) -> None:
    """URLs and fields of requests are stored as digests, in a file for its owner only."""
    server = peer([repeat(expect(), send(FRESH.replace(b"\r\n\r\n", b"\r\nVary: X-User\r\n\r\n")))])
    path = tmp_path / "c"
    headers = {"Authorization": "Bearer s3cret", "X-User": "s3cret"}
    async with HSession(server.url, cache=Cache(path)) as session:
        for _ in range(2):
            response = await session.get(path="/x", params={"token": "s3cret"}, headers=headers)
        assert response.from_cache
    assert b"s3cret" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["c"]


async def test_files_that_are_not_a_cache(tmp_path: Path) -> None:
    """The database of another program is never changed; a cache of another version is emptied."""
    path = tmp_path / "other"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(InvalidRequest, match="database of another program"):
        Cache(path)
    assert path.read_bytes() == before
    (tmp_path / "text").write_text("not a database" * 100)
    with pytest.raises(InvalidRequest, match=r"'.*text' is not a SQLite database"):
        Cache(tmp_path / "text")
    Cache(tmp_path / "c")
    old = sqlite3.connect(tmp_path / "c")
    old.execute("PRAGMA user_version = 99")
    old.close()
    Cache(tmp_path / "c").clear()
    now = sqlite3.connect(tmp_path / "c")
    assert now.execute("PRAGMA user_version").fetchone() == (sqlite_store.VERSION,)
    now.close()


async def test_failures_of_the_file(
    peer: MakePeer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that cannot be used is logged, and requests go to the server."""
    server = peer(ANSWERING)
    path = tmp_path / "c"
    cache = Cache(path)
    broken = sqlite3.connect(path)
    broken.execute("DROP TABLE entry")
    broken.close()
    with caplog.at_level(logging.WARNING, "asks_fast"):
        async with HSession(server.url, cache=cache) as session:
            for _ in range(2):
                assert not (await session.get()).from_cache
    assert "cannot be used: no such table" in caplog.text
    assert len(server.requests) == 2


async def test_locked_file(peer: MakePeer, tmp_path: Path) -> None:
    """While another process writes, reading goes on."""
    server = peer(ANSWERING)
    path = tmp_path / "c"
    async with HSession(server.url, cache=Cache(path)) as session:
        await session.get()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert (await session.get()).from_cache
        other.execute("ROLLBACK")
        other.close()


async def test_size_is_counted(peer: MakePeer, tmp_path: Path) -> None:
    """The counted size is that of the rows, whatever was added, updated and removed."""
    server = peer(ANSWERING)
    cache = Cache(tmp_path / "c", max_size=4000)
    async with HSession(server.url, cache=cache) as session:
        for number in range(40):
            await session.get(path=f"/{number % 13}")
            if number % 5 == 0:
                await session.get(path=f"/{number % 13}", headers={"Cache-Control": "no-cache"})
        await session.post(path="/3")
        cache.remove(f"{server.url}/4")
    database = sqlite3.connect(tmp_path / "c")
    counted = database.execute("SELECT size FROM info").fetchone()
    assert counted == database.execute("SELECT sum(cost) FROM entry").fetchone()
    assert counted[0] <= 4000
    database.close()


@pytest.mark.usefixtures("kernel_of_thread")
def test_threads(peer: MakePeer, tmp_path: Path) -> None:
    """Blocking sessions in several threads share one cache."""
    server = peer(*[ANSWERING] * 4)
    cache = Cache(tmp_path / "c")
    seen: list[bytes] = []

    def run() -> None:
        with sync.HSession(server.url, cache=cache) as session:
            seen.extend(session.get(path=f"/{number % 10}").content for number in range(50))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [b"ok"] * 200
    assert len(server.requests) <= 40


PROGRAM = """
import sys
from asks_fast import Cache, sync
url, path = sys.argv[1:]
with sync.HSession(url, cache=Cache(path, max_size=20_000)) as session:
    for number in range(300):
        assert session.get(path=f"/{number % 60}").content == b"ok"
print("done")
"""


def test_processes(peer: MakePeer, tmp_path: Path) -> None:
    """Several processes read, write and evict in one file, and no response is wrong."""
    server = peer(*[ANSWERING] * 3)
    command = [sys.executable, "-W", "error", "-c", PROGRAM, server.url, str(tmp_path / "c")]
    programs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)
    ]
    outputs = [program.communicate(timeout=200) for program in programs]
    assert outputs == [(b"done\n", b"")] * 3
    database = sqlite3.connect(tmp_path / "c")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    counted = database.execute("SELECT size FROM info").fetchone()
    assert counted == database.execute("SELECT sum(cost) FROM entry").fetchone()
    assert counted[0] <= 20_000
    database.close()


def test_fork(tmp_path: Path) -> None:
    """A child process opens the file anew."""
    cache = Cache(tmp_path / "c")
    cache.clear()
    reader = os.fork()
    if reader == 0:
        try:
            cache.clear()
            cache.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]) == 0
    cache.close()
