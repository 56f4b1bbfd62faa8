"""Where a response ends, and what may follow it (RFC 9112 §6): whole, byte by byte, split
everywhere.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.exchange_harness import ExchangeIncomplete, read_response
from support.framing import CHUNKED, FIXED, assert_rejected, read

from asks_fast.errors import BadHttpResponse, ServerClosedConnectionError


def test_known_length() -> None:
    """A body of known length ends there, and the connection is kept."""
    answer = read(FIXED)
    assert (answer.status, answer.reason, answer.version) == (200, "OK", "1.1")
    assert answer.fields == [(b"Content-Length", b"5")]
    assert answer.body == b"hello"
    assert answer.kept


def test_empty_body() -> None:
    """With Content-Length: 0 the response is complete after its head."""
    answer = read(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert answer.body == b""
    assert answer.kept


def test_chunked() -> None:
    """Chunks are joined; sizes in any case, with leading zeros and trailing spaces."""
    answer = read(CHUNKED + b"5\r\nhello\r\n00A\r\n0123456789\r\n1 \r\nx\r\n0\r\n\r\n")
    assert answer.body == b"hello0123456789x"
    assert answer.kept


def test_chunk_extensions() -> None:
    """Chunk extensions are ignored (RFC 9112 §7.1.1)."""
    answer = read(CHUNKED + b'3;a=b;c="d"\r\nabc\r\n0;last\r\n\r\n')
    assert answer.body == b"abc"
    assert answer.kept


def test_trailers() -> None:
    """Trailer fields are kept apart from header fields, whatever their names."""
    answer = read(CHUNKED + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\nEmpty:\r\n\r\n")
    assert answer.trailers == [(b"X-Sum", b"1"), (b"Set-Cookie", b"a=b"), (b"Empty", b"")]
    assert answer.fields == [(b"Transfer-Encoding", b"chunked")]
    assert answer.kept


def test_framing_fields_as_trailers() -> None:
    """Framing fields among the trailers have no effect, on this response or the next."""
    answer = read(CHUNKED + b"2\r\nhi\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert answer.body == b"hi"
    assert answer.trailers == [(b"Transfer-Encoding", b"chunked")]


def test_end_by_close() -> None:
    """Without a length the body ends with the connection."""
    answer = read(b"HTTP/1.1 200 OK\r\n\r\nhello")
    assert answer.body == b"hello"
    assert not answer.kept


@pytest.mark.parametrize(
    "sample",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_response_to_head(sample: bytes) -> None:
    """A response to HEAD ends with its head, whatever its length fields say; the connection is
    kept.
    """
    answer = read(sample, is_head_request=True, closes=False)
    assert answer.body == b""
    assert answer.kept


def test_response_to_head_with_a_body() -> None:
    """A body after the response to HEAD is never the next response: the connection is closed."""
    answer = read(FIXED, is_head_request=True)
    assert answer.body == b""
    assert not answer.kept


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize(
    "field", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]
)
def test_status_without_body(status: bytes, field: bytes) -> None:
    """204 and 304 end with their head, whatever their length fields say (RFC 9112 §6.3)."""
    answer = read(b"HTTP/1.1 " + status + b"\r\n" + field + b"\r\n", closes=False)
    assert answer.body == b""
    assert answer.kept


def test_204_with_a_body() -> None:
    """Bytes after a 204 are surplus."""
    assert not read(b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi").kept


@pytest.mark.parametrize("status", [100, 102, 103, 104, 150, 199])
@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"Link: </a.css>\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
    ],
)
def test_interim_responses(status: int, field: bytes) -> None:
    """1xx responses are kept in `interim` and are never the final response."""
    interim = b"HTTP/1.1 %d Hm\r\n%b\r\n" % (status, field)
    answer = read(interim + b"HTTP/1.1 100 Continue\r\n\r\n" + FIXED)
    assert [seen for seen, _ in answer.interim] == [status, 100]
    assert answer.status == 200
    assert answer.body == b"hello"
    assert answer.kept


def test_interim_fields_are_not_merged() -> None:
    """The fields of a 1xx response are not added to the final one."""
    answer = read(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX: 1\r\n\r\n" + FIXED)
    assert answer.interim == [(103, [(b"Link", b"</a>"), (b"X", b"1")])]
    assert answer.fields == [(b"Content-Length", b"5")]


def test_unrequested_101() -> None:
    """101 is an error, because no request asked for another protocol (RFC 9110 §15.2.2)."""
    assert_rejected(b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + FIXED)


def test_upgrade_offer_on_a_final_response() -> None:
    """A final response with an Upgrade field is read as usual."""
    answer = read(
        b"HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nhi"
    )
    assert answer.body == b"hi"
    assert answer.kept


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive, close\r\n", False),
        (
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n"
            b"Content-Length: 2\r\n",
            False,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x,\tCLOSE\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close ,x\r\n", False),
        (
            b"HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: close\r\nContent-Length: 2\r\n",
            False,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: closed\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Connection: close\r\n", True),
    ],
)
def test_persistent_connections(head: bytes, kept: bool) -> None:
    """HTTP/1.1 connections persist unless a Connection field says close, HTTP/1.0 ones only with
    keep-alive.
    """
    answer = read(head + b"\r\nhi")
    assert answer.body == b"hi"
    assert answer.kept is kept


def test_chunked_in_http_1_0() -> None:
    """Chunked coding in HTTP/1.0 is read, and the connection is closed after it (RFC 9112 §6.1)."""
    answer = read(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nhi\r\n0\r\n\r\n"
    )
    assert answer.body == b"hi"
    assert not answer.kept


def test_incomplete_response_waits() -> None:
    """Without an end of input an incomplete response waits."""
    with pytest.raises(ExchangeIncomplete):
        read_response(FIXED[:-1], closes=False)


SURPLUS = [
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\x00",
    b"garbage",
    FIXED,
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"H",
]


@pytest.mark.parametrize("surplus", SURPLUS)
@pytest.mark.parametrize(
    "sample",
    [
        FIXED,
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    ],
)
def test_surplus(sample: bytes, surplus: bytes) -> None:
    """Bytes after the end of a response close the connection and do not change the response."""
    alone = read_response(sample)
    assert alone.kept
    answer = read(sample + surplus)
    assert not answer.kept
    assert (answer.status, answer.body, answer.trailers) == (200, alone.body, alone.trailers) or (
        alone.status != 200 and answer.status == alone.status and answer.body == b""
    )


@pytest.mark.parametrize("size", [65535, 65536, 65537, 300_000, 1 << 21])
def test_long_bodies(size: int) -> None:
    """A long body is the same on every path that receives one."""
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    fixed = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(body[i : i + 70000]), body[i : i + 70000])
        for i in range(0, size, 70000)
    )
    for sample in (fixed, CHUNKED + chunks + b"0\r\n\r\n"):
        for cut in (1000, 65536, 100_000):
            pieces = [sample[i : i + cut] for i in range(0, len(sample), cut)]
            answer = read_response(pieces)
            assert answer.body == body
            assert answer.kept
            assert read_response(pieces, stream=True).body == body


def test_long_body_cut_short() -> None:
    """The error of a long body that ends early says how much arrived."""
    sample = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 150_000
    with pytest.raises(ServerClosedConnectionError, match="after 150000 of 200000 bytes"):
        read_response(sample)


def test_long_body_with_surplus() -> None:
    """Bytes after a long body close the connection, too."""
    sample = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
    assert read_response(sample).kept
    assert not read_response(sample + b"HTTP/1.1 200 OK\r\n").kept


def test_a_length_of_ten_terabytes_takes_no_memory() -> None:
    """Memory is allocated for received bytes, not for announced ones."""
    with pytest.raises(ServerClosedConnectionError, match="of 10000000000000 bytes"):
        read_response(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000000\r\n\r\nhi")


def test_small_receive_buffer() -> None:
    """The size of the receive buffer affects only speed."""
    sample = b"HTTP/1.1 103 Hint\r\n\r\n" + CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"
    for buffer in (1, 2, 7, 64):
        assert read_response(sample, buffer=buffer) == read_response(sample)


def test_error_texts() -> None:
    """An error names the request, the received bytes (truncated) and the elapsed time."""
    with pytest.raises(BadHttpResponse) as caught:
        read_response(b"\x1b[2J<html>" + b"x" * 1000)
    text = str(caught.value)
    assert text.startswith("GET http://h/x: not an HTTP/1.x response: b'\\x1b[2J<html>")
    assert "[0.000 s" not in text  # the time is left out where it says nothing
    assert len(text) < 250


def test_two_responses_in_sequence() -> None:
    """A kept connection starts the next exchange without state of the last."""
    from support.exchange_harness import ExchangeHarness

    kinds: list[tuple[bytes, dict[str, Any], bytes]] = [
        (FIXED, {}, b"hello"),
        (CHUNKED + b"2\r\nhi\r\n0\r\nT: u\r\n\r\n", {}, b"hi"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", {"is_head_request": True}, b""),
        (b"HTTP/1.1 103 E\r\nContent-Length: 3\r\n\r\nHTTP/1.1 204 No\r\n\r\n", {}, b""),
        (b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", {}, b""),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", {}, b"hi"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000, {}, b"x" * 70000),
    ]
    with ExchangeHarness() as wire:
        for _ in range(2):
            for first, options, body in kinds:
                for second, more, rest in kinds:
                    assert wire.read([first], **options).body == body
                    answer = wire.read([second[:40], second[40:]], **more)
                    assert answer.body == rest
                    assert answer.kept
                    assert not (answer.trailers and b"T: u" not in second)
