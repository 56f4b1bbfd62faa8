"""Credentials are sent to the origin they were given for, and to no other, redirects included.

An origin is scheme, host and port. `request_flow` decides what a redirected request contains, so
each kind of secret is tested with each kind of change of origin.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from support.script_steps import OK, expect, repeat, send
from support.scripted_server import Peer, SeenRequest

import asks_fast as asks
from asks_fast import BasicAuth, BearerAuth, DigestAuth, DSession, HSession, PreResponseAuth
from asks_fast.errors import InvalidRequest, InvalidURL, TooManyRedirects

SECRET = "s3cret"
BASIC = "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()
TRACES = (SECRET.encode(), BASIC[6:].encode())


def moved(location: str, status: int = 302, more: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\n{more}Content-Length: 0\r\n\r\n"
    ).encode()


def carries_secret(request: SeenRequest) -> bool:
    return any(trace in request.raw for trace in TRACES)


class KeyAuth(PreResponseAuth):
    """A custom class whose header name is not on the list of sensitive names."""

    def __init__(self) -> None:
        """Send no credentials but those below."""

    async def __call__(self, request: Any) -> dict[str, str]:
        return {"X-Own-Key": SECRET}


WELL_KNOWN = ("X-Api-Key", "x-auth-token", "Private-Token", "X-Vault-Token", "X-Goog-Api-Key")

GIVEN: dict[str, dict[str, Any]] = {
    "Authorization": {"headers": {"Authorization": BASIC}},
    "lower case": {"headers": {"authorization": BASIC, "cookie": f"sid={SECRET}"}},
    "shouted": {"headers": {"AUTHORIZATION": BASIC, "COOKIE": f"sid={SECRET}"}},
    "twice": {"headers": [("X-Api-Key", SECRET), ("x-api-key", f"Bearer {SECRET}")]},
    "list of cookies": {"headers": {"Cookie": [f"a={SECRET}", f"b={SECRET}"]}},
    "bytes": {"headers": [(b"Authorization", BASIC.encode())]},
    "cookies": {"cookies": {"sid": SECRET}},
    "basic": {"auth": BasicAuth(("user", SECRET))},
    "pair": {"auth": ("user", SECRET)},
    "bearer": {"auth": BearerAuth(SECRET)},
    "own class": {"auth": KeyAuth()},
    "named by the user": {"headers": {"X-Mine": SECRET}, "sensitive_headers": ["x-MINE"]},
    **{name: {"headers": {name: SECRET}} for name in WELL_KNOWN},
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN.keys())
@pytest.mark.parametrize("status", [301, 307])
async def test_credentials_are_not_sent_to_another_origin(
    peer: Callable[..., Peer], given: dict[str, Any], status: int
) -> None:
    """Another port of the same host gets no credentials, however they were given."""
    other = peer([expect(), send(OK)])
    first = peer(
        [
            expect(),
            send(moved("/here", status)),
            expect(),
            send(moved(f"{other.url}/there", status)),
        ]
    )
    async with DSession() as session:
        r = await session.get(first.url, **given)
    assert r.status_code == 200
    assert [carries_secret(request) for request in first.requests] == [True, True]
    assert not carries_secret(other.requests[0])
    assert other.requests[0].header("host") == f"127.0.0.1:{other.port}"


async def test_session_credentials_are_not_sent_to_another_origin(
    peer: Callable[..., Peer],
) -> None:
    """Credentials of the session are not sent after a redirect to another origin."""
    other = peer([expect(), send(OK)])
    first = peer([expect(), send(moved(other.url))])
    headers = {"Authorization": BASIC}
    async with HSession(first.url, headers=headers, cookies={"sid": SECRET}) as session:
        await session.get()
    assert carries_secret(first.requests[0])
    assert not carries_secret(other.requests[0])


OF_A_SESSION: dict[str, dict[str, Any]] = {
    "auth": {"auth": ("user", SECRET)},
    "netrc style": {"auth": KeyAuth()},
    "cookies": {"cookies": {"sid": SECRET}},
    "params": {"params": {"api_key": SECRET, "page": 1}},
    "pairs": {"params": [("access_token", SECRET), ("page", 1)]},
    "text": {"params": f"page=1&sig={SECRET}"},
    "Authorization": {"headers": {"authorization": BASIC, "X-Other": "yes"}},
    "Cookie": {"headers": {"Cookie": f"sid={SECRET}"}},
    "token": {"headers": {"X-Auth-Token": SECRET}},
    "listed": {"headers": {"X-Mine": SECRET}, "sensitive_headers": ["x-mine"]},
}


@pytest.mark.parametrize("given", OF_A_SESSION.values(), ids=OF_A_SESSION.keys())
@pytest.mark.parametrize("more", [{}, {"timeout": 30}, {"persist_cookies": True}])
async def test_absolute_url_gets_no_credentials_of_the_base(
    peer: Callable[..., Peer], given: dict[str, Any], more: dict[str, Any]
) -> None:
    """Credentials of a session with a base are sent to the base only, also from a template and in
    `map`.
    """
    base, other = (peer([repeat(expect(), send(OK))]) for _ in range(2))
    async with HSession(base.url, connections=4, **given, **more) as session:
        for _ in range(2):
            await session.get(path="/a")
            await session.get(f"{base.url}/b")
            await session.get(f"{other.url}/c")
            await session.gather([f"{other.url}/d", f"{base.url}/e"])
            await session.send(session.prepare("GET", f"{other.url}/f"))
    assert [request.target[:2] for request in other.requests] == ["/c", "/d", "/f"] * 2
    assert not any(carries_secret(request) for request in other.requests)
    assert len(base.requests) == 6
    assert all(carries_secret(request) for request in base.requests)
    if "params" in given:
        assert all(request.target.endswith("?page=1") for request in other.requests)
    if "X-Other" in given.get("headers", {}):
        assert all(request.header("x-other") == "yes" for request in other.requests)


async def test_credentials_of_a_call_are_sent_to_its_url(peer: Callable[..., Peer]) -> None:
    """Credentials given with an absolute URL are for that URL, whatever the base."""
    base, other = (peer([repeat(expect(), send(OK))]) for _ in range(2))
    given = [{"auth": ("user", SECRET)}, {"headers": {"X-Api-Key": SECRET}}]
    async with HSession(base.url, auth=("own", "pw"), headers={"X-Api-Key": "own"}) as session:
        for one in given:
            await session.get(other.url, **one)
    assert all(carries_secret(request) for request in other.requests)
    assert [q.header("x-api-key") for q in other.requests] == [None, SECRET]
    assert other.requests[1].header("authorization") is None


@pytest.mark.parametrize("of_the_call", [False, True])
async def test_auth_off_domain_of_a_session(peer: Callable[..., Peer], of_the_call: bool) -> None:
    """`auth_off_domain=True` sends `auth` of the session to any URL, and nothing else."""
    base, other = (peer([repeat(expect(), send(OK))]) for _ in range(2))
    allowed = {"auth_off_domain": True}
    more = {} if of_the_call else allowed
    headers = {"X-Api-Key": "k"}
    async with HSession(base.url, auth=("user", SECRET), headers=headers, **more) as session:
        await session.get(other.url, **(allowed if of_the_call else {}))
    assert other.requests[0].header("authorization") == BASIC
    assert other.requests[0].header("x-api-key") is None


async def test_credentials_of_https_base_are_not_sent_to_http(peer: Callable[..., Peer]) -> None:
    """`auth_off_domain=True` does not send `auth` from https to http."""
    other = peer([expect(), send(OK)])
    async with HSession(
        "https://localhost", auth=("user", SECRET), auth_off_domain=True
    ) as session:
        await session.get(other.url)
    assert not carries_secret(other.requests[0])


async def test_host_and_proxy_credentials_are_not_sent_to_another_origin(
    peer: Callable[..., Peer],
) -> None:
    """A Host field and proxy credentials of a session with a base are sent to the base only."""
    proxy = peer([repeat(expect(), send(OK))])
    headers = {"Host": "virtual.test", "Proxy-Authorization": BASIC}
    async with HSession("http://a.test", proxy=proxy.url, headers=headers) as session:
        await session.get("/")
        await session.get("http://b.test/")
    assert [q.header("host") for q in proxy.requests] == ["virtual.test", "b.test"]
    assert [q.header("proxy-authorization") for q in proxy.requests] == [BASIC, None]


async def test_session_without_base_sends_credentials_to_each_host(
    peer: Callable[..., Peer],
) -> None:
    """`DSession(auth=…)` sends `auth` to every host, because it has no origin."""
    servers = [peer([expect(), send(OK)]) for _ in range(2)]
    async with DSession(auth=("user", SECRET)) as session:
        for server in servers:
            await session.get(server.url)
    assert all(carries_secret(server.requests[0]) for server in servers)


async def test_sensitive_headers_must_be_a_list() -> None:
    """`sensitive_headers="X-Mine"` would be names of one letter, so it raises."""
    with pytest.raises(InvalidRequest, match="list of field names"):
        DSession(sensitive_headers="X-Mine")


@pytest.mark.parametrize("is_of_session", [True, False])
async def test_sensitive_headers_from_an_iterator(
    peer: Callable[..., Peer], is_of_session: bool
) -> None:
    """The names may come from an iterator, which can be read once; each request uses them."""
    other = peer([repeat(expect(), send(OK))])
    first = peer([repeat(expect(), send(moved(other.url)))])
    of_session = {"sensitive_headers": iter(["X-Mine"])} if is_of_session else {}
    async with DSession(**of_session) as session:
        for _ in range(2):
            of_request = {} if is_of_session else {"sensitive_headers": iter(["X-Mine"])}
            await session.get(first.url, headers={"X-Mine": SECRET}, **of_request)
    assert [carries_secret(request) for request in first.requests] == [True, True]
    assert [carries_secret(request) for request in other.requests] == [False, False]


async def test_userinfo_of_a_url(peer: Callable[..., Peer]) -> None:
    """Credentials in a URL are sent to its origin as Basic, and to no other."""
    other = peer([expect(), send(OK)])
    first = peer([expect(), send(moved(other.url))])
    async with DSession() as session:
        r = await session.get(first.url.replace("//", f"//user:{SECRET}@"))
    assert first.requests[0].header("authorization") == BASIC
    assert not carries_secret(other.requests[0])
    assert SECRET not in r.url + repr(r.history) + str(r.history[0].url)


async def test_removed_credentials_are_not_restored(peer: Callable[..., Peer]) -> None:
    """After redirects to another origin and back the credentials stay removed (CVE-2024-45336)."""
    second = peer([])
    first = peer([expect(), send(moved(f"{second.url}/b")), expect(), send(OK)])
    second.scripts[0][:] = [expect(), send(moved(f"{first.url}/a"))]
    async with DSession(connections=4) as session:
        r = await session.get(
            first.url,
            headers={"Authorization": BASIC, "Cookie": "sid=" + SECRET},
            auth=BasicAuth(("user", SECRET)),
            cookies={"a": SECRET},
        )
    assert r.status_code == 200
    seen = [carries_secret(request) for request in (*first.requests, *second.requests)]
    assert seen == [True, False, False]


async def test_redirect_from_https_to_http(
    peer: Callable[..., Peer], tls_peer: Callable[..., Peer], client_context: ssl.SSLContext
) -> None:
    """From https to http no credentials are sent, even with `auth_off_domain`."""
    other = peer([expect(), send(OK)])
    first = tls_peer([expect(), send(moved(other.url))])
    async with DSession(ssl_context=client_context) as session:
        await session.get(first.url, auth=("user", SECRET), auth_off_domain=True)
    assert carries_secret(first.requests[0])
    assert not carries_secret(other.requests[0])


async def test_redirect_to_another_host(peer: Callable[..., Peer]) -> None:
    """Another name for the same address and port is another origin."""
    server = peer([])
    server.scripts[0][:] = [expect(), send(moved(f"http://b.test:{server.port}/"))]
    server.scripts.append([expect(), send(OK)])
    async with DSession(connections=2, hosts={"a.test": "127.0.0.1", "b.test": "127.0.0.1"}) as s:
        r = await s.get(f"http://a.test:{server.port}/", auth=("user", SECRET))
    assert r.status_code == 200
    assert [carries_secret(request) for request in server.requests] == [True, False]


async def test_auth_off_domain_covers_auth_only(peer: Callable[..., Peer]) -> None:
    """`auth_off_domain=True` sends `auth` to another origin; cookies and header fields are not
    sent.
    """
    other = peer([expect(), send(OK)])
    first = peer([expect(), send(moved(other.url))])
    async with DSession() as session:
        await session.get(
            first.url, auth=("user", SECRET), auth_off_domain=True, cookies={"sid": "c00kie"}
        )
    assert other.requests[0].header("authorization") == BASIC
    assert other.requests[0].header("cookie") is None


@pytest.mark.parametrize("name", ["Proxy-Authorization", "proxy-authorization"])
async def test_proxy_authorization_without_proxy(peer: Callable[..., Peer], name: str) -> None:
    """Proxy credentials in `headers=` without a proxy raise: they would go to the server."""
    server = peer([expect(), send(OK)])
    async with DSession() as session:
        with pytest.raises(InvalidRequest, match="would reach the server") as caught:
            await session.get(server.url, headers={name: BASIC})
    assert not any(trace.decode() in str(caught.value) for trace in TRACES)
    assert server.connections == []


async def test_proxy_authorization_after_redirect(peer: Callable[..., Peer]) -> None:
    """Each request through a forward proxy has the proxy's credentials; no origin receives them."""
    proxy = peer([expect(), send(moved("http://b.test/"))], [expect(), send(OK)])
    url = proxy.url.replace("//", f"//user:{SECRET}@")
    async with DSession(proxy=url) as session:
        r = await session.get("http://a.test/", auth=("other", "pw"))
    assert r.status_code == 200
    assert [q.target for q in proxy.requests] == ["http://a.test/", "http://b.test/"]
    assert [q.header("proxy-authorization") for q in proxy.requests] == [BASIC, BASIC]
    assert proxy.requests[1].header("authorization") is None


async def test_redirect_from_proxied_to_direct_origin(peer: Callable[..., Peer]) -> None:
    """The proxy's credentials are not sent to an origin reached directly (CVE-2026-44486)."""
    proxy = peer([expect(), send(OK)])
    server = peer([expect(), send(OK)])
    async with DSession() as session:
        await session.get(server.url, proxy=proxy.url.replace("//", f"//user:{SECRET}@"))
        await session.get(server.url)
    assert carries_secret(proxy.requests[0])
    assert not carries_secret(server.requests[0])


async def test_requests_share_no_credentials(peer: Callable[..., Peer]) -> None:
    """Credentials, cookies and fields of one request are not sent with another (CVE-2026-9079)."""
    server = peer([repeat(expect(), send(OK))])
    async with DSession() as session:
        given = {"auth": ("user", SECRET), "cookies": {"a": SECRET}, "headers": {"X-A": SECRET}}
        await session.get(server.url + "/", **given)
        await session.get(server.url + "/")
        await session.get(server.url + "/")
    assert [carries_secret(request) for request in server.requests] == [True, False, False]


async def test_cookies_belong_to_the_origin_that_set_them(peer: Callable[..., Peer]) -> None:
    """A Set-Cookie in a redirect is stored for the host that sent it (CVE-2015-2296)."""
    server = peer([])
    port = server.port
    server.scripts[0][:] = [
        expect(),
        send(moved(f"http://b.test:{port}/", more=f"Set-Cookie: sid={SECRET}\r\n")),
    ]
    server.scripts.append([expect(), send(OK)])
    names = {"a.test": "127.0.0.1", "b.test": "127.0.0.1"}
    async with DSession(persist_cookies=True, connections=2, hosts=names) as session:
        await session.get(f"http://a.test:{port}/")
        assert list(session.cookie_tracker_obj.domain_dict) == ["a.test"]
    assert [request.header("cookie") for request in server.requests] == [None, None]


async def test_cookie_deleted_by_a_challenge(peer: Callable[..., Peer]) -> None:
    """The request after a challenge has the current cookies, not those of the first attempt."""
    head = b"HTTP/1.1 %b\r\nSet-Cookie: sid=%b\r\nContent-Length: 0\r\n\r\n"
    challenge = b"401 No\r\nWWW-Authenticate: Digest realm=a, nonce=b, qop=auth"
    server = peer(
        [
            *(expect(), send(head % (b"200 OK", b"one"))),
            *(expect(), send(head % (challenge, b"; Max-Age=0"))),
            *(expect(), send(head % (b"200 OK", b"two"))),
            *(expect(), send(head % (challenge, b"three"))),
            *(expect(), send(OK)),
        ]
    )
    async with DSession(persist_cookies=True) as session:
        await session.get(server.url)
        for _ in range(2):
            await session.get(server.url, auth=DigestAuth(("user", SECRET)))
    sent = [request.header("cookie") for request in server.requests]
    assert sent == [None, "sid=one", None, "sid=two", "sid=three"]


async def test_host_header_does_not_select_cookies(peer: Callable[..., Peer]) -> None:
    """The jar uses the URL, not a Host field; a Host field is not sent after a redirect
    (CVE-2026-6276).
    """
    server = peer([])
    port = server.port
    server.scripts[0][:] = [
        expect(),
        send(OK.replace(b"\r\n\r\n", f"\r\nSet-Cookie: sid={SECRET}\r\n\r\n".encode())),
    ]
    server.scripts.append([expect(), send(moved(f"http://c.test:{port}/"))])
    server.scripts.append([expect(), send(OK)])
    names = dict.fromkeys(("a.test", "b.test", "c.test"), "127.0.0.1")
    async with DSession(persist_cookies=True, connections=3, hosts=names) as session:
        await session.get(f"http://a.test:{port}/")
        await session.get(f"http://b.test:{port}/", headers={"Host": f"a.test:{port}"})
    assert [q.header("cookie") for q in server.requests] == [None, None, None]
    assert server.requests[2].header("host") == f"c.test:{port}"


async def test_redirect_cannot_set_credentials(peer: Callable[..., Peer]) -> None:
    """User and password in a Location are neither sent nor shown."""
    server = peer([expect(), send(b""), repeat(expect(), send(OK))])
    server.scripts[0][1] = send(moved(server.url.replace("//", "//evil:plan@") + "/x"))
    async with DSession() as session:
        r = await session.get(server.url)
    assert server.requests[1].header("authorization") is None
    assert "evil" not in r.url


PLACES = [
    "file:///etc/passwd",
    "ftp://127.0.0.1/x",
    "javascript:alert(1)",
    "data:text/plain,hello",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "FILE:/etc/passwd",
    "https+unix://x/",
    "ws://127.0.0.1/",
    "//",
    "http://",
    "http:///x",
    "http://[::1",
    "http://a b/",
    "http://exa\x01mple/",
    "\\\\evil.test\\x",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("stream", [False, True])
async def test_redirect_to_http_and_https_only(
    peer: Callable[..., Peer], place: str, stream: bool
) -> None:
    """A redirect to another scheme is an error that names the URL; nothing is opened
    (CVE-2009-0037).
    """
    server = peer([repeat(expect(), send(moved(place)))])
    async with DSession() as session:
        with pytest.raises((InvalidURL, asks.errors.BadHttpResponse)):
            await session.get(server.url, stream=stream)
        assert session.pool_stats()["in_use"] == session.pool_stats()["waiting"] == 0
    assert len(server.requests) == 1


@pytest.mark.parametrize("limit", [0, 1, 3])
@pytest.mark.parametrize("of_the_session", [False, True])
async def test_redirect_limit_is_exact(
    peer: Callable[..., Peer], limit: int, of_the_session: bool
) -> None:
    """Exactly `max_redirects` are followed, wherever the limit was set (CVE-2025-50181)."""
    server = peer([repeat(expect(), send(moved("/again")))])
    given = {"max_redirects": limit}
    async with DSession(**(given if of_the_session else {})) as session:
        with pytest.raises(TooManyRedirects) as caught:
            await session.get(server.url, **({} if of_the_session else given))
    assert len(server.requests) == limit + 1
    assert len(caught.value.history) == limit


async def test_errors_mask_tokens_in_urls(peer: Callable[..., Peer]) -> None:
    """No error text and no repr shows a token of the query, with or without a template."""
    nonsense = send(b"nonsense\r\n\r\n")
    server = peer([expect(), send(OK), expect(), nonsense], [expect(), nonsense])
    place = f"/there?page=1&access_token={SECRET}"
    second = peer([expect(), send(moved(place))], [expect(), send(OK)])
    caught: list[BaseException] = []
    async with HSession(server.url) as session:
        await session.get("/")
        for given in (
            {"params": {"sig": SECRET, "n": 1}},
            {"params": {"sig": SECRET}, "path": "x"},
        ):
            with pytest.raises(asks.AsksException) as error:
                await session.get(timeout=5, retries=0, **given)
            caught.append(error.value)
    async with DSession() as session:
        with pytest.raises(TooManyRedirects) as for_redirect:
            await session.get(second.url + "/?jwt=" + SECRET, max_redirects=0)
        caught.append(for_redirect.value)
        request = session.prepare("GET", second.url + place)
    assert all("=***" in str(error) for error in caught)
    assert "page=1&access_token=***" in str(caught[-1])
    for text in (repr(request), *map(str, caught), *map(repr, caught)):
        assert SECRET not in text


async def test_no_referer(peer: Callable[..., Peer]) -> None:
    """No redirect adds `Referer`; one given by the caller is sent unchanged."""
    other = peer([repeat(expect(), send(OK))])
    first = peer([repeat(expect(), send(moved(f"{other.url}/x")))])
    async with DSession() as session:
        await session.get(first.url.replace("//", f"//user:{SECRET}@") + "/p?token=1#part")
        await session.get(first.url, headers={"Referer": "http://given/"})
    seen = [request.header("referer") for request in (*first.requests, *other.requests)]
    assert seen == [None, "http://given/", None, "http://given/"]


@pytest.mark.parametrize(
    "path",
    ["//evil.test/x", "/http://evil.test/", "@evil.test/", "\\\\evil.test", "/\\evil", ":80/"],
)
async def test_path_cannot_change_the_host(peer: Callable[..., Peer], path: str) -> None:
    """No path changes the host, also as a relative URL (CVE-2022-35949)."""
    server = peer([repeat(expect(), send(OK))])
    async with HSession(server.url) as session:
        await session.get()
        await session.get(path=path)
        await session.get(path="/" + path)
        await session.get(path)
        await session.get("/" + path)
    assert len(server.requests) == 5
    for request in server.requests:
        assert request.header("host") == f"127.0.0.1:{server.port}"
        assert request.target.startswith("/")
        assert not request.target.startswith("//")
