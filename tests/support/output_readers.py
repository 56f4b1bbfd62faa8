"""What the outputs of bulk fetches hold, according to readers of other projects."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from asks_fast.errors import printable


def decompressed(path: Path) -> bytes:
    """The content of an output file, read by the decompressor of another program."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        zstandard = pytest.importorskip("zstandard", reason="zstandard is not installed")
        reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        return bytes(reader.read())
    return data


def url_of(request: Any) -> str:
    return str(request if isinstance(request, str) else request["url"])


def shown(url: str) -> str:
    """A URL as outputs may show it: as it is, or escaped where it cannot be written."""
    return printable(url, 8_000)


def json_urls(data: bytes) -> list[str]:
    """The URLs of JSON Lines, read by two parsers that must agree."""
    import orjson

    rows = [orjson.loads(line) for line in data.splitlines()]
    plain = [json.loads(line) for line in data.decode("utf-8").splitlines()]
    assert [row["url"] for row in rows] == [row["url"] for row in plain]
    assert all(("status" in row) or ("error" in row) or ("same_as" in row) for row in rows)
    return [shown(row["url"]) for row in rows]


def warc_urls(data: bytes) -> list[str]:
    """The URLs that an archive reports, each by a first response or a metadata record."""
    from warcio.archiveiterator import ArchiveIterator

    for one in ArchiveIterator(io.BytesIO(data), check_digests="raise"):
        one.content_stream().read()
    roots: dict[str, str] = {}  # id of a response -> of the first response of its request
    urls: dict[str, str] = {}  # of first responses
    named = []
    for one in ArchiveIterator(io.BytesIO(data), no_record_parse=True):
        fields = dict(one.rec_headers.headers)
        identity, before = fields["WARC-Record-ID"], fields.get("WARC-Concurrent-To", "")
        target = fields.get("WARC-Target-URI", "")
        assert target.isascii()
        assert target.isprintable()
        if one.rec_type == "response":
            roots[identity] = roots.get(before, identity)
            urls.setdefault(roots[identity], target)
        elif one.rec_type == "metadata":
            text = one.raw_stream.read().decode("utf-8")
            assert text.replace("\r\n", "").isprintable()
            said = dict(line.split(": ", 1) for line in text.split("\r\n")[:-1])
            assert said.keys() <= {"fetchError", "requestedUrl", "sameAs", "key"}
            named.append(said.get("requestedUrl", target))
            urls.pop(roots.get(before, ""), None)
        else:
            assert one.rec_type in ("request", "warcinfo")
    return named + list(urls.values())


def urls_in(path: Path) -> list[str]:
    """What an output file reports; fails if a reader refuses it."""
    if ".warc" in path.name:
        return warc_urls(path.read_bytes())
    if path.name.endswith(".parquet"):
        import pyarrow.parquet

        return [shown(url) for url in pyarrow.parquet.read_table(path).column("url").to_pylist()]
    return json_urls(decompressed(path))


def check_reported(reported: list[str], requests: list[Any], dropped: int) -> None:
    """Each request exactly once, but for as many as a filter dropped."""
    missing = Counter(shown(url_of(one)) for one in requests)
    missing.subtract(reported)
    assert min(missing.values()) >= 0, f"twice, or never asked for: {-missing}"
    assert missing.total() == dropped, f"lost: {+missing}"


def check_printable(data: bytes) -> None:
    """The text contains no control characters."""
    for line in data.decode("utf-8").splitlines():
        assert line.isprintable(), line
