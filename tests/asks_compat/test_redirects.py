"""Redirects as in RFC 9110 §15.4 and in browsers, and what a redirected request must not contain.

Scripted peers on two ports (two origins), and over TLS, check the bytes. Bodies from files and
streams are tested in tests/unit/request/test_uploads.py.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.relay import relay
from support.script_steps import FOREVER, OK, SERVING, Step, close, expect, repeat, send, stall
from support.scripted_server import MakePeer, Peer
from support.servers import Server

import asks_fast
from asks_fast import DSession, HSession
from asks_fast.auth import BasicAuth
from asks_fast.errors import InvalidRequest, InvalidURL, TooManyRedirects


def to(location: str | bytes, status: int = 302, *more: bytes, body: bytes = b"") -> Step:
    """Send a redirect."""
    where = location if isinstance(location, bytes) else location.encode()
    lines = [b"HTTP/1.1 %d Go" % status, b"Location: " + where, *more]
    lines.append(b"Content-Length: %d" % len(body))
    return send(b"\r\n".join(lines) + b"\r\n\r\n" + body)


# -- methods and bodies


@pytest.mark.parametrize(
    ("method", "status", "then", "keeps_body"),
    [
        ("GET", 301, "GET", False),
        ("GET", 302, "GET", False),
        ("GET", 303, "GET", False),
        ("GET", 307, "GET", False),
        ("GET", 308, "GET", False),
        ("POST", 301, "GET", False),
        ("POST", 302, "GET", False),
        ("POST", 303, "GET", False),
        ("POST", 307, "POST", True),
        ("POST", 308, "POST", True),
        ("PUT", 301, "PUT", True),
        ("PUT", 302, "PUT", True),
        ("PUT", 303, "GET", False),
        ("PUT", 307, "PUT", True),
        ("PATCH", 308, "PATCH", True),
        ("DELETE", 303, "GET", False),
        ("DELETE", 302, "DELETE", False),
    ],
)
async def test_method_and_body(
    method: str, status: int, then: str, keeps_body: bool, peer: MakePeer
) -> None:
    """303 and POST's 301 and 302 become GET without body; 307 and 308 keep both."""
    server = peer([expect(), to("/next", status), FOREVER])
    has_body = method not in ("GET", "DELETE")
    async with HSession(server.url) as session:
        response = await session.request(method, json={"k": 1} if has_body else None)
    first, second = server.requests
    assert (first.method, second.method, second.target) == (method, then, "/next")
    assert second.body == (b'{"k": 1}' if keeps_body else b"")
    assert second.header("content-type") == ("application/json" if keeps_body else None)
    assert second.header("content-length") == ("8" if keeps_body else None)
    assert response.method == then
    assert [old.status_code for old in response.history] == [status]
    assert response.history[0].method == method
    assert len(server.connections) == 1, "the connection serves the second request too"


async def test_head_is_followed_only_when_asked(peer: MakePeer) -> None:
    """Redirects of HEAD are followed only with `follow_redirects=True`, as in asks; it stays HEAD,
    after 303 too.
    """
    server = peer([repeat(expect(), to("/next", 303))])
    async with HSession(server.url) as session:
        assert (await session.head()).status_code == 303
    answers = [expect(), send(b"HTTP/1.1 303 See\r\nLocation: /n\r\n\r\n")]
    server = peer([*answers, expect("HEAD", "/n"), send(b"HTTP/1.1 200 OK\r\n\r\n"), stall()])
    async with HSession(server.url) as session:
        response = await session.head(follow_redirects=True)
    assert (response.status_code, response.method) == (200, "HEAD")


async def test_follow_redirects_false(app_server: Server) -> None:
    """`follow_redirects=False` returns the 3xx itself."""
    response = await asks_fast.get(f"{app_server.url}/redirect/3", follow_redirects=False)
    assert (response.status_code, response.history) == (302, [])
    assert response.headers["location"] == "/redirect/2"
    assert response.is_redirect


# -- targets


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/abs", "/abs"),
        ("rel", "/a/rel"),
        ("../up", "/up"),
        ("?q=1", "/a/b?q=1"),
        ("", "/a/b?old"),
        ("page.asp?x=1&y=2", "/a/page.asp?x=1&y=2"),
        ("/with space", "/with%20space"),
        ("/ü", "/%C3%BC"),
        (b"/\xfc", "/%FC"),
        ("/%7e%zz", "/%7e%25zz"),
        ("  /spaces  ", "/spaces"),
        ("/a#frag", "/a"),
        ("//{host}/scheme-relative", "/scheme-relative"),
        ("http://{host}/whole", "/whole"),
        ("HTTP://{host}?no-path", "/?no-path"),
        ("http://user:pw@{host}/whole", "/whole"),
    ],
)
async def test_location_is_resolved(location: str | bytes, target: str, peer: MakePeer) -> None:
    """Relative, absolute and scheme-relative targets, encoded where necessary."""
    server = peer([])
    host = server.url.partition("//")[2]
    if isinstance(location, str):
        location = location.replace("{host}", host)
    server.scripts[0] = [expect(), to(location), FOREVER]
    async with DSession() as session:
        response = await session.get(f"{server.url}/a/b?old")
    assert server.requests[1].target == target
    assert server.requests[1].header("authorization") is None
    assert response.status_code == 200


async def test_fragments(peer: MakePeer) -> None:
    """A fragment is inherited unless the target has its own, and is never sent."""
    server = peer([expect(), to("/next"), expect(), to("/last#own"), FOREVER])
    async with DSession() as session:
        response = await session.get(f"{server.url}/a#first")
    assert [request.target for request in server.requests] == ["/a", "/next", "/last"]
    assert response.url.endswith("/last#own")
    assert response.history[1].url.endswith("/next#first")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 300 Multiple\r\nLocation: /x\r\nContent-Length: 4\r\n\r\nlist",
        b"HTTP/1.1 304 Not Modified\r\nLocation: /x\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 305 Use Proxy\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 306 Switch\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 399 What\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_statuses_that_are_not_followed(head: bytes, peer: MakePeer) -> None:
    """300, 304, 305 and a 3xx without Location are final responses."""
    server = peer([repeat(expect(), send(head))])
    async with HSession(server.url) as session:
        for _ in range(2):  # the second uses the fast path
            response = await session.get()
            assert response.status_code == int(head[9:12])
            assert response.history == []
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "location",
    ["ftp://h/", "file:///etc/passwd", "javascript:1", "http://", "http://h:99999/", "\\\\h"],
)
async def test_invalid_locations(location: str, peer: MakePeer) -> None:
    """Only http and https are followed; the error names the request, and the connection is
    released.
    """
    server = peer([expect(), to(location), FOREVER])
    async with HSession(server.url) as session:
        with pytest.raises(InvalidURL, match=f"GET {server.url}/.* 302"):
            await session.get()
        assert session.pool_stats()["in_use"] == 0
        assert (await session.get(path="/x", follow_redirects=False)).status_code == 200


@given(st.binary(max_size=40))
async def test_any_location(location: bytes) -> None:
    """Any bytes of Location give another URL or an AsksException."""
    from asks_fast.urls import join_url, parse_url

    with contextlib.suppress(InvalidURL):
        join_url(parse_url("http://h/a/b?c#d"), location)


# -- the limit


async def test_redirect_limit(app_server: Server) -> None:
    """`max_redirects` redirects are followed; one more raises, and the error has the responses."""
    async with HSession(app_server.url) as session:
        assert len((await session.get(path="/redirect/20")).history) == 20
        with pytest.raises(TooManyRedirects, match="max_redirects=20") as caught:
            await session.get(path="/redirect/21")
        assert caught.value.response.status_code == 302
        assert [old.status_code for old in caught.value.history] == [302] * 20
        assert len((await session.get(path="/redirect/3", max_redirects=3)).history) == 3
        with pytest.raises(TooManyRedirects):
            await session.get(path="/redirect/1", max_redirects=0)
        assert (await session.get(path="/get", max_redirects=0)).status_code == 200
        assert session.pool_stats()["in_use"] == 0


async def test_redirect_loops(peer: MakePeer) -> None:
    """A loop is followed up to the limit, because a server may rely on repeated requests."""
    server = peer([repeat(expect(), to("/loop"))])
    async with HSession(server.url) as session:
        with pytest.raises(TooManyRedirects):
            await session.get(path="/loop", max_redirects=5)
    assert len(server.requests) == 6
    assert len(server.connections) == 1


# -- secrets


SECRETS = {
    "Authorization": "Bearer secret",
    "Cookie": "session=secret",
    "X-Api-Key": "secret",
}


def leaked(server: Peer) -> set[str]:
    """The names of sensitive fields in the requests that a server received."""
    return {
        name.lower()
        for request in server.requests
        for name, value in request.headers
        if "secret" in value
    }


@pytest.mark.parametrize("doubled", [False, True])
async def test_credentials_are_not_sent_to_another_origin(doubled: bool, peer: MakePeer) -> None:
    """Another port is another origin: no sensitive field is sent there."""
    other = peer(SERVING)
    server = peer([expect(), to(f"{other.url}/x"), FOREVER])
    headers: Any = list(SECRETS.items())
    if doubled:
        headers += [
            (name.upper(), f"{value} again") for name, value in headers if name != "Authorization"
        ]
    async with DSession(connections=2) as session:
        await session.get(server.url, headers=headers, sensitive_headers=["x-api-key"])
    assert len(other.requests) == 1
    assert leaked(other) == set()
    assert leaked(server) == {name.lower() for name in SECRETS}
    assert other.requests[0].header("host") == other.url.partition("//")[2]


PROXY_FIELD = {"proxy-authorization": "Basic secret"}


@pytest.mark.parametrize("proxy", [None, "socks5://127.0.0.1:1"])
async def test_proxy_credentials_without_an_http_proxy(proxy: str | None, peer: MakePeer) -> None:
    """`Proxy-Authorization` would go to the server: it raises before anything is sent."""
    server = peer(SERVING)
    async with HSession(server.url) as session:
        for _ in range(2):
            with pytest.raises(InvalidRequest, match="proxy="):
                await session.get(headers=PROXY_FIELD, proxy=proxy)
        with pytest.raises(InvalidRequest, match="only once"):
            await session.get(headers={"Proxy-Authorization": ["a", "b"]}, proxy=server.url)
        with pytest.raises(InvalidRequest, match="not a valid header field"):
            await session.get(headers={"Proxy-Authorization": "a\nb"}, proxy=server.url)
        assert session.pool_stats()["created"] == 0
        await session.get(headers={"Proxy-Authorization": None})
    assert len(server.requests) == 1


@pytest.mark.parametrize("login", ["", "user:other@"])
async def test_proxy_credentials_among_the_headers(login: str, peer: MakePeer) -> None:
    """They are sent to the proxy once, instead of its own, and not to another origin."""
    proxy = peer(
        [
            expect("GET", "http://one.test/"),
            to("/here"),
            expect("GET", "http://one.test/here"),
            to("http://two.test/"),
        ],
        [expect("GET", "http://two.test/"), send(OK), FOREVER],
    )
    url = proxy.url.replace("//", f"//{login}")
    async with DSession(proxy=url) as session:
        response = await session.get("http://one.test/", headers=PROXY_FIELD)
        assert [old.status_code for old in response.history] == [302, 302]
    received = [request.headers for request in proxy.requests]
    fields = [
        [value for name, value in headers if name.lower() == "proxy-authorization"]
        for headers in received
    ]
    own = ["Basic dXNlcjpvdGhlcg=="] if login else []
    assert fields == [["Basic secret"], ["Basic secret"], own]


async def test_proxy_credentials_and_tunnels(
    peer: MakePeer, tls_peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """They are sent with CONNECT only; a tunnel is not shared between passwords."""
    origin = tls_peer(SERVING, SERVING)
    opened = [expect("CONNECT"), send(b"HTTP/1.1 200 Established\r\n\r\n"), relay]
    proxy = peer(opened, opened)
    async with HSession(
        origin.url, connections=5, proxy=proxy.url, ssl_context=client_context
    ) as session:
        for value in ("Basic secret", "Basic other", "Basic secret"):
            await session.get(headers={"Proxy-Authorization": value})
    assert [request.header("proxy-authorization") for request in proxy.requests] == [
        "Basic secret",
        "Basic other",
    ]
    assert len(origin.requests) == 3
    assert all(request.header("proxy-authorization") is None for request in origin.requests)


async def test_removed_credentials_are_not_restored(peer: MakePeer) -> None:
    """Credentials removed by a redirect stay removed after a redirect back."""
    server, other = peer([]), peer([])
    server.scripts[0] = [expect(), to(f"{other.url}/away"), FOREVER]
    other.scripts[0] = [expect(), to(f"{server.url}/home"), FOREVER]
    async with DSession(connections=2) as session:
        response = await session.get(
            server.url,
            headers=SECRETS,
            sensitive_headers=["X-Api-Key"],
            cookies={"own": "secret"},
            auth=("user", "secret"),
        )
    assert response.url == f"{server.url}/home"
    last = server.requests[1]
    assert not any("secret" in value or "Basic" in value for _, value in last.headers)
    assert leaked(other) == set()
    assert other.requests[0].header("authorization") is None


async def test_credentials_are_kept_within_an_origin(peer: MakePeer) -> None:
    """Within one origin all fields are kept."""
    server = peer([expect(), to("/next"), FOREVER])
    async with HSession(server.url) as session:
        await session.get(headers=SECRETS, sensitive_headers=["x-api-key"])
    second = server.requests[1]
    assert {name: second.header(name) for name in SECRETS} == SECRETS


async def test_auth_and_cookies_of_the_call(peer: MakePeer) -> None:
    """`auth=` and `cookies=` are for the first origin; `auth_off_domain` extends `auth` only."""
    for free in (False, True):
        other = peer(SERVING)
        server = peer([expect(), to(other.url), FOREVER])
        async with DSession(connections=2) as session:
            await session.get(
                server.url,
                auth=BasicAuth(("user", "pw")),
                cookies={"a": "b"},
                headers={"X-Plain": "1"},
                auth_off_domain=free,
            )
        assert server.requests[0].header("authorization") == "Basic dXNlcjpwdw=="
        assert server.requests[0].header("cookie") == "a=b"
        assert other.requests[0].header("authorization") == ("Basic dXNlcjpwdw==" if free else None)
        assert other.requests[0].header("cookie") is None
        assert other.requests[0].header("x-plain") == "1"


async def test_userinfo_of_a_url(peer: MakePeer) -> None:
    """`user:pass@` becomes Basic auth, is removed from the URL, and is for its origin only."""
    other = peer(SERVING)
    server = peer([expect(), to("/next"), expect(), to(other.url), FOREVER])
    url = server.url.replace("//", "//us%40er:p%3Aw@")
    async with DSession(connections=2) as session:
        response = await session.get(url)
    first, second = server.requests
    assert first.header("authorization") == second.header("authorization") == "Basic dXNAZXI6cDp3"
    assert other.requests[0].header("authorization") is None
    assert "us" not in response.history[0].url.partition("//")[2]


async def test_from_https_to_http(
    peer: MakePeer,
    tls_peer: MakePeer,
    client_context: ssl.SSLContext,
) -> None:
    """No credentials are sent from https to http, not even with `auth_off_domain=True`."""
    plain = peer(SERVING)
    secure = tls_peer([expect(), to(f"{plain.url}/x"), stall()])
    async with DSession(connections=2, ssl_context=client_context) as session:
        response = await session.get(
            secure.url,
            headers=SECRETS,
            sensitive_headers=["X-Api-Key"],
            auth=("user", "pw"),
            cookies={"a": "secret"},
            auth_off_domain=True,
        )
    assert response.url == f"{plain.url}/x"
    assert leaked(plain) == set()
    assert plain.requests[0].header("authorization") is None
    assert plain.requests[0].header("cookie") is None


async def test_session_credentials_are_not_sent_to_another_origin(peer: MakePeer) -> None:
    """Sensitive headers of the session are not sent to another origin either."""
    other = peer(SERVING)
    server = peer([expect(), to(other.url), FOREVER])
    async with HSession(
        server.url, connections=2, headers=SECRETS, sensitive_headers=["x-api-key"]
    ) as session:
        await session.get()
    assert leaked(other) == set()
    assert leaked(server) == {name.lower() for name in SECRETS}


async def test_user_host_header_is_not_sent_to_another_origin(peer: MakePeer) -> None:
    """A Host field of the caller is for the first origin."""
    other = peer(SERVING)
    server = peer([expect(), to("/same"), expect(), to(other.url), FOREVER])
    async with DSession(connections=2) as session:
        await session.get(server.url, headers={"host": "virtual.example"})
    assert [r.header("host") for r in server.requests] == ["virtual.example"] * 2
    assert other.requests[0].header("host") == other.url.partition("//")[2]


# -- connections


async def test_redirect_with_streamed_body(peer: MakePeer) -> None:
    """A short body of a redirect is drained to keep its connection; a long one closes it."""
    server = peer(
        [expect(), to("/next", body=b"moved" * 100), FOREVER],
    )
    async with HSession(server.url) as session:
        response = await session.get()
    assert response.history[0].text == "moved" * 100
    assert len(server.connections) == 1
    long = [expect(), to("/next", body=b"x" * (1 << 20)), FOREVER]
    server = peer(long, SERVING)
    async with HSession(server.url) as session:
        streamed = await session.get(stream=True)
        assert await streamed.body.read() == b"ok"
        assert session.pool_stats()["in_use"] == 0
    assert len(server.connections) == 2


async def test_server_closes_after_redirect(peer: MakePeer) -> None:
    """`Connection: close` on the redirect: the next request goes over a new connection."""
    server = peer([expect(), to("/next", 302, b"Connection: close"), close()], SERVING)
    async with HSession(server.url) as session:
        assert (await session.get()).text == "ok"
    assert len(server.connections) == 2


async def test_redirects_with_one_connection(peer: MakePeer) -> None:
    """A session of one connection follows to another origin and back."""
    server, other = peer([]), peer([])
    server.scripts[0] = [expect(), to(f"{other.url}/away"), FOREVER]
    server.scripts.append(SERVING)
    other.scripts[0] = [expect(), to(f"{server.url}/home"), FOREVER]
    async with DSession(connections=1) as session:
        for stream in (False, True):
            response = await session.get(f"{server.url}/a", stream=stream, timeout=60)
            if stream:
                assert await response.body.read() == b"ok"
            assert session.pool_stats()["open"] <= 1
