"""Decoding of text: byte order marks, names of codecs, pieces of any size, and time."""

from __future__ import annotations

import codecs
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.costs import thread_seconds

from asks_fast._response.charset import SERVER_CODECS, TextDecoder, codec_for, decode, text_codec
from asks_fast.errors import AsksException, DecodingError, UnknownEncoding

MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
TEXT = "Grüße, €\n𝄞"


def in_pieces(data: bytes, size: int, charset: str | None, fallback: str = "utf-8") -> str:
    """The text of `data`, given `size` bytes at a time."""
    decoder = TextDecoder(charset, fallback)
    pieces = [decoder.decode(data[at : at + size]) for at in range(0, len(data), size)]
    return "".join(pieces) + decoder.decode(b"", True)


def both_ways(data: bytes, charset: str | None, fallback: str = "utf-8") -> str:
    """The text of `data`, which is the same whole and in pieces of 1 to 5 bytes."""
    text = decode(data, charset, fallback)
    for size in range(1, 6):
        assert in_pieces(data, size, charset, fallback) == text
    return text


@pytest.mark.parametrize("encoding", MARKS)
def test_a_mark_decides(encoding: str) -> None:
    """Without a charset a byte order mark names the encoding; it is not part of the text."""
    assert both_ways(MARKS[encoding] + TEXT.encode(encoding), None, "latin-1") == TEXT
    assert both_ways(MARKS[encoding], None) == ""


@pytest.mark.parametrize("encoding", MARKS)
def test_a_mark_beside_a_charset(encoding: str) -> None:
    """A mark of the charset's family is removed and selects the byte order."""
    data = MARKS[encoding] + TEXT.encode(encoding)
    assert both_ways(data, encoding) == TEXT
    family = encoding.rpartition("-")[0] if encoding != "utf-8" else "utf-8-sig"
    assert both_ways(data, family) == TEXT


def test_a_mark_of_another_family() -> None:
    """A named charset takes precedence over a mark of another family."""
    assert both_ways(codecs.BOM_UTF8 + b"a", "latin-1") == "ï»¿a"
    assert both_ways(codecs.BOM_UTF16_LE + b"a", "utf-8") == "\ufffd\ufffda"
    assert both_ways(codecs.BOM_UTF16_BE + b"a\0", "utf-16-le") == "\ufffea"


@pytest.mark.parametrize("name", ["utf-16", "utf-32"])
def test_no_mark(name: str) -> None:
    """UTF-16 and UTF-32 without a mark are little-endian, as in browsers (WHATWG Encoding)."""
    assert both_ways(TEXT.encode(f"{name}-le"), name) == TEXT
    assert both_ways(TEXT.encode(f"{name}-le"), None, name) == TEXT
    assert both_ways(TEXT.encode(f"{name}-le")[:-1], name).endswith("\ufffd")


def test_only_the_first_mark_is_left_out() -> None:
    """U+FEFF inside a text is a character."""
    assert both_ways(codecs.BOM_UTF8 * 2 + b"a", None) == "\ufeffa"


def test_text_is_not_held_back() -> None:
    """Only bytes that may be the start of a mark are held back."""
    decoder = TextDecoder()
    assert decoder.decode(b"a") == "a"
    decoder = TextDecoder()
    assert [decoder.decode(bytes([byte])) for byte in b"\xef\xbb\xbfab"] == ["", "", "", "a", "b"]
    decoder = TextDecoder()
    assert [decoder.decode(bytes([byte])) for byte in b"\xff\xfea\0"] == ["", "", "", "a"]


@given(st.sampled_from(sorted(SERVER_CODECS)), st.binary(max_size=60), st.integers(1, 60))
@example("iso2022_jp", b"\x1b((2(\x0f$({~\n\xff$\n{\x1b", 1)
@example("iso2022_kr", b"\x1b(" * 30, 3)
@example("hz", b"~{~~{~\n~}", 1)
@example("utf_16", b"\xff\xfe\0\0a", 1)
def test_any_bytes_in_any_pieces(name: str, data: bytes, size: int) -> None:
    """Each codec that a server may name decodes any bytes, the same in pieces of any size."""
    charset = codec_for(name)
    assert charset is not None
    assert in_pieces(data, size, charset) == decode(data, charset)
    assert in_pieces(data, size, None, name) == decode(data, None, name)


SLOW = [b"\xff", b"\x1b(", b"\x1b$B", b"~{", b"\x0e\x0f", b"+AGE-", b"a-", b"\x8e", b"\\u"]


@pytest.mark.parametrize("name", sorted(SERVER_CODECS))
def test_linear(name: str) -> None:
    """Decoding time is linear, whole and in pieces."""
    charset = codec_for(name)
    assert charset is not None
    for pattern in SLOW:
        data = pattern * (200_000 // len(pattern))
        assert thread_seconds(decode, data, charset, tries=1) < 0.3
        assert thread_seconds(in_pieces, data, 1000, charset, tries=1) < 0.3


@pytest.mark.parametrize(
    "label",
    ["utf-7", "UTF7", "unicode-1-1-utf-7", "U7", "punycode", "idna", "rot13", "hex", "undefined",
     "unicode_escape", "raw_unicode_escape", "cp037", "cp500", "oem", "mbcs", "charmap", "palmos"],
)  # fmt: skip
def test_names_a_server_may_not_use(label: str) -> None:
    """A server cannot select slow codecs, non-text codecs, or those in which ASCII is not ASCII."""
    assert codec_for(label) is None


def test_unknown_names_never_reach_the_registry() -> None:
    """Names of a server do not reach Python's cache of codec names."""
    asked: list[str] = []

    def search(name: str) -> None:
        asked.append(name)

    codecs.register(search)
    try:
        for label in ("x-unknown", "punycode2", "utf-9", "utf_8_no"):
            assert codec_for(label) is None
    finally:
        codecs.unregister(search)
    assert asked == []


@pytest.mark.parametrize(
    ("label", "codec"),
    [("UTF8", "utf-8"), ("utf-8-sig", "utf-8"), ("Latin1", "iso8859-1"),
     ("ISO_8859-15", "iso8859-15"), ("windows-1251", "cp1251"),
     ("Shift_JIS", "cp932"), ("GBK", "gb18030"), ("big5-hkscs", "big5hkscs"), ("koi8-r", "koi8-r"),
     ("utf-16le", "utf-16-le"), ("UTF-32", "utf-32"), ("us-ascii", "ascii"),
     ("iso-2022-jp", "iso2022_jp"), ("x-mac-cyrillic", "mac-cyrillic"), ("tis-620", "tis-620")],
)  # fmt: skip
def test_names_a_server_may_use(label: str, codec: str) -> None:
    """Labels in any case, and the aliases that Python and browsers know."""
    assert codec_for(label) == codec


def test_the_callers_own_choice() -> None:
    """The caller may choose any text codec; another name is the caller's error."""
    assert both_ways(b"+AOk-", "utf-7") == "é"
    assert both_ways("é".encode("cp037"), None, "cp037") == "é"
    assert text_codec("UTF_8_sig") == "utf-8"
    for name in ("no such thing", "rot13", "hex", "../x", "\0"):
        for make in (text_codec, TextDecoder, lambda name: decode(b"x", name)):
            with pytest.raises(UnknownEncoding) as caught:
                make(name)
            assert isinstance(caught.value, AsksException)
            assert isinstance(caught.value, LookupError)


def test_a_codec_that_replaces_nothing() -> None:
    """A codec that raises in spite of errors="replace" gives a DecodingError."""
    for data in (b"\xff", b"a..b"):
        with pytest.raises(DecodingError, match="cannot be decoded as idna"):
            decode(data, "idna")
        with pytest.raises(DecodingError, match="cannot be decoded as idna"):
            TextDecoder("idna").decode(data, True)


def test_strict() -> None:
    """With errors="strict" bytes that do not fit raise, as in Python."""
    assert decode(b"\xef\xbb\xbfa", None, errors="strict") == "a"
    with pytest.raises(UnicodeDecodeError):
        decode(b"a\xff", "utf-8", errors="strict")
    with pytest.raises(UnicodeDecodeError):
        TextDecoder("utf-8", errors="strict").decode(b"a\xff")


def test_detection_stays_on_the_list() -> None:
    """Detection returns a codec that a server may name, in linear time."""
    pytest.importorskip("charset_normalizer")
    declared = b"<meta charset=utf-7>+AOk-\xff"
    assert "+AOk-" in decode(declared, None, "latin-1", detect=True)
    for data in (
        b"+/v8-" + b"+AGEAYgBj-" * 200_000 + b"\xff",
        b"<meta charset=punycode>" + b"a-\xff" * 9,
    ):
        assert thread_seconds(partial(decode, data, None, detect=True), tries=1) < 5
    assert decode(codecs.BOM_UTF16_BE + "é".encode("utf-16-be"), None, detect=True) == "é"
