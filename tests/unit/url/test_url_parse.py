"""Parsing of URLs: parts, canonical hosts, and invalid URLs."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.costs import thread_seconds

from asks_fast import urls
from asks_fast.errors import InvalidURL
from asks_fast.urls import MAX_URL_LENGTH, Url, parse_url

TARGETS = [
    ("http://h", "/"),
    ("http://h/", "/"),
    ("http://h?a=1", "/?a=1"),
    ("http://h#f", "/"),
    ("http://h/a?b#c?d", "/a?b"),
    ("http://h/a b", "/a%20b"),
    ("http://h/é?ü", "/%C3%A9?%C3%BC"),
    ("http://h/%C3%A9%2f%2F", "/%C3%A9%2f%2F"),
    ("http://h/100%/%zz/%4", "/100%25/%25zz/%254"),
    ("http://h/a;b=c;d/e", "/a;b=c;d/e"),
    ("http://h/?q=a+b&c=d/e?f", "/?q=a+b&c=d/e?f"),
    ("http://h/?f[a]=1", "/?f[a]=1"),
    ('http://h/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"),
    ("http://h/a\\b\\c", "/a/b/c"),
    ("http://h/\\evil\\x", "//evil/x"),
    ("http://h/a\\..\\..\\b", "/b"),
    ("http://h/a\\.", "/a/"),
    ("http://h/a%5Cb%5c..", "/a%5Cb%5c.."),
    ("http://h/a\\b?c\\d#e\\f", "/a/b?c%5Cd"),
    ("http://h?c\\d/", "/?c%5Cd/"),
    ("http://h/a/./b/../c", "/a/c"),
    ("http://h/../../a", "/a"),
    ("http://h/a/..", "/"),
    ("http://h/a/b/..", "/a/"),
    ("http://h/a/.", "/a/"),
    ("http://h/a//../b", "/a/b"),
    ("http://h/a/%2e%2E/b", "/b"),
    ("http://h/a/.%2e/b/%2e", "/b/"),
    ("http://h/.well-known/x", "/.well-known/x"),
    ("http://h/...", "/..."),
    ("http://h/a?b=/../c", "/a?b=/../c"),
    ("http://h//evil/x", "//evil/x"),
    (" \t\r\n http://h/x \n", "/x"),
]


@pytest.mark.parametrize(("text", "target"), TARGETS)
def test_target(text: str, target: str) -> None:
    """The target is the encoded path and query, on the fast path and on the general path."""
    assert parse_url(text).target == target
    assert parse_url(text).target == target


def test_parts() -> None:
    """All parts are found; scheme and host are in lower case, the default port is added."""
    url = parse_url("HTTPS://Ann:s%40crt%3A@EXAMPLE.com/p?q#frag ment")
    assert url == Url("https", "example.com", 443, "/p?q", ("Ann", "s@crt:"), "frag%20ment")
    assert (url.path, url.query) == ("/p", "q")
    assert parse_url(url) is url
    assert parse_url("http://h/").fragment is None
    assert parse_url("http://h/#").fragment == ""


@pytest.mark.parametrize(
    ("text", "origin", "authority"),
    [
        ("http://h:80/x", "http://h", "h"),
        ("https://h:443", "https://h", "h"),
        ("https://h:80", "https://h:80", "h:80"),
        ("http://h:", "http://h", "h"),
        ("http://h:08080/", "http://h:8080", "h:8080"),
        ("http://h:000080/", "http://h", "h"),
        (f"http://h:{'0' * 5000}8443/", "http://h:8443", "h:8443"),
        ("http://[::1]:8000/", "http://[::1]:8000", "[::1]:8000"),
        ("http://[2001:DB8:0:0::1]", "http://[2001:db8::1]", "[2001:db8::1]"),
        ("http://[fe80::1%25eth0]:81/", "http://[fe80::1%25eth0]:81", "[fe80::1]:81"),
        ("http://[fe80::1%eth0]/", "http://[fe80::1%25eth0]", "[fe80::1]"),
        ("http://u:p@h/", "http://h", "h"),
        ("http://h./", "http://h.", "h."),
    ],
)
def test_origin_and_authority(text: str, origin: str, authority: str) -> None:
    """The origin includes the zone of an address; the Host field does not."""
    url = parse_url(text)
    assert (url.origin, url.authority) == (origin, authority)
    assert parse_url(url.origin).origin == origin


REFUSED = [
    "", "/", "h", "h/x", "//h/x", "http:", "http:/h", "http:h", "http://", "http:///x", "http://?q",
    "http://:80/", "http://u@/", "ftp://h/", "file:///etc/passwd", "javascript:alert(1)",
    "http\t://h/", "1http://h/", "http:\\\\h", "http://a\\@h/", "http://a\\b:c@h/",
    "http://a\\b", "http://a\\b/c", "http:\\\\h/", "http:/\\h/",
    "http://h:0/", "http://h:000000/", "http://h:00065536/", "http://h:65536/",
    "http://h:-1/", "http://h:+1/", "http://h:1_0/",
    "http://h:8a/", "http://h:٨/", "http://h:123456/", "http://h:8 0/", "http://h:80:80/",
    "http://a b/", "http://a\tb/", "http://a\nb/", "http://h/a\r\nX: y", "http://h/\x00",
    "http://h/?\x7f", "http://h/#\nx", "http://u:%0d%0a@h/", "http://u%00:p@h/", "http://%ff@h/",
    "http://a%2Fb/", "http://a%3ab/", "http://a%40b/", "http://a%23b/", "http://a%5cb/",
    "http://a%/", "http://a%zz/", "http://%ff/", "http://a%00b/", "http://a%20b/",
    "http://[::1/", "http://::1/", "http://[::1]x/", "http://[::1]80/", "http://[v1.x]/",
    "http://[h]/", "http://[]/", "http://[1.2.3.4]/", "http://[::1%25eth0]/", "http://[fe80::1%25]/",
    "http://[fe80::1%25a/b]/", "http://[fe80::1%]/", "http://[fe80::1%25.a com]/", "http://a[b/",
    "http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://0177.0.0.1/", "http://1.2.3/",
    "http://1.2.3.256/", "http://1.2.3.4.5/", "http://01.2.3.4/", "http://1.2.3.4./", "http://0x/",
    "http://a.0x1f/", "http://a.1/", "http://127%2E1/", "http://\uff11\uff12\uff17.1/",
    "http://.a/", "http://a..b/", "http://./", "http://a../", f"http://{'a' * 64}.b/",
    f"http://{'a.' * 127}a/", "http://a!b/", "http://a$b/", "http://a,b/", "http://a=b/",
    "http://a'b/", "http://a(b/", "http://a*b/", "http://a;b/", "http://a&b/", "http://a+b/",
    "http://xn--example-/", "http://xn--/", "http://xn--a/", "http://℀.com/", "http://\ud800/",
    "http://xn--zzzzzzzzzz9/", "http://h/\ud800", "http://\u200b/", "http://a\u3002\u3002b/",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    """URLs that two programs could read differently raise InvalidURL."""
    with pytest.raises(InvalidURL):
        parse_url(text)


@pytest.mark.parametrize("text", [None, 5, b"http://h/", ["http://h/"]])
def test_not_text(text: object) -> None:
    """A URL that is not a str raises InvalidURL."""
    with pytest.raises(InvalidURL, match="must be a str"):
        parse_url(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("http://ExAmple.COM/", "example.com"),
        ("http://bücher.example/", "xn--bcher-kva.example"),
        ("http://b%C3%BCcher.example/", "xn--bcher-kva.example"),
        ("http://faß.de/", "xn--fa-hia.de"),
        ("http://XN--BCHER-KVA.example/", "xn--bcher-kva.example"),
        ("http://xn--i-7iq.ws/", "xn--i-7iq.ws"),
        ("http://日本語。jp/", "xn--wgv71a119e.jp"),
        ("http://\uff11\uff12\uff17.0.0.1/", "127.0.0.1"),
        ("http://\uff45xample.com/", "example.com"),
        ("http://a_b.c-d.-e/", "a_b.c-d.-e"),
        ("http://_dmarc.bücher.example/", "_dmarc.xn--bcher-kva.example"),
        ("http://ex%61mple.com/", "example.com"),
        ("http://a.com#@evil/", "a.com"),
        ("http://a.com?@evil/", "a.com"),
        ("http://a.com/@evil/", "a.com"),
        ("http://good@evil/", "evil"),
        ("http://a@b@c/", "c"),
        ("http://1.2.3.4/", "1.2.3.4"),
        ("http://0.0.0.0/", "0.0.0.0"),
        ("http://1.2.3.4.example/", "1.2.3.4.example"),
        ("http://1a/", "1a"),
        ("http://[::FFFF:1.2.3.4]/", "::ffff:1.2.3.4"),
    ],
)
def test_host(text: str, host: str) -> None:
    """The host is converted to lower-case ASCII by UTS 46, non-transitional."""
    assert parse_url(text).host == host


@pytest.mark.parametrize(
    ("text", "userinfo"),
    [
        ("http://u:p@h/", ("u", "p")),
        ("http://u@h/", ("u", "")),
        ("http://:p@h/", ("", "p")),
        ("http://@h/", None),
        ("http://me@x.org:p:q@h/", ("me@x.org", "p:q")),
        ("http://%C3%A9:%2F%40@h/", ("é", "/@")),
        ("http://h/", None),
    ],
)
def test_userinfo(text: str, userinfo: tuple[str, str] | None) -> None:
    """User and password are decoded and end at the last `@`, as in browsers."""
    assert parse_url(text).userinfo == userinfo


@pytest.mark.parametrize(
    "text",
    [
        "http://ann:secret@h:99999/",
        "http://ann:sec/secret@h/",
        "http://ann:secret@a b/",
        "ftp://ann:secret@h/",
        "ann:secret@h/",
        "http://ann:secret\n@h/",
    ],
)
def test_no_password_shown(text: str) -> None:
    """No error, str or repr contains a password."""
    with pytest.raises(InvalidURL) as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)
    url = parse_url("http://ann:secret@h/x#y")
    assert (str(url), repr(url)) == ("http://h/x#y", "Url('http://h/x#y')")
    assert url.without_userinfo().userinfo is None


def test_schemes() -> None:
    """Other schemes can be allowed; one without a default port needs a port."""
    assert parse_url("socks5://h", schemes=("socks5",)).port == 1080
    assert parse_url("x://h:9", schemes=("x",)).origin == "x://h:9"
    with pytest.raises(InvalidURL, match="port is required"):
        parse_url("x://h", schemes=("x",))
    with pytest.raises(InvalidURL, match="not one of"):
        parse_url("http://h/", schemes=("https",))
    parse_url("http://h/")
    with pytest.raises(InvalidURL, match="not one of"):
        parse_url("http://h/", schemes=("https",))


def test_raw() -> None:
    """`normalize=False` uses the target exactly as written, or raises InvalidURL."""
    for _ in range(2):
        assert parse_url("http://h/a/../%2e/b", normalize=False).target == "/a/../%2e/b"
        with pytest.raises(InvalidURL, match="cannot be sent"):
            parse_url("http://h/100%", normalize=False)
        assert parse_url("http://h/100%").target == "/100%25"


def test_length_limit() -> None:
    """The length of text and target is limited, by default to 64 KiB."""
    front = "http://h/"
    longest = front + "a" * (MAX_URL_LENGTH - len(front))
    for _ in range(2):
        assert parse_url(longest).target == longest[8:]
        for text in (longest + "a", front + "é" * (MAX_URL_LENGTH // 2)):
            with pytest.raises(InvalidURL):
                parse_url(text)
    assert parse_url(longest + "a", max_length=MAX_URL_LENGTH + 1)
    with pytest.raises(InvalidURL):
        parse_url(front + "aa", max_length=len(front) + 1)


def test_origins_remembered_are_bounded() -> None:
    """The cache of origins is bounded and contains no password."""
    for i in range(3 * urls._MAX_ORIGINS):
        parse_url(f"http://u:p@h{i}/")
        parse_url(f"http://h{i}/")
    assert len(urls._origins) <= urls._MAX_ORIGINS
    assert not any("@" in origin for origin in urls._origins)


@pytest.mark.parametrize(
    "text",
    [
        "http://h" + "/.." * 20000,
        "http://h" + "/a" * 10000 + "/.." * 10000,
        "http://h/" + "%" * 60000,
        "http://" + "@" * 60000 + "h/",
        "http://" + "%61" * 20000,
        "http://" + "é" * 60000,
        "http://xn--" + "9" * 60000,
        "http://[" + ":" * 60000,
        "http://h:" + "9" * 60000,
        "a" * 65000,
        " " * 65000,
    ],
)
def test_linear(text: str) -> None:
    """Parsing time is linear: the longest URL takes a fraction of a second."""

    def parse() -> None:
        with contextlib.suppress(InvalidURL):
            parse_url(text)

    assert thread_seconds(parse) < 1.0


@given(st.text(max_size=60).map(lambda tail: "http://h" + tail) | st.text(max_size=40))
def test_anything(text: str) -> None:
    """Any text gives a URL that can be sent and parses to itself, or InvalidURL."""
    try:
        url = parse_url(text)
    except InvalidURL:
        return
    wire = url.target + url.authority
    assert url.target.startswith("/")
    assert wire.isascii()
    assert all(" " < c < "\x7f" for c in wire)
    assert "#" not in wire
    again = parse_url(str(url))
    assert again == url.without_userinfo()
    assert parse_url(str(url)) == again


@given(st.text(alphabet="abAB01._-/?#@:%[]\\éß。xn ", max_size=30).map("http://".__add__))
def test_short_way_and_long_way_agree(text: str) -> None:
    """The cache of origins does not change results."""

    def outcome() -> object:
        try:
            return parse_url(text)
        except InvalidURL as err:
            return str(err)

    urls._origins.clear()
    first = outcome()
    assert outcome() == first
    assert first == outcome()


def test_same_origin() -> None:
    """Two origins are equal if scheme, host, port and zone are equal."""
    url = parse_url("http://h:80/x")
    assert url.same_origin(parse_url("HTTP://u:p@H/y#z"))
    for other in ("https://h:80/x", "http://h:81/x", "http://i/x", "http://h./x"):
        assert not url.same_origin(parse_url(other))
    zones = [parse_url(f"http://[fe80::1%25{zone}]/") for zone in ("eth0", "eth1")]
    assert not zones[0].same_origin(zones[1])
    assert url.with_target("/y?q") == parse_url("http://h/y?q")


@pytest.mark.parametrize(
    "text",
    ["http://xn--a-bcb/", "http://xn--1ug/", "http://xn--a-zhc/", "http://xn--ab-m1t/"],
)
def test_a_labels_refused(text: str) -> None:
    """An `xn--` label must follow the rules of its decoded form: marks, joiners, directions."""
    with pytest.raises(InvalidURL):
        parse_url(text)
