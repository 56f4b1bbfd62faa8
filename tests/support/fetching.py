"""Pages, records and outputs of bulk fetches for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asks_fast.crawl.bulk_fetch import CheckpointWriter
from asks_fast.crawl.checkpoint import Checkpoint
from asks_fast.crawl.formats import get_format
from asks_fast.crawl.options import FetchOptions
from asks_fast.crawl.page import FetchRecord, Page
from asks_fast.crawl.raw_exchange import raw_exchanges
from support.fake_session import Answer

PLAIN = FetchOptions(robots=False, retries=0, connections=10)


def make_page(content: bytes = b"x", kind: str = "text/plain", status: int = 200) -> Page:
    answer = Answer(status, content, url="http://a/", content_type=kind)
    made = Page(answer)
    made.content = content
    made.exchanges = raw_exchanges(answer, body=content)
    made.size = len(content)
    return made


def make_record(one: Page | None, error: Exception | None = None, key: Any = None) -> FetchRecord:
    return FetchRecord("http://a/", key, one, error, 1, 0.5, "2026-01-01T00:00:00.000Z", "a")


def json_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def open_writer(path: Path, **options: Any) -> CheckpointWriter:
    form = get_format(str(path), None, "auto", False)
    return CheckpointWriter(Checkpoint(path, form.name, **options), form)


def make_urls(n: int) -> list[str]:
    return [f"http://h{i % 5}/{i}" for i in range(n)]
