"""What the outcome of a request means for the proxy that it used.

Implemented elsewhere: what follows for the proxy (`proxy_pool`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeAlias

from ..errors import (
    AsksException,
    BadHttpResponse,
    ChecksumMismatch,
    ConnectionFailed,
    DecodingError,
    DnsTimeout,
    NameResolutionError,
    PoolTimeout,
    ProxyError,
    RequestTimeout,
    ResponseTooLarge,
    ServerClosedConnectionError,
    TlsError,
)
from .proxies import Proxy

__all__ = ["Verdict", "describe_outcome", "judge_outcome"]

_MAX_ERROR_TEXT = 200  # characters

Verdict: TypeAlias = Literal["success", "failure", "ban"]


def judge_outcome(
    outcome: int | BaseException, proxy: Proxy | None, ban_statuses: Collection[int]
) -> Verdict | None:
    """Return what an outcome means for the proxy, None if it means nothing.

    Failures of the origin, of the program and of its limits mean nothing, as far as they can be
    distinguished: a name that does not exist, a certificate of the origin, a proxy that cannot
    reach the origin, a body that is too long, a cancellation.
    """
    if isinstance(outcome, int):
        return "ban" if outcome in ban_statuses else "success"
    if isinstance(outcome, ProxyError):
        status = getattr(outcome.response, "status_code", None)
        if status in ban_statuses:
            return "ban"
        return None if outcome.is_origin_unreachable else "failure"
    if isinstance(outcome, TlsError):
        return "failure" if outcome.is_proxy else None
    if isinstance(outcome, DnsTimeout):
        return "failure" if proxy is not None and outcome.host == proxy.host else None
    if isinstance(outcome, (NameResolutionError, PoolTimeout, ResponseTooLarge, ChecksumMismatch)):
        return None
    if isinstance(outcome, DecodingError):
        return None
    is_failure = isinstance(
        outcome, (ConnectionFailed, RequestTimeout, ServerClosedConnectionError, BadHttpResponse)
    )
    return "failure" if is_failure else None


def describe_outcome(outcome: int | BaseException) -> str:
    """Return an outcome as text of at most `_MAX_ERROR_TEXT` characters."""
    if isinstance(outcome, int):
        return f"status {outcome}"
    text = str(outcome) if isinstance(outcome, AsksException) else ""
    return f"{type(outcome).__name__}: {text}"[:_MAX_ERROR_TEXT].rstrip(": ")
