"""WARC 1.1 records of fetched pages, byte for byte.

Each exchange, redirects included, becomes a `response` and a `request` record. The request's record
names the response's in `WARC-Concurrent-To`, and a response's that of the redirect before it. A
`metadata` record holds a failure and what no exchange contains: the URL as given, the user's key,
or that the response of another URL answers this one too.

Facts:  warcio writes the records and computes the digests. It would percent-encode heads that are
        not ASCII, so it gets heads as bytes. Its readers compute the payload digest over all that
        follows the head, so a chunked body is stored and digested as received.
Invariants: `WARC-Target-URI` is a URL that can be requested, or absent. No value spans two lines.
        Requests with methods that warcio's readers reject have no record.

Implemented elsewhere: how heads and bodies are collected (`raw_exchange`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .._extras import missing_extra
from ..errors import InvalidRequest, printable
from ..urls import parse_url
from .raw_exchange import RawExchange, raw_exchanges

if TYPE_CHECKING:
    from .page import FetchRecord

__all__ = ["WarcWriter"]

MAX_VALUE = 8_000  # characters of a URL or message
READABLE_METHODS = (
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"TRACE ",
    b"OPTIONS ",
    b"PATCH ",
)


class WarcWriter:
    """Make records and batches of records as bytes."""

    def __init__(self, gzipped: bool) -> None:
        """Import warcio; ImportError names the extra that is missing."""
        try:
            from warcio.statusandheaders import StatusAndHeaders
            from warcio.warcwriter import WARCWriter
        except ImportError as e:
            raise ImportError(missing_extra("WARC output", "warcio", "cli")) from e

        class RawHead(StatusAndHeaders):  # type: ignore[misc]
            """An HTTP head that is written as it was received."""

            def __init__(self, head: bytes) -> None:
                super().__init__("as received", [])
                self.head = head

            def to_ascii_bytes(self, filter_func: Any = None) -> bytes:
                return self.head

        self._raw_head: Any = RawHead
        self._writer: Any = WARCWriter
        self._gzipped = gzipped

    def record(self, fetched: FetchRecord) -> bytes:
        """Return all records of one request."""
        out = BytesIO()
        writer = self._writer(out, gzip=self._gzipped, warc_version="1.1")
        dated = {"WARC-Date": fetched.at}
        page = fetched.page
        concurrent = ""
        asked = _target_uri(fetched.url)
        first = asked
        if fetched.same_as is None:
            exchanges = page.exchanges if page is not None else raw_exchanges(None, fetched.error)
            for exchange in exchanges:
                concurrent = self._write_exchange(writer, exchange, dated, concurrent)
            if exchanges:
                first = exchanges[0].url
        said = _metadata(fetched, is_named=first == fetched.url)
        if said:
            fields = dict(dated)
            if concurrent:
                fields["WARC-Concurrent-To"] = concurrent
            block = "".join(f"{name}: {value}\r\n" for name, value in said).encode("utf-8")
            writer.write_record(
                writer.create_warc_record(
                    asked,
                    "metadata",
                    payload=BytesIO(block),
                    length=len(block),
                    warc_content_type="application/warc-fields",
                    warc_headers_dict=fields,
                )
            )
        return out.getvalue()

    def _write_exchange(
        self, writer: Any, exchange: RawExchange, dated: dict[str, str], before: str
    ) -> str:
        """Write the records of one exchange; return the id of the response's record.

        Args:
            writer: warcio's writer.
            exchange: the exchange.
            dated: the WARC-Date field.
            before: the id of the response that led to it, or an empty string.
        """
        fields = dict(dated)
        if before:
            fields["WARC-Concurrent-To"] = before
        if not exchange.is_complete:
            fields["WARC-Truncated"] = "unspecified"
        response = self._message(writer, exchange.url, "response", exchange.head, exchange.body)
        for name, value in fields.items():
            response.rec_headers.replace_header(name, value)
        writer.write_record(response)
        identity = str(response.rec_headers.get_header("WARC-Record-ID"))
        if exchange.request.startswith(READABLE_METHODS):
            head, end, body = exchange.request.partition(b"\r\n\r\n")
            request = self._message(writer, exchange.url, "request", head + end, body)
            fields = {**dated, "WARC-Concurrent-To": identity}
            if not exchange.is_request_complete:
                fields["WARC-Truncated"] = "length"
            for name, value in fields.items():
                request.rec_headers.replace_header(name, value)
            writer.write_record(request)
        return identity

    def _message(self, writer: Any, url: str, kind: str, head: bytes, body: bytes) -> Any:
        """Return the record of one HTTP message."""
        return writer.create_warc_record(
            url, kind, payload=BytesIO(body), length=len(body), http_headers=self._raw_head(head)
        )

    def batch(self, records: Sequence[bytes], is_first: bool) -> bytes:
        """Return the records, after a warcinfo record at the start of the file."""
        if not is_first:
            return b"".join(records)
        out = BytesIO()
        writer = self._writer(out, gzip=self._gzipped, warc_version="1.1")
        info = writer.create_warcinfo_record(
            None, {"software": "asks-fast", "format": "WARC File Format 1.1"}
        )
        writer.write_record(info)
        return out.getvalue() + b"".join(records)


def _target_uri(url: str) -> str:
    """Return the URL as requested, without fragment; an empty string if it is not a URL."""
    try:
        parsed = parse_url(url)
    except (InvalidRequest, UnicodeError):
        return ""
    return parsed.origin + parsed.target


def _metadata(fetched: FetchRecord, is_named: bool) -> list[tuple[str, str]]:
    """Return what the exchanges do not contain.

    Args:
        fetched: the outcome of the request.
        is_named: whether the URL as given is that of a record.
    """
    said = []
    if fetched.error is not None:
        text = f"{type(fetched.error).__name__}: {' '.join(str(fetched.error).split())}"
        said.append(("fetchError", printable(text, MAX_VALUE)))
    if not is_named or fetched.same_as is not None:
        said.append(("requestedUrl", printable(fetched.url, MAX_VALUE)))
    if fetched.same_as is not None:
        said.append(("sameAs", printable(fetched.same_as, MAX_VALUE)))
    if fetched.key is not None:
        said.append(("key", json.dumps(fetched.key, default=str)))
    return said
