"""Digest: which nonces are remembered, for which requests, and when a challenge is answered."""

from __future__ import annotations

from types import SimpleNamespace

import curio
import pytest
from support.digest import accepted_answer, answer, hasher, params, request, unauthorized

from asks_fast.auth import DigestAuth
from asks_fast.errors import InvalidRequest

CHALLENGE = 'Digest realm="r", nonce="{}", qop=auth'


def test_nonce_is_used_again():
    """Later requests to the same origin use the next count of the same nonce."""
    auth = DigestAuth(("u", "p"))
    assert auth.initial_headers(request()) == {}
    counts = [params(accepted_answer(auth, CHALLENGE.format("n")))["nc"]]
    counts += [params(auth.initial_headers(request("/other")))["nc"] for _ in range(16)]
    assert counts == [f"{i:08x}" for i in range(1, 18)]


@pytest.mark.parametrize(
    "other", ["http://h:8080", "https://h", "http://g", "http://h.g", "http://gh"]
)
def test_nonce_stays_with_its_origin(other):
    """A nonce is not used for another scheme, host or port."""
    auth = DigestAuth(("u", "p"))
    accepted_answer(auth, CHALLENGE.format("n"))
    assert auth.initial_headers(request(url=other)) == {}
    assert auth.initial_headers(request(url="http://h:80"))


def test_nonce_is_kept_back_until_accepted():
    """A nonce is not used for other requests until the server accepted the first one."""
    auth = DigestAuth(("u", "p"))
    req = request()
    req.headers = answer(auth, CHALLENGE.format("n"))
    assert auth.initial_headers(request()) == {}
    auth.on_response(SimpleNamespace(headers={}), req)
    assert params(auth.initial_headers(request()))["nc"] == "00000002"


def test_domain():
    """`domain` limits the paths for which a nonce is sent in advance."""
    auth = DigestAuth(("u", "p"))
    accepted_answer(
        auth, 'Digest realm=r, nonce=n, domain="/a /b/ http://h/c http://evil/d //evil/e"'
    )
    for path in ("/a", "/a/x", "/a?q", "/b/", "/b/x", "/c/x"):
        assert auth.initial_headers(request(path)), path
    for path in ("/", "/ab", "/b", "/d", "/e"):
        assert auth.initial_headers(request(path)) == {}, path
    assert auth.initial_headers(request("/d", url="http://evil")) == {}


def test_closest_domain():
    """Of several realms the one with the longest matching domain is used."""
    auth = DigestAuth(("u", "p"))
    accepted_answer(auth, 'Digest realm=deep, nonce=n, domain="/a/b"')
    accepted_answer(auth, 'Digest realm=wide, nonce=n, domain="/"')
    assert params(auth.initial_headers(request("/a/b/c")))["realm"] == "deep"
    assert params(auth.initial_headers(request("/a/c")))["realm"] == "wide"


def test_stale():
    """After `stale=true` the new nonce is used, each time."""
    auth = DigestAuth(("u", "p"))
    req = request()
    for nonce in ("1", "2", "3"):
        req.headers = answer(auth, CHALLENGE.format(nonce) + ", stale=TRUE", req)
        assert params(req.headers)["nonce"] == nonce
        assert params(req.headers)["nc"] == "00000001"


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256"])
@pytest.mark.parametrize("is_accepted", [True, False])
def test_assigned_credentials(algorithm, is_accepted):
    """Assigned credentials are used in realms that are known, with the next count of the nonce."""
    auth = DigestAuth(("old", "p"))
    challenge = CHALLENGE.format("n") + f", algorithm={algorithm}"
    first = request()
    first.headers = answer(auth, challenge)
    if is_accepted:
        auth.on_response(SimpleNamespace(headers={}), first)
    auth.auth_info = ("new", "q")
    if not is_accepted:  # the server accepts the old ones after the assignment
        auth.on_response(SimpleNamespace(headers={}), first)
    sent = params(auth.initial_headers(request()))
    assert (sent["username"], sent["nonce"], sent["nc"]) == ("new", "n", "00000002")
    h = hasher("sha256" if algorithm == "SHA-256" else "md5")
    key = h("new:r:q")
    if algorithm == "MD5-sess":
        key = h(f"{key}:n:{sent['cnonce']}")
    hashed = f"{key}:n:00000002:{sent['cnonce']}:auth:{h('GET:/')}"
    assert sent["response"] == h(hashed)


def test_assigned_encoding():
    """An assigned encoding is used in realms that are known."""
    auth = DigestAuth(("ü", "p"))
    accepted_answer(auth, CHALLENGE.format("n"))
    auth.encoding = "latin-1"
    value = auth.initial_headers(request())["Authorization"]
    assert 'username="\xfc"'.encode("latin-1") in value
    with pytest.raises(InvalidRequest):
        auth.auth_info = ("\u20ac", "p")  # not in latin-1
    assert auth.initial_headers(request())["Authorization"].startswith(b'Digest username="\xfc"')


def test_wrong_password():
    """Rejected credentials are not sent again, neither for that request nor for the next one."""
    auth = DigestAuth(("u", "wrong"))
    req = request()
    req.headers = answer(auth, CHALLENGE.format("1"), req)
    assert answer(auth, CHALLENGE.format("2"), req) == {}
    assert auth.initial_headers(request()) == {}


def test_wrong_password_with_a_constant_nonce():
    """Rejected credentials are not sent again if the server repeats its nonce."""
    auth = DigestAuth(("u", "wrong"))
    accepted_answer(auth, CHALLENGE.format("1"))
    req = request()
    req.headers = auth.initial_headers(req)
    assert answer(auth, CHALLENGE.format("1"), req) == {}


def test_nonce_that_ran_out_silently():
    """If a nonce sent in advance is rejected without `stale`, one new challenge is answered."""
    auth = DigestAuth(("u", "p"))
    accepted_answer(auth, CHALLENGE.format("1"))
    req = request()
    req.headers = auth.initial_headers(req)
    req.headers = answer(auth, CHALLENGE.format("2"), req)
    assert params(req.headers)["nonce"] == "2"
    assert answer(auth, CHALLENGE.format("3"), req) == {}


def test_same_nonce_for_many():
    """Tasks that are challenged with the same nonce at the same time use different counts."""
    auth = DigestAuth(("u", "p"))
    seen = []

    async def one(stale):
        req = request()
        req.headers = await auth(unauthorized(CHALLENGE.format("n") + stale), req)
        seen.append(params(req.headers)["nc"])
        await curio.sleep(0)
        auth.on_response(SimpleNamespace(headers={}), req)
        seen.append(params(auth.initial_headers(request()))["nc"])

    async def main():
        async with curio.TaskGroup() as group:
            for i in range(50):
                await group.spawn(one, ", stale=true" if i % 2 else "")

    curio.run(main)
    assert sorted(seen) == [f"{i:08x}" for i in range(1, 101)]


def test_next_nonce():
    """The next nonce of Authentication-Info is used; its count starts at 1."""
    auth = DigestAuth(("u", "p"))
    req = request()
    req.headers = accepted_answer(auth, CHALLENGE.format("1"))
    auth.on_response(SimpleNamespace(headers={"Authentication-Info": 'nextnonce="2"'}), req)
    sent = params(auth.initial_headers(request()))
    assert (sent["nonce"], sent["nc"]) == ("2", "00000001")
    auth.on_response(SimpleNamespace(headers={}), req)


def test_memory_is_bounded():
    """The memory for realms and challenges is bounded."""
    auth = DigestAuth(("u", "p"))

    async def main():
        for i in range(4000):
            req = request()
            req.headers = await auth(unauthorized(f"Digest realm={i}, nonce=n, qop=auth"), req)
            if i % 2:
                auth.on_response(SimpleNamespace(headers={}), req)

    curio.run(main)
    assert repr(auth) == "<DigestAuth for Authorization, 256 realms known>"
    assert len(auth._responses) <= 1024
    assert len(auth._pending) <= 1024
