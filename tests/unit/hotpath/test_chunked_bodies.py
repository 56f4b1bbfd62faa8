"""Long chunked bodies, whose framing is removed inside the buffer that becomes the body."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.exchange_harness import ExchangeHarness, read_response

from asks_fast.errors import BadHttpResponse, ResponseTooLarge, ServerClosedConnectionError

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PATTERN = bytes(range(251)) * 4000


def sample(sizes: list[int], following: bytes = b"0\r\n\r\n", extension: bytes = b"") -> bytes:
    """A response with chunks of these sizes."""
    parts, at = [CHUNKED], 0
    for size in sizes:
        parts.append(b"%x%b\r\n%b\r\n" % (size, extension, PATTERN[at : at + size]))
        at += size
    return b"".join(parts) + following


def cut(whole: bytes, places: list[int]) -> list[bytes]:
    """`whole` split at these places."""
    edges = sorted({0, len(whole), *(place % len(whole) for place in places)})
    return [whole[a:b] for a, b in pairwise(edges)]


@given(
    sizes=st.lists(st.integers(1, 90_000), min_size=1, max_size=8),
    places=st.lists(st.integers(0, 1 << 20), max_size=12),
    extension=st.sampled_from([b"", b";a=b", b' ;q="x"']),
    trailer=st.sampled_from([b"", b"A: b\r\n"]),
)
def test_any_split(sizes: list[int], places: list[int], extension: bytes, trailer: bytes) -> None:
    """A long body is the same for any chunk sizes and any split, and the connection is kept."""
    whole = sample(sizes, b"0\r\n" + trailer + b"\r\n", extension)
    answer = read_response(cut(whole, places))
    assert answer.body == PATTERN[: sum(sizes)]
    assert answer.trailers == ([(b"A", b"b")] if trailer else [])
    assert answer.kept
    assert read_response(cut(whole, places), stream=True).body == answer.body


@pytest.mark.parametrize("back", range(12))
def test_cut_in_the_last_framing(back: int) -> None:
    """The final framing may be split at any place."""
    whole = sample([30_000] * 5)
    answer = read_response([whole[: len(whole) - back], whole[len(whole) - back :]])
    assert answer.body == PATTERN[:150_000]
    assert answer.kept


@pytest.mark.parametrize("following", [b"\r\n", b"\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize("at_once", [False, True])
def test_surplus(following: bytes, at_once: bool) -> None:
    """Bytes after a long chunked body are not part of it and close the connection."""
    whole = sample([30_000] * 5)
    pieces = [whole + following] if at_once else [whole[:100_000], whole[100_000:] + following]
    answer = read_response(pieces)
    assert answer.body == PATTERN[:150_000]
    assert not answer.kept


def test_cut_short() -> None:
    """A long chunked body without its last chunk is an error."""
    whole = sample([30_000] * 5, b"")
    with pytest.raises(ServerClosedConnectionError, match="after 150000 bytes of the body"):
        read_response([whole[:60_000], whole[60_000:]])


def test_max_body() -> None:
    """`max_body` limits a body without a Content-Length."""
    whole = sample([30_000] * 5)
    assert read_response([whole], max_body=150_000).body == PATTERN[:150_000]
    with pytest.raises(ResponseTooLarge, match="max_body is 149999"):
        read_response([whole], max_body=149_999)


@pytest.mark.parametrize(
    "bad",
    [
        b"\r\n",
        b"g\r\n",
        b"5\n",
        b"5;a\nb\r\n",
        b"-5\r\n",
        b"0x5\r\n",
        b"5\r\nhelloX\n",
        b"5\r\nhello\rX",
        b"ffffffffffffffff1\r\n",
        b"0\r\nA: b\nC: d\r\n\r\n",
        b"0\r\nA: b\rC: d\r\n\r\n",
        b"0\r\n\rX",
    ],
)
def test_bad_framing_far_into_the_body(bad: bytes) -> None:
    """The framing is validated up to the last chunk."""
    whole = sample([30_000] * 3, bad)
    for pieces in ([whole], [whole[:60_000], whole[60_000:]], [whole[:-1], whole[-1:]]):
        with pytest.raises(BadHttpResponse):
            read_response(pieces, closes=False)


def test_wrong_size_prediction() -> None:
    """The size of the last body only predicts the buffer size for the next one."""
    with ExchangeHarness() as wire:
        for sizes in ([90_000] * 3, [90_000] * 9, [50_000], [1], [90_000] * 4, [90_000] * 4):
            answer = wire.read([sample(sizes)[:70_000], sample(sizes)[70_000:]])
            assert answer.body == PATTERN[: sum(sizes)]
            assert answer.kept
