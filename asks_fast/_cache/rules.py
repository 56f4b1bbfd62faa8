"""The rules of HTTP caching (RFC 9111, stale-if-error of RFC 5861), without I/O.

`now` is in seconds since 1970. A private cache is for one user: it may store responses to requests
with credentials and those marked `private`. A shared one may not.

Implemented elsewhere: what happens when (`cache`), where entries are kept (`memory_store`,
`sqlite_store`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Protocol

from .._hotpath import Headers
from .._response.header_values import parse_http_date
from .cache_control import MAX_SECONDS, Directives, parse_cache_control, parse_seconds, seconds
from .entry import Entry

__all__ = [
    "age",
    "freshen",
    "is_fresh_enough",
    "is_not_modified",
    "may_serve_after_error",
    "may_store",
    "request_directives",
    "same_representation",
    "stored_fields",
    "validators",
    "vary_names",
]

# Statuses with a heuristic lifetime (RFC 9110, section 15.1); without 206, which is not stored.
HEURISTIC_STATUSES = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
HEURISTIC_FRACTION = 0.1  # of the time since the last modification (RFC 9111, section 4.2.2)
MAX_HEURISTIC = 86400.0 * 7  # seconds
# Statuses whose caching requirements are implemented, for must-understand (section 5.2.2.3).
UNDERSTOOD_STATUSES = HEURISTIC_STATUSES | {302, 303, 307, 400, 401, 403, 500, 502, 503, 504}
ERROR_STATUSES = frozenset({500, 502, 503, 504})  # for stale-if-error (RFC 5861, section 4)

# Fields that are never stored (RFC 9111, section 3.1).
_NOT_STORED = frozenset(
    [
        "connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    ]
)  # fmt: skip
# Fields without which the stored body is not readable; a 304 does not replace them (section 3.2).
_OF_THE_BODY = frozenset(["content-encoding", "content-length", "content-range", "etag"])
# Fields of the stored response that a 304 removes: its cookies were set before.
_OF_ONE_RESPONSE = frozenset([b"age", b"set-cookie"])
_AGE = re.compile(r"(\d+)\s*(?:[,;]|$)", re.ASCII)  # the first of several values
# The three formats of RFC 9110, section 5.6.7. Another one counts as a date in the past.
_HTTP_DATE = re.compile(
    r"[a-z]{3}, \d\d [a-z]{3} \d{4} \d\d:\d\d:\d\d GMT"
    r"|[a-z]{6,9}, \d\d-[a-z]{3}-\d\d \d\d:\d\d:\d\d GMT"
    r"|[a-z]{3} [a-z]{3} [ \d]\d \d\d:\d\d:\d\d \d{4}",
    re.ASCII | re.IGNORECASE,
)


class RequestFields(Protocol):
    """The header fields of a request."""

    def getlist(self, name: str) -> list[str]: ...


def request_directives(headers: RequestFields) -> dict[str, str | None]:
    """The directives of a request; `Pragma: no-cache` counts if there is no Cache-Control."""
    values = headers.getlist("cache-control")
    if not values and any("no-cache" in value.lower() for value in headers.getlist("pragma")):
        return {"no-cache": None}
    return parse_cache_control(values)


# -- storing (section 3)


def may_store(
    status: int, headers: Headers, asked: Directives, *, has_credentials: bool, shared: bool
) -> bool:
    """Whether the response to a GET may be stored."""
    given = parse_cache_control(headers.getlist("cache-control"))
    if "must-understand" in given:
        if status not in UNDERSTOOD_STATUSES:
            return False
    elif "no-store" in given:
        return False
    if status < 200 or status in (206, 304) or "no-store" in asked or vary_names(headers) is None:
        return False
    if shared and "private" in given and given["private"] is None:
        return False
    if shared and has_credentials and not given.keys() & {"must-revalidate", "public", "s-maxage"}:
        return False
    return (
        not given.keys().isdisjoint({"public", "max-age"})
        or (shared and "s-maxage" in given)
        or (not shared and "private" in given)
        or "expires" in headers
        or status in HEURISTIC_STATUSES
    )


def stored_fields(headers: Headers, *, shared: bool) -> tuple[tuple[bytes, bytes], ...]:
    """The fields of a response that may be stored."""
    left_out = set(_NOT_STORED)
    for value in headers.getlist("connection"):
        left_out.update(name.strip().lower() for name in value.split(","))
    given = parse_cache_control(headers.getlist("cache-control"))
    for name in ("no-cache", "private") if shared else ("no-cache",):
        left_out.update(one.strip().lower() for one in (given.get(name) or "").split(","))
    raw = headers.raw
    return tuple(pair for pair in raw if pair[0].decode("latin-1").lower() not in left_out)


def vary_names(headers: Headers) -> tuple[str, ...] | None:
    """The names in `Vary`; None if there is a `*`, which no request matches."""
    names = {
        name.strip().lower() for value in headers.getlist("vary") for name in value.split(",")
    } - {""}
    return None if "*" in names else tuple(sorted(names))


# -- using (section 4)


def age(entry: Entry, now: float) -> float:
    """The age of a stored response in seconds (section 4.2.3)."""
    headers = entry.headers
    date = _date(headers, "date")
    apparent = 0.0 if date is None else max(0.0, entry.received_at - date)
    given = headers.getlist("age")
    digits = _AGE.match(given[0]) if given else None
    value = parse_seconds(digits[1]) if digits is not None else None
    corrected = (value or 0) + max(0.0, entry.received_at - entry.requested_at)
    return max(apparent, corrected) + max(0.0, now - entry.received_at)


def lifetime(entry: Entry, *, shared: bool) -> float:
    """How long a response is fresh, in seconds (section 4.2.1)."""
    given, headers = entry.directives, entry.headers
    if shared and "s-maxage" in given:
        return seconds(given, "s-maxage") or 0
    if "max-age" in given:
        return seconds(given, "max-age") or 0
    date = _date(headers, "date")
    date = entry.received_at if date is None else date
    expires = headers.getlist("expires")
    if expires:
        is_date = len(set(expires)) == 1 and _HTTP_DATE.fullmatch(expires[0])
        until = _date(headers, "expires") if is_date else None
        return 0.0 if until is None else max(0.0, until - date)
    if entry.status not in HEURISTIC_STATUSES and "public" not in given:
        return 0.0
    modified = _date(headers, "last-modified")
    if modified is None or modified > date:
        return 0.0
    return min((date - modified) * HEURISTIC_FRACTION, MAX_HEURISTIC)


def is_fresh_enough(entry: Entry, asked: Directives, now: float, *, shared: bool) -> bool:
    """Whether a response may be used without asking the server (sections 4.2 and 5.2.1)."""
    given = entry.directives
    if "no-cache" in asked or ("no-cache" in given and given["no-cache"] is None):
        return False
    current = age(entry, now)
    left = lifetime(entry, shared=shared) - current
    if "max-age" in asked and current > (seconds(asked, "max-age") or 0):
        return False
    if "min-fresh" in asked and left < (seconds(asked, "min-fresh") or 0):
        return False
    if left > 0:
        return True
    if "max-stale" not in asked or _must_revalidate(given, shared=shared):
        return False
    limit = MAX_SECONDS if asked["max-stale"] is None else seconds(asked, "max-stale") or 0
    return -left <= limit


def may_serve_after_error(
    entry: Entry, asked: Directives, now: float, *, shared: bool, default: float
) -> bool:
    """Whether a stale response may be used because the server failed (RFC 5861, section 4).

    `default` are the seconds that the user of the cache allows.
    """
    given = entry.directives
    if _must_revalidate(given, shared=shared) or "no-cache" in given or "no-cache" in asked:
        return False
    limits = [default, seconds(given, "stale-if-error") or 0, seconds(asked, "stale-if-error") or 0]
    return age(entry, now) - lifetime(entry, shared=shared) <= max(limits) and max(limits) > 0


def _must_revalidate(given: Directives, *, shared: bool) -> bool:
    return "must-revalidate" in given or (
        shared and not given.keys().isdisjoint({"proxy-revalidate", "s-maxage"})
    )


# -- validation (section 4.3)


def validators(entry: Entry) -> dict[str, str]:
    """The fields that ask the server whether a response is still current."""
    found = {}
    etag, modified = entry.headers.getlist("etag"), entry.headers.getlist("last-modified")
    if len(etag) == 1:
        found["If-None-Match"] = etag[0]
    if len(modified) == 1:
        found["If-Modified-Since"] = modified[0]
    return found


def freshen(
    entry: Entry, headers: Headers, requested_at: float, now: float, *, shared: bool = False
) -> Entry | None:
    """The entry with the fields of a 304 (sections 3.2 and 4.3.4).

    None if the 304 is about another representation.
    """
    etag = headers.getlist("etag")
    if etag and entry.headers.getlist("etag") != etag:
        return None
    new = [
        pair
        for pair in stored_fields(headers, shared=shared)
        if pair[0].decode("latin-1").lower() not in _OF_THE_BODY
    ]
    names = {name.lower() for name, _ in new} | _OF_ONE_RESPONSE
    kept = [pair for pair in entry.fields if pair[0].lower() not in names]
    return replace(entry, fields=(*kept, *new), requested_at=requested_at, received_at=now)


def is_not_modified(entry: Entry, headers: RequestFields) -> bool:
    """Whether the conditions of the caller lead to a 304 (section 4.3.2)."""
    wanted = headers.getlist("if-none-match")
    if wanted:
        etag = (entry.headers.getlist("etag") or [""])[0].removeprefix("W/")
        listed = [one.strip().removeprefix("W/") for value in wanted for one in value.split(",")]
        return "*" in listed or (bool(etag) and etag in listed)
    since = [parse_http_date(value) for value in headers.getlist("if-modified-since")]
    modified = _date(entry.headers, "last-modified")
    if modified is None:
        modified = _date(entry.headers, "date")
    return (
        len(since) == 1 and since[0] is not None and modified is not None and modified <= since[0]
    )


def same_representation(stored: Headers, received: Headers) -> bool:
    """Whether a response to HEAD describes the stored one (section 4.3.5)."""
    return all(
        not received.getlist(name) or received.getlist(name) == stored.getlist(name)
        for name in ("etag", "last-modified", "content-length")
    )


def _date(headers: Headers, name: str) -> float | None:
    values = headers.getlist(name)
    return parse_http_date(values[0]) if values else None
