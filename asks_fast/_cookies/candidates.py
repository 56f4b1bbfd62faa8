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
from typing import TypeAlias

from .._url.host import is_ip
from .cookie import Cookie, field_value, octets
from .matching import path_matches

__all__ = ["MAX_HEADER", "MAX_SENT", "Candidates"]

MAX_HEADER = 8190  # bytes of the value of one Cookie field
MAX_SENT = 150

_State: TypeAlias = tuple[Cookie, str, str, str, bool, bool, float | None]


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
        # By domain, all cookies and their attributes on which the field depends.
        self._seen: list[tuple[str, list[_State]]] = []
        self.first_expiry = inf
        self._path: str | None = None  # of the request that `_sent` and `_value` were made for
        self._sent: list[Cookie] = []
        self._value: str | bytes | None = None
        found: list[Cookie] = []
        for domain in _domains(host):
            states: list[_State] = []
            self._seen.append((domain, states))
            for cookie in cookies.get(domain, ()):
                host_only, expires_at = cookie.host_only, cookie.expires_at
                # fmt: off
                states.append((cookie, cookie.name, cookie.value, cookie.scope_path, cookie.secure,
                               host_only, expires_at))
                # fmt: on
                if (domain == host or not host_only) and (secure or not cookie.secure):
                    found.append(cookie)
                    if expires_at is not None and expires_at < self.first_expiry:
                        self.first_expiry = expires_at
        if len(found) > 1:
            found.sort(key=lambda cookie: (-len(cookie.scope_path), cookie.creation_index))
        self._cookies = found

    def is_current(self, cookies: dict[str, list[Cookie]]) -> bool:
        """Tell whether the cookies are as they were when this object was made."""
        for domain, states in self._seen:
            bucket = cookies.get(domain, ())
            if len(bucket) != len(states):
                return False
            i = 0
            for cookie in bucket:
                known, name, value, scope_path, secure, host_only, expires_at = states[i]
                i += 1  # noqa: SIM113  # `enumerate` costs more than the comparison
                if (
                    cookie is not known
                    or cookie.value is not value
                    or cookie.name is not name
                    or cookie.scope_path is not scope_path
                    or cookie.secure is not secure
                    or cookie.host_only is not host_only
                    or cookie.expires_at is not expires_at
                ):
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
            for cookie in self._cookies:
                if not path_matches(path, cookie.scope_path):
                    continue
                part = f"{cookie.name}={cookie.value}" if cookie.name else cookie.value
                remaining -= (len(part) if part.isascii() else octets(part)) + 2
                if remaining < -2 or len(parts) >= MAX_SENT:  # no "; " follows the last one
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
