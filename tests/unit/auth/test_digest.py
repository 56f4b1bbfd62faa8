"""Digest: examples of the RFCs, comparison with two clients, choice of challenge, body hashes."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import curio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.digest import accepted_answer, answer, hasher, params, request, unauthorized

from asks_fast._auth.digest import ProtectionSpace, select_challenge
from asks_fast._request.body import make_body
from asks_fast.auth import Challenge, DigestAuth, parse_challenges
from asks_fast.errors import UnreplayableBody

NEW_HASH = "sha512_256" in hashlib.algorithms_available


# -- the arithmetic

RFC7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


def space(challenge, user, password, cnonce):
    return ProtectionSpace(
        parse_challenges(challenge)[0], (user, password), "http://h", cnonce=cnonce
    )


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc7616_3_9_1(algorithm, expected):
    """The example of RFC 7616 §3.9.1."""
    known = space(
        RFC7616.format(algorithm),
        b"Mufasa",
        b"Circle of Life",
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    response, header = known.build_response("GET", "/dir/index.html", "")
    assert response == expected
    assert parse_challenges(header)[0].params == {
        "username": "Mufasa",
        "realm": "http-auth@example.org",
        "uri": "/dir/index.html",
        "algorithm": algorithm,
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "nc": "00000001",
        "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        "qop": "auth",
        "response": expected,
        "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    }


@pytest.mark.skipif(not NEW_HASH, reason="this OpenSSL has no SHA-512/256")
def test_rfc7616_3_9_2():
    """The example of RFC 7616 §3.9.2, with the values of erratum 4897."""
    known = space(
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
        'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
        'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true',
        "Jäsøn Doe".encode(),
        b"Secret, or not?",
        "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )
    response, header = known.build_response("GET", "/doe.json", "")
    assert response == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    sent = parse_challenges(header)[0].params
    user_hash = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert (sent["username"], sent["userhash"]) == (user_hash, "true")


RFC2617 = (
    'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)


def test_rfc2617_3_5():
    """The example of RFC 2617 §3.5."""
    known = space(RFC2617 + ', qop="auth,auth-int"', b"Mufasa", b"Circle Of Life", "0a4f113b")
    response, _ = known.build_response("GET", "/dir/index.html", "")
    assert response == "6629fae49393a05397450978507c4ef1"


def test_rfc2069_2_4():
    """The example of RFC 2069 §2.4 with its erratum: without qop no count and no cnonce is sent."""
    known = space(RFC2617, b"Mufasa", b"CircleOfLife", None)
    response, header = known.build_response("GET", "/dir/index.html", "")
    assert response == "1949323746fe6a43ef61f9606e7febea"
    assert not {"nc", "cnonce", "qop", "algorithm"} & set(parse_challenges(header)[0].params)


def test_session_key_without_qop():
    """For -sess without qop the cnonce is sent, since the server needs it to check the response."""
    sent = params(answer(DigestAuth(("u", "p")), "Digest realm=r, nonce=n, algorithm=MD5-sess"))
    h = hasher("md5")
    key = h(f"{h('u:r:p')}:n:{sent['cnonce']}")
    assert sent["response"] == h(f"{key}:n:{h('GET:/')}")


@pytest.mark.parametrize("qop", ["auth", "auth-int"])
@pytest.mark.parametrize(("name", "hash_name"), [("MD5", "md5"), ("SHA-256", "sha256")])
def test_session_key(name, hash_name, qop):
    """For -sess the key is derived from the first nonces and reused (RFC 7616 §3.4.2)."""
    h = hasher(hash_name)
    auth = DigestAuth(("user", "pass"))
    challenge = f'Digest realm="r", nonce="n", algorithm={name}-sess, qop="{qop}"'
    first = params(accepted_answer(auth, challenge, request(body=b"body")))
    second = params(auth.initial_headers(request(body=b"body")))
    key = h(f"{h('user:r:pass')}:n:{first['cnonce']}")
    what = "GET:/" + (f":{h('body')}" if qop == "auth-int" else "")
    for sent, nc in ((first, "00000001"), (second, "00000002")):
        assert sent["nc"] == nc
        assert sent["response"] == h(f"{key}:n:{nc}:{sent['cnonce']}:{qop}:{h(what)}")


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-SESS", "SHA-256", "SHA-256-SESS"])
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
async def test_against_aiohttp(algorithm, qop):
    """With the same cnonce, aiohttp computes the same response."""
    aiohttp = pytest.importorskip("aiohttp")
    yarl = pytest.importorskip("yarl")
    challenge = Challenge(
        "digest", {"realm": 're"a\\lm', "nonce": "n", "qop": qop, "algorithm": algorithm}
    )
    theirs = aiohttp.DigestAuthMiddleware("user", 'p"a:s\\s')
    theirs._challenge = challenge.params
    header = await theirs._encode("POST", yarl.URL("http://h/a?b=c"), b"body")
    sent = parse_challenges(header)[0].params
    known = ProtectionSpace(challenge, (b"user", b'p"a:s\\s'), "http://h", cnonce=sent["cnonce"])
    assert known.build_response("POST", "/a?b=c", known.hash(b"body"))[0] == sent["response"]


@pytest.mark.parametrize(
    ("algorithm", "qop"),
    [
        (None, None),
        ("MD5", None),
        ("SHA-256", None),
        (None, "auth"),
        ("MD5", "auth"),
        ("MD5-SESS", "auth"),
        ("SHA-256", "auth"),
        ("SHA-256-SESS", "auth"),
    ],
)
def test_against_httpx(algorithm, qop):
    """With the same cnonce, httpx computes the same response."""
    httpx = pytest.importorskip("httpx")
    fields = {"realm": "r", "nonce": "n", "qop": qop, "algorithm": algorithm}
    challenge = Challenge("digest", {k: v for k, v in fields.items() if v is not None})
    asked = "Digest " + ", ".join(f'{k}="{v}"' for k, v in challenge.params.items())
    req = httpx.Request("PUT", "http://h/a?b=c")
    flow = httpx.DigestAuth("user", "pass").auth_flow(req)
    next(flow)
    flow.send(httpx.Response(401, headers={"www-authenticate": asked}, request=req))
    sent = parse_challenges(req.headers["Authorization"])[0].params
    known = ProtectionSpace(challenge, (b"user", b"pass"), "http://h", cnonce=sent.get("cnonce"))
    assert known.build_response("PUT", "/a?b=c", "")[0] == sent["response"]


# -- which challenge


@pytest.mark.parametrize(
    ("challenges", "realm"),
    [
        (["Basic realm=b"], None),
        (["Digest nonce=n"], None),
        (["Digest realm=r"], None),
        (["Digest realm=a, nonce=n, algorithm=SHA-1"], None),
        (["Digest realm=a, nonce=n, qop=auth-conf"], None),
        (['Digest realm="a\x01", nonce=n'], None),
        (["Basic realm=b, Digest realm=a, nonce=n"], "a"),
        (["Digest realm=a, nonce=n", "Digest realm=b, nonce=n, algorithm=SHA-256"], "b"),
        (["Digest realm=a, nonce=n, algorithm=sha-256-SESS, Digest realm=b, nonce=n"], "a"),
        (["Digest realm=a, nonce=n, Digest realm=b, nonce=n, algorithm=MD5"], "a"),
        (["Digest realm=a, nonce=n, algorithm=SHA-999", "Digest realm=b, nonce=n"], "b"),
        (['Digest realm=a, nonce=n, qop=""'], "a"),
    ],
)
def test_choice(challenges, realm):
    """The strongest supported challenge is selected, the first of equals; None without one."""
    chosen = select_challenge(parse_challenges(challenges))
    assert (chosen and chosen.params["realm"]) == realm
    header = curio.run(DigestAuth(("u", "p")), unauthorized(*challenges), request())
    assert bool(header) == (realm is not None)


def test_joined_header():
    """Repeated fields may be joined with commas."""
    response = SimpleNamespace(
        headers={"www-authenticate": 'Digest realm="a", nonce="n", Basic realm="b"'}
    )
    assert params(curio.run(DigestAuth(("u", "p")), response, request()))["realm"] == "a"


def test_qop_auth_before_auth_int():
    """If the server offers both `auth` and `auth-int`, the body is not hashed."""
    header = answer(DigestAuth(("u", "p")), 'Digest realm=r, nonce=n, qop="auth-int,auth"')
    assert params(header)["qop"] == "auth"
    assert "qop=auth," in header["Authorization"]  # unquoted, as is nc (RFC 7616 §3.4)
    assert "nc=00000001," in header["Authorization"]


def test_proxy():
    """For a proxy the field names are others, and one nonce serves all origins."""
    auth = DigestAuth(("u", "p"), proxy=True)
    response = SimpleNamespace(headers={"Proxy-Authenticate": "Digest realm=r, nonce=n, qop=auth"})
    req = request("h:443", "CONNECT")
    assert list(curio.run(auth, response, req)) == ["Proxy-Authorization"]
    other = request("other:443", "CONNECT")
    assert list(auth.initial_headers(other)) == ["Proxy-Authorization"]


@given(user=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), min_size=1))
def test_any_user(user):
    """Any user name is sent in one header line and read back unchanged."""
    sent = params(answer(DigestAuth((user, "p"), "latin-1"), 'Digest realm="\\"\\\\", nonce=n'))
    assert (sent["username"], sent["realm"]) == (user, '"\\')


class Raw(dict):
    """Response headers with the received bytes in `raw`."""

    def __init__(self, value):
        super().__init__()
        self.raw = [(b"www-authenticate", value)]


@pytest.mark.parametrize("realm", ["Käse".encode(), "Käse".encode("latin-1"), b"\xff\xfe"])
def test_realm_of_any_bytes(realm):
    """A realm is hashed and sent back as the received bytes, in any encoding."""
    response = SimpleNamespace(headers=Raw(b'Digest realm="%b", nonce=n' % realm))
    header = curio.run(DigestAuth(("u", "p")), response, request())
    value = header["Authorization"]
    assert b'realm="%b"' % realm in (value.encode() if isinstance(value, str) else value)
    key = hashlib.md5(b"u:" + realm + b":p").hexdigest()
    h = hasher("md5")
    assert params(header)["response"] == h(f"{key}:n:{h('GET:/')}")


def test_user_outside_ascii():
    """With charset=UTF-8 the user name is sent as an extended value (RFC 7616 §3.4.4)."""
    auth = DigestAuth(("Jäsøn", "p"), "latin-1")
    sent = params(answer(auth, "Digest realm=r, nonce=n, charset=UTF-8"))
    assert sent["username*"] == "UTF-8''J%C3%A4s%C3%B8n"
    assert "username" not in sent


# -- which body


async def _stream():
    yield b"bo"
    yield b"dy"


def test_body_hash_of_a_stream(tmp_path):
    """For auth-int a body on disk is hashed in chunks."""
    path = tmp_path / "x"
    path.write_bytes(b"body")
    auth = DigestAuth(("u", "p"))
    challenge = "Digest realm=r, nonce=n, qop=auth-int"
    streamed, buffered = request(method="POST"), request(method="POST", body=b"body")
    streamed.body_source = make_body(data=path)
    h = hasher("md5")
    for req in (streamed, buffered):
        sent = params(accepted_answer(auth, challenge, req))
        key = f"{h('u:r:p')}:n:{sent['nc']}:{sent['cnonce']}:auth-int"
        assert sent["response"] == h(f"{key}:{h('POST:/:' + h('body'))}")
    assert auth.initial_headers(streamed) == {}
    assert auth.initial_headers(buffered)


async def test_body_hash_of_a_one_shot():
    """For auth-int a one-shot stream raises UnreplayableBody."""
    req = request(method="POST")
    req.body_source = make_body(data=_stream())
    await req.body_source.chunks().__anext__()
    with pytest.raises(UnreplayableBody, match="auth-int"):
        await DigestAuth(("u", "p"))(unauthorized("Digest realm=r, nonce=n, qop=auth-int"), req)
    await req.body_source.close()
