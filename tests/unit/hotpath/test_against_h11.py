"""The compiled parser and h11 read the same bytes: they agree, or differ as this file says.

Where one refuses and the other does not is listed below with the reason; what both read they must
read the same: that is where desyncs live.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.exchange_harness import ExchangeIncomplete, read_response

from asks_fast.errors import BadHttpResponse, ServerClosedConnectionError


@dataclass
class Seen:
    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes
    trailers: list[tuple[bytes, bytes]]


def h11_reads(data: bytes, method: bytes = b"GET") -> Seen:
    """The response that h11 reads from `data` and an end of input; raises
    `h11.RemoteProtocolError`.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method=method, target="/x", headers=[("Host", "h")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    head: Any = None
    body = b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            trailers = [(bytes(name), bytes(value)) for name, value in event.headers]
            fields = [(bytes(name), bytes(value)) for name, value in head.headers]
            return Seen(head.status_code, fields, body, trailers)
        elif (
            event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed)
        ):
            raise h11.RemoteProtocolError(f"no whole answer: {event!r}")


def we_read(data: bytes, **options: Any) -> Seen:
    answer = read_response(data, **options)
    return Seen(
        answer.status,
        [(name.lower(), value.rstrip(b" \t")) for name, value in answer.fields],
        answer.body,
        [(name.lower(), value.rstrip(b" \t")) for name, value in answer.trailers],
    )


REFUSED = "refused"


def outcome(read: Any, *arguments: Any, **options: Any) -> Any:
    """The response that a reader returns, or the text of its error."""
    try:
        return read(*arguments, **options)
    except (BadHttpResponse, ServerClosedConnectionError, h11.RemoteProtocolError) as error:
        return str(error)


# -- answers as they should be: both read the same


token = st.text("abcXYZ019-_!~", min_size=1, max_size=8).map(str.encode)
value = st.text('abc XYZ019,;="/\t\u00e9', max_size=20).map(
    lambda text: text.strip(" \t").encode("latin-1")
)
NAMES_OF_FRAMING = {b"content-length", b"transfer-encoding", b"connection", b"upgrade"}
field = st.tuples(token, value).filter(lambda pair: pair[0].lower() not in NAMES_OF_FRAMING)


@st.composite
def bodies(draw: Any) -> tuple[bytes, bytes]:
    """(framing fields, the body on the wire)."""
    kind = draw(st.sampled_from(["length", "chunked", "close"]))
    body = draw(st.binary(max_size=200))
    if kind == "length":
        return b"Content-Length: %d\r\n" % len(body), body
    if kind == "close":
        return b"", body
    wire, start = b"", 0
    while start < len(body):
        size = draw(st.integers(1, 40))
        piece = body[start : start + size]
        extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b c"']))
        wire += b"%x%b\r\n%b\r\n" % (len(piece), extension, piece)
        start += size
    trailers = b"".join(b"%b: %b\r\n" % pair for pair in draw(st.lists(field, max_size=2)))
    return b"Transfer-Encoding: chunked\r\n", wire + b"0\r\n" + trailers + b"\r\n"


@st.composite
def answers(draw: Any) -> bytes:
    interim = b"".join(
        b"HTTP/1.1 %d Wait\r\n%b\r\n" % (status, b"Link: x\r\n" if status == 103 else b"")
        for status in draw(st.lists(st.sampled_from([100, 102, 103]), max_size=3))
    )
    status = draw(st.sampled_from([200, 201, 204, 206, 301, 304, 404, 500, 599, 999]))
    fields = b"".join(b"%b: %b\r\n" % pair for pair in draw(st.lists(field, max_size=4)))
    framing, body = draw(bodies())
    if status in (204, 304):
        framing, body = b"", b""
    reason = draw(st.sampled_from([b"OK", b"", b"Not Found", b"caf\xe9"]))
    return interim + b"HTTP/1.1 %d %b\r\n%b%b\r\n%b" % (status, reason, fields, framing, body)


@settings(max_examples=200, deadline=None)
@given(data=answers())
def test_valid_responses(data: bytes) -> None:
    """Both read a valid response, with the same result."""
    assert outcome(we_read, data) == h11_reads(data)


# -- answers with something wrong in them


# Who refuses with which words where the other one reads an answer, and why that may be.
WE_ALONE_REFUSE = {
    "a version other than 1.0 and 1.1": "unknown version",
    "what comes before the status line": "not an HTTP/1.x response",
    "more digits than a length has": "Content-Length b|in Content-Len",
    "lengths in an interim answer": "Content-Length",
    "another coding beside Content-Length": "can't be present",
    "a coding that we did not ask for": "only chunked is supported|Transfer-Encoding",
    "another protocol": "101 Switching",
    "a bare LF outside of heads": "LF|Missing expected CR|[Cc]hunk (size|framing)",
    "an extension of a chunk that is none": "chunk extensions",
    "white space that continues a framing field, or comes first": "continued on|white space",
    "a control character in a trailer": "bad trailer",
    "h11 skips an empty line within": "Invalid header|invalid response head",
    "the end came in the middle of what h11 takes for whole": "closed the connection",
    "a bare CR": "bare CR",
    "a status code beyond 999": "status",
}
H11_ALONE_REFUSES = {
    "control characters in a value or reason, which browsers read": "illegal header|illegal status",
    "characters in the reason, or none and no space either": "illegal status line|illegal header",
    "white space after a chunk's size, its extensions": "illegal chunk header",
    "a line of trailers that it can't parse": "illegal header line",
    "a status code that it doesn't know": "Response status_code|status code",
    "a continued line that comes first": "continuation line at start",
    "bytes after 204, 304 or another complete response": "no whole answer|Can't|can't",
    "an interim answer with a body": "1xx|interim|InformationalResponse",
    "a framing field in trailers": "Transfer-Encoding|Content-Length",
    "framing fields of an answer that has no body": "bad Content-Length|conflicting|multiple",
}


def may_differ(data: bytes, ours: Any, theirs: Any) -> bool:
    """Whether this file expects a difference."""
    if isinstance(ours, str) and isinstance(theirs, str):
        return True  # both refuse
    if isinstance(ours, str):
        return any(re.search(words, ours) for words in WE_ALONE_REFUSE.values())
    if isinstance(theirs, str):
        return any(re.search(words, theirs) for words in H11_ALONE_REFUSES.values())
    # Both read: then the same, but for the white space of a continued line, and repeated lengths.
    return (ours.status, ours.body) == (theirs.status, theirs.body) and (
        b"\n " in data or b"\n\t" in data or one_length(ours.fields) == theirs.fields
    )


def one_length(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The fields as h11 shows them: equal lengths once."""
    seen: set[bytes] = set()
    kept = []
    for name, content in fields:
        if name == b"content-length":
            content = content.partition(b",")[0].strip()
            if seen:
                continue
            seen.add(content)
        kept.append((name, content))
    return kept


@st.composite
def mutated(draw: Any) -> bytes:
    data = bytearray(draw(answers()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["drop", "put", "flip", "double", "cut"]))
        if kind == "drop":
            del data[at : at + draw(st.integers(1, 4))]
        elif kind == "put":
            data[at:at] = draw(
                st.sampled_from(
                    [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"0", b"a", b"\x00", b";"]
                )
            )
        elif kind == "flip" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif kind == "double":
            data[at:at] = data[max(0, at - 12) : at]
        elif kind == "cut":
            del data[at:]
    return bytes(data)


@settings(max_examples=600, deadline=None)
@given(data=mutated())
@example(b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi")
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi")
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\n chunked\r\n\r\n0\r\n\r\n")
@example(b"HTTP/1.1 200 OK\r\nContent-Length:\n 2\r\n\r\nhi, and more")
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: \r\na: 0\n\r\n")
def test_mutated_responses(data: bytes) -> None:
    """A malformed response gives a response or an `AsksException`.

    Where h11 decides differently, the error text says why. What both accept, both read alike.
    """
    ours, theirs = outcome(we_read, data), outcome(h11_reads, data)
    assert ours == theirs or may_differ(data, ours, theirs), (ours, theirs)


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=300))
def test_noise(data: bytes) -> None:
    """Random bytes give a response or an `AsksException`."""
    for start in (
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ):
        outcome(we_read, start + data)


@settings(max_examples=100, deadline=None)
@given(data=st.one_of(answers(), mutated()), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_any_split(data: bytes, cuts: list[int]) -> None:
    """A response split at any place gives the same result as the whole."""
    places = sorted({cut for cut in cuts if 0 < cut < len(data)})
    pieces = [
        data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)
    ]

    def read(pieces: list[bytes], **options: Any) -> Any:
        got = outcome(read_response, pieces, **options)
        return "refused" if isinstance(got, str) else got

    whole = read([data])
    assert read(pieces) == whole
    assert read(pieces, stream=True) == whole
    assert read(pieces, buffer=16) == whole


@pytest.mark.parametrize("closes", [True, False])
def test_end_of_input(closes: bool) -> None:
    """The end of input ends the exchange; without it an incomplete response waits."""
    if closes:
        with pytest.raises(ServerClosedConnectionError):
            read_response(b"HTTP/1.1 2")
    else:
        with pytest.raises(ExchangeIncomplete):
            read_response(b"HTTP/1.1 2", closes=False)
