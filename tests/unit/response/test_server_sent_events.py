"""The parser of server-sent events, held against the examples and rules of WHATWG HTML 9.2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asks_fast._response.server_sent_events import EventParser, ServerSentEvent
from asks_fast.errors import ResponseTooLarge


def parse(data: bytes, size: int | None = None, **arguments: object) -> list[ServerSentEvent]:
    """The events of `data`, given whole or `size` bytes at a time."""
    parser = EventParser(**arguments)  # type: ignore[arg-type]
    step = size or len(data) or 1
    return [
        event for at in range(0, len(data), step) for event in parser.feed(data[at : at + step])
    ]


def parse_every_way(data: bytes) -> list[ServerSentEvent]:
    """The events of `data`, which are the same whole, byte by byte and split at each place."""
    events = parse(data)
    assert parse(data, 1) == events
    for at in range(len(data)):
        parser = EventParser()
        assert [*parser.feed(data[:at]), *parser.feed(data[at:])] == events
    return events


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"data: YHOO\ndata: +2\ndata: 10\n\n", ["YHOO\n+2\n10"], id="joined lines"),
        pytest.param(b": test\n\ndata: a\nid: 1\n\ndata:b\nid\n\ndata:  c\n\n", ["a", "b", " c"],
                     id="comment, no blank, two blanks"),
        pytest.param(b"data\n\ndata\ndata\n\ndata:", ["", "\n"], id="no colon, incomplete end"),
        pytest.param(b"data:test\n\ndata: test\n\n", ["test", "test"], id="one blank is removed"),
        pytest.param(b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", ["a", "b", "c"], id="line ends"),
        pytest.param(b"data: a\r\n\rdata: b\r\r\n", ["a", "b"], id="mixed line ends"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", ["a"], id="one BOM"),
        pytest.param(b"data: \xff\xc3\n\n", ["\ufffd\ufffd"], id="not UTF-8"),
        pytest.param("data: Grüße\u2028x\x85\x0by\n\n".encode(), ["Grüße\u2028x\x85\x0by"],
                     id="other line separators"),
        pytest.param(b"Data: a\nDATA: b\n data: c\nfoo: d\n\n", [], id="unknown fields"),
        pytest.param(b"event: x\nid: 3\n\n", [], id="no data"),
        pytest.param(b"data: a", [], id="no end"),
        pytest.param(b"", [], id="empty"),
    ],
)  # fmt: skip
def test_data(data: bytes, expected: list[str]) -> None:
    """Data lines are joined by LF; an event without data or without an end is discarded."""
    assert [event.data for event in parse_every_way(data)] == expected


def test_types() -> None:
    """The type belongs to one event, and is "message" where there is none."""
    data = b"event: add\ndata: 1\n\ndata: 2\n\nevent: a\nevent\ndata: 3\n\nevent: x\n\ndata: 4\n\n"
    types = [event.event for event in parse_every_way(data)]
    assert types == ["add", "message", "message", "message"]


def test_ids() -> None:
    """An ID holds until the next one, an empty one resets it, and one with NUL is ignored."""
    data = b"id: 1\ndata: a\n\ndata: b\n\nid: 2\0\ndata: c\n\nid\ndata: d\n\nid: 5\n\ndata: e\n\n"
    assert [event.id for event in parse_every_way(data)] == ["1", "1", "1", "", "5"]


def test_an_id_counts_at_the_end_of_its_event() -> None:
    """The ID of an event that is not complete does not become the last event ID."""
    parser = EventParser("7")
    parser.feed(b"data: a\nid: 8\n")
    assert parser.last_event_id == "7"
    parser.feed(b"\n")
    assert parser.last_event_id == "8"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"1500", 1.5), (b"0", 0.0), (b"1e3", None), (b"-1", None), (b"", None), (b"9" * 99, None)],
    ids=["milliseconds", "zero", "not digits", "negative", "empty", "too long"],
)
def test_retry(value: bytes, seconds: float | None) -> None:
    """The reconnection time is a number of milliseconds in digits; everything else is ignored."""
    parser = EventParser()
    (event,) = parser.feed(b"retry: %b\ndata: a\n\n" % value)
    assert parser.retry == event.retry == seconds


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 101,
        b"data: 12345678\n" * 20,
        b"event: " + b"x" * 101 + b"\n",
        b"data: " + b"x" * 60 + b"\nid: " + b"x" * 60 + b"\n",
        b"id: 1234567890\n" * 20,
    ],
    ids=["a line without end", "data lines", "a type", "data and ID", "IDs"],
)
@pytest.mark.parametrize("size", [None, 1, 7], ids=["whole", "bytes", "pieces"])
def test_size_is_limited(data: bytes, size: int | None) -> None:
    """An event that has more than `max_event_size` bytes is an error before it is complete."""
    with pytest.raises(ResponseTooLarge, match="more than 100 bytes"):
        parse(data, size, max_event_size=100)


def test_many_small_events_are_no_large_one() -> None:
    """The limit is one for each event."""
    assert len(parse(b"data: 12345678\n\n" * 1000, max_event_size=100)) == 1000
    assert len(parse(b": 12345678\n" * 1000 + b"data: a\n\n", 3, max_event_size=100)) == 1


texts = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))


@given(
    st.lists(st.tuples(texts.filter(lambda t: "\0" not in t), texts, st.lists(texts, min_size=1))),
    st.sampled_from(["\n", "\r", "\r\n"]),
    st.integers(1, 9),
)
def test_round_trip(events: list[tuple[str, str, list[str]]], end: str, size: int) -> None:
    """Whatever is written by the rules is read as it was, in pieces of any size."""
    text = "".join(
        f"id: {ident}{end}event: {kind}{end}" + "".join(f"data: {d}{end}" for d in data) + end
        for ident, kind, data in events
    )
    expected = [
        ServerSentEvent("\n".join(data), kind or "message", ident) for ident, kind, data in events
    ]
    assert parse(text.encode(), size) == expected
