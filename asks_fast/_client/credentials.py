"""Which credentials a request may carry to another origin than the one they were given for.

An origin is scheme, host and port. Redirects and sessions with a base apply the same rules.

Rules:  header fields with sensitive names, those that the user lists, cookies of the call and
        `Host` stay at their origin. `auth` stays too, unless `auth_off_domain=True`; that never
        applies from https down to http.
Implemented elsewhere: the names (`_sensitive`), cookies of servers (`_cookies.jar`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._request.headers import HeadersBuilder
from .._sensitive import drop_sensitive_pairs, is_sensitive
from ..urls import Url, encode_params

if TYPE_CHECKING:
    from .._config.options import RequestOptions

__all__ = ["auth_may_leave", "bound_fields", "defaults_off_origin"]


def bound_fields(fields: HeadersBuilder, options: RequestOptions) -> frozenset[str]:
    """The names, in lower case, of the fields that may not go to another origin."""
    listed = (name.lower() for name in options.sensitive_headers)
    return frozenset(["host", *listed, *filter(is_sensitive, fields.names())])


def auth_may_leave(options: RequestOptions, source: Url, target: Url) -> bool:
    """Tell whether `auth`, given for the origin of `source`, may go to that of `target`."""
    is_downgrade = source.scheme == "https" and target.scheme == "http"
    return options.auth_off_domain and not is_downgrade


def defaults_off_origin(
    defaults: Mapping[str, Any], options: RequestOptions, base: Url, target: Url
) -> dict[str, Any]:
    """The defaults of a session with a base, for a request to another origin."""
    kept = {name: value for name, value in defaults.items() if name != "cookies"}
    if not auth_may_leave(options, base, target):
        kept.pop("auth", None)
    if kept.get("params") is not None:
        kept["params"] = drop_sensitive_pairs(encode_params(kept["params"]))
    return kept
