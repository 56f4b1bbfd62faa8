"""Parsing of Set-Cookie values and cookie dates."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.costs import thread_seconds

from asks_fast._cookies import cookie as cookie_module
from asks_fast.cookie_utils import Cookie, parse_cookies, parse_date, parse_set_cookie

NOW = 1_700_000_000.0
DAY = 86400


def parse(line: str | bytes) -> Cookie | None:
    return parse_set_cookie(line, "h.example", "/a/b", NOW)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("a=b", "a", "b"),
        ("  a \t=\t b  ; x", "a", "b"),
        ("a=b=c", "a", "b=c"),
        ("a=", "a", ""),
        ("a", "", "a"),
        ("=a", "", "a"),
        ('a="b c"', "a", '"b c"'),
        ("a=b,c=d", "a", "b,c=d"),
        ("a=%0d%0a%41", "a", "%0d%0a%41"),
        ("a=1\t2", "a", "1\t2"),
        (b"a=\xc3\xa9", "a", "é"),
        (b"a=\xe9", "a", "\udce9"),
        ("a=b;;;=;==;", "a", "b"),
        ("a=" + "b" * 4095, "a", "b" * 4095),
    ],
)
def test_name_and_value(line: str | bytes, name: str, value: str) -> None:
    """The value is split at the first `;` and `=`, blanks are stripped (RFC 6265bis §5.6)."""
    cookie = parse(line)
    assert cookie is not None
    assert (cookie.name, cookie.value) == (name, value)


@pytest.mark.parametrize(
    "line",
    ["", "=", "; secure", " = ; path=/", "a=b\r\nX: y", "a=\x00", "a=\x1f", "a=b\x7f",
     "a=b; x=\x01", "\x0ba=b", "a=" + "b" * 4096, "é" * 2049, "a=\ud800", b"a=\n"],
)  # fmt: skip
def test_no_cookie(line: str | bytes) -> None:
    """Empty values, control characters and more than 4096 bytes give None."""
    assert parse(line) is None


def test_expiry_counts_from_now() -> None:
    """Without `now`, `Max-Age` and the limit of 400 days start at the present time."""
    before = time.time()
    cookie = parse_set_cookie("a=b; max-age=60", "h.example")
    assert cookie is not None
    assert cookie.expires_at is not None
    assert before + 60 <= cookie.expires_at <= time.time() + 60
    far = parse_set_cookie("a=b; expires=Thu, 01 Jan 2399 00:00:00 GMT", "h.example")
    assert far is not None
    assert far.expires_at is not None
    assert before + 400 * DAY <= far.expires_at <= time.time() + 400 * DAY
    response = SimpleNamespace(headers={"set-cookie": ["a=b; max-age=60"]})
    parse_cookies(response, "h")
    assert not response.cookies[0].is_expired(before)


def test_attributes() -> None:
    """Attributes sent by the server are available by name and by iteration, as in asks."""
    cookie = parse(
        "a=b; Domain=.Example.org; PATH=/x; secure; HttpOnly; SameSite=Lax; Max-Age=60;"
        "expires=Wed, 21 Oct 2026 07:28:00 GMT; comment=hi; priority=high; name=evil; host=evil"
    )
    assert cookie is not None
    assert dict(cookie) == {
        "name": "a", "value": "b", "domain": "Example.org", "path": "/x", "secure": True,
        "expires": "Wed, 21 Oct 2026 07:28:00 GMT", "comment": "hi", "httponly": True,
        "samesite": "Lax", "max-age": "60", "priority": "high", "host": "h.example",
    }  # fmt: skip
    assert (cookie.httponly, cookie.samesite, cookie.max_age) == (True, "Lax", 60)
    assert cookie.expires_at == NOW + 60
    assert repr(cookie) == "<Cookie a from h.example>"


def test_what_was_not_sent() -> None:
    """The seven attributes of asks always exist; others have defaults that iteration omits."""
    cookie = parse("a=b")
    assert cookie is not None
    assert list(cookie) == [
        ("name", "a"), ("value", "b"), ("domain", None), ("path", None), ("secure", False),
        ("expires", None), ("comment", None), ("host", "h.example"),
    ]  # fmt: skip
    assert (cookie.httponly, cookie.samesite, cookie.max_age) == (False, None, None)
    assert (cookie.scope_path, cookie.host_only, cookie.expires_at) == ("/a", True, None)


def test_cookie_made_as_in_asks() -> None:
    """`Cookie(host, data)` accepts any data; cookies with equal data are equal."""
    cookie = Cookie("h", {"name": "a", "value": "b", "custom": 1})
    assert cookie == Cookie("h", {"name": "a", "value": "b", "custom": 1})
    assert cookie != Cookie("i", {"name": "a", "value": "b", "custom": 1})
    assert (cookie.custom, list(cookie)[-1]) == (1, ("host", "h"))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("attributes", "path"),
    [
        ("", "/a"),
        ("path", "/a"),
        ("path=", "/a"),
        ("path=x", "/a"),
        ("path=/", "/"),
        ("path=/x/", "/x/"),
        ("path=/x; path=/y", "/y"),
        ("path=/x; path=", "/a"),
        ("path=/x; path=" + "/y" * 1000, "/x"),
    ],
)
def test_path(attributes: str, path: str) -> None:
    """The last Path is used; without a valid one, the directory of the request."""
    cookie = parse(f"a=b;{attributes}")
    assert cookie is not None
    assert cookie.scope_path == path


@pytest.mark.parametrize(
    ("request_path", "path"),
    [("/", "/"), ("/a", "/"), ("/a/", "/a"), ("/a/b", "/a"), ("", "/"), ("*", "/")],
)
def test_default_path(request_path: str, path: str) -> None:
    """The default path is the directory of the request without the slash (RFC 6265 §5.1.4)."""
    cookie = parse_set_cookie("a=b", "h", request_path)
    assert cookie is not None
    assert cookie.scope_path == path


@pytest.mark.parametrize(
    ("attributes", "left"),
    [
        ("max-age=10", 10),
        ("max-age=0", None),
        ("max-age=-1", None),
        ("max-age=-" + "9" * 500, None),
        ("max-age=1" + "0" * 500, 400 * DAY),
        ("max-age=ten; max-age=5", 5),
        ("max-age=5; max-age=ten", 5),
        ("max-age=+5", ""),
        ("max-age=1.5", ""),
        ("max-age=\u0661", ""),
        ("max-age=", ""),
        ("max-age=-", ""),
        ("max-age=60; expires=Thu, 01 Jan 1970 00:00:00 GMT", 60),
        ("max-age=0; expires=Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("expires=Fri, 31 Dec 9999 23:59:59 GMT", 400 * DAY),
        ("expires=Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("expires=rubbish", ""),
        ("expires=Tue, 14 Nov 2023 22:14:20 GMT; expires=0", 60),
    ],
)
def test_expiry(attributes: str, left: Any) -> None:
    """Max-Age takes precedence over Expires, the limit is 400 days, invalid values are ignored."""
    cookie = parse(f"a=b; {attributes}")
    assert cookie is not None
    if left == "":
        assert cookie.expires_at is None
    elif left is None:
        assert cookie.is_expired(NOW)
    else:
        assert cookie.expires_at == NOW + left
        assert not cookie.is_expired(NOW)


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=timezone.utc).timestamp()  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", at(1994, 11, 6, 8, 49, 37)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", at(1994, 11, 6, 8, 49, 37)),
        ("Sun Nov  6 08:49:37 1994", at(1994, 11, 6, 8, 49, 37)),
        ("Mon, 10-Dec-2007 17:02:24 GMT", at(2007, 12, 10, 17, 2, 24)),
        ("Mon Dec 10 16:32:30 2007 GMT", at(2007, 12, 10, 16, 32, 30)),
        ("Wednesday, 01-Jan-10 00:00:00 GMT", at(2010, 1, 1)),
        ("01 Jan 69 00:00:00", at(2069, 1, 1)),
        ("01 Jan 70 00:00:00", 0.0),
        ("1 Jan 2000 0:0:0", at(2000, 1, 1)),
        ("2000 January 1 00:00:00", at(2000, 1, 1)),
        ("00:00:00 1 jANuary 2000", at(2000, 1, 1)),
        ("Tue, 29 Feb 2000 23:59:59 GMT", at(2000, 2, 29, 23, 59, 59)),
        ("1-Jan-2000-00:00:00", at(2000, 1, 1)),
        ("1st Jan 2000th 00:00:00.123 GMT+0200", at(2000, 1, 1)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799.0),
        ("01 Jan 1601 00:00:00", -11644473600.0),
        ("31 Dec 1600 23:59:59", None),
        ("Mon, 29 Feb 2100 00:00:00 GMT", None),
        ("31 Apr 2000 00:00:00", None),
        ("0 Jan 2000 00:00:00", None),
        ("32 Jan 2000 00:00:00", None),
        ("1 Jan 2000 24:00:00", None),
        ("1 Jan 2000 00:60:00", None),
        ("1 Jan 2000 00:00:60", None),
        ("1 Jan 2000 000:00:00", None),
        ("1 Jan 2000 00:00", None),
        ("1 Jan 2000", None),
        ("1 Foo 2000 00:00:00", None),
        ("012 Jan 2000 00:00:00", None),
        ("1 Jan 12345 00:00:00", None),
        ("1 Jan 100 00:00:00", None),
        ("98 April 17 21:01:22", None),
        ("", None),
        ("0", None),
        ("\u0661 Jan 2000 00:00:00", None),
    ],
)
def test_dates(text: str, seconds: float | None) -> None:
    """All date formats in use are parsed; other text gives None (RFC 6265 §5.1.1)."""
    assert parse_date(text) == seconds


@given(st.datetimes(min_value=datetime(1601, 1, 1), max_value=datetime(9999, 12, 31)))
def test_dates_agree_with_datetime(moment: datetime) -> None:
    """Dates agree with datetime for all allowed years."""
    moment = moment.replace(microsecond=0, tzinfo=timezone.utc)
    text = moment.strftime("%a, %d %b ") + f"{moment.year:04} " + moment.strftime("%H:%M:%S GMT")
    assert parse_date(text) == (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds()


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_anything(line: str | bytes) -> None:
    """Any input gives a cookie or None, and every cookie can be sent."""
    cookie = parse(line)
    if cookie is not None:
        sent = f"{cookie.name}={cookie.value}".encode("utf-8", "surrogateescape")
        assert not any((c < 32 and c != 9) or c == 127 for c in sent)


@given(st.text(max_size=80))
def test_any_date(text: str) -> None:
    """Any date text gives a number of seconds or None."""
    assert isinstance(parse_date(text), (float, type(None)))


@pytest.mark.parametrize(
    "line",
    ["a=b; expires=" + "1 " * 30000, "a=b" + ";" * 60000, "a=b; expires=" + "0" * 60000,
     " " * 60000 + "a=b", "a=b; max-age=" + "9" * 60000, "a=b" + "; path=/x" * 7000],
)  # fmt: skip
def test_linear(line: str) -> None:
    """Parsing time is linear in the length of the value."""
    assert thread_seconds(parse, line) < 1.0


def test_parse_cookies() -> None:
    """`parse_cookies(response, host)` sets `response.cookies`, as in asks."""
    response = SimpleNamespace(headers={"set-cookie": ["a=b", "", "c=d"]}, cookies=[])
    parse_cookies(response, "h")
    assert [cookie.name for cookie in response.cookies] == ["a", "c"]
    parse_cookies(SimpleNamespace(headers={}), "h")


@pytest.mark.parametrize("size", [1, 300], ids=["short", "long"])
def test_repeated_attributes(size: int) -> None:
    """Cookies with the same attributes are independent, and each lives from its own time on."""
    attributes = f"Max-Age=60; HttpOnly; Comment={'c' * size}"
    first = parse_set_cookie(f"a=1; {attributes}", "h.example", "/a/b", NOW)
    assert first is not None
    first.comment, first.httponly, first.scope_path = "changed", False, "/changed"
    second = parse_set_cookie(f"b=2; {attributes}", "other.example", "/c/d", NOW + 10)
    assert second is not None
    assert dict(second) == {
        "name": "b",
        "value": "2",
        "domain": None,
        "path": None,
        "secure": False,
        "expires": None,
        "comment": "c" * size,
        "max-age": "60",
        "httponly": True,
        "host": "other.example",
    }
    assert (first.expires_at, second.expires_at) == (NOW + 60, NOW + 70)
    assert (second.scope_path, second.effective_domain) == ("/c", "other.example")


def test_repeated_expires_is_limited_from_each_time() -> None:
    """An `Expires` in the far future is limited to 400 days from the time of each response."""
    for now in (NOW, NOW + DAY):
        cookie = parse_set_cookie("a=b; Expires=Fri, 31 Dec 9999 23:59:59 GMT", "h", "/", now)
        assert cookie is not None
        assert cookie.expires_at == now + 400 * DAY


def test_memory_of_repeated_attributes() -> None:
    """Long attributes, of which a server could send many, are not kept."""
    kept = cookie_module._repeated_attributes.cache_info().currsize
    for number in range(10):
        assert parse(f"a=b; Comment={number}{'c' * 256}") is not None
    assert cookie_module._repeated_attributes.cache_info().currsize == kept
    assert cookie_module._repeated_attributes.cache_info().maxsize == 256
