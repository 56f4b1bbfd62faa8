"""The Python code around an exchange: URLs, cookies, content codings.

Implemented elsewhere: the compiled way of a request (bench_exchange.py).
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from asks_fast._response.content_decoder import decode_body
from asks_fast.cookie_utils import CookieTracker
from asks_fast.urls import join_url, parse_url

PAGE = "http://www.example.com:8080/a/b/c?x=1&y=%20#top"
DOCUMENT = json.dumps([{"id": i, "name": f"item {i * i}"} for i in range(300)]).encode()


@pytest.mark.benchmark(group="urls")
def bench_parse_url(benchmark: Any) -> None:
    """The time to parse a URL."""
    assert parse_url(PAGE).target == "/a/b/c?x=1&y=%20"
    benchmark(parse_url, PAGE)


@pytest.mark.benchmark(group="urls")
def bench_join_url(benchmark: Any) -> None:
    """The time to resolve a relative reference."""
    base = parse_url(PAGE)
    assert join_url(base, "../d").target == "/a/d"
    benchmark(join_url, base, "../d")


@pytest.mark.benchmark(group="cookies: header for a URL with so many hosts in the jar")
@pytest.mark.parametrize("hosts", [1, 1_000])
def bench_cookie_header(benchmark: Any, hosts: int) -> None:
    """The time to build a Cookie field with one and with a thousand hosts in the jar."""
    jar = CookieTracker()
    for n in range(hosts):
        jar.store(parse_url(f"http://h{n}.example.com/"), [f"session={n}", "theme=dark"])
    url = parse_url("http://h0.example.com/a")
    assert jar.header_for(url) == "session=0; theme=dark"
    benchmark(jar.header_for, url)


@pytest.mark.benchmark(group="decoding: gzip, 10 KiB")
def bench_gzip(benchmark: Any) -> None:
    """The time to decompress a document."""
    packed = gzip.compress(DOCUMENT)

    def call() -> bytes:
        return decode_body(packed, "gzip", max_size=1 << 20, max_ratio=None)

    assert call() == DOCUMENT
    benchmark(call)
