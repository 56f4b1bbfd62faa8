"""Header values that describe a body: valid, sloppy and hostile ones."""

from __future__ import annotations

import calendar
import gzip
import time
import zlib
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asks_fast import http_utils
from asks_fast._response.charset import codec_for
from asks_fast.http_utils import (
    charset_of,
    decode_text,
    filename_from,
    parse_content_type,
    parse_http_date,
    parse_links,
    parse_parameters,
    retry_after,
)


class TestContentType:
    @pytest.mark.parametrize(
        ("value", "charset"),
        [
            ("text/html; charset=utf-8", "utf-8"),
            ("text/html;charset=UTF-8", "utf-8"),
            ('text/html; charset="utf-8"; foo=bar', "utf-8"),
            ("text/html; foo=bar; CharSet = 'UTF8'", "utf-8"),
            ('text/html; title="a;charset=koi8-r"; charset=cp1251', "cp1251"),
            (r'text/html; title="a\";charset=koi8-r"; charset=cp1251', "cp1251"),
            ("text/html; charset=utf-8; charset=latin-1", "utf-8"),
            ('text/html; charset="utf-8', "utf-8"),
            ("text/html; charset=iso-8859-1", "iso8859-1"),
            ("text/html; charset=gb2312", "gb18030"),
            ("text/html; charset=windows-874", "cp874"),
            ("text/html; charset=koi8-u", "koi8-u"),
            ("text/html; charset=", None),
            ("text/html; charset", None),
            ("text/html", None),
            ("", None),
            (None, None),
            ("text/html; charset=no-such-thing", None),
            ("text/html; charset=" + "x" * 10_000, None),
        ],
    )
    def test_charset(self, value: str | None, charset: str | None) -> None:
        """The first charset parameter counts, quoted or not (RFC 9110 §5.6.6, §8.3.2)."""
        assert charset_of(value) == charset

    @pytest.mark.parametrize(
        "label",
        ["hex", "rot13", "zlib", "base64", "idna", "punycode", "unicode_escape", "undefined",
         "raw-unicode-escape", "mbcs", "aliases", "../os", "os.path", "é"],
    )  # fmt: skip
    def test_no_charset(self, label: str) -> None:
        """A server cannot select slow codecs or codecs that do not decode text."""
        assert codec_for(label) is None

    def test_type_and_parameters(self) -> None:
        """Type and names are case-insensitive, values are kept."""
        assert parse_content_type('Multipart/Form-Data; Boundary="A b"; x=1') == (
            "multipart/form-data",
            {"boundary": "A b", "x": "1"},
        )
        assert parse_content_type(None) == ("", {})

    @given(st.text(alphabet=' ;=",\\abé\x00', max_size=60))
    def test_any_parameters(self, text: str) -> None:
        """Any text is parsed without an error."""
        parse_content_type(text)
        charset_of(text)
        filename_from(text)
        parse_links(text)

    @given(st.text(max_size=30))
    def test_quoting_comes_back(self, value: str) -> None:
        """Values escaped with backslashes are read back unchanged."""
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        assert parse_parameters(f'x; a="{quoted}"; b=2') == {"a": value, "b": "2"}


class TestText:
    def test_order(self) -> None:
        """The header takes precedence over the byte order mark, the mark over the fallback."""
        assert decode_text("é".encode("cp1251", "replace"), "text/plain; charset=cp1251") == "?"
        assert decode_text("é".encode("utf-16"), "text/plain", "latin-1") == "é"
        assert decode_text("é".encode(), "text/plain; charset=latin-1") == "Ã©"
        assert decode_text("é".encode("latin-1"), "text/plain", "latin-1") == "é"
        assert decode_text("é".encode(), None) == "é"

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
    def test_mark_is_left_out(self, encoding: str) -> None:
        """A byte order mark is not part of the text."""
        text = "\ufeffé" if encoding == "utf-16-le" else "é"
        assert decode_text(text.encode(encoding), None) == "é"
        named = encoding.removesuffix("-sig")
        assert decode_text(text.encode(encoding), f"text/plain; charset={named}") == "é"

    def test_undecodable_bytes(self) -> None:
        """Undecodable bytes are replaced, one by one."""
        assert decode_text(b"a\xffb", "text/plain; charset=utf-8") == "a\ufffdb"

    def test_unknown_charset_falls_back(self) -> None:
        """An unknown charset is ignored."""
        assert decode_text("é".encode("latin-1"), "text/plain; charset=x-foo", "latin-1") == "é"

    def test_wrong_fallback(self) -> None:
        """An unknown fallback raises UnknownEncoding."""
        with pytest.raises(LookupError, match="no-such"):
            decode_text(b"x", None, "no-such")

    def test_detection(self) -> None:
        """With `detect`: UTF-8 if valid, else the declaration, else a guess."""
        pytest.importorskip("charset_normalizer")
        assert decode_text("é".encode(), None, "latin-1", detect=True) == "é"
        html = '<html><head><META content="x"><meta Charset="koi8-r"></head>привет'
        assert decode_text(html.encode("koi8-r"), "text/html", detect=True) == html
        html = '<meta http-equiv="Content-Type" content="text/html; charset=cp1251">привет'
        assert decode_text(html.encode("cp1251"), "text/html", detect=True) == html
        xml = '<?xml version="1.0" encoding="iso-8859-2"?><a>žluťoučký</a>'
        assert decode_text(xml.encode("iso-8859-2"), "text/xml", detect=True) == xml
        text = "Это обычный русский текст, в котором достаточно слов для угадывания. " * 20
        assert decode_text(text.encode("cp1251"), None, detect=True) == text

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are decoded without an error."""
        assert isinstance(decode_text(data, "text/plain; charset=utf-16"), str)
        assert isinstance(decode_text(b"<meta charset" + data, None, detect=True), str)


class TestLinks:
    def test_pages(self) -> None:
        """A link is found by its relation, as in requests."""
        value = '<https://x/?page=2>; rel="next", <https://x/?page=9,5>; rel=last; title="a, <b>;"'
        assert parse_links(value) == {
            "next": {"url": "https://x/?page=2", "rel": "next"},
            "last": {"url": "https://x/?page=9,5", "rel": "last", "title": "a, <b>;"},
        }

    def test_corners(self) -> None:
        """Links without a relation, with several, and malformed ones."""
        assert parse_links("</a>") == {"/a": {"url": "/a"}}
        both = parse_links('</a>; rel="prev first"')
        folded = parse_links('</2>; REL="Next", </9>; rel="LAST http://x/Rel"')
        assert set(folded) == {"next", "last", "http://x/rel"}
        assert folded["next"] == {"url": "/2", "rel": "Next"}
        assert both["prev"] is both["first"]
        assert parse_links("</a>; rel=x, broken, </b>; crossorigin; rel=y") == {
            "x": {"url": "/a", "rel": "x"},
            "y": {"url": "/b", "crossorigin": "", "rel": "y"},
        }
        assert parse_links(None) == parse_links("") == parse_links("<unclosed") == {}


class TestFileNames:
    @pytest.mark.parametrize(
        ("value", "name"),
        [
            ('attachment; filename="report.pdf"', "report.pdf"),
            ("attachment; filename=report.pdf", "report.pdf"),
            ('inline; filename="a\\"b.txt"', "a_b.txt"),
            ("attachment; filename*=UTF-8''%e2%82%ac%20rates.txt; filename=x", "€ rates.txt"),
            ("attachment; filename=x; filename*=iso-8859-1'en'%A3.txt", "£.txt"),
            ("attachment; filename=x; filename*=broken", "x"),
            ('attachment; filename="\u00e2\u0082\u00ac.txt"', "€.txt"),
            ('attachment; filename="../../etc/passwd"', "passwd"),
            ("attachment; filename*=UTF-8''..%2f..%5cetc%00%2fpasswd", "passwd"),
            ('attachment; filename="C:\\\\dir\\\\a.txt"', "a.txt"),
            ('attachment; filename=".bashrc"', "bashrc"),
            ('attachment; filename=".."', None),
            ('attachment; filename="///"', None),
            ('attachment; filename=""', None),
            ("attachment; filename*=UTF-8''a%0d%0ab%e2%80%aetxt.exe", "abtxt.exe"),
            ('attachment; filename="con.txt"', "_con.txt"),
            ('attachment; filename="a<b>:c?.txt"', "a_b__c_.txt"),
            ("attachment", None),
            (None, None),
        ],
    )
    def test_names(self, value: str | None, name: str | None) -> None:
        """The file name is decoded and contains no path (RFC 6266 §4.3, RFC 8187)."""
        assert filename_from(value) == name

    def test_long_names(self) -> None:
        """A long name is shortened and keeps its suffix."""
        name = filename_from(f'attachment; filename="{"é" * 500}.tar.gz"')
        assert name is not None
        assert len(name.encode()) <= 200
        assert name.endswith(".gz")

    def test_from_the_url(self) -> None:
        """Without the field the last segment of the URL is used."""
        assert filename_from(None, "http://h/a/b%20c.txt?x=/y") == "b c.txt"
        assert filename_from("attachment", "http://h/a/%2e%2e%2fb") == "b"
        assert filename_from(None, "http://h/") is None

    @given(st.text(max_size=50))
    def test_any_name_is_safe(self, name: str) -> None:
        """No input gives a name with a path."""
        from urllib.parse import quote

        safe = filename_from("attachment; filename*=UTF-8''" + quote(name, errors="replace"))
        if safe is not None:
            assert not set(safe) & set('/\\\0:"<>|?*\r\n')
            assert safe[0] not in ". "
            assert safe.strip() == safe


class TestDates:
    @pytest.mark.parametrize(
        "text",
        [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "sun, 6 nov 1994 8:49:37 utc",
        ],
    )
    def test_three_forms(self, text: str) -> None:
        """The examples of RFC 9110 §5.6.7."""
        assert parse_http_date(text) == 784111777

    @given(st.integers(0, 4102444799))
    def test_as_the_standard_library_writes(self, seconds: int) -> None:
        """Dates formatted by `email.utils` are parsed."""
        assert parse_http_date(formatdate(seconds, usegmt=True)) == seconds
        assert parse_http_date(time.asctime(time.gmtime(seconds))) == seconds

    @pytest.mark.parametrize(
        "text",
        ["", "now", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
         "Sun, 06 Nov 1994 08:49 GMT", "Sun, 06 Nov 1994 08:49:37 +0100",
         "Sun, 06 Nov 0000 1:1:1 Z",
         "Sun, 06 Nov ٤٩٩١ 08:49:37 GMT", "x" * 100_000],
    )  # fmt: skip
    def test_no_dates(self, text: str) -> None:
        """Text that is not a date gives None."""
        assert parse_http_date(text) is None

    def test_century(self) -> None:
        """A year of two digits is at most fifty years in the future."""
        year = time.gmtime().tm_year
        for ahead, expected in ((50, year + 50), (51, year - 49)):
            text = f"Sunday, 06-Nov-{(year + ahead) % 100:02} 00:00:00 GMT"
            assert parse_http_date(text) == calendar.timegm((expected, 11, 6, 0, 0, 0))

    @given(st.text(max_size=50))
    def test_any_text(self, text: str) -> None:
        """Any text gives a number or None."""
        parse_http_date(text)
        seconds = retry_after(text, 0)
        assert seconds is None or seconds >= 0

    def test_retry_after(self) -> None:
        """Seconds or a date are accepted (RFC 9110 §10.2.3); a date in the past gives 0."""
        assert retry_after("120", 0) == 120
        assert retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111777 - 5) == 5
        assert retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111777 + 5) == 0
        assert retry_after("9" * 5000, 0) == 999999999999.0
        for value in (None, "", "-1", "1e3", ".5", "soon", "Foo, 99 Bar 2024 99:99:99 GMT", ","):
            assert retry_after(value, 0) is None

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("2.0", 2.0),
            ("2.", 2.0),
            (" 1.5 ", 1.5),
            ("0.25", 0.25),
            ("7, 7", 7.0),
            ("7, 9, 8", 9.0),
            ("soon, 3", 3.0),
            ("Sun, 06 Nov 1994 08:49:37 GMT, 2", 5.0),
            ("9, Sun, 06 Nov 1994 08:49:37 GMT", 9.0),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 5.0),
            ("Sun Nov  6 08:49:37 1994", 5.0),
            ("Sun, 06 Nov 1994 08:49:37 +0000", 5.0),
        ],
    )
    def test_retry_after_forms(self, value: str, seconds: float) -> None:
        """Fractions and all date formats are accepted; of several values the longest counts."""
        assert retry_after(value, 784111777 - 5) == seconds


class TestAsksNames:
    def test_decompress(self) -> None:
        """The generators of asks decompress what is sent to them."""
        data = zlib.compress(gzip.compress("é!".encode()))
        generator = http_utils.decompress(["gzip", "deflate"])
        assert generator.send(data[:10]) + generator.send(data[10:]) == "é!".encode()
        assert http_utils.decompress(["gzip"], "utf-8").send(gzip.compress(b"text")) == "text"
        assert http_utils.decompress_one("gzip").send(gzip.compress(b"one")) == b"one"
        assert http_utils.parse_content_encoding("gzip, br") == ["gzip", "br"]
