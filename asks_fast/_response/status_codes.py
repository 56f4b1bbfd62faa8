"""Status codes to which the client reacts by itself (RFC 9110 §15)."""

from __future__ import annotations

__all__ = ["REDIRECT_STATUSES", "RETRYABLE_STATUSES"]

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
"""Redirects that are followed if the response has a Location field."""

RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})
"""Responses after which a `Retry` policy repeats the request, unless it names others."""
