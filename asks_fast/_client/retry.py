"""Decide whether a failed request is tried again, and after how long.

Facts:  delays that double, with full jitter, keep many clients from retrying at the same moment.
        A server may name its own delay (`Retry-After`, RFC 9110 §10.2.3).
Rules:  this module does not wait; clock and random numbers are arguments. A method that may have
        effects is repeated only if nothing of the request was sent. The delay that a server asks
        for is limited.
Implemented elsewhere: the single resend on a stale connection, which needs no policy (`Pool.run`);
        waiting, and whether a body can be sent twice (`request_flow`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from .._annotations import Unchecked
from .._config.argument_checks import is_number
from .._request.prepared_request import IDEMPOTENT_METHODS
from .._response.header_values import retry_after as parse_retry_after
from .._response.status_codes import RETRYABLE_STATUSES
from ..errors import (
    ConnectionFailed,
    ConnectivityError,
    ConnectTimeout,
    InvalidRequest,
    PoolTimeout,
    ResponseTooLarge,
    TotalTimeout,
)

__all__ = ["Attempt", "Retry"]

Value = TypeVar("Value")
_CAP_EXPONENT = 60  # 2 ** 60 seconds is beyond any limit; a higher power may not fit a float


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one attempt at a request: the argument of `Retry.predicate`.

    Attributes:
        number: 1 for the first attempt.
        method: the HTTP method, in upper case.
        was_sent: whether the server may have received a byte of the request.
        error: the exception that ended the attempt, or None.
        response: the `Response`, or None.
        status: status of the response, of a proxy's response too; None without one.
        retry_after: its `Retry-After` field, or None.
        is_replayable: whether the body of the request can be sent again.
        is_ban: whether the status is a ban of the proxy for its `ProxyPool`.
    """

    number: int
    method: str
    was_sent: bool
    error: BaseException | None = None
    response: Unchecked = None
    status: int | None = None
    retry_after: str | None = None
    is_replayable: bool = True
    is_ban: bool = False

    @classmethod
    def coerce(
        cls,
        number: int,
        method: str,
        *,
        error: BaseException | None = None,
        response: Unchecked = None,
        is_ban: bool = False,
    ) -> Attempt:
        """Return the outcome of attempt `number`: its response or its error."""
        # An error may have a response: of a proxy, or one whose body is too large to be given.
        source = response if response is not None else getattr(error, "response", None) or error
        headers = getattr(source, "headers", None)
        if isinstance(headers, tuple):  # of a proxy that refused a tunnel
            values = [value for name, value in headers if name.lower() == "retry-after"]
            retry_after = ", ".join(values) or None
        else:
            retry_after = headers.get("retry-after") if headers else None
        return cls(
            number,
            method.upper(),
            was_sent=not getattr(error, "is_unsent", False),
            error=error,
            response=response,
            status=getattr(source, "status_code", None),
            retry_after=retry_after,
            is_replayable=_can_replay(response if error is None else error),
            is_ban=is_ban,
        )


def _can_replay(outcome: object) -> bool:
    """Whether every request that led to this response or error has a body that can be resent."""
    if isinstance(outcome, ConnectivityError):
        return outcome.is_replayable
    responses = (*(getattr(outcome, "history", None) or ()), outcome)
    requests = [getattr(response, "request", None) for response in responses]
    return all(getattr(request, "is_replayable", True) for request in requests)


def _as_set(name: str, given: Iterable[Value], kind: type[Value]) -> frozenset[Value]:
    """Return a field of a policy that is a set; one text is not a set of methods."""
    found = frozenset(given) if isinstance(given, Iterable) else frozenset()
    is_text = isinstance(given, (str, bytes))
    if is_text or not isinstance(given, Iterable) or not all(isinstance(o, kind) for o in found):
        raise InvalidRequest(f"{name} of a Retry is a set of {kind.__name__}, not {given!r}")
    return found


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry policy.

    A method that may have effects is repeated only if nothing of the request was sent. A body that
    cannot be replayed is never sent twice.

    Args:
        attempts: the most attempts after the first one.
        methods: the methods that may be repeated although the request was sent.
        statuses: the statuses of responses to repeat.
        connection_errors: whether to repeat after errors without a response.
        backoff: seconds. The wait before the n-th retry is a random time between 0 and
            `backoff * 2**(n-1)`.
        max_delay: the most seconds of such a wait.
        max_retry_after: the most seconds to wait because of a `Retry-After` field.
        respect_retry_after: whether to wait as long as `Retry-After` says, instead of `backoff`;
            also before a redirect that has this field.
        predicate: called with each `Attempt`. True repeats, False does not, None leaves the
            decision to the policy. It cannot exceed `attempts`.
        uniform: the source of random numbers, as `random.uniform`.
        clock: returns the time in seconds since 1970.

    Raises:
        InvalidRequest: a number is negative.

    Example:
        session = asks_fast.HSession("https://example.org", retries=asks_fast.Retry(attempts=5))
    """

    attempts: int = 3
    methods: frozenset[str] = IDEMPOTENT_METHODS
    statuses: frozenset[int] = RETRYABLE_STATUSES
    connection_errors: bool = True
    backoff: float = 0.5
    max_delay: float = 30.0
    max_retry_after: float = 120.0
    respect_retry_after: bool = True
    predicate: Callable[[Attempt], bool | None] | None = None
    uniform: Callable[[float, float], float] = field(default=random.uniform, compare=False)
    clock: Callable[[], float] = field(default=time.time, compare=False)

    def __post_init__(self) -> None:
        if not is_number(self.attempts) or not isinstance(self.attempts, int):
            raise InvalidRequest(f"attempts of a Retry is a whole number, not {self.attempts!r}")
        for name in ("attempts", "backoff", "max_delay", "max_retry_after"):
            value = getattr(self, name)
            if not is_number(value) or not value >= 0:
                raise InvalidRequest(f"{name} of a Retry is 0 or more, not {value!r}")
        for name in ("connection_errors", "respect_retry_after"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidRequest(
                    f"{name} of a Retry is True or False, not {getattr(self, name)!r}"
                )
        if self.predicate is not None and not callable(self.predicate):
            raise InvalidRequest(f"predicate of a Retry is a function, not {self.predicate!r}")
        methods = _as_set("methods", self.methods, str)
        object.__setattr__(self, "methods", frozenset(method.upper() for method in methods))
        object.__setattr__(self, "statuses", frozenset(_as_set("statuses", self.statuses, int)))

    @classmethod
    def coerce(cls, value: Retry | int) -> Retry:
        """Return the policy for the argument `retries=`.

        As in asks, a number stands for so many immediate retries after connection errors, and no
        status is repeated.
        """
        if isinstance(value, Retry):
            return value
        return cls(attempts=value, statuses=frozenset(), backoff=0.0)

    def delay_before_next(self, attempt: Attempt) -> float | None:
        """Return the seconds to wait before the next attempt; None if there is none."""
        if attempt.number > self.attempts or not attempt.is_replayable or not self._wants(attempt):
            return None
        requested = self.requested_delay(attempt.retry_after)
        if requested is not None:
            return requested
        longest = self.backoff * 2.0 ** min(attempt.number - 1, _CAP_EXPONENT)
        return self.uniform(0.0, min(longest, self.max_delay))

    def requested_delay(self, retry_after: str | None) -> float | None:
        """Return the seconds that a `Retry-After` field asks to wait, at most `max_retry_after`.

        None if there is no such field, if it cannot be parsed, or if the policy ignores it.
        """
        if not self.respect_retry_after or retry_after is None:
            return None
        requested = parse_retry_after(retry_after, self.clock())
        return None if requested is None else min(requested, self.max_retry_after)

    def _wants(self, attempt: Attempt) -> bool:
        if self.predicate is not None:
            verdict = self.predicate(attempt)
            if verdict is not None:
                return verdict
        if attempt.error is not None and not isinstance(attempt.error, ResponseTooLarge):
            return self.connection_errors and self._is_worth_repeating(attempt)
        is_wanted = attempt.status in self.statuses or attempt.is_ban
        return is_wanted and attempt.method in self.methods

    def _is_worth_repeating(self, attempt: Attempt) -> bool:
        error = attempt.error
        if not isinstance(error, ConnectivityError) or isinstance(
            error, (PoolTimeout, TotalTimeout)
        ):
            return False  # our own time limit or a protocol violation: it would happen again
        if _is_certificate_error(error):
            return False
        if not attempt.was_sent or isinstance(error, (ConnectionFailed, ConnectTimeout)):
            return True
        return attempt.method in self.methods


def _is_certificate_error(error: BaseException) -> bool:
    # By a name that only a TLS error has: this module does not import ssl.
    return getattr(error, "verify_code", None) is not None
