"""What a person may ask for in bulk, and what becomes of it.

A request in bulk is a URL (a path, for a session with a host), a dict of request arguments, or a
pair `(key, one of these)`. `make_job` makes a `Job` of it; the answer is a `Result`.

Rules:  an item that makes no sense becomes a failed result, never the end of the run.
        The key is the user's own object and is handed back untouched.
Not here: who runs a job and when (`mapping`, `schedule`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from .._client.bulk import Result
from ..errors import InvalidRequest, truncated_repr
from ..urls import is_relative

if TYPE_CHECKING:
    from .._client.redirect_pause import RedirectPaused

__all__ = ["INVALID_LINE", "Job", "Result", "SessionLike", "base_url_of", "host_of", "make_job"]

INVALID_LINE = "invalid line"
"""In a dict of request arguments: the reason why an input line is not a request."""

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class SessionLike(Protocol):
    """All that bulk fetching asks of a session."""

    @property
    def request(self) -> Callable[..., Awaitable[Any]]:
        """One request, one response: `await session.request(method, url, **arguments)`."""
        raise NotImplementedError


class Job:
    """One request under way; mutable, never seen by the user."""

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
    )

    def __init__(
        self, index: int, key: Any, request: Any, method: str, kwargs: dict[str, Any]
    ) -> None:
        self.index = index  # place in the input, from 0
        self.key = key
        self.request = request  # as the user gave it, without the key
        self.method = method
        self.kwargs = kwargs
        self.host = ""  # politeness key, set when there is politeness
        self.paused: RedirectPaused | None = (
            None  # on its way through redirects, and waits before the next
        )
        self.attempts = 0
        self.started = 0.0  # clock of the first attempt; 0.0 before it
        self.error: Exception | None = None  # set when the item made no sense


def make_job(index: int, item: Any, allows_paths: bool) -> Job:
    """A job from what the user gave; a senseless item gives a job whose `error` is set."""
    if type(item) is str:
        if allows_paths and is_relative(item):
            return Job(index, item, item, "GET", {"path": item})
        return Job(index, item, item, "GET", {"url": item})
    key = item
    if isinstance(item, tuple) and len(item) == 2:
        key, item = item
    if isinstance(item, str):
        job = make_job(index, str(item), allows_paths)
        job.key = key
        return job
    if isinstance(item, Mapping):
        kwargs = dict(item)
        method = kwargs.pop("method", "GET")
        if "key" in kwargs:
            key = kwargs.pop("key")
        if allows_paths and is_relative(kwargs.get("url")) and "path" not in kwargs:
            kwargs["path"] = kwargs.pop("url")
        job = Job(index, key, item, method, kwargs)
        if INVALID_LINE in kwargs:
            job.error = InvalidRequest(str(kwargs.pop(INVALID_LINE)))
        return job
    job = Job(index, key, item, "GET", {})
    if isinstance(item, InvalidRequest):  # found before: the request is not even tried
        job.error = item
        return job
    job.error = InvalidRequest(
        "a request in bulk is a URL, a path, a dict of request arguments, or a pair (key, one of "
        f"these); found {type(item).__name__} {truncated_repr(repr(item))}"
    )
    return job


def base_url_of(session: Any) -> str:
    """The base that paths of this session are joined to, or an empty text."""
    return str(getattr(session, "host", None) or getattr(session, "base_location", None) or "")


def host_of(url: str) -> str:
    """Whom to be polite to: lower-case host, with the port unless it is the scheme's own.

    http and https of one host are the same host here: the same machine answers. Never raises; a
    text that is no URL is its own host, and fails when it is requested.
    """
    end = url.find("/", 8)  # behind the host, for http and https
    return _host_of(url if end < 0 else url[:end])


@lru_cache(4096)
def _host_of(url: str) -> str:
    scheme, found, rest = url.partition("://")
    if not found:
        rest = url
    for end in "/?#\\":
        rest = rest.partition(end)[0]
    host = rest.rpartition("@")[2].lower()
    return host.removesuffix(_DEFAULT_PORTS.get(scheme.lower(), ":"))
