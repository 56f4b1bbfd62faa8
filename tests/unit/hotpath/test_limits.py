"""Limits, exact to the byte: heads, fields, bodies, interim responses, chunks."""

from __future__ import annotations

import pytest
from support.exchange_harness import read_response
from support.framing import CHUNKED, FIXED, read

from asks_fast.errors import BadHttpResponse, HeadTooLarge, ResponseTooLarge


def test_body_limit() -> None:
    """`max_body` is exact, for each kind of framing."""
    for sample in (
        FIXED,
        CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
    ):
        assert read(sample, max_body=5).body == b"hello"
        for pieces in ([sample], [sample[i : i + 1] for i in range(len(sample))]):
            with pytest.raises(ResponseTooLarge):
                read_response(pieces, max_body=4)


def test_length_beyond_the_limit() -> None:
    """A Content-Length above the limit is an error before any of the body is received."""
    with pytest.raises(ResponseTooLarge, match="1000000 bytes, max_body is 10"):
        read_response(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", max_body=10, closes=False
        )


def test_head_of_exactly_the_limit() -> None:
    """A head of exactly 64 KiB is accepted, one byte more is not; byte by byte as well."""
    frame = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: %b\r\n\r\n"
    room = 65536 - len(frame % b"")
    fits, bursts = frame % (b"a" * room), frame % (b"a" * (room + 1))
    assert len(fits) == 65536
    for cut in (1, 7, 65535, 65536):
        pieces = [fits[i : i + cut] for i in range(0, len(fits), cut)]
        assert read_response(pieces).kept
        pieces = [bursts[i : i + cut] for i in range(0, len(bursts), cut)]
        with pytest.raises(HeadTooLarge, match="65536"):
            read_response(pieces)


def test_number_of_fields() -> None:
    """256 fields are accepted, 257 are not."""

    def head(number: int) -> bytes:
        return b"HTTP/1.1 204 No\r\n" + b"A: b\r\n" * number + b"\r\n"

    assert len(read_response(head(256)).fields) == 256
    with pytest.raises(HeadTooLarge, match="256"):
        read_response(head(257))


def test_number_of_trailers() -> None:
    """Trailers are counted like fields."""
    start = CHUNKED + b"1\r\nx\r\n0\r\n"
    assert len(read_response(start + b"A: b\r\n" * 256 + b"\r\n").trailers) == 256
    with pytest.raises(HeadTooLarge, match="256"):
        read_response(start + b"A: b\r\n" * 257 + b"\r\n")


def test_endless_head() -> None:
    """A head without an end raises as soon as it exceeds the limit."""
    endless = [b"HTTP/1.1 200 OK\r\n"] + [b"X-Filler: %b\r\n" % (b"y" * 1000)] * 1000
    with pytest.raises(HeadTooLarge):
        read_response(endless, closes=False)
    with pytest.raises(HeadTooLarge):
        read_response([b"HTTP/1.1 200 " + b"x" * 70000], closes=False)


def test_interim_flood() -> None:
    """16 interim responses are accepted, 17 are not."""
    one = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert len(read_response(one * 16 + FIXED).interim) == 16
    for pieces in ([one * 17 + FIXED], [one] * 17 + [FIXED], [one * 20000]):
        with pytest.raises(HeadTooLarge, match="16"):
            read_response(pieces)


def test_interim_heads_in_all() -> None:
    """All interim responses together share the size limit of one head."""
    one = b"HTTP/1.1 103 Early Hints\r\nLink: %b\r\n\r\n" % (b"x" * 20_000)
    assert len(read_response(one * 3 + FIXED).interim) == 3
    for pieces in ([one * 4 + FIXED], [one] * 4 + [FIXED]):
        with pytest.raises(HeadTooLarge, match="interim responses have more than 65536 bytes"):
            read_response(pieces)


def test_interim_split_within_is_counted_once() -> None:
    """An interim response split in two counts as one."""
    one = b"HTTP/1.1 100 Continue\r\n\r\n"
    pieces = [piece for _ in range(16) for piece in (one[:9], one[9:] + b"")] + [FIXED]
    assert len(read_response(pieces).interim) == 16
    joined = one * 16 + FIXED
    cut = [joined[i : i + 30] for i in range(0, len(joined), 30)]
    assert len(read_response(cut).interim) == 16


@pytest.mark.parametrize(
    "flood",
    [
        b"0" * 1_000_000 + b"1\r\nx\r\n",
        b"1;" + b"e" * 1_000_000 + b"\r\nx\r\n",
        b"1\r\nx\r\n0\r\nA: " + b"b" * 1_000_000 + b"\r\n\r\n",
        b"1\r\nx\r\n0\r\n" + b"A" * 1_000_000 + b": b\r\n\r\n",
        b"1\r\nx\r\n0;" + b"e" * 1_000_000,
    ],
    ids=["zeros", "extension", "trailer value", "trailer name", "last extension"],
)
@pytest.mark.parametrize("body", [0, 1_000_000])
def test_framing_floods(flood: bytes, body: int) -> None:
    """Endless framing raises, also after a large body."""
    begun = b"%x\r\n%b\r\n" % (body, b"z" * body) if body else b""
    sample = CHUNKED + begun + flood
    pieces = [sample[i : i + 65536] for i in range(0, len(sample), 65536)]
    with pytest.raises(BadHttpResponse):
        read_response(pieces, closes=False)


def test_many_small_chunks() -> None:
    """A body in chunks of one byte costs time and memory in proportion to its length."""
    body = bytes(range(256)) * 1000
    sample = CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    pieces = [sample[i : i + 65536] for i in range(0, len(sample), 65536)]
    answer = read_response(pieces)
    assert answer.body == body
    assert answer.kept
    streamed = read_response(pieces, stream=True)
    assert streamed.body == body
    assert len(streamed.pieces) <= len(pieces)
