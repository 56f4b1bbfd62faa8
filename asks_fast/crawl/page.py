"""A session that reads its answers to the end, within limits.

`PageSession` stands between `mapping` and a real session: it streams each body as far as the
options allow, looks at status and type before it reads, and gives a `Page`: all that an output
needs, and nothing that is still connected to the network.

Rules:  a body over `max_body` is an error, and its connection is closed; what the filters drop
        is not read. A file appears under its name only when it is whole.
Not here: whose turn it is, and what becomes of a page (`formats`).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ResponseTooLarge, printable
from ..http_utils import charset_of
from .options import FetchOptions, matches_status, matches_type
from .partial_files import PartialFile
from .raw_exchange import RawExchange, header_items, raw_exchanges

if TYPE_CHECKING:
    from .._client.redirect_pause import RedirectPaused

__all__ = ["FetchRecord", "Page", "PageSession", "file_name", "header_items"]


class Page:
    """One answer, read to its end (or dropped by a filter: `dropped` says by which)."""

    __slots__ = (
        "charset",
        "content",
        "content_type",
        "dropped",
        "exchanges",
        "file",
        "headers",
        "http_version",
        "reason",
        "size",
        "status_code",
        "url",
    )

    def __init__(self, response: Any) -> None:
        self.status_code: int = response.status_code
        self.reason = str(response.reason_phrase or "")
        self.http_version = str(response.http_version or "1.1")
        self.headers = response.headers
        self.url = str(response.url or "")
        full = str(response.headers.get("content-type") or "")
        self.content_type = full.partition(";")[0].strip().lower()
        self.charset = charset_of(full)  # as a codec
        self.content = b""  # decompressed; empty when it went into a file
        self.exchanges: list[RawExchange] = []  # on the way here and this one, for archives
        self.size = 0  # bytes read, after decompression unless raw
        self.file: str | None = None  # where it was saved
        self.dropped: str | None = None

    @property
    def header_items(self) -> list[tuple[str, str]]:
        """Name and value of each header field, in order."""
        return header_items(self.headers)

    def __repr__(self) -> str:
        return f"<Page {self.status_code} {self.size} bytes>"


class FetchRecord:
    """One line of the output in the making: the request, its page or error, the circumstances."""

    __slots__ = ("at", "attempts", "elapsed", "error", "host", "key", "page", "same_as", "url")

    def __init__(
        self,
        url: str,
        key: Any,
        page: Page | None,
        error: Exception | None,
        attempts: int,
        elapsed: float,
        at: str,
        host: str = "",
    ) -> None:
        self.url = url
        self.key = key
        self.page = page
        self.error = error
        self.attempts = attempts
        self.elapsed = elapsed  # seconds
        self.at = at  # when, ISO 8601 in UTC
        self.host = host
        self.same_as: str | None = None  # what was fetched for it, where another URL shares it

    def shared_with(self, url: str, key: Any) -> FetchRecord:
        """The same for another URL, which differs in its fragment alone."""
        made = FetchRecord(
            url, key, self.page, self.error, self.attempts, self.elapsed, self.at, self.host
        )
        made.same_as = url.partition("#")[0]
        return made

    def as_failure(self, error: Exception) -> FetchRecord:
        """What can be written in its place, where writing the record raised `error`."""
        key = self.key
        if not isinstance(key, (str, int, type(None))):
            key = printable(repr(key), 2_000)
        return FetchRecord(
            printable(self.url, 8_000),
            printable(key, 2_000) if isinstance(key, str) else key,
            None,
            error,
            self.attempts,
            self.elapsed,
            self.at,
            self.host,
        )


class PageSession:
    """What `map` runs on: `request` gives a `Page`. Bodies go to files when `directory` is set."""

    def __init__(
        self,
        session: Any,
        options: FetchOptions,
        *,
        raw: bool = False,
        directory: Path | None = None,
    ) -> None:
        self.session = session
        self.options = options
        self.connections = options.connections
        self.raw = raw
        self.directory = directory
        self.bytes = 0  # of bodies, so far
        self._reads_at_once = directory is None and not options.only_type
        self._request_arguments: dict[str, Any] = {
            "timeout": options.timeout,
            "connection_timeout": options.connection_timeout,
            "read_timeout": options.read_timeout,
        }
        if options.max_redirects:
            self._request_arguments["max_redirects"] = options.max_redirects
        else:
            self._request_arguments["follow_redirects"] = False
        if options.max_body:
            self._request_arguments["max_body"] = options.max_body
            self._request_arguments["max_decompressed"] = options.max_body
        if raw:
            self._request_arguments["keep_framing"] = True
        if options.cookies:
            self._request_arguments["cookies"] = dict(options.cookies)

    async def request(self, method: str, url: str = "", **kwargs: Any) -> Page:
        """One request, its body read within the limits.

        Cancelled, the connection is closed and a half-written file is gone.
        """
        if self._reads_at_once:
            given = {**self._request_arguments, **kwargs, "stream": False}
            return self._page_from_memory(await self.session.request(method, url, **given))
        response = await self.session.request(
            method, url, **{**self._request_arguments, **kwargs}, stream=True
        )
        return await self._page_from_stream(response, url)

    async def resume_redirect(self, paused: RedirectPaused, url: str = "") -> Page:
        """As `request`, for one that was held before a redirect."""
        response = await paused.flow.run()
        return (
            self._page_from_memory(response)
            if self._reads_at_once
            else await self._page_from_stream(response, url)
        )

    def _page_from_memory(self, response: Any) -> Page:
        """The page of an answer whose body is in memory."""
        page = Page(response)
        page.dropped = self._dropping_filter(page)
        if page.dropped is None:
            data = response.body if self.raw else response.content
            self._count(page, len(data))
            if self.raw:
                page.exchanges = raw_exchanges(response)
            else:
                page.content = data
        return page

    async def _page_from_stream(self, response: Any, url: str) -> Page:
        """The page of an answer whose body is still to be read."""
        body = response.body
        try:
            page = Page(response)
            page.dropped = self._dropping_filter(page)
            if page.dropped is None:
                body.decompress_data = not self.raw
                if self.directory is not None and 200 <= page.status_code < 300:
                    await self._save(page, body, url or page.url)
                else:
                    await self._load(page, response)
            return page
        finally:
            await body.close()

    def _dropping_filter(self, page: Page) -> str | None:
        if not matches_status(page.status_code, self.options.only_status):
            return "status"
        if not matches_type(page.content_type, self.options.only_type):
            return "type"
        return None

    async def _load(self, page: Page, response: Any) -> None:
        pieces: list[bytes] = []
        async for piece in response.body:
            self._count(page, len(piece))
            pieces.append(bytes(piece))
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self.raw:
            page.exchanges = raw_exchanges(response, body=data)
        else:
            page.content = data

    async def _save(self, page: Page, body: Any, url: str) -> None:
        assert self.directory is not None
        name = file_name(url, page.content_type)
        with PartialFile(self.directory) as file:
            async for piece in body:
                self._count(page, len(piece))
                file.write(piece)
            file.move_to(self.directory / name)
        page.file = name

    def _count(self, page: Page, more: int) -> None:
        page.size += more
        self.bytes += more
        limit = self.options.max_body
        if limit is not None and page.size > limit:
            raise ResponseTooLarge(f"the body of {page.url} is larger than {limit} bytes")


def file_name(url: str, content_type: str = "") -> str:
    """A relative file name for a URL: readable, harmless, and another one for another URL.

    It is the URL's own path where no other URL can have the same one (`_plain_name`); else a mark
    made of the URL is added to it.
    """
    from .checkpoint import key_of
    from .job import host_of

    plain = _plain_name(url)
    if plain is not None:
        return plain
    path = url.partition("://")[2].partition("/")[2]
    for end in "?#":
        path = path.partition(end)[0]
    pieces = [_safe_name(p) for p in path.split("/") if p and p not in (".", "..")][:12]
    last = pieces.pop() if pieces and not path.endswith("/") else "index"
    pieces = [piece + "_" if "." in piece else piece for piece in pieces]
    stem, dot, ending = last.rpartition(".")
    if not dot or not stem or len(ending) > 8:
        stem, ending = last, _SUFFIXES.get(content_type, "")
    mark = f"{key_of(url):016x}"[:12]
    end = f"-{mark}" + (f".{ending}" if ending else "")
    name = _truncate(stem, MAX_NAME - len(end.encode())) + end
    directories = [_directory_of(url, host_of(url)), *pieces]
    while sum(len(piece.encode()) for piece in directories) > MAX_DIRECTORIES:
        directories.pop()
    return "/".join([*directories, name])


_PLAIN_NAME = re.compile(r"(?!.*-[0-9a-f]{12}\.)[^.].*\.[A-Za-z0-9]{1,8}")
_FOLDS_CASE = sys.platform in ("darwin", "win32")


def _plain_name(url: str) -> str | None:
    """The name made of host and path alone, or None if another URL could have the same.

    Facts: one port speaks one protocol. A directory never has the name of a file: files have a
    suffix of letters and digits, and `file_name` adds `_` to directories with a dot.
    """
    from .job import host_of

    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    *directories, last = path.split("/")
    host = authority.partition(":")[0]
    is_forgettable = (
        scheme in ("http", "https")
        and authority == host_of(url)
        and host == _safe_name(host)
        and "_" not in host
        and len(directories) < 12
        and all(piece == _safe_name(piece) and "." not in piece for piece in directories)
        and last == _safe_name(last)
        and _PLAIN_NAME.fullmatch(last) is not None
        and not (_FOLDS_CASE and path != path.lower())
    )
    return f"{_directory_of(url, authority)}/{path}" if is_forgettable else None


def _directory_of(url: str, host: str) -> str:
    """The directory of a host: with the port, unless that is the default one of https."""
    is_default = url.startswith("http://") and not re.search(r":\d+$", host)
    return _safe_name(host + "_80" if host and is_default else host) or "nowhere"


MAX_NAME = 255  # bytes of one name in a directory, on nearly every file system
MAX_DIRECTORIES = 2048  # bytes of all directories of one file; a whole path may have 4,096

_SUFFIXES = {
    "text/html": "html",
    "application/json": "json",
    "text/plain": "txt",
    "application/pdf": "pdf",
    "image/jpeg": "jpg",
    "image/png": "png",
    "application/xml": "xml",
    "text/css": "css",
}


def _safe_name(piece: str) -> str:
    """A name that no file system takes for anything else."""
    kept = "".join(c if c.isalnum() or c in "-_.~@+=," else "_" for c in piece)
    return _truncate(kept.lstrip("."), MAX_NAME) or "_"


def _truncate(text: str, size: int) -> str:
    """Return as many letters of the text as `size` bytes of UTF-8 hold."""
    return text.encode()[:size].decode("utf-8", "ignore")
