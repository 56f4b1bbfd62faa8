"""Redirects step by step: `response.next_request`."""

from __future__ import annotations

import pytest
from support.script_steps import OK, expect, send

from asks_fast import BasicAuth, HSession, Session
from asks_fast.errors import InvalidURL, UnreplayableBody


def redirect(status: int, location: str) -> bytes:
    return b"HTTP/1.1 %d x\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (
        status,
        location.encode(),
    )


@pytest.mark.parametrize("is_default", [True, False], ids=["session", "call"])
async def test_step_by_step(peer, is_default):
    """Each step is one request, until a response that is not a redirect."""
    server = peer([expect(), send(OK),
                   expect("GET", "/a"), send(redirect(302, "b?c=d")),
                   expect("GET", "/b?c=d"), send(redirect(301, "/e")),
                   expect(), send(OK)])  # fmt: skip
    session_options = {"follow_redirects": False} if is_default else {}
    call_options = {} if is_default else {"follow_redirects": False}
    async with HSession(server.url, **session_options) as session:
        assert (await session.get(path="/")).next_request is None
        response = await session.get(path="/a", headers={"X-A": "b"}, **call_options)
        seen = []
        while response.next_request is not None:
            seen.append(response.status_code)
            response = await session.send(response.next_request)
    assert seen == [302, 301]
    assert response.url == f"{server.url}/e"
    assert [request.header("x-a") for request in server.requests] == [None, "b", "b", "b"]


async def test_method_and_body(peer):
    """307 keeps the body, 303 drops it."""
    server = peer([expect("POST"), send(redirect(307, "/b")), expect("POST"),
                   send(redirect(303, "/c")), expect("GET"), send(OK)])  # fmt: skip
    async with HSession(server.url) as session:
        response = await session.post(data=b"abc", follow_redirects=False)
        response = await session.send(response.next_request)
        response = await session.send(response.next_request)
    assert [request.body for request in server.requests] == [b"abc", b"abc", b""]
    assert server.requests[2].header("content-type") is None


async def test_credentials_stay(peer):
    """Auth, cookies of the call and sensitive fields do not go to another origin."""
    other = peer([expect(), send(OK)])
    server = peer([expect(), send(redirect(302, "/same")), expect(),
                   send(redirect(302, other.url + "/x"))])  # fmt: skip
    async with Session(server.url, connections=2) as session:
        response = await session.get(
            path="/",
            auth=BasicAuth(("u", "p")),
            cookies={"a": "b"},
            headers={"X-Api-Key": "c"},
            follow_redirects=False,
        )
        response = await session.send(response.next_request)
        response = await session.send(response.next_request)
    for name in ("authorization", "cookie", "x-api-key"):
        assert server.requests[1].header(name) is not None
        assert other.requests[0].header(name) is None


async def test_redirects_that_cannot_be_followed(peer):
    """An invalid Location and a body that cannot be replayed raise in `next_request`."""
    server = peer([expect(), send(redirect(302, "ftp://a/")), expect(), send(redirect(307, "/"))])
    async with HSession(server.url) as session:
        response = await session.get(path="/a", follow_redirects=False)
        with pytest.raises(InvalidURL):
            assert response.next_request
        response = await session.post(data=iter([b"a"]), follow_redirects=False)
        with pytest.raises(UnreplayableBody):
            assert response.next_request
