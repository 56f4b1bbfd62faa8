"""Where an answer ends, and what may follow (RFC 9112 §6): whole, byte by byte, cut everywhere."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

import pytest
from support.feeding import feed_all_ways
from support.wire import Answer, NeverEnds, answer_of

from asks_fast.errors import (
    BadHttpResponse,
    HeadTooLarge,
    ResponseTooLarge,
    ServerClosedConnectionError,
)

OLD_HTTPTOOLS = [int(part) for part in version("httptools").split(".")[:2]] < [0, 8]

_TIMES = re.compile(r" \[[0-9.]+ s after sending\]| after \d+ (?:of|bytes).*| in the middle.*")


def read(sample: bytes, **options: Any) -> Answer:
    """The one answer that all ways of cutting the sample give; the same for a stream."""

    def parse(pieces: list[bytes]) -> Answer:
        try:
            return answer_of(pieces, **options)
        except Exception as error:
            # What was seen so far differs with the cut, and so does the time.
            raise type(error)(_kind(str(error))) from None

    answer = feed_all_ways(sample, parse)
    assert feed_all_ways(sample, lambda pieces: answer_of(pieces, stream=True, **options)) == answer
    return answer


def _kind(text: str) -> str:
    return re.split(r"[:,]| \[| after | before | in the middle", text, maxsplit=3)[0]


def refused(sample: bytes, **options: Any) -> None:
    """Every way of cutting the sample is an error of the server's."""
    for stream in (False, True):

        def parse(pieces: list[bytes], stream: bool = stream) -> str:
            try:
                answer = answer_of(pieces, stream=stream, **options)
            except (BadHttpResponse, ServerClosedConnectionError) as error:
                named = str(error).startswith("GET http://h/x: ")
                return "refused" if named else str(error)
            return f"taken: {answer}"

        assert feed_all_ways(sample, parse) == "refused"


FIXED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_known_length() -> None:
    """A body of known length ends there, and the connection is kept."""
    answer = read(FIXED)
    assert (answer.status, answer.reason, answer.version) == (200, "OK", "1.1")
    assert answer.fields == [(b"Content-Length", b"5")]
    assert answer.body == b"hello"
    assert answer.kept


def test_empty_body() -> None:
    """Content-Length: 0 is a whole answer at its head."""
    answer = read(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert answer.body == b""
    assert answer.kept


def test_chunked() -> None:
    """Chunks are put together; sizes in any case, with leading zeros and spaces behind."""
    answer = read(CHUNKED + b"5\r\nhello\r\n00A\r\n0123456789\r\n1 \r\nx\r\n0\r\n\r\n")
    assert answer.body == b"hello0123456789x"
    assert answer.kept


def test_chunk_extensions() -> None:
    """Chunk extensions are read over (RFC 9112 §7.1.1)."""
    answer = read(CHUNKED + b'3;a=b;c="d"\r\nabc\r\n0;last\r\n\r\n')
    assert answer.body == b"abc"
    assert answer.kept


def test_trailers() -> None:
    """Trailers are kept apart from the head's fields, whatever they are called."""
    answer = read(CHUNKED + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\nEmpty:\r\n\r\n")
    assert answer.trailers == [(b"X-Sum", b"1"), (b"Set-Cookie", b"a=b"), (b"Empty", b"")]
    assert answer.fields == [(b"Transfer-Encoding", b"chunked")]
    assert answer.kept


def test_framing_fields_as_trailers() -> None:
    """A framing field among the trailers frames nothing, here or in the next answer."""
    answer = read(CHUNKED + b"2\r\nhi\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert answer.body == b"hi"
    assert answer.trailers == [(b"Transfer-Encoding", b"chunked")]


def test_end_by_close() -> None:
    """Without a length the body ends with the connection, which is never kept."""
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
def test_answer_to_head(sample: bytes) -> None:
    """An answer to HEAD ends with its head, whatever length it tells; the connection is kept."""
    answer = read(sample, headless=True, closes=False)
    assert answer.body == b""
    assert answer.kept


def test_answer_to_head_with_a_body() -> None:
    """A body behind the answer to HEAD is never the next answer: the connection is dropped."""
    answer = read(FIXED, headless=True)
    assert answer.body == b""
    assert not answer.kept


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize(
    "field", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]
)
def test_status_without_body(status: bytes, field: bytes) -> None:
    """204 and 304 end with their head, whatever they announce (RFC 9112 §6.3)."""
    answer = read(b"HTTP/1.1 " + status + b"\r\n" + field + b"\r\n", closes=False)
    assert answer.body == b""
    assert answer.kept


def test_204_with_a_body() -> None:
    """What stands behind a 204 is surplus."""
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
def test_interim_answers(status: int, field: bytes) -> None:
    """1xx are kept for those who ask, and are never the answer, whatever their fields say."""
    interim = b"HTTP/1.1 %d Hm\r\n%b\r\n" % (status, field)
    answer = read(interim + b"HTTP/1.1 100 Continue\r\n\r\n" + FIXED)
    assert [seen for seen, _ in answer.interim] == [status, 100]
    assert answer.status == 200
    assert answer.body == b"hello"
    assert answer.kept


def test_interim_fields_are_not_merged() -> None:
    """The fields of a 1xx stay with it."""
    answer = read(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX: 1\r\n\r\n" + FIXED)
    assert answer.interim == [(103, [(b"Link", b"</a>"), (b"X", b"1")])]
    assert answer.fields == [(b"Content-Length", b"5")]


def test_unasked_101() -> None:
    """101 is an error: nobody asked for another protocol (RFC 9110 §15.2.2)."""
    refused(b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + FIXED)


def test_upgrade_offer_on_a_final_answer() -> None:
    """A final answer that offers an upgrade is read as any other."""
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
def test_who_keeps_alive(head: bytes, kept: bool) -> None:
    """HTTP/1.1 unless some Connection field says close, HTTP/1.0 only if one says keep-alive."""
    answer = read(head + b"\r\nhi")
    assert answer.body == b"hi"
    assert answer.kept is kept


def test_chunked_in_http_1_0() -> None:
    """Chunked in HTTP/1.0 is read, and the connection not trusted after it (RFC 9112 §6.1)."""
    answer = read(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nhi\r\n0\r\n\r\n"
    )
    assert answer.body == b"hi"
    assert not answer.kept


@pytest.mark.parametrize(
    "sample",
    [
        b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length:2\r\n\r\nhi",
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: \t 2 \t\r\n\r\nhi",
            marks=pytest.mark.skipif(
                OLD_HTTPTOOLS, reason="httptools before 0.8 refuses a tab behind the length"
            ),
        ),
        b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 02\r\n\r\nhi",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\nX: y\r\n\nhi",
        b"HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked \r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\r\nhi\r\n0\r\n\r\n",
    ],
)
def test_forgiven_forms(sample: bytes) -> None:
    """What browsers read, and can't be turned against anyone, is read."""
    assert read(sample).body == b"hi"


@pytest.mark.parametrize(
    "sample",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\nX: y\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nA: b\x01c\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\n\r\n",
    ],
)
def test_strict_forgives_nothing(sample: bytes) -> None:
    """`strict=True` refuses what is only forgiven otherwise."""
    assert answer_of(sample).body == b"hi"
    refused(sample, limits={"strict": True})


def test_a_fold_in_another_field_is_a_space() -> None:
    """A line fold is read as a space, and what it holds frames nothing (RFC 9112 §5.2)."""
    answer = read(b"HTTP/1.1 200 OK\r\nA: b\r\n  c\r\n\tContent-Length: 9\r\nX:\r\n d\r\n\r\nhi")
    assert answer.fields == [(b"A", b"b c Content-Length: 9"), (b"X", b"d")]
    assert answer.body == b"hi"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length:\r\n 2\r\n",
        b"Content-Length: 2\r\n 3\r\n",
        b" Content-Length: 2\r\n",
        b"\tX: y\r\nContent-Length: 2\r\n",
        b"X: y\r\nContent-Length: 2\r\n 3\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"Transfer-Encoding: chunked\r\n x\r\n",
    ],
)
def test_no_fold_beside_framing(head: bytes) -> None:
    """A line fold never continues a framing field, nor stands before the first field."""
    refused(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n2\r\nhi\r\n0\r\n\r\n")


LENGTHS = [
    b"+2",
    b"-2",
    b"2x",
    b"0x2",
    b"1_0",
    b"2.0",
    b"2 2",
    b"2,2",
    b"2, 3",
    b"",
    b" ",
    b"\xd9\xa2",
    b"1" * 19,
    b"9" * 5000,
    b"18446744073709551618",
    b"2\x0b",
    b"2;",
]


@pytest.mark.parametrize("length", LENGTHS, ids=lambda length: repr(length[:20]))
def test_malformed_length(length: bytes) -> None:
    """Content-Length is 1*DIGIT and of a size that exists; anything else is refused."""
    sample = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\nhi"
    if len(sample) > 500:
        with pytest.raises(BadHttpResponse):
            answer_of(sample)
    else:
        refused(sample)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chun\xe2\x84\xaaed\r\n",
        b"Transfer-Encoding: chunked\x0b\r\n",
        b'Transfer-Encoding: "chunked"\r\n',
        b"Transfer-Encoding: chunked;q=1\r\n",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: \r\n",
        b"Content-Length : 2\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length\t: 2\r\n",
        b"no colon\r\n",
        b": empty name\r\n",
        b"A\x00B: c\r\n",
        b"A: b\x00c\r\n",
        b"A: b\rc\r\n",
        b"A: b\r\r\n",
        b"A: \r\r\n",
        b"A: \rContent-Length: 2\r\n",
        b"A: \r\rB: c\r\n",
        b"A\xe4: b\r\n",
        b"A B: c\r\n",
        b"(a): b\r\n",
    ],
)
def test_malformed_fields(fields: bytes) -> None:
    """Ambiguous framing and broken field lines are refused, never guessed at."""
    refused(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n2\r\nhi\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 2x0 OK",
        b"HTTP/1.1 -12 OK",
        b"HTTP/1.1 000 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 " + b"1" * 100,
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1\t200 OK",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 200\tOK",
        b"HTTP/1.2 200 OK",
        b"HTTP/1.10 200 OK",
        b"HTTP/0.9 200 OK",
        b"HTTP/2.0 200 OK",
        b"HTTP/2 200 OK",
        b"HTTP/3 200 OK",
        b"http/1.1 200 OK",
        b"HTTP 1.1 200 OK",
        b"RTSP/1.0 200 OK",
        b"ICE/1.0 200 OK",
        b"ICY 200 OK",
        b"<html>hello</html>",
        b"SSH-2.0-OpenSSH_9.2",
        b"\x15\x03\x01\x00\x02\x02F",
        b"GET / HTTP/1.1",
        b" HTTP/1.1 200 OK",
        b"\r\nHTTP/1.1 200 OK",
        b"HTTP/1.1 200 a\rb",
        b"HTTP/1.1 200 a\x00b",
    ],
)
def test_status_lines_that_are_none(line: bytes) -> None:
    """A status line is `HTTP/1.0` or `HTTP/1.1`, a space, three digits, to the byte."""
    refused(line + b"\r\nContent-Length: 2\r\n\r\nhi")


def test_no_head_at_all() -> None:
    """A page without a head, as in HTTP/0.9, is no answer."""
    refused(b"hello world\r\n")


@pytest.mark.parametrize(
    "body",
    [
        b"x\r\nhi\r\n0\r\n\r\n",
        b"\r\nhi\r\n0\r\n\r\n",
        b"-2\r\nhi\r\n0\r\n\r\n",
        b"+2\r\nhi\r\n0\r\n\r\n",
        b"0x2\r\nhi\r\n0\r\n\r\n",
        b"2\nhi\r\n0\r\n\r\n",
        b"2\r\nhi\n0\r\n\r\n",
        b"2\r\nhiXX0\r\n\r\n",
        b"2\r\nhi0\r\n\r\n",
        b"2;x\nhi\r\n0\r\n\r\n",
        b"2\r\nhi\r\n0\n\n",
        b"10000000000000002\r\nhi\r\n0\r\n\r\n",
        b"2\r\nhi\r\n0\r\nno colon\r\n\r\n",
        b"2\r\nhi\r\n0\r\nA : b\r\n\r\n",
        b"2\r\nhi\r\n0\r\nA: b\x00c\r\n\r\n",
        b"2\r\nhi\r\n0\r\nA: b\rc\r\n\r\n",
        b"2\r\nhi\r\n0\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_malformed_chunks(body: bytes) -> None:
    """Chunk sizes are hexadecimal, lines end in CRLF, trailers are fields like any other."""
    refused(CHUNKED + body)


@pytest.mark.parametrize(
    "sample",
    [
        FIXED,
        CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + FIXED,
    ],
)
def test_cut_short(sample: bytes) -> None:
    """An answer that is cut off anywhere is an error that says how much came."""
    for cut in range(len(sample)):
        for pieces in ([sample[:cut]] if cut else [], [sample[i : i + 1] for i in range(cut)]):
            for stream in (False, True):
                with pytest.raises(ServerClosedConnectionError, match=r"^GET http://h/x: "):
                    answer_of(pieces, stream=stream)


def test_a_peer_that_says_nothing_more_is_waited_for() -> None:
    """Without an end of input an unfinished answer waits, and ends nothing by itself."""
    with pytest.raises(NeverEnds):
        answer_of(FIXED[:-1], closes=False)


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
    """Bytes behind the end, however cut, spoil nothing but the connection: it is never reused."""
    alone = answer_of(sample)
    assert alone.kept
    answer = read(sample + surplus)
    assert not answer.kept
    assert (answer.status, answer.body, answer.trailers) == (200, alone.body, alone.trailers) or (
        alone.status != 200 and answer.status == alone.status and answer.body == b""
    )


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
                answer_of(pieces, max_body=4)


def test_a_length_beyond_the_limit_is_refused_at_the_head() -> None:
    """Too long a body is refused on its announcement, before any of it is received."""
    with pytest.raises(ResponseTooLarge, match="1000000 bytes, max_body is 10"):
        answer_of(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", max_body=10, closes=False)


def test_head_of_exactly_the_limit() -> None:
    """A head of 64 KiB to the byte passes, one byte more does not; byte by byte as well."""
    frame = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: %b\r\n\r\n"
    room = 65536 - len(frame % b"")
    fits, bursts = frame % (b"a" * room), frame % (b"a" * (room + 1))
    assert len(fits) == 65536
    for cut in (1, 7, 65535, 65536):
        pieces = [fits[i : i + cut] for i in range(0, len(fits), cut)]
        assert answer_of(pieces).kept
        pieces = [bursts[i : i + cut] for i in range(0, len(bursts), cut)]
        with pytest.raises(HeadTooLarge, match="65536"):
            answer_of(pieces)


def test_number_of_fields() -> None:
    """256 fields pass, 257 do not."""

    def head(number: int) -> bytes:
        return b"HTTP/1.1 204 No\r\n" + b"A: b\r\n" * number + b"\r\n"

    assert len(answer_of(head(256)).fields) == 256
    with pytest.raises(HeadTooLarge, match="256"):
        answer_of(head(257))


def test_number_of_trailers() -> None:
    """Trailers are counted like fields."""
    start = CHUNKED + b"1\r\nx\r\n0\r\n"
    assert len(answer_of(start + b"A: b\r\n" * 256 + b"\r\n").trailers) == 256
    with pytest.raises(HeadTooLarge, match="256"):
        answer_of(start + b"A: b\r\n" * 257 + b"\r\n")


def test_endless_head() -> None:
    """A head that never ends is refused once it is too large, not when memory is out."""
    endless = [b"HTTP/1.1 200 OK\r\n"] + [b"X-Filler: %b\r\n" % (b"y" * 1000)] * 1000
    with pytest.raises(HeadTooLarge):
        answer_of(endless, closes=False)
    with pytest.raises(HeadTooLarge):
        answer_of([b"HTTP/1.1 200 " + b"x" * 70000], closes=False)


def test_interim_flood() -> None:
    """16 interim answers pass, 17 do not."""
    one = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert len(answer_of(one * 16 + FIXED).interim) == 16
    for pieces in ([one * 17 + FIXED], [one] * 17 + [FIXED], [one * 20000]):
        with pytest.raises(HeadTooLarge, match="16"):
            answer_of(pieces)


def test_interim_heads_in_all() -> None:
    """All interim answers together have the room of one head, however few they are."""
    one = b"HTTP/1.1 103 Early Hints\r\nLink: %b\r\n\r\n" % (b"x" * 20_000)
    assert len(answer_of(one * 3 + FIXED).interim) == 3
    for pieces in ([one * 4 + FIXED], [one] * 4 + [FIXED]):
        with pytest.raises(HeadTooLarge, match="interim answers have more than 65536 bytes"):
            answer_of(pieces)


def test_interim_split_within_is_counted_once() -> None:
    """An interim answer cut in two is one interim answer."""
    one = b"HTTP/1.1 100 Continue\r\n\r\n"
    pieces = [piece for _ in range(16) for piece in (one[:9], one[9:] + b"")] + [FIXED]
    assert len(answer_of(pieces).interim) == 16
    joined = one * 16 + FIXED
    cut = [joined[i : i + 30] for i in range(0, len(joined), 30)]
    assert len(answer_of(cut).interim) == 16


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
    """Framing without end is refused, also behind a large body that would make it look small."""
    begun = b"%x\r\n%b\r\n" % (body, b"z" * body) if body else b""
    sample = CHUNKED + begun + flood
    pieces = [sample[i : i + 65536] for i in range(0, len(sample), 65536)]
    with pytest.raises(BadHttpResponse):
        answer_of(pieces, closes=False)


def test_many_small_chunks() -> None:
    """A body in chunks of one byte costs time and memory in proportion to its length."""
    body = bytes(range(256)) * 1000
    sample = CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    pieces = [sample[i : i + 65536] for i in range(0, len(sample), 65536)]
    answer = answer_of(pieces)
    assert answer.body == body
    assert answer.kept
    streamed = answer_of(pieces, stream=True)
    assert streamed.body == body
    assert len(streamed.pieces) <= len(pieces)


@pytest.mark.parametrize("size", [65535, 65536, 65537, 300_000, 1 << 21])
def test_long_bodies(size: int) -> None:
    """A long body is the same over every path that receives one."""
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    fixed = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(body[i : i + 70000]), body[i : i + 70000])
        for i in range(0, size, 70000)
    )
    for sample in (fixed, CHUNKED + chunks + b"0\r\n\r\n"):
        for cut in (1000, 65536, 100_000):
            pieces = [sample[i : i + cut] for i in range(0, len(sample), cut)]
            answer = answer_of(pieces)
            assert answer.body == body
            assert answer.kept
            assert answer_of(pieces, stream=True).body == body


def test_long_body_cut_short() -> None:
    """A long body that ends early says how much of it came."""
    sample = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 150_000
    with pytest.raises(ServerClosedConnectionError, match="after 150000 of 200000 bytes"):
        answer_of(sample)


def test_long_body_with_surplus() -> None:
    """Bytes behind a long body drop the connection too."""
    sample = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
    assert answer_of(sample).kept
    assert not answer_of(sample + b"HTTP/1.1 200 OK\r\n").kept


def test_a_length_of_ten_terabytes_takes_no_memory() -> None:
    """Memory is set aside for bytes that come, not for bytes that are announced."""
    with pytest.raises(ServerClosedConnectionError, match="of 10000000000000 bytes"):
        answer_of(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000000\r\n\r\nhi")


def test_small_receive_buffer() -> None:
    """The size of the receive buffer is a matter of speed alone."""
    sample = b"HTTP/1.1 103 Hint\r\n\r\n" + CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"
    for buffer in (1, 2, 7, 64):
        assert answer_of(sample, buffer=buffer) == answer_of(sample)


def test_error_texts() -> None:
    """An error names the request, what was seen, cut short, and the time it took."""
    with pytest.raises(BadHttpResponse) as caught:
        answer_of(b"\x1b[2J<html>" + b"x" * 1000)
    text = str(caught.value)
    assert text.startswith("GET http://h/x: this is no HTTP/1.x: b'\\x1b[2J<html>")
    assert text.endswith(" s after sending]")
    assert len(text) < 250


def test_two_answers_one_after_the_other() -> None:
    """A kept connection serves the next exchange with nothing left of the last."""
    from support.wire import Wire

    kinds: list[tuple[bytes, dict[str, Any], bytes]] = [
        (FIXED, {}, b"hello"),
        (CHUNKED + b"2\r\nhi\r\n0\r\nT: u\r\n\r\n", {}, b"hi"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", {"headless": True}, b""),
        (b"HTTP/1.1 103 E\r\nContent-Length: 3\r\n\r\nHTTP/1.1 204 No\r\n\r\n", {}, b""),
        (b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", {}, b""),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", {}, b"hi"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000, {}, b"x" * 70000),
    ]
    with Wire() as wire:
        for _ in range(2):
            for first, options, body in kinds:
                for second, more, rest in kinds:
                    assert wire.read([first], **options).body == body
                    answer = wire.read([second[:40], second[40:]], **more)
                    assert answer.body == rest
                    assert answer.kept
                    assert not (answer.trailers and b"T: u" not in second)
