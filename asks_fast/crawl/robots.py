"""What a site asks of robots (RFC 9309).

`/robots.txt` of each origin is fetched once, read by protego, and kept for a day.

Rules:  404 and other 4xx allow all; 5xx and no answer forbid all, for ten minutes (§2.3.1.4).
        At most 500 KiB are read (§2.5). Tasks that ask for the same origin share one fetch.
Not here: when to ask, and what a crawl-delay does to the schedule (`schedule`, `polite_run`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from curio import Event

from ..errors import AsksException, ConnectivityError, InvalidRequest, RobotsDisallowed

__all__ = ["RobotsCache", "load_protego", "origin_of"]

KEPT = 24 * 3600.0  # seconds that an answer is kept (RFC 9309 §2.4)
KEPT_FAILURE = 600.0  # seconds until an origin without an answer is asked again
MOST_BYTES = 500 * 1024
MOST_ORIGINS = 10_000


def origin_of(url: str) -> str:
    """`http://host:port` of a URL, as it was written, without userinfo; empty if there is none."""
    scheme, found, rest = url.partition("://")
    if not found:
        return ""
    for end in "/?#\\":
        rest = rest.partition(end)[0]
    return f"{scheme.lower()}://{rest.rpartition('@')[2].lower()}"


class _Rules:
    """The answer of one origin: protego's, or all allowed, or nothing."""

    __slots__ = ("everything", "kept_until", "parsed", "why")

    def __init__(
        self, parsed: Any, everything: bool, kept_until: float, why: Exception | str | None = None
    ) -> None:
        self.parsed = parsed
        self.everything = everything  # the verdict when there is nothing parsed
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
        self._known: OrderedDict[str, _Rules] = OrderedDict()
        self._coming: dict[str, Event] = {}
        self._parse = load_protego()

    def verdict(self, url: str) -> bool | None:
        """May it be fetched? None when that origin's robots.txt is not known (any more)."""
        origin = origin_of(url)
        rules = self._known.get(origin)
        if rules is None:
            return True if not origin else None  # what is no URL fails when it is requested
        if self._clock() >= rules.kept_until:
            return None
        if rules.parsed is None:
            return rules.everything
        return bool(rules.parsed.can_fetch(url, self._user_agent))

    def why_not(self, url: str, user_agent: str) -> Exception:
        """The error for a URL that is not allowed: the site's word, or that it gave none."""
        rules = self._known.get(origin_of(url))
        why = rules.why if rules is not None else None
        if isinstance(why, ConnectivityError):
            return why  # the host is out of reach, for the page as for robots.txt
        if why is not None:
            return RobotsDisallowed(
                f"robots.txt of {origin_of(url)} could not be read ({why}), "
                f"so nothing there may be fetched for now: {url}"
            )
        return RobotsDisallowed(f"robots.txt forbids {url} to {user_agent!r}")

    def crawl_delay(self, url: str) -> float | None:
        """Seconds between requests that a known origin asks for: crawl-delay or request-rate."""
        rules = self._known.get(origin_of(url))
        if rules is None or rules.parsed is None:
            return None
        delay = rules.parsed.crawl_delay(self._user_agent)
        rate = rules.parsed.request_rate(self._user_agent)
        if rate is not None and rate.requests > 0:
            delay = max(delay or 0.0, rate.seconds / rate.requests)
        return None if delay is None else float(delay)

    async def learn(self, url: str) -> None:
        """Fetch robots.txt of the URL's origin unless it is known.

        Cancelled, nothing is learned, and the next to ask fetches.
        """
        origin = origin_of(url)
        while self.verdict(url) is None:
            coming = self._coming.get(origin)
            if coming is None:
                await self._learn(origin)
            else:
                await coming.wait()

    async def _learn(self, origin: str) -> None:
        arrived = self._coming[origin] = Event()
        try:
            rules = await self._ask(origin)
            self._known[origin] = rules
            if len(self._known) > MOST_ORIGINS:
                self._known.popitem(last=False)
        finally:
            del self._coming[origin]
            await arrived.set()

    async def _ask(self, origin: str) -> _Rules:
        now = self._clock()
        try:
            status, body = await self._fetch(origin + "/robots.txt")
        except InvalidRequest:
            return _Rules(None, True, now + KEPT)  # the page's own request will say what is wrong
        except (AsksException, OSError) as e:
            return _Rules(None, False, now + KEPT_FAILURE, e)
        if status >= 500 or status == 429:
            return _Rules(None, False, now + KEPT_FAILURE, f"status {status}")
        if not 200 <= status < 300:
            return _Rules(None, True, now + KEPT)
        text = body[:MOST_BYTES].decode("utf-8", "replace")
        return _Rules(self._parse(text), True, now + KEPT)


def load_protego() -> Callable[[str], Any]:
    """protego's parser; ImportError naming the extra where it is not installed."""
    try:
        from protego import Protego
    except ImportError as e:
        raise ImportError(
            'robots.txt needs protego: pip install "asks-fast[cli]", or turn robots off'
        ) from e
    parse: Callable[[str], Any] = Protego.parse
    return parse
