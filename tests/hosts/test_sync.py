"""`asks_fast.sync`: sessions and functions as blocking calls."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import curio
import pytest
from support.leaks import assert_no_active_requests, open_descriptors
from support.script_steps import close, expect, repeat, send, stall
from support.scripted_server import MakePeer

import asks_fast
from asks_fast import Progress, errors, sync
from asks_fast.crawl import Politeness

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na\nb\nc"
ANSWERING = [repeat(expect(), send(OK))]


pytestmark = pytest.mark.usefixtures("kernel_of_thread")


def test_all_request_methods(peer: MakePeer, tmp_path: Path) -> None:
    """One-shot calls, the three sessions, streams, `map` and `gather` work."""
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
        assert_no_active_requests(session)
    with sync.DSession() as many, sync.Session(server.url) as later:
        assert many.get(server.url).content == later.get(path="/").content
    with pytest.raises(errors.SessionClosed):
        session.get(path="/")


def test_state_of_a_bulk_run(peer: MakePeer) -> None:
    """The results of `map` tell what the run does, as those of an asynchronous session do."""
    server = peer(*[ANSWERING] * 4)
    politeness = Politeness(adaptive=True, host_concurrency=2)
    with (
        sync.DSession(connections=2) as session,
        session.map([server.url] * 5, politeness=politeness) as results,
    ):
        next(results)
        assert results.under_way <= 2
        assert len(list(results)) == 4
        assert results.under_way == 0
        assert results.slow_hosts == {}
        host = server.url.removeprefix("http://").rstrip("/")
        assert "at once" in results.adaptive_limits([host, "other.example"])[host]


def test_public_names_are_of_this_module() -> None:
    """`repr` and pickles name `asks_fast.sync`, which programs import, not a private module."""
    modules = {name: getattr(sync, name).__module__ for name in sync.__all__}
    assert modules.pop("Response") == "asks_fast.response_objects"
    assert set(modules.values()) == {"asks_fast.sync"}
    assert pickle.loads(pickle.dumps(sync.get)) is sync.get


def test_settings(peer: MakePeer) -> None:
    """Settings are read and assigned as those of an asynchronous session."""
    server = peer(*[ANSWERING] * 3)
    with sync.HSession(server.url, "/base", connections=2, persist_cookies=True) as session:
        session.headers["X-Mine"] = "1"
        session.get(path="/a")
        session.headers, session.endpoint = {"X-Other": "2"}, "/other"
        session.get(path="/b")
        assert session.host == server.url
        session.host = f"{server.url}/host"
        session.encoding = "latin-1"
        assert (session.endpoint, session.connections, session.encoding) == ("/other", 2, "latin-1")
        assert (session.ssl_context, session.source_address) == (None, None)
        assert isinstance(session.cookie_tracker_obj, asks_fast.CookieTracker)
        session.post(data="ü")
    first, second, third = server.requests
    assert (first.target, first.header("x-mine")) == ("/base/a", "1")
    assert (second.target, second.header("x-mine")) == ("/other/b", None)
    assert second.header("x-other") == "2"
    assert (third.target, third.body) == ("/host/other", b"\xfc")
    with sync.Session("http://h") as later:
        later.base_location = server.url
        assert later.base_location == server.url
        assert later.get("/c").status_code == 200


def test_transfers(peer: MakePeer, tmp_path: Path) -> None:
    """`download` writes a file, `metered` iterates over a body, and both report their progress."""
    server = peer(ANSWERING)
    seen: list[Progress] = []
    with sync.HSession(server.url) as session:
        done = session.download("/", tmp_path / "file", progress=seen.append)
        assert (done.size, done.attempts, seen[-1].transferred) == (5, 1, 5)
        body = session.get(path="/", stream=True).body
        assert b"".join(body.metered(progress=seen.append)) == b"a\nb\nc"
        assert (seen[-1].transferred, seen[-1].total) == (5, 5)
        with pytest.raises(errors.ChecksumMismatch):
            session.download("/", tmp_path / "other", checksum="md5:" + "0" * 32)
        assert_no_active_requests(session)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_server_sent_events(peer: MakePeer) -> None:
    """`events` iterates over events and reconnects after the last one, as the coroutine does."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    server = peer(
        [expect(), send(head + b"retry: 0\nid: 1\ndata: a\n\nid: 2\ndata: b\n\n"), close()],
        [expect(), send(head + b"id: 3\nevent: c\ndata: c\n\ndata: d\n\n"), stall()],
        [expect(), send(head + b"data: e\n\n"), close()],
    )
    with sync.HSession(server.url) as session:
        with session.events("/feed", headers={"X-Mine": "1"}) as events:
            found = [next(events) for _ in range(3)]
            assert (events.last_event_id, events.retry) == ("3", 0)
        assert [(event.id, event.event, event.data) for event in found] == [
            ("1", "message", "a"),
            ("2", "message", "b"),
            ("3", "c", "c"),
        ]
        assert list(events) == []
        assert_no_active_requests(session)
        assert [e.data for e in session.events("/feed", reconnect=False)] == ["e"]
    first, second, _ = server.requests
    assert (first.header("last-event-id"), first.header("x-mine")) == (None, "1")
    assert (second.header("last-event-id"), second.header("x-mine")) == ("2", "1")


def test_events_and_documents_of_a_stream(peer: MakePeer) -> None:
    """`events` and `json_lines` of a streamed response are plain iterators."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 18\r\n\r\n"
    server = peer([repeat(expect(), send(head + b"data: 1\n\ndata: 2\n\n"))])
    with sync.HSession(server.url) as session:
        assert [e.data for e in session.get("/", stream=True).events()] == ["1", "2"]
        with session.get("/", stream=True).events() as events:
            assert next(events).data == "1"
        assert_no_active_requests(session)
    lines = b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"a":1}\n[]'
    server = peer([expect(), send(lines)])
    assert list(sync.get(server.url, stream=True).json_lines()) == [{"a": 1}, []]


def test_errors_and_time_limits(peer: MakePeer) -> None:
    """A blocking call raises the errors of the coroutine."""
    server = peer([repeat(expect(), stall())])
    with sync.HSession(server.url) as session:
        with pytest.raises(errors.TotalTimeout):
            session.get(path="/", timeout=0.05)
        assert_no_active_requests(session)


def test_running_loop_is_rejected(peer: MakePeer) -> None:
    """Where an event loop runs, a call raises an error that names the alternative."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"would block .* use the functions and sessions"):
            sync.get("http://127.0.0.1:1/")

    asyncio.run(main())
    curio.run(main)


def test_threads(peer: MakePeer) -> None:
    """Each thread has its own kernel, and a session of another thread is rejected."""
    server = peer(*[ANSWERING] * 10)
    outcomes: list[object] = []

    def use_own() -> None:
        with sync.HSession(server.url) as own:
            outcomes.append(own.get(path="/").status_code)

    def share() -> None:
        try:
            shared.get(path="/")
        except errors.WrongThread as error:
            outcomes.append(error)

    with sync.HSession(server.url) as shared:
        shared.get(path="/")
        for target in (use_own, use_own, share):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert outcomes[:2] == [200, 200]
    assert isinstance(outcomes[2], errors.WrongThread)


def test_ctrl_c_ends_the_request(peer: MakePeer) -> None:
    """KeyboardInterrupt during the wait closes the connection; the session works afterwards."""
    asked = threading.Event()
    server = peer([expect(), lambda _: asked.set(), stall()], ANSWERING)
    main_thread = threading.get_ident()

    def interrupt() -> None:
        asked.wait()
        signal.pthread_kill(main_thread, signal.SIGINT)

    with sync.HSession(server.url) as session:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            session.get(path="/")
        assert_no_active_requests(session)
        assert session.pool_stats()["open"] == 0
        assert session.get(path="/").status_code == 200


def test_ctrl_c_in_user_code_ends_the_request(peer: MakePeer) -> None:
    """KeyboardInterrupt in a callback is raised by the call, and the connection is closed."""
    server = peer(ANSWERING, ANSWERING)

    def interrupt(_chunk: bytes) -> None:
        raise KeyboardInterrupt

    with sync.HSession(server.url) as session:
        with pytest.raises(KeyboardInterrupt):
            session.get(path="/", callback=interrupt)
        assert_no_active_requests(session)
        assert session.get(path="/").status_code == 200


def test_failed_kernel_is_replaced(peer: MakePeer) -> None:
    """User code that yields what is no trap ends the kernel; the next call makes a new one."""
    server = peer(ANSWERING, ANSWERING)

    class Unknown:
        def __await__(self) -> Iterator[object]:
            yield ("trap_unknown",)

    async def wait_for_nothing(_chunk: bytes) -> None:
        await Unknown()

    def work() -> None:  # in a thread, with which its second kernel ends
        with pytest.raises(KeyError, match="trap_unknown"):
            sync.get(server.url, callback=wait_for_nothing)
        outcomes.append(sync.get(server.url).status_code)

    outcomes: list[int] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcomes == [200]
    gc.collect()  # the request of the first kernel


def test_kernel_that_fails_after_ctrl_c_is_replaced(peer: MakePeer) -> None:
    """Also if the kernel fails while the cancelled request cleans up."""
    server = peer(ANSWERING, ANSWERING)

    class Unknown:
        def __await__(self) -> Iterator[object]:
            yield ("trap_unknown",)

    async def wait_for_interrupt(_chunk: bytes) -> None:
        task = await curio.spawn(interrupt)
        try:
            await task.join()
        finally:
            await Unknown()

    async def interrupt() -> None:
        raise KeyboardInterrupt

    def work() -> None:
        with pytest.raises(KeyError, match="trap_unknown"):
            sync.get(server.url, callback=wait_for_interrupt)
        outcomes.append(sync.get(server.url).status_code)

    outcomes: list[int] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcomes == [200]
    gc.collect()


def test_call_within_a_call_is_rejected(peer: MakePeer) -> None:
    """A callback of a blocking call must not make another one: its own kernel runs already."""
    server = peer(ANSWERING)

    def ask_again(_chunk: bytes) -> None:
        sync.get(server.url)

    with pytest.raises(
        RuntimeError, match="made inside another one, by a callback or by the input"
    ):
        sync.get(server.url, callback=ask_again)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_fork(peer: MakePeer) -> None:
    """A forked child uses its own kernel and connections; the parent goes on."""
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


def test_an_ended_thread_leaves_no_kernel(peer: MakePeer) -> None:
    """The kernel of a thread ends with the thread, without a garbage collection."""
    server = peer(ANSWERING)
    of_thread = threading.local()

    def work() -> None:
        of_thread.session = sync.DSession()
        assert of_thread.session.get(server.url).status_code == 200
        of_thread.session.close()

    def kernels() -> int:
        return sum("eventpoll" in name for name in open_descriptors().elements())

    before = kernels()
    gc.disable()
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert kernels() == before
    finally:
        gc.enable()
