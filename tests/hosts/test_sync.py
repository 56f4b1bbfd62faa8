"""`asks_fast.sync`: the same sessions and functions as blocking calls."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import curio
import pytest
from support.leaks import nothing_under_way
from support.script_steps import expect, repeat, send, stall
from support.scripted_server import MakePeer

import asks_fast
from asks_fast import errors, sync

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na\nb\nc"
ANSWERING = [repeat(expect(), send(OK))]


pytestmark = pytest.mark.usefixtures("kernel_of_thread")


def test_every_way_to_ask(peer: MakePeer, tmp_path: Path) -> None:
    """One-shot calls, the three sessions, streams, map and gather."""
    server = peer(*[ANSWERING] * 40)
    assert sync.get(server.url).content == b"a\nb\nc"
    assert sync.request("PUT", server.url, data=b"x").status_code == 200
    with sync.get(server.url, stream=True) as streamed:
        assert isinstance(streamed, asks_fast.StreamResponse)
        assert list(streamed.body) == [b"a\nb\nc"]
    with sync.HSession(server.url, connections=3) as session:
        assert session.post(path="/", json={}).status_code == 200
        assert list(session.get(path="/", stream=True).body.lines()) == ["a", "b", "c"]
        assert list(session.get(path="/", stream=True).body.chunks(4)) == [b"a\nb\n", b"c"]
        assert session.get(path="/", stream=True).body.read() == b"a\nb\nc"
        assert session.get(path="/", stream=True).body.save(tmp_path / "file") == 5
        session.get(path="/", stream=True).body.close()
        assert {result.response.status_code for result in session.map(["/"] * 9)} == {200}
        with session.map(["/"] * 99) as results:
            next(results)
        assert len(session.gather(["/"] * 3)) == 3
        assert session.warm_up(2) >= 2
        assert session.send(session.prepare("GET", path="/")).status_code == 200
        nothing_under_way(session)
    with sync.DSession() as many, sync.Session(server.url) as later:
        assert many.get(server.url).content == later.get(path="/").content
    with pytest.raises(errors.SessionClosed):
        session.get(path="/")


def test_errors_and_time_limits(peer: MakePeer) -> None:
    """A blocking call raises what the awaited one does."""
    server = peer([repeat(expect(), stall())])
    with sync.HSession(server.url) as session:
        with pytest.raises(errors.TotalTimeout):
            session.get(path="/", timeout=0.05)
        nothing_under_way(session)


def test_a_running_loop_is_refused(peer: MakePeer) -> None:
    """Where an event loop runs, a call says what to use instead."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"would block .* use the functions and sessions"):
            sync.get("http://127.0.0.1:1/")

    asyncio.run(main())
    curio.run(main)


def test_threads(peer: MakePeer) -> None:
    """Each thread has a kernel of its own, which ends with it; a shared session is refused."""
    server = peer(*[ANSWERING] * 10)
    outcomes: list[object] = []

    def ask() -> None:
        with sync.HSession(server.url) as own:
            outcomes.append(own.get(path="/").status_code)

    def share() -> None:
        try:
            shared.get(path="/")
        except errors.WrongThread as error:
            outcomes.append(error)

    with sync.HSession(server.url) as shared:
        shared.get(path="/")
        for target in (ask, ask, share):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert outcomes[:2] == [200, 200]
    assert isinstance(outcomes[2], errors.WrongThread)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_fork(peer: MakePeer) -> None:
    """A forked child asks with a kernel and connections of its own; the parent goes on."""
    server = peer(*[ANSWERING] * 4)
    with sync.HSession(server.url) as session:
        session.get(path="/")
        child = os.fork()
        if not child:
            status = 1
            try:
                status = 0 if session.get(path="/").status_code == 200 else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert session.get(path="/").status_code == 200
        assert session.pool_stats()["created"] == 1
