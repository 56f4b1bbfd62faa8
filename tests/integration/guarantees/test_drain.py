"""Bodies of followup responses are drained within limits; other bodies are read to their end.

Facts:  what is bounded here is a rest that did not come with the head, so scripts send it apart.
"""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import curio
import pytest
from support.cancel_at_each_await import cancel_at_each_await
from support.leaks import assert_no_active_requests
from support.script_steps import OK, close, drip, expect, half_close, mark, repeat, send, stall
from support.scripted_server import Peer, Step

from asks_fast import DigestAuth, HSession, Retry
from asks_fast.auth import PostResponseAuth
from asks_fast.errors import (
    BadHttpResponse,
    ResponseTooLarge,
    SessionClosed,
    TooManyRedirects,
    TotalTimeout,
)

MakePeer = Callable[..., Peer]

LENGTH = b"Content-Length: %d\r\n\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n"
UNWANTED: dict[str, list[Step]] = {
    "length": [send(LENGTH % 10**13), repeat(send(bytes(65536)))],
    "chunks": [send(CHUNKS), repeat(send(b"8000\r\n" + bytes(32768) + b"\r\n"))],
    "small chunks": [send(CHUNKS), repeat(send(b"1\r\na\r\n" * 1000))],
    "until close": [send(b"\r\n"), repeat(send(bytes(65536)))],
    "cut off": [send(LENGTH % 1000 + b"half"), close()],
}
STALLED: list[Step] = [send(LENGTH % 1000 + b"half"), stall()]
REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: /end\r\n"
LEADING = {
    "redirect": REDIRECT,
    "challenge": b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="a", nonce="b"\r\n',
    "busy": b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\n",
    "crossed": b"HTTP/1.1 408 Request Timeout\r\n",
}
ASKED: dict[str, dict[str, Any]] = {
    "challenge": {"auth": DigestAuth(("a", "b"))},
    "busy": {"retries": Retry(attempts=1, backoff=0.0)},
}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "in time": {"timeout": 60},
    "stream": {"stream": True},
    "callback": {"callback": len},
}


def asked_for(lead: str) -> dict[str, Any]:
    """The options that make a lead be followed, new ones each time.

    A DigestAuth that is used again knows the nonce of an earlier server, and sends it at once to
    one on the same port.
    """
    return deepcopy(ASKED.get(lead, {}))


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("lead", LEADING)
@pytest.mark.parametrize("body", UNWANTED)
async def test_endless_or_truncated_body(
    peer: MakePeer, body: str, lead: str, how: dict[str, Any]
) -> None:
    """An endless or truncated body of a redirect costs its connection and nothing else."""
    begun = [expect(), send(OK), expect()]  # one before, so that there is a plan
    server = peer([*begun, send(LEADING[lead]), *UNWANTED[body]], [repeat(expect(), send(OK))])
    async with HSession(server.url, connections=1) as session:
        await session.get()
        tracemalloc.start()
        try:
            r = await session.get(path="/", **asked_for(lead), **how)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        async with r:
            assert r.status_code == 200
        assert peak < 4 << 20
        assert_no_active_requests(session)
        assert len(server.connections) == 2
        await server.until(lambda: server.open_connections == 1)
        if lead != "busy":
            assert len(r.history) == 1


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS.keys())
async def test_stalled_body(peer: MakePeer, how: dict[str, Any]) -> None:
    """A stalled body is awaited for a second, not for `read_timeout`."""
    server = peer([expect(), send(OK), expect(), send(REDIRECT), *STALLED], [expect(), send(OK)])
    async with HSession(server.url, connections=1) as session:
        await session.get()
        async with await session.get(path="/", **how) as r:
            assert r.status_code == 200
        await server.until(lambda: server.open_connections == 1)


@pytest.mark.parametrize("how", [{}, {"timeout": 60}, {"stream": True}])
@pytest.mark.parametrize("size", [0, 1, 5000, 60_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_short_remaining_body(
    peer: MakePeer, size: int, chunked: bool, how: dict[str, Any]
) -> None:
    """A short remaining body is read: the connection is reused, and the history has the body."""
    rest = b"x" * size
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (size, rest) if chunked and size else rest
    framing = CHUNKS if chunked and size else LENGTH % size
    way = [expect(), send(REDIRECT + framing), drip(framed, 20_000, 0.005)]
    server = peer([expect(), send(OK), *way, repeat(expect(), send(OK))])
    async with HSession(server.url, connections=1) as session:
        await session.get()
        async with await session.get(path="/", **how) as r:
            assert r.status_code == 200
        assert len(server.connections) == 1
        if "stream" not in how:
            assert r.history[0].is_complete
            assert r.history[0].content == rest


async def test_unread_body_raises(peer: MakePeer) -> None:
    """A response in the history whose body was not read raises, and so does its pickle."""
    server = peer([expect(), send(REDIRECT), *UNWANTED["length"]], [expect(), send(OK)])
    async with HSession(server.url) as session:
        r = await session.get()
    for old in (r.history[0], pickle.loads(pickle.dumps(r)).history[0]):
        assert old.status_code == 302
        assert old.headers["location"] == "/end"
        assert not old.is_complete
        for look in (lambda old: old.content, lambda old: old.text, lambda old: old.json()):
            with pytest.raises(ResponseTooLarge, match="302 were read"):
                look(old)
    assert r.content == b"ok"
    assert r.is_complete


@pytest.mark.parametrize("framed", [LENGTH % 300_000, CHUNKS, b"\r\n"])
@pytest.mark.parametrize(
    ("head", "asked"),
    [
        (b"HTTP/1.1 302 Found\r\n", {}),
        (REDIRECT, {"follow_redirects": False}),
        (b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=a\r\n", ASKED["challenge"]),
        (b"HTTP/1.1 407 No\r\n", {}),
        (b"HTTP/1.1 408 Request Timeout\r\n", {"retries": 0}),
        (b"HTTP/1.1 503 Busy\r\n", {"retries": Retry(attempts=0)}),
        (b"HTTP/1.1 404 No\r\n", {}),
    ],
)
async def test_final_response_is_complete(
    peer: MakePeer, head: bytes, asked: dict[str, Any], framed: bytes
) -> None:
    """A followup status without a followup request has its whole body, however long."""
    rest = b"0123456789" * 30_000
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(rest), rest) if framed is CHUNKS else rest
    ways: list[dict[str, Any]] = [{}, {"timeout": 60}, {"stream": True}]
    script = [expect(), send(OK), expect(), send(head + framed), drip(sent, 100_000, 0.005)]
    for how in ways:
        server = peer([*script, *([half_close()] if framed == b"\r\n" else [])])
        async with HSession(server.url, connections=1) as session:
            await session.get()
            r = await session.get(path="/", **asked, **how)
            body = await r.body.read() if "stream" in how else r.content
            assert body == rest
            assert r.history == []
            assert_no_active_requests(session)


class Reader(PostResponseAuth):
    """An auth class that reads its challenge from the body."""

    async def __call__(self, response: Any, request: Any) -> dict[str, str]:
        return {"X-Proof": str(len(response.content))}


async def test_custom_classes_get_bodies(peer: MakePeer) -> None:
    """Custom auth classes and the predicate of a policy get responses with their bodies."""
    rest = bytes(200_000)
    head = b"HTTP/1.1 %d No\r\n" + LENGTH % len(rest)
    seen: list[int] = []

    def look(attempt: Any) -> bool:
        seen.append(len(attempt.response.content))
        return len(seen) == 1

    server = peer(
        [
            *[expect(), send(head % 401), drip(rest, 70_000, 0.005), expect(), send(OK)],
            *[expect(), send(head % 302), drip(rest, 70_000, 0.005), expect(), send(OK)],
        ]
    )
    async with HSession(server.url, connections=1) as session:
        assert (await session.get(auth=Reader())).status_code == 200
        policy = Retry(attempts=2, backoff=0.0, predicate=look)
        assert (await session.get(retries=policy)).status_code == 200
    assert server.requests[1].header("x-proof") == "200000"
    assert seen == [200_000, 2]
    assert len(server.connections) == 1


async def test_one_redirect_too_many(peer: MakePeer) -> None:
    """The error has the last response; its endless body is not read."""
    server = peer([expect(), send(REDIRECT), *UNWANTED["chunks"]])
    async with HSession(server.url) as session:
        with pytest.raises(TooManyRedirects) as caught:
            await session.get(max_redirects=0)
        assert caught.value.response is not None
        assert caught.value.response.status_code == 302
        assert_no_active_requests(session)
        await server.all_closed()


@pytest.mark.parametrize("how", [{}, {"timeout": 60}, {"stream": True}])
@pytest.mark.parametrize("apart", [0.0, 0.02])
async def test_bad_framing(peer: MakePeer, apart: float, how: dict[str, Any]) -> None:
    """Invalid framing of a followup response is an error, in its head and after it."""
    broken = REDIRECT + CHUNKS + b"3\r\nabc\r\nthis is no size\r\n"
    size = len(broken) if not apart else len(REDIRECT + CHUNKS)
    server = peer([expect(), send(OK), expect(), drip(broken, size, apart), stall()])
    async with HSession(server.url) as session:
        await session.get()
        with pytest.raises(BadHttpResponse):
            await session.get(path="/", **how)
        assert_no_active_requests(session)
        await server.all_closed()


@pytest.mark.parametrize("how", [{}, {"timeout": 60}, {"headers": {"Host": "a"}}])
@pytest.mark.parametrize("size", [1000, 10**12])
async def test_cancelled_at_each_wait(peer: MakePeer, size: int, how: dict[str, Any]) -> None:
    """After cancellation at any wait in the body of a redirect nothing stays open."""

    def answer(connection: Any) -> None:
        if connection.requests[-1].target != "/end":
            drip(REDIRECT + LENGTH % size + b"x" * 1000, 400, 0.001)(connection)
        else:
            send(OK)(connection)

    server = peer([repeat(expect(), answer)])
    session = HSession(server.url, connections=1)

    async def after_each() -> None:
        assert_no_active_requests(session)
        assert (await session.get(path="/end")).content == b"ok"
        assert_no_active_requests(session)

    places, r = await cancel_at_each_await(lambda: session.get(path="/x", **how), after_each)
    assert places >= 2
    assert r.content == b"ok"
    assert_no_active_requests(session)
    await session.close()
    await server.all_closed()


async def test_the_time_limit_counts(peer: MakePeer) -> None:
    """`timeout` includes the draining of such a body."""
    server = peer([expect(), send(REDIRECT), *STALLED])
    async with HSession(server.url) as session:
        with pytest.raises(TotalTimeout):
            await session.get(timeout=0.2)
        assert_no_active_requests(session)
        await server.all_closed()


@pytest.mark.parametrize("how", [{}, {"timeout": 60}, {"headers": {"Host": "a"}}])
async def test_the_session_closes(peer: MakePeer, how: dict[str, Any]) -> None:
    """Closing the session while such a body is drained ends the request, with the reason."""
    server = peer(
        [expect(), send(OK), expect(), send(REDIRECT + LENGTH % 9), mark("there"), stall()]
    )
    session = HSession(server.url)
    await session.get()

    async def ask() -> None:
        with pytest.raises(SessionClosed):
            await session.get(path="/", **how)

    task = await curio.spawn(ask)
    await server.reached("there")
    await session.close()
    await task.join()
    assert_no_active_requests(session)
    await server.all_closed()


async def test_events(peer: MakePeer) -> None:
    """Events and timings report such a body if it was read, and only then."""
    emitted: list[tuple[str, Any]] = []
    way = [expect(), send(REDIRECT + LENGTH % 4), drip(b"abcd", 2, 0.005)]
    scripts: list[list[Step]] = [
        [*way, expect(), send(REDIRECT), *UNWANTED["length"]],
        [expect(), send(b"HTTP/1.1 302 F\r\n" + LENGTH % 3), drip(b"abc", 1, 0.005)],
    ]
    server = peer(*scripts)

    def note(event: Any) -> None:
        if event.name in ("head", "body", "followup"):
            emitted.append((event.name, event.data.get("status") or event.data.get("size")))

    async with HSession(server.url) as session:
        r = await session.get(on_event=note, timings=True)
    assert emitted == [
        ("head", 302), ("body", 4), ("followup", 302), ("head", 302), ("followup", 302),
        ("head", 302), ("body", 3),
    ]  # fmt: skip
    assert r.content == b"abc"
    assert r.timings.total is not None
    assert r.history[0].timings.total is not None
    assert r.history[1].timings.total is None
