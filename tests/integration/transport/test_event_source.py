"""Server-sent events and JSON lines over real connections: at once, bounded, with reconnection."""

from __future__ import annotations

import json

import curio
import pytest
from support.script_steps import close, expect, reset, send, stall

from asks_fast import HSession, Session
from asks_fast.errors import (
    BadHttpResponse,
    BadStatus,
    ConnectivityError,
    InvalidRequest,
    JsonDecodeError,
    ResponseTooLarge,
    ServerClosedConnectionError,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
STREAM = HEAD + b"\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GONE = b"HTTP/1.1 204 No Content\r\n\r\n"
NDJSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def with_length(head: bytes, body: bytes) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


# -- events of one response


async def test_each_event_comes_at_once(peer):
    """An event is returned when it is complete, also after many bytes on the same connection."""
    many = b"".join(chunk(b"data: %d\n\n" % n) for n in range(40_000))
    server = peer([expect(), send(CHUNKED + many + chunk(b"data: last\n\n")), stall()])
    async with HSession(server.url) as session:
        response = await session.get(stream=True)
        events = response.events()
        async for event in events:
            if event.data == "last":
                break
        await events.aclose()
        assert session.pool_stats()["open"] == 0


async def test_read_to_the_end_the_connection_serves_again(peer):
    """After the last event the connection goes back to the pool."""
    answer = send(CHUNKED + chunk(b"data: a\n\ndata: b") + b"0\r\n\r\n")
    server = peer([expect(), answer, expect(), answer])
    async with HSession(server.url) as session:
        for _ in range(2):
            response = await session.get(stream=True)
            assert [event.data async for event in response.events()] == ["a"]
    assert len(server.connections) == 1


async def test_events_of_a_body_in_memory(peer):
    """Without `stream=True` the same events come from the body that was read."""
    server = peer([expect(), send(with_length(HEAD, b"retry: 10\nid: 1\ndata: a\n\ndata: b\n\n"))])
    async with HSession(server.url) as session:
        events = (await session.get()).events()
        found = [(event.data, event.id, event.retry) async for event in events]
    assert found == [("a", "1", 0.01), ("b", "1", 0.01)]
    assert events.last_event_id == "1"


async def test_not_an_event_stream(peer):
    """Another Content-Type is an error that names it, unless the check is switched off."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\ndata: a\n\n"
    server = peer([expect(), send(answer)])
    async with HSession(server.url) as session:
        response = await session.get()
        with pytest.raises(BadHttpResponse, match=r"not an event stream.*'text/plain'"):
            response.events()
        events = response.events(check_content_type=False)
        assert [event.data async for event in events] == ["a"]


async def test_an_endless_event_is_cut_off(peer):
    """An event beyond `max_event_size` closes the connection."""
    server = peer([expect(), send(STREAM + b"data: " + b"x" * 5000), stall()])
    async with HSession(server.url) as session:
        response = await session.get(stream=True)
        with pytest.raises(ResponseTooLarge, match=r"GET http.*more than 1000 bytes"):
            await response.events(max_event_size=1000).__anext__()
        assert session.pool_stats()["open"] == 0
    await server.all_closed()


# -- reconnection


async def test_reconnects_after_the_last_event_id(peer):
    """A closed, a reset and a truncated connection are continued with Last-Event-ID."""
    server = peer(
        [expect(), send(STREAM + b"retry: 1\ndata: a\nid: 1\n\nid: 2\ndata: lost"), close()],
        [expect(), send(CHUNKED + chunk(b"data: b\nid: gr\xc3\xbcn\n\n")), stall(), reset()],
        [expect(), send(CHUNKED + chunk(b"data: c\n\n") + b"0\r\n\r\n"), expect(), send(GONE)],
    )  # fmt: skip
    found = []
    async with Session(server.url) as session, session.events(path="/feed") as events:
        async for event in events:
            found.append((event.data, event.id))
            if event.data == "b":
                server.release()
    assert found == [("a", "1"), ("b", "grün"), ("c", "grün")]
    ids = [request.header("last-event-id") for request in server.requests]
    assert ids[:2] == [None, "1"]
    assert len(ids) == 4
    assert all(request.header("accept") == "text/event-stream" for request in server.requests)
    assert [raw for raw in server.requests[2].raw.split(b"\r\n") if b"Last-Event" in raw] == [
        "Last-Event-ID: grün".encode()
    ]
    await server.all_closed()


async def test_post_with_headers_of_the_caller(peer):
    """Method, body and fields are sent with each connection, `last_event_id` with the first."""
    server = peer([expect("POST"), send(with_length(HEAD, b"id: 5\ndata: a\n\n")), expect("POST"),
                   send(GONE)])  # fmt: skip
    async with HSession(server.url) as session:
        events = session.events(
            method="POST",
            json={"q": 1},
            headers={"accept": "text/event-stream;x=1", "X-A": "b"},
            last_event_id="4",
            reconnect_delay=0,
        )
        assert [event.data async for event in events] == ["a"]
    for request, ident in zip(server.requests, ["4", "5"], strict=True):
        assert json.loads(request.body) == {"q": 1}
        assert request.header("last-event-id") == ident
        assert request.header("accept") == "text/event-stream;x=1"
        assert request.header("x-a") == "b"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", BadStatus),
        (b"HTTP/1.1 206 Part\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n",
         BadStatus),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n",
            BadHttpResponse,
        ),
    ],
    ids=["503", "206", "another type"],
)  # fmt: skip
async def test_responses_that_end_the_stream(peer, answer, error):
    """A status other than 200 and 204, or another type, raises, and nothing stays open."""
    server = peer(
        [expect(), send(STREAM + b"data: a\n\n"), close()], [expect(), send(answer), stall()]
    )
    async with HSession(server.url) as session:
        events = session.events(reconnect_delay=0)
        assert (await events.__anext__()).data == "a"
        with pytest.raises(error):
            await events.__anext__()
        assert session.pool_stats()["in_use"] == 0
        await events.aclose()


async def test_connections_that_bring_nothing(peer):
    """`max_failures` connections in a row without a byte raise the last error."""
    server = peer([expect(), reset()])
    async with HSession(server.url) as session:
        with pytest.raises(ServerClosedConnectionError):
            await session.events(reconnect_delay=0, max_failures=2, retries=0).__anext__()
    assert len(server.connections) == 2
    server = peer([expect(), send(STREAM), close()])
    async with HSession(server.url) as session:
        with pytest.raises(ServerClosedConnectionError, match="last 2 connections"):
            await session.events(reconnect_delay=0, max_failures=2).__anext__()
    assert len(server.connections) == 2


async def test_without_reconnection(peer):
    """`reconnect=False` ends with the first connection, and an error is raised."""
    server = peer([expect(), send(STREAM + b"data: a\n\n"), close()],
                  [expect(), send(CHUNKED + chunk(b"data: b\n\n")), close()])  # fmt: skip
    async with HSession(server.url) as session:
        assert [e.data async for e in session.events(reconnect=False)] == ["a"]
        events = session.events(reconnect=False)
        assert (await events.__anext__()).data == "b"
        with pytest.raises(ConnectivityError):
            await events.__anext__()


async def test_cancelled_it_continues_at_the_next_call(peer):
    """A time-out closes the connection; the next call reconnects after the last event."""
    server = peer([expect(), send(STREAM + b"id: 1\ndata: a\n\n"), stall()],
                  [expect(), send(STREAM + b"id: 2\ndata: b\n\n"), stall()])  # fmt: skip
    async with HSession(server.url) as session:
        async with session.events(reconnect_delay=0) as events:
            assert (await events.__anext__()).data == "a"
            assert await curio.ignore_after(0.05, events.__anext__()) is None
            assert session.pool_stats()["open"] == 0
            assert (await events.__anext__()).data == "b"
        assert session.pool_stats()["open"] == 0
    assert server.requests[1].header("last-event-id") == "1"


@pytest.mark.parametrize(
    "arguments",
    [{"reconnect_delay": -1}, {"max_failures": 0}, {"last_event_id": "a\nb"}],
    ids=lambda arguments: next(iter(arguments)),
)
async def test_invalid_arguments(arguments):
    """Invalid arguments raise before a request is sent."""
    async with HSession("http://localhost:1") as session:
        with pytest.raises(InvalidRequest, match=next(iter(arguments))):
            session.events(**arguments)


# -- JSON lines


async def test_json_lines(peer):
    """One document per line, at once; blank lines and record separators are skipped."""
    pieces = [b'\xef\xbb\xbf{"a"', b": 1}\r\n\n  \n[", b'2]\n\x1e3\n"gr\xc3', b'\xbc"\n']
    server = peer([expect(), send(NDJSON + b"Transfer-Encoding: chunked\r\n\r\n"),
                   *(send(chunk(piece)) for piece in pieces), stall(),
                   send(chunk(b"null") + b"0\r\n\r\n")])  # fmt: skip
    async with HSession(server.url) as session:
        items = (await session.get(stream=True)).json_lines()
        assert [await items.__anext__() for _ in range(4)] == [{"a": 1}, [2], 3, "grü"]
        server.release()
        assert [item async for item in items] == [None]
        assert session.pool_stats()["idle"] == 1


async def test_json_lines_of_a_body_in_memory(app_server):
    """A real server's lines, streamed and whole, parsed by the session's own function."""
    async with HSession(app_server.url, json_loads=lambda line: json.loads(line)["id"]) as session:
        for stream in (False, True):
            response = await session.get(path="/stream/5", stream=stream)
            assert [item async for item in response.json_lines()] == [0, 1, 2, 3, 4]


async def test_a_line_that_is_not_json(peer):
    """The error says which line, and the connection is closed."""
    body = b"1\n\n{]\n3\n"
    server = peer([expect(), send(NDJSON + b"Content-Length: 100\r\n\r\n" + body), stall()])
    async with HSession(server.url) as session:
        items = (await session.get(stream=True)).json_lines()
        assert await items.__anext__() == 1
        with pytest.raises(
            JsonDecodeError, match=r"line 3 of this 200 response is not JSON.*'\{\]'"
        ):
            await items.__anext__()
        assert session.pool_stats()["open"] == 0
        with pytest.raises(StopAsyncIteration):
            await items.__anext__()


@pytest.mark.parametrize("body", [b"1" * 101, b"1\n" + b"2" * 101 + b"\n3"], ids=["open", "ended"])
async def test_a_line_that_is_too_long(peer, body):
    """A line beyond `max_line_size` is an error, whether its end was received or not."""
    server = peer([expect(), send(NDJSON + b"Content-Length: 1000\r\n\r\n" + body), stall()])
    async with HSession(server.url) as session:
        items = (await session.get(stream=True)).json_lines(max_line_size=100)
        with pytest.raises(ResponseTooLarge, match=r"line [12] has more than max_line_size=100"):
            async for _ in items:
                pass
        assert session.pool_stats()["open"] == 0


async def test_a_truncated_line_is_not_returned(peer):
    """A truncated body raises; its last, incomplete line is not returned."""
    server = peer([expect(), send(NDJSON + b"Content-Length: 10\r\n\r\n1\n22"), close()])
    async with HSession(server.url) as session:
        items = (await session.get(stream=True)).json_lines()
        assert await items.__anext__() == 1
        with pytest.raises(ConnectivityError):
            await items.__anext__()
