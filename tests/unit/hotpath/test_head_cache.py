"""Reusing the parse result of an identical head changes nothing that can be observed.

Every sequence of answers over one connection is read as each of them is read on a fresh one,
whatever stands in front of it and however the bytes are cut.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.exchange_harness import (
    GET,
    Answer,
    ExchangeHarness,
    ExchangeIncomplete,
    read_response,
)

from asks_fast._hotpath import BaseHttpResponse
from asks_fast.errors import AsksException, BadHttpResponse

HEADS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-More: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 5\n\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nKeep-Alive: timeout=60\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
]
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n"
FIRST = HEADS[0]
CHUNKED = HEADS[7] + b"3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"


@dataclass(frozen=True)
class Sent:
    """The bytes that a server sends for one request."""

    data: bytes
    cuts: tuple[int, ...] = ()
    is_head_request: bool = False  # the request was HEAD
    stream: bool = False
    max_body: int = -1

    def pieces(self) -> list[bytes]:
        """The bytes as they are sent."""
        marks = [0, *sorted({cut % len(self.data) for cut in self.cuts} - {0}), len(self.data)]
        return [self.data[a:b] for a, b in itertools.pairwise(marks)]

    def read(self, wire: ExchangeHarness) -> Answer | str:
        """The outcome of the exchange."""
        return outcome(
            lambda: wire.read(
                self.pieces(),
                closes=False,
                stream=self.stream,
                is_head_request=self.is_head_request,
                max_body=self.max_body,
            )
        )


def outcome(read: Callable[[], Answer]) -> Answer | str:
    """The response, or the error."""
    try:
        return read()
    except ExchangeIncomplete:
        return "never ends"
    except AsksException as error:
        return f"{type(error).__name__}: {error}".partition(" [")[0]


@st.composite
def sent_responses(draw: st.DrawFn) -> Sent:
    head = draw(st.sampled_from(HEADS[:4]) | st.sampled_from(HEADS))
    length = draw(st.sampled_from([5, 5, 5, 5, 0, 4, 6, 50]))
    body = draw(st.binary(min_size=length, max_size=length))
    if b"chunked" in head:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    early = draw(st.sampled_from([b"", b"", b"", EARLY]))
    data = early + head + body
    return Sent(
        data,
        tuple(draw(st.lists(st.integers(1, len(data)), max_size=3))),
        draw(st.sampled_from([False, False, False, True])),
        draw(st.booleans()),
        draw(st.sampled_from([-1, -1, 4])),
    )


@settings(max_examples=400)
@example([Sent(FIRST + b"first"), Sent(FIRST + b"again"), Sent(FIRST + b"surplus")])
@example([Sent(FIRST + b"first"), Sent(FIRST, is_head_request=True), Sent(FIRST + b"again")])
@example([Sent(FIRST + b"first"), Sent(FIRST + b"again"), Sent(HEADS[3] + 50 * b"x")])
@example([Sent(FIRST + b"first"), Sent(EARLY + FIRST + b"again"), Sent(FIRST + b"third")])
@example([Sent(FIRST + b"first"), Sent(FIRST + b"again", max_body=4)])
@example([Sent(HEADS[4])] * 3)
@given(st.lists(sent_responses(), min_size=2, max_size=6))
def test_each_response_is_read_like_the_first(answers: list[Sent]) -> None:
    """Earlier responses on a connection do not change how a response is read."""
    with ExchangeHarness() as wire:
        for one in answers:
            with ExchangeHarness() as fresh:
                alone = one.read(fresh)
            assert one.read(wire) == alone
            if isinstance(alone, str) or not alone.kept:
                break


@settings(max_examples=200)
@example([Sent(FIRST + b"first"), Sent(FIRST + b"again"), Sent(FIRST + b"surplus")])
@example([Sent(FIRST + b"first"), Sent(FIRST, is_head_request=True), Sent(FIRST + b"again")])
@example(
    [Sent(FIRST + b"first"), Sent(FIRST + b"again", cuts=(9,)), Sent(EARLY + FIRST + b"third")]
)
@example([Sent(FIRST + b"first"), Sent(FIRST + b"again", max_body=4)])
@example([Sent(HEADS[5] + b"first"), Sent(HEADS[5] + b"again")])
@given(st.lists(sent_responses(), min_size=2, max_size=6))
def test_each_response_is_read_like_the_first_on_another_connection(answers: list[Sent]) -> None:
    """Responses on other connections to the origin do not change how a response is read."""
    with contextlib.ExitStack() as wires:
        first = wires.enter_context(ExchangeHarness())
        for one in answers:
            with ExchangeHarness() as fresh:
                alone = one.read(fresh)
            assert one.read(wires.enter_context(ExchangeHarness(beside=first))) == alone


def test_connections_to_one_origin_share_the_last_head() -> None:
    """A head is validated and stored once for all connections that receive it."""
    first, second = BaseHttpResponse(), BaseHttpResponse()
    with ExchangeHarness() as wire, ExchangeHarness(beside=wire) as other:
        wire.drive(wire.connection.exchange(GET, first), [FIRST + b"first"], False)
        other.drive(other.connection.exchange(GET, second), [FIRST + b"again"], False)
    assert second.response_head is first.response_head
    assert (first.body, second.body) == (b"first", b"again")


def test_a_strict_request_shares_no_tolerated_head() -> None:
    """A head that was validated by tolerant rules is validated again for `strict=True`."""
    data = HEADS[2] + b"first"  # its lines end in a bare LF
    with ExchangeHarness() as wire, ExchangeHarness(beside=wire) as other:
        assert wire.read([data]).body == b"first"
        with pytest.raises(BadHttpResponse):
            other.read([data], strict=True)


def test_connections_share_parsers_of_each_kind() -> None:
    """A parser that served another connection reads new heads, chunks and strict messages alike."""
    tolerated = HEADS[2] + b"first"  # its lines end in a bare LF
    with ExchangeHarness() as first, ExchangeHarness(beside=first) as second:
        for data in (FIRST + b"first", CHUNKED, HEADS[1] + b"other") * 3:
            for wire in (first, second):
                assert wire.read([data[:30], data[30:]]) == read_response(data)
                assert wire.read([data], strict=True) == read_response(data)
                assert wire.read([tolerated]) == read_response(tolerated)
        with pytest.raises(BadHttpResponse):
            second.read([tolerated], strict=True)


@pytest.mark.parametrize(
    "broken",
    [FIRST + b"fi", HEADS[7] + b"3\r\na", HEADS[7] + b"x\r\n", b"HTTP/1.1 200\0\r\n\r\n"],
)
def test_a_parser_in_the_middle_of_a_message_is_not_shared(broken: bytes) -> None:
    """A message that was not read to its end leaves no parser to other connections."""
    with ExchangeHarness() as wire, ExchangeHarness(beside=wire) as other:
        for data in (HEADS[1] + b"other", CHUNKED):
            assert wire.read([data]) == read_response(data)
        with pytest.raises(AsksException):
            other.read([broken])
        for data in (FIRST + b"first", CHUNKED):
            assert wire.read([data]) == read_response(data)


def test_a_long_body_after_a_repeated_head() -> None:
    """A long body after a repeated head is received into its buffer; the next response is read as
    usual.
    """
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"
    with ExchangeHarness() as wire:
        for letter in (b"a", b"b", b"c"):
            body = letter * 300_000
            answer = wire.read([head + body[:70_000], body[70_000:200_000], body[200_000:]])
            assert answer.body == body
            assert answer.kept
        assert wire.read([HEADS[7] + b"3\r\nabc\r\n0\r\n\r\n"]).body == b"abc"


@pytest.mark.parametrize("cut", [1, len(FIRST) - 1, len(FIRST), len(FIRST) + 2])
def test_a_repeated_head_cut_anywhere(cut: int) -> None:
    """A repeated head gives the same response whole or in pieces, alone or with its body."""
    with ExchangeHarness() as wire:
        for body in (b"first", b"again", b"third"):
            data = FIRST + body
            answer = wire.read([data[:cut], data[cut:]])
            assert answer == read_response(data)
            assert answer.body == body
