"""The robots.txt files (RFC 9309) of many origins, cached for a day.

Facts:  404 and other 4xx allow everything, as does a redirect loop (§2.3.1.2). 5xx and no response
        forbid everything, for ten minutes (§2.3.1.4).
Invariants: tasks that need the same origin share one fetch. The decision is made for the target as
        it will be sent, dot segments resolved, and is cached for each URL.

Implemented elsewhere: rules (`robots_rules`), the session that fetches (`robots_fetch`), the time
of asking and the effect of a crawl-delay (`scheduled_worker_pool`, `scheduler`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from copy import copy
from time import monotonic

from curio import Event

from ..errors import (
    AsksException,
    ConnectivityError,
    InvalidRequest,
    RobotsDisallowed,
    TooManyRedirects,
    truncated_repr,
)
from ..urls import parse_url
from .robots_rules import RobotsRules, load_protego, sitemaps_of

__all__ = ["RobotsCache"]

CACHE_TTL = 24 * 3600.0  # seconds (RFC 9309 §2.4)
FAILURE_TTL = 600.0  # seconds until robots.txt of an unreachable origin is fetched again
MAX_ORIGINS = 10_000
MAX_DECISIONS = 10_000  # URLs whose decision is cached


class _OriginRules:
    """What is known of one origin: its rules, or that everything is allowed or forbidden."""

    __slots__ = ("allows_all", "expires_at", "reason", "rules")

    def __init__(
        self,
        rules: RobotsRules | None,
        allows_all: bool,
        expires_at: float,
        reason: Exception | str | None = None,
    ) -> None:
        self.rules = rules
        self.allows_all = allows_all  # the decision where there are no rules
        self.expires_at = expires_at
        self.reason = reason  # why robots.txt is not known; None if it is


class RobotsCache:
    """The robots.txt of many origins.

    Args:
        fetch: `await fetch(url)` returns `(status, body)`; an error counts as no response.
        user_agent: the name that is looked up in robots.txt.
        clock: monotonic seconds.
        on_sitemaps: called with an origin and the sitemaps that its robots.txt names.
    """

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[tuple[int, bytes]]],
        user_agent: str,
        clock: Callable[[], float] = monotonic,
        on_sitemaps: Callable[[str, list[str]], None] | None = None,
    ) -> None:
        self._fetch = fetch
        self._user_agent = user_agent
        self._clock = clock
        self._on_sitemaps = on_sitemaps
        self._origins: OrderedDict[str, _OriginRules] = OrderedDict()
        self._decisions: dict[str, tuple[_OriginRules, bool]] = {}
        self._in_flight: dict[str, Event] = {}
        self._parse = load_protego()

    def is_allowed(self, url: str) -> bool | None:
        """Return whether a URL may be fetched; None if robots.txt of its origin is not known."""
        origin, target = _split(url)
        if not origin:
            return True  # not a URL: fails when it is requested
        rules = self._origins.get(origin)
        if rules is None or self._clock() >= rules.expires_at:
            return None
        if rules.rules is None:
            return rules.allows_all
        decision = self._decisions.get(url)
        if decision is not None and decision[0] is rules:
            return decision[1]
        allowed = rules.rules.allows(target)
        if len(self._decisions) >= MAX_DECISIONS:
            self._decisions.clear()
        self._decisions[url] = (rules, allowed)
        return allowed

    def refusal_error(self, url: str, user_agent: str) -> Exception:
        """Return the error for a URL that may not be fetched."""
        origin = _split(url)[0]
        rules = self._origins.get(origin)
        reason = rules.reason if rules is not None else None
        if isinstance(reason, ConnectivityError):
            # The host cannot be reached, neither for the page nor for robots.txt. Each URL gets an
            # error of its own, because raising one adds to its traceback.
            error = copy(reason)
            error.__cause__ = reason.__cause__
            return error
        if reason is not None:
            return RobotsDisallowed(
                f"robots.txt of {origin} could not be read ({reason}), "
                f"so no URL there may be fetched for now: {truncated_repr(url, 500)}"
            )
        return RobotsDisallowed(f"robots.txt forbids {truncated_repr(url, 500)} to {user_agent!r}")

    def crawl_delay(self, url: str) -> float | None:
        """Return the seconds between requests that an origin asks for, if any."""
        rules = self._origins.get(_split(url)[0])
        return None if rules is None or rules.rules is None else rules.rules.crawl_delay()

    async def load(self, url: str) -> None:
        """Fetch robots.txt of the URL's origin unless it is known.

        After a cancellation nothing is stored, and the next caller fetches.
        """
        origin = _split(url)[0]
        while self.is_allowed(url) is None:
            in_flight = self._in_flight.get(origin)
            if in_flight is None:
                await self._load(origin)
            else:
                await in_flight.wait()

    async def _load(self, origin: str) -> None:
        arrived = self._in_flight[origin] = Event()
        try:
            self._origins[origin] = await self._send(origin)
            self._origins.move_to_end(origin)
            if len(self._origins) > MAX_ORIGINS:
                self._origins.popitem(last=False)
        finally:
            del self._in_flight[origin]
            await arrived.set()

    async def _send(self, origin: str) -> _OriginRules:
        now = self._clock()
        try:
            status, body = await self._fetch(origin + "/robots.txt")
        except (InvalidRequest, TooManyRedirects):
            return _OriginRules(
                None, True, now + CACHE_TTL
            )  # the request for the page raises the error
        except (AsksException, OSError) as e:
            return _OriginRules(None, False, now + FAILURE_TTL, e)
        if status >= 500 or status == 429:
            return _OriginRules(None, False, now + FAILURE_TTL, f"status {status}")
        if not 200 <= status < 300:
            return _OriginRules(None, True, now + CACHE_TTL)
        if self._on_sitemaps is not None and (sitemaps := sitemaps_of(body)):
            self._on_sitemaps(origin, sitemaps)
        return _OriginRules(RobotsRules(body, self._user_agent, self._parse), True, now + CACHE_TTL)


def _split(url: str) -> tuple[str, str]:
    """Return origin and request target as they will be sent; empty strings if it is not a URL."""
    try:
        parsed = parse_url(url)
    except (InvalidRequest, UnicodeError):
        return "", ""
    return parsed.origin, parsed.target
