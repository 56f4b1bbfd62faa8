"""Authentication against httpbin, nginx and scripted servers."""

from __future__ import annotations

import base64
import hashlib
import tempfile
import threading
from pathlib import Path

import curio
import pytest
from support.script_steps import expect, repeat, send

from asks_fast import BasicAuth, BearerAuth, DigestAuth, PostResponseAuth, PreResponseAuth, Session
from asks_fast._auth.challenges import parse_challenges
from asks_fast.errors import UnreplayableBody

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def refusal(challenge, body=b"no"):
    return b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        challenge.encode(),
        len(body),
        body,
    )


def digest_of(seen):
    return parse_challenges(seen.header("Authorization") or "")[0].params


# -- httpbin


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
async def test_digest_on_httpbin(httpbin, qop, algorithm):
    """httpbin accepts the response to its challenge; with a wrong password the 401 is returned."""
    path = f"/digest-auth/{qop}/user/passwd/{algorithm}"
    async with Session(httpbin.url) as session:
        r = await session.get(path=path, auth=DigestAuth(("user", "passwd")))
        assert r.status_code == 200
        assert r.json() == {"authenticated": True, "user": "user"}
        assert [before.status_code for before in r.history] == [401]
        r = await session.get(path=path, auth=DigestAuth(("user", "wrong")))
        assert r.status_code == 401


async def test_basic_on_httpbin(httpbin):
    """httpbin accepts Basic credentials from `auth=` and from the URL."""
    async with Session(httpbin.url) as session:
        r = await session.get(
            path="/basic-auth/us%20er/p%C3%A4ss", auth=BasicAuth(("us er", "päss"))
        )
        assert r.status_code == 200
        assert r.history == []
        url = httpbin.url.replace("//", "//user:passwd@") + "/basic-auth/user/passwd"
        r = await session.get(url)
        assert r.status_code == 200
        assert "passwd@" not in str(r.url)
        r = await session.get(path="/bearer", auth=BearerAuth("t0ken"))
        assert r.json() == {"authenticated": True, "token": "t0ken"}


async def test_many_tasks_on_httpbin(httpbin):
    """Tasks of one session share nonces, and all of their requests succeed."""
    auth = DigestAuth(("user", "passwd"))
    async with Session(httpbin.url, connections=8) as session:
        statuses = []

        async def one():
            r = await session.get(path="/digest-auth/auth/user/passwd", auth=auth)
            statuses.append(r.status_code)

        async with curio.TaskGroup() as group:
            for _ in range(40):
                await group.spawn(one)
    assert statuses == [200] * 40


# -- nginx


@pytest.fixture
def readable_directory():
    """A directory that nginx can read when it runs as the user `nobody`."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


async def test_basic_on_nginx(start_nginx, readable_directory):
    """nginx accepts the right password and rejects a wrong one."""
    root = readable_directory
    (root / "users").write_text("jo:{PLAIN}secret\n")
    (root / "x").write_text("inside")
    rule = f'location = /x {{ auth_basic "r"; auth_basic_user_file {root}/users; }}'
    with start_nginx(root, rule) as server:
        async with Session(server.url) as session:
            r = await session.get(path="/x", auth=BasicAuth(("jo", "secret")))
            assert (r.status_code, r.content) == (200, b"inside")
            r = await session.get(path="/x", auth=BasicAuth(("jo", "wrong")))
            assert r.status_code == 401


# -- bytes


async def test_basic_is_sent_at_once(peer):
    """Basic and Bearer credentials are sent with the first request, without a challenge."""
    server = peer([expect("GET", "/"), send(OK), expect("GET", "/"), send(OK)])
    async with Session(server.url) as session:
        await session.get(path="/", auth=BasicAuth(("jo", "secret")))
        await session.get(path="/", auth=BearerAuth("abc"))
    sent = [seen.header("authorization") for seen in server.requests]
    assert sent == ["Basic " + base64.b64encode(b"jo:secret").decode(), "Bearer abc"]


async def test_nonce_is_used_again(peer):
    """Only the first request receives a 401; later ones reuse its nonce."""
    server = peer(
        [
            expect(),
            send(refusal('Digest realm="r", nonce="n1", qop="auth"')),
            *[expect(), send(OK)] * 3,
            expect(),
            send(refusal('Digest realm="r", nonce="n2", qop="auth", stale=true')),
            expect(),
            send(OK),
        ]
    )
    auth = DigestAuth(("jo", "secret"))
    async with Session(server.url) as session:
        for number in range(4):
            r = await session.get(path=f"/{number}", auth=auth)
            assert r.status_code == 200
    first, *answers = server.requests
    assert first.header("authorization") is None
    assert [(digest_of(a)["nonce"], int(digest_of(a)["nc"], 16)) for a in answers] == [
        ("n1", 1),
        ("n1", 2),
        ("n1", 3),
        ("n1", 4),
        ("n2", 1),
    ]
    assert [digest_of(a)["uri"] for a in answers] == ["/0", "/1", "/2", "/3", "/3"]


async def test_body_goes_again(peer, tmp_path):
    """A body from disk is sent again completely with the response to the challenge."""
    path = tmp_path / "x"
    path.write_bytes(b"content" * 1000)
    challenge = 'Digest realm="r", nonce="n", qop="auth-int"'
    server = peer([expect("PUT"), send(refusal(challenge)), expect("PUT"), send(OK)])
    async with Session(server.url) as session:
        r = await session.put(path="/", data=path, auth=DigestAuth(("jo", "secret")))
        assert r.status_code == 200
    first, second = server.requests
    assert first.body == second.body == path.read_bytes()
    sent, h = digest_of(second), lambda data: hashlib.md5(data).hexdigest()
    what = h(b"PUT:/:" + h(path.read_bytes()).encode())
    values = [h(b"jo:r:secret"), "n", sent["nc"], sent["cnonce"], "auth-int", what]
    assert sent["response"] == h(":".join(values).encode())


async def test_one_shot_body(peer):
    """A one-shot body raises UnreplayableBody, and nothing is sent a second time."""

    async def once():
        yield b"content"

    server = peer([expect("PUT"), send(refusal('Digest realm="r", nonce="n", qop="auth"'))])
    async with Session(server.url) as session:
        with pytest.raises(UnreplayableBody):
            await session.put(path="/", data=once(), auth=DigestAuth(("jo", "secret")))
    assert len(server.requests) == 1


async def test_endless_stale(peer):
    """A server that reports every nonce as stale receives a bounded number of requests."""
    stale = refusal('Digest realm="r", nonce="n", qop="auth", stale=true')
    server = peer([expect(), send(stale)] * 50)
    async with Session(server.url) as session:
        r = await session.get(path="/", auth=DigestAuth(("jo", "secret")))
        assert r.status_code == 401
    assert len(server.requests) < 10


async def test_not_for_another_origin(peer):
    """After a redirect to another origin, Digest state and credentials are not sent there."""
    challenge = 'Digest realm="r", nonce="n", qop="auth"'
    other = peer([expect(), send(refusal(challenge))])
    target = f"{other.url}/there"
    moved = b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % target.encode()
    server = peer([expect(), send(refusal(challenge)), expect(), send(moved)])
    async with Session(connections=2) as session:
        r = await session.get(f"{server.url}/", auth=DigestAuth(("jo", "secret")))
        assert r.status_code == 401
    assert [seen.header("authorization") for seen in other.requests] == [None]


# -- classes of the user


async def test_user_classes(peer):
    """A custom class receives request and response, and is called once per challenge."""
    calls = []

    class Before(PreResponseAuth):
        async def __call__(self, request):
            calls.append((request.method, request.path, request.scheme, request.body))
            return {"X-Key": "k"}

    class After(PostResponseAuth):
        async def __call__(self, response, request):
            calls.append((response.status_code, request.url))
            return {"Authorization": "Custom x"}

    server = peer(
        [expect(), send(OK), expect(), send(refusal("Custom")), expect(), send(refusal("Custom"))]
    )
    async with Session(server.url) as session:
        await session.post(path="/a?b=c", data=b"body", auth=Before())
        r = await session.get(path="/d", auth=After())
    assert r.status_code == 401
    assert calls == [("POST", "/a?b=c", "http", b"body"), (401, f"{server.url}/d")]
    assert server.requests[0].header("X-Key") == "k"
    assert [s.header("Authorization") for s in server.requests[1:]] == [None, "Custom x"]


async def test_hooks_of_a_user_class(peer):
    """`initial_headers` precedes the first 401, `on_response` sees each response but a 401."""
    statuses = []

    class Ticket(PostResponseAuth):
        requires_body = False

        def initial_headers(self, request):
            return {"Authorization": "Ticket old"}

        async def __call__(self, response, request):
            return {"Authorization": "Ticket new"}

        def on_response(self, response, request):
            statuses.append((response.status_code, request.headers["Authorization"]))

    server = peer([expect(), send(refusal("Ticket")), expect(), send(OK)])
    async with Session(server.url) as session:
        r = await session.get(auth=Ticket())
    assert r.status_code == 200
    assert [s.header("Authorization") for s in server.requests] == ["Ticket old", "Ticket new"]
    assert statuses == [(200, "Ticket new")]


class Strict:
    """A server that accepts the counts of a nonce in rising order only, across connections."""

    def __init__(self):
        self.lock = threading.Lock()
        self.seen = {}
        self.refused = 0

    def answer(self, connection):
        sent = digest_of(connection.requests[-1]) if "nonce" in _auth_of(connection) else {}
        with self.lock:
            count = int(sent.get("nc", "0"), 16)
            if sent and self.seen.get(sent["nonce"], count) < count:
                self.seen[sent["nonce"]] = count
                return OK
            self.refused += 1
            nonce = f"n{len(self.seen)}"
            self.seen[nonce] = 0
        stale = ", stale=true" if sent else ""
        return refusal(f'Digest realm="r", nonce="{nonce}", qop="auth"{stale}')


def _auth_of(connection):
    return connection.requests[-1].header("Authorization") or ""


async def test_strict_counts(peer):
    """If the server rejects counts out of order as stale, all tasks still succeed."""
    strict = Strict()
    server = peer([repeat(expect(), send(strict.answer))])
    auth = DigestAuth(("jo", "secret"))
    statuses = []
    async with Session(server.url, connections=8) as session:

        async def one():
            for _ in range(10):
                r = await session.get(path="/", auth=auth)
                statuses.append(r.status_code)

        async with curio.TaskGroup() as group:
            for _ in range(16):
                await group.spawn(one)
    assert statuses == [200] * 160
