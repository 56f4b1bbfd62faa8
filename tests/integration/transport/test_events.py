"""Events, the log and timings of requests, over real connections, proxies and TLS included.

No test depends on how long anything takes. Secrets in events and the log are tested in
tests/robustness/security/test_leaks.py.
"""

from __future__ import annotations

import copy
import itertools
import logging
import os
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import curio
import pytest
from support.relay import relay
from support.script_steps import FOREVER, OK, SERVING, close, expect, mark, send, stall
from support.scripted_server import MakePeer, Peer

from asks_fast import DSession, HSession, Retry, run
from asks_fast._config.events import Event, EventEmitter, get_emitter
from asks_fast.errors import InvalidRequest, ServerClosedConnectionError

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Listener(list[Event]):
    """Collects events."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    @property
    def names(self) -> list[str]:
        return [event.name for event in self]

    def data(self, name: str) -> list[dict[str, Any]]:
        return [event.data for event in self if event.name == name]


@pytest.fixture
def secure_route(peer: MakePeer, tls_peer: MakePeer) -> Callable[..., tuple[Peer, Peer]]:
    """A TLS origin and a proxy with a tunnel to it."""

    def make(*script: Any) -> tuple[Peer, Peer]:
        return tls_peer([*script] or SERVING), peer([expect("CONNECT"), send(ESTABLISHED), relay])

    return make


# -- events ----------------------------------------------------------------------------------------


async def test_events_of_a_new_connection(
    secure_route: Callable[..., tuple[Peer, Peer]], client_context: ssl.SSLContext
) -> None:
    """The events of a new connection through a tunnel come in order, with increasing times."""
    origin, proxy = secure_route()
    listener = Listener()
    way = f"http://localhost:{proxy.port}"
    async with HSession(origin.url, proxy=way, ssl_context=client_context) as session:
        await session.get(on_event=listener)
        new = [
            "connection_acquired",
            "resolved",
            "connected",
            "tunnel_established",
            "tls",
            "sent",
            "head",
            "body",
        ]
        assert listener.names == new
        await session.get(on_event=listener)
        assert listener.names == [*new, "connection_acquired", "sent", "head", "body"]
    assert [data["reused"] for data in listener.data("connection_acquired")] == [False, True]
    assert listener.data("head")[0] == {"status": 200}
    heads = [event.response for event in listener if event.name == "head"]
    assert [head.headers["content-length"] for head in heads if head is not None] == ["2", "2"]
    assert listener.data("body")[0] == {"size": 2}
    times = [event.at for event in listener]
    assert times == sorted(times)
    assert all(event.request.url.origin == origin.url for event in listener)


async def test_events_of_a_safe_resend(peer: MakePeer) -> None:
    """A stale connection: `failed`, `retry`, and the events of the new connection."""
    server = peer([expect(), send(OK), expect(), close()], SERVING)
    listener = Listener()
    async with HSession(server.url) as session:
        await session.get(on_event=listener)
        listener.clear()
        assert (await session.get(on_event=listener)).status_code == 200
    assert [name for name in listener.names if name not in ("resolved", "connected")] == [
        *("connection_acquired", "sent", "failed", "retry"),
        *("connection_acquired", "sent", "head", "body"),
    ]  # fmt: skip
    assert isinstance(listener.data("failed")[0]["error"], ServerClosedConnectionError)
    assert [data["reused"] for data in listener.data("connection_acquired")] == [True, False]


async def test_events_of_retries_and_redirects(peer: MakePeer) -> None:
    """A retry policy emits `retry`, with its delay; a redirect `followup`, with its target."""
    server = peer(
        [
            expect(),
            send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
            expect(),
            send(b"HTTP/1.1 302 Go\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"),
            FOREVER,
        ]
    )
    listener = Listener()
    policy = Retry(attempts=1, backoff=0.001)
    async with HSession(server.url, retries=policy) as session:
        await session.get(on_event=listener)
    once = ["connection_acquired", "sent", "head", "body"]
    seen = [name for name in listener.names if name not in ("resolved", "connected")]
    assert seen == [*once, "retry", *once, "followup", *once]
    assert listener.data("retry")[0].keys() == {"attempt", "delay"}
    assert listener.data("followup")[0] == {"status": 302, "url": f"{server.url}/there"}


async def test_events_of_a_failed_connection(caplog: pytest.LogCaptureFixture) -> None:
    """Without a sent byte there is no `sent` event."""
    listener = Listener()
    async with DSession() as session:
        with pytest.raises(ConnectionError):
            await session.get("http://127.0.0.1:1/", on_event=listener)
    assert listener.names == ["connection_acquired", "resolved", "failed"]


async def test_callback_that_raises(peer: MakePeer, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the callback is logged and does not affect the request."""
    server = peer(SERVING)

    def broken(event: Event) -> None:
        raise KeyError("mine")

    async with HSession(server.url, on_event=broken) as session:
        assert (await session.get()).status_code == 200
    assert "callback failed" in caplog.text
    assert "KeyError" in caplog.text


async def test_log_line_for_each_event(
    secure_route: Callable[..., tuple[Peer, Peer]],
    client_context: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Debug lines of `asks_fast` have method and URL, and no secrets."""
    origin, proxy = secure_route()
    way = f"http://user:hidden@localhost:{proxy.port}"
    with caplog.at_level(logging.DEBUG, logger="asks_fast"):
        async with HSession(origin.url, proxy=way, ssl_context=client_context) as session:
            await session.get(
                params={"page": 1, "access_token": "hidden"},
                auth=("me", "hidden"),
                cookies={"session": "hidden"},
                headers={"X-Api-Key": "hidden", "Proxy-Authorization": "Basic hidden"},
            )
    lines = [record.getMessage() for record in caplog.records if record.name == "asks_fast"]
    steps = [
        "connection_acquired",
        "resolved",
        "connected",
        "tunnel_established",
        "tls",
        "body",
    ]
    first = f"GET {origin.url}/?page=1&access_token=***: "
    assert all(line.startswith(first) for line in lines)
    assert [line.removeprefix(first).partition(" ")[0] for line in lines] == steps
    assert "hidden" not in caplog.text
    assert "aGlkZGVu" not in caplog.text


async def test_log_level_changed_later(peer: MakePeer, caplog: pytest.LogCaptureFixture) -> None:
    """A log that is set to DEBUG after the first request of its kind has lines of the next ones."""
    server = peer(SERVING)
    async with HSession(server.url) as session:
        for _ in range(2):
            await session.get(path="/before")
        with caplog.at_level(logging.DEBUG, logger="asks_fast"):
            await session.get(path="/after")
    assert any("/after: body status=200 size=2" in record.getMessage() for record in caplog.records)


async def test_log_records_of_one_exchange(
    peer: MakePeer, caplog: pytest.LogCaptureFixture
) -> None:
    """Every record has the attributes that logging gives it, and its own time and event."""
    server = peer(SERVING)
    before = time.time()
    with caplog.at_level(logging.DEBUG, logger="asks_fast"):
        async with HSession(server.url) as session:
            for _ in range(2):
                await session.get(path="/")
    records = [record for record in caplog.records if record.name == "asks_fast"]
    names = [record.args[0].name for record in records[-2:]]  # type: ignore[index, union-attr]
    assert names == ["connection_acquired", "body"]
    (changing,) = {frozenset(vars(record)) for record in records}
    same = changing - {"args", "created", "msecs", "relativeCreated", "message", "taskName"}
    assert all(len({getattr(record, name) for record in records}) == 1 for name in same)
    assert records[0].filename == "events.py"
    start = records[0].created - records[0].relativeCreated / 1000
    for one, other in itertools.pairwise(records):
        assert before <= one.created <= other.created <= time.time()
    for record in records:
        assert abs(record.created - record.relativeCreated / 1000 - start) < 0.01
        assert 0 <= record.created % 1 * 1000 - record.msecs < 1


async def test_log_records_that_the_program_changes(
    peer: MakePeer, caplog: pytest.LogCaptureFixture
) -> None:
    """A filter changes one record and not the next; a record factory makes all of them."""

    def rename(record: logging.LogRecord) -> bool:
        record.msg, record.args = "changed", ()
        record.own = True
        return record.getMessage() == "changed" and not hasattr(record, "seen")

    class OwnRecord(logging.LogRecord):
        pass

    server = peer(SERVING)
    log, factory = logging.getLogger("asks_fast"), logging.getLogRecordFactory()
    with caplog.at_level(logging.DEBUG, logger="asks_fast"):
        async with HSession(server.url) as session:
            await session.get(path="/")
            log.addFilter(rename)
            try:
                await session.get(path="/")
            finally:
                log.removeFilter(rename)
            changed, count = caplog.records[-2:], len(caplog.records)
            await session.get(path="/")
            assert all(": " in record.getMessage() for record in caplog.records[count:])
            logging.setLogRecordFactory(OwnRecord)
            try:
                await session.get(path="/")
            finally:
                logging.setLogRecordFactory(factory)
    assert [record.getMessage() for record in changed] == ["changed"] * 2
    assert [type(record) for record in caplog.records[-2:]] == [OwnRecord] * 2


async def test_log_records_of_a_factory_with_own_attributes(
    peer: MakePeer, caplog: pytest.LogCaptureFixture
) -> None:
    """A record factory that adds an attribute to plain records is called for each record."""
    factory, numbers = logging.getLogRecordFactory(), itertools.count()

    def numbered(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        record.number = next(numbers)
        return record

    server = peer(SERVING)
    with caplog.at_level(logging.DEBUG, logger="asks_fast"):
        async with HSession(server.url) as session:
            logging.setLogRecordFactory(numbered)
            try:
                for _ in range(2):
                    await session.get(path="/")
            finally:
                logging.setLogRecordFactory(factory)
            await session.get(path="/")
    found = [getattr(record, "number", None) for record in caplog.records]
    assert found == [*range(next(numbers)), None, None]


def test_log_records_of_threads(peer: MakePeer, caplog: pytest.LogCaptureFixture) -> None:
    """A record has the name and number of the thread that made the request."""
    server = peer(SERVING)

    async def main() -> None:
        async with HSession(server.url) as session:
            for _ in range(2):
                await session.get(path="/")

    threads = [threading.Thread(target=run, args=(main,), name=f"thread {n}") for n in range(2)]
    with caplog.at_level(logging.DEBUG, logger="asks_fast"):
        for thread in threads:
            thread.start()
            thread.join()
    found = [(record.threadName, record.thread) for record in caplog.records]
    half = len(found) // 2
    assert found[:half] == [("thread 0", threads[0].ident)] * half
    assert found[half:] == [("thread 1", threads[1].ident)] * half


def test_log_records_of_threads_in_turn(peer: MakePeer, caplog: pytest.LogCaptureFixture) -> None:
    """The names of threads that log in turn are not mixed up."""
    server = peer(SERVING)
    turns = [threading.Event() for _ in range(5)]

    async def main(first: int) -> None:
        async with HSession(server.url) as session:
            for turn in (first, first + 2):
                assert turns[turn].wait(60)
                await session.get(path="/")
                turns[turn + 1].set()

    threads = [threading.Thread(target=run, args=(main, n), name=f"thread {n}") for n in range(2)]
    with caplog.at_level(logging.DEBUG, logger="asks_fast"):
        for thread in threads:
            thread.start()
        turns[0].set()
        for thread in threads:
            thread.join()
    names = [name for name, _ in itertools.groupby(record.threadName for record in caplog.records)]
    assert names == ["thread 0", "thread 1"] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs os.fork")
def test_log_records_after_fork(caplog: pytest.LogCaptureFixture) -> None:
    """A child process has its own number in its records."""
    with caplog.at_level(logging.DEBUG, logger="asks_fast"):
        emitter = EventEmitter(SimpleNamespace(method="GET", url="http://x.test/"), None, False)
        emitter("retry", delay=0.0)
        emitter("retry", delay=0.0)
        child = os.fork()
        if not child:
            emitter("retry", delay=0.0)
            os._exit(
                int([one.process for one in caplog.records[1:]] != [os.getppid(), os.getpid()])
            )
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


async def test_log_records_of_a_thread_that_is_renamed(
    peer: MakePeer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program may name its thread after the work that it does now."""
    server = peer(SERVING)
    async with HSession(server.url) as session:
        with caplog.at_level(logging.DEBUG, logger="asks_fast"):
            await session.get(path="/")
            monkeypatch.setattr(threading.current_thread(), "name", "second job")
            await session.get(path="/")
    assert [record.threadName for record in caplog.records[-2:]] == ["second job"] * 2


async def test_log_of_a_request_without_response(
    peer: MakePeer, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that gets no response is in the log before it ends."""
    server = peer([expect(), send(OK), expect(), mark("asked"), stall()])
    with caplog.at_level(logging.DEBUG, logger="asks_fast"):
        async with HSession(server.url) as session:
            await session.get(path="/first")
            task = await curio.spawn(session.get, "/second")
            await server.reached("asked")
            lines = [record.getMessage() for record in caplog.records]
            assert lines[-1].startswith(f"GET {server.url}/second: connection_acquired ")
            await task.cancel()


async def test_an_event_cannot_be_changed(peer: MakePeer) -> None:
    """An event is read-only, is compared by its parts, and names the request of its response."""
    server = peer(SERVING)
    listener = Listener()
    async with HSession(server.url, on_event=listener) as session:
        for _ in range(2):
            response = await session.get(path="/", params={"q": 1})
    event = listener[-1]
    assert event.request is response.request
    assert str(event) == f"GET {server.url}/?q=1: body size=2"
    for name in ("name", "at", "request", "data", "response", "started"):
        with pytest.raises(AttributeError):
            setattr(event, name, None)
    parts = (event.at, event.request, event.data, event.response, event.started)
    same = Event(event.name, *parts)
    assert event == same == copy.copy(event)
    assert event != Event("head", *parts)
    assert event != "body"
    assert repr(event) == repr(same)
    with pytest.raises(TypeError):
        hash(event)


async def test_no_events_without_listener(peer: MakePeer, caplog: pytest.LogCaptureFixture) -> None:
    """Without a listener there is no emitter, and no times are recorded."""
    caplog.set_level(logging.INFO, logger="asks_fast")
    server = peer(SERVING)
    async with HSession(server.url) as session:
        for options in ({}, {"headers": {"X": "1"}}):
            response = await session.get(**options)
            assert response.timings is None
            assert get_emitter(response.request) is None
            assert (response.timed, response.sent_at, response.first_byte_at) == (False, 0.0, 0.0)


# -- timings ---------------------------------------------------------------------------------------


def phases(response: Any) -> dict[str, float]:
    """The phases of a response; none is negative, and they add up to the total."""
    spent = {one.name: getattr(response.timings, one.name) for one in fields(response.timings)}
    found = {name: seconds for name, seconds in spent.items() if seconds is not None}
    assert all(seconds >= 0.0 for seconds in found.values()), found
    total = found.pop("total", None)
    if total is not None:
        assert sum(found.values()) == pytest.approx(total)
    return found


NEW = {"wait", "lookup", "connect", "send", "first_byte", "body"}
USED = {"wait", "send", "first_byte", "body"}


async def test_timings(
    secure_route: Callable[..., tuple[Peer, Peer]], client_context: ssl.SSLContext
) -> None:
    """The timings have each phase that took place, and no other."""
    origin, proxy = secure_route()
    way = f"http://localhost:{proxy.port}"
    async with HSession(origin.url, proxy=way, ssl_context=client_context) as session:
        first = await session.get(timings=True)
        assert phases(first).keys() == NEW | {"tunnel", "tls"}
        assert min(first.timings.connect, first.timings.tls, first.timings.first_byte) > 0.0
        second = await session.get(timings=True)
        assert phases(second).keys() == USED
        assert str(second.timings).startswith("wait 0.0")
        assert "first byte" in str(second.timings)
    assert first.timings == first.timings


async def test_timings_include_tls_with_the_proxy(
    peer: MakePeer, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """A forwarded request over TLS with the proxy has a `tls` phase."""
    proxy = peer(SERVING, tls=server_context)
    way = f"https://localhost:{proxy.port}"
    async with DSession(proxy=way, ssl_context=client_context) as session:
        response = await session.get("http://origin.test/", timings=True)
    assert phases(response).keys() == NEW | {"tls"}


async def test_timings_of_each_hop(peer: MakePeer) -> None:
    """A default of the session; every response of the history has its own timings."""
    moved = b"HTTP/1.1 302 Go\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
    server = peer([expect(), send(moved), FOREVER])
    async with HSession(server.url, timings=True) as session:
        response = await session.get()
        assert phases(response).keys() == USED
        assert phases(response.history[0]).keys() == NEW
        assert (await session.get(timings=False)).timings is None


async def test_timings_of_a_stream(peer: MakePeer) -> None:
    """`body` and `total` are set when the last byte has been read."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    server = peer([expect(), send(head), stall(), send(b"long"), stall()])
    async with HSession(server.url) as session:
        response = await session.get(stream=True, timings=True)
        assert phases(response).keys() == NEW - {"body"}
        assert response.timings.total is None
        server.release()
        assert await response.body.read() == b"long"
        assert phases(response).keys() == NEW
        assert response.timings.total is not None


async def test_timings_of_waiting_for_a_connection(peer: MakePeer) -> None:
    """`wait` is the time for which the connection served another request."""
    server = peer([expect(), stall(), send(OK), FOREVER])
    async with HSession(server.url, timings=True) as session:
        first = await curio.spawn(session.get)
        await server.saw_requests()
        second = await curio.spawn(session.get)
        await server.until(lambda: session.pool_stats()["waiting"] == 1)
        before = time.monotonic()
        await curio.sleep(0.01)
        least = time.monotonic() - before
        server.release()
        assert (await first.join()).timings.first_byte >= least
        assert (await second.join()).timings.wait >= least


async def test_first_byte_is_not_100_continue(peer: MakePeer) -> None:
    """The first byte is that of the final response, not of 100 Continue."""
    server = peer([expect(), send(OK), FOREVER])
    async with HSession(server.url) as session:
        response = await session.post(data=b"x" * 100_000, expect_continue=0.01, timings=True)
        assert phases(response).keys() == NEW
    refusal = b"HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    server = peer([send(refusal), stall()])
    async with HSession(server.url) as session:
        response = await session.post(data=b"x" * 5_000_000, timings=True)
        assert response.status_code == 413
        assert phases(response).keys() == NEW


async def test_several_listeners(peer: MakePeer) -> None:
    """`on_event=` takes a list; what is not a function is refused at the call."""
    server = peer(SERVING)
    one: list[Event] = []
    other: list[Event] = []
    async with HSession(server.url, on_event=[one.append, other.append]) as session:
        for _ in range(2):  # the second from a template
            await session.get()
        assert (
            len(one) == len(other) == len([event for event in one if event.at >= event.started > 0])
        )
        for wrong in (5, [5], [one.append, None]):
            with pytest.raises(InvalidRequest, match="on_event="):
                await session.get(on_event=wrong)


async def test_body_of_a_redirect_has_its_response(peer: MakePeer) -> None:
    """The body that is read after a look at the head is reported with the same response."""
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 4\r\n\r\nbody"
    server = peer([expect(), send(redirect), expect(), send(OK), close()])
    listener: list[Event] = []
    async with HSession(server.url, on_event=listener.append) as session:
        await session.get()
    head, body = (
        next(event for event in listener if event.name == name) for name in ("head", "body")
    )
    assert head.response is body.response is not None
    assert body.data == {"size": 4}
