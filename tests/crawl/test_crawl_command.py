"""`asks-fast crawl` as a program: outputs, signals, SIGKILL at any moment, messages."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.leaks import ignore_descriptor
from support.site import Site

from bench.crawl_site import Server
from bench.crawl_site import Site as GeneratedSite

for needed in ("selectolax", "protego", "click", "rich"):
    pytest.importorskip(needed, reason=f"{needed} is not installed")

PAGES = 3_000


def start(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-c", "from asks_fast.cli import main; main()", "crawl"]
    return subprocess.Popen([*program, *map(str, args)], stderr=subprocess.PIPE, **options)


def run(*args: Any, **options: Any) -> tuple[int, bytes, str]:
    with start(*args, stdout=subprocess.PIPE, **options) as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err.decode()


def urls(path: Path) -> Counter[str]:
    return Counter(json.loads(line)["url"] for line in path.read_text().splitlines())


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(GeneratedSite(PAGES, redirects=True)) as made:
        ignore_descriptor(made.fileno)
        yield made


def test_a_whole_site(server: Server, tmp_path: Path) -> None:
    """Each page is in the output once; a second run fetches nothing."""
    out = tmp_path / "pages.jsonl"
    first = f"{server.site.base}/p/0"
    code, _, err = run(first, "-o", out, "--body", "none")
    assert code == 0, err
    assert urls(out) == Counter(server.site.urls())
    assert err.startswith("done: ")
    asked = len(server.log)
    code, _, err = run(first, "-o", out, "--body", "none", "--resume")
    assert code == 0
    assert "were fetched by an earlier run and are skipped" in err
    assert len([path for path in server.log[asked:] if path != "/robots.txt"]) == 0


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments(server: Server, seed: int, tmp_path: Path) -> None:
    """However often it is killed, no page is lost and none is in the output twice."""
    chance = random.Random(seed)
    out = tmp_path / "pages.jsonl"
    options = [f"{server.site.base}/p/0", "-o", out, "--body", "none", "--resume"]
    options += ["--flush-interval", "0.05", "--quiet"]
    kills = 0
    while True:
        requests = len(server.log)
        most = requests + chance.randrange(1, 900)
        with start(*options) as process:
            while process.poll() is None and len(server.log) < most:
                pass
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.communicate(timeout=60)
        if process.returncode != -signal.SIGKILL:
            break
        assert kills < 60
    assert process.returncode == 0
    assert kills >= 3
    assert urls(out) == Counter(server.site.urls())


def test_interrupted(server: Server, tmp_path: Path) -> None:
    """Ctrl-C finishes the requests under way; the crawl can be resumed."""
    out = tmp_path / "pages.jsonl"
    options = [f"{server.site.base}/p/0", "-o", out, "--body", "none", "--resume"]
    with start(*options) as process:
        while len(server.log) < 300:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"finishing the requests under way" in err
    assert 0 < len(urls(out)) < PAGES
    code, _, _ = run(*options, "--quiet")
    assert code == 0
    assert urls(out) == Counter(server.site.urls())


def test_standard_output(server: Server) -> None:
    """Without --output, records go to standard output."""
    code, out, err = run(f"{server.site.base}/p/0", "--max-pages", 40, "--body", "none", "--quiet")
    assert (code, err) == (0, "")
    assert len({json.loads(line)["url"] for line in out.splitlines()}) == 40


def test_scope_options(server: Server, tmp_path: Path) -> None:
    """Scope, expressions and depth select pages."""
    first = f"{server.site.base}/p/0"
    options = ["--body", "none", "--quiet", "--max-pages-per-host", 5000]
    code, out, _ = run(first, "--depth", 1, "--include", "/p/[0-7]$", "--exclude", "3$", *options)
    assert code == 0
    found = {json.loads(line)["url"].rpartition("/")[2] for line in out.splitlines()}
    assert {"0", "1", "2"} <= found <= set("0124567")
    code, out, _ = run(f"{server.site.base}/p/5?x", "--scope", "prefix", "--depth", 1, *options)
    assert all("/p/" in json.loads(line)["url"] for line in out.splitlines())


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "Missing argument 'URL...'"),
        (["http://[bad"], "invalid start URL"),
        (["a.com", "--include", "("], "invalid regular expression"),
        (["a.com", "--resume"], "--resume and --frontier need --output"),
        (["a.com", "-o", "x.csv"], "the suffix of 'x.csv' is not known"),
    ],
)
def test_wrong_usage(args: list[str], says: str) -> None:
    """Wrong usage ends with status 2 and a message."""
    code, _, err = run(*args)
    assert code == 2
    assert says in err


def test_without_the_extra() -> None:
    """Without selectolax, the command names the extra."""
    code = "import sys; sys.modules['selectolax'] = sys.modules['selectolax.lexbor'] = None;"
    code += "from asks_fast.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "crawl", "a.com"], capture_output=True)
    assert done.returncode == 2
    assert b"pip install selectolax" in done.stderr


def test_failures_have_a_status(tmp_path: Path) -> None:
    """A page without a response makes the status 1, and the summary names it."""

    def page(host: int, path: str) -> Any:
        if path == "/broken":
            return b""
        return 200, {"Content-Type": "text/html"}, b'<a href="/broken">x</a>'

    with Site(page) as site:
        options = ["--no-robots", "--retries", 0, "--body", "none"]
        code, _, err = run(site.urls[0], "-o", tmp_path / "o.jsonl", *options)
    assert code == 1
    assert f"failed: {site.urls[0]}/broken: " in err
