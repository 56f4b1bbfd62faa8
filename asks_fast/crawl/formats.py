"""The record formats of the output: JSON Lines and WARC, plain or compressed.

A format turns a page into the bytes of one record, and a batch of records into bytes that may
follow any other batch: plain JSON Lines, one gzip member, one zstd frame, WARC records.

Invariants: a record depends on its page only and may be empty. JSON is UTF-8 that every reader
        accepts: a lone surrogate is written as its escape.

Implemented elsewhere: when a batch is written (`bulk_fetch`, `checkpoint`), WARC records (`warc`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import Any

from .._extras import missing_extra
from .._response.charset import decode
from .page import FetchRecord
from .warc import WarcWriter

__all__ = ["FORMATS", "PARQUET", "RecordFormat", "format_name", "get_format"]

FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "warc", "warc.gz")
PARQUET = "parquet"  # made of JSON Lines when a run ends

_TEXT_TYPES = (
    "text/",
    "application/json",
    "application/xml",
    "application/javascript",
    "application/xhtml+xml",
    "application/x-ndjson",
)


class RecordFormat:
    """A format: `record(fetched)` and `batch(records, is_first)` return bytes."""

    def __init__(
        self,
        name: str,
        record: Callable[[FetchRecord], bytes],
        batch: Callable[[Sequence[bytes], bool], bytes],
    ) -> None:
        self.name = name
        self.record = record
        self.batch = batch


def get_format(output: str, name: str | None, body: str, headers: bool) -> RecordFormat:
    """Return a format by name, or by the suffix of the output's name.

    Args:
        output: the name of the output.
        name: the name of the format, or None.
        body: 'auto' (text if it is text, else base64), 'base64' or 'none'.
        headers: whether JSON records contain the header fields of the response.

    Raises:
        ValueError: unknown format or suffix.
        ImportError: names the extra that is missing.
    """
    name = format_name(output, name)
    if name == PARQUET:
        raise ValueError("Parquet is written by open_output")
    if name.startswith("warc"):
        warc = WarcWriter(name.endswith(".gz"))
        return RecordFormat(name, warc.record, warc.batch)
    dump = json_dumper()

    def record(fetched: FetchRecord) -> bytes:
        return dump(as_dict(fetched, body, headers)) + b"\n"

    if name == "jsonl":
        return RecordFormat(name, record, _plain)
    return RecordFormat(name, record, _gzip_batch() if name == "jsonl.gz" else _zstd_batch())


_ALL_FORMATS = (*FORMATS, PARQUET)
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", **{f".{name}": name for name in _ALL_FORMATS}}


def format_name(output: str, name: str | None) -> str:
    """Return the name of a format: `name`, or by the suffix of the output's name.

    Standard output and names without a suffix are JSON Lines.

    Raises:
        ValueError: unknown format or suffix.
    """
    if name is not None:
        if name not in _ALL_FORMATS:
            raise ValueError(f"format must be one of {', '.join(_ALL_FORMATS)}, found {name!r}")
        return name
    last = PurePath(output).name.lower()
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if last.endswith(suffix):
            return _SUFFIXES[suffix]
    stem, dot, _ = last.rpartition(".")
    if output == "-" or not dot or not stem:
        return "jsonl"
    raise ValueError(
        f"the suffix of {output!r} is not known; it can be {', '.join(sorted(_SUFFIXES))}, "
        f"or give --format: {', '.join(_ALL_FORMATS)}"
    )


def as_dict(fetched: FetchRecord, body: str = "auto", headers: bool = False) -> dict[str, Any]:
    """Return the fields of a JSON record; docs/guide/command-line.md lists them."""
    made: dict[str, Any] = {"url": encodable(fetched.url)}
    if fetched.key is not None:
        made["key"] = encodable(fetched.key)
    if fetched.same_as is not None:
        made["same_as"] = encodable(fetched.same_as)
    page = fetched.page
    if page is not None:
        made["status"] = page.status_code
        if page.url and page.url != fetched.url:
            made["final_url"] = page.url
        if fetched.earlier is None:
            made["type"] = page.content_type
            made["size"] = page.size
        else:
            made["unchanged_since"] = fetched.earlier.since
        made.update(_validators(fetched))
        if headers:
            made["headers"] = [list(pair) for pair in page.header_items]
        if page.file is not None:
            made["file"] = page.file
        elif fetched.earlier is not None:
            if fetched.earlier.file is not None:
                made["file"] = fetched.earlier.file
        elif body != "none":
            made.update(_body_fields(page.content, page.content_type, page.charset, body))
    if fetched.error is not None:
        message = encodable(str(fetched.error))
        made["error"] = {"kind": type(fetched.error).__name__, "message": message}
    made.update(fetched.extra)
    made["attempts"] = fetched.attempts
    made["elapsed"] = round(fetched.elapsed, 4)
    made["fetched_at"] = fetched.at
    return made


def _validators(fetched: FetchRecord) -> dict[str, str]:
    """Return ETag and Last-Modified of a response, else those of the earlier page."""
    assert fetched.page is not None
    headers, earlier = fetched.page.headers, fetched.earlier
    made = {}
    for name, before in (
        ("etag", earlier and earlier.etag),
        ("last_modified", earlier and earlier.last_modified),
    ):
        value = headers.get(name.replace("_", "-")) or before
        if value:
            made[name] = encodable(value)
    return made


def _body_fields(content: bytes, kind: str, charset: str | None, how: str) -> dict[str, str]:
    is_text = not kind or kind.startswith(_TEXT_TYPES) or kind.endswith(("+json", "+xml"))
    if how == "auto" and is_text:
        for name in (charset, None):
            with suppress(UnicodeError):
                return {"body": encodable(decode(content, name, errors="strict"))}
    return {"body_base64": base64.b64encode(content).decode("ascii")}


def encodable(value: Any) -> Any:
    """Return the value with lone surrogates in its strings escaped, as UTF-8 needs."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        return value
    if isinstance(value, dict):
        return {encodable(name): encodable(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [encodable(one) for one in value]
    return value


def json_dumper() -> Callable[[Any], bytes]:
    """Return orjson's encoder where it is installed, with the standard library's as fallback."""
    import json

    def dump_slowly(value: Any) -> bytes:
        try:
            text = json.dumps(value, **how, allow_nan=False)
        except ValueError:  # NaN and infinities are not JSON
            plain = json.dumps(value, **how)
            text = json.dumps(json.loads(plain, parse_constant=lambda name: None), **how)
        return text.replace("\x7f", "\\u007f").encode()

    how: dict[str, Any] = {"ensure_ascii": True, "separators": (",", ":"), "default": str}
    try:
        import orjson
    except ImportError:
        return dump_slowly

    def dump(value: Any) -> bytes:
        try:
            data = bytes(orjson.dumps(value))
        except TypeError:  # huge integers, objects without a JSON type
            return dump_slowly(value)
        if b"\x7f" in data or b"\xc2" in data:
            data = _CONTROLS.sub(_json_escape, data)
        return data

    return dump


# DEL and C1 controls: allowed in JSON strings, but executed by terminals.
_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]")


def _json_escape(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def _plain(records: Sequence[bytes], is_first: bool) -> bytes:
    return b"".join(records)


def _gzip_batch() -> Callable[[Sequence[bytes], bool], bytes]:
    import gzip

    def batch(records: Sequence[bytes], is_first: bool) -> bytes:
        return gzip.compress(b"".join(records), 6, mtime=0)

    return batch


def _zstd_batch() -> Callable[[Sequence[bytes], bool], bytes]:
    try:
        import zstandard
    except ImportError as e:
        raise ImportError(missing_extra("zstd output", "zstandard", "cli")) from e
    compressor = zstandard.ZstdCompressor(level=6, write_checksum=True)

    def batch(records: Sequence[bytes], is_first: bool) -> bytes:
        return bytes(compressor.compress(b"".join(records)))

    return batch
