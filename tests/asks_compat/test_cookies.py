"""Cookies in sessions: stored from each response, and sent with matching requests only."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from support.script_steps import FOREVER, expect, repeat, send
from support.scripted_server import MakePeer, Peer
from support.servers import Server

import asks_fast
from asks_fast import Cookie, CookieTracker, DSession, HSession


def setting(*cookies: bytes, status: bytes = b"200 OK", more: bytes = b"") -> Any:
    """Send a response that sets these cookies."""
    lines = b"".join(b"Set-Cookie: " + cookie + b"\r\n" for cookie in cookies)
    return send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n" + lines + more + b"\r\n")


def sent(server: Peer) -> list[str | None]:
    return [request.header("cookie") for request in server.requests]


async def test_off_by_default(app_server: Server) -> None:
    """Without `persist_cookies` nothing is stored, and each response shows its cookies."""
    async with HSession(app_server.url) as session:
        response = await session.get(path="/cookies/set?a=1")
        assert response.json() == {"cookies": {}}
        assert response.history[0].cookies[0].value == "1"
        assert session.cookie_tracker_obj is session._cookie_tracker is None


async def test_cookies_of_each_hop_are_stored(app_server: Server) -> None:
    """Cookies of a redirect are sent with the next request of the chain and with later ones."""
    async with HSession(app_server.url, persist_cookies=True) as session:
        response = await session.get(path="/cookies/set?a=1&b=2")
        assert response.json() == {"cookies": {"a": "1", "b": "2"}}
        assert (await session.get(path="/cookies")).json() == {"cookies": {"a": "1", "b": "2"}}
        assert (await session.get(path="/cookies/delete?a=")).json() == {"cookies": {"b": "2"}}
        tracker = session.cookie_tracker_obj
        assert tracker is session._cookie_tracker
        assert {host: [c.name for c in kept] for host, kept in tracker.domain_dict.items()} == {
            "127.0.0.1": ["b"]
        }


async def test_paths_order_and_replacement(peer: MakePeer) -> None:
    """The longest path is sent first; the same name under two paths is two cookies."""
    server = peer(
        [
            expect(),
            setting(b"a=root; Path=/", b"a=deep; Path=/deep", b"b=1; Path=/", b"b=2; Path=/"),
            FOREVER,
        ]
    )
    async with HSession(server.url, persist_cookies=True) as session:
        for path in ("/", "/", "/deep/x", "/deeper"):
            await session.get(path=path)
    assert sent(server) == [None, "a=root; b=2", "a=deep; a=root; b=2", "a=root; b=2"]


async def test_byte_for_byte(peer: MakePeer) -> None:
    """A value that is not UTF-8 is sent back unchanged."""
    server = peer([expect(), setting(b"a=\xfc\xff; Path=/", b"b=\xc3\xbc"), FOREVER])
    async with HSession(server.url, persist_cookies=True) as session:
        await session.get()
        await session.get()
    assert b"\r\nCookie: a=\xfc\xff; b=\xc3\xbc\r\n" in server.requests[1].raw


async def test_cookies_of_a_call_and_stored_ones(peer: MakePeer) -> None:
    """`cookies=` are sent together with stored ones and replace those of the same name."""
    server = peer([expect(), setting(b"a=kept; Path=/", b"b=kept; Path=/"), FOREVER])
    async with HSession(server.url, persist_cookies=True) as session:
        await session.get()
        await session.get(cookies={"b": "call", "c": "call"})
        await session.get(headers={"Cookie": "by=hand"})
        await session.get(persist_cookies=CookieTracker())
    pairs = [set((line or "").split("; ")) for line in sent(server)]
    assert pairs[1] == {"a=kept", "b=call", "c=call"}
    assert pairs[2] == {"by=hand"}
    assert pairs[3] == {""}


async def test_cookie_name_with_a_space(peer: MakePeer) -> None:
    """A cookie name with a space is stored and sent, from a server and from the program."""
    server = peer([expect(), setting(b"Cookie Monster=Yum; Path=/"), FOREVER])
    async with HSession(server.url, persist_cookies=True) as session:
        await session.get()
        await session.get()
    await asks_fast.get(server.url, cookies={"Cookie Monster": "Yum"})
    assert sent(server) == [None, "Cookie Monster=Yum", "Cookie Monster=Yum"]


async def test_secure_cookies(
    peer: MakePeer, tls_peer: MakePeer, client_context: ssl.SSLContext
) -> None:
    """A secure cookie is sent over https only, and cannot be set over http."""
    server = tls_peer([expect(), setting(b"s=1; Secure; Path=/", b"p=1; Path=/"), FOREVER])
    plain = peer([expect(), setting(b"t=1; Secure; Path=/"), FOREVER])
    async with DSession(persist_cookies=True, ssl_context=client_context) as session:
        for url in (server.url, server.url, plain.url, plain.url):
            await session.get(url)
    assert sent(server) == [None, "s=1; p=1"]
    assert sent(plain) == ["p=1", "p=1"]


async def test_cookies_of_other_hosts(peer: MakePeer) -> None:
    """A cookie is sent to its host only, or with `Domain` to its subdomains."""
    server = peer(
        [
            expect(),
            setting(b"own=1", b"wide=1; Domain=example.test", b"evil=1; Domain=other.test"),
            FOREVER,
        ]
    )
    hosts = dict.fromkeys(("www.example.test", "example.test", "other.test"), "127.0.0.1")
    async with DSession(persist_cookies=True, hosts=hosts, connections=1) as session:
        for host in ("www.example.test", "www.example.test", "example.test", "other.test"):
            await session.get(f"http://{host}:{server.port}/")
    # each host has a connection of its own, so the requests are told apart by their Host
    seen = {(r.header("host") or "").partition(":")[0]: r.header("cookie") for r in server.requests}
    assert seen["other.test"] is None


async def test_tracker_shared_by_sessions(app_server: Server, tmp_path: Path) -> None:
    """A tracker can be shared by sessions, filled by hand, saved and loaded."""
    tracker = CookieTracker()
    tracker.set("mine", "1", domain="127.0.0.1")
    async with HSession(app_server.url, persist_cookies=tracker) as session:
        assert (await session.get(path="/cookies")).json() == {"cookies": {"mine": "1"}}
    response = await asks_fast.get(f"{app_server.url}/cookies", persist_cookies=tracker)
    assert response.json() == {"cookies": {"mine": "1"}}
    for name in ("cookies.txt", "cookies.json"):
        tracker.save(tmp_path / name)
        again = CookieTracker()
        again.load(tmp_path / name)
        response = await asks_fast.get(f"{app_server.url}/cookies", persist_cookies=again)
        assert response.json() == {"cookies": {"mine": "1"}}


async def test_asks_cookie_class(peer: MakePeer) -> None:
    """A `Cookie` has the attributes of asks and those that were sent, and iterates as pairs."""
    line = b"n=v; Domain=.example.test; Path=/p; Secure; HttpOnly; Max-Age=60; SameSite=Lax"
    server = peer([repeat(expect(), setting(line))])
    cookie = (await asks_fast.get(server.url)).cookies[0]
    assert isinstance(cookie, Cookie)
    pairs = dict(cookie)
    assert list(pairs)[:2] == ["name", "value"]
    assert pairs == {
        "name": "n",
        "value": "v",
        "domain": "example.test",
        "path": "/p",
        "secure": True,
        "expires": None,
        "comment": None,
        "httponly": True,
        "max-age": "60",
        "samesite": "Lax",
        "host": "127.0.0.1",
    }
    assert repr(cookie) == "<Cookie n from 127.0.0.1>"
    assert repr(Cookie("h", {"name": "a", "value": "b"})) == "<Cookie a from h>"
