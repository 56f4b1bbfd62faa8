"""One proxy of a pool: its state and its counts.

Implemented elsewhere: what changes them, and the lock that guards them (`proxy_pool`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .proxies import Proxy

__all__ = ["ProxyMember", "ProxyStats"]

State: TypeAlias = Literal["ready", "cooldown", "trial"]


@dataclass(frozen=True, slots=True)
class ProxyStats:
    """The state and the counts of one proxy of a pool.

    Attributes:
        proxy: its URL without credentials, `"direct"` for a direct connection.
        state: `"ready"`, `"cooldown"`, or `"trial"` if its cooldown is over and no request has
            succeeded since.
        in_use: requests that use it now.
        requests: requests that have used it.
        successes: of them, those that got a response.
        failures: of them, those that failed because of the proxy.
        bans: of them, those whose response has a status of `ban_statuses`.
        failures_in_row: failures since the last success.
        cooldowns: how often it was in cooldown.
        cooldown_left: seconds until its cooldown ends, else 0.
        last_failure: the last failure or ban as text, None without one.
    """

    proxy: str
    state: State
    in_use: int
    requests: int
    successes: int
    failures: int
    bans: int
    failures_in_row: int
    cooldowns: int
    cooldown_left: float
    last_failure: str | None


class ProxyMember:
    """A proxy of a pool, with its state. All fields are guarded by the lock of the pool."""

    __slots__ = (
        "bans",
        "cooldown_until",
        "cooldowns",
        "failures",
        "failures_in_row",
        "in_use",
        "is_removed",
        "last_failure",
        "next_cooldown",
        "on_trial",
        "proxy",
        "requests",
        "successes",
    )

    def __init__(self, proxy: Proxy | None, cooldown: float) -> None:
        self.proxy = proxy
        self.in_use = 0
        self.requests = self.successes = self.failures = self.bans = 0
        self.failures_in_row = 0
        self.cooldowns = 0  # also the number of the period in which a lease began
        self.cooldown_until: float | None = None  # by the clock of the pool; None without one
        self.next_cooldown = cooldown  # seconds
        self.on_trial = False  # one request tries it after its cooldown
        self.is_removed = False
        self.last_failure: str | None = None

    def __str__(self) -> str:
        return "direct" if self.proxy is None else self.proxy.url

    def is_cooling_down(self, now: float) -> bool:
        """Return whether the proxy is in cooldown at this time."""
        return self.cooldown_until is not None and self.cooldown_until > now

    def stats(self, now: float) -> ProxyStats:
        """Return the state and the counts at this time."""
        left = 0.0
        state: State = "ready"
        if self.cooldown_until is not None:
            left = max(self.cooldown_until - now, 0.0)
            state = "cooldown" if left else "trial"
        return ProxyStats(
            proxy=str(self),
            state=state,
            in_use=self.in_use,
            requests=self.requests,
            successes=self.successes,
            failures=self.failures,
            bans=self.bans,
            failures_in_row=self.failures_in_row,
            cooldowns=self.cooldowns,
            cooldown_left=left,
            last_failure=self.last_failure,
        )
