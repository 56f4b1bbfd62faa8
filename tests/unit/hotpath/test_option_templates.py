"""Every option can be part of a request template, and changes nothing else about the request."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from typing import Any

import pytest
from support.cancel_at_each_await import cancel_at_each_await
from support.leaks import assert_no_active_requests
from support.script_steps import OK, close, expect, repeat, send, stall
from support.scripted_server import MakePeer

from asks_fast import BasicAuth, BearerAuth, DSession, HSession, Retry
from asks_fast.errors import (
    InvalidRequest,
    ResponseTooLarge,
    ServerClosedConnectionError,
    TooManyRedirects,
    TotalTimeout,
)

GENERAL = {"sensitive_headers": []}  # a list cannot be part of a template key
ANSWERING = [repeat(expect(), send(OK))]
ELSEWHERE = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"

OPTIONS: dict[str, dict[str, Any]] = {
    "retries": {"retries": 2},
    "max_body": {"max_body": 100},
    "decompress": {"decompress": False},
    "encoding": {"encoding": "latin-1"},
    "json_loads": {"json_loads": json.loads},
    "follow_redirects": {"follow_redirects": False},
    "max_redirects": {"max_redirects": 3},
    "strict": {"strict": True},
    "keep_framing": {"keep_framing": True},
    "dns_timeout": {"dns_timeout": 5},
    "pool_timeout": {"pool_timeout": 5},
    "read_timeout": {"read_timeout": 5},
    "short read_timeout": {"read_timeout": 0.5, "write_timeout": None},
    "basic": {"auth": ("user", "password")},
    "basic object": {"auth": BasicAuth(("user", "password"))},
    "bearer": {"auth": BearerAuth("token")},
    "cookies": {"cookies": {"a": "1", "b": 2, "c": None}},
    "cookies and auth": {"cookies": {"a": "1"}, "auth": ("u", "p"), "headers": {"X-A": "1"}},
    "params": {"params": {"a": "ü", "b": 1, "c": None}, "timeout": 5},
    "stream": {"stream": True},
}


def field(request: Any, name: str) -> str | None:
    """The value of a header field that the server received; None without one."""
    for line in request.raw.decode().split("\r\n")[1:]:
        if line.lower().startswith(f"{name}: "):
            return str(line.partition(": ")[2])
    return None


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("place", ["call", "session"])
@pytest.mark.parametrize("name", OPTIONS)
async def test_a_template_gives_the_same_bytes(
    peer: MakePeer, name: str, place: str, method: str
) -> None:
    """With and without a template the server receives the same bytes, for session and request
    options.
    """
    options = dict(OPTIONS[name])
    headers = options.pop("headers", {})
    of_session, of_call = (options, {}) if place == "session" else ({}, options)
    server = peer(ANSWERING)
    async with HSession(server.url, "/base", **of_session) as session:
        for more in ({}, {}, GENERAL):
            response = await session.request(method, path="/p", headers=headers, **of_call, **more)
            if options.get("stream"):
                assert await response.body.read() == b"ok"
            else:
                assert response.content == b"ok"
            assert response.encoding == options.get("encoding", "utf-8")
            assert response.strict == options.get("strict", False)
        assert len(session._templates) == 1
        assert_no_active_requests(session)
    assert len({request.raw for request in server.requests}) == 1
    assert len(server.connections) == 1


@pytest.mark.parametrize("given", [{"User-Agent": "x", "X-A": "1"}, {}], ids=["given", "none"])
async def test_a_field_that_the_session_removed(peer: MakePeer, given: dict[str, str]) -> None:
    """A call may add a field that the session removed, and is sent from the template too."""
    server = peer(ANSWERING)
    async with HSession(server.url, headers={"User-Agent": None, "Accept": None}) as session:
        await session.get(headers=given, **GENERAL)
        await session.get(headers=given)
        templates = dict(session._templates)
        await session.get(headers=given)
        assert session._templates == templates
    general, first, templated = (request.raw for request in server.requests)
    assert general == first == templated


async def test_equal_values_of_different_types(peer: MakePeer) -> None:
    """A template for `read_timeout=1` is not used for `read_timeout=True`, which is an error."""
    server = peer(ANSWERING)
    async with HSession(server.url) as session:
        for _ in range(2):
            await session.get(path="/", read_timeout=1)
        with pytest.raises(InvalidRequest):
            await session.get(path="/", read_timeout=True)


async def test_options_that_alternate(peer: MakePeer) -> None:
    """The template of the last call is used only for the same options, method and origin."""
    server = peer(*[ANSWERING] * 2)
    credentials = [("a", "b"), ("a", "b"), ("c", "d"), None]
    calls = [
        (method, host, {"auth": auth, **more} if auth else more)
        for method in ("GET", "DELETE")
        for host in (server.url, server.url.replace("127.0.0.1", "localhost"))
        for auth in credentials
        for more in ({}, {"retries": 0}, {"headers": {"X-Mine": "1"}})
    ] * 6
    random.Random(4).shuffle(calls)
    async with DSession(connections=2) as session:
        for number, (method, host, options) in enumerate(calls):
            response = await session.request(method, f"{host}/{number}", **options)
            assert response.url == f"{host}/{number}"
    seen = {request.target: request for request in server.requests}
    for number, (method, _, options) in enumerate(calls):
        request, auth = seen[f"/{number}"], options.get("auth")
        expected = auth and "Basic " + b64encode(":".join(auth).encode()).decode()
        assert (request.method, request.header("authorization")) == (method, expected)
        assert request.header("x-mine") == ("1" if "headers" in options else None)


async def test_a_replaced_template_is_used(peer: MakePeer) -> None:
    """After new credentials, only one request is prepared without a template."""
    general = 0

    class Counting(HSession):
        async def _send_general(self, *args: Any) -> Any:
            nonlocal general
            general += 1
            return await super()._send_general(*args)

    server = peer(ANSWERING)
    auth = BasicAuth(("user", "old"))
    async with Counting(server.url, auth=auth) as session:
        for password in ("old", "new"):
            auth.auth_info = ("user", password)
            for _ in range(3):
                await session.get(path="/")
    assert general == 2


async def test_an_auth_object_that_changes(peer: MakePeer) -> None:
    """New credentials of an auth object are sent with the next request."""
    server = peer(ANSWERING)
    auth = BasicAuth(("user", "old"))
    async with HSession(server.url, auth=auth) as session:
        for _ in range(2):
            await session.get(path="/")
        auth.auth_info = ("user", "new")
        for _ in range(2):
            await session.get(path="/")
    sent = [field(request, "authorization") for request in server.requests]
    assert sent[0] == sent[1] != sent[2] == sent[3]


async def test_credentials_stay_at_their_origin(peer: MakePeer) -> None:
    """A session with a base and auth sends none to another origin, first request or later."""
    server, other = peer(ANSWERING), peer(ANSWERING)
    async with HSession(server.url, auth=("user", "password"), cookies={"a": "1"}) as session:
        for _ in range(3):
            await session.get(path="/")
            await session.get(f"{other.url}/x")
    for name in ("authorization", "cookie"):
        assert all(field(request, name) for request in server.requests)
        assert not any(field(request, name) for request in other.requests)


async def test_cookies_that_look_alike(peer: MakePeer) -> None:
    """Each request has its own cookies, however much they are like those of the last one."""
    server = peer(ANSWERING)
    same = {"a": "1"}
    sent: list[dict[str, Any]] = [same, same, {"a": 1}, {"a": True}, {"a": 1.0}, {"b": "1"}]
    sent += [{"a": "1", "b": "2"}, {"b": "2", "a": "1"}, {"a": None}, {}, same]
    async with HSession(server.url) as session:
        await session.get()
        for cookies in sent:
            await session.get(cookies=cookies)
        same["a"] = "2"
        await session.get(cookies=same)
        assert len(session._templates) == 1
    fields = [field(request, "cookie") for request in server.requests]
    texts = ["a=1", "a=1", "a=1", "a=True", "a=1.0", "b=1", "a=1; b=2", "b=2; a=1"]
    assert fields == [None, *texts, None, None, "a=1", "a=2"]


async def test_cookies_of_a_jar(peer: MakePeer) -> None:
    """Cookies that a server sets, changes and deletes are sent accordingly."""
    said = [b"", b"a=1; Path=/", b"a=2; Path=/x", b"", b"a=; Path=/; Max-Age=0", b""]
    replies = [
        b"HTTP/1.1 200 OK\r\n%bContent-Length: 0\r\n\r\n"
        % (b"Set-Cookie: " + cookie + b"\r\n" if cookie else b"")
        for cookie in said
    ]
    server = peer([step for reply in replies for step in (expect(), send(reply))])
    async with HSession(server.url, persist_cookies=True) as session:
        for _ in replies:
            await session.get(path="/x/y")
    sent = [field(request, "cookie") for request in server.requests]
    assert sent == [None, None, "a=1", "a=2; a=1", "a=2; a=1", "a=2"]


async def test_a_limit_of_a_streamed_body(peer: MakePeer) -> None:
    """`max_body` applies to a body that is streamed from a template."""
    server = peer(ANSWERING)
    async with HSession(server.url) as session:
        for _ in range(3):
            with pytest.raises(ResponseTooLarge):
                async with await session.get(path="/", stream=True, max_body=1) as response:
                    await response.body.read()
            assert_no_active_requests(session)


# -- redirects that only change the target


@pytest.mark.parametrize("more", [{}, GENERAL], ids=["template", "general"])
async def test_a_redirect(peer: MakePeer, more: dict[str, Any]) -> None:
    """History, attempts, header fields and credentials are the same with and without a template."""
    server = peer([expect(), send(OK), repeat(expect(), send(ELSEWHERE), expect(), send(OK))])
    async with HSession(server.url, auth=("user", "password")) as session:
        await session.get(path="/first", cookies={"a": "1"}, **more)
        for _ in range(2):
            response = await session.get(path="/x", cookies={"a": "1"}, timeout=60, **more)
            assert response.url == f"{server.url}/there"
            assert response.attempts == 2
            assert [(r.status_code, r.attempts, r.history) for r in response.history] == [
                (302, 1, [])
            ]
            assert response.request.url.target == "/there"
    first = server.requests[1].raw.partition(b" HTTP/1.1")[2]
    assert all(r.raw.partition(b" HTTP/1.1")[2] == first for r in server.requests)


async def test_a_redirect_to_another_origin(peer: MakePeer) -> None:
    """Credentials are not sent to another origin, nor to one with a similar name."""
    other = peer(ANSWERING)
    away = b"HTTP/1.1 302 Found\r\nLocation: %b/there\r\nContent-Length: 0\r\n\r\n"
    server = peer([expect(), send(OK), repeat(expect(), send(away % other.url.encode()))])
    async with DSession(auth=("user", "password")) as session:
        await session.get(f"{server.url}/")
        for _ in range(2):
            assert (await session.get(f"{server.url}/x")).history
    assert len(other.requests) == 2
    assert not any(field(request, "authorization") for request in other.requests)


@pytest.mark.parametrize("more", [{}, GENERAL], ids=["template", "general"])
async def test_too_many_redirects(peer: MakePeer, more: dict[str, Any]) -> None:
    """The error has every response before the last one."""
    server = peer([expect(), send(OK), repeat(expect(), send(ELSEWHERE))])
    async with HSession(server.url, max_redirects=3) as session:
        await session.get(path="/first", **more)
        with pytest.raises(TooManyRedirects, match="max_redirects=3") as caught:
            await session.get(path="/x", **more)
        assert_no_active_requests(session)
    assert [r.status_code for r in caught.value.history] == [302] * 3
    assert len(server.requests) == 5


@pytest.mark.parametrize("more", [{}, GENERAL], ids=["template", "general"])
async def test_an_error_after_a_redirect(peer: MakePeer, more: dict[str, Any]) -> None:
    """An error after a redirect names the second URL and has the first response."""
    breaking_off = [expect(), send(ELSEWHERE), expect(), send(OK[:-1]), close()]
    server = peer([expect(), send(OK), *breaking_off], breaking_off)
    async with HSession(server.url, retries=0) as session:
        await session.get(path="/first", **more)
        with pytest.raises(ServerClosedConnectionError, match="/there: ") as caught:
            await session.get(path="/x", **more)
        assert_no_active_requests(session)
    assert [r.status_code for r in caught.value.history] == [302]


@pytest.mark.parametrize("more", [{}, GENERAL], ids=["template", "general"])
async def test_a_time_limit_after_a_redirect(peer: MakePeer, more: dict[str, Any]) -> None:
    """`timeout` limits the request that follows a redirect."""
    server = peer([expect(), send(OK), expect(), send(ELSEWHERE), expect(), stall()])
    async with HSession(server.url, timeout=0.3) as session:
        await session.get(path="/first", **more)
        with pytest.raises(TotalTimeout, match=r"/there: not done within timeout=0\.3 s"):
            await session.get(path="/x", **more)
        assert_no_active_requests(session)


@pytest.mark.parametrize("more", [{}, GENERAL], ids=["template", "general"])
async def test_events(peer: MakePeer, more: dict[str, Any]) -> None:
    """Events are the same with and without a template, and name the request."""
    server = peer([expect(), send(OK), repeat(expect(), send(ELSEWHERE), expect(), send(OK))])
    seen: list[tuple[str, str]] = []

    def note(event: Any) -> None:
        seen.append((event.name, str(event.request.url).removeprefix(server.url)))

    async with HSession(server.url, on_event=note, timings=True) as session:
        await session.get(path="/first", **more)
        for _ in range(2):
            seen.clear()
            response = await session.get(path="/x", params={"q": 1}, timeout=60, **more)
            assert response.timings is not None
            assert seen == [
                *((name, "/x?q=1") for name in ("connection_acquired", "sent", "head", "body")),
                ("followup", "/x?q=1"),
                *((name, "/there") for name in ("connection_acquired", "sent", "head", "body")),
            ]


@pytest.mark.parametrize("more", [{}, GENERAL], ids=["template", "general"])
async def test_a_redirect_that_is_retried(peer: MakePeer, more: dict[str, Any]) -> None:
    """A retry policy after a redirect repeats the second request, not the first."""
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    script = [expect(), send(ELSEWHERE), expect(), send(busy), repeat(expect(), send(OK))]
    server = peer([expect(), send(OK), *script])
    policy = Retry(attempts=2, backoff=0.0)
    async with HSession(server.url, retries=policy) as session:
        await session.get(path="/first", **more)
        response = await session.get(path="/x", **more)
    assert [r.target for r in server.requests] == ["/first", "/x", "/there", "/there"]
    assert [r.status_code for r in response.history] == [302, 503]
    assert response.attempts == 3


@pytest.mark.parametrize(
    "options",
    [{}, {"stream": True}, {"auth": ("u", "p")}, {"timeout": 60}, {"cookies": {"a": "1"}}],
    ids=["plain", "stream", "auth", "timeout", "cookies"],
)
async def test_cancelled_at_each_wait(peer: MakePeer, options: dict[str, Any]) -> None:
    """After cancellation at any wait of a request and its redirect, nothing stays open."""
    script = [expect(), send(ELSEWHERE), expect(), send(OK)]
    server = peer([repeat(*script)])
    async with HSession(server.url, connections=1) as session:

        async def once() -> Any:
            response = await session.get(path="/x", **options)
            if options.get("stream"):
                await response.body.read()
            return response

        async def after_each() -> None:
            assert_no_active_requests(session)

        await session.get(path="/first", **options)
        places, response = await cancel_at_each_await(once, after_each)
        assert places > 1
        assert response.status_code in (200, 302)
        assert_no_active_requests(session)
