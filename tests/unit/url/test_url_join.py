"""Joining of URLs: references against a base, and the parts of a session's URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asks_fast.errors import InvalidURL
from asks_fast.urls import join_path, join_url, parse_url

# RFC 3986 §5.4, from http://a/b/c/d;p?q; "g:h" is another scheme and refused here.
RFC_3986 = [
    ("g", "/b/c/g"), ("./g", "/b/c/g"), ("g/", "/b/c/g/"), ("/g", "/g"), ("//g", "//g/"),
    ("?y", "/b/c/d;p?y"), ("g?y", "/b/c/g?y"), ("#s", "/b/c/d;p?q#s"), ("g#s", "/b/c/g#s"),
    ("g?y#s", "/b/c/g?y#s"), (";x", "/b/c/;x"), ("g;x", "/b/c/g;x"), ("g;x?y#s", "/b/c/g;x?y#s"),
    ("", "/b/c/d;p?q"), (".", "/b/c/"), ("./", "/b/c/"), ("..", "/b/"), ("../", "/b/"),
    ("../g", "/b/g"), ("../..", "/"), ("../../", "/"), ("../../g", "/g"),
    ("../../../g", "/g"), ("../../../../g", "/g"), ("/./g", "/g"), ("/../g", "/g"),
    ("g.", "/b/c/g."), (".g", "/b/c/.g"), ("g..", "/b/c/g.."), ("..g", "/b/c/..g"),
    ("./../g", "/b/g"), ("./g/.", "/b/c/g/"), ("g/./h", "/b/c/g/h"), ("g/../h", "/b/c/h"),
    ("g;x=1/./y", "/b/c/g;x=1/y"), ("g;x=1/../y", "/b/c/y"), ("g?y/./x", "/b/c/g?y/./x"),
    ("g?y/../x", "/b/c/g?y/../x"), ("g#s/./x", "/b/c/g#s/./x"), ("g#s/../x", "/b/c/g#s/../x"),
]  # fmt: skip


@pytest.mark.parametrize(("location", "expected"), RFC_3986)
def test_rfc_3986_examples(location: str, expected: str) -> None:
    """The examples of RFC 3986 §5.4, normal and abnormal."""
    base = parse_url("http://a/b/c/d;p?q")
    whole = f"http:{expected}" if expected.startswith("//") else f"http://a{expected}"
    assert str(join_url(base, location)) == whole


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://h2/x", "https://h2/x"),
        ("HTTP://H2", "http://h2/"),
        (" /x y \t", "http://h:8080/x%20y"),
        ("/é", "http://h:8080/%C3%A9"),
        (b"/\xc3\xa9", "http://h:8080/%C3%A9"),
        (b"/\xe9", "http://h:8080/%E9"),
        ("//h2:81/x", "http://h2:81/x"),
        ("x\\y", "http://h:8080/d/x/y"),
        ("..\\x?a\\b", "http://h:8080/x?a%5Cb"),
        ("\\x\\y", "http://h:8080/x/y"),
        ("?a\\b", "http://h:8080/d/f?a%5Cb"),
        ("http://h2/a\\..\\b", "http://h2/b"),
        ("/a//b", "http://h:8080/a//b"),
    ],
)
def test_lenient(location: str | bytes, expected: str) -> None:
    """Surrounding spaces are removed, inner spaces and non-ASCII are encoded, as in browsers."""
    assert str(join_url(parse_url("http://h:8080/d/f?q"), location)) == expected


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://h/", "javascript:x", "data:,x", "g:h", "http:x", "http:/x",
     "/\\evil", "\\\\evil", "\\/evil", "//", "///x", "//a b/", "//127.1/", "/a\nb", "/\t/evil",
     "http://"],
)  # fmt: skip
def test_location_refused(location: str) -> None:
    """Other schemes than http and https, and ambiguous hosts, raise InvalidURL."""
    with pytest.raises(InvalidURL):
        join_url(parse_url("http://h/"), location)


def test_fragment_is_inherited() -> None:
    """A location without a fragment inherits that of the base (RFC 9110 §10.2.2)."""
    base = parse_url("http://h/a#one")
    assert join_url(base, "/b").fragment == "one"
    assert join_url(base, "http://h2/b").fragment == "one"
    assert join_url(base, "/b#two").fragment == "two"
    assert join_url(base, "/b#").fragment == ""


def test_user_stays_with_the_authority() -> None:
    """A relative reference keeps user and password; another authority does not."""
    base = parse_url("http://u:p@h/a")
    assert join_url(base, "b").userinfo == ("u", "p")
    assert join_url(base, "//h2/b").userinfo is None
    assert join_url(base, "http://h/b").userinfo is None


@pytest.mark.parametrize(
    ("base", "endpoint", "path", "target"),
    [
        ("http://h", None, None, "/"),
        ("http://h/", "", "", "/"),
        ("http://h", "/asks/test", "", "/asks/test"),
        ("http://h/", "/asks/test", "/1", "/asks/test/1"),
        ("http://h/", "asks/test/", "1", "/asks/test/1"),
        ("http://h/", "//asks//", "//1", "/asks/1"),
        ("http://h", "e", "//evil/x", "/e/evil/x"),
        ("http://h", "", "/http://evil/", "/http://evil/"),
        ("http://h/api", "", "", "/api"),
        ("http://h/api/", "", "", "/api/"),
        ("http://h/api/", "v1", "x/", "/api/v1/x/"),
        ("http://h/api", "v1", "/", "/api/v1/"),
        ("http://h", "e", "?q=1", "/e?q=1"),
        ("http://h", "e?q=1", "", "/e?q=1"),
        ("http://h", "e", "a b#frag", "/e/a%20b"),
        ("http://h", "e", "../x", "/x"),
        ("http://h", "e", "p;a=1?b=2", "/e/p;a=1?b=2"),
    ],
)
def test_join_path(base: str, endpoint: str | None, path: str | None, target: str) -> None:
    """Exactly one slash joins base, endpoint and path."""
    assert join_path(parse_url(base), endpoint, path) == target


@pytest.mark.parametrize(
    ("base", "endpoint", "path"),
    [
        ("http://h?q", "", ""),
        ("http://h?", "", ""),
        ("http://h#f", "", ""),
        ("http://h", "e?q", "p"),
        ("http://h", "e\n", ""),
        ("http://h", "", "http://evil/"),
        ("http://h", "", "\x00"),
        ("http://h", "", "#\r\n"),
        ("http://h", "", "é" * 65536),
    ],
)
def test_join_path_refused(base: str, endpoint: str, path: str) -> None:
    """A base with a query, text after a query, absolute URLs and control characters raise."""
    with pytest.raises(InvalidURL):
        join_path(parse_url(base), endpoint, path)


@given(st.text(max_size=30), st.text(max_size=30))
def test_join_path_keeps_the_host(endpoint: str, path: str) -> None:
    """No endpoint or path can change the origin or end the request line."""
    try:
        target = join_path(parse_url("http://h/b"), endpoint, path)
    except InvalidURL:
        return
    assert target.startswith("/")
    assert all(" " < c < "\x7f" for c in target)
    assert parse_url("http://h" + target) == parse_url("http://h").with_target(target)


@given(st.text(max_size=40) | st.binary(max_size=40))
def test_any_location(location: str | bytes) -> None:
    """Any Location gives a URL that can be sent, or InvalidURL."""
    try:
        url = join_url(parse_url("http://h/a/b?c"), location)
    except InvalidURL:
        return
    assert all(" " < c < "\x7f" for c in url.target + url.authority)
    assert parse_url(str(url)) == url.without_userinfo()
