"""Requests sent from a template: the same bytes, errors and limits as on the general path."""

from __future__ import annotations

from typing import Any

import curio
import pytest
from support.script_steps import FOREVER, OK, SERVING, close, expect, repeat, send, stall
from support.scripted_server import Peer
from support.servers import Server

import asks_fast
from asks_fast import DSession, HSession
from asks_fast._client import request_flow
from asks_fast.errors import RequestTimeout


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
async def test_both_paths_send_the_same(method: str, peer: Any) -> None:
    """The first request of its kind and those sent from its template have the same bytes."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    server: Peer = peer([repeat(expect(), send(head))])
    async with HSession(server.url, "/e", headers={"X-Own": "ü", "accept": None}) as session:
        for _ in range(3):
            await session.request(method, path="/p?q=1")
        await session.request(method, path="/p?q=1", max_redirects=5)
    async with DSession(headers={"X-Own": "ü", "accept": None}) as session:
        for _ in range(3):
            await session.request(method, f"{server.url}/e/p?q=1")
    assert len({request.raw for request in server.requests}) == 1
    assert len(server.requests) == 7


WHAT_PLANS_TAKE: list[dict[str, Any]] = [
    {},
    {"json": {"ü": [1, None]}},
    {"json": 0},
    {"data": b"\x00" * 1000},
    {"data": b""},
    {"data": "grün"},
    {"data": {"a": "b c", "d": None, "e": [1, 2]}},
    {"data": {}},
    {"data": b"x" * 70000},
    {"params": {"q": "a b&c", "n": None, "many": [1, 2]}},
    {"params": {"q": None}},
    {"params": {}},
    {"headers": {"X-Call": "1", "x-other": "zwei"}},
    {"headers": {"X-Call": None}},
    {"headers": {"X-Own": "over it", "X-Call": ["1", "2"]}},
    {"headers": {"Content-Type": "text/csv", "Connection": "close"}, "data": b"1,2"},
    {"headers": {"Content-Type": "text/csv"}, "data": b"1,2", "params": {"p": 1}},
    {"headers": {"Host": "other.example"}, "json": []},
]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "GET", "DELETE"])
async def test_both_paths_send_the_same_options(method: str, peer: Any) -> None:
    """Query, header fields and small bodies have the same bytes on both paths."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    server: Peer = peer([repeat(expect(), send(head))])
    for options in WHAT_PLANS_TAKE:
        for base in ("", "/e"):
            sent = []
            async with HSession(
                server.url, base, headers={"X-Own": "ü", "accept": None}
            ) as session:
                for more in ({}, {}, {"timeout": 60}, {"max_redirects": 5}):
                    response = await session.request(method, path="/p", **options, **more)
                    request = server.requests[-1]
                    sent.append(request.raw + request.body)
                    assert (response.request.body is not None) == bool(request.body)
            assert len(set(sent)) == 1, (options, base, sent)


@pytest.mark.parametrize("broken", [{"headers": {"X": "a\r\nb"}}, {"json": {1, 2}}, {"params": 5}])
async def test_invalid_options(broken: Any, app_server: Server) -> None:
    """Invalid options raise the same error with and without a template."""
    async with HSession(app_server.url, "/anything") as session:
        errors = []
        for _ in range(2):
            with pytest.raises((TypeError, ValueError)) as caught:
                await session.post(path="/p", **broken)
            errors.append((type(caught.value), str(caught.value)))
            await session.post(path="/p", data=b"x")
        assert errors[0] == errors[1]


async def test_post_is_not_sent_twice(peer: Any) -> None:
    """A POST on a stale connection is an error, a PUT is sent again."""
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    for method, goes_again in (("POST", False), ("PUT", True)):
        server: Peer = peer(
            [expect(), send(ok), expect(), send(ok), expect(), close()], [expect(), send(ok)]
        )
        async with HSession(server.url) as session:
            for _ in range(2):
                await session.request(method, path="/p", data=b"x")
            if goes_again:
                assert (await session.request(method, path="/p", data=b"x")).content == b"ok"
            else:
                with pytest.raises(asks_fast.ServerClosedConnectionError):
                    await session.request(method, path="/p", data=b"x")


@pytest.mark.parametrize("given", ["session", "call"])
async def test_timeout(given: str, peer: Any) -> None:
    """`timeout=` limits requests from a template; the session stays usable."""
    server: Peer = peer(
        [expect(), send(OK), expect(), send(OK), expect(), stall()],
        [expect(), stall()],
        SERVING,
    )
    options = {"timeout": 0.4}
    of_session, of_call = (options, {}) if given == "session" else ({}, options)
    async with HSession(server.url, **of_session) as session:
        for _ in range(2):
            await session.get(path="/p", timeout=60)
        for _ in range(2):  # over the connection there is, then over a new one
            with pytest.raises(RequestTimeout, match=r"^GET http://[^ ]+/p\?q=1: .*timeout=0.4 s"):
                await session.get(path="/p", params={"q": 1}, **of_call)
        for _ in range(3):
            assert (await session.get(path="/p", timeout=None)).status_code == 200
        assert session.pool_stats()["in_use"] == 0


async def test_timeout_of_the_caller(peer: Any) -> None:
    """The caller's own time limit raises the caller's error, with and without `timeout=`."""
    server: Peer = peer(
        [repeat(expect(), send(OK), times=2), expect(), stall()], [expect(), stall()]
    )
    async with HSession(server.url) as session:
        for _ in range(2):
            await session.get(path="/p")
        with pytest.raises(curio.TaskTimeout):
            await curio.timeout_after(0.2, session.get(path="/p"))
        with pytest.raises(curio.TaskTimeout):
            async with curio.timeout_after(0.2):
                await session.get(path="/p", timeout=60)
        assert session.pool_stats()["open"] == 0


async def test_timeout_covers_a_redirect(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the first exchange counts when its redirect is followed."""
    away = b"HTTP/1.1 302 Found\r\nLocation: /a/../there\r\nContent-Length: 0\r\n\r\n"
    server: Peer = peer([repeat(expect(), send(OK), times=2), expect(), send(away), FOREVER])
    left = []

    class Seen(request_flow.Deadline):
        def __init__(self, total: Any, elapsed: float = 0.0) -> None:
            super().__init__(total, elapsed)
            left.append(self.remaining)

    async with HSession(server.url) as session:
        for _ in range(2):
            await session.get(path="/p", timeout=60)
        monkeypatch.setattr(request_flow, "Deadline", Seen)
        response = await session.get(path="/p", timeout=60)
    assert [r.status_code for r in response.history] == [302]
    assert len(left) == 1
    assert left[0] < 60
