"""Text and JSON of a response: equal for whole and streamed bodies, and their errors."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from support.script_steps import drip, expect, repeat, send
from support.scripted_server import MakePeer

from asks_fast import HSession
from asks_fast._response import compression_backends, content_decoder
from asks_fast.errors import AsksException, DecodingError, JsonDecodeError, UnknownEncoding

TEXT = "Grüße\nzweite €\r\ndritte\rvierte 𝄞"


def answer(body: bytes, kind: str = "text/plain", more: str = "") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (codecs.BOM_UTF8 + TEXT.encode(), "text/plain"),
        (codecs.BOM_UTF8 + TEXT.encode(), "text/plain; charset=utf-8"),
        (TEXT.encode("utf-16"), "text/plain"),
        (TEXT.encode("utf-16"), "text/plain; charset=utf-16"),
        (TEXT.encode("utf-16-le"), "text/plain; charset=utf-16"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "text/plain; charset=UTF-16"),
        (TEXT.encode("utf-32"), "text/plain"),
        (codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"), "text/plain"),
        (TEXT.encode("utf-32-le"), "text/plain; charset=utf-32"),
        (TEXT.encode("gb18030"), "text/plain; charset=gb2312"),
        (TEXT.encode(), "text/plain; charset=utf-7"),
        (TEXT.encode(), "text/plain; charset=punycode"),
    ],
)
async def test_whole_and_streamed_text_are_equal(peer: MakePeer, body: bytes, kind: str) -> None:
    """`text`, `body.text()` and `body.lines()` give the same text, without a byte order mark."""
    server = peer([repeat(expect(), drip(answer(body, kind), 1, 0.0))])
    async with HSession(server.url) as session:
        assert (await session.get()).text == TEXT
        response: Any = await session.get(stream=True)
        assert "".join([piece async for piece in response.body.text()]) == TEXT
        response = await session.get(stream=True)
        lines = [line async for line in response.body.lines()]
        assert lines == ["Grüße", "zweite €", "dritte", "vierte 𝄞"]


@pytest.mark.parametrize(
    "text", ["", "a", "a\n", "a\r\n\r\nb", "\n\n", "a\rb\r", "1\u20282\x0b3\x854\n"]
)
async def test_lines(peer: MakePeer, text: str) -> None:
    """Lines end in CR, LF or both, whole and streamed; other separators are characters."""
    server = peer([repeat(expect(), send(answer(text.encode())))])
    async with HSession(server.url) as session:
        whole = (await session.get()).iter_lines()
        response: Any = await session.get(stream=True)
        assert [line async for line in response.body.lines()] == whole
        assert whole == [line.rstrip("\r\n") for line in io.StringIO(text, newline=None)]


async def test_unknown_encoding(peer: MakePeer) -> None:
    """An `encoding` that Python does not know raises the same error for whole and streamed text."""
    server = peer([repeat(expect(), send(answer(b"x")))])
    async with HSession(server.url) as session:
        with pytest.raises(UnknownEncoding, match="no such thing"):
            await session.get(encoding="no such thing")
        whole = await session.get()
        whole.encoding = "no such thing"
        with pytest.raises(UnknownEncoding, match="no such thing"):
            whole.text  # noqa: B018
        response: Any = await session.get(stream=True)
        response.encoding = "rot13"
        with pytest.raises(UnknownEncoding, match="rot13"):
            response.body.text()
        await response.body.close()


DOCUMENTS = [
    (b'{"a": "\xc3\xa9"}', "application/json", {"a": "é"}),
    (b'["\xe9"]', "application/json; charset=latin-1", ["é"]),
    (b'["\xc3\xa9"]', "application/json;charset=UTF-8", ["é"]),
    (b'["\xe9"]', "application/json; charset=utf-8", ["\ufffd"]),
    (b'["\xc3\xa9"]', 'application/json; charset="utf-8"', ["é"]),
    (b'["\xe9"]', "application/json; profile=x; charset=iso-8859-1", ["é"]),
    (b'["\xc3\xa9"]', "application/ld+json; profile=x", ["é"]),
    (b'["\xc3\xa9"]', "application/x-charset; charset=utf-8", ["é"]),
    ('["é"]'.encode("utf-16-le"), "application/json", ["é"]),
    (b' {"a": 1}\n', "application/json; charset=utf-8", {"a": 1}),
    (b"[]", "", []),
    (b'"\xc3\xa9"', "application/json", "é"),
]


async def test_charset_of_json(peer: MakePeer) -> None:
    """A declared charset is used, else that of the first bytes, whatever the last response had."""
    answers = [send(answer(body, kind)) for body, kind, _ in DOCUMENTS for _ in range(2)]
    server = peer([repeat(*[step for send_one in answers for step in (expect(), send_one)])])
    async with HSession(server.url) as session:
        for _, kind, document in DOCUMENTS:
            for looks_at_headers in (False, True):
                response = await session.get()
                if looks_at_headers:
                    assert response.headers["content-type"] == kind
                assert (kind, response.json()) == (kind, document)
                assert response.json(parse_int=int) == document


async def test_charset_of_assigned_headers(peer: MakePeer) -> None:
    """Fields that a program assigns to one response do not count for another with the same head."""
    other_kind, kind = (f"application/json; charset={name}" for name in ("utf-8", "latin-1"))
    answers = [expect(), send(answer('["é"]'.encode(), kind))] * 3
    server = peer([expect(), send(answer(b"{}", other_kind)), *answers])
    async with HSession(server.url) as session:
        other = await session.get()
        assert (await session.get()).json() == ["Ã©"]
        changed = await session.get()
        changed.headers = other.headers
        assert changed.json() == ["é"]
        assert (await session.get()).json() == ["Ã©"]


NOT_JSON = {
    "html": (b"<!doctype html><title>Log in</title>", "text/html", r"'<!doctype html>.*Expecting"),
    "empty": (b"", "application/json", "begins with nothing: Expecting value"),
    "cut": (b'{"a": ', "application/json", "Expecting value: line 1 column 7"),
    "bytes": (b"\x80\x81", "application/json", r"'\\x80\\x81': 'utf-8' codec"),
    "deep": (b"[" * 100_000, "application/json", r"nested too deeply"),
    "digits": (b"1" * 10_000, "application/json", "4300"),
    "utf-16": ("{".encode("utf-16"), "application/json", "Expecting property name"),
    "latin": (b'{"a": \xe9', "application/json; charset=latin-1", "Expecting value"),
    "escapes": (b"\x1b[2J\x1b]0;x\x07", "text/\x1b[2J", r"text/\\x1b\[2J"),
}


@pytest.mark.parametrize(("body", "kind", "words"), NOT_JSON.values(), ids=NOT_JSON)
async def test_invalid_json(peer: MakePeer, body: bytes, kind: str, words: str) -> None:
    """A body that is not JSON raises an `AsksException` and `JSONDecodeError` that shows its
    beginning.
    """
    server = peer([repeat(expect(), send(answer(body, kind)))])
    async with HSession(server.url) as session:
        for options in ({}, {"normalize_url": True}):
            response = await session.get(path="/x", **options)
            with pytest.raises(JsonDecodeError, match=words) as caught:
                response.json()
            error = caught.value
            assert isinstance(error, AsksException)
            assert isinstance(error, json.JSONDecodeError)
            assert str(error).startswith(f"GET {server.url}/x: the body of this 200 response ('")
            assert str(error).isprintable()
            assert len(str(error)) < 600
            assert error.response is response
            with pytest.raises(JsonDecodeError):
                response.json(parse_float=str)


async def test_invalid_json_error_names_the_position(peer: MakePeer) -> None:
    """The error has the attributes of json's own, and can be pickled."""
    server = peer([repeat(expect(), send(answer(b'{\n"a": x}')))])
    async with HSession(server.url) as session:
        with pytest.raises(JsonDecodeError) as caught:
            (await session.get()).json()
    error = caught.value
    assert (error.lineno, error.colno, error.pos, error.doc) == (2, 6, 7, '{\n"a": x}')
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.pos) == (str(error), 7)


async def test_json_library(peer: MakePeer) -> None:
    """Errors of `json_loads` become ours; it receives bytes in UTF-8, or text."""
    orjson = pytest.importorskip("orjson")
    others = [codecs.BOM_UTF8 + b"[1]", "[1]".encode("utf-16"), "[1]".encode("utf-16-be")]
    bodies = [b"<p>", *others, b"[1]"]
    server = peer([step for body in bodies for step in (expect(), send(answer(body)))])
    async with HSession(server.url, json_loads=orjson.loads) as session:
        with pytest.raises(JsonDecodeError, match="'<p>'"):
            (await session.get()).json()
        for _ in bodies[1:]:
            assert (await session.get()).json() == [1]


async def test_json_with_invalid_bytes(peer: MakePeer) -> None:
    """With a charset invalid bytes become U+FFFD; without one the body is not JSON."""
    body = b'["\xff"]'
    with_charset = answer(body, "application/json; charset=utf-8")
    server = peer([expect(), send(with_charset), expect(), send(answer(body))])
    async with HSession(server.url) as session:
        assert (await session.get()).json() == ["\ufffd"]
        with pytest.raises(JsonDecodeError, match="codec can't decode"):
            (await session.get()).json()


async def test_corrupt_body_is_a_decoding_error(peer: MakePeer) -> None:
    """A body that does not decompress raises `DecodingError` from `json()` too."""
    body = gzip.compress(b"[1]")[:-4]
    server = peer([repeat(expect(), send(answer(body, more="Content-Encoding: gzip\r\n")))])
    async with HSession(server.url) as session:
        with pytest.raises(DecodingError, match="cut short"):
            (await session.get()).json()


@pytest.fixture
def without_libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No library for br and zstd is installed."""
    caches = (
        compression_backends._module,
        compression_backends.installed,
        content_decoder._supported,
    )
    for name in ("brotli", "zstandard", "backports.zstd", "compression.zstd", "_zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(compression_backends._per_thread, "zstd", None, raising=False)
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("without_libraries")
@pytest.mark.parametrize("coding", ["br", "zstd"])
async def test_missing_library(peer: MakePeer, coding: str) -> None:
    """Errors of text and JSON that could not be decompressed name the package to install."""
    body = b"\x0b\x02\x80[1, 2]\xff\xfe"
    sample = answer(body, "application/json", f"Content-Encoding: {coding}\r\n")
    server = peer([repeat(expect(), send(sample))])
    words = rf"coded with {coding}: .*pip install \w+ \(extra speed of asks-fast\)"
    async with HSession(server.url) as session:
        response = await session.get(path="/x")
        assert response.content == body
        with pytest.raises(JsonDecodeError, match=words) as caught:
            response.json()
        assert str(caught.value).startswith(f"GET {server.url}/x: ")
        with pytest.raises(DecodingError, match=words):
            response.text  # noqa: B018
        streamed: Any = await session.get(stream=True)
        with pytest.raises(DecodingError, match=words):
            streamed.body.text()
        streamed.body.decompress_data = False
        assert len([piece async for piece in streamed.body.text()]) > 0
        assert "[1, 2]" in (await session.get(decompress=False)).text


@pytest.mark.usefixtures("without_libraries")
async def test_missing_library_for_one_of_two_codings(peer: MakePeer) -> None:
    """If only the outer coding can be removed, the error of `text` names the package, too."""
    sample = answer(gzip.compress(b"\x0b\x02\x80[1, 2]"), more="Content-Encoding: br, gzip\r\n")
    server = peer([repeat(expect(), send(sample))])
    async with HSession(server.url) as session:
        response = await session.get()
        assert response.content == b"\x0b\x02\x80[1, 2]"
        with pytest.raises(DecodingError, match="coded with br"):
            response.text  # noqa: B018


async def test_unknown_coding_is_not_decoded(peer: MakePeer) -> None:
    """The text of a body with an invalid Content-Encoding is its text."""
    server = peer([repeat(expect(), send(answer(b"[1]", more="Content-Encoding: utf-8\r\n")))])
    async with HSession(server.url) as session:
        response = await session.get()
        assert (response.text, response.json()) == ("[1]", [1])
