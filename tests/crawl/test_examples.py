"""Each program in examples/ does what its first lines say, on a local site."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.proxy_steps import http_proxy
from support.scripted_server import MakePeer
from support.site import Site

import asks_fast

ROOT = Path(asks_fast.__file__).parent.parent
EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def run(name: str, *args: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *args],
        capture_output=True,
        timeout=250,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
    )
    return done.returncode, done.stdout, done.stderr


def html(*links: str, title: str = "t") -> tuple[int, dict[str, str], bytes]:
    anchors = "".join(f'<a href="{link}">x</a>' for link in links)
    body = f"<html><title>{title}</title><body>{anchors}</body></html>"
    return 200, {"Content-Type": "text/html"}, body.encode()


def test_api_crawl() -> None:
    """Every item of every page is fetched with the token, also after a 429."""
    slowed: list[str] = []

    def api(host: int, path: str) -> Any:
        kind = {"Content-Type": "application/json"}
        if path.startswith("/items?") or path == "/items":
            page = int(path.partition("page=")[2] or 0)
            items = [{"id": page * 10 + n} for n in range(10)]
            link = {"Link": f'<{site.urls[0]}/items?page={page + 1}>; rel="next"'}
            return (
                200,
                {**kind, **(link if page < 3 else {})},
                json.dumps({"items": items}).encode(),
            )
        if path == "/items/7" and not slowed:
            slowed.append(path)
            return 429, {"Retry-After": "0"}, b""
        if path == "/items/13":
            return 404, {}, b""
        return 200, kind, json.dumps({"id": int(path.rpartition("/")[2]), "name": "x"}).encode()

    with Site(api) as site:
        code, out, err = run("api_crawl.py", site.urls[0], "secret")
        assert {fields["authorization"] for fields in site.headers} == {"bearer secret"}
    assert code == 1
    assert sorted(json.loads(line)["id"] for line in out.splitlines()) == [
        n for n in range(40) if n != 13
    ]
    assert "item 13: " in err


def test_site_crawl() -> None:
    """Every linked page is fetched once, except those of robots.txt and of other hosts."""
    pytest.importorskip("selectolax", reason="selectolax is not installed")
    pytest.importorskip("protego", reason="protego is not installed")

    def page(host: int, path: str) -> Any:
        if path == "/robots.txt":
            return 200, {}, b"User-agent: *\nDisallow: /private\n"
        pages = {
            "/": html("/a", "/b", "/private/x", "http://elsewhere.invalid/", title="home"),
            "/a": html("/b#part", "/", "/c", title="A"),
            "/b": html("/c", title="B"),
            "/c": html("mailto:x@y", title="C"),
        }
        return pages.get(path, (404, {}, b""))

    with Site(page) as site:
        code, out, err = run("site_crawl.py", site.urls[0] + "/")
        asked = [line for line in site.asked if "robots" not in line]
    assert code == 0, err
    assert sorted(line.split("\t")[1] for line in out.splitlines()) == ["A", "B", "C", "home"]
    assert sorted(asked) == ["GET 0 /", "GET 0 /a", "GET 0 /b", "GET 0 /c"]
    assert "robots.txt forbids" in err


def test_bulk_download(tmp_path: Path) -> None:
    """All files are complete, existing ones are skipped, and failed URLs are printed."""
    pytest.importorskip("rich", reason="rich is not installed")

    def page(host: int, path: str) -> Any:
        if "missing" in path:
            return 404, {}, b""
        return 200, {}, path.encode() * 20_000

    (tmp_path / "3.bin").write_text("mine")
    with Site(page) as site:
        urls = [f"{site.urls[0]}/files/{n}.bin" for n in range(8)]
        code, out, _ = run("bulk_download.py", str(tmp_path), *urls, site.urls[0] + "/missing")
    assert code == 1
    assert "404" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{n}.bin" for n in range(8)]
    assert (tmp_path / "3.bin").read_text() == "mine"
    assert (tmp_path / "5.bin").read_bytes() == b"/files/5.bin" * 20_000


def test_link_checker() -> None:
    """Broken links are printed with their pages; a server without HEAD gets a GET."""
    pytest.importorskip("selectolax", reason="selectolax is not installed")
    heads: list[str] = []

    def page(host: int, path: str) -> Any:
        if path == "/":
            return html("/fine", "/gone", "/no-head", "/fine#x", "http://127.0.0.1:1/dead")
        if path == "/no-head" and not heads:
            heads.append(path)
            return 405, {}, b""
        return (404 if path == "/gone" else 200), {}, b""

    with Site(page) as site:
        code, out, err = run("link_checker.py", site.urls[0] + "/")
        asked = sorted(site.asked)
    assert code == 1, err
    lines = sorted(out.splitlines())
    assert lines[0] == "4 links, 2 broken"
    assert lines[1].startswith("http://127.0.0.1:1/dead: ConnectionFailed")
    assert lines[2].startswith(f"{site.urls[0]}/gone: 404 X (on {site.urls[0]}/)")
    assert asked == ["GET 0 /", "GET 0 /no-head", "HEAD 0 /fine", "HEAD 0 /gone", "HEAD 0 /no-head"]


def test_proxy_pool(peer: MakePeer, tmp_path: Path) -> None:
    """Pages come through the proxy that works, and the figures tell of the one that does not."""
    proxy = peer([http_proxy()])
    proxies = tmp_path / "proxies.txt"
    proxies.write_text(f"http://user:secret@127.0.0.1:1\nhttp://127.0.0.1:{proxy.port}\n")
    with Site(lambda host, path: html()) as site:
        code, out, err = run(
            "proxy_pool.py", str(proxies), f"{site.urls[0]}/a", f"{site.urls[0]}/b"
        )
    assert (code, err) == (0, "")
    lines = sorted(out.splitlines())
    assert lines[0].startswith("http://127.0.0.1:1 ready 0 of ")
    assert "the proxy cannot be reached" in lines[0]
    assert "secret" not in out
    assert sum(" 200 " in line for line in lines) == 2


def test_telemetry(tmp_path: Path) -> None:
    """Spans and metrics on the standard output, the archive in its file."""
    pytest.importorskip("opentelemetry.sdk")
    pytest.importorskip("prometheus_client")
    archive = tmp_path / "pages.har"
    with Site(lambda host, path: html()) as site:
        code, out, err = run("telemetry.py", str(archive), f"{site.urls[0]}/a", f"{site.urls[0]}/b")
    assert (code, err) == (0, "")
    assert out.count('"name": "GET"') == 2
    assert 'asks_fast_requests_total{method="GET",status="200"} 2.0' in out
    assert len(json.loads(archive.read_text())["log"]["entries"]) == 2
