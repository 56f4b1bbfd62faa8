"""Digest from a template: the bytes of the general path, with one nonce count per request."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import curio
import pytest
from support.leaks import assert_no_active_requests
from support.script_steps import OK, expect, repeat, send
from support.scripted_server import MakePeer, PeerConnection

from asks_fast import DigestAuth, HSession, Response, Retry
from asks_fast.auth import parse_challenges

CHALLENGE = 'Digest realm="r", nonce="{}", qop="{}"'


def unauthorized(challenge: str) -> bytes:
    """A 401 with this challenge."""
    head = f"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n"
    return f"{head}Content-Length: 0\r\n\r\n".encode()


def digest_of(request: Any) -> dict[str, str]:
    """The Digest parameters of a request; empty without any."""
    value = request.header("authorization")
    return parse_challenges(value.encode())[0].params if value else {}


def is_right(request: Any) -> bool:
    """Whether a request has the response that its own parameters lead to (RFC 7616 §3.4.1)."""
    sent = digest_of(request)

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    key, a2 = md5("jo:r:secret"), f"{request.method}:{request.target}"
    if sent.get("qop") == "auth-int":
        a2 += f":{hashlib.md5(request.body).hexdigest()}"
    used = f"{sent['nc']}:{sent['cnonce']}:{sent['qop']}:" if "qop" in sent else ""
    wanted = md5(f"{key}:{sent['nonce']}:{used}{md5(a2)}")
    return sent["uri"] == request.target and sent["response"] == wanted


class Protected:
    """A server that asks for credentials and answers what is right with `reply`."""

    def __init__(self, qop: str = "auth", reply: bytes = OK) -> None:
        self.qop = qop
        self.reply = reply
        self.nonce = "n1"

    def answer(self, connection: PeerConnection) -> bytes:
        """The response to the last request of a connection."""
        request = connection.requests[-1]
        sent = digest_of(request)
        if sent and not is_right(request):
            return b"HTTP/1.1 500 Wrong\r\nContent-Length: 0\r\n\r\n"
        if sent.get("nonce") == self.nonce:
            return self.reply
        stale = ", stale=true" if sent else ""
        return unauthorized(CHALLENGE.format(self.nonce, self.qop) + stale)


class CountingSession(HSession):
    """Counts the requests that are prepared in full."""

    general = 0

    async def _send_general(self, *args: Any) -> Response:
        self.general += 1
        return await super()._send_general(*args)


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "get": ("GET", {}),
    "query": ("GET", {"params": {"a": "ü b", "c": 1}}),
    "field and cookie": ("GET", {"headers": {"X-A": "1"}, "cookies": {"c": "1"}}),
    "time limit": ("GET", {"timeout": 60}),
    "head": ("HEAD", {}),
    "delete": ("DELETE", {}),
    "empty post": ("POST", {}),
    "json": ("POST", {"json": {"a": "\r\n\r\n"}}),
    "form": ("PUT", {"data": {"a": "b c"}, "params": {"q": ""}}),
    "bytes": ("POST", {"data": b" HTTP/1.1\r\n", "headers": {"Content-Type": "text/x"}}),
}


async def test_assigned_credentials(peer: MakePeer) -> None:
    """A template signs with the credentials that were assigned after it was made."""
    server = peer([repeat(expect(), send(Protected().answer))])
    auth = DigestAuth(("jo", "secret"))
    async with CountingSession(server.url, auth=auth) as session:
        for _ in range(3):
            assert (await session.get(path="/")).status_code == 200
        auth.auth_info = ("jo", "other")
        assert (await session.get(path="/")).status_code == 500  # the server says: wrong
        auth.auth_info = ("jo", "secret")
        assert (await session.get(path="/")).status_code == 200
        assert session.general == 1


@pytest.mark.parametrize("qop", ["auth", "", "auth-int"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_template_gives_the_same_bytes(peer: MakePeer, call: str, qop: str) -> None:
    """But for count and hash, a template sends what the general path sends."""
    method, options = CALLS[call]
    reply = b"HTTP/1.1 204 Done\r\n\r\n"
    server = peer([repeat(expect(), send(Protected(qop, reply).answer))])
    auth = DigestAuth(("jo", "secret"))
    async with CountingSession(server.url, "/base", auth=auth) as session:
        for _ in range(4):
            assert (await session.request(method, path="/p", **options)).status_code == 204
        assert session.general == (4 if qop == "auth-int" else 1)
        response = await session.request(method, path="/p", sensitive_headers=[], **options)
        assert response.status_code == 204
    sent = server.requests[1:]
    assert all(is_right(request) for request in sent)
    if qop:
        assert [int(digest_of(request)["nc"], 16) for request in sent] == [1, 2, 3, 4, 5]
    masked = {
        re.sub(rb'nc=\w+|response="\w+"', b"", request.raw) + request.body
        for request in sent[1:]  # the answer to a challenge has its fields in another order
    }
    assert len(masked) == 1


async def test_a_new_nonce(peer: MakePeer) -> None:
    """After `stale=true` and after `nextnonce` the new nonce is used, counted from 1."""
    protected = Protected()
    server = peer([repeat(expect(), send(protected.answer))])
    async with CountingSession(server.url, auth=DigestAuth(("jo", "secret"))) as session:
        for _ in range(2):
            await session.get(path="/")
        protected.nonce = "n2"
        response = await session.get(path="/")
        assert [r.status_code for r in response.history] == [401]
        info = (
            b'HTTP/1.1 200 OK\r\nAuthentication-Info: nextnonce="n3"\r\nContent-Length: 0\r\n\r\n'
        )
        protected.reply = info
        await session.get(path="/")
        protected.nonce = "n3"
        for _ in range(2):
            await session.get(path="/")
        assert session.general == 2  # the first request, and the stale one
    sent = [(digest_of(r).get("nonce"), digest_of(r).get("nc")) for r in server.requests]
    assert sent == [
        (None, None),
        *(("n1", f"{n:08}") for n in (1, 2, 3)),
        *(("n2", f"{n:08}") for n in (1, 2)),
        *(("n3", f"{n:08}") for n in (1, 2)),
    ]


async def test_rejected_credentials(peer: MakePeer) -> None:
    """A 401 that rejects the password is returned, and the nonce is not used again."""
    rejected = unauthorized(CHALLENGE.format("n1", "auth"))
    answering = [expect(), send(Protected().answer)]
    server = peer([*answering * 3, *[expect(), send(rejected)] * 2, *answering * 2])
    async with HSession(server.url, auth=DigestAuth(("jo", "secret"))) as session:
        statuses = [(await session.get(path="/")).status_code for _ in range(5)]
        assert_no_active_requests(session)
    assert statuses == [200, 200, 401, 200, 200]
    assert [bool(digest_of(request)) for request in server.requests] == [
        *(False, True, True),  # challenged
        True,  # rejected
        *(False, True, True),  # challenged again
    ]


async def test_one_count_for_each_task(peer: MakePeer) -> None:
    """Requests that run at the same time use different counts of one nonce."""
    server = peer([repeat(expect(), send(Protected().answer))])
    auth = DigestAuth(("jo", "secret"))
    async with CountingSession(server.url, auth=auth, connections=5) as session:
        await session.get(path="/")

        async def several() -> None:
            for _ in range(10):
                assert (await session.get(path="/")).status_code == 200

        async with curio.TaskGroup() as tasks:
            for _ in range(10):
                await tasks.spawn(several)
        assert session.general == 1
    counts = sorted(int(digest_of(request)["nc"], 16) for request in server.requests[1:])
    assert counts == list(range(1, 102))


async def test_a_redirect_is_signed_anew(peer: MakePeer) -> None:
    """A request that follows a redirect has a header field for its own target."""
    protected = Protected()

    def answer(connection: PeerConnection) -> bytes:
        found = protected.answer(connection)
        if found is OK and connection.requests[-1].target == "/x":
            return b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
        return found

    server = peer([repeat(expect(), send(answer))])
    async with HSession(server.url, auth=DigestAuth(("jo", "secret"))) as session:
        await session.get(path="/")
        for _ in range(2):
            response = await session.get(path="/x")
            assert response.status_code == 200
            assert [r.status_code for r in response.history] == [302]
    assert [r.target for r in server.requests[2:]] == ["/x", "/there"] * 2
    assert all(is_right(request) for request in server.requests[1:])


@pytest.mark.parametrize(
    "auth", [("u", "p"), DigestAuth(("jo", "secret"))], ids=["basic", "digest"]
)
@pytest.mark.parametrize("more", [{}, {"sensitive_headers": []}], ids=["template", "general"])
async def test_a_retry_has_the_same_credentials(
    peer: MakePeer, more: dict[str, Any], auth: Any
) -> None:
    """A request that is repeated by a retry policy has the credentials and cookies of the first."""
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    challenge = unauthorized(CHALLENGE.format("n", "auth"))
    first = [expect(), send(challenge)] if isinstance(auth, DigestAuth) else []
    server = peer([*first, expect(), send(OK), expect(), send(busy), repeat(expect(), send(OK))])
    policy = Retry(attempts=2, backoff=0.0)
    options: dict[str, Any] = {"auth": auth, "retries": policy, "cookies": {"a": "1"}, **more}
    async with HSession(server.url, persist_cookies=True) as session:
        session.cookie_tracker_obj.set("b", "2", domain="127.0.0.1")
        await session.get(path="/x", **options)
        response = await session.get(path="/x", **options)
        assert response.attempts == 2
    *_, one, two = server.requests
    assert one.raw == two.raw
    assert one.header("cookie") == "a=1; b=2"
    assert one.header("authorization")
