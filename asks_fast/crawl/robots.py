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

KEPT = 24 * 3600.0  # seconds that an answer is kept (RFC 9309 §2.4)
KEPT_FAILURE = 600.0  # seconds until an origin without an answer is asked again
MOST_ORIGINS = 10_000
MAX_DECISIONS = 10_000  # URLs whose decision is kept


class _Answer:
    """What is known of one origin: its rules, or that all or nothing is allowed."""

    __slots__ = ("everything", "kept_until", "rules", "why")

    def __init__(
        self,
        rules: RobotsRules | None,
        everything: bool,
        kept_until: float,
        why: Exception | str | None = None,
    ) -> None:
        self.rules = rules
        self.everything = everything  # the verdict when there are no rules
        self.kept_until = kept_until
        self.why = why  # there is no answer


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
        self._known: OrderedDict[str, _Answer] = OrderedDict()
        self._decisions: dict[str, tuple[_Answer, bool]] = {}
        self._coming: dict[str, Event] = {}
        self._parse = load_protego()

    def verdict(self, url: str) -> bool | None:
        """May it be fetched? None when that origin's robots.txt is not known (any more)."""
        origin, target = _split(url)
        if not origin:
            return True  # what is no URL fails when it is requested
        answer = self._known.get(origin)
        if answer is None or self._clock() >= answer.kept_until:
            return None
        if answer.rules is None:
            return answer.everything
        decision = self._decisions.get(url)
        if decision is not None and decision[0] is answer:
            return decision[1]
        allowed = answer.rules.allows(target)
        if len(self._decisions) >= MAX_DECISIONS:
            self._decisions.clear()
        self._decisions[url] = (answer, allowed)
        return allowed

    def why_not(self, url: str, user_agent: str) -> Exception:
        """The error for a URL that is not allowed: the site's word, or that it gave none."""
        origin = _split(url)[0]
        answer = self._known.get(origin)
        why = answer.why if answer is not None else None
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
        answer = self._known.get(_split(url)[0])
        return None if answer is None or answer.rules is None else answer.rules.crawl_delay()

    async def learn(self, url: str) -> None:
        """Fetch robots.txt of the URL's origin unless it is known.

        Cancelled, nothing is learned, and the next to ask fetches.
        """
        origin = _split(url)[0]
        while self.verdict(url) is None:
            coming = self._coming.get(origin)
            if coming is None:
                await self._learn(origin)
            else:
                await coming.wait()

    async def _learn(self, origin: str) -> None:
        arrived = self._coming[origin] = Event()
        try:
            self._known[origin] = await self._send(origin)
            self._known.move_to_end(origin)
            if len(self._known) > MOST_ORIGINS:
                self._known.popitem(last=False)
        finally:
            del self._coming[origin]
            await arrived.set()

    async def _send(self, origin: str) -> _Answer:
        now = self._clock()
        try:
            status, body = await self._fetch(origin + "/robots.txt")
        except (InvalidRequest, TooManyRedirects):
            return _Answer(None, True, now + KEPT)  # a page's own request says what is wrong
        except (AsksException, OSError) as e:
            return _Answer(None, False, now + KEPT_FAILURE, e)
        if status >= 500 or status == 429:
            return _Answer(None, False, now + KEPT_FAILURE, f"status {status}")
        if not 200 <= status < 300:
            return _Answer(None, True, now + KEPT)
        return _Answer(RobotsRules(body, self._user_agent, self._parse), True, now + KEPT)


def _split(url: str) -> tuple[str, str]:
    """Origin and request target of a URL, as they will be sent; empty texts if it is none."""
    try:
        parsed = parse_url(url)
    except (InvalidRequest, UnicodeError):
        return "", ""
    return parsed.origin, parsed.target
