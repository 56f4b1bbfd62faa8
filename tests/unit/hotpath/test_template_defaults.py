"""Defaults of a session apply on the fast path as on the general path.

The same server, the same session, the same request: by plan, and with an option that no plan
knows and that changes nothing. What comes of it, and what the server sees of it, is the same.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.cancel_at_each_await import cancel_at_each_await
from support.leaks import assert_no_active_requests
from support.script_steps import OK, close, expect, repeat, reset, send, stall
from support.scripted_server import MakePeer, Peer

from asks_fast import HSession, Retry, Timeouts
from asks_fast.errors import AsksException

LONG = {"normalize_url": True, "sensitive_headers": []}  # a list cannot be part of a template key
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
THERE = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
CUT = b"HTTP/1.1 302 Found\r\nContent-Length: 10\r\n\r\nabc"
LATE = b"HTTP/1.1 408 Timeout\r\nConnection: close\r\n\r\n"
TWICE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"
ANSWERING = [repeat(expect(), send(OK))]

DEFAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "no retries": {"retries": 0},
    "one": {"retries": 1},
    "two": {"retries": 2, "timeout": 60},
    "policy": {"retries": Retry(attempts=2, backoff=0.0)},
    "policy for posts": {"retries": Retry(attempts=1, backoff=0.0, methods=frozenset({"POST"}))},
    "policy for missing": {"retries": Retry(attempts=1, backoff=0.0, statuses=frozenset({404}))},
    "predicate": {"retries": Retry(attempts=2, backoff=0.0, predicate=lambda attempt: None)},
    "no redirects": {"follow_redirects": False},
    "one redirect": {"max_redirects": 1, "connection_timeout": 30},
    "phases": {"timeout": Timeouts(connect=20, read=20, write=20, total=40)},
    "in line": {"timeout": Timeouts(pool=20)},
    "strict": {"strict": True},
    "patient": {"read_timeout": None, "write_timeout": None},
}

# What the server does with the second request of its first connection; then, further connections.
SCRIPTS: dict[str, list[Any]] = {
    "answers": [expect(), send(OK), repeat(expect(), send(OK))],
    "is busy once": [expect(), send(BUSY), repeat(expect(), send(OK))],
    "is busy": [repeat(expect(), send(BUSY))],
    "is busy for long": [expect(), send(BUSY.replace(b": 4", b": 400000")), close()],
    "has it not": [expect(), send(BUSY.replace(b"503", b"404")), repeat(expect(), send(OK))],
    "closes": [expect(), close()],
    "resets": [expect(), reset()],
    "breaks off in the head": [expect(), send(OK[:20]), close()],
    "breaks off in the body": [expect(), send(OK[:-1]), close()],
    "gives its length twice": [expect(), send(TWICE), close()],
    "talks nonsense": [expect(), send(b"nonsense\r\n\r\n"), close()],
    "was silent too long": [
        expect(),
        send(b"HTTP/1.1 408 T\r\nConnection: close\r\n\r\n"),
        close(),
    ],
    "leads nowhere": [expect(), send(THERE.replace(b"Location", b"X")), repeat(expect(), send(OK))],
    "closes within the head": [expect(), send(CUT), close()],
    "leads on": [expect(), send(THERE), repeat(expect(), send(OK))],
    "leads on and on": [repeat(expect(), send(THERE))],
}


def plain(text: str) -> str:
    """The text without ports and times."""
    text = re.sub(r" \[\d+\.\d{3} s after sending\]", "", text)  # left out below a millisecond
    return re.sub(r":\d{4,5}", ":port", text)


async def outcome(session: HSession, method: str, **options: Any) -> Any:
    """Everything that a program can observe of an outcome."""
    try:
        r = await session.request(method, path="/x", **options)
    except AsksException as error:
        return type(error), plain(str(error)), getattr(error, "attempts", None)
    before = [(old.status_code, old.url.rpartition("/")[2]) for old in r.history]
    return r.status_code, r.body[:4], r.is_complete, r.attempts, before, r.url.rpartition("/")[2]


def seen(server: Peer) -> Any:
    """Everything that the server can observe."""
    return [(request.method, request.target) for request in server.requests]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("script", SCRIPTS)
async def test_both_paths_have_the_same_outcome(peer: MakePeer, script: str, method: str) -> None:
    """Both paths have the same retries, redirects, errors, attempts, history and requests."""
    for name, defaults in DEFAULTS.items():
        ends = []
        for way in ({}, LONG):
            server = peer([expect(), send(OK), *SCRIPTS[script]], ANSWERING)
            async with HSession(server.url, connections=1, **defaults) as session:
                await session.request(method, path="/first")
                end = await outcome(session, method, **way)
                assert_no_active_requests(session)
                ends.append((end, seen(server), len(server.connections)))
                assert bool(session._templates) == (name != "predicate"), name
        assert ends[0] == ends[1], name


@pytest.mark.parametrize("way", [{}, LONG], ids=["plan", "long"])
async def test_failed_connection(peer: MakePeer, way: dict[str, Any]) -> None:
    """Connecting is tried as often as `retries` says; the error has the number of attempts."""
    server = peer([expect(), send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"), close()])
    async with HSession(server.url, connections=1, retries=2) as session:
        await session.get(path="/first")
        server.stop()
        kind, text, attempts = await outcome(session, "GET", **way)
        assert (kind.__name__, attempts) == ("ConnectionFailed", 3)
        assert text.startswith("GET http://127.0.0.1:port/x: ")
        assert session.pool_stats()["open"] == 0


@pytest.mark.parametrize("way", [{}, LONG], ids=["plan", "long"])
@pytest.mark.parametrize("head", [CUT, CUT.replace(b"302", b"200")], ids=["302", "200"])
async def test_truncated_body(peer: MakePeer, head: bytes, way: dict[str, Any]) -> None:
    """A truncated body is retried whatever its status, also for a followup status."""
    breaking_off = [expect(), send(head), close()]
    server = peer([expect(), send(OK), *breaking_off], breaking_off)
    names: list[str] = []
    async with HSession(server.url, connections=1, retries=2) as session:
        await session.get(path="/first")
        kind, text, attempts = await outcome(session, "GET", **way)
        assert (kind.__name__, attempts) == ("ServerClosedConnectionError", 3)
        assert "after 3 of 10 bytes" in text
        assert len(server.requests) == 4
        await outcome(session, "GET", on_event=lambda event: names.append(event.name))
        assert names.count("failed") == 3


@pytest.mark.parametrize("at", ["connection_acquired", "sent", "head"])
@pytest.mark.parametrize("stream", [False, True])
async def test_interrupt_in_a_callback(peer: MakePeer, at: str, stream: bool) -> None:
    """KeyboardInterrupt in an event callback leaves no slot taken."""

    def interrupt(event: Any) -> None:
        if event.name == at:
            raise KeyboardInterrupt

    begun = [] if at == "connection_acquired" else [[expect(), send(CUT), stall()]]
    server = peer(*begun, ANSWERING)
    async with HSession(server.url, connections=1) as session:
        with pytest.raises(KeyboardInterrupt):
            await session.get(path="/x", on_event=interrupt, stream=stream)
        assert session.pool_stats()["open"] == 0
        assert (await session.get(path="/x")).status_code == 200


@pytest.mark.parametrize("way", [{}, LONG], ids=["plan", "long"])
@pytest.mark.parametrize("retries", [0, 1])
async def test_silence(peer: MakePeer, retries: int, way: dict[str, Any]) -> None:
    """A session's `read_timeout` ends each attempt that its `retries` allow."""
    server = peer([expect(), send(OK), expect(), stall()], [expect(), stall()])
    async with HSession(server.url, connections=1, read_timeout=1, retries=retries) as session:
        await session.get(path="/first")
        kind, text, attempts = await outcome(session, "GET", **way)
        assert (kind.__name__, attempts) == ("ReadTimeout", retries + 1)
        assert "silent for 1 s" in text
        assert len(server.requests) == 2 + retries


async def test_a_read_timeout_below_a_second(peer: MakePeer) -> None:
    """The pool monitor is woken early for a `read_timeout` shorter than its interval."""
    server = peer([expect(), send(OK), expect(), stall()])
    async with HSession(server.url, read_timeout=0.1, retries=0) as session:
        await session.get(path="/first")
        assert session._templates
        kind, text, _ = await outcome(session, "GET")
        assert (kind.__name__, "silent for 0.1 s" in text) == ("ReadTimeout", True)


async def test_cancelled_at_each_wait(peer: MakePeer) -> None:
    """After cancellation at each wait of an exchange and its retry, nothing stays open."""
    server = peer([expect(), send(OK), expect(), send(OK[:-1]), close()])
    policy = Retry(attempts=2, backoff=0.001)
    async with HSession(server.url, connections=1, retries=policy, timeout=60) as session:

        async def after_each() -> None:
            assert_no_active_requests(session)
            assert (await session.get(path="/next")).status_code == 200
            assert_no_active_requests(session)

        await session.get(path="/first")
        places, response = await cancel_at_each_await(lambda: session.get(path="/x"), after_each)
        assert places > 3
        assert response.status_code == 200
    await server.all_closed()
