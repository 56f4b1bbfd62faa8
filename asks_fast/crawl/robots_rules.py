"""The rules of one robots.txt for one crawler, with bounded cost.

protego parses the syntax and matches paths. This module selects what protego gets: the groups that
apply to our user agent, and a limited number of their rules.

Facts:  protego merges groups, so n user agents above m rules cost n * m steps. A rule with
        wildcards is compared with every path; plain prefixes are compared all at once.
        40,000 wildcard rules (500 KiB) take 0.4 s for one path.
Invariants: at most `MAX_BYTES` are read, `MAX_RULES` rules are honoured, `MAX_WILDCARD_RULES` of
        them with wildcards. No robots.txt raises an error.

Implemented elsewhere: fetching (`robots_fetch`), caching (`robots`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from .._extras import missing_extra

__all__ = ["MAX_BYTES", "RobotsRules", "load_protego", "sitemaps_of"]

MAX_BYTES = 500 * 1024  # RFC 9309 §2.5: at least 500 KiB
MAX_RULES = 5_000
MAX_WILDCARD_RULES = 500
MAX_RULE_LENGTH = 2_000  # characters
MAX_WILDCARDS = 20  # in one rule
MAX_SITEMAPS = 100

_AGENT = re.compile(r"user[- ]?agent\s*(?::|\s)\s*(.*)", re.IGNORECASE)
_SITEMAP = re.compile(r"^[ \t]*sitemap[ \t]*:[ \t]*([^\s#]{1,2000})", re.IGNORECASE | re.MULTILINE)
_SITE_WIDE = re.compile(r"(?:sitemaps?|site-map|host)(?:\s|:|$)", re.IGNORECASE)
_BARE_RULE = re.compile(
    r"(?:dis?s?al+[oa]w|diasllow|allow|crawl[- ]delay|request[- ]rate|visit[- ]time)(?:\s|$)",
    re.IGNORECASE,
)


class RobotsRules:
    """The rules of a robots.txt for `user_agent`. Paths are request targets: path and query."""

    def __init__(self, data: bytes, user_agent: str, parse: Callable[[str], Any]) -> None:
        """Parse `data`; `parse` is protego's parser, from `load_protego`."""
        self._user_agent = user_agent
        if len(data) > MAX_BYTES:
            data = data[:MAX_BYTES]
            data = data[: data.rfind(b"\n") + 1]  # without the last, incomplete line
        text = data.decode("utf-8", "replace").removeprefix("\ufeff")
        self._parsed = parse("\n".join(_relevant_lines(text, user_agent.lower())))

    def allows(self, target: str) -> bool:
        """Return whether this target may be fetched."""
        # A constant authority: rules apply to the target only (RFC 9309 §2.2.2).
        return bool(self._parsed.can_fetch(f"http://h{target}", self._user_agent))

    def crawl_delay(self) -> float | None:
        """Return seconds between requests, the longer of crawl-delay and request-rate, or None."""
        delay = self._parsed.crawl_delay(self._user_agent)
        rate = self._parsed.request_rate(self._user_agent)
        if rate is not None:
            try:
                delay = max(delay or 0.0, rate.seconds / rate.requests)
            except OverflowError:
                delay = float("inf")
        return None if delay is None else float(delay)


def sitemaps_of(data: bytes) -> list[str]:
    """Return the sitemaps that a robots.txt names, as written there, at most `MAX_SITEMAPS`."""
    text = data[:MAX_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")
    found = _SITEMAP.findall(text)
    return list(dict.fromkeys(found))[:MAX_SITEMAPS]


def _relevant_lines(text: str, user_agent: str) -> Iterator[str]:
    """Yield the lines of the groups that apply to `user_agent` (lower case), within the limits.

    These are the groups of the longest matching name, or else those for `*`.
    """
    lines = [
        line
        for raw in text.splitlines()
        if (line := raw.partition("#")[0].strip()) and not _SITE_WIDE.match(line)
    ]
    names = {name for line in lines if (name := _agent_of(line))}
    ours = max((name for name in names if _applies_to(name, user_agent)), key=len, default="*")
    is_in_head = False  # among the user-agent lines of a group
    is_relevant = False
    rules = wildcard_rules = 0
    for line in lines:
        name = _agent_of(line)
        if name is not None:
            if not is_in_head:
                is_in_head, is_relevant = True, False
            if name == ours and not is_relevant:
                is_relevant = True
                yield f"User-agent: {name}"
        elif ":" in line or _BARE_RULE.match(line):
            is_in_head = False
            if not is_relevant or len(line) > MAX_RULE_LENGTH:
                continue
            wildcards = line.count("*") + line.endswith("$")
            wildcard_rules += wildcards > 0
            rules += 1
            if rules > MAX_RULES:
                return
            if wildcards <= MAX_WILDCARDS and (
                not wildcards or wildcard_rules <= MAX_WILDCARD_RULES
            ):
                yield line


def _agent_of(line: str) -> str | None:
    """Return the lower-case name of a user-agent line, without wildcards; None for other lines."""
    found = _AGENT.match(line)
    if found is None:
        return None
    name = found[1].strip().lower()
    return (name.replace("*", "") or "*") if name else ""


def _applies_to(name: str, user_agent: str) -> bool:
    """Return whether a group applies to us: its name begins a token of the user agent."""
    if name not in user_agent:
        return False
    return re.search(rf"(?<![\w-]){re.escape(name)}", user_agent) is not None


def load_protego() -> Callable[[str], Any]:
    """Return protego's parser; ImportError names the extra if it is not installed."""
    try:
        from protego import Protego
    except ImportError as e:
        raise ImportError(
            missing_extra("robots.txt", "protego", "cli") + "; or turn robots off"
        ) from e
    parse: Callable[[str], Any] = Protego.parse
    return parse
