"""The search of the documentation finds the right page first.

Facts:  the theme searches `search/search_index.json` with lunr.js; titles count 1,000 times as
        much as text, and a page can set a factor (`search: boost` at its head). Words are not
        stemmed; each matches as a prefix. The package lunr does the same in Python.
Needs mkdocs-material, mkdocstrings and lunr (the extra `docs`); skipped without them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MISSING = [name for name in ("material", "mkdocstrings", "lunr") if find_spec(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

TAG = re.compile(r"<[^>]+>")

SEARCHES = {
    "timeout": "guide/timeouts-and-retries.html",
    "retry": "guide/timeouts-and-retries.html",
    "proxy": "guide/proxies.html",
    "exceptions": "guide/errors.html",
    "pagination": "guide/pagination.html",
    "download file": "guide/downloads.html",
    "upload file": "guide/uploads.html",
    "authentication": "guide/auth.html",
    "cookies": "guide/cookies.html",
    "redirect": "guide/requests.html",
    "json": "guide/responses.html or guide/text-and-compression.html",
    "rate limit": "guide/limits.html",
    "too many open files": "guide/troubleshooting.html",
    "task got bad yield": "guide/troubleshooting.html",
    "install": "index.html",
    "query parameters": "guide/urls.html",
    "cache": "guide/cache.html",
    "middleware": "guide/middleware.html",
    "opentelemetry": "guide/telemetry.html",
    "prometheus": "guide/telemetry.html",
    "scrapy": "guide/scrapy.html",
    "crawl site": "guide/following-links.html",
    "follow links": "guide/following-links.html",
    "several proxies": "guide/proxies.html",
    "resume download": "guide/downloads.html or guide/transfers.html",
    "upload progress": "guide/uploads.html or guide/transfers.html",
    "benchmark": "benchmarks/index.html",
    "parquet": "guide/command-line.html",
    "trailers": "guide/uploads.html",
}


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """A function from a query to pages, the best first."""
    from lunr import get_default_builder, lunr
    from lunr.stemmer import stemmer
    from lunr.stop_word_filter import WORDS

    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(site)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    documents = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    fields = [{"field_name": "title", "boost": 1000}, {"field_name": "text", "boost": 1}]
    for page in documents:  # the theme ignores tags too
        page.update({key: TAG.sub(" ", page[key]) for key in ("title", "text")})
    boosted = [(page, {"boost": page.get("boost", 1)}) for page in documents]
    builder = get_default_builder()
    builder.pipeline.remove(stemmer)
    builder.search_pipeline.reset()
    index = lunr(ref="location", fields=fields, documents=boosted, builder=builder)

    def pages(query: str) -> list[str]:
        terms = " ".join(f"+{word}*" for word in query.split() if word not in WORDS)
        found = [match["ref"].partition("#")[0] for match in index.search(terms)]
        return list(dict.fromkeys(found))

    return pages


@pytest.mark.parametrize(("query", "page"), SEARCHES.items(), ids=SEARCHES)
def test_common_searches(search: Callable[[str], list[str]], query: str, page: str) -> None:
    """The page that answers a common search is the first result."""
    found = search(query)
    assert found, "no result"
    assert found[0] in page.split(" or "), found[:5]
