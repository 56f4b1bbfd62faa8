"""Pages: limits, filters and saved files."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_session import Answer, FakeSession

from asks_fast.crawl.options import FetchOptions
from asks_fast.crawl.page import PageSession
from asks_fast.errors import ResponseTooLarge


async def test_limits_and_filters() -> None:
    """A body over the limit is an error, a dropped body is not read, and all are closed."""
    answers: list[Answer] = []

    def answer(url: str) -> Answer:
        answers.append(
            Answer(404 if "gone" in url else 200, b"x" * 5000, url, content_type="text/html")
        )
        return answers[-1]

    table = FakeSession(answer)
    with pytest.raises(ResponseTooLarge, match="larger than 4000 bytes"):
        await PageSession(table, FetchOptions(max_body=4000)).request("GET", "http://a/")
    pages = PageSession(table, FetchOptions(only_status=("2xx",), only_type=("text/*",)))
    gone = await pages.request("GET", "http://a/gone")
    assert (gone.dropped, gone.size, len(answers[1].body.content)) == ("status", 0, 5000)
    fine = await pages.request("GET", "http://a/")
    assert (fine.dropped, fine.size) == (None, 5000)
    assert all(one.body.closed for one in answers[1:]), "the first was not streamed"


async def test_files(tmp_path: Path) -> None:
    """A file gets its name when it is complete, and no partial file stays."""
    table = FakeSession(lambda url: Answer(200, b"x" * 5000, url, content_type="text/plain"))
    pages = PageSession(table, FetchOptions(), directory=tmp_path)
    made = await pages.request("GET", "http://a/b/c.txt")
    assert made.file is not None
    assert (tmp_path / made.file).read_bytes() == b"x" * 5000
    small = PageSession(table, FetchOptions(max_body=100), directory=tmp_path)
    with pytest.raises(ResponseTooLarge):
        await small.request("GET", "http://a/b/d.txt")
    assert list((tmp_path / ".partial").iterdir()) == []
