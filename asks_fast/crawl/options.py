"""The options of a bulk fetch: plain data that can be pickled, sent as JSON and compared.

`FetchOptions` says how to fetch and what to keep. It knows neither input nor output, so the same
options serve the command line, its worker processes and the partitions of `asks_fast.scaleout`.

Invariants: invalid values raise when the options are made; the message names the field.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .host_limits import Politeness
from .rate_limit import RateLimit

__all__ = ["FetchOptions", "matches_status", "matches_type"]

MIB = 1024 * 1024


@dataclass(frozen=True)
class FetchOptions:
    """How to fetch many URLs; times in seconds, sizes in bytes.

    Attributes:
        connections: limit of concurrent requests.
        host_connections: the same per host.
        rate: requests per second of the whole run.
        host_rate: requests per second per host.
        burst: how many requests either rate lets start at once.
        adaptive: find by itself how much each host can take, within these limits.
        min_delay: least time between the starts of two requests to a host.
        retries: retries after connection errors, 429, 502, 503 and 504.
        max_failures: consecutive failures after which requests to a host are paused; 0: never.
        timeout, connection_timeout, read_timeout: as for a request.
        headers, cookies, user_agent, proxy: used for each request.
        robots: obey robots.txt.
        max_body: a larger body is an error.
        max_redirects: 0 returns the redirect response itself.
        verify: False turns certificate checks off.
        only_status, only_type: keep only such responses: "200", "2xx", "400-499"; "text/html",
            "image/*".

    Raises:
        ValueError: a value is out of range.

    Example:
        FetchOptions(connections=50, host_rate=2, only_type=("text/html",))
    """

    connections: int = 100
    host_connections: int | None = 8
    rate: float | None = None
    host_rate: float | None = None
    burst: int = 1
    min_delay: float = 0.0
    adaptive: bool = True
    retries: int = 2
    max_failures: int = 10
    timeout: float | None = 60.0
    connection_timeout: float = 20.0
    read_timeout: float | None = 30.0
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    user_agent: str | None = None
    proxy: str | None = None
    robots: bool = True
    max_body: int | None = 50 * MIB
    max_redirects: int = 20
    verify: bool = True
    only_status: tuple[str, ...] = ()
    only_type: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        if self.connections < 1:
            raise ValueError(f"connections must be at least 1, found {self.connections}")
        for name in ("retries", "max_redirects"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, found {getattr(self, name)}")
        for name in ("timeout", "connection_timeout", "read_timeout", "max_body"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0 or None, found {value!r}")
        object.__setattr__(self, "only_status", tuple(self.only_status))
        object.__setattr__(self, "only_type", tuple(self.only_type))
        for pattern in self.only_status:
            matches_status(200, (pattern,))
        self.politeness()

    @property
    def agent(self) -> str:
        """The value of the User-Agent field."""
        return self.user_agent or default_user_agent()

    def politeness(self, rate_limit: RateLimit | None = None) -> Politeness:
        """Return the limits among these options.

        Args:
            rate_limit: a rate limit shared by several processes, which replaces `rate`.
        """
        return Politeness(
            rate=self.rate,
            burst=self.burst,
            host_rate=self.host_rate,
            host_burst=self.burst,
            rate_limit=rate_limit,
            host_concurrency=self.host_connections,
            min_delay=self.min_delay,
            adaptive=self.adaptive,
            max_failures=self.max_failures,
            robots=self.robots,
            user_agent=self.agent,
        )

    def split(self, workers: int) -> FetchOptions:
        """Return the options for one of `workers` processes, which share the hosts.

        `rate` stays as it is: the processes share one `RateLimit`.
        """
        return dataclasses.replace(self, connections=max(1, self.connections // workers))

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` accepts."""
        made = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {
            **made,
            "headers": dict(self.headers),
            "cookies": dict(self.cookies),
            "only_status": list(self.only_status),
            "only_type": list(self.only_type),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FetchOptions:
        """Return the options from plain data; TypeError for an unknown name."""
        return cls(**data)


def default_user_agent() -> str:
    """Return `asks-fast/VERSION`."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"asks-fast/{version('asks-fast')}"
    except PackageNotFoundError:
        return "asks-fast"


def matches_status(status: int, patterns: tuple[str, ...]) -> bool:
    """Return whether a status matches '200', '2xx', '400-499' …; without patterns, all match."""
    if not patterns:
        return True
    for pattern in patterns:
        low, dash, high = pattern.lower().replace("x", "0").partition("-")
        last = high.replace("x", "9") if dash else pattern.lower().replace("x", "9")
        if not (low.isdigit() and last.isdigit() and len(low) == len(last) == 3):
            raise ValueError(f"a status filter is like 200, 2xx or 400-499, found {pattern!r}")
        if int(low) <= status <= int(last):
            return True
    return False


def matches_type(content_type: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a media type matches 'text/html', 'image/*' …; without patterns, all match."""
    if not patterns:
        return True
    kind = content_type.partition(";")[0].strip().lower()
    return any(
        kind == p.lower() or (p.endswith("/*") and kind.startswith(p[:-1].lower()))
        for p in patterns
    )
