"""The limits of hosts as text, for displays and logs: the adaptive limits, and why a host is slow.

Implemented elsewhere: the decisions (`host_limits`), the counts (`stats`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from .host_limits import Host

__all__ = ["MAX_SLOW_HOSTS", "adaptive_limits", "slow_hosts"]

MAX_SLOW_HOSTS = 100  # displays show fewer


def slow_hosts(hosts: Iterable[tuple[str, Host]]) -> dict[str, str]:
    """Return the reason for each host that is or was slowed down, at most `MAX_SLOW_HOSTS`."""
    found: dict[str, str] = {}
    for name, host in hosts:
        reason = _reason(host)
        if reason is not None:
            found[name] = reason
            if len(found) >= MAX_SLOW_HOSTS:
                break
    return found


def adaptive_limits(hosts: Iterable[tuple[str, Host]]) -> dict[str, str]:
    """Return the adaptive limit of each host that has one, as text."""
    found: dict[str, str] = {}
    for name, host in hosts:
        adaptive = host.adaptive
        if adaptive is not None:
            pace = "" if adaptive.rate == math.inf else f", {adaptive.rate:.3g}/s"
            found[name] = f"{adaptive.concurrency:,} at once{pace}"
    return found


def _reason(host: Host) -> str | None:
    reasons = []
    if host.circuit_open_until is not None:
        reasons.append(f"circuit open after {host.failures} failures in a row")
    if host.throttled_at > -math.inf:
        limit = ""
        if host.adaptive is not None:
            limit = f", now {adaptive_limits([('', host)])['']}"
        elif host.concurrency_limit < math.inf:
            limit = f", now {host.concurrency_limit:g} at once"
        interval = f", {host.interval:g} s apart" if host.interval else ""
        reasons.append(f"it answered 429 or 503{limit}{interval}")
    if host.min_interval > host.options.min_delay:
        reasons.append(f"robots.txt asks for {host.min_interval:g} s between requests")
    return "; ".join(reasons) or None
