"""`Cache`: store responses and reuse them, as RFC 9111 allows (`cache=` of sessions).

It is the innermost middleware of a session. What may be stored and used is decided in `rules`,
where entries are kept in `memory_store` and `sqlite_store`.

Invariants: only complete responses to GET are stored. A response to one Authorization is not used
for another. No failure of the store fails a request.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from http import HTTPStatus
from typing import TYPE_CHECKING

from .._config.argument_checks import is_number
from .._hotpath import Headers
from .._request.prepared_request import PreparedRequest
from .._response.stream import StreamBody
from ..errors import ConnectivityError, InvalidRequest, InvalidURL
from ..response_objects import BaseResponse, Response
from ..urls import Url, join_url, parse_url
from . import rules
from .entry import Entry
from .memory_store import MemoryStore
from .recorded_body import record
from .sqlite_store import SqliteStore

if TYPE_CHECKING:
    from .._client.middleware import CallNext

__all__ = ["Cache", "as_cache"]

log = logging.getLogger("asks_fast")

MEMORY_SIZE = 64 << 20  # bytes
FILE_SIZE = 1 << 30  # bytes
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
TRANSIENT_STATUSES = frozenset({408, 429})  # not kept by `keep_everything`, as those from 500 on
# Fields that make a request about a part, or about a condition that only the server can check.
_PASSED_ON = ("range", "if-range", "if-match", "if-unmodified-since")
_OWN_CONDITIONS = ("if-none-match", "if-modified-since")
# The fields of a 304 (RFC 9110, section 15.4.5).
_FIELDS_OF_304 = frozenset(
    [b"cache-control", b"content-location", b"date", b"etag", b"expires", b"last-modified", b"vary"]
)


class Cache:
    """A private HTTP cache, in memory or in a SQLite file.

    One cache may serve several sessions, threads and, with a file, processes.

    Args:
        path: the file; None keeps responses in memory.
        max_size: bytes of all stored responses; default: 64 MiB in memory, 1 GiB in a file. The
            least recently used ones are dropped.
        max_body: bytes of one body as received; longer ones are not stored.
        stale_if_error: seconds for which a response may be used after its lifetime when the server
            cannot be reached or answers 500, 502, 503 or 504. Servers and requests can allow it by
            the directive of this name.
        shared: True stores nothing that is meant for one user.
        keep_everything: True is for development: every complete response to a GET with a status
            below 500 is kept and used until `clear`, whatever its fields say.
        clock: returns seconds since 1970.

    Raises:
        InvalidRequest: a limit is not positive, or the file is not a database, or one of another
            program.
        OSError: the file cannot be created.

    Example:
        >>> async with HSession("https://example.org", cache=Cache("http-cache.sqlite")) as session:
        ...     response = await session.get(path="/")
        ...     print(response.from_cache)
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        max_size: int | None = None,
        max_body: int = 16 << 20,
        stale_if_error: float = 0.0,
        shared: bool = False,
        keep_everything: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if max_size is None:
            max_size = MEMORY_SIZE if path is None else FILE_SIZE
        for name, value in (("max_size", max_size), ("max_body", max_body)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidRequest(f"{name} must be a positive number of bytes, not {value!r}")
        if not is_number(stale_if_error) or not stale_if_error >= 0:
            raise InvalidRequest(f"stale_if_error must be 0 or more, not {stale_if_error!r}")
        for name, flag in (("shared", shared), ("keep_everything", keep_everything)):
            if not isinstance(flag, bool):
                raise InvalidRequest(f"{name} must be True or False, not {flag!r}")
        if path is not None and not (isinstance(path, (str, os.PathLike)) and os.fspath(path)):
            raise InvalidRequest(f"path must be the name of a file or None, not {path!r}")
        self._store = MemoryStore(max_size) if path is None else SqliteStore(path, max_size)
        self._max_body = max_body
        self._stale_if_error = stale_if_error
        self._shared = shared
        self._keeps_everything = keep_everything
        self._clock = clock
        self._sessions = 0  # that are open and use this cache

    def __repr__(self) -> str:
        return f"<Cache {self._store!r}>"

    def clear(self) -> None:
        """Remove all responses. With a file, this thread waits for the disk."""
        self._store.clear()

    def remove(self, url: str) -> None:
        """Remove the responses of one URL. With a file, this thread waits for the disk.

        Raises:
            InvalidURL: `url` is not an absolute URL.
        """
        self._store.remove(self._key(parse_url(url)))

    def close(self) -> None:
        """Close the file; the next use opens it again. The last session that is closed does it."""
        self._store.close()

    def attach(self) -> None:
        """Count a session that uses this cache."""
        self._sessions += 1

    def detach(self) -> None:
        """Remove a session that was closed; the last one closes the file."""
        self._sessions -= 1
        if self._sessions == 0:
            self.close()

    # -- the middleware

    async def __call__(self, request: PreparedRequest, call_next: CallNext) -> BaseResponse:
        """Answer from the cache, or by the server, and store what may be stored."""
        if request.method not in SAFE_METHODS:
            response = await call_next(request)
            if 200 <= response.status_code < 400:
                await self._invalidate(request, response)
            return response
        headers = request.headers
        if request.method not in ("GET", "HEAD") or any(name in headers for name in _PASSED_ON):
            return await call_next(request)
        return await _Lookup(self, request, call_next).run()

    async def _invalidate(self, request: PreparedRequest, response: BaseResponse) -> None:
        """Remove what a request with an unsafe method has changed (RFC 9111, section 4.4)."""
        await self._store.discard(self._key(request.url))
        for name in ("location", "content-location"):
            for value in response.headers.getlist(name):
                try:
                    url = join_url(request.url, value.encode("utf-8"))
                except InvalidURL:
                    continue
                if url.same_origin(request.url):
                    await self._store.discard(self._key(url))

    def _digest(self, *values: str) -> bytes:
        data = b"\0".join(value.encode("utf-8", "surrogateescape") for value in values)
        return blake2b(data, key=self._store.salt, digest_size=16).digest()

    def _key(self, url: Url) -> bytes:
        return self._digest(url.origin + url.target)


class _Lookup:
    """One GET or HEAD through a cache."""

    def __init__(self, cache: Cache, request: PreparedRequest, call_next: CallNext) -> None:
        self.cache = cache
        self.request = request
        self.call_next = call_next
        self.key = cache._key(request.url)
        credentials = request.headers.getlist("authorization")
        self.credentials = cache._digest(*credentials) if credentials else b""
        self.asked = rules.request_directives(request.headers)

    async def run(self) -> BaseResponse:
        request = self.request
        entry = None if "no-store" in self.asked else await self._select()
        if entry is not None and self._may_use(entry):
            response = await self._serve(entry)
            if response is not None:
                return response
            entry = None
        if "only-if-cached" in self.asked:
            return _made(request, 504, (), b"")
        return await self._fetch(entry)

    async def _select(self) -> Entry | None:
        """The newest stored response that was given to a request like this one."""
        found = [
            entry
            for entry in await self.cache._store.find(self.key)
            if entry.variant == self._variant(entry.vary)
            and (entry.credentials == self.credentials or self._is_public(entry))
        ]
        return max(found, key=_date_of, default=None)

    def _is_public(self, entry: Entry) -> bool:
        return "public" in entry.directives and not self.cache._keeps_everything

    def _variant(self, names: tuple[str, ...]) -> bytes:
        """A digest of the values that the request has for these names."""
        if not names or self.cache._keeps_everything:
            return b""
        headers = self.request.headers
        return self.cache._digest(*(_normalized(headers.getlist(name)) for name in names))

    def _may_use(self, entry: Entry) -> bool:
        options, cache = self.request.options, self.cache
        if options.max_body is not None and entry.size > options.max_body:
            return False  # it fails as it would without a cache
        if cache._keeps_everything:
            return "no-cache" not in self.asked
        return rules.is_fresh_enough(entry, self.asked, cache._clock(), shared=cache._shared)

    async def _fetch(self, entry: Entry | None) -> BaseResponse:
        """Ask the server, with the validators of a stored response if there is one."""
        request = self.request
        sent = request
        if entry is not None and request.method == "GET" and not self._has_own_conditions():
            conditions = rules.validators(entry)
            if conditions:
                sent = request.copy_for_exchange()
                sent.deadline = request.deadline
                sent.headers.update(conditions)
        requested_at = self.cache._clock()
        try:
            response = await self.call_next(sent)
        except ConnectivityError:
            stale = await self._after_error(entry)
            if stale is None:
                raise
            return stale
        if response.status_code in rules.ERROR_STATUSES:
            stale = await self._after_error(entry)
            if stale is not None:
                return stale
        elif response.status_code == 304:
            used = await self._after_304(entry, response, requested_at, sent is not request)
            if used is not None:
                return used
            requested_at = self.cache._clock()
            response = await self.call_next(request)
        if response.request is sent:
            response.request = request
        await self._after_response(entry, response, requested_at)
        return response

    async def _after_error(self, entry: Entry | None) -> BaseResponse | None:
        """The stored response if it may stand in for a failed one."""
        cache = self.cache
        if entry is None or not (
            cache._keeps_everything
            or rules.may_serve_after_error(
                entry,
                self.asked,
                cache._clock(),
                shared=cache._shared,
                default=cache._stale_if_error,
            )
        ):
            return None
        return await self._serve(entry)

    async def _after_304(
        self, entry: Entry | None, response: BaseResponse, requested_at: float, is_ours: bool
    ) -> BaseResponse | None:
        """Update the stored response; return it, or the 304 if the caller asked for that."""
        store, now = self.cache._store, self.cache._clock()
        new = None if entry is None else self._freshen(entry, response.headers, requested_at, now)
        if not is_ours:
            if new is not None:
                await self._update(new)
            return response
        if new is None:
            return None
        served = await self._serve(new, is_revalidated=True)
        if served is None:
            await store.discard(self.key)
        else:
            await self._update(new)
        return served

    def _freshen(
        self, entry: Entry, headers: Headers, requested_at: float, now: float
    ) -> Entry | None:
        return rules.freshen(entry, headers, requested_at, now, shared=self.cache._shared)

    async def _update(self, entry: Entry) -> None:
        """Store new fields of an entry, or remove it if a response with them is not stored so."""
        cache = self.cache
        same_vary = cache._keeps_everything or rules.vary_names(entry.headers) == entry.vary
        if same_vary and self._may_store(entry.status, entry.headers):
            await cache._store.update(self.key, entry)
        else:
            await cache._store.discard(self.key)

    async def _after_response(
        self, entry: Entry | None, response: BaseResponse, requested_at: float
    ) -> None:
        """Store a response, or remove the one that it shows to be outdated."""
        cache, headers = self.cache, response.headers
        if self.request.method == "HEAD":
            if entry is not None and response.status_code == 200:
                await self._after_head(entry, headers, requested_at)
            return
        if not self._may_store(response.status_code, headers):
            if entry is not None and response.status_code not in rules.ERROR_STATUSES:
                await cache._store.discard(self.key)
            return
        vary = () if cache._keeps_everything else rules.vary_names(headers) or ()
        new = Entry(
            response.status_code,
            response.reason_phrase.encode("utf-8", "surrogateescape"),
            rules.stored_fields(headers, shared=cache._shared),
            requested_at,
            cache._clock(),
            vary,
            self._variant(vary),
            self.credentials,
        )
        if isinstance(response, Response):
            if response.is_complete and not response.is_truncated:
                await self._put(new, response.body)
        elif isinstance(response.body, StreamBody):
            record(response.body, cache._max_body, partial(self._put, new))

    async def _put(self, entry: Entry, body: bytes) -> None:
        if len(body) <= self.cache._max_body:
            await self.cache._store.put(self.key, replace(entry, body=body, size=len(body)))

    def _may_store(self, status: int, headers: Headers) -> bool:
        cache = self.cache
        if cache._keeps_everything:
            return status < 500 and status not in (206, 304) and status not in TRANSIENT_STATUSES
        return rules.may_store(
            status,
            headers,
            self.asked,
            has_credentials=bool(self.credentials),
            shared=cache._shared,
        )

    async def _after_head(self, entry: Entry, headers: Headers, requested_at: float) -> None:
        """Update the stored response to GET by one to HEAD (RFC 9111, section 4.3.5)."""
        store = self.cache._store
        new = self._freshen(entry, headers, requested_at, self.cache._clock())
        if new is None or not rules.same_representation(entry.headers, headers):
            await store.discard(self.key)
        else:
            await self._update(new)

    def _has_own_conditions(self) -> bool:
        return any(name in self.request.headers for name in _OWN_CONDITIONS)

    async def _serve(self, entry: Entry, *, is_revalidated: bool = False) -> BaseResponse | None:
        """The response of an entry; None if another process has removed its body."""
        request = self.request
        fields = [pair for pair in entry.fields if pair[0].lower() != b"age"]
        seconds = int(rules.age(entry, self.cache._clock()))
        fields.append((b"Age", b"%d" % seconds))
        if self._has_own_conditions() and rules.is_not_modified(entry, request.headers):
            kept = [pair for pair in fields if pair[0].lower() in _FIELDS_OF_304]
            response = _made(request, 304, kept, b"")
        else:
            body = await self.cache._store.load(self.key, entry)
            if body is None:
                return None
            body = b"" if request.method == "HEAD" else body
            response = _made(request, entry.status, fields, body, entry.reason)
        response.from_cache, response.revalidated = True, is_revalidated
        log.debug("%s %s: from the cache, age %d s", request.method, request.url, seconds)
        return response


def _made(
    request: PreparedRequest,
    status: int,
    fields: list[tuple[bytes, bytes]] | tuple[()],
    body: bytes,
    reason: bytes | None = None,
) -> Response:
    response = Response()
    reason = HTTPStatus(status).phrase.encode() if reason is None else reason
    response._set_from_parts(status, Headers.from_pairs(fields), body, reason=reason)
    response.method, response.url = request.method, str(request.url)
    response.request = request
    return response


def _normalized(values: list[str]) -> str:
    """The values of a field without differences that mean nothing (RFC 9111, section 4.1)."""
    return ",".join(item.strip() for value in values for item in value.split(",")) if values else ""


def _date_of(entry: Entry) -> float:
    return entry.received_at


def as_cache(value: object) -> Cache:
    """The cache for a `cache=` of a session that is not false.

    Raises:
        InvalidRequest: the value is neither a bool nor a cache.
    """
    if value is True:
        return Cache()
    if not isinstance(value, Cache):
        is_path = isinstance(value, (str, os.PathLike))
        hint = f": a file is given by Cache({value!r})" if is_path else ""
        raise InvalidRequest(f"cache must be True or a Cache, not {value!r}{hint}")
    return value
