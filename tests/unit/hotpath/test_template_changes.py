"""What a session sends after one of its attributes was changed, when templates were in use."""

from __future__ import annotations

import ssl

import pytest
from support.script_steps import OK, expect, send
from support.scripted_server import MakePeer

from asks_fast import BasicAuth, HSession
from asks_fast.errors import AsksException

OFTEN = [step for _ in range(4) for step in (expect(), send(OK))]


async def get_often(session: HSession) -> None:
    """Send requests of one kind: the later ones are made from the template that was used last."""
    for _ in range(3):
        assert (await session.get(path="/x")).status_code == 200


async def test_endpoint(peer: MakePeer) -> None:
    """A new endpoint applies from the next request on."""
    server = peer([*OFTEN, *OFTEN])
    async with HSession(server.url, endpoint="/v1") as session:
        await get_often(session)
        session.endpoint = "/v2"
        await get_often(session)
    assert [request.target for request in server.requests] == ["/v1/x"] * 3 + ["/v2/x"] * 3


async def test_host(peer: MakePeer) -> None:
    """After the host was changed, nothing is sent to the earlier one."""
    first, second = peer([*OFTEN]), peer([*OFTEN])
    async with HSession(first.url, headers={"X-Key": "1"}) as session:
        await get_often(session)
        session.host = second.url
        await get_often(session)
    assert len(first.requests) == 3
    assert len(second.requests) == 3


async def test_headers(peer: MakePeer) -> None:
    """Header fields that were changed or assigned are sent from the next request on."""
    server = peer([*OFTEN, *OFTEN, *OFTEN])
    async with HSession(server.url) as session:
        await get_often(session)
        session.headers["X-A"] = "1"
        await get_often(session)
        session.headers = {"X-A": "2"}
        await get_often(session)
    assert [request.header("X-A") for request in server.requests] == [
        *[None] * 3,
        *["1"] * 3,
        *["2"] * 3,
    ]


async def test_encoding(peer: MakePeer) -> None:
    """A new encoding applies to the text of the next response."""
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xe4"
    server = peer([step for _ in range(4) for step in (expect(), send(text))])
    async with HSession(server.url) as session:
        await get_often(session)
        session.encoding = "latin-1"
        assert (await session.get(path="/x")).text == "ä"


async def test_ssl_context(tls_peer: MakePeer, client_context: ssl.SSLContext) -> None:
    """A connection that one TLS context accepted is not used after another one was assigned."""
    server = tls_peer(OFTEN, [])
    async with HSession(server.url, ssl_context=client_context) as session:
        await get_often(session)
        session.ssl_context = ssl.create_default_context()
        with pytest.raises(AsksException, match="certificate"):
            await session.get(path="/x")


async def test_credentials(peer: MakePeer) -> None:
    """Changed credentials are sent at once, and later requests are made from a template again."""
    server = peer([*OFTEN, *OFTEN])
    auth = BasicAuth(("user", "old"))
    async with HSession(server.url, auth=auth) as session:
        await get_often(session)
        vars(auth).update(vars(BasicAuth(("user", "new"))))
        await get_often(session)
        (template,) = session._templates.values()
        await session.get(path="/x")
        assert session._templates == {("GET", ""): template}
    old, new = (
        BasicAuth(("user", password)).initial_headers()["Authorization"]
        for password in ("old", "new")
    )
    sent = [request.header("Authorization") for request in server.requests]
    assert sent == [old] * 3 + [new] * 4
