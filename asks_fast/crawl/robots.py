"""What a site asks of robots (RFC 9309): one robots.txt per origin, kept for a day.

Rules:  404 and other 4xx allow all, as does a redirect that never ends (§2.3.1.2); 5xx and no
        answer forbid all, for ten minutes (§2.3.1.4). Tasks that ask for the same origin share one
        fetch. What is judged is the target that will be sent, with dot segments resolved; the
        decision about a URL is kept, so that asking again costs a look-up.
Not here: rules (`robots_rules`), the session that fetches (`robots_fetch`), when to ask and what a
        crawl-delay does to the schedule (`schedule`, `polite_run`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
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
from .robots_rules import RobotsRules, load_protego

__all__ = ["RobotsCache"]

CACHE_TTL = 24 * 3600.0  # seconds that an answer is kept (RFC 9309 §2.4)
FAILURE_TTL = 600.0  # seconds until an origin without an answer is asked again
MAX_ORIGINS = 10_000
MAX_DECISIONS = 10_000  # URLs whose decision is kept


class _OriginRules:
    """What is known of one origin: its rules, or that all or nothing is allowed."""

    __slots__ = ("allows_all", "expires_at", "reason", "rules")

    def __init__(
        self,
        rules: RobotsRules | None,
        allows_all: bool,
        expires_at: float,
        why: Exception | str | None = None,
    ) -> None:
        self.rules = rules
        self.allows_all = allows_all  # the verdict when there are no rules
        self.expires_at = expires_at
        self.reason = why  # there is no answer


class RobotsCache:
    """robots.txt of many origins.

    `fetch`: `await fetch(url)` → `(status, body)`; whatever it raises counts as no answer.
    `user_agent`: the name looked for in robots.txt. `clock`: seconds, monotonic.
    """

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[tuple[int, bytes]]],
        user_agent: str,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._fetch = fetch
        self._user_agent = user_agent
        self._clock = clock
        self._origins: OrderedDict[str, _OriginRules] = OrderedDict()
        self._decisions: dict[str, tuple[_OriginRules, bool]] = {}
        self._in_flight: dict[str, Event] = {}
        self._parse = load_protego()

    def is_allowed(self, url: str) -> bool | None:
        """May it be fetched? None when that origin's robots.txt is not known (any more)."""
        origin, target = _split(url)
        if not origin:
            return True  # what is no URL fails when it is requested
        answer = self._origins.get(origin)
        if answer is None or self._clock() >= answer.expires_at:
            return None
        if answer.rules is None:
            return answer.allows_all
        decision = self._decisions.get(url)
        if decision is not None and decision[0] is answer:
            return decision[1]
        allowed = answer.rules.allows(target)
        if len(self._decisions) >= MAX_DECISIONS:
            self._decisions.clear()
        self._decisions[url] = (answer, allowed)
        return allowed

    def refusal_error(self, url: str, user_agent: str) -> Exception:
        """The error for a URL that is not allowed: the site's word, or that it gave none."""
        origin = _split(url)[0]
        answer = self._origins.get(origin)
        why = answer.reason if answer is not None else None
        if isinstance(why, ConnectivityError):
            return why  # the host is out of reach, for the page as for robots.txt
        if why is not None:
            return RobotsDisallowed(
                f"robots.txt of {origin} could not be read ({why}), "
                f"so nothing there may be fetched for now: {truncated_repr(url, 500)}"
            )
        return RobotsDisallowed(f"robots.txt forbids {truncated_repr(url, 500)} to {user_agent!r}")

    def crawl_delay(self, url: str) -> float | None:
        """Seconds between requests that a known origin asks for: crawl-delay or request-rate."""
        answer = self._origins.get(_split(url)[0])
        return None if answer is None or answer.rules is None else answer.rules.crawl_delay()

    async def load(self, url: str) -> None:
        """Fetch robots.txt of the URL's origin unless it is known.

        Cancelled, nothing is learned, and the next to ask fetches.
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
            )  # a page's own request says what is wrong
        except (AsksException, OSError) as e:
            return _OriginRules(None, False, now + FAILURE_TTL, e)
        if status >= 500 or status == 429:
            return _OriginRules(None, False, now + FAILURE_TTL, f"status {status}")
        if not 200 <= status < 300:
            return _OriginRules(None, True, now + CACHE_TTL)
        return _OriginRules(RobotsRules(body, self._user_agent, self._parse), True, now + CACHE_TTL)


def _split(url: str) -> tuple[str, str]:
    """Origin and request target of a URL, as they will be sent; empty texts if it is none."""
    try:
        parsed = parse_url(url)
    except (InvalidRequest, UnicodeError):
        return "", ""
    return parsed.origin, parsed.target
