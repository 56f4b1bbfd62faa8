"""Calls that give the header fields or the query of the last call again, the same or changed."""

from __future__ import annotations

from typing import Any

import pytest
from support.script_steps import OK, expect, repeat, send
from support.scripted_server import MakePeer

from asks_fast import HSession
from asks_fast.errors import InvalidHeader

ANSWERING = [repeat(expect(), send(OK))]
LIST: list[str] = ["1"]


Request = tuple[str, list[tuple[str, str]]]


async def send_each(peer: MakePeer, option: str, values: list[Any]) -> list[Request]:
    """Send a request for each value of an option: the target and header fields of each."""
    server = peer(ANSWERING)
    async with HSession(server.url) as session:
        for value in values:
            await session.get(path="/p", **{option: value})
    return [(r.target, [f for f in r.headers if f[0] != "Host"]) for r in server.requests]


async def test_a_dict_changed_in_place(peer: MakePeer) -> None:
    """The fields of one dict are sent as they are at the time of each call."""
    server = peer(ANSWERING)
    headers = {"X-A": "1"}
    params: dict[str, Any] = {"a": 1}
    async with HSession(server.url) as session:
        for number in range(6):
            await session.get(path="/p", headers=headers, params=params)
            if number == 2:
                headers["X-A"], params["a"] = "2", 2
            elif number == 3:
                headers["X-B"], params["b"] = "b", "b"
            elif number == 4:
                del headers["X-A"], params["a"]
    seen = [(r.target, r.header("x-a"), r.header("x-b")) for r in server.requests]
    assert seen == [
        *[("/p?a=1", "1", None)] * 3,
        ("/p?a=2", "2", None),
        ("/p?a=2&b=b", "2", "b"),
        ("/p?b=b", None, "b"),
    ]


async def test_a_value_changed_in_place(peer: MakePeer) -> None:
    """A list in `params` is sent as it is at the time of each call."""
    server = peer(ANSWERING)
    values = ["1"]
    async with HSession(server.url) as session:
        for number in range(4):
            await session.get(path="/p", params={"a": values})
            values.append(str(number))
    targets = [request.target for request in server.requests]
    assert targets == ["/p?a=1", "/p?a=1&a=0", "/p?a=1&a=0&a=1", "/p?a=1&a=0&a=1&a=2"]


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("params", [{"a": 1}, {"a": True}, {"a": 1.0}, {"a": "1"}, {"a": None}, {}] * 2),
        ("params", [{"a": "b", "b": "a"}, {"b": "a", "a": "b"}, {"a": "b"}] * 2),
        ("params", [{"a": "ü &"}] * 3 + [{"a": LIST}] * 3),
        ("headers", [{"X-A": "1", "X-B": "2"}, {"X-B": "1", "X-A": "2"}, {}, {"X-A": "1"}] * 2),
        ("headers", [{"X-A": " 1\t"}, {"X-A": ""}, {"X-A": "ü"}, {"x-a": "\t"}] * 2),
        (
            "headers",
            [{"Accept": "a"}, {"X-A": "1"}, {"Content-Type": "a/b"}, {"Cookie": "a=b"}] * 2,
        ),
    ],
)
async def test_as_without_a_template(
    peer: MakePeer, option: str, values: list[dict[str, Any]]
) -> None:
    """In any order of calls, each request is the one that its options alone would make."""
    expected = {}
    for value in values:
        expected[repr(value)] = await send_each(peer, option, [value])
    sent = await send_each(peer, option, values)
    assert sent == [expected[repr(value)][0] for value in values]


async def test_after_an_invalid_field(peer: MakePeer) -> None:
    """A field that was refused is refused again, and the next valid ones are sent."""
    server = peer(ANSWERING)
    good, bad = {"X-A": "1"}, {"X-A": "1\n", "Content-Type": "a/b"}
    async with HSession(server.url) as session:
        for _ in range(3):
            await session.post(path="/p", headers=good, json=[])
            with pytest.raises(InvalidHeader):
                await session.post(path="/p", headers=bad, json=[])
    assert [request.header("x-a") for request in server.requests] == ["1"] * 3
    assert {request.header("content-type") for request in server.requests} == {"application/json"}


async def test_a_field_beside_a_body_and_cookies(peer: MakePeer) -> None:
    """A repeated Content-Type replaces that of the body; a repeated Cookie joins `cookies=`."""
    server = peer(ANSWERING)
    async with HSession(server.url) as session:
        for _ in range(3):
            await session.post(path="/p", headers={"Content-Type": "a/b"}, json=[])
            await session.post(path="/p", json=[])
            await session.get(path="/p", headers={"Cookie": "a=b"}, cookies={"c": "d"})
            await session.get(path="/p", headers={"X-A": "1"}, cookies={"c": "d"})
    fields = [(r.header("content-type"), r.header("cookie")) for r in server.requests]
    assert (
        fields
        == [
            ("a/b", None),
            ("application/json", None),
            (None, "c=d; a=b"),
            (None, "c=d"),
        ]
        * 3
    )
