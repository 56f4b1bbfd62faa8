"""Relative and absolute URLs in a session with a base."""

from __future__ import annotations

from typing import Any

import pytest
from support.script_steps import OK, expect, repeat, send
from support.scripted_server import MakePeer

from asks_fast import DSession, HSession, Session
from asks_fast.errors import InvalidURL


@pytest.mark.parametrize("kind", [HSession, Session])
@pytest.mark.parametrize("endpoint", ["", "/api"])
async def test_relative_url_is_a_path(peer: MakePeer, kind: Any, endpoint: str) -> None:
    """A session with a base takes a relative reference as it takes `path=`, in `map` as well."""
    server = peer([repeat(expect(), send(OK))])
    references = ["/x", "x", "x?q=1", "/a:b", "?q=2", "/x#part", "/ü", "/u?to=http://h/", "/x"]
    async with kind(server.url, endpoint, headers={"X-Key": "k"}) as session:
        for reference in references:
            await session.get(path=reference)
        by_path = [request.raw for request in server.requests]
        for send_them in (session.get, lambda url: session.prepare("GET", url)):
            for reference in references:
                outcome = send_them(reference)
                await (session.send(outcome) if hasattr(outcome, "url") else outcome)
        await session.gather(references, concurrency=1)
        await session.gather(({"url": one} for one in references), concurrency=1)
    assert [request.raw for request in server.requests] == by_path * 5


async def test_absolute_url_is_not_a_path(peer: MakePeer) -> None:
    """An absolute URL in `path=` raises an error that names `url=`, also after other requests."""
    server = peer([repeat(expect(), send(OK))])
    async with HSession(server.url) as session:
        for _ in range(2):
            for path in ("http://other.test/x", "HTTPS://other.test/", "ftp://other.test/"):
                with pytest.raises(InvalidURL, match=r"give it as url="):
                    await session.get(path=path)
            await session.get(path="/x")
        with pytest.raises(InvalidURL, match=r"'/x' and path='/y' exclude each other"):
            await session.get("/x", path="/y")
        with pytest.raises(InvalidURL, match=r"must begin with http:"):
            await session.get("mailto:x@y.test")
    assert [request.target for request in server.requests] == ["/x", "/x"]
    async with DSession() as session:
        with pytest.raises(InvalidURL, match=r"must begin with http:"):
            await session.get("/x")
