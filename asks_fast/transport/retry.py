"""When a request that failed is tried again, and after how long.

Facts:  waiting times that double, with full jitter, keep a crowd of clients from coming back at
        the same moment. A server may name its own time (RFC 9110 §10.2.3).
Rules:  decides and awaits nothing; clock and dice are passed in. A method that may have effects is
        repeated only if nothing of the request was sent, whatever the policy allows in number.
        A wait that the server asks for is never longer than its cap.
Not here: the one resend on a connection that had gone stale, which needs no policy; sleeping;
        whether a body can be sent twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import (
    ConnectionFailed,
    ConnectivityError,
    ConnectTimeout,
    InvalidRequest,
    PoolTimeout,
    TotalTimeout,
)

__all__ = ["IDEMPOTENT_METHODS", "Attempt", "Retry"]

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Once or several times is the same (RFC 9110 §9.2.2)."""
"""Methods that may be repeated without harm (RFC 9110 §9.2.2)."""

_STATUSES = frozenset({429, 502, 503, 504})
_CAP_EXPONENT = 60  # 2 ** 60 seconds is beyond any limit; a higher power may not fit a float


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one try of a request ended: with a `response` or with an `error`.

    `number` counts from 1. `was_sent` says whether any byte of the request may have reached the
    server. This is what the user's `predicate` gets to see.
    """

    number: int
    method: str
    was_sent: bool
    error: BaseException | None = None
    response: Any = None
    status: int | None = None
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry policy, as a value.

    `attempts` is the number of *further* tries; `methods` and `statuses` say which answers are not
    taken for an answer; `connection_errors` whether failures without an answer are repeated.
    The n-th wait is random between 0 and `backoff * 2**(n-1)` seconds, at most `max_delay`.
    `Retry-After` comes before that, at most `max_retry_after` seconds. `predicate`, a function of
    an `Attempt`, may say True (again), False (not again) or None (as the policy says); it cannot
    exceed `attempts`. Raises `InvalidRequest` for numbers below 0.
    """

    attempts: int = 3
    methods: frozenset[str] = IDEMPOTENT_METHODS
    statuses: frozenset[int] = _STATUSES
    connection_errors: bool = True
    backoff: float = 0.5
    max_delay: float = 30.0
    max_retry_after: float = 120.0
    respect_retry_after: bool = True
    predicate: Callable[[Attempt], bool | None] | None = None
    uniform: Callable[[float, float], float] = field(default=random.uniform, compare=False)
    clock: Callable[[], float] = field(default=time.time, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int):
            raise InvalidRequest(f"retries are a whole number, not {self.attempts!r}")
        for name in ("attempts", "backoff", "max_delay", "max_retry_after"):
            if not getattr(self, name) >= 0:
                raise InvalidRequest(f"{name} of a Retry is 0 or more, not {getattr(self, name)!r}")
        methods: Iterable[str] = self.methods
        object.__setattr__(self, "methods", frozenset(method.upper() for method in methods))
        object.__setattr__(self, "statuses", frozenset(self.statuses))

    @classmethod
    def of(cls, value: Retry | int) -> Retry:
        """The policy itself; a number for short means that many tries after connection errors,
        at once and whatever the status, as in asks."""
        if isinstance(value, Retry):
            return value
        return cls(attempts=value, statuses=frozenset(), backoff=0.0)

    def delay_before_next(self, attempt: Attempt) -> float | None:
        """Seconds to wait before another try, or None: what `attempt` brought is the outcome."""
        if attempt.number > self.attempts or not self._wants(attempt):
            return None
        if self.respect_retry_after and attempt.retry_after is not None:
            from ..http_utils import retry_after

            asked = retry_after(attempt.retry_after, self.clock())
            if asked is not None:
                return min(asked, self.max_retry_after)
        longest = self.backoff * 2.0 ** min(attempt.number - 1, _CAP_EXPONENT)
        return self.uniform(0.0, min(longest, self.max_delay))

    def _wants(self, attempt: Attempt) -> bool:
        if self.predicate is not None:
            verdict = self.predicate(attempt)
            if verdict is not None:
                return verdict
        if attempt.error is not None:
            return self.connection_errors and self._is_worth_repeating(attempt)
        return attempt.status in self.statuses and attempt.method in self.methods

    def _is_worth_repeating(self, attempt: Attempt) -> bool:
        error = attempt.error
        if not isinstance(error, ConnectivityError) or isinstance(
            error, (PoolTimeout, TotalTimeout)
        ):
            return False  # our own limit, or an answer that broke the rules: the same again
        if _is_certificate_error(error):
            return False
        if not attempt.was_sent or isinstance(error, (ConnectionFailed, ConnectTimeout)):
            return True
        return attempt.method in self.methods


def _is_certificate_error(error: BaseException) -> bool:
    # By a name that only a TLS error has: this module does not import ssl.
    return getattr(error, "verify_code", None) is not None
