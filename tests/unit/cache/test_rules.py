"""The rules of RFC 9111, without I/O."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from asks_fast._cache import rules
from asks_fast._cache.cache_control import parse_cache_control, parse_seconds, seconds
from asks_fast._cache.entry import Entry
from asks_fast._hotpath import Headers

NOW = 1_700_000_000.0


def date(offset: float) -> str:
    return formatdate(NOW + offset, usegmt=True)


def entry(*fields: tuple[str, str], status: int = 200) -> Entry:
    """A response that was received at NOW."""
    pairs = tuple((name.encode(), value.encode()) for name, value in fields)
    return Entry(status, b"OK", pairs, NOW, NOW)


class Asked(dict[str, str]):
    """The fields of a request."""

    def getlist(self, name: str) -> list[str]:
        return [self[name]] if name in self else []


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["max-age=60, Public"], {"max-age": "60", "public": None}),
        (['no-cache="Set-Cookie, X-A" ,private'], {"no-cache": "Set-Cookie, X-A", "private": None}),
        (["max-age=1", "max-age=2"], {"max-age": "1"}),
        (['a="x\\"y"'], {"a": 'x"y'}),
        (["", " , ,"], {}),
        (["max-age =60"], {"max-age": None}),
        (["max-age= 60"], {"max-age": " 60"}),
        (['max-age="60"'], {"max-age": "60"}),
        (["a;b=c, d"], {"a": None, "d": None}),
        (['a="unclosed, b'], {"a": '"unclosed', "b": None}),
    ],
)
def test_cache_control(texts: list[str], found: dict[str, str | None]) -> None:
    """Directives in any case, with values in quotes or not; the first of repeated ones counts."""
    if texts == ['a="unclosed, b']:
        assert "b" in parse_cache_control(texts)
    else:
        assert parse_cache_control(texts) == found


def test_seconds() -> None:
    """A number that cannot be read counts as 0; a large one is limited."""
    assert seconds({}, "max-age") is None
    for text in (None, "", "-1", "1.5", " 60", "1a", "\u0661"):
        assert seconds({"max-age": text}, "max-age") == 0
    assert parse_seconds("9" * 5000) == parse_seconds("9" * 10) == 2**31


@pytest.mark.parametrize(
    ("status", "fields", "asked", "private", "shared"),
    [
        (200, {}, {}, True, True),
        (200, {"cache-control": "no-store"}, {}, False, False),
        (200, {}, {"no-store": None}, False, False),
        (200, {"cache-control": "private"}, {}, True, False),
        (200, {"cache-control": 'private="x-a"'}, {}, True, True),
        (206, {"cache-control": "max-age=9"}, {}, False, False),
        (304, {"cache-control": "max-age=9"}, {}, False, False),
        (302, {}, {}, False, False),
        (302, {"cache-control": "max-age=9"}, {}, True, True),
        (302, {"cache-control": "s-maxage=9"}, {}, False, True),
        (302, {"expires": "0"}, {}, True, True),
        (200, {"vary": "*"}, {}, False, False),
        (200, {"vary": "accept, *"}, {}, False, False),
        (200, {"vary": "accept"}, {}, True, True),
        (200, {"cache-control": "must-understand, no-store"}, {}, True, True),
        (599, {"cache-control": "must-understand, max-age=9"}, {}, False, False),
    ],
)
def test_may_store(
    status: int, fields: dict[str, str], asked: dict[str, None], private: bool, shared: bool
) -> None:
    """What a private and a shared cache may store (section 3)."""
    headers = Headers.from_pairs(fields.items())
    for is_shared, expected in ((False, private), (True, shared)):
        stored = rules.may_store(status, headers, asked, has_credentials=False, shared=is_shared)
        assert stored is expected


def test_credentials() -> None:
    """A shared cache stores a response to Authorization only if the server allows it."""
    for control, expected in (("max-age=9", False), ("public", True), ("s-maxage=9", True)):
        headers = Headers.from_pairs([("cache-control", control)])
        for shared in (False, True):
            stored = rules.may_store(200, headers, {}, has_credentials=True, shared=shared)
            assert stored is (expected or (not shared and control != "s-maxage=9"))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("cache-control", "max-age=60"), ("expires", date(-5))], 60),
        ([("cache-control", "max-age=x")], 0),
        ([("cache-control", "s-maxage=60")], 0),
        ([("date", date(-10)), ("expires", date(20))], 30),
        ([("expires", date(20))], 20),
        ([("expires", "0")], 0),
        ([("expires", date(20)), ("expires", date(30))], 0),
        ([("expires", date(20).replace("GMT", "UTC"))], 0),
        ([("date", date(0)), ("last-modified", date(-1000))], 100),
        ([("date", date(0)), ("last-modified", date(-1e9))], 7 * 86400),
        ([("date", date(0)), ("last-modified", date(5))], 0),
        ([], 0),
    ],
)
def test_lifetime(fields: list[tuple[str, str]], expected: float) -> None:
    """max-age, else Expires, else a tenth of the time since the last change (section 4.2)."""
    assert rules.lifetime(entry(*fields), shared=False) == pytest.approx(expected)


def test_age() -> None:
    """Age and Date of the response count, and the time that it took (section 4.2.3)."""
    assert rules.age(entry(), NOW + 5) == 5
    assert rules.age(entry(("age", "10")), NOW + 5) == 15
    assert rules.age(entry(("age", "10, 99")), NOW + 5) == 15
    assert rules.age(entry(("age", "7.5")), NOW + 5) == 5
    assert rules.age(entry(("date", date(-60))), NOW + 5) == 65
    assert rules.age(entry(("date", date(60))), NOW + 5) == 5


@pytest.mark.parametrize(
    ("control", "asked", "after", "expected"),
    [
        ("max-age=60", "", 59, True),
        ("max-age=60", "", 60, False),
        ("max-age=60, no-cache", "", 1, False),
        ('max-age=60, no-cache="x-a"', "", 1, True),
        ("max-age=60", "no-cache", 1, False),
        ("max-age=60", "max-age=5", 6, False),
        ("max-age=60", "max-age=5", 4, True),
        ("max-age=60", "min-fresh=10", 55, False),
        ("max-age=60", "min-fresh=10", 45, True),
        ("max-age=60", "max-stale=10", 65, True),
        ("max-age=60", "max-stale=10", 75, False),
        ("max-age=60", "max-stale", 9999, True),
        ("max-age=60", "max-stale=x", 65, False),
        ("max-age=60, must-revalidate", "max-stale", 65, False),
    ],
)
def test_is_fresh_enough(control: str, asked: str, after: float, expected: bool) -> None:
    """Lifetime, and what request and response say about it (section 5.2)."""
    stored = entry(("cache-control", control))
    directives = parse_cache_control([asked])
    assert rules.is_fresh_enough(stored, directives, NOW + after, shared=False) is expected


@pytest.mark.parametrize(
    ("control", "asked", "default", "expected"),
    [
        ("max-age=0", "", 0, False),
        ("max-age=0", "", 60, True),
        ("max-age=0", "", 5, False),
        ("max-age=0, stale-if-error=60", "", 0, True),
        ("max-age=0", "stale-if-error=60", 0, True),
        ("max-age=0, must-revalidate, stale-if-error=60", "", 60, False),
        ("max-age=0, stale-if-error=60", "no-cache", 0, False),
        ("no-cache, stale-if-error=60", "", 0, False),
    ],
)
def test_stale_if_error(control: str, asked: str, default: float, expected: bool) -> None:
    """A response that is 10 seconds too old, after the server failed (RFC 5861, section 4)."""
    stored = entry(("cache-control", control))
    found = rules.may_serve_after_error(
        stored, parse_cache_control([asked]), NOW + 10, shared=False, default=default
    )
    assert found is expected


def test_freshen() -> None:
    """A 304 replaces fields, but not those that the body depends on (section 4.3.4)."""
    stored = entry(
        ("ETag", '"a"'), ("X-A", "1"), ("X-B", "1"), ("Content-Encoding", "gzip"), ("Age", "9"),
        ("Set-Cookie", "a=b"), ("Content-Type", "text/plain"),
    )  # fmt: skip
    received = [("x-a", "2"), ("content-encoding", "br"), ("content-type", "text/html")]
    new = rules.freshen(stored, Headers.from_pairs(received), NOW + 1, NOW + 2)
    assert new is not None
    assert new.received_at == NOW + 2
    assert {name.lower(): value for name, value in new.fields} == {
        b"etag": b'"a"', b"x-b": b"1", b"content-encoding": b"gzip", b"x-a": b"2",
        b"content-type": b"text/html",
    }  # fmt: skip
    assert rules.freshen(stored, Headers.from_pairs([("etag", '"b"')]), NOW, NOW) is None


def test_stored_fields() -> None:
    """Fields of the connection, and those that a directive names, are not stored (section 3.1)."""
    headers = Headers.from_pairs(
        [
            ("Connection", "close, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "5"), ("X-A", "1"),
            ("X-B", "2"), ("Cache-Control", 'no-cache="X-A", private="x-b"'),
        ]
    )  # fmt: skip
    names = [[name for name, _ in rules.stored_fields(headers, shared=s)] for s in (False, True)]
    assert names == [[b"X-B", b"Cache-Control"], [b"Cache-Control"]]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"if-none-match": '"a"'}, True),
        ({"if-none-match": 'W/"x", W/"a"'}, True),
        ({"if-none-match": "*"}, True),
        ({"if-none-match": '"b"', "if-modified-since": date(0)}, False),
        ({"if-modified-since": date(-10)}, True),
        ({"if-modified-since": date(-11)}, False),
        ({"if-modified-since": "yesterday"}, False),
    ],
)
def test_conditions_of_the_caller(asked: dict[str, str], expected: bool) -> None:
    """ETags are compared weakly; If-None-Match takes precedence (section 4.3.2)."""
    stored = entry(("etag", 'W/"a"'), ("last-modified", date(-10)))
    assert rules.is_not_modified(stored, Asked(asked)) is expected


def test_validators() -> None:
    """A stale response is validated by its ETag and its date."""
    stored = entry(("etag", '"a"'), ("last-modified", date(-10)))
    assert rules.validators(stored) == {"If-None-Match": '"a"', "If-Modified-Since": date(-10)}
    assert rules.validators(entry(("etag", '"a"'), ("etag", '"b"'))) == {}
    assert rules.request_directives(Asked(pragma="No-Cache")) == {"no-cache": None}
    assert rules.request_directives(Asked({"pragma": "no-cache", "cache-control": "x"})) == {
        "x": None
    }
