"""No argument of the public API can inject a line into a request.

Illegal input is rejected before anything is sent, or escaped. Both leave exactly one request with
the requested fields. Each argument is tested with a real server, and all together with generated
text whose bytes h11 parses.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.script_steps import OK, expect, repeat, send
from support.scripted_server import Peer

from asks_fast import DSession, HSession, MultipartData, PreResponseAuth, Proxy
from asks_fast._client.default_headers import default_headers
from asks_fast._config.options import RequestOptions
from asks_fast._request.headers import HeadersBuilder
from asks_fast._request.prepared_request import prepare
from asks_fast.errors import InvalidRequest
from asks_fast.urls import parse_url

# What ends a line, a field or a string somewhere; the last is CR LF if high bits are dropped.
BREAKS = ["\r\n", "\n", "\r", "\0", "\r\n\r\nGET /x HTTP/1.1\r\n", "\u010d\u010a"]
INJECTED = "X-Injected: 1"


class Saying(PreResponseAuth):
    """A custom auth class that returns invalid values."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields

    async def __call__(self, request: Any) -> dict[str, str]:
        return self.fields


DOORS: dict[str, Callable[[str], dict[str, Any]]] = {
    "method": lambda bad: {"method": f"GET / HTTP/1.1{bad}{INJECTED}{bad}X: "},
    "path": lambda bad: {"path": f"/a{bad}{INJECTED}"},
    "params": lambda bad: {"params": {f"a{bad}{INJECTED}": f"b{bad}{INJECTED}"}},
    "params as text": lambda bad: {"params": f"a=b{bad}{INJECTED}"},
    "field name": lambda bad: {"headers": {f"X{bad}{INJECTED}": "1"}},
    "field value": lambda bad: {"headers": {"X-A": f"1{bad}{INJECTED}"}},
    "field of bytes": lambda bad: {"headers": [(b"X-A", f"1{bad}{INJECTED}".encode())]},
    "Host": lambda bad: {"headers": {"Host": f"h{bad}{INJECTED}"}},
    "Connection": lambda bad: {"headers": {"Connection": f"close{bad}{INJECTED}"}},
    "cookie name": lambda bad: {"cookies": {f"a{bad}{INJECTED}": "1"}},
    "cookie value": lambda bad: {"cookies": {"a": f"1{bad}{INJECTED}"}},
    "auth class": lambda bad: {"auth": Saying({"X-Key": f"1{bad}{INJECTED}"})},
    "auth field": lambda bad: {"auth": Saying({f"X{bad}{INJECTED}": "1"})},
    "mimetype": lambda bad: {"data": b"x", "mimetype": f"text/plain{bad}{INJECTED}"},
}


@pytest.mark.parametrize("bad", BREAKS, ids=ascii)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())
async def test_injection_by_each_argument(
    peer: Callable[..., Peer], door: Callable[[str], dict[str, Any]], bad: str
) -> None:
    """The argument raises before a connection is made, or one correct request is sent."""
    server = peer([repeat(expect(), send(OK))])
    options = door(bad)
    method = options.pop("method", "POST")
    async with HSession(server.url, connections=2) as session:
        try:
            await session.request(method, **options)
        except InvalidRequest:
            assert server.connections == []
        await session.get(path="/end")
    last = server.requests[-1]
    assert last.target == "/end"
    assert len(server.requests) <= 2
    for request in server.requests:
        assert "x-injected" not in [name.lower() for name, _ in request.headers]
        assert request.target.isascii()


@pytest.mark.parametrize("bad", BREAKS, ids=ascii)
async def test_urls(peer: Callable[..., Peer], bad: str) -> None:
    """In host, port, path, query and fragment of a URL (CVE-2019-9740, CVE-2023-29406)."""
    server = peer([repeat(expect(), send(OK))])
    async with DSession() as session:
        for url in (
            f"http://127.0.0.1{bad}{INJECTED}:{server.port}/",
            f"http://127.0.0.1:{server.port}{bad}{INJECTED}/",
            f"{server.url}/{bad}{INJECTED}",
            f"{server.url}/?a={bad}{INJECTED}",
            f"{server.url}/#{bad}{INJECTED}",
            f"{server.url}{bad}",
        ):
            for normalize in (True, False):
                try:
                    await session.get(url, normalize_url=normalize)
                except InvalidRequest:
                    continue
    for request in server.requests:
        assert "x-injected" not in [name.lower() for name, _ in request.headers]
        assert request.header("host") == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("bad", ["%0d%0a", "%0a", "%00", "%0D%0AX-Injected:%201", "%7f"])
async def test_userinfo(peer: Callable[..., Peer], bad: str) -> None:
    """Escapes in user and password that decode to control bytes (CVE-2020-11078)."""
    server = peer([repeat(expect(), send(OK))])
    async with DSession() as session:
        with pytest.raises(InvalidRequest):
            await session.get(server.url.replace("//", f"//user:pass{bad}@"))
        with pytest.raises(InvalidRequest):
            await session.get(server.url, proxy=f"http://user:pass{bad}@127.0.0.1:{server.port}")
    assert server.connections == []


@pytest.mark.parametrize("bad", BREAKS[:-1], ids=ascii)
def test_proxy_headers(bad: str) -> None:
    """Fields for a proxy follow the same rules, checked when the proxy is configured."""
    for headers in ({"X-A": f"1{bad}{INJECTED}"}, {f"X{bad}": "1"}):
        with pytest.raises(InvalidRequest):
            Proxy.from_url("http://proxy.test:1", headers=headers)
    with pytest.raises(InvalidRequest):
        Proxy.from_url(f"http://proxy.test{bad}:1")


@pytest.mark.parametrize("bad", [*BREAKS[:-1], '"', '"; filename="evil'], ids=ascii)
async def test_multipart(peer: Callable[..., Peer], bad: str) -> None:
    """Names, file names, types and fields of parts cannot end their line (CVE-2026-34514)."""
    server = peer([repeat(expect(), send(OK))])
    name = f"n{bad}{INJECTED}"
    parts = [
        {name: "text"},
        {"a": MultipartData(b"x", basename=name)},
        {"a": MultipartData(b"x", mime_type=f"text/plain{bad}{INJECTED}")},
        {"a": MultipartData(b"x", headers={"X-P": f"1{bad}{INJECTED}"})},
        {"a": MultipartData(b"x", headers={f"X{bad}{INJECTED}": "1"})},
    ]
    async with DSession() as session:
        for part in parts:
            try:
                await session.post(server.url, multipart=part)
            except InvalidRequest:
                continue
    for request in server.requests:
        head = request.body.partition(b"\r\n\r\n")[0]
        lines = head.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[1:]
        assert [line.partition(b":")[0].lower() for line in lines] in (
            [b"content-disposition"],
            [b"content-disposition", b"content-type"],
            [b"content-disposition", b"content-type", b"x-p"],
        )
        assert b"\0" not in head
        assert lines[0].count(b'"') == (4 if b'; filename="' in lines[0] else 2)


PIECES = [
    "/",
    "//",
    "a",
    "..",
    ".",
    "%2e",
    "?",
    "=",
    "&",
    "#",
    " ",
    "é",
    "\\",
    ":80",
    "@",
    "'",
    "~",
]


@pytest.mark.parametrize("base", ["", "/", "/api", "/api/"])
async def test_fast_and_general_path_send_the_same(peer: Callable[..., Peer], base: str) -> None:
    """A request from a template has the bytes of one made without it."""
    rng = random.Random(base)
    server, other = peer([repeat(expect(), send(OK))]), peer([repeat(expect(), send(OK))])
    async with HSession(server.url + base) as session, DSession() as free:
        for _ in range(120):
            path = "".join(rng.choices(PIECES, k=rng.randint(0, 5)))
            await session.get()  # so that there is a plan
            await free.get(other.url)
            counts = [len(server.requests), len(other.requests)]
            refused = []
            for given in ({}, {"headers": {}}):
                for ask in (
                    session.get(path=path, **given),
                    free.get(f"{other.url}/{path}", **given),
                ):
                    try:
                        await ask
                    except InvalidRequest as error:
                        refused.append(str(error))
            sent = server.requests[counts[0] :], other.requests[counts[1] :]
            assert len(refused) + len(sent[0]) + len(sent[1]) == 4
            for requests in sent:
                assert len({request.raw for request in requests}) <= 1, (path, requests)


TEXT = st.text(
    st.one_of(st.sampled_from("\r\n\0\x0b\x85\u2028\u010a\u010d:; \t%/?#@\\\"'"), st.characters()),
    max_size=20,
)


@given(method=TEXT, path=TEXT, name=TEXT, value=TEXT, host=TEXT, params=TEXT, where=st.booleans())
def test_any_text_in_each_argument(
    method: str, path: str, name: str, value: str, host: str, params: str, where: bool
) -> None:
    """Any text raises, or gives one request that h11 reads as intended."""
    headers = {name: value} if where else {"X-A": value, "Host": host}
    options = RequestOptions({"headers": headers, "params": params or None})
    try:
        url = parse_url(f"http://h.test/{path}")
        head = prepare(method, url, HeadersBuilder(default_headers()), options, "utf-8").head()
    except InvalidRequest:
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(head)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert request.method == method.upper().encode()
    assert all(0x20 < byte < 0x7F for byte in request.target)
    known = {"host", "user-agent", "accept", "accept-encoding", "connection", "content-length"}
    given_names = {given_name.lower() for given_name in headers}
    assert {field.decode() for field, _ in request.headers} <= known | given_names
    rest = server.trailing_data[0]
    assert rest == b""


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "5", "content-length": "6"},
        {"Content-Length": "+1"},
        {"Content-Length": "1_0"},
        {"Content-Length": "-1"},
        {"Transfer-Encoding": "chunked"},
        {"Transfer-Encoding": "gzip, chunked"},
        {"Transfer-Encoding": "chunked", "Content-Length": "1"},
    ],
)
async def test_user_framing_headers(peer: Callable[..., Peer], headers: dict[str, str]) -> None:
    """A length or coding that differs from what is sent raises (CVE-2026-1525)."""
    server = peer([repeat(expect(), send(OK))])
    async with DSession() as session:
        for body in (b"x", None):
            with pytest.raises((InvalidRequest, ValueError)):
                await session.post(server.url, data=body, headers=headers)
    assert server.connections == []


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD", "OPTIONS", "POST", "PUT", "X-OWN"])
@pytest.mark.parametrize("data", [None, b"", b"x", [b"one", b"two"]], ids=repr)
async def test_body_is_always_framed(peer: Callable[..., Peer], method: str, data: Any) -> None:
    """Each body has exactly one correct framing field, also with GET (CVE-2020-35863)."""
    answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    server = peer([repeat(expect(), send(answer))])
    async with DSession() as session:
        await session.request(method, server.url, data=data)
        await session.request(method, server.url + "/end")
    first = server.requests[0]
    framing = [name for name, _ in first.headers if name.lower().startswith(("content-l", "tra"))]
    assert len(framing) <= 1
    assert len(framing) == 1 or not first.body
    assert first.body == (b"".join(data) if isinstance(data, list) else data or b"")
    assert [request.target for request in server.requests] == ["/", "/end"]
