"""What `asks-fast fetch` says: progress, summary, slow hosts, and what is wrong with its input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.site import Answer, Site, text_page

pytest.importorskip("click", reason="the extra cli is not installed")
pytest.importorskip("rich", reason="the extra cli is not installed")
pytestmark = pytest.mark.timeout(180)


def fetch(*args: Any, **options: Any) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "asks_fast", "fetch", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=150,
        **options,
    )
    return done.returncode, done.stdout, done.stderr


def statuses(host: int, path: str) -> Answer:
    """Respond with the status in the path."""
    if path == "/robots.txt":
        return 404, {}, b""
    return int(path.split("/")[1]), {}, b"x"


@pytest.mark.parametrize("workers", [1, 2])
def test_summary(tmp_path: Path, workers: int) -> None:
    """The summary counts statuses and errors and lists failed URLs with reasons."""
    source = tmp_path / "urls"
    with Site(statuses) as site:
        refused = "http://127.0.0.1:1/refused"
        paths = ["200/a", "200/b", "404/a", "500/a"]
        source.write_text("\n".join([refused, *(f"{site.urls[0]}/{path}" for path in paths)]))
        options = ["--no-robots", "--retries", 0, "--workers", workers]
        code, _, err = fetch(source, "-o", tmp_path / "o.jsonl", *options)
    first, *lines = err.splitlines()
    assert code == 1
    assert first.startswith("done: 4 done, 1 failed in ")
    assert lines[:2] == ["  status: 200 (2), 404 (1), 500 (1)", "  errors: ConnectionFailed (1)"]
    assert lines[2].startswith(f"  failed: {refused}: ConnectionFailed: ")
    assert len(lines) == 3


def test_summary_is_bounded(tmp_path: Path) -> None:
    """Ten failed URLs are listed, the others counted; control characters are escaped."""
    source = tmp_path / "urls"
    source.write_text("".join(f"ftp://a/{n}\x1b[31m{'x' * 500}\n" for n in range(300)))
    code, _, err = fetch(source, "-o", tmp_path / "o.jsonl", "--no-robots")
    assert code == 1
    assert err.count("  failed: ") == 10
    assert "  … and 290 more; the output contains all of them" in err
    assert "\x1b" not in err


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_is_of_what_is_done(tmp_path: Path, workers: int) -> None:
    """Progress is the number of finished requests of the input, not the part read."""
    source, out = tmp_path / "urls", tmp_path / "o.jsonl"
    with Site(text_page, hosts=2, delay=0.05) as site:
        urls = [f"{site.urls[n % 2]}/{n}\n" for n in range(90)]
        source.write_text("# a comment\n" + "".join(urls[:10]))
        assert fetch(source, "-o", out)[0] == 0
        source.write_text("# a comment\n" + "".join(urls))
        options = ["--resume", "--per-host", 1, "--workers", workers, "--log", "json"]
        code, _, err = fetch(source, "-o", out, *options)
    assert code == 0, err
    events = [json.loads(line) for line in err.splitlines()]
    shown = [event for event in events if event["event"] == "progress" and event["total"]]
    assert shown, "progress is shown each second, and this takes two"
    assert any("at once" in limit for event in shown for limit in event["limits"].values())
    for event in shown:
        assert (event["total"], event["total_is_known"]) == (90, True)
        finished = event["done"] + event["failed"] + event["skipped"]
        assert event["fraction"] == pytest.approx(finished / 90, abs=1e-4)
    assert shown[0]["fraction"] < 0.9
    assert events[-1]["done"] + events[-1]["skipped"] == 90


@pytest.mark.parametrize("workers", [1, 2])
def test_slow_hosts(tmp_path: Path, workers: int) -> None:
    """The summary says why a host is slow: 429, a delay of robots.txt, an open circuit."""
    asked: set[str] = set()

    def page(host: int, path: str) -> Answer:
        if path == "/robots.txt":
            delay = b"User-agent: *\nCrawl-delay: 0.25\n"
            return (200, {}, delay) if host == 1 else (404, {}, b"")
        if host == 2:
            raise ConnectionError("the site closes this connection")
        if host == 0 and path not in asked:
            asked.add(path)
            return 429, {"Retry-After": "0"}, b""
        return 200, {}, b"x"

    source = tmp_path / "urls"
    with Site(page, hosts=3) as site:
        broken = "".join(f"{site.urls[2]}/{n}\n" for n in range(4))
        source.write_text(f"{site.urls[0]}/a\n{site.urls[1]}/a\n{site.urls[1]}/b\n{broken}")
        options = ["--max-failures", 2, "--retries", 1, "--workers", workers]
        code, _, err = fetch(source, "-o", tmp_path / "o.jsonl", *options)
    hosts = [url.removeprefix("http://") for url in site.urls]
    assert code == 1
    assert f"  slow: {hosts[0]}: it answered 429 or 503" in err
    assert f"  slow: {hosts[1]}: robots.txt asks for 0.25 s between requests" in err
    assert f"  slow: {hosts[2]}: circuit open after " in err


def test_invalid_lines_stop_it_before_it_begins(tmp_path: Path) -> None:
    """Invalid lines are reported with file and line number, status 2, before any fetch."""
    source, out = tmp_path / "urls.txt", tmp_path / "o.jsonl"
    with Site(text_page) as site:
        url = site.urls[0]
        source.write_text(f'{url}/1\n{{"url": \n\n{{"url": "{url}/2", "headrs": {{}}}}\n')
        code, _, err = fetch(source, "-o", out)
        assert site.asked == []
    assert code == 2
    assert f"{source}:2: invalid JSON: Expecting value" in err
    assert f"{source}:4: unknown key 'headrs'; did you mean 'headers'?" in err
    assert not out.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_invalid_lines_of_standard_input(tmp_path: Path, workers: int) -> None:
    """Standard input cannot be checked ahead: its invalid lines become failures that name them."""
    out = tmp_path / "o.jsonl"
    with Site(text_page) as site:
        text = f'{site.urls[0]}/1\n{{"url": \n'
        code, _, err = fetch("-", "-o", out, "--workers", workers, input=text)
    assert code == 1
    assert "standard input:2: invalid JSON: Expecting value" in err
    rows = sorted(map(json.loads, out.read_text().splitlines()), key=len)
    failed = [row for row in rows if "error" in row]
    assert (len(rows), len(failed)) == (2, 1)
    assert failed[0]["error"]["message"].startswith("standard input:2: invalid JSON")


@pytest.mark.parametrize("url", ["https://example.com/a b", "example.com", "localhost:8000/x"])
def test_a_url_instead_of_a_file(url: str) -> None:
    """A URL where a file belongs: the message names `get` and standard input."""
    code, _, err = fetch(url)
    text = " ".join(err.replace("│", " ").split())
    assert code == 2
    assert "does not exist" in text
    assert "asks-fast get " in text
    assert "| asks-fast fetch -" in text


def test_a_missing_file() -> None:
    """A missing file gives a short message."""
    code, _, err = fetch("./missing")
    assert code == 2
    assert "does not exist" in err
    assert "asks-fast get" not in err


def test_directories_of_the_output(tmp_path: Path) -> None:
    """Missing directories of the output are created; an unknown suffix is refused."""
    source = tmp_path / "urls"
    with Site(text_page) as site:
        source.write_text(site.urls[0] + "/1")
        out = tmp_path / "a" / "b" / "o.jsonl"
        assert fetch(source, "-o", out)[0] == 0
        assert len(out.read_text().splitlines()) == 1
        code, _, err = fetch(source, "-o", tmp_path / "c" / "o.csv")
    assert code == 2
    assert ".jsonl, .jsonl.gz, .jsonl.zst, .ndjson, .parquet, .warc, .warc.gz" in " ".join(
        err.split()
    )
    assert not (tmp_path / "c").exists()


def test_plain_names_in_a_directory(tmp_path: Path) -> None:
    """--output-dir keeps the name of a URL if no other URL can have it."""
    source, directory = tmp_path / "urls", tmp_path / "site"
    with Site(text_page) as site:
        url = site.urls[0]
        source.write_text(f"{url}/img/logo.png\n{url}/img/logo.png?v=2\n")
        assert fetch(source, "--output-dir", directory, "--no-robots")[0] == 0
    host = url.removeprefix("http://").replace(":", "_")
    rows = [json.loads(line) for line in (directory / "index.jsonl").read_text().splitlines()]
    names = {row["url"]: row["file"] for row in rows}
    assert names[f"{url}/img/logo.png"] == f"{host}/img/logo.png"
    assert names[f"{url}/img/logo.png?v=2"].startswith(f"{host}/img/logo-")
    for name in names.values():
        assert (directory / name).exists()
