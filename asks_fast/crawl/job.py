"""The requests of a bulk run and their results.

A bulk request is a URL (a path, for a session with a host), a dict of request arguments, or a
pair `(key, one of these)`. `make_job` turns it into a `Job`; the outcome is a `Result`.

Invariants: an invalid item becomes a failed result and never ends the run. The key is the user's
        own object and is returned unchanged.

Implemented elsewhere: running jobs (`worker_pool`) and their order (`scheduler`).
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from .._client.bulk import BulkRequest, RequestArguments, Result
from ..errors import InvalidRequest, truncated_repr
from ..urls import DEFAULT_PORTS, is_relative

if TYPE_CHECKING:
    from .._client.redirect_pause import RedirectPaused

__all__ = [
    "INVALID_LINE",
    "BulkRequest",
    "Job",
    "RequestArguments",
    "Result",
    "SessionLike",
    "base_url_of",
    "host_of",
    "make_job",
    "shard_of",
]

INVALID_LINE = "invalid line"
"""Key in a dict of request arguments: the reason why an input line is not a request."""


class SessionLike(Protocol):
    """What bulk fetching needs of a session."""

    @property
    def request(self) -> Callable[..., Awaitable[Any]]:  # a test's session has other responses
        """Send one request: `await session.request(method, url, **arguments)`."""
        raise NotImplementedError


class Job:
    """One request of the run; mutable, never seen by the user."""

    __slots__ = (
        "attempts",
        "error",
        "host",
        "index",
        "key",
        "kwargs",
        "method",
        "paused",
        "request",
        "started",
        "url",
    )

    def __init__(
        self,
        index: int,
        key: object,
        request: object,
        method: str,
        kwargs: dict[str, Any],  # each argument has its own type
        url: str | None = None,
        error: Exception | None = None,
    ) -> None:
        self.index = index  # position in the input, from 0
        self.key = key
        self.request = request  # as the user gave it, without the key
        self.method = method
        self.kwargs = kwargs
        self.url = url
        self.host = ""  # key for limits per host; set by the scheduled pool
        self.paused: RedirectPaused | None = (
            None  # on its way through redirects, and waits before the next
        )
        self.attempts = 0
        self.started = 0.0  # clock of the first attempt; 0.0 before it
        self.error = error  # set if the item is invalid


def parse_item(
    item: object, allows_paths: bool
) -> tuple[object, object, str, str | None, dict[str, Any], Exception | None]:
    """Return what an item of the input asks for.

    Returns:
        Key; request as given; method; URL, None without one; other arguments; why the item is
        invalid, None if it is valid.
    """
    if type(item) is str:
        if allows_paths and (item[:1] == "/" or is_relative(item)):
            return item, item, "GET", None, {"path": item}, None
        return item, item, "GET", item, {}, None
    key = item
    if isinstance(item, tuple) and len(item) == 2:
        key, item = item
    if isinstance(item, str):
        item = str(item)
        return (key, *parse_item(item, allows_paths)[1:])
    if isinstance(item, Mapping):
        kwargs: dict[str, Any] = dict(item)
        method = kwargs.pop("method", "GET")
        if "key" in kwargs:
            key = kwargs.pop("key")
        url = kwargs.pop("url", None)
        if allows_paths and is_relative(url) and "path" not in kwargs:
            kwargs["path"], url = url, None
        error = InvalidRequest(str(kwargs.pop(INVALID_LINE))) if INVALID_LINE in kwargs else None
        return key, item, method, url, kwargs, error
    if isinstance(item, InvalidRequest):  # found earlier: the request is not sent
        return key, item, "GET", None, {}, item
    error = InvalidRequest(
        "a bulk request must be a URL, a path, a dict of request arguments, or a pair (key, one of "
        f"these); found {type(item).__name__} {truncated_repr(repr(item))}"
    )
    return key, item, "GET", None, {}, error


def make_job(index: int, item: object, allows_paths: bool) -> Job:
    """Return the job for an item of the input; an invalid item gives a job whose `error` is set."""
    key, request, method, url, kwargs, error = parse_item(item, allows_paths)
    return Job(index, key, request, method, kwargs, url, error)


def base_url_of(session: SessionLike) -> str:
    """Return the base URL that paths of this session are joined to, or an empty string."""
    return str(getattr(session, "host", None) or getattr(session, "base_location", None) or "")


def host_of(url: str) -> str:
    """Return the key for limits per host: lower-case host, and the port unless it is the default.

    http and https of one host have the same key, as the same machine answers. Never raises; a text
    that is not a URL is its own host and fails when it is requested.
    """
    end = url.find("/", 8)  # after the host, for http and https
    return _host_of(url if end < 0 else url[:end])


def shard_of(host: str, count: int) -> int:
    """Return which of `count` shards a host belongs to: the same in every process and run."""
    return zlib.crc32(host.encode("utf-8", "surrogatepass")) % count


@lru_cache(4096)
def _host_of(url: str) -> str:
    scheme, found, rest = url.partition("://")
    if not found:
        rest = url
    for end in "/?#\\":
        rest = rest.partition(end)[0]
    host = rest.rpartition("@")[2].lower()
    return host.removesuffix(f":{DEFAULT_PORTS.get(scheme.lower(), '')}")
