"""Middleware: functions around each exchange, on sessions, calls, `map` and every kernel."""

from __future__ import annotations

import time
from typing import Any

import curio
import pytest
from support.cancel_at_each_await import cancel_at_each_await
from support.leaks import assert_no_active_requests
from support.script_steps import OK, close, expect, repeat, send, stall
from support.scripted_server import MakePeer

import asks_fast
from asks_fast import (
    BasicAuth,
    CallNext,
    DigestAuth,
    DSession,
    HSession,
    PreparedRequest,
    Response,
    Retry,
    StreamResponse,
)
from asks_fast.errors import (
    InvalidHeader,
    InvalidRequest,
    InvalidURL,
    ResponseTooLarge,
    ServerClosedConnectionError,
    TotalTimeout,
    UnreplayableBody,
)

ANSWERING = [repeat(expect(), send(OK))]
UNAVAILABLE = b"HTTP/1.1 503 x\r\nContent-Length: 4\r\n\r\nbusy"


def redirect(location: str, fields: str = "") -> bytes:
    return f"HTTP/1.1 302 x\r\nLocation: {location}\r\n{fields}Content-Length: 0\r\n\r\n".encode()


class Recorder:
    """A middleware that notes what it saw under its name."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen

    async def __call__(self, request: PreparedRequest, call_next: CallNext) -> Any:
        self.seen.append(f"{self.name} {request.url.target}")
        request.headers["X-Order"] = request.headers.get("x-order", "") + self.name
        response = await call_next(request)
        self.seen.append(f"{self.name} {response.status_code}")
        return response


async def test_order(peer: MakePeer) -> None:
    """The first middleware is the outermost one; a call's list replaces that of the session."""
    server = peer(ANSWERING)
    seen: list[str] = []
    a, b, c = (Recorder(name, seen) for name in "abc")
    async with HSession(server.url, middleware=[a, b]) as session:
        await session.get(path="/1")
        await session.get(path="/2", middleware=[c])
        await session.get(path="/3", middleware=[])
        assert not session._templates or all("b" not in repr(key) for key in session._templates)
    assert seen == ["a /1", "b /1", "b 200", "a 200", "c /2", "c 200"]
    assert [request.header("x-order") for request in server.requests] == ["ab", "c", None]


async def test_one_shot_calls_and_map(peer: MakePeer) -> None:
    """Functions without a session take middleware, and `map` and `gather` use that of a session."""
    server = peer(*[ANSWERING] * 3)
    seen: list[str] = []
    recorder = Recorder("a", seen)
    response = await asks_fast.post(server.url + "/x", json={}, middleware=[recorder])
    assert response.request.headers["x-order"] == "a"
    async with HSession(server.url, middleware=[recorder], connections=2) as session:
        results = [result async for result in session.map(["/1", "/2", "/3"])]
        results += await session.gather(["/4", {"path": "/5", "middleware": ()}])
    assert [result.response.status_code for result in results] == [200] * 5
    assert len(seen) == 10
    assert [r.header("x-order") for r in server.requests].count("a") == 5


async def test_request_can_be_changed(peer: MakePeer) -> None:
    """Method, URL, fields and body of the request that is sent are those that were assigned."""
    server = peer(ANSWERING)

    async def change(request: PreparedRequest, call_next: CallNext) -> Any:
        request.method = "PUT"
        request.url = f"{server.url}/other?q=1"
        request.headers["X-List"] = ["a", "b"]  # type: ignore[assignment]
        request.headers["user-agent"] = "own"
        del request.headers["accept"]
        request.body = b"new body"
        assert request.content == b"new body"
        return await call_next(request)

    async with HSession(server.url, middleware=[change]) as session:
        response = await session.post(path="/first", data=b"old")
        assert session.headers.get("user-agent") is None
        await session.get(path="/plain", middleware=())
    sent, plain = server.requests
    assert (sent.method, sent.target, sent.body) == ("PUT", "/other?q=1", b"new body")
    assert sent.header("content-length") == "8"
    assert [value for name, value in sent.headers if name == "X-List"] == ["a", "b"]
    assert (sent.header("user-agent"), sent.header("accept")) == ("own", None)
    assert plain.header("user-agent") != "own"
    assert response.url == f"{server.url}/other?q=1"
    assert response.method == "PUT"
    assert response.request.headers["USER-AGENT"] == "own"


async def test_headers_of_a_request() -> None:
    """A mapping without regard to case, with Host and credentials, that checks what it is given."""
    async with HSession("http://h:8000") as session:
        request = session.prepare("POST", path="/", data=b"x", headers={"X-A": ["1", "2"]})
    headers = request.headers
    assert headers["HOST"] == "h:8000"
    assert headers.getlist("x-a") == ["1", "2"]
    assert (headers["x-a"], headers.get("x-b")) == ("2", None)
    assert "x-A" in headers
    assert "x-b" not in headers
    assert len(headers) == len(list(headers)) == len(dict(headers))
    headers["cookie"] = "a=b"
    del headers["X-a"]
    assert "X-A" not in headers
    assert repr(headers).endswith("cookie>")
    with pytest.raises(KeyError):
        del headers["x-a"]
    for name in ("Content-Length", "transfer-encoding", "Proxy-Authorization"):
        with pytest.raises(InvalidRequest, match=name):
            headers[name] = "5"
    with pytest.raises(InvalidHeader, match="not a Host"):
        headers["Host"] = "a b"
    with pytest.raises(InvalidHeader):
        request.method = "G ET"
    with pytest.raises(InvalidURL):
        request.url = "/relative"


async def test_own_answer() -> None:
    """A middleware that does not call `call_next` answers without a connection."""

    async def answer(request: PreparedRequest, call_next: CallNext) -> Response:
        return Response(status_code=404, headers={"X-A": "b"}, body=b"none")

    async with HSession("http://localhost:1", middleware=[answer]) as session:
        response = await session.get(path="/x")
        assert (response.status_code, response.text, response.headers["x-a"]) == (404, "none", "b")
        assert (response.url, response.method) == ("http://localhost:1/x", "GET")
        assert response.request.url.target == "/x"
        streamed = await session.get(path="/y", stream=True)
        assert isinstance(streamed, StreamResponse)
        assert await streamed.body.read() == b"none"
        assert session.pool_stats()["created"] == 0


async def test_retry_in_middleware(peer: MakePeer) -> None:
    """`call_next` can be called again; each call is an exchange over a free connection."""
    server = peer([expect(), send(UNAVAILABLE), expect(), send(OK)])

    async def again(request: PreparedRequest, call_next: CallNext) -> Any:
        response = await call_next(request)
        if response.status_code == 503:
            assert isinstance(response, Response)
            assert response.content == b"busy"
            request.headers["X-Try"] = "2"
            response = await call_next(request)
        return response

    async with HSession(server.url, middleware=[again]) as session:
        assert (await session.post(data=b"abc")).content == b"ok"
        assert session.pool_stats()["created"] == 1
    assert [request.body for request in server.requests] == [b"abc"] * 2
    assert [request.header("x-try") for request in server.requests] == [None, "2"]


async def test_retry_of_a_one_shot_body(peer: MakePeer) -> None:
    """A body that cannot be read again is never sent again, also by a middleware."""
    server = peer(ANSWERING)

    async def again(request: PreparedRequest, call_next: CallNext) -> Any:
        await call_next(request)
        assert not request.is_replayable
        return await call_next(request)

    async with HSession(server.url, middleware=[again]) as session:
        with pytest.raises(UnreplayableBody):
            await session.post(data=iter([b"a"]))
        assert_no_active_requests(session)


async def test_each_exchange(peer: MakePeer) -> None:
    """Redirects and retries run the middleware again, with cookies, and without earlier changes."""
    server = peer([expect(), send(UNAVAILABLE),
                   expect(), send(redirect("/b", "Set-Cookie: c=d\r\n")),
                   expect(), send(OK)])  # fmt: skip
    seen: list[tuple[str, str | None]] = []

    async def note(request: PreparedRequest, call_next: CallNext) -> Any:
        seen.append((request.url.target, request.headers.get("Cookie")))
        assert "X-Note" not in request.headers
        request.headers["X-Note"] = "1"
        return await call_next(request)

    async with HSession(server.url, middleware=[note], persist_cookies=True) as session:
        response = await session.get(path="/a", retries=Retry(attempts=1, backoff=0.0))
    assert seen == [("/a", None), ("/a", None), ("/b", "c=d")]
    assert response.attempts == 3
    assert [r.request.url.target for r in [*response.history, response]] == ["/a", "/a", "/b"]


async def test_challenge(peer: MakePeer) -> None:
    """Credentials are visible to middleware, and a second challenge ends the request."""
    challenge = b'HTTP/1.1 401 x\r\nWWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n'
    challenge += b"Content-Length: 0\r\n\r\n"
    server = peer([expect(), send(challenge), expect(), send(challenge)])
    seen: list[bool] = []

    async def note(request: PreparedRequest, call_next: CallNext) -> Any:
        seen.append("authorization" in request.headers)
        return await call_next(request)

    async with HSession(server.url, middleware=[note], auth=DigestAuth(("u", "p"))) as session:
        assert (await session.get()).status_code == 401
    assert seen == [False, True]


async def test_changed_origin(peer: MakePeer) -> None:
    """A new origin gets no credentials of the old one; redirects are relative to the new one."""
    other = peer([expect(), send(redirect("b")), expect("GET", "/x/b"), send(OK)])
    server = peer()

    async def move(request: PreparedRequest, call_next: CallNext) -> Any:
        if request.url.target == "/a":
            request.url = f"{other.url}/x/a"
        return await call_next(request)

    async with DSession(middleware=[move], auth=BasicAuth(("u", "p")), cookies={"c": "d"}) as s:
        response = await s.get(f"{server.url}/a", headers={"X-Api-Key": "k", "X-Other": "o"})
    assert response.url == f"{other.url}/x/b"
    for request in other.requests:
        for name in ("authorization", "cookie", "x-api-key"):
            assert request.header(name) is None
        assert request.header("x-other") == "o"
        assert other.url.endswith(request.header("host") or "-")


async def test_max_body_of_a_made_response() -> None:
    """`max_body` limits the stream of a body that a middleware made, too."""

    async def make(request: PreparedRequest, call_next: CallNext) -> Any:
        return Response(body=b"12345", headers={"Content-Type": "text/plain"})

    async with DSession(middleware=[make], stream=True, max_body=5) as session:
        response: Any = await session.get("http://x.test/")
        assert await response.body.read() == b"12345"
        response = await session.get("http://x.test/", max_body=4)
        with pytest.raises(ResponseTooLarge, match="more than max_body=4 bytes") as caught:
            await response.body.read()
        assert caught.value.status_code == 200


async def test_streams(peer: MakePeer) -> None:
    """A streamed response arrives at its head; what a middleware replaces is closed."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"
    server = peer([expect(), send(head), stall()], ANSWERING)

    async def second(request: PreparedRequest, call_next: CallNext) -> Any:
        first = await call_next(request)
        assert isinstance(first, StreamResponse)
        assert await first.body.__anext__() == b"ab"
        return await call_next(request)

    async def replace(request: PreparedRequest, call_next: CallNext) -> Response:
        await call_next(request)
        return Response(status_code=204)

    async with HSession(server.url, connections=1, middleware=[second]) as session:
        response = await session.get(stream=True)
        assert await response.body.read() == b"ok"
    server.release()
    server = peer([expect(), send(head), stall()])
    async with HSession(server.url, middleware=[replace]) as session:
        assert (await session.get(stream=True)).status_code == 204
        await server.all_closed()
        assert_no_active_requests(session)


async def test_errors(peer: MakePeer) -> None:
    """What a middleware raises reaches the caller; what it returns must be a response."""
    server = peer(*[ANSWERING] * 3)

    async def fail(request: PreparedRequest, call_next: CallNext) -> Any:
        await call_next(request)
        raise LookupError("mine")

    async def forget(request: PreparedRequest, call_next: CallNext) -> Any:
        await call_next(request)

    async def wrong(request: PreparedRequest, call_next: Any) -> Any:
        return await call_next(request.url)

    def blocking(request: PreparedRequest, call_next: Any) -> Any:
        return Response()

    async with HSession(server.url) as session:
        for stream in (False, True):
            with pytest.raises(LookupError, match="mine"):
                await session.get(middleware=[fail], stream=stream)
            with pytest.raises(TypeError, match=r"forget returned None.*call_next\(request\)"):
                await session.get(middleware=[forget], stream=stream)
        with pytest.raises(TypeError, match="blocking must be an `async def`"):
            await session.get(middleware=[blocking])  # type: ignore[list-item]
        for functions in ([wrong, Recorder("a", [])], [wrong]):
            with pytest.raises(TypeError, match="call_next takes a request"):
                await session.get(middleware=functions)
        assert_no_active_requests(session)
        for value in (fail, "abc", [1], 7):
            with pytest.raises(InvalidRequest, match="middleware must be a list of functions"):
                await session.get(middleware=value)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="did you mean 'middleware'"):
        HSession(server.url, middlewares=[])  # type: ignore[call-arg]


async def test_connection_errors(peer: MakePeer) -> None:
    """A middleware may handle a failure, and `retries` applies to one that it raises."""
    server = peer([close()], [close()], ANSWERING)
    failures: list[type] = []

    async def note(request: PreparedRequest, call_next: CallNext) -> Any:
        try:
            return await call_next(request)
        except ServerClosedConnectionError as error:
            failures.append(type(error))
            raise

    async with HSession(server.url, middleware=[note], retries=2) as session:
        assert (await session.get()).content == b"ok"
    assert failures == [ServerClosedConnectionError] * 2


async def test_time_limit(peer: MakePeer) -> None:
    """The time that middleware takes counts towards `timeout`."""
    server = peer(ANSWERING)

    async def slow(request: PreparedRequest, call_next: CallNext) -> Any:
        time.sleep(0.03)
        return await call_next(request)

    async with HSession(server.url, middleware=[slow]) as session:
        with pytest.raises(TotalTimeout, match=r"timeout=0\.02 s"):
            await session.get(timeout=0.02)
        assert (await session.get(timeout=30)).content == b"ok"
    assert len(server.requests) == 1


async def test_cancellation(peer: MakePeer) -> None:
    """Cancelled at any wait, a request with middleware leaves no connection in use."""
    server = peer(*[ANSWERING] * 200)

    async def twice(request: PreparedRequest, call_next: CallNext) -> Any:
        await curio.sleep(0)
        await call_next(request)
        response = await call_next(request)
        await curio.sleep(0)
        return response

    async with HSession(server.url, middleware=[twice]) as session:

        async def check() -> None:
            assert_no_active_requests(session)

        for stream in (False, True):

            async def get(stream: bool = stream) -> Any:
                async with await session.get(stream=stream) as response:
                    return await response.body.read() if stream else response.content

            count, content = await cancel_at_each_await(get, check)
            assert (count > 3, content) == (True, b"ok")
