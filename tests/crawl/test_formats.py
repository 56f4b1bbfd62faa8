"""Records and batches in each output format."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from support.costs import thread_seconds
from support.fetching import make_page, make_record

from asks_fast.crawl.formats import FORMATS, as_dict, get_format
from asks_fast.errors import ConnectionFailed


def test_json_record() -> None:
    """A record contains the request, the response and how it was fetched."""
    made = as_dict(make_record(make_page(b"gr\xc3\xbc\xc3\x9fe"), key=7))
    assert made == {
        "url": "http://a/",
        "key": 7,
        "status": 200,
        "type": "text/plain",
        "size": 7,
        "body": "grüße",
        "attempts": 1,
        "elapsed": 0.5,
        "fetched_at": "2026-01-01T00:00:00.000Z",
    }
    assert as_dict(make_record(make_page(b"\xff\x00", "image/png")))["body_base64"] == "/wA="
    assert as_dict(make_record(make_page(b"\xff\x00")))["body_base64"] == "/wA="
    assert "body" not in as_dict(make_record(make_page()), body="none")
    assert as_dict(make_record(make_page()), headers=True)["headers"] == [
        ["content-type", "text/plain"]
    ]
    assert as_dict(make_record(None, ConnectionFailed("no")))["error"] == {
        "kind": "ConnectionFailed",
        "message": "no",
    }


@pytest.mark.parametrize(
    ("content", "kind", "fields"),
    [
        (b"gr\xfc\xdfe", "text/plain; charset=latin-1", {"body": "grüße"}),
        (b"\xef\xbb\xbfgr\xc3\xbc\xc3\x9fe", "text/plain", {"body": "grüße"}),
        ("grüße".encode("utf-16"), "text/html", {"body": "grüße"}),
        ("grüße".encode("utf-16-le"), "text/html; charset=utf-16", {"body": "grüße"}),
        ("grüße".encode("gb18030"), "text/html; charset=gb2312", {"body": "grüße"}),
        ("grüße".encode(), "text/html; charset=punycode", {"body": "grüße"}),
        ("grüße".encode(), "text/html; charset=utf-7", {"body": "grüße"}),
        ("grüße".encode(), "text/html; charset=ascii", {"body": "grüße"}),
        (b"+AOk-", "text/html; charset=utf-7", {"body": "+AOk-"}),
        (b"\xff\xff", "text/html; charset=rot13", {"body_base64": "//8="}),
        (b"gr\xfc\xdfe", "text/plain; charset=utf-8", {"body_base64": "Z3L832U="}),
    ],
)
def test_text_of_a_record(content: bytes, kind: str, fields: dict[str, str]) -> None:
    """Records use the decoder of responses; a body that it cannot decode is base64."""
    made = as_dict(make_record(make_page(content, kind)))
    assert {name: made[name] for name in made if name.startswith("body")} == fields


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "utf-8", "iso2022_jp"])
def test_no_charset_stalls_a_record(charset: str) -> None:
    """A record of 2 MB takes less than a second, with any encoding that the server names."""
    one = make_record(make_page(b"a-" * 1_000_000 + b"+AGE-", f"text/html; charset={charset}"))
    assert thread_seconds(as_dict, one, tries=1) < 1


@pytest.mark.parametrize("name", FORMATS)
def test_consecutive_batches(name: str) -> None:
    """In every format, consecutive batches are one valid file."""
    form = get_format("out", name, "auto", False)
    pages = [make_record(make_page(b"body %d" % n)) for n in range(6)]
    data = form.batch([form.record(p) for p in pages[:2]], True) + form.batch(
        [form.record(p) for p in pages[2:]], False
    )
    if name.startswith("warc"):
        iterator = pytest.importorskip("warcio.archiveiterator").ArchiveIterator(io.BytesIO(data))
        records = [(r.rec_type, r.content_stream().read()) for r in iterator]
        assert [kind for kind, _ in records] == ["warcinfo"] + ["response"] * 6
        bodies = [body for _, body in records[1:]]
    else:
        if name.endswith(".gz"):
            data = gzip.decompress(data)
        elif name.endswith(".zst"):
            zstandard = pytest.importorskip("zstandard")
            reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
            data = reader.read()
        bodies = [json.loads(line)["body"].encode() for line in data.splitlines()]
    assert bodies == [b"body %d" % n for n in range(6)]


def test_warc_of_a_failure() -> None:
    """A URL without a response has a metadata record with the reason in the WARC."""
    archive = pytest.importorskip("warcio.archiveiterator").ArchiveIterator
    form = get_format("o.warc", None, "auto", False)
    data = form.batch([form.record(make_record(None, ConnectionFailed("refused")))], False)
    (record,) = [
        (r.rec_type, r.rec_headers["WARC-Target-URI"], r.content_stream().read())
        for r in archive(io.BytesIO(data))
    ]
    assert record == ("metadata", "http://a/", b"fetchError: ConnectionFailed: refused\r\n")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.jsonl", "jsonl"),
        ("a", "jsonl"),
        ("a.jsonl.gz", "jsonl.gz"),
        ("a.jsonl.zst", "jsonl.zst"),
        ("a.warc", "warc"),
        ("a.warc.gz", "warc.gz"),
    ],
)
def test_format_by_name(name: str, form: str) -> None:
    """The suffix of the output sets the format."""
    assert get_format(name, None, "auto", False).name == form


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.csv.gz", "a.warc.zst", "dir.jsonl/a.txt"])
def test_unknown_suffix(name: str) -> None:
    """An unknown suffix is an error that lists the known ones; a named format takes precedence."""
    with pytest.raises(
        ValueError, match=r"\.jsonl, \.jsonl\.gz, \.jsonl\.zst, \.ndjson, \.parquet, \.warc"
    ):
        get_format(name, None, "auto", False)
    assert get_format(name, "jsonl", "auto", False).name == "jsonl"


def test_json_for_all_readers() -> None:
    """Records are UTF-8 JSON without lone surrogates, NaN or infinities."""
    form = get_format("o.jsonl", None, "auto", False)
    nan = float("nan")
    made = make_record(None, ConnectionFailed("\ud800"), key=["\udfff", {"\ud83d": 2**70}, nan])
    row = json.loads(form.record(made), parse_constant=pytest.fail)
    assert row["error"]["message"] == "\\ud800"
    assert row["key"] == ["\\udfff", {"\\ud83d": 2**70}, None]
