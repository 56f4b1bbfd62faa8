"""`max_body` limits the body that a caller gets, not those of responses that lead to another one.

Rules:  a real server. The body comes with its head or apart from it, in every framing: the outcome
        must not depend on that.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from support.leaks import assert_no_active_requests
from support.script_steps import FOREVER, OK, Step, close, drip, expect, repeat, send
from support.scripted_server import MakePeer, PeerConnection

from asks_fast import DigestAuth, DSession, HSession, Retry
from asks_fast.auth import PostResponseAuth
from asks_fast.crawl import Politeness, gather
from asks_fast.errors import ResponseTooLarge
from asks_fast.testing import Cassette

LIMIT = 1000
LEADING = {
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: /end\r\n",
    "digest": b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="a", nonce="b"\r\n',
    "own auth": b"HTTP/1.1 401 No\r\n",
    "busy": b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\n",
    "judged": b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\n",
    "crossed": b"HTTP/1.1 408 Request Timeout\r\n",
}


class HeaderAuth(PostResponseAuth):
    """Auth of a program, which may look at the body and does not."""

    async def __call__(self, response: Any, request: Any) -> dict[str, str]:
        return {"X-Proof": "1"}


def on_503(attempt: Any) -> bool:
    """A predicate that looks at the status."""
    return bool(attempt.status == 503)


ASKED: dict[str, dict[str, Any]] = {
    "digest": {"auth": DigestAuth(("a", "b"))},
    "own auth": {"auth": HeaderAuth()},
    "busy": {"retries": Retry(attempts=1, backoff=0.0)},
    "judged": {"retries": Retry(attempts=1, backoff=0.0, predicate=on_503)},
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


def framed(size: int, how: str) -> tuple[bytes, bytes]:
    """The framing fields and the framed body of so many bytes."""
    body = b"x" * size
    if how == "length":
        return b"Content-Length: %d\r\n\r\n" % size, body
    if how == "chunks":
        return b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
    return b"\r\n", body


def sent(lead: bytes, size: int, how: str, apart: bool) -> list[Step]:
    """Steps that send a response, its body with the head or apart from it."""
    fields, body = framed(size, how)
    steps = [send(lead + fields), drip(body, 700, 0.003)] if apart else [send(lead + fields + body)]
    return [*steps, close()] if how == "until close" else steps


async def read(response: Any) -> None:
    """Read a streamed body to its end."""
    await response.body.read()


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("lead", LEADING)
@pytest.mark.parametrize("framing", ["length", "chunks", "until close"])
@pytest.mark.parametrize("apart", [False, True])
async def test_larger_than_the_limit(
    peer: MakePeer, apart: bool, framing: str, lead: str, how: dict[str, Any]
) -> None:
    """Beyond `max_body` its connection is closed, and the next request is sent."""
    script = sent(LEADING[lead], 5 * LIMIT, framing, apart)
    server = peer([expect(), send(OK), expect(), *script], [FOREVER])
    async with HSession(server.url, max_body=LIMIT) as session:
        await session.get()
        async with await session.get(path="/", **asked_for(lead), **how) as r:
            assert r.status_code == 200
        assert len(server.connections) == 2
        assert_no_active_requests(session)
        await server.until(lambda: server.open_connections == 1)
        if not how and lead not in ("busy", "judged"):
            with pytest.raises(ResponseTooLarge):
                r.history[0].content  # noqa: B018


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("lead", [name for name in LEADING if name != "crossed"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("apart", [False, True])
async def test_within_the_limit(
    peer: MakePeer, apart: bool, framing: str, lead: str, how: dict[str, Any]
) -> None:
    """A body of exactly `max_body` bytes is drained: its connection serves on."""
    script = sent(LEADING[lead], LIMIT, framing, apart)
    server = peer([expect(), send(OK), expect(), *script, FOREVER])
    async with HSession(server.url, max_body=LIMIT) as session:
        await session.get()
        async with await session.get(path="/", **asked_for(lead), **how) as r:
            assert r.status_code == 200
        assert len(server.connections) == 1


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize(
    ("head", "asked"),
    [
        (b"HTTP/1.1 200 OK\r\n", {}),
        (b"HTTP/1.1 302 Found\r\n", {}),
        (LEADING["redirect"], {"follow_redirects": False}),
        (b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=a\r\n", ASKED["digest"]),
        (b"HTTP/1.1 407 No\r\n", {}),
        (b"HTTP/1.1 408 Request Timeout\r\n", {"retries": 0}),
        (b"HTTP/1.1 503 Busy\r\n", {"retries": Retry(attempts=0)}),
        (b"HTTP/1.1 503 Busy\r\n", {"retries": Retry(attempts=0, predicate=on_503)}),
    ],
)
@pytest.mark.parametrize("framing", ["length", "chunks", "until close"])
@pytest.mark.parametrize("apart", [False, True])
async def test_the_final_response_is_limited(
    peer: MakePeer,
    apart: bool,
    framing: str,
    head: bytes,
    asked: dict[str, Any],
    how: dict[str, Any],
) -> None:
    """A response that leads nowhere else raises, whatever its status; its connection closes."""
    server = peer([expect(), send(OK), expect(), *sent(head, 5 * LIMIT, framing, apart)])
    async with HSession(server.url, max_body=LIMIT) as session:
        await session.get()
        with pytest.raises(ResponseTooLarge, match="GET http") as caught:
            await read(await session.get(path="/", **asked, **how))
        assert caught.value.status_code == int(head[9:12])
        assert_no_active_requests(session)
        await server.all_closed()


async def test_a_proxy_that_wants_credentials(peer: MakePeer) -> None:
    """The 407 of a forward proxy leads to another request too."""
    wanted = b'HTTP/1.1 407 No\r\nProxy-Authenticate: Digest realm="a", nonce="b"\r\n'
    proxy = peer([expect(), *sent(wanted, 5 * LIMIT, "length", False)], [FOREVER])
    url = proxy.url.replace("//", "//user:password@")
    async with DSession(proxy=url, max_body=LIMIT) as session:
        assert (await session.get("http://origin.test/")).status_code == 200
    assert (proxy.requests[1].header("proxy-authorization") or "").startswith("Digest")


@pytest.mark.parametrize("politeness", [None, Politeness()])
@pytest.mark.parametrize("stream", [False, True])
async def test_map_retries(peer: MakePeer, politeness: Politeness | None, stream: bool) -> None:
    """A retry that `map` makes does not depend on the size of the body either."""
    server = peer([expect(), *sent(LEADING["busy"], 5 * LIMIT, "length", False)], [FOREVER])
    async with DSession(max_body=LIMIT, stream=stream) as session:
        policy = Retry(attempts=1, backoff=0.0)
        (result,) = await gather(session, [server.url], retries=policy, politeness=politeness)
        assert result.unwrap().status_code == 200
        if stream:
            await result.unwrap().body.close()
    assert result.attempts == 2


async def test_while_recording(peer: MakePeer, tmp_path: Any) -> None:
    """A recording follows a redirect whose body is too large, as a session without it does."""

    def answer(connection: PeerConnection) -> None:
        lead = connection.requests[-1].target != "/end"
        for step in sent(LEADING["redirect"], 5 * LIMIT, "length", True) if lead else [send(OK)]:
            step(connection)

    server = peer([repeat(expect(), answer)], [FOREVER])
    with Cassette(tmp_path / "it.json"):
        async with HSession(server.url, max_body=LIMIT) as session:
            assert (await session.get()).content == b"ok"
