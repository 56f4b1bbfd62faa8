"""Links of pages, canonical URLs, sitemaps and the scope of a crawl."""

from __future__ import annotations

import gzip
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.costs import thread_seconds

from asks_fast.crawl.links import Links, canonical_url, find_links, resolve
from asks_fast.crawl.robots_rules import sitemaps_of
from asks_fast.crawl.scope import Scope
from asks_fast.crawl.sitemaps import MAX_URLS, Sitemap, is_sitemap, read_sitemap
from asks_fast.errors import InvalidURL
from asks_fast.urls import parse_url

pytest.importorskip("selectolax", reason="selectolax is not installed")

PAGE = "http://a.com/d/page"


def links(html: str, **options: str) -> list[str]:
    return find_links(html.encode(), PAGE, **options).urls


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("/x", "http://a.com/x"),
        ("x", "http://a.com/d/x"),
        ("../x?b=1&a=2#part", "http://a.com/x?b=1&a=2"),
        ("./", "http://a.com/d/"),
        ("?q=1", "http://a.com/d/page?q=1"),
        ("//B.com:80/x", "http://b.com/x"),
        ("HTTPS://b.com:443", "https://b.com/"),
        ("http://u:p@b.com/x", "http://b.com/x"),
        (" \n/a/../x\t ", "http://a.com/x"),
        ("/a\nb", "http://a.com/ab"),
        ("/%7eme/%c3%bc", "http://a.com/~me/%C3%BC"),
        ("/grün", "http://a.com/gr%C3%BCn"),
        ("/a b", "http://a.com/a%20b"),
        ("#top", None),
        ("", None),
        ("mailto:a@b.com", None),
        ("javascript:void(0)", None),
        ("data:text/html,x", None),
        ("ftp://a.com/", None),
        ("http://[::1", None),
        ("http://a b/", None),
        ("/" + "x" * 2000, None),
    ],
)
def test_resolve(link: str, url: str | None) -> None:
    """A link is resolved against its page and given in canonical form; others are left out."""
    assert resolve(parse_url(PAGE), link) == url
    assert links(f'<a href="{link}">x</a>') == ([url] if url else [])


@given(st.text(max_size=40))
def test_canonical_urls_are_stable(path: str) -> None:
    """The canonical form of a canonical URL is itself, whichever way it was found."""
    found = resolve(parse_url(PAGE), path)
    if found is not None:
        assert canonical_url(found) == found
        assert resolve(parse_url(PAGE), found) == found


def test_canonical_url_of_something_else() -> None:
    """What is not an http URL raises."""
    with pytest.raises(InvalidURL, match="not one of http, https"):
        canonical_url("file:///etc/passwd")


def test_all_kinds_of_links() -> None:
    """Anchors, areas, frames, the next page and a refresh are links; each counts once."""
    html = """<html><head><link rel="next" href="/2"><link rel="stylesheet" href="/s.css">
    <meta http-equiv="refresh" content="5; url='/later'"></head><body><a href="/a">1</a>
    <a href="/a#b">2</a><a name="x">3</a><area href="/area"><iframe src="/frame"></iframe>
    <img src="/i.png"><a href="/b" rel="noopener NoFollow">4</a></body></html>"""
    expected = ["/2", "/later", "/a", "/area", "/frame"]
    assert links(html) == [f"http://a.com{path}" for path in expected]
    assert find_links(html.encode(), PAGE, nofollow=False).urls[-1] == "http://a.com/b"


def test_base() -> None:
    """`base` changes what links are relative to; the first one counts."""
    html = '<base href="/other/"><base href="/no/"><a href="x">1</a><a href="/y">2</a>'
    assert links(html) == ["http://a.com/other/x", "http://a.com/y"]
    assert links('<base href="http://[bad"><a href="x">1</a>') == ["http://a.com/d/x"]
    assert links('<base href="https://b.com/q/"><a href="x">1</a>') == ["https://b.com/q/x"]


@pytest.mark.parametrize(
    ("html", "header", "follows"),
    [
        ('<meta name="robots" content="noindex, NOFOLLOW"><a href="/x">', "", False),
        ('<meta name="ROBOTS" content="none"><a href="/x">', "", False),
        ('<meta name="robots" content="noindex"><a href="/x">', "noarchive", True),
        ('<meta name="other" content="nofollow"><a href="/x">', "", True),
        ('<a href="/x">', "nofollow", False),
    ],
)
def test_nofollow_of_a_page(html: str, header: str, follows: bool) -> None:
    """Robots directives of a page and of its header forbid all its links."""
    assert links(html, header=header) == (["http://a.com/x"] if follows else [])


def test_canonical() -> None:
    """A page may name another address as its own, which is a link too."""
    html = b'<link rel="canonical" href="/c"><a href="/x">'
    assert find_links(html, PAGE) == Links(["http://a.com/x", "http://a.com/c"], "http://a.com/c")
    assert find_links(html, "http://a.com/c").canonical is None


def test_charsets() -> None:
    """Links are read in the encoding of the page."""
    html = '<a href="/grün">'
    assert find_links(html.encode("latin-1"), PAGE, "latin-1").urls == ["http://a.com/gr%C3%BCn"]
    assert find_links(html.encode("utf-16"), PAGE, "utf-16").urls == ["http://a.com/gr%C3%BCn"]


def test_bounds() -> None:
    """The number of links, the length of a URL and the time for a page are bounded."""
    many = "".join(f'<a href="/{n}">' for n in range(20_000)).encode()
    assert len(find_links(many, PAGE).urls) == 5_000
    assert len(find_links(many, PAGE, max_links=7).urls) == 7
    for tag in (b"<a href=/x>", b"<div>", b"<b>", b"<!--", b"<x-y>", b"<table><tr><td>", b"<p>"):
        assert thread_seconds(find_links, tag * 300_000, PAGE, tries=1) < 5
    deep = b"<a href=/first>" + b"<div>" * 100_000 + b"<a href=/last>"
    assert find_links(deep, PAGE).urls == ["http://a.com/first"]
    wide = b"<a href=/first>1</a>" + b"<div></div>" * 100_000 + b"<a href=/last>"
    assert len(find_links(wide, PAGE).urls) == 2


COSTLY = {
    "blocks after formatting": b"".join(b"<p><b i=%d></p>" % i for i in range(30_000)),
    "quoted formatting": b"".join(b'<p><font color="%d"></p>' % i for i in range(30_000)),
    "formatting before cells": b"".join(
        b"<p><b i=%d><table><td></b></table></p>" % i for i in range(30_000)
    ),
    "attributes": b"<a %b>" % b" ".join(b"a%d" % i for i in range(100_000)),
    "quoted attributes": b"<a %b>" % b" ".join(b"a%d='>'" % i for i in range(100_000)),
    "elements with attributes": (b"<i %b>" % b" ".join(b"a%d" % i for i in range(5_000))) * 90,
    "attributes without space": b"<a %b>" % b"".join(b'a%d=""' % i for i in range(100_000)),
    "attributes like tags": b"<a %b>" % b" ".join(b"<a%d" % i for i in range(100_000)),
    "quotes in names": b'<a ="%b">' % b" ".join(b"a%d" % i for i in range(100_000)),
    "quotes in values": b'<a a=b="%b">' % b" ".join(b"a%d" % i for i in range(100_000)),
    "slashes": b"<a/%b>" % b"/".join(b"a%d" % i for i in range(100_000)),
}


@pytest.mark.parametrize("html", COSTLY.values(), ids=COSTLY.keys())
def test_pages_that_cost_too_much(html: bytes) -> None:
    """A page that would take the parser minutes or gigabytes is read up to that place."""
    page = b"<a href=/first>x</a>" + html + b"<a href=/last>x</a>"
    assert thread_seconds(find_links, page, PAGE, tries=1) < 3
    assert find_links(page, PAGE).urls == ["http://a.com/first"]


@pytest.mark.parametrize(
    "html",
    [
        b"<p><font color=red>" * 4_000,
        b"".join(b"<p><font color=%d>x</font></p>" % i for i in range(10_000)),
        b"<div " + b"".join(b' data-%d="a > b"' % i for i in range(1_000)) + b">",
        b"<img src='data:image/png;base64," + b"iVBORw0KGgo" * 10_000 + b"'>",
        b"<script>" + b"if (a<b && c>d) { e = '<i f=' + g; }\n" * 30 + b"</script>",
    ],
    ids=["equal formatting", "closed formatting", "attributes", "long value", "script"],
)
def test_unusual_pages_are_read_whole(html: bytes) -> None:
    """Long and old pages are read to their end."""
    page = b"<a href=/first>x</a>" + html + b"<a href=/last>x</a>"
    assert find_links(page, PAGE).urls == ["http://a.com/first", "http://a.com/last"]


@given(st.binary(max_size=300))
@settings(max_examples=50)
def test_no_page_raises(content: bytes) -> None:
    """Any bytes are a page."""
    find_links(content, PAGE)
    find_links(b"<a href='" + content + b"'>", PAGE)
    read_sitemap(content)
    read_sitemap(b"<urlset><url><loc>" + content)
    sitemaps_of(b"Sitemap: " + content)


# -- sitemaps

URLSET = (
    b'<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="http://www.sitemaps.org/schemas/'
    b'sitemap/0.9"><url><loc> http://a.com/1?a=1&amp;b=2 </loc><lastmod>2026-01-01</lastmod></url>'
    b"<url><loc><![CDATA[http://a.com/2]]></loc><image:image xmlns:image='i'><image:loc>http://a/i"
    b"</image:loc></image:image></url></urlset>"
)
INDEX = b"<sitemapindex><sitemap><loc>http://a.com/s1.xml</loc></sitemap></sitemapindex>"


def test_sitemaps() -> None:
    """A sitemap lists URLs, an index lists sitemaps; both may be compressed, or plain text."""
    urls = ["http://a.com/1?a=1&b=2", "http://a.com/2"]
    assert read_sitemap(URLSET) == Sitemap(urls, [])
    assert read_sitemap(gzip.compress(URLSET)) == Sitemap(urls, [])
    assert read_sitemap(INDEX) == Sitemap([], ["http://a.com/s1.xml"])
    assert read_sitemap(b"\xef\xbb\xbfhttp://a.com/1\r\nno\nhttps://a.com/2") == Sitemap(
        ["http://a.com/1", "https://a.com/2"], []
    )
    assert is_sitemap(URLSET)
    assert is_sitemap(gzip.compress(INDEX))
    assert not is_sitemap(b"<rss><channel>")


def test_broken_sitemaps() -> None:
    """What was read before an error is used."""
    assert read_sitemap(URLSET[:-20]).urls == ["http://a.com/1?a=1&b=2", "http://a.com/2"]
    cut = gzip.compress(b"".join(b"http://a.com/%d\n" % n for n in range(50_000)))
    assert 100 < len(read_sitemap(cut[: len(cut) // 2]).urls) < 50_000
    assert read_sitemap(b"") == Sitemap([], [])


def test_hostile_sitemaps() -> None:
    """Entities, endless documents and compression bombs are bounded."""
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><urlset><url><loc>&b;'
    assert read_sitemap(bomb) == Sitemap([], [])
    many = b"<urlset>" + b"<url><loc>http://a.com/</loc></url>" * (MAX_URLS + 10)
    assert len(read_sitemap(many).urls) == MAX_URLS
    zeros = gzip.compress(b" " * 300_000_000, 1)
    assert thread_seconds(read_sitemap, zeros, tries=1) < 3
    assert read_sitemap(b"<a>" * 100_000) == Sitemap([], [])


def test_sitemaps_of_robots() -> None:
    """`Sitemap` lines of any group are found, each once, and their number is bounded."""
    text = b"User-agent: x\nDisallow: /\nSITEMAP: http://a.com/1.xml # one\n sitemap:/2.xml\n"
    assert sitemaps_of(text + text) == ["http://a.com/1.xml", "/2.xml"]
    assert len(sitemaps_of(b"".join(b"Sitemap: /%d\n" % n for n in range(1000)))) == 100


# -- scope


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        ("host", ["http://www.a.co.uk/x", "https://www.a.co.uk/"], ["http://a.co.uk/x"]),
        ("host", [], ["http://www.a.co.uk:81/", "http://b.com/"]),
        ("domain", ["http://a.co.uk/", "https://x.y.a.co.uk:8443/"], ["http://b.co.uk/"]),
        ("prefix", ["https://www.a.co.uk/docs/x", "http://www.a.co.uk/docs/"], []),
        ("prefix", [], ["http://www.a.co.uk/docs", "http://www.a.co.uk/other/"]),
        ("any", ["http://b.com/"], []),
    ],
)
def test_scope(kind: str, inside: list[str], outside: list[str]) -> None:
    """The scope is a host, a registrable domain, a prefix, or everything."""
    scope = Scope(["http://www.a.co.uk/docs/index.html"], kind)
    assert all(map(scope.allows, inside))
    assert not any(map(scope.allows, outside))


def test_scope_of_an_address() -> None:
    """An IP address or a name without a public suffix is its own domain."""
    scope = Scope(["http://127.0.0.1:8000/", "http://localhost/"], "domain")
    assert scope.allows("http://127.0.0.1:9000/")
    assert scope.allows("http://localhost/x")
    assert not scope.allows("http://127.0.0.2/")


def test_expressions() -> None:
    """A URL must match one of `include` and none of `exclude`."""
    scope = Scope(["http://a.com/"], include=[r"/en/", r"\.html$"], exclude=[r"[?&]print="])
    assert scope.allows("http://a.com/en/x")
    assert scope.allows("http://a.com/x.html")
    assert not scope.allows("http://a.com/fr/x")
    assert not scope.allows("http://a.com/en/x?print=1")


@pytest.mark.parametrize(("options", "says"), [(("all",), "scope"), (("any", ["("]), "regular")])
def test_wrong_scopes(options: tuple[str, ...], says: str) -> None:
    """Wrong values raise when the scope is made."""
    with pytest.raises(ValueError, match=re.escape(says)):
        Scope([], *options)
