"""The pages of an earlier run, so that another run transfers only what changed (RFC 9110, 13.1).

`build_index` reads the output of the earlier run into a temporary SQLite file, and `PreviousRun`
turns a request into one with `If-None-Match` and `If-Modified-Since`. A 304 then stands for the
page of the earlier run.

Facts:  a request without a key is the same as one of the earlier run if it has the same URL, one
        with a key if it has the same key and URL.
Invariants: validators are sent only to the URL that the earlier page came from, whatever redirects
        lead to. A request that is not a GET, or has a body, `Range` or conditions of its own, is
        sent unchanged. Nothing in the output is trusted: a file name leads to no other directory,
        and what cannot be used is ignored. Memory does not grow with the number of pages.

Implemented elsewhere: the record of an unchanged page (`formats`), the JSON Lines (`inputs`).
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .checkpoint import CheckpointError, key_of
from .formats import PARQUET, format_name
from .inputs import decompressor
from .page import EarlierPage
from .parquet import read_rows
from .partial_files import keep_file
from .request_identity import RequestIdentity

if TYPE_CHECKING:
    from .._client.middleware import CallNext, Middleware
    from .._request.prepared_request import PreparedRequest
    from ..response_objects import BaseResponse

__all__ = ["PreviousRun", "build_index", "output_of", "temporary_index"]

COLUMNS = (
    "url",
    "key",
    "same_as",
    "status",
    "final_url",
    "etag",
    "last_modified",
    "unchanged_since",
    "fetched_at",
    "file",
)
BATCH = 10_000  # pages inserted at once
# A request that has one of these is sent unchanged.
CONDITIONAL_FIELDS = frozenset(
    ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"]
)
ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')
DATE = re.compile(r"[A-Za-z0-9,: +-]{10,50}")


def output_of(previous: str) -> Path:
    """Return the output of an earlier run: the file itself, or the index of a directory.

    Raises:
        CheckpointError: there is no such file, or one of an unsuitable format.
    """
    path = Path(previous)
    if path.is_dir():
        path = path / "index.jsonl"
    if not path.is_file():
        raise CheckpointError(f"{path} is not the output of an earlier run: no such file")
    if format_name(str(path), None).startswith("warc"):
        raise CheckpointError(f"{path} cannot be the earlier run: only JSON Lines and Parquet can")
    return path


@contextmanager
def temporary_index(previous: Path, *, etag: bool, modified: bool) -> Iterator[str]:
    """Build an index of the earlier run in a temporary file; yield its name."""
    with tempfile.TemporaryDirectory(prefix="asks-fast-") as directory:
        index = Path(directory, "previous.sqlite")
        build_index(previous, index, etag=etag, modified=modified)
        yield str(index)


def build_index(previous: Path, index: Path, *, etag: bool = True, modified: bool = True) -> int:
    """Write the pages of an earlier run that have validators to an SQLite file.

    Args:
        previous: the output of the earlier run.
        index: the file to create.
        etag, modified: which validators to use.

    Returns:
        The number of pages.

    Raises:
        CheckpointError: the output cannot be read.
    """
    rows: list[tuple[Any, ...]] = []
    database = sqlite3.connect(index, isolation_level=None)
    try:
        database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE pages (key INTEGER PRIMARY KEY, url_key INTEGER, url, etag, modified,"
            " since, file)"
        )
        for record in _records(previous):
            row = _row_of(record, etag=etag, modified=modified)
            if row is not None:
                rows.append(row)
            if len(rows) >= BATCH:
                _insert(database, rows)
        _insert(database, rows)
        return int(database.execute("SELECT count(*) FROM pages").fetchone()[0])
    finally:
        database.close()


def _insert(database: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    database.execute("BEGIN")
    database.executemany("INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    database.execute("COMMIT")
    rows.clear()


def _records(previous: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of an output; an incomplete last line is left out."""
    if format_name(str(previous), None) == PARQUET:
        yield from read_rows(previous, COLUMNS)
        return
    decompress = decompressor(str(previous))
    rest = b""
    with previous.open("rb") as file:
        while data := file.read(1 << 16):
            try:
                *lines, rest = (rest + decompress(data)).split(b"\n")
            except Exception as error:  # of zlib, lzma or zstandard
                raise CheckpointError(f"{previous} cannot be decompressed: {error}") from error
            for line in lines:
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise CheckpointError(f"{previous} is not JSON Lines: {error}") from error
                if isinstance(record, dict):
                    yield record


def _row_of(record: Mapping[str, Any], *, etag: bool, modified: bool) -> tuple[Any, ...] | None:
    """Return the row for a record, or None if its page cannot be requested conditionally."""
    since = record.get("unchanged_since")
    status = record.get("status")
    if not (status == 200 or (status == 304 and since)) or record.get("same_as"):
        return None
    validators = (
        _valid(ETAG, record.get("etag")) if etag else None,
        _valid(DATE, record.get("last_modified")) if modified else None,
    )
    if not any(validators):
        return None
    url = _text(record.get("url"))
    if url is None:
        return None
    user_key = record.get("key")
    key = key_of(_without_fragment(url) if user_key is None else f"key {user_key}")
    return (
        _signed(key),
        _signed(key_of(_without_fragment(url))),
        _text(record.get("final_url")) or url,
        *validators,
        _text(since) or _text(record.get("fetched_at")) or "",
        _file_name(record.get("file")),
    )


def _text(value: object) -> str | None:
    """Return a value if it is text that SQLite can store."""
    return value if isinstance(value, str) and value.isprintable() else None


def _file_name(value: object) -> str | None:
    """Return the name of a file of the earlier run if it is below the directory of that run."""
    name = _text(value)
    if name is None or os.path.isabs(name) or ".." in Path(name).parts:
        return None
    return name


def _valid(pattern: re.Pattern[str], value: object) -> str | None:
    """Return a field value if it may be sent."""
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _signed(key: int) -> int:
    """Return 64 bits as SQLite stores them."""
    return key - (1 << 63)


def _without_fragment(url: str) -> str:
    return url.partition("#")[0]


class PreviousRun:
    """The index of an earlier run, open for reading.

    `directory` is that of the files of the earlier run, and `target` that of this run; with a
    target, a page is unchanged only if its file is still there.
    """

    def __init__(
        self, index: str, directory: str | None = None, target: Path | None = None
    ) -> None:
        self._database = sqlite3.connect(f"file:{index}?mode=ro", uri=True)
        self._directory = Path(directory or ".")
        self._target = target
        self._confirmed: set[int] = set()  # keys of requests whose validators led to a 304

    def close(self) -> None:
        """Close the index. Idempotent."""
        self._database.close()

    def find(self, identity: RequestIdentity) -> EarlierPage | None:
        """Return the earlier page of a request, or None."""
        row = self._database.execute(
            "SELECT url_key, url, etag, modified, since, file FROM pages WHERE key = ?",
            (_signed(_key_of_page(identity)),),
        ).fetchone()
        if row is None or row[0] != _signed(key_of(_without_fragment(identity.url))):
            return None
        page = EarlierPage(*row[1:])
        if self._target is not None and not self._has_file(page):
            return None
        return page

    def _has_file(self, page: EarlierPage) -> bool:
        return page.file is not None and os.path.isfile(self._directory / page.file)

    def make_conditional(self, identity: RequestIdentity, request: Any) -> Any:
        """Return the request, with validators if it has an earlier page."""
        if isinstance(request, Mapping):
            method = str(request.get("method", "GET")).upper()
            if method != "GET" or request.keys() & {"data", "json", "files", "multipart"}:
                return request
        elif not isinstance(request, str):
            return request
        page = self.find(identity)
        if page is None:
            return request
        made = {"url": request} if isinstance(request, str) else dict(request)
        send_validators = self._validator_middleware(page, _key_of_page(identity))
        return {**made, "middleware": [*made.get("middleware", ()), send_validators]}

    def _validator_middleware(self, page: EarlierPage, key: int) -> Middleware:
        """Return a middleware that adds the validators of a page to the request for its URL.

        It notes whether they led to a 304: a request may have conditions of its own.
        """

        async def send_validators(request: PreparedRequest, call_next: CallNext) -> BaseResponse:
            self._confirmed.discard(key)
            has_validators = _is_at(page, str(request.url)) and not CONDITIONAL_FIELDS & {
                name.lower() for name in request.headers
            }
            if has_validators and page.etag is not None:
                request.headers["If-None-Match"] = page.etag
            if has_validators and page.last_modified is not None:
                request.headers["If-Modified-Since"] = page.last_modified
            response = await call_next(request)
            if has_validators and response.status_code == 304:
                self._confirmed.add(key)
            return response

        return send_validators

    def find_unchanged(
        self, identity: RequestIdentity, status: int, url: str
    ) -> EarlierPage | None:
        """Return the earlier page that a response stands for, or None if it is a page of its own.

        A 304 stands for it only if it answers the validators of that page: a request with
        conditions of its own, such as `If-None-Match`, may get one for other reasons.

        With a target directory, the file of the page is kept there.

        Raises:
            NotWritten: the file cannot be kept.
        """
        key = _key_of_page(identity)
        if status != 304 or key not in self._confirmed:
            return None
        self._confirmed.remove(key)
        page = self.find(identity)
        if page is None or not _is_at(page, url):
            return None
        if self._target is not None and page.file is not None:
            keep_file(self._directory / page.file, self._target, page.file)
        return page


def _is_at(page: EarlierPage, url: str) -> bool:
    """Return whether a URL that was requested is that of the earlier page."""
    return _without_fragment(url) == _without_fragment(page.url)


def _key_of_page(identity: RequestIdentity) -> int:
    return identity.fetch_key if identity.user_key is None else identity.key
