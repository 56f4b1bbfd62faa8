"""Which malformed responses are accepted, and which are errors (RFC 9112 §2.2, §5)."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from support.exchange_harness import ExchangeHarness, read_response
from support.framing import CHUNKED, FIXED, assert_rejected, read

from asks_fast.errors import BadHttpResponse, ServerClosedConnectionError

OLD_HTTPTOOLS = [int(part) for part in version("httptools").split(".")[:2]] < [0, 8]


@pytest.mark.parametrize(
    "sample",
    [
        b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length:2\r\n\r\nhi",
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: \t 2 \t\r\n\r\nhi",
            marks=pytest.mark.skipif(
                OLD_HTTPTOOLS, reason="httptools before 0.8 rejects a tab after the length"
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
def test_tolerated_forms(sample: bytes) -> None:
    """Malformed responses that browsers accept and that are no security risk are accepted."""
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
def test_strict_tolerates_nothing(sample: bytes) -> None:
    """`strict=True` rejects what is otherwise tolerated."""
    assert read_response(sample).body == b"hi"
    assert_rejected(sample, strict=True)


CHUNKS = b"2\r\nhi\r\n0\r\n\r\n"

AMBIGUOUS = {
    "twice": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    "thrice": b"Content-Length: 2\r\nX: y\r\ncontent-length:2\r\nCONTENT-LENGTH: 02\r\n\r\nhi",
    "list": b"Content-Length: 2, 2\r\n\r\nhi",
    "list_without_spaces": b"Content-Length: 2,2,2\r\n\r\nhi",
    "list_and_field": b"Content-Length: 2 , 2\r\nContent-Length: 2\r\n\r\nhi",
    "bare_line_ends": b"Content-Length: 2\nContent-Length: 2\n\nhi",
    "length_before_chunked": b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "length_after_chunked": b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n" + CHUNKS,
    "other_length": b"Transfer-Encoding: chunked\r\nContent-Length: 900\r\n\r\n" + CHUNKS,
    "zero_length": b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "twice_and_chunked": (
        b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n" + CHUNKS
    ),
    "chunked_after_bare_line_ends": (b"Content-Length: 2\nTransfer-Encoding: chunked\n\n" + CHUNKS),
}


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_ambiguous_length(rest: bytes, version: bytes) -> None:
    """Equal lengths, or a length beside chunked: the body is read, then the connection closes.

    Chunked overrides the length (RFC 9112 §6.3). The fields stay as they were received.
    """
    sample = b"HTTP/" + version + b" 200 OK\r\nConnection: keep-alive\r\n" + rest
    answer = read(sample)
    assert answer.body == b"hi"
    assert not answer.kept
    received = sum(line.lower().startswith(b"content-length") for line in rest.split(b"\n"))
    assert len([name for name, _ in answer.fields if name.lower() == b"content-length"]) == received
    assert_rejected(sample, strict=True)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    ],
)
@pytest.mark.parametrize(
    ("status", "is_head_request"), [(b"200", True), (b"204", False), (b"304", False)]
)
def test_ambiguous_length_without_a_body(
    fields: bytes, status: bytes, is_head_request: bool
) -> None:
    """A response without a body may have ambiguous lengths; nothing is read after its head."""
    sample = b"HTTP/1.1 " + status + b" OK\r\n" + fields + b"\r\n"
    answer = read(sample, is_head_request=is_head_request)
    assert (answer.body, answer.kept) == (b"", False)
    assert_rejected(sample, is_head_request=is_head_request, strict=True)


def test_chunked_in_http_1_0() -> None:
    """Transfer-Encoding in HTTP/1.0 is faulty framing (RFC 9112 §6.1): read, then closed."""
    head = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = read(head + CHUNKS)
    assert (answer.body, answer.kept) == (b"hi", False)
    assert_rejected(head + CHUNKS, strict=True)


@pytest.mark.parametrize("fields", [b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_framing_of_an_interim_response(fields: bytes) -> None:
    """An interim response has no body, whatever its fields say."""
    sample = b"HTTP/1.1 103 Early Hints\r\n" + fields + b"\r\n" + FIXED
    answer = read(sample)
    assert (answer.status, answer.body, len(answer.interim)) == (200, b"hello", 1)
    assert_rejected(sample, strict=True)


@pytest.mark.parametrize("size", [70_000, 3_000_000])
def test_ambiguous_length_of_a_long_body(size: int) -> None:
    """A long body is received into its final buffer; the connection closes after it as well."""
    body = bytes(range(250)) * (size // 250)
    length = b"Content-Length: %d\r\n" % size
    answer = read_response([b"HTTP/1.1 200 OK\r\n" + length * 2 + b"\r\n", body])
    assert (answer.body, answer.kept) == (body, False)
    chunked = b"".join(b"%x\r\n%b\r\n" % (250, body[:250]) for _ in range(size // 250))
    head = b"HTTP/1.1 200 OK\r\n" + length + b"Transfer-Encoding: chunked\r\n\r\n"
    answer = read_response([head, chunked + b"0\r\n\r\n"])
    assert (answer.body, answer.kept) == (body, False)


def test_ambiguous_length_cut_short() -> None:
    """A body that ends before its length is an error, with ambiguous lengths too."""
    for rest in AMBIGUOUS.values():
        with pytest.raises(ServerClosedConnectionError):
            read_response(b"HTTP/1.1 200 OK\r\n" + rest[:-1])


def test_strict_belongs_to_one_message() -> None:
    """One connection reads a strict message, a lenient one, and a strict one again."""
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    folded = b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nhi"
    with ExchangeHarness() as wire:
        for sample, strict in ((good, True), (folded, False), (folded, False), (good, True)):
            answer = wire.read([sample], closes=False, strict=strict)
            assert (answer.body, answer.kept) == (b"hi", True)
        with pytest.raises(BadHttpResponse):
            wire.read([folded], strict=True)


def test_a_fold_in_another_field_is_a_space() -> None:
    """A line fold is read as a space, and its content has no effect on framing (RFC 9112 §5.2)."""
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
def test_no_fold_in_framing_fields(head: bytes) -> None:
    """A line fold in a framing field or before the first field is an error."""
    assert_rejected(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n2\r\nhi\r\n0\r\n\r\n")


LENGTHS = [
    b"+2",
    b"-2",
    b"2x",
    b"0x2",
    b"1_0",
    b"2.0",
    b"2 2",
    b"2, 3",
    b"2,",
    b",2",
    b"2,,2",
    b"2, +2",
    b"2;2",
    b"2, 0x2",
    b"2," * 9 + b"3",
    b"2, " + b"0" * 18 + b"2",
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
    """Content-Length is 1*DIGIT and fits 64 bits; anything else is an error."""
    sample = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\nhi"
    if len(sample) > 500:
        with pytest.raises(BadHttpResponse):
            read_response(sample)
    else:
        assert_rejected(sample)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2\r\nContent-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2, 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2\r\nContent-Length: x\r\n",
        b"Content-Length: 2\r\nContent-Length:\r\n 2\r\n",
        b"Content-Length: 2\r\nContent-Length : 2\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: x\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: gzip, chunked\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: identity\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
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
    """Ambiguous framing and invalid field lines are errors."""
    assert_rejected(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n2\r\nhi\r\n0\r\n\r\n")


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
def test_invalid_status_lines(line: bytes) -> None:
    """A status line is exactly `HTTP/1.0` or `HTTP/1.1`, a space and three digits."""
    assert_rejected(line + b"\r\nContent-Length: 2\r\n\r\nhi")


def test_no_head_at_all() -> None:
    """A body without a head, as in HTTP/0.9, is an error."""
    assert_rejected(b"hello world\r\n")


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
    """Chunk sizes are hexadecimal, lines end in CRLF, and trailers are valid fields."""
    assert_rejected(CHUNKED + body)


@pytest.mark.parametrize(
    "sample",
    [
        FIXED,
        CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + FIXED,
    ],
)
def test_cut_short(sample: bytes) -> None:
    """The error of a truncated response says how much arrived."""
    for cut in range(len(sample)):
        for pieces in ([sample[:cut]] if cut else [], [sample[i : i + 1] for i in range(cut)]):
            for stream in (False, True):
                with pytest.raises(ServerClosedConnectionError, match=r"^GET http://h/x: "):
                    read_response(pieces, stream=stream)
