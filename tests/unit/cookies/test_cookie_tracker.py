"""The cookie jar: which cookies are stored, which are sent, and the limits."""

from __future__ import annotations

import http.cookiejar
import urllib.request
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asks_fast._cookies import jar
from asks_fast._cookies.matching import domain_matches, path_matches
from asks_fast.cookie_utils import Cookie, CookieTracker, cookie_header, parse_set_cookie
from asks_fast.errors import InvalidHeader, InvalidRequest, InvalidURL
from asks_fast.urls import parse_url

NOW = 1_700_000_000.0


class Clock:
    """A wall clock that only changes when the test sets it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def sent(origin: str, *lines: str | bytes, to: str) -> str | bytes | None:
    """The Cookie field for `to` after `origin` sent these Set-Cookie values."""
    tracker = CookieTracker(clock=Clock())
    tracker.store(parse_url(origin), lines)
    return tracker.header_for(parse_url(to))


def test_empty() -> None:
    """An empty tracker is false, has length 0, sends nothing and does not read the clock."""
    tracker = CookieTracker(clock=lambda: pytest.fail("no need to know the time"))
    assert not tracker
    assert len(tracker) == 0
    assert tracker.header_for(parse_url("http://h/")) is None
    assert repr(tracker) == "<CookieTracker 0 cookies of 0 domains>"


# Who gets it: origin that sets, the line, the URL asked for, whether it is sent there.
SCOPE = [
    # host-only
    ("http://example.org/", "a=b", "http://example.org/", True),
    ("http://example.org/", "a=b", "http://EXAMPLE.ORG:8080/x", True),
    ("http://example.org/", "a=b", "http://www.example.org/", False),
    ("http://www.example.org/", "a=b", "http://example.org/", False),
    ("http://example.org./", "a=b", "http://example.org/", True),
    # Domain
    ("http://www.example.org/", "a=b; domain=example.org", "http://example.org/", True),
    ("http://www.example.org/", "a=b; domain=.example.org", "http://x.y.example.org/", True),
    ("http://www.example.org/", "a=b; domain=EXAMPLE.org", "http://example.org/", True),
    ("http://www.example.org/", "a=b; domain=example.org.", "http://example.org/", False),
    ("http://www.example.org/", "a=b; domain=example.org.", "http://www.example.org/", False),
    ("http://example.org/", "a=b; domain=.example.org.", "http://example.org/", False),
    ("http://example.org./", "a=b; domain=example.org", "http://www.example.org/", True),
    ("http://example.org/", "a=b; domain=..", "http://example.org/", False),
    ("http://www.example.org/", "a=b; domain=", "http://www.example.org/", True),
    ("http://www.example.org/", "a=b; domain=x.org; domain=", "http://www.example.org/", True),
    ("http://www.example.org/", "a=b; domain=", "http://x.www.example.org/", False),
    ("http://example.org/", "a=b; domain=www.example.org", "http://www.example.org/", False),
    ("http://example.org/", "a=b; domain=example.com", "http://example.com/", False),
    ("http://example.org/", "a=b; domain=ample.org", "http://ample.org/", False),
    ("http://example.org/", "a=b; domain=example.org", "http://badexample.org/", False),
    ("http://example.org/", "a=b; domain=..example.org", "http://example.org/", False),
    ("http://example.org/", "a=b; domain=éxample.org", "http://example.org/", False),
    ("http://example.org/", "a=b; domain=example.org; domain=x.org", "http://example.org/", False),
    # public suffixes
    ("http://example.org/", "a=b; domain=org", "http://example.org/", False),
    ("http://example.co.uk/", "a=b; domain=co.uk", "http://example.co.uk/", False),
    ("http://example.co.uk/", "a=b; domain=co.UK", "http://other.co.uk/", False),
    ("http://example.co.uk/", "a=b; domain=co.uk.", "http://other.co.uk/", False),
    ("http://me.github.io/", "a=b; domain=github.io", "http://me.github.io/", False),
    ("http://github.io/", "a=b; domain=github.io", "http://github.io/", True),
    ("http://github.io/", "a=b; domain=github.io", "http://me.github.io/", False),
    ("http://a.localhost/", "a=b; domain=localhost", "http://a.localhost/", False),
    ("http://localhost/", "a=b; domain=localhost", "http://localhost/", True),
    ("http://localhost/", "a=b; domain=localhost", "http://a.localhost/", False),
    ("http://x.xn--p1ai/", "a=b; domain=xn--p1ai", "http://x.xn--p1ai/", False),
    # addresses
    ("http://127.0.0.1/", "a=b", "http://127.0.0.1:81/", True),
    ("http://127.0.0.1/", "a=b; domain=127.0.0.1", "http://127.0.0.1/", True),
    ("http://127.0.0.1/", "a=b; domain=0.0.1", "http://127.0.0.1/", False),
    ("http://127.0.0.1/", "a=b; domain=1", "http://127.0.0.1/", False),
    ("http://[::1]/", "a=b", "http://[::1]/", True),
    ("http://[::1]/", "a=b; domain=::1", "http://[0:0::1]/", True),
    # path
    ("http://h/a/b", "x=y", "http://h/a", True),
    ("http://h/a/b", "x=y", "http://h/a/c/d", True),
    ("http://h/a/b", "x=y", "http://h/ab", False),
    ("http://h/a/b", "x=y", "http://h/", False),
    ("http://h/a/b?c/d", "x=y", "http://h/a?/q", True),
    ("http://h/", "x=y; path=/a", "http://h/a?q", True),
    ("http://h/", "x=y; path=/a", "http://h/a/", True),
    ("http://h/", "x=y; path=/a/", "http://h/a/", True),
    ("http://h/", "x=y; path=/a/", "http://h/a", False),
    ("http://h/", "x=y; path=/a", "http://h/A", False),
    ("http://h/", "x=y; path=/other", "http://h/other/x", True),
    ("http://h/", "x=y; path=/a%62", "http://h/ab", False),
    # secure
    ("https://h/", "a=b; secure", "https://h/", True),
    ("https://h/", "a=b; secure", "http://h/", False),
    ("http://h/", "a=b; secure", "https://h/", False),
    ("https://h/", "a=b", "http://h/", True),
    ("https://h/", "a=b; secure=false", "http://h/", False),
    # prefixes
    ("https://h/", "__Secure-a=b; secure", "https://h/", True),
    ("https://h/", "__Secure-a=b", "https://h/", False),
    ("https://h/", "__SECURE-a=b", "https://h/", False),
    ("http://h/", "__Secure-a=b; secure", "https://h/", False),
    ("https://h/x/", "__Host-a=b; secure; path=/", "https://h/", True),
    ("https://h/", "__Host-a=b; secure", "https://h/", False),
    ("https://h/", "__host-a=b; secure; path=/x", "https://h/x", False),
    ("https://h/", "__Host-a=b; path=/", "https://h/", False),
    ("https://x.org/", "__Host-a=b; secure; path=/; domain=x.org", "https://x.org/", False),
    ("https://h/", "=__Host-a=b; secure; path=/", "https://h/", False),
    ("https://h/", "__secure-a; secure; path=/", "https://h/", False),
    # SameSite is data
    ("https://h/", "a=b; samesite=strict", "https://h/", True),
    ("https://h/", "a=b; samesite=none", "https://h/", True),
]


@pytest.mark.parametrize(("origin", "line", "to", "goes"), SCOPE)
def test_scope(origin: str, line: str, to: str, goes: bool) -> None:
    """A cookie is sent exactly where RFC 6265 and browsers send it."""
    assert (sent(origin, line, to=to) is not None) is goes


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("a=b", "a=b"),
        ("a=", "a="),
        ("a", "a"),
        ("=a", "a"),
        ('a="b c", d', 'a="b c", d'),
        ("a=%0d%0a", "a=%0d%0a"),
        (b"a=\xc3\xa9", "a=é"),
        (b"a=\xff\xfe", b"a=\xff\xfe"),
        ("a=b\r\nEvil: 1", None),
        ("a=b\x00", None),
        ("a=b; max-age=0", None),
        ("a=b; expires=Thu, 01 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_sent_as_it_came(line: str | bytes, field: str | bytes | None) -> None:
    """A value is sent back byte for byte, or the cookie is ignored."""
    assert sent("http://h/", line, to="http://h/") == field


def test_order() -> None:
    """Cookies are sent longest path first, then by creation; replacing one keeps its position."""
    tracker = CookieTracker(clock=Clock())
    url = parse_url("http://www.example.org/a/b/c")
    tracker.store(url, ["one=1; path=/", "two=2; path=/a", "three=3; path=/", "one=4; path=/a/b"])
    tracker.store(url, ["one=5; path=/", "four=6; path=/; domain=example.org"])
    assert tracker.header_for(url) == "one=4; two=2; one=5; three=3; four=6"
    assert len(tracker) == 5


def test_replacement() -> None:
    """Name, domain, path and host-only identify the cookie to replace or remove."""
    tracker = CookieTracker(clock=Clock())
    url = parse_url("http://example.org/")
    tracker.store(url, ["a=1", "a=2; domain=example.org", "A=3"])
    assert tracker.header_for(url) == "a=1; a=2; A=3"
    tracker.store(url, ["a=4", "a=; max-age=0; domain=example.org", "b=; max-age=-1"])
    assert tracker.header_for(url) == "a=4; A=3"
    tracker.store(url, ["a=; max-age=0", "A=; max-age=0"])
    assert not tracker
    assert tracker.domain_dict == {}


def test_expiry_by_the_clock() -> None:
    """A cookie is sent until its expiry by the wall clock, then removed."""
    clock = Clock()
    tracker = CookieTracker(clock=clock)
    url = parse_url("http://h/")
    tracker.store(url, ["a=1; max-age=10", "b=2; expires=Tue, 14 Nov 2023 22:13:25 GMT", "c=3"])
    for passed, field in ((4, "a=1; b=2; c=3"), (5, "a=1; c=3"), (9, "a=1; c=3"), (10, "c=3")):
        clock.now = NOW + passed
        assert tracker.header_for(url) == field
    assert len(tracker) == 1
    clock.now = NOW - 3600
    assert tracker.header_for(url) == "c=3"


@pytest.mark.parametrize(
    ("secure_path", "line", "field"),
    [
        ("/", "a=evil", "a=good"),
        ("/", "a=evil; path=/x", "a=good"),
        ("/", "a=evil; domain=example.org", "a=good"),
        ("/", "a=; max-age=0", "a=good"),
        ("/x", "a=other; path=/", "a=good; a=other"),
        ("/", "b=other", "a=good; b=other"),
    ],
)
def test_secure_cookies_are_left_alone(secure_path: str, line: str, field: str) -> None:
    """Plain http can neither replace, remove nor hide a secure cookie (RFC 6265bis §5.7)."""
    tracker = CookieTracker(clock=Clock())
    tracker.store(parse_url("https://www.example.org/"), [f"a=good; secure; path={secure_path}"])
    tracker.store(parse_url("http://www.example.org/"), [line])
    assert tracker.header_for(parse_url("https://www.example.org/x")) == field


def test_secure_cookie_of_a_parent_is_left_alone() -> None:
    """The same holds from a subdomain, and for one."""
    tracker = CookieTracker(clock=Clock())
    tracker.store(parse_url("https://example.org/"), ["a=good; secure; domain=example.org"])
    tracker.store(parse_url("http://www.example.org/"), ["a=evil"])
    tracker.store(parse_url("http://other.org/"), ["a=fine"])
    assert tracker.header_for(parse_url("https://www.example.org/")) == "a=good"
    assert tracker.header_for(parse_url("http://other.org/")) == "a=fine"


# -- limits


def test_at_most_50_of_an_answer() -> None:
    """The 51st Set-Cookie of one response is ignored."""
    tracker = CookieTracker(clock=Clock())
    tracker.store(parse_url("http://h/"), (f"c{i}=x" for i in range(1000)))
    assert len(tracker) == 50


def test_at_most_180_of_a_domain() -> None:
    """Beyond 180 per domain expired cookies are removed, then insecure, longest unused ones."""
    clock = Clock()
    tracker = CookieTracker(clock=clock)
    url = parse_url("https://h/")
    tracker.store(url, ["safe=1; secure", "brief=1; max-age=5"])
    for start in range(0, 178, 40):
        stop = min(start + 40, 178)
        tracker.store(url, [f"c{i}=x; path=/p{i}" for i in range(start, stop)])
    assert len(tracker) == 180
    clock.now += 5
    tracker.store(url, ["new=1"])
    assert len(tracker) == 180
    assert tracker.get("brief") is None
    tracker.header_for(parse_url("https://h/p0"))
    tracker.store(url, ["newer=1"])
    assert len(tracker) == 180
    names = [cookie.name for cookie in tracker]
    assert "c1" not in names
    assert {"safe", "c0", "c2", "new", "newer"} <= set(names)


def test_at_most_3000_in_all() -> None:
    """Beyond 3000 the longest unused cookies are removed, several at once; the newest are kept."""
    tracker = CookieTracker(clock=Clock())
    for i in range(4000):
        tracker.store(parse_url(f"http://h{i}/"), ["a=b"])
        assert len(tracker) <= jar.MAX_TOTAL
    assert len(tracker) > 2500
    assert tracker.header_for(parse_url("http://h3999/")) == "a=b"
    assert tracker.header_for(parse_url("http://h0/")) is None


def test_field_is_bounded() -> None:
    """The field has at most 8190 bytes and 150 cookies."""
    tracker = CookieTracker(clock=Clock())
    url = parse_url("http://h/")
    tracker.store(url, [f"c{i}={'x' * 3000}" for i in range(10)])
    field = tracker.header_for(url)
    assert isinstance(field, str)
    assert field.count(";") == 1
    tracker.clear()
    tracker.store(url, ["a=" + "x" * 4090, "b=" + "y" * (8190 - 4092 - 2 - 2)])
    assert len(tracker.header_for(url) or "") == 8190
    tracker.store(url, ["b=" + "y" * (8190 - 4092 - 2 - 1)])
    assert len(tracker.header_for(url) or "") == 4092
    tracker.clear()
    for start in range(0, 170, 10):
        tracker.store(url, [f"c{i}=x" for i in range(start, start + 10)])
    assert str(tracker.header_for(url)).count(";") == 149


# -- the user


def test_set_by_hand() -> None:
    """`set` stores a cookie for a domain with its subdomains, or for the host only."""
    tracker = CookieTracker(clock=Clock())
    tracker.set("a", "1", domain="example.org")
    tracker.set("b", "2", domain=".example.org", host_only=True, path="/x", secure=True)
    tracker.set("c", "3", domain="127.0.0.1", expires=NOW + 1, httponly=True, samesite="Lax")
    tracker.set("d", "4", domain="BÜCHER.example")
    tracker.set("e", "5", domain="[::1]")
    assert tracker.header_for(parse_url("http://www.example.org/x")) == "a=1"
    assert tracker.header_for(parse_url("https://example.org/x")) == "b=2; a=1"
    assert tracker.header_for(parse_url("http://127.0.0.1/")) == "c=3"
    assert tracker.header_for(parse_url("http://www.xn--bcher-kva.example/")) == "d=4"
    assert tracker.header_for(parse_url("http://[::1]/")) == "e=5"
    assert (tracker.get("a"), tracker.get("c", domain="127.0.0.1")) == ("1", "3")
    assert (tracker.get("a", domain="h"), tracker.get("x", "none")) == (None, "none")
    tracker.clear(name="a")
    tracker.clear("[::1]")
    tracker.clear_session_cookies()
    assert [cookie.name for cookie in tracker] == ["c"]
    tracker.clear()
    assert not tracker


def test_from_dict() -> None:
    """`from_dict` creates a tracker from names and values."""
    tracker = CookieTracker.from_dict({"a": "1", "b": "2"}, domain="example.org", path="/x")
    assert tracker.header_for(parse_url("http://www.example.org/x")) == "a=1; b=2"


@pytest.mark.parametrize(
    ("name", "value", "options"),
    [
        ("", "b", {}),
        ("a=", "b", {}),
        (" a", "b", {}),
        ("a;", "b", {}),
        ("a\n", "b", {}),
        ("\ud800", "b", {}),
        ("a", "b;c", {}),
        ("a", "b\r\nX: y", {}),
        ("a", "\ud800", {}),
        ("a", 5, {}),
        ("a", "b" * 4096, {}),
        ("a", "b", {"domain": "co.uk"}),
        ("a", "b", {"domain": ""}),
        ("a", "b", {"domain": "a b"}),
        ("a", "b", {"domain": "http://h/"}),
        ("a", "b", {"path": "x"}),
        ("a", "b", {"path": "/x;y"}),
        ("a", "b", {"path": "/\n"}),
    ],
)
def test_set_refuses(name: str, value: str, options: dict[str, str]) -> None:
    """Cookies that cannot be sent, or are for a public suffix, raise at the call."""
    tracker = CookieTracker()
    with pytest.raises((InvalidHeader, InvalidRequest, InvalidURL)):
        tracker.set(name, value, **{"domain": "h", **options})  # type: ignore[arg-type]
    assert not tracker


def test_domain_dict_is_the_tracker() -> None:
    """As in asks, `domain_dict` maps hosts to lists of cookies and may be changed."""
    tracker = CookieTracker()
    tracker.store(parse_url("http://h/"), ["a=b"])
    assert [cookie.value for cookie in tracker.domain_dict["h"]] == ["b"]
    tracker.domain_dict["h"].append(Cookie("h", {"name": "c", "value": "d"}))
    assert tracker.header_for(parse_url("http://h/")) in ("a=b; c=d", "c=d; a=b")
    tracker.domain_dict.clear()
    assert not tracker
    assert tracker.header_for(parse_url("http://h/")) is None


def test_get_additional_cookies() -> None:
    """`get_additional_cookies` returns names and values, as in asks; the longest path wins."""
    tracker = CookieTracker()
    tracker.store(parse_url("http://h/"), ["a=1; path=/", "b=2; path=/x", "a=3; path=/x"])
    assert tracker.get_additional_cookies("http://h", "/x") == {"a": "3", "b": "2"}
    assert tracker.get_additional_cookies("h", "/") == {"a": "1"}


@pytest.mark.parametrize(
    ("cookies", "kept", "field"),
    [
        (None, None, None),
        ({}, "a=1", "a=1"),
        ({"a": "1"}, None, "a=1"),
        ({"a": "1", "b": 2}, None, "a=1; b=2"),
        ({"b": "2"}, "a=1; b=1; c=3", "b=2; a=1; c=3"),
        ({"a": None}, "a=1; b=1", "b=1"),
        ({"a": None}, "a=1", None),
        ({"a": None}, None, None),
        ({"b": "2"}, b"a=\xff; b=1", b"b=2; a=\xff"),
    ],
)
def test_cookies_of_a_request(
    cookies: dict[str, str] | None, kept: str | bytes | None, field: str | bytes | None
) -> None:
    """`cookies=` of a request come first and replace stored cookies of the same name."""
    assert cookie_header(cookies, kept) == field


@pytest.mark.parametrize("cookies", [{"a": "b\n"}, {"a\r\n": "b"}, {"a": b"b"}, {1: "b"}, {"": ""}])
def test_cookies_of_a_request_refused(cookies: dict[str, str]) -> None:
    """Cookies of a request cannot inject other cookies or fields."""
    with pytest.raises(InvalidHeader):
        cookie_header(cookies)


# -- whatever comes

urls = st.sampled_from(
    ["http://h/", "https://h/x/y", "http://www.example.org/a", "https://example.org/a/b",
     "http://127.0.0.1/", "http://[::1]/", "http://me.github.io/", "http://h./"]
).map(parse_url)  # fmt: skip
lines = st.lists(
    st.text(max_size=40)
    | st.binary(max_size=40)
    | st.lists(
        st.sampled_from(
            ["a=b", "a", "=", "c=d", "secure", "path=/a", "path=/", "domain=example.org",
             "domain=h", "domain=.", "domain=github.io", "max-age=0", "max-age=9",
             "expires=1 Jan 2030 1:1:1", "__Host-a=b", "é=\udcff"]
        )
    ).map(";".join),
    max_size=8,
)  # fmt: skip


@given(st.lists(st.tuples(urls, lines), max_size=4), urls)
def test_store_never_raises(answers: list[tuple[object, list[str | bytes]]], to: object) -> None:
    """Any Set-Cookie values can be stored, and the resulting field can be sent."""
    tracker = CookieTracker()
    for url, values in answers:
        tracker.store(url, values)  # type: ignore[arg-type]
    field = tracker.header_for(to)  # type: ignore[arg-type]
    octets = field.encode() if isinstance(field, str) else field or b""
    assert not any((c < 32 and c != 9) or c == 127 for c in octets)
    assert bool(tracker) == (len(tracker) > 0)
    assert all(tracker.domain_dict.values())


# -- second opinion: http.cookiejar, where it follows the RFC

hosts = st.sampled_from(
    ["example.org", "www.example.org", "a.www.example.org", "badexample.org", "other.org"]
)
schemes = st.sampled_from(["http", "https"])
paths = st.sampled_from(["/", "/a", "/a/", "/a/b", "/ab", "/a/b/c", "/b"])


def sent_by_cookiejar(origin: str, line: str, to: str) -> str | None:
    strict = http.cookiejar.DefaultCookiePolicy.DomainStrictNonDomain  # host-only is host-only
    jar = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(strict_ns_domain=strict))
    headers = Message()
    headers["Set-Cookie"] = line

    class Answer:
        def info(self) -> Message:
            return headers

    jar.extract_cookies(Answer(), urllib.request.Request(origin))  # type: ignore[arg-type]
    request = urllib.request.Request(to)
    jar.add_cookie_header(request)
    return request.get_header("Cookie")


@given(hosts, paths, st.none() | hosts, st.none() | paths, st.booleans(), schemes, hosts, paths)
def test_agrees_with_http_cookiejar(
    host: str,
    path: str,
    domain: str | None,
    cookie_path: str | None,
    secure: bool,
    to_scheme: str,
    to_host: str,
    to_path: str,
) -> None:
    """Domain, path and secure match as in the standard library where it follows the RFC."""
    line = "a=b"
    if domain is not None:
        line += f"; Domain=.{domain}"
    if cookie_path is not None:
        line += f"; Path={cookie_path}"
    if secure:
        line += "; Secure"
    origin, to = f"https://{host}{path}", f"{to_scheme}://{to_host}{to_path}"
    assert sent(origin, line, to=to) == sent_by_cookiejar(origin, line, to)


@given(st.text("ab.", max_size=8), st.text("ab.", max_size=8))
def test_domain_match_is_on_labels(host: str, domain: str) -> None:
    """A domain matches exactly the hosts whose labels end with its labels."""
    labels, suffix = host.split("."), domain.split(".")
    assert domain_matches(host, domain) == (labels[-len(suffix) :] == suffix)


@given(st.text("a/", max_size=6).map("/".__add__), st.text("a/", max_size=6).map("/".__add__))
def test_path_match_is_on_segments(path: str, cookie_path: str) -> None:
    """A path matches exactly the paths that continue it at a slash."""
    folder = cookie_path if cookie_path.endswith("/") else cookie_path + "/"
    assert path_matches(path, cookie_path) == (path == cookie_path or path.startswith(folder))


def test_names_of_asks() -> None:
    """The names that asks.cookie_utils exports exist."""
    from asks_fast import cookie_utils

    assert {"CookieTracker", "parse_cookies", "Cookie"} <= set(cookie_utils.__all__)
    assert all(hasattr(cookie_utils, name) for name in cookie_utils.__all__)


def test_cookie_monster() -> None:
    """The example of `cookies=` in the documentation of asks works: a name with a blank."""
    assert cookie_header({"Cookie Monster": "Yum"}) == "Cookie Monster=Yum"
    assert cookie_header({"ü": "\udcff"}) == b"\xc3\xbc=\xff"


@given(st.text(max_size=20), st.text(max_size=20))
def test_one_rule_for_received_and_given_cookies(name: str, value: str) -> None:
    """A named cookie can be given exactly if the jar would accept it from a server."""
    received = parse_set_cookie(f"{name}={value}", "example.org")
    same = received is not None and (received.name, received.value) == (name, value.strip(" \t"))
    try:
        cookie_header({name: value})
    except InvalidHeader:
        assert not (same and name)
    else:
        assert same
