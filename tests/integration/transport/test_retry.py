"""Time limits and retry policies as values, without clocks, random numbers or sockets."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asks_fast import errors
from asks_fast._client.retry import Attempt, Retry
from asks_fast._config.timeouts import DEFAULT_TIMEOUTS, Timeouts
from asks_fast.errors import InvalidRequest

NOW = 1_800_000_000.0


def highest(low: float, high: float) -> float:
    """A source of random numbers that returns the upper bound."""
    assert low == 0.0
    return high


def policy(**options: Any) -> Retry:
    return Retry(uniform=highest, clock=lambda: NOW, **options)


def answered(status: int, number: int = 1, method: str = "GET", **more: Any) -> Attempt:
    return Attempt(number, method, was_sent=True, status=status, **more)


def failed(error: Exception, number: int = 1, method: str = "GET", sent: bool = True) -> Attempt:
    return Attempt(number, method, was_sent=sent, error=error)


# -- retries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_retryable_statuses(status: int) -> None:
    """Overload and gateway errors of idempotent methods are repeated, of others not."""
    assert policy().delay_before_next(answered(status)) == 0.5
    assert policy().delay_before_next(answered(status, method="POST")) is None
    assert policy(methods={"post"}).delay_before_next(answered(status, method="POST")) == 0.5


@pytest.mark.parametrize("status", [200, 301, 400, 401, 404, 500, 501])
def test_statuses_that_are_not_retried(status: int) -> None:
    """All other statuses are final."""
    assert policy().delay_before_next(answered(status)) is None


def test_backoff_doubles_up_to_a_limit() -> None:
    """The n-th wait is at most `backoff * 2**(n-1)`, and never more than `max_delay`."""
    retry = policy(attempts=5, backoff=1.0, max_delay=6.0)
    waits = [retry.delay_before_next(answered(503, number)) for number in range(1, 7)]
    assert waits == [1.0, 2.0, 4.0, 6.0, 6.0, None]


@given(st.integers(1, 10_000), st.floats(0, 1e6), st.floats(0, 1e6))
def test_any_delay_is_within_bounds(number: int, backoff: float, most: float) -> None:
    """A wait is finite, not negative, and at most `max_delay`, for any numbers."""
    retry = Retry(attempts=10_000, backoff=backoff, max_delay=most)
    wait = retry.delay_before_next(answered(503, number))
    assert wait is not None
    assert 0.0 <= wait <= most


@pytest.mark.parametrize(
    ("error", "method", "sent", "again"),
    [
        (errors.ConnectionFailed("x"), "GET", True, True),
        (errors.ConnectionFailed("x"), "POST", True, True),  # nothing can have been sent
        (errors.NameResolutionError("x"), "POST", False, True),
        (errors.ProxyError("x"), "POST", False, True),
        (errors.ConnectTimeout("x"), "POST", False, True),
        (errors.ServerClosedConnectionError("x"), "GET", True, True),
        (errors.ServerClosedConnectionError("x"), "POST", True, False),
        (errors.ServerClosedConnectionError("x"), "POST", False, True),
        (errors.ReadTimeout("x"), "GET", True, True),
        (errors.ReadTimeout("x"), "POST", True, False),
        (errors.WriteTimeout("x"), "PATCH", True, False),
        (errors.PoolTimeout("x"), "GET", False, False),
        (errors.DnsTimeout("x"), "POST", True, True),
        (errors.TotalTimeout("x"), "GET", True, False),
        (errors.BadHttpResponse("x"), "GET", True, False),
        (errors.InvalidURL("x"), "GET", False, False),
        (errors.SessionClosed("x"), "GET", False, False),
        (errors.TlsError("x"), "GET", False, True),  # type: ignore[attr-defined]
        (errors.CertificateError("x"), "GET", False, False),  # type: ignore[attr-defined]
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_retryable_errors(error: Exception, method: str, sent: bool, again: bool) -> None:
    """Errors after which the request may have had effects are not repeated, nor permanent ones."""
    assert (policy().delay_before_next(failed(error, 1, method, sent)) is not None) == again
    never = policy(connection_errors=False)
    assert never.delay_before_next(failed(error, 1, method, sent)) is None


def test_retry_after_overrides_backoff_and_is_capped() -> None:
    """Seconds and dates are respected up to the limit; invalid values are ignored."""
    retry = policy(max_retry_after=100.0)

    def wait(value: str) -> float | None:
        return retry.delay_before_next(answered(429, retry_after=value))

    assert wait("7") == 7.0
    assert wait("0") == 0.0
    assert wait(formatdate(NOW + 30, usegmt=True)) == 30.0
    assert wait(formatdate(NOW - 30, usegmt=True)) == 0.0
    assert wait("315360000") == 100.0
    assert wait("9" * 5000) == 100.0
    assert wait("soon") == 0.5
    assert wait("-5") == 0.5
    ignoring = policy(respect_retry_after=False)
    assert ignoring.delay_before_next(answered(429, retry_after="7")) == 0.5


def test_predicate() -> None:
    """True repeats, False does not, None leaves it to the policy; `attempts` still limits."""
    seen: list[Attempt] = []

    def by_number(attempt: Attempt) -> bool | None:
        seen.append(attempt)
        return {1: True, 2: None, 3: False}[attempt.number]

    retry = policy(attempts=3, predicate=by_number)
    assert retry.delay_before_next(answered(200, 1)) is not None
    assert retry.delay_before_next(answered(200, 2)) is None
    assert retry.delay_before_next(answered(503, 3)) is None
    assert retry.delay_before_next(answered(503, 4)) is None
    assert [attempt.number for attempt in seen] == [1, 2, 3]


def test_number_of_retries() -> None:
    """`retries=2` repeats connection errors twice at once, and no status."""
    retry = Retry.coerce(2)
    error = errors.ConnectionFailed("x")
    assert [retry.delay_before_next(failed(error, n)) for n in (1, 2, 3)] == [0.0, 0.0, None]
    assert retry.delay_before_next(answered(503)) is None
    assert Retry.coerce(0).delay_before_next(failed(error)) is None
    assert Retry.coerce(retry) is retry


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": -1},
        {"attempts": 1.5},
        {"attempts": True},
        {"backoff": -0.1},
        {"max_delay": float("nan")},
        {"max_retry_after": -1},
    ],
)
def test_invalid_policies(options: dict[str, Any]) -> None:
    """Invalid numbers raise when the policy is made."""
    with pytest.raises(InvalidRequest):
        Retry(**options)


def test_policies_are_values() -> None:
    """Equal policies compare equal and are usable as keys."""
    assert Retry(methods={"get"}, statuses={503}) == Retry(methods=["GET"], statuses=(503,))
    assert len({Retry(), Retry()}) == 1


# -- time limits -----------------------------------------------------------------------------------


def test_timeouts_by_phase() -> None:
    """A number is the total, None means the defaults, a `Timeouts` is used as it is."""
    assert Timeouts.coerce(5) == Timeouts(total=5)
    assert Timeouts.coerce(None) is DEFAULT_TIMEOUTS
    some = Timeouts(connect=1, read=None)
    assert Timeouts.coerce(some) is some
    assert (some.pool, some.connect, some.read, some.write, some.total) == (
        None,
        1,
        None,
        300,
        None,
    )
    assert some.replace(connect=1) is some
    assert some.replace(total=9).total == 9


@pytest.mark.parametrize("bad", [-1, 0, -0.001, float("nan"), "5", True, [], object()])
@pytest.mark.parametrize("phase", ["pool", "connect", "read", "write", "total"])
def test_invalid_timeouts(bad: Any, phase: str) -> None:
    """A limit that is not a number above 0 raises, and the error names it."""
    with pytest.raises(InvalidRequest, match=phase):
        Timeouts(**{phase: bad})
    with pytest.raises(ValueError, match="total"):
        Timeouts.coerce(bad)
