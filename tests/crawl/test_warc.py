"""WARC output: bytes as sent and received, every exchange, nothing forged.

Rules:  real servers that send exact bytes; archives are read by warcio, and each is checked as
        `warcio check` does.
Not here: other formats (tests/crawl/test_formats.py), all modes (tests/crawl/test_matrix.py).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.script_steps import FOREVER, OK, close, expect, repeat, send
from support.scripted_server import MakePeer, PeerConnection

from asks_fast.crawl.formats import get_format
from asks_fast.crawl.page import FetchRecord
from asks_fast.crawl.raw_exchange import RawExchange
from asks_fast.scaleout import FetchOptions, fetch_partition

archiveiterator = pytest.importorskip("warcio.archiveiterator", reason="warcio is not installed")
OPTIONS = FetchOptions(robots=False, retries=0, max_failures=0)


class Record:
    """One record as warcio reads it: `fields` of WARC, and the `block`, byte for byte."""

    def __init__(self, one: Any) -> None:
        self.kind: str = one.rec_type
        self.fields: dict[str, str] = dict(one.rec_headers.headers)
        self.url = self.fields.get("WARC-Target-URI")
        self.block: bytes = one.raw_stream.read()


def read_archive(data: bytes) -> list[Record]:
    """The records, as they are; fails if a digest is wrong or warcio cannot read one."""
    with contextlib.redirect_stdout(io.StringIO()):
        for one in archiveiterator.ArchiveIterator(io.BytesIO(data), check_digests="raise"):
            one.content_stream().read()
            assert one.digest_checker.passed is not False
    iterator = archiveiterator.ArchiveIterator(io.BytesIO(data), no_record_parse=True)
    return [Record(one) for one in iterator]


def fetch(requests: list[Any], path: Path, options: FetchOptions = OPTIONS) -> list[Record]:
    fetch_partition(requests, options, shard=path)
    return read_archive(path.read_bytes())


def of_kind(records: list[Record], kind: str) -> list[Record]:
    return [one for one in records if one.kind == kind]


@pytest.fixture(params=["o.warc", "o.warc.gz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return the path of the archive."""
    return tmp_path / str(request.param)  # type: ignore[return-value]


HEADS = {
    "reason": b"HTTP/1.1 404 Introuvable \xe0 cette adresse\r\nContent-Length: 2\r\n\r\nok",
    "utf8": b"HTTP/1.1 200 OK\r\nX: caf\xc3\xa9\r\nContent-Length: 2\r\n\r\nok",
    "latin1": b"HTTP/1.1 200 OK\r\nContent-Disposition: \xe9\xff\r\nContent-Length: 2\r\n\r\nok",
    "spaces": b"HTTP/1.1 200\r\nx-A:  b \t\r\nCONTENT-length:2\r\nX-a: c\r\n\r\nok",
    "bare_lf": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1;x=y\r\no\r\n0001\r\nk\r\n0\r\n\r\n",
    "looks_chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\n2\r\no\r\n0\r\n\r\n",
    "gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n"
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    "empty": b"HTTP/1.1 204 No Content\r\n\r\n",
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("more", [{}, {"only_type": ("*/*", "")}], ids=["whole", "streamed"])
def test_as_received(name: str, more: dict[str, Any], peer: MakePeer, path: Path) -> None:
    """The block of a response is what the server sent, and the digest is that of the body."""
    server = peer([expect(), send(HEADS[name]), close()])
    options = FetchOptions(robots=False, retries=0, **more)
    records = fetch([server.url + "/x"], path, options)
    (response,) = of_kind(records, "response")
    assert response.block == HEADS[name]
    end = b"\r\n\r\n" if b"\r\n\r\n" in HEADS[name] else b"\n\n"
    payload = HEADS[name].partition(end)[2]
    digest = base64.b32encode(hashlib.sha1(payload).digest()).decode()
    assert response.fields["WARC-Payload-Digest"] == f"sha1:{digest}"
    (request,) = of_kind(records, "request")
    assert request.block == server.requests[0].raw
    assert request.fields["WARC-Concurrent-To"] == response.fields["WARC-Record-ID"]
    assert {response.url, request.url} == {server.url + "/x"}
    assert not of_kind(records, "metadata")


def test_long_chunked_body(peer: MakePeer, path: Path) -> None:
    """A long chunked body and its trailers are archived as received."""
    chunks = [bytes([65 + n % 26]) * (n * 37 % 5000 + 1) for n in range(300)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks)
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"
    server = peer(
        [expect(), *(send(whole[at : at + 70_001]) for at in range(0, len(whole), 70_001))]
    )
    (response,) = of_kind(fetch([server.url], path), "response")
    assert response.block == whole


def onward(target: str, body: bytes = b"moved") -> list[Any]:
    def answer(connection: PeerConnection) -> bytes:
        to = target.encode() + connection.requests[-1].target.encode()
        head = b"HTTP/1.1 302 D\xe9plac\xe9\r\nLocation: %b\r\nContent-Length: %d\r\n\r\n"
        return head % (to, len(body)) + body

    return [repeat(expect(), send(answer))]


@pytest.mark.parametrize("more", [{}, {"only_type": ("*/*", "")}], ids=["whole", "streamed"])
def test_every_hop(more: dict[str, Any], peer: MakePeer, path: Path) -> None:
    """Each redirect has its response and its request; the URL asked for is the first of them."""
    last = peer([expect(), send(OK), FOREVER])
    second = peer(onward(last.url))
    first = peer(onward(second.url))
    options = FetchOptions(robots=False, retries=0, **more)
    records = fetch([{"url": first.url + "/a", "method": "POST", "data": "body"}], path, options)
    responses, requests = of_kind(records, "response"), of_kind(records, "request")
    assert [one.url for one in responses] == [f"{s.url}/a" for s in (first, second, last)]
    assert [one.url for one in requests] == [f"{s.url}/a" for s in (first, second, last)]
    assert [one.block for one in requests] == [s.requests[0].raw for s in (first, second, last)]
    assert [one.fields.get("WARC-Concurrent-To") for one in responses] == [
        None,
        *(one.fields["WARC-Record-ID"] for one in responses[:2]),
    ]
    assert requests[0].block.endswith(b"\r\n\r\nbody")
    assert [one.fields["WARC-Concurrent-To"] for one in requests] == [
        one.fields["WARC-Record-ID"] for one in responses
    ]
    assert all(b"302 D\xe9plac\xe9\r\n" in one.block for one in responses[:2])
    assert all(one.block.endswith(b"\r\n\r\nmoved") for one in responses[:2])
    assert all("WARC-Truncated" not in one.fields for one in records)


def test_a_hop_that_was_left(peer: MakePeer, path: Path) -> None:
    """A redirect whose long body was not read is recorded as truncated."""
    last = peer([expect(), send(OK), FOREVER])
    first = peer(onward(last.url, b"x" * 1_000_000))
    responses = of_kind(fetch([first.url], path), "response")
    assert [one.fields.get("WARC-Truncated") for one in responses] == ["unspecified", None]


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("http://127.0.0.1:1", "ConnectionFailed"),
        ("ftp://h", "InvalidURL"),
        ("", "TooManyRedirects"),
    ],
)
def test_hops_before_a_failure(target: str, kind: str, peer: MakePeer, path: Path) -> None:
    """Exchanges before a failure are archived, and the failure names the requested URL."""
    first = peer([])
    first.scripts[0] = onward(target or first.url)
    records = fetch([first.url + "/a"], path)
    assert {one.url for one in of_kind(records, "response")} == {first.url + "/a"}
    (failure,) = of_kind(records, "metadata")
    assert failure.url == first.url + "/a"
    assert failure.block.startswith(f"fetchError: {kind}: ".encode())


HOSTILE = [
    "http://h/a\r\nWARC-Type: response",
    "http://h/a\r\n\r\nWARC/1.1\r\n",
    "http://h/\0",
    "http://h/\ud800",
    "http://h:99999/",
    "no url",
    "",
    "http://\u202e/",
    "\x1b]0;title\x07",
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_nothing_is_forged(hostile: str, peer: MakePeer, path: Path) -> None:
    """No URL or key adds a line to an archive or ends the run."""
    server = peer([repeat(expect(), send(OK))])
    requests = [
        hostile,
        {"url": hostile, "key": 1},
        {"url": server.url + "/k", "key": hostile},
        {"url": server.url + "/l", "key": [{"a": hostile}]},
        server.url,
    ]
    records = fetch(requests, path)
    data = b"".join(one.block for one in of_kind(records, "metadata"))
    assert data.isascii() or data.decode().replace("\r\n", "").isprintable()
    for one in records:
        assert one.url is None or one.url.isprintable()
        assert set(one.fields) <= {
            "WARC-Type",
            "WARC-Record-ID",
            "WARC-Target-URI",
            "WARC-Date",
            "WARC-Payload-Digest",
            "WARC-Block-Digest",
            "WARC-Concurrent-To",
            "Content-Type",
            "Content-Length",
        }
        assert one.fields["WARC-Type"] == one.kind
    assert server.url + "/" in [one.url for one in of_kind(records, "response")]
    names = {line.partition(b":")[0] for line in data.split(b"\r\n") if line}
    assert names <= {b"fetchError", b"requestedUrl", b"key"}


def test_the_url_as_asked(peer: MakePeer, path: Path) -> None:
    """A metadata record holds the key and a URL that was sent in another form."""
    server = peer([repeat(expect(), send(OK))])
    records = fetch([{"url": server.url + "/a/../b", "key": {"n": "\xe9"}}], path)
    (response,) = of_kind(records, "response")
    (more,) = of_kind(records, "metadata")
    assert response.url == more.url == server.url + "/b"
    assert more.fields["WARC-Concurrent-To"] == response.fields["WARC-Record-ID"]
    assert more.block == (
        f'requestedUrl: {server.url}/a/../b\r\nkey: {{"n": "\\u00e9"}}\r\n'.encode()
    )


def test_fragments(peer: MakePeer, path: Path) -> None:
    """URLs that differ in the fragment are fetched once, and each is reported."""
    server = peer([repeat(expect(), send(OK))])
    urls = [server.url + "/a" + end for end in ("#x", "", "#y", "#x")]
    records = fetch(urls, path)
    assert len(server.requests) == 1
    (response,) = of_kind(records, "response")
    assert response.url == server.url + "/a"
    named = [
        dict(line.split(": ", 1) for line in one.block.decode().splitlines())["requestedUrl"]
        for one in of_kind(records, "metadata")
    ]
    assert sorted(named) == sorted(urls[:3])


def test_methods_that_warcio_refuses(peer: MakePeer, path: Path) -> None:
    """A request that would make the archive unreadable for warcio has no record."""
    server = peer([repeat(expect(), send(OK))])
    records = fetch([{"url": server.url, "method": "PROPFIND"}, server.url + "/x"], path)
    assert [one.url for one in of_kind(records, "request")] == [server.url + "/x"]
    assert len(of_kind(records, "response")) == 2


def test_credentials_of_a_proxy(peer: MakePeer, path: Path) -> None:
    """Credentials for the server are archived as sent, those for a proxy are not."""
    proxy = peer([expect(), send(OK), FOREVER])
    url = proxy.url.replace("://", "://me:secret@")
    options = FetchOptions(robots=False, proxy=url, headers={"Authorization": "Bearer x"})
    (request,) = of_kind(fetch(["http://h.invalid/"], path, options), "request")
    assert b"\r\nProxy-Authorization: Basic " in proxy.requests[0].raw
    assert b"roxy" not in request.block
    assert b"\r\nAuthorization: Bearer x\r\n" in request.block
    assert request.block.startswith(b"GET http://h.invalid/ HTTP/1.1\r\n")


def test_a_record_that_cannot_be_written() -> None:
    """An outcome that cannot be encoded raises, and can be written as a failure."""
    form = get_format("o.warc", None, "auto", False)
    made = FetchRecord("http://h/\ud800", {1j: 2}, None, ValueError("\ud800\r\n"), 1, 0.0, "", "h")
    with pytest.raises(TypeError):
        form.record(made)
    (record,) = read_archive(form.record(made.as_failure(TypeError("keys"))))
    assert record.block.startswith(b"fetchError: TypeError: keys\r\n")


def test_request_completeness() -> None:
    """A request whose body was sent separately is marked as incomplete."""
    for request, whole in [
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nok", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", False),
    ]:
        assert RawExchange("http://h/", request, b"", b"").is_request_complete is whole
