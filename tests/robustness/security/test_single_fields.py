"""Fields that may occur only once are sent once, and Host is valid."""

from __future__ import annotations

from typing import Any

import pytest
from support.script_steps import OK, expect, repeat, send
from support.scripted_server import MakePeer

from asks_fast import DSession, HSession, PreResponseAuth
from asks_fast.errors import InvalidHeader
from asks_fast.multipart import MultipartData

SINGLE = [
    "Authorization",
    "Content-Type",
    "Content-Length",
    "Host",
    "If-Modified-Since",
    "Idempotency-Key",
    "Origin",
    "Range",
    "Referer",
    "Transfer-Encoding",
    "User-Agent",
]


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("of_session", [False, True])
async def test_second_value_is_rejected(peer: MakePeer, name: str, of_session: bool) -> None:
    """Twice in a list, two spellings in a dict, two values of one name: nothing is sent."""
    server = peer([])
    ways: list[Any] = [
        [(name, "a"), (name.lower(), "b")],
        [(name, "a"), (name, "a")],
        {name: "a", name.upper(): "b"},
        {name: ["a", "b"]},
        {name.encode(): b"a", name: "b"},
    ]
    for headers in ways:
        async with DSession(headers=headers if of_session else None) as session:
            with pytest.raises(InvalidHeader, match="may occur only once"):
                await session.post(server.url, headers=None if of_session else headers)
    assert server.connections == []


async def test_list_fields_may_repeat(peer: MakePeer) -> None:
    """Fields whose value is a list may be repeated, and a later layer replaces a single one."""
    server = peer([repeat(expect(), send(OK))])
    async with DSession(headers={"Referer": "http://a.test/"}) as session:
        headers = {"Accept": ["a/a", "b/b"], "X-Own": ["1", "2"], "referer": "http://b.test/"}
        await session.get(server.url, headers=headers)
    sent = [(name.lower(), value) for name, value in server.requests[0].headers]
    assert [value for name, value in sent if name == "accept"] == ["a/a", "b/b"]
    assert [value for name, value in sent if name == "x-own"] == ["1", "2"]
    assert [value for name, value in sent if name == "referer"] == ["http://b.test/"]


BAD_HOSTS = ["a.test evil", "a.test/x", "user@a.test", "a.test:80:81", "a.test:port", "[::1", "a?b"]


class HostAuth(PreResponseAuth):
    def __init__(self, host: str) -> None:
        """An auth class that sets a Host."""
        self.host = host

    async def __call__(self, request: Any) -> dict[str, str]:
        return {"Host": self.host}


@pytest.mark.parametrize("host", BAD_HOSTS)
async def test_invalid_host_headers(peer: MakePeer, host: str) -> None:
    """A Host field holds a host and maybe a port (RFC 9112 §3.2), whatever its source."""
    server = peer([])
    given: list[Any] = [{"headers": {"hOST": host}}, {"headers": {"Host": host.encode()}}]
    async with DSession() as session:
        for one in [*given, {"auth": HostAuth(host)}]:
            with pytest.raises(InvalidHeader, match="is not a Host"):
                await session.get(server.url, **one)
    assert server.connections == []


@pytest.mark.parametrize("host", ["b.test", "b.test:8080", "[::1]:80", "xn--bcher-kva.test", ""])
async def test_user_host_header(peer: MakePeer, host: str) -> None:
    """A valid Host field of the caller replaces that of the URL."""
    server = peer([expect(), send(OK)])
    async with HSession(server.url) as session:
        await session.get(headers={"host": host})
    assert [v for name, v in server.requests[0].headers if name.lower() == "host"] == [host]


async def test_cookies_are_sent_in_one_field(peer: MakePeer) -> None:
    """Several `Cookie` fields, and `cookies=` beside one, are sent as one field."""
    server = peer([repeat(expect(), send(OK))])
    cases: list[tuple[dict[str, Any], str]] = [
        ({"headers": [("Cookie", "a=1"), ("cookie", "b=2")]}, "a=1; b=2"),
        ({"headers": {"Cookie": ["a=1", b"b=2"]}}, "a=1; b=2"),
        ({"headers": {"Cookie": "a=1"}, "cookies": {"b": "2"}}, "b=2; a=1"),
        ({"headers": {"cookie": b"a=1;b=0; c=3"}, "cookies": {"b": "2"}}, "b=2; a=1; c=3"),
        ({"headers": {"Cookie": None}, "cookies": {"b": "2"}}, "b=2"),
        ({"headers": {"Cookie": "a=1"}, "cookies": {}}, "a=1"),
    ]
    for tracker in (None, True):
        async with DSession(persist_cookies=tracker) as session:
            for given, _ in cases:
                await session.get(server.url, **given)
        async with DSession(headers={"Cookie": "a=1"}, cookies={"b": "2"}) as session:
            await session.get(server.url)
    sent = [[v for n, v in q.headers if n.lower() == "cookie"] for q in server.requests]
    assert sent == [*([text] for _, text in cases), ["b=2; a=1"]] * 2


async def test_headers_of_a_multipart_part(peer: MakePeer) -> None:
    """A field of a form part cannot be given twice either."""
    part = MultipartData(b"x", headers={"Content-Type": "a/a", "content-type": "b/b"})
    async with DSession() as session:
        with pytest.raises(InvalidHeader, match="twice"):
            await session.post("http://127.0.0.1:1/", multipart={"f": part})
