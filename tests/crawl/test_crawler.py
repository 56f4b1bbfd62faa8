"""`Crawler`: every page in scope once, for any links, redirects, robots.txt and servers."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.leaks import ignore_descriptor
from support.output_readers import decompressed
from support.site import Answer, Site

from asks_fast.crawl import Crawler, CrawlPage
from asks_fast.crawl.checkpoint import CheckpointError
from asks_fast.crawl.frontier import FrontierError
from asks_fast.crawl.options import FetchOptions
from bench.crawl_site import Server
from bench.crawl_site import Site as GeneratedSite

for needed in ("selectolax", "protego"):
    pytest.importorskip(needed, reason=f"{needed} is not installed")

PAGES = 2_000
FAST = FetchOptions(retries=0, max_failures=0)
NO_ROBOTS = FetchOptions(retries=0, max_failures=0, robots=False)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def generated() -> Iterator[Server]:
    with Server(GeneratedSite(PAGES, redirects=True)) as server:
        ignore_descriptor(server.fileno)
        yield server


class Pages:
    """A site from a table of paths; other paths are 404."""

    def __init__(self, table: dict[str, Any], hosts: int = 1) -> None:
        self.table = {"/robots.txt": (404, {}, b""), **table}
        self.site = Site(self.page, hosts=hosts)

    def page(self, host: int, path: str) -> Answer:
        found = self.table.get(path, (404, {}, b"no"))
        if isinstance(found, str):
            return 200, {"Content-Type": "text/html"}, found.encode()
        return found  # type: ignore[no-any-return]

    async def crawl(self, start: str = "/", fetch: FetchOptions = FAST, **options: Any) -> Any:
        """Crawl the site; return the requested paths, without robots.txt."""
        with self.site:
            self.crawler = Crawler(self.site.urls[0] + start, fetch=fetch, **options)
            self.stats = await self.crawler.run()
        asked = [one.split(" ", 2)[2] for one in self.site.asked]
        return [path for path in asked if path != "/robots.txt"]


def page(*links: str, head: str = "") -> str:
    anchors = "".join(f'<a href="{link}">x</a>' for link in links)
    return f"<html><head>{head}</head><body>{anchors}</body></html>"


async def test_every_page_once(generated: Server, tmp_path: Path) -> None:
    """Each page and redirect of a generated site is requested, called back and written once."""
    out = tmp_path / "o.jsonl"
    called: list[str] = []
    crawler = Crawler(
        f"{generated.site.base}/p/0",
        output=out,
        body="none",
        on_page=lambda page: called.append(page.url),
        fetch=FAST,
    )
    stats = await crawler.run()
    expected = Counter(generated.site.urls())
    assert Counter(row["url"] for row in rows(out)) == expected
    assert Counter(called) == expected
    base = generated.site.base
    asked = Counter(f"{base}{path}" for path in generated.log if path != "/robots.txt")
    assert asked == expected
    assert (stats.done, stats.failed) == (len(expected), 0)
    assert {row["depth"] for row in rows(out)} <= set(range(8))
    assert crawler.is_total_known


async def test_callbacks() -> None:
    """A callback sees the page, and may remove and add links."""
    site = Pages(
        {
            "/": page("/a", "/b", head="<title>Start</title>"),
            "/a": page(head='<link rel="canonical" href="/c">'),
            "/c": page("/d"),
            "/extra": (200, {"Content-Type": "text/plain"}, "grün".encode()),
        }
    )
    seen: dict[str, CrawlPage] = {}

    async def on_page(one: CrawlPage) -> None:
        path = one.url.removeprefix(site.site.urls[0])
        seen[path] = one
        if path == "/":
            title = one.html.css_first("title")
            assert title is not None
            assert title.text() == "Start"
            one.links.remove(f"{site.site.urls[0]}/b")
            one.follow("extra", priority=5)
            one.follow("http://other.example/")
            one.follow("mailto:x")

    asked = await site.crawl(on_page=on_page)
    assert asked == ["/", "/extra", "/a", "/c", "/d"]
    assert (seen["/extra"].text, seen["/extra"].content_type) == ("grün", "text/plain")
    assert seen["/a"].canonical == f"{site.site.urls[0]}/c"
    assert (seen["/d"].status_code, seen["/d"].ok, seen["/d"].depth) == (404, False, 3)
    assert repr(seen["/d"]) == f"<CrawlPage {site.site.urls[0]}/d 404, 0 links>"
    assert seen["/"].headers["content-type"] == "text/html"


async def test_a_callback_that_fails(tmp_path: Path) -> None:
    """Its exception ends the crawl; the page is fetched again when the crawl is resumed."""
    site = Pages({"/": page("/a", "/b"), "/a": page(), "/b": page()})
    out = tmp_path / "o.jsonl"

    def on_page(one: CrawlPage) -> None:
        if one.depth:
            raise KeyError(one.url)

    with pytest.raises(KeyError):
        await site.crawl(output=out, on_page=on_page)
    assert len(rows(out)) == 1
    with pytest.raises(FrontierError, match=r"resume=True .* continues it"):
        await Crawler(site.site.urls[0], output=out).run()


async def test_redirects(tmp_path: Path) -> None:
    """A redirect is a page of its own; its target is requested once and only in scope."""
    moved = {f"/r{n}": (302, {"Location": "/target"}, b"") for n in range(3)}
    loops = {f"/loop/{n}": (302, {"Location": f"/loop/{n + 1}"}, b"") for n in range(50)}
    site = Pages(
        {
            "/": page("/r0", "/r1", "/r2", "/away", "/self", "/loop/0"),
            **moved,
            **loops,
            "/away": (301, {"Location": "http://other.example/"}, b""),
            "/self": (302, {"Location": "/self"}, b""),
            "/target": page("/r0"),
        }
    )
    out = tmp_path / "o.jsonl"
    asked = await site.crawl(output=out, fetch=FetchOptions(max_redirects=5, retries=0))
    loop = [f"/loop/{n}" for n in range(6)]
    assert Counter(asked) == Counter(["/", "/r0", "/r1", "/r2", "/away", "/self", *loop, "/target"])
    found = {row["url"].rpartition("/")[2]: row for row in rows(out)}
    assert (found["r1"]["status"], found["r1"]["location"]) == (302, "/target")
    assert found["target"]["depth"] == 1


async def test_robots_and_sitemaps(tmp_path: Path) -> None:
    """robots.txt is obeyed; the sitemaps that it names are followed and have no records."""
    robots = (
        b"User-agent: *\nDisallow: /private\nSitemap: /index.xml.gz\nSitemap: http://other.invalid/"
    )
    index = b"<sitemapindex><sitemap><loc>/one.xml</loc></sitemap></sitemapindex>"
    one = b"<urlset><url><loc>/from-sitemap</loc></url><url><loc>/private/1</loc></url></urlset>"
    site = Pages(
        {
            "/robots.txt": (200, {}, robots),
            "/": page("/private/2", "/a"),
            "/index.xml.gz": (200, {"Content-Type": "application/gzip"}, gzip.compress(index)),
            "/one.xml": (302, {"Location": "/two.xml"}, b""),
            "/two.xml": (200, {"Content-Type": "application/xml"}, one),
        }
    )
    out = tmp_path / "o.jsonl"
    asked = await site.crawl(output=out)
    expected = ["/", "/a", "/from-sitemap", "/index.xml.gz", "/one.xml", "/two.xml"]
    assert sorted(asked) == expected
    written = sorted(row["url"].removeprefix(site.site.urls[0]) for row in rows(out))
    assert written == ["/", "/a", "/from-sitemap"]
    assert site.stats.skipped == 2
    without = Pages(site.table)
    assert sorted(await without.crawl(sitemaps=False)) == ["/", "/a"]


async def test_a_sitemap_as_start() -> None:
    """A start URL may be a sitemap."""
    listed = b"<urlset><url><loc>/a</loc></url></urlset>"
    site = Pages({"/s.xml": (200, {"Content-Type": "text/xml"}, listed), "/a": page("/b")})
    assert await site.crawl("/s.xml") == ["/s.xml", "/a", "/b"]


async def test_traps() -> None:
    """Endless depth, queries and hosts of links end by their limits."""

    class Endless(Pages):
        def page(self, host: int, path: str) -> Answer:
            if path == "/robots.txt":
                return 404, {}, b""
            name, _, query = path.partition("?")
            number = int(query[2:] or 0) if query else 0
            links = [f"{name}/deeper", *(f"?q={number * 2 + n}" for n in (1, 2))]
            return 200, {"Content-Type": "text/html"}, page(*links).encode()

    site = Endless({})
    asked = await site.crawl("/x", fetch=NO_ROBOTS, max_depth=8, max_queries=5, sitemaps=False)
    assert len(asked) == len(set(asked))
    per_path = Counter(path.partition("?")[0] for path in asked if "?" in path)
    assert max(per_path.values()) == 5
    assert max(path.count("/deeper") for path in asked) == 8
    limited = Endless({})
    assert len(await limited.crawl("/x", fetch=NO_ROBOTS, max_pages=17)) == 17
    narrow = Endless({})
    assert len(await narrow.crawl("/x", fetch=NO_ROBOTS, max_pages_per_host=9)) == 9


@pytest.mark.parametrize("name", ["o.jsonl.gz", "o.warc.gz", "o.parquet", "directory"])
async def test_outputs(generated: Server, name: str, tmp_path: Path) -> None:
    """All outputs of `fetch` hold each page once, and links are found with each."""
    if name == "directory":
        where: dict[str, Any] = {"directory": tmp_path / "files"}
        path = tmp_path / "files" / "index.jsonl"
    else:
        path = tmp_path / name
        where = {"output": path}
    start = f"{generated.site.base}/p/0"
    stats = await Crawler(start, fetch=FAST, max_pages=150, **where).run()
    assert stats.done == 150
    if name.endswith("parquet"):
        table = pytest.importorskip("pyarrow.parquet").read_table(path)
        urls = table.column("url").to_pylist()
    elif name.endswith("warc.gz"):
        archive = pytest.importorskip("warcio.archiveiterator").ArchiveIterator
        with path.open("rb") as file:
            urls = [
                one.rec_headers["WARC-Target-URI"]
                for one in archive(file)
                if one.rec_type == "response"
            ]
    else:
        urls = [json.loads(line)["url"] for line in decompressed(path).splitlines()]
    assert len(set(urls)) == len(urls) == 150


async def test_filters_keep_links(tmp_path: Path) -> None:
    """A page whose record is dropped by a filter is followed nevertheless."""
    site = Pages({"/": page("/a.txt"), "/a.txt": (200, {"Content-Type": "text/plain"}, b"x")})
    out = tmp_path / "o.jsonl"
    await site.crawl(output=out, fetch=FetchOptions(only_type=("text/plain",), retries=0))
    assert [row["url"].rpartition("/")[2] for row in rows(out)] == ["a.txt"]
    assert (site.stats.done, site.stats.dropped) == (2, 1)


async def test_failures_are_pages(tmp_path: Path) -> None:
    """A page without a response has a record and is called back."""
    out = tmp_path / "o.jsonl"
    errors: list[Exception | None] = []
    crawler = Crawler(
        "127.0.0.1:1",
        output=out,
        fetch=NO_ROBOTS,
        on_page=lambda one: errors.append(one.error),
    )
    stats = await crawler.run()
    assert stats.failed == 1
    assert [type(error).__name__ for error in errors] == ["ConnectionFailed"]
    assert rows(out)[0]["error"]["kind"] == "ConnectionFailed"


async def test_stop_and_resume_without_output(generated: Server, tmp_path: Path) -> None:
    """A crawl with callbacks only is resumed from its frontier."""
    seen: list[str] = []

    async def on_page(one: CrawlPage) -> None:
        seen.append(one.url)
        if len(seen) == 300:
            await crawler.stop()

    options = {"fetch": FAST, "on_page": on_page, "frontier": tmp_path / "f"}
    start = f"{generated.site.base}/p/0"
    crawler = Crawler(start, **options)  # type: ignore[arg-type]
    await crawler.run()
    assert 300 <= len(seen) < 500
    crawler = Crawler(start, resume=True, **options)  # type: ignore[arg-type]
    await crawler.run()
    assert Counter(seen) == Counter(generated.site.urls())


async def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    """An output without its frontier cannot be resumed; only `overwrite` replaces files."""
    site = Pages({"/": page("/a")})
    out = tmp_path / "o.jsonl"
    await site.crawl(output=out)
    start = site.site.urls[0]
    with pytest.raises(FrontierError, match=r"resume=True .* continues it"):
        await Crawler(start, output=out).run()
    (tmp_path / "o.jsonl.frontier").unlink()
    with pytest.raises(CheckpointError, match=r"frontier .* is missing"):
        await Crawler(start, output=out, resume=True).run()
    with pytest.raises(CheckpointError, match="--overwrite"):
        await Crawler(start, output=out).run()
    assert len(rows(out)) == 2
    again = Pages(site.table)
    await again.crawl(output=out, overwrite=True)
    assert len(rows(out)) == 2


@pytest.mark.parametrize(
    ("start", "options", "says"),
    [
        ([], {}, "at least one start URL"),
        ("http://[bad", {}, "invalid start URL"),
        ("a.com", {"max_depth": -1}, "max_depth"),
        ("a.com", {"max_pages": 0}, "max_pages"),
        ("a.com", {"include": "("}, "regular expression"),
        ("a.com", {"scope": "planet"}, "scope must be one of"),
    ],
)
def test_wrong_options(start: Any, options: dict[str, Any], says: str) -> None:
    """Wrong options raise before anything is opened."""
    with pytest.raises(ValueError, match=says):
        Crawler(start, **options)


def test_unknown_argument() -> None:
    """An unknown argument is a TypeError that names the class, and a close name if there is one."""
    with pytest.raises(TypeError, match=r"Crawler\(\) .* 'on_pages'; did you mean 'on_page'\?"):
        Crawler("a.com", on_pages=print)
    with pytest.raises(TypeError, match=r"'max_page'; did you mean 'max_pages'\?"):
        Crawler("a.com", max_page=1)
    with pytest.raises(TypeError, match=r"argument 'xyz'$"):
        Crawler("a.com", xyz=1)


def test_in_asyncio(generated: Server) -> None:
    """A crawl runs in asyncio, and callbacks may await functions of asyncio."""
    seen: list[str] = []

    async def on_page(one: CrawlPage) -> None:
        await asyncio.sleep(0)
        seen.append(one.url)

    start = f"{generated.site.base}/p/0"
    asyncio.run(Crawler(start, on_page=on_page, fetch=FAST, max_pages=50).run())
    assert len(set(seen)) == len(seen) == 50
