"""Sizes, times, lost data and signals of downloads of Scrapy over asks_fast."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from support.script_steps import OK, close, expect, repeat, reset, send, stall
from support.scripted_server import Peer

pytest.importorskip("scrapy")

from scrapy import signals
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
    StopDownload,
    UnsupportedURLSchemeError,
)

from asks_fast.errors import InvalidRequest

Download = Callable[..., Any]
MakePeer = Callable[..., Peer]
TEN = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "size"),
    [
        (TEN, "Expected to receive 10 bytes"),
        (CHUNKED + b"a\r\n0123456789\r\n0\r\n\r\n", "Received 10 bytes"),
    ],
    ids=["length", "chunked"],
)
def test_maxsize(
    download: Download,
    peer: MakePeer,
    caplog: pytest.LogCaptureFixture,
    answer: bytes,
    size: str,
) -> None:
    """A longer body is an error, by setting and by `meta`, and the connection is closed."""
    for options in ({"settings": {"DOWNLOAD_MAXSIZE": 9}}, {"meta": {"download_maxsize": 9}}):
        server = peer([expect(), send(answer), stall()])
        with pytest.raises(DownloadCancelledError, match=rf"{size} .* max size \(9\)"):
            download(server.url, **options)
        server.wait(lambda server=server: server.open_connections == 0)
    assert caplog.text.count(size) == 2


def test_a_head_has_no_size(download: Download, peer: MakePeer) -> None:
    """Content-Length of a response to HEAD does not count as the size of a body."""
    server = peer([expect("HEAD"), send(TEN)])
    assert download(server.url, method="HEAD", meta={"download_maxsize": 9}).status == 200


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([send(TEN + b"0123456789")], "Expected to receive 10 bytes"),
        ([send(CHUNKED + b"a\r\n0123456789\r\n"), send(b"1\r\nx\r\n0\r\n\r\n")], "bytes"),
    ],
    ids=["length", "chunked"],
)
def test_warnsize(
    download: Download,
    peer: MakePeer,
    caplog: pytest.LogCaptureFixture,
    steps: list[Any],
    text: str,
) -> None:
    """A longer body is logged once."""
    server = peer([expect(), *steps])
    assert download(server.url, {"DOWNLOAD_WARNSIZE": 9}).body[:10] == b"0123456789"
    (record,) = (r for r in caplog.records if "larger than download warn size (9)" in r.message)
    assert text in record.message


@pytest.mark.parametrize("end", [close(), reset()], ids=["close", "reset"])
@pytest.mark.parametrize(
    "sent", [TEN + b"abc", CHUNKED + b"3\r\nabc\r\n"], ids=["length", "chunked"]
)
def test_data_loss(
    download: Download,
    peer: MakePeer,
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
    end: Any,
) -> None:
    """A truncated body is an error, or kept with a flag; it is logged once."""
    settings = {"DOWNLOAD_FAIL_ON_DATALOSS": False}
    server = peer([expect(), send(sent), close()])
    response = download(server.url, settings)
    assert (response.body, response.flags) == (b"abc", ["dataloss"])
    server = peer([expect(), send(sent), end])
    with pytest.raises(ResponseDataLossError):
        download(server.url, settings, meta={"download_fail_on_dataloss": True})
    assert caplog.text.count("Got data loss in") == 1


@pytest.mark.parametrize(
    "steps",
    [[stall()], [send(TEN), stall()], [send(TEN + b"abc"), stall()]],
    ids=["head", "body", "rest"],
)
def test_timeout(download: Download, peer: MakePeer, steps: list[Any]) -> None:
    """`download_timeout` limits the whole download."""
    server = peer([expect(), *steps])
    with pytest.raises(DownloadTimeoutError, match=r"took longer than 0\.05 seconds"):
        download(server.url, meta={"download_timeout": 0.05})
    server.wait(lambda: server.open_connections == 0)


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([close()], DownloadFailedError),
        ([reset()], DownloadFailedError),
        ([send(b"nonsense\r\n\r\n"), close()], DownloadFailedError),
        ([send(CHUNKED + b"zz\r\n"), stall()], DownloadFailedError),
    ],
    ids=["no-answer", "reset", "not-http", "bad-chunk"],
)
def test_server_errors(
    download: Download, peer: MakePeer, steps: list[Any], error: type[Exception]
) -> None:
    """Each fault of a server raises an exception that Scrapy retries."""
    with pytest.raises(error):
        download(peer([expect(), *steps], [expect(), *steps]).url)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/", DownloadConnectionRefusedError),
        ("http://name.invalid/", CannotResolveHostError),
        ("ftp://127.0.0.1/", UnsupportedURLSchemeError),
    ],
    ids=["refused", "unknown-name", "scheme"],
)
def test_no_connection(download: Download, url: str, error: type[Exception]) -> None:
    """A server that cannot be reached raises the exception that Scrapy documents."""
    with pytest.raises(error):
        download(url)


def test_an_illegal_request_is_not_retried(download: Download) -> None:
    """An invalid request does not count as a failed download."""
    with pytest.raises(InvalidRequest):
        download("http://127.0.0.1:1/", headers={"X-A": "a\nb"})


# -- signals


def stopping(signal: object, seen: list[Any], fail: bool) -> Callable[[Any], None]:
    """A function that connects a handler of the signal, which stops the download."""

    def handle(**arguments: Any) -> None:
        seen.append(arguments)
        raise StopDownload(fail=fail)

    def connect(crawler: Any) -> None:
        handlers.append(handle)
        crawler.signals.connect(handle, signal)

    handlers: list[Any] = []
    return connect


@pytest.mark.parametrize("fail", [True, False], ids=["fail", "response"])
@pytest.mark.parametrize(
    ("signal", "body"),
    [(signals.headers_received, b""), (signals.bytes_received, b"abc")],
    ids=["headers", "bytes"],
)
def test_stop_download(
    download: Download, peer: MakePeer, signal: object, body: bytes, fail: bool
) -> None:
    """A handler of a signal ends the download, with the response so far."""
    server = peer([expect(), send(TEN + b"abc"), stall()])
    seen: list[Any] = []
    connect = stopping(signal, seen, fail)
    if fail:
        with pytest.raises(StopDownload) as caught:
            download(server.url, connect=connect)
        response = caught.value.response
        assert response is not None
    else:
        response = download(server.url, connect=connect)
    assert (response.body, response.flags) == (body, ["download_stopped"])
    if body:
        assert seen[0]["data"] == body
    else:
        assert (seen[0]["body_length"], seen[0]["headers"]) == (10, response.headers)
    server.wait(lambda: server.open_connections == 0)


def test_events_are_not_logged(
    download: Download, peer: MakePeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scrapy logs at DEBUG; the steps of each request are logged only if a program asks for it."""
    log = logging.getLogger("asks_fast")
    server = peer([repeat(expect(), send(OK))])
    monkeypatch.setattr(log, "level", logging.NOTSET)
    download(server.url)
    assert log.level == logging.INFO
    monkeypatch.setattr(log, "level", logging.DEBUG)
    download(server.url)
    assert log.level == logging.DEBUG
