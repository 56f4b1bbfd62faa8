"""The cookies for one host, in the order of sending, and the Cookie field made of them.

Facts:  most requests to a host send the same cookies. Finding and joining them costs more than an
        exchange.
Invariants:
        The result is that of finding them anew. A program may change cookies, lists of cookies and
        the dict of lists at any time, so everything that was read is compared before it is reused.

Implemented elsewhere: storing cookies (`jar`), matching of domains and paths (`matching`).
"""

from __future__ import annotations

from functools import lru_cache
from math import inf

from .._url.host import is_ip
from .cookie import Cookie, field_value, octets
from .matching import path_matches

__all__ = ["MAX_HEADER", "MAX_SENT", "Candidates"]

MAX_HEADER = 8190  # bytes of the value of one Cookie field
MAX_SENT = 150


class Candidates:
    """The cookies that requests to one host send, depending on the path.

    Args:
        cookies: lists of cookies by domain.
        host: the host, without a final dot.
        secure: whether the requests use https.

    Attributes:
        first_expiry: when the first of the cookies expires, in seconds since 1970.
    """

    __slots__ = ("_cookies", "_path", "_seen", "_sent", "_value", "first_expiry")

    def __init__(self, cookies: dict[str, list[Cookie]], host: str, secure: bool) -> None:
        self._seen: list[tuple[str, list[tuple[object, ...]] | None]] = []
        self.first_expiry = inf
        self._path: str | None = None  # of the request that `_sent` and `_value` were made for
        self._sent: list[Cookie] = []
        self._value: str | bytes | None = None
        found: list[Cookie] = []
        for domain in _domains(host):
            bucket = cookies.get(domain)
            self._seen.append((domain, None if bucket is None else _state(bucket)))
            for cookie in bucket or ():
                if (domain == host or not cookie.host_only) and (secure or not cookie.secure):
                    found.append(cookie)
                    if cookie.expires_at is not None:
                        self.first_expiry = min(self.first_expiry, cookie.expires_at)
        if len(found) > 1:
            found.sort(key=lambda cookie: (-len(cookie.scope_path), cookie.creation_index))
        self._cookies = found

    def is_current(self, cookies: dict[str, list[Cookie]]) -> bool:
        """Tell whether the cookies are as they were when this object was made."""
        for domain, state in self._seen:
            bucket = cookies.get(domain)
            if (None if bucket is None else _state(bucket)) != state:
                return False
        return True

    def matching(self, path: str) -> list[Cookie]:
        """Return the cookies for a path."""
        return [cookie for cookie in self._cookies if path_matches(path, cookie.scope_path)]

    def value_for(self, path: str, use: int) -> str | bytes | None:
        """Return the value of the Cookie field for a path, and note the use of its cookies."""
        if path != self._path:
            self._path = path
            self._sent = []
            parts: list[str] = []
            remaining = MAX_HEADER
            for cookie in self.matching(path)[:MAX_SENT]:
                part = f"{cookie.name}={cookie.value}" if cookie.name else cookie.value
                remaining -= octets(part) + 2
                if remaining < -2:  # no "; " follows the last one
                    break
                parts.append(part)
                self._sent.append(cookie)
            self._value = field_value("; ".join(parts)) if parts else None
        for cookie in self._sent:
            cookie.last_used = use
        return self._value


@lru_cache(256)
def _domains(host: str) -> tuple[str, ...]:
    """Return the host and the domains above it; an IP address has none."""
    domains = [host]
    if ":" not in host and not (host[-1:].isdigit() and is_ip(host)):
        while host := host.partition(".")[2]:
            domains.append(host)
    return tuple(domains)


def _state(bucket: list[Cookie]) -> list[tuple[object, ...]]:
    """Return the attributes of all cookies of a domain on which the field depends."""
    return [
        (
            cookie,
            cookie.name,
            cookie.value,
            cookie.scope_path,
            cookie.secure,
            cookie.host_only,
            cookie.expires_at,
            cookie.creation_index,
        )
        for cookie in bucket
    ]
